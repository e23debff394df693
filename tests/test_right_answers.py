"""Right answers: the champion predicts, a model decides for itself, and saved code stays as it was."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import fails, Generate, ok, plant, run

pytestmark = [pytest.mark.slow]

PIPELINE = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project of level 2 with a champion of few trees."""
    made = shutil.copytree(
        generate(maturity_level="2"), tmp_path_factory.mktemp("answers") / "project"
    )
    plant(made / "config.toml", "[model]\n", "[model]\nmax_iter = 20\n")
    plant(made / "config/tuning.toml", "trials = 8", "trials = 2")
    ok("make", "setup", at=made)
    ok(".venv/bin/ladder", "pipeline", at=made, **PIPELINE)
    return made


def predicted(project: Path, *words: str) -> list[dict[str, str]]:
    """The rows of a batch, without the name that this batch has in the log."""
    ok(".venv/bin/ladder", "predict", *words, at=project)
    with (project / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row.pop("request_id").startswith("batch-") for row in rows} == {True}
    return rows


SERVED = """
import json
from mlops_ladder import problem, settings; from mlops_ladder.data import casting
from mlops_ladder.export import runtime; from mlops_ladder.serving import model_reloader
pointer = json.loads((model_reloader.FOLDER / model_reloader.POINTER).read_text())
model = runtime.load_bundle(model_reloader.FOLDER / pointer["version"])
frame = problem.read_data(settings.load_settings())
rows = casting.validate_and_cast(frame, model.contract, model.contract.inputs())
print(json.dumps([it["probability"]["True"] for it in model.answers(runtime.frame_to_rows(rows))]))
"""


def test_a_batch_has_the_answers_of_the_service_whatever_was_trained_since(project: Path) -> None:
    """To the last digit; a training of another model says that it does not predict."""
    before = predicted(project)
    (served,) = ok(".venv/bin/python", "-c", SERVED, at=project).splitlines()
    assert [float(row["probability_True"]) for row in before] == json.loads(served)
    config = (project / "config.toml").read_text(encoding="utf-8")
    weak = re.sub("learning_rate = .*", "learning_rate = 0.0000001", config)
    (project / "config.toml").write_text(weak, encoding="utf-8")
    said = ok(".venv/bin/ladder", "train", at=project)
    (project / "config.toml").write_text(config, encoding="utf-8")
    assert weak != config and "only its champion predicts" in said
    assert predicted(project) == before
    assert len({row["probability_True"] for row in before}) > 100


def test_without_a_sound_champion_nothing_is_predicted(project: Path, tmp_path: Path) -> None:
    """No pointer, or a bundle that was changed: it is named, with the way out."""
    before, serving = predicted(project), project / "models/serving"
    kept = shutil.copytree(serving, tmp_path / "kept")
    (serving / "champion.json").unlink()
    said = fails(".venv/bin/ladder", "predict", "--out", "none.csv", at=project)
    assert "models/serving/champion.json: no champion is published here" in said
    assert "make publish" in said and not (project / "none.csv").exists()
    shutil.rmtree(serving)
    shutil.copytree(kept, serving)
    (model,) = serving.glob("*/model.*")
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    said = fails(".venv/bin/ladder", "predict", "--out", "none.csv", at=project)
    assert f"{model.relative_to(project)}: changed" in said and "make publish" in said
    ok(".venv/bin/ladder", "publish", at=project)
    assert predicted(project) == before


def test_rows_outside_are_marked_and_rows_that_break_the_contract_are_rejected(
    project: Path,
) -> None:
    """One of each in a file of ten rows: nine answers, one of them marked; the status is 3."""
    text = (project / "data/sample/flights-2013-01.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()[:11]))
    rows[2][rows[0].index("distance")] = "99999"
    rows[3][rows[0].index("distance")] = "far"
    path, out = project / "ten.csv", project / "ten.out.csv"
    path.write_text("\n".join(map(",".join, rows)), encoding="utf-8")
    done = run(".venv/bin/ladder", "predict", "--data", path.name, "--out", out.name, at=project)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert "1 of 10 rows break the contract and are not answered" in done.stderr
    assert "distance: 1 of 10 rows break 80 ≤ distance ≤ 4983: 99999 (rows 2)" in done.stdout
    with out.open(encoding="utf-8", newline="") as file:
        assert [row["outside"] for row in csv.DictReader(file)] == ["", "distance", *[""] * 7]
    with (project / "ten.out.rejected.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"row": "3", "reason": "distance holds no integer: 'far'"}
        ]


def test_a_share_of_missing_values_is_judged_over_the_whole_file(project: Path) -> None:
    """The same rows in any order and in parts of any size: refused, or answered, alike."""
    lines = (project / "data/sample/flights-2013-01.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.reader(lines[:401]))
    place = rows[0].index("humid")
    few = [row[:place] + [""] + row[place + 1 :] for row in rows[1:21]]  # 5 % of 400, 6 % allowed
    code = "import sys; from mlops_ladder.batch import scoring; scoring.ROWS = 100; scoring.main(sys.argv[1:])"
    for more, status in ((rows[21:], 0), (rows[21:201], 1)):
        table = "\n".join(map(",".join, [rows[0], *few, *more]))
        (project / "share.csv").write_text(table, encoding="utf-8")
        words = ("--data", "share.csv", "--out", "share.out.csv")
        done = run(".venv/bin/python", "-c", code, *words, at=project)
        assert ("are missing; the contract allows 6.0%" in done.stderr) == bool(status)
        assert bool(done.returncode) == bool(status)


DECIDE = """
import dataclasses, json, pathlib, sys, tempfile, warnings
import numpy as np, pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from mlops_ladder import settings; from mlops_ladder.data import contract; from mlops_ladder.export import bundle; from mlops_ladder.model import prediction, training
from mlops_ladder.export import runtime
warnings.simplefilter("ignore")

class Strict(HistGradientBoostingClassifier):
    def predict(self, X):
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.2).astype(int)]

class Wrapped(ClassifierMixin, BaseEstimator):
    def __init__(self, estimator):
        self.estimator = estimator
    def fit(self, X, y):
        self.estimator_ = self.estimator.fit(X, y)
        self.classes_ = self.estimator_.classes_
        return self
    def predict_proba(self, X):
        return self.estimator_.predict_proba(X)
    def predict(self, X):
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.499).astype(int)]

TREES = {"max_iter": 20}
MODELS = {
    "trees": HistGradientBoostingClassifier(**TREES),
    "a threshold": FixedThresholdClassifier(HistGradientBoostingClassifier(**TREES), threshold=0.2),
    "a threshold on a line": FixedThresholdClassifier(LogisticRegression(), threshold=0.2),
    "a vote": SVC(probability=True, random_state=0),
    "no probabilities": RidgeClassifier(),
    "a class of its own": Strict(**TREES),
    "a wrapper near a half": Wrapped(HistGradientBoostingClassifier(**TREES)),
    "a line": LogisticRegression(),
}
number = {"kind": "number", "role": "feature"}
columns = {"a": number, "b": number, "y": {"kind": "category", "role": "target"}}
known, chosen = contract.Contract(columns=columns), settings.load_settings()
random = np.random.default_rng(0)
rows = pd.DataFrame(random.normal(size=(600, 2)), columns=["a", "b"])
late = random.random(600) < 1 / (1 + np.exp(1.5 - 2 * rows.a - rows.b))
LABELS = {"truth": late, "words": np.where(late, "yes", "no"), "numbers": np.where(late, 7, 3)}
found = {}
for kind, labels in LABELS.items():
    frame = rows.assign(y=labels)
    kept, held = frame[:450], frame[450:]
    for name, model in MODELS.items():
        model = Pipeline([("scale", StandardScaler()), ("model", model)])
        model.fit(kept[["a", "b"]], kept["y"])
        said = prediction.predict_rows(model, held[["a", "b"]])
        trained = training.Trained(chosen, known, model, kept, held, said, said, 0)
        with tempfile.TemporaryDirectory() as name_of:
            saved = bundle.export_bundle(trained, pathlib.Path(name_of))
            loaded = runtime.load_bundle(pathlib.Path(name_of))
        wanted = model.predict(held[["a", "b"]]).tolist()
        answers = loaded.answers(runtime.frame_to_rows(held[["a", "b"]]))
        found[f"{kind}: {name}"] = {
            "runtime": saved.runtime,
            "trained": said["prediction"].tolist() == wanted,
            "served": [it["prediction"] for it in answers] == wanted,
            "batch": prediction.predict_rows(loaded, held[["a", "b"]])["prediction"].tolist() == wanted,
            "accuracy": trained.scores["accuracy"] == float(np.mean(held["y"].to_numpy() == wanted)),
        }
print(json.dumps(found))
"""


def test_a_prediction_is_what_the_model_itself_decides(project: Path) -> None:
    """In training scores, batch, service and export alike; as ONNX only where that is the same."""
    found = json.loads(ok(".venv/bin/python", "-c", DECIDE, at=project).splitlines()[-1])
    assert len(found) == 24
    for name, facts in found.items():
        wanted = "onnx" if re.search(": (trees|a vote|a line)$", name) else "native"
        assert (name, facts) == (
            name,
            {"runtime": wanted} | dict.fromkeys(("trained", "served", "batch", "accuracy"), True),
        )


HELPERS = """
import numpy as np
from . import deeper
SHIFT = 1.5
LAST = 1.0
def shifted(values):
    return values + SHIFT + deeper.MORE
"""
USES = """
from sklearn.base import BaseEstimator as _Base, TransformerMixin as _Mixin
from sklearn.linear_model import LogisticRegression
from . import helpers
from .helpers import shifted

FACTOR = 2.0


class Scaled(_Mixin, _Base):
    POWER = 3.0
    def fit(self, rows, labels=None):
        self.n_features_in_ = rows.shape[1]
        return self
    def transform(self, rows):
        return super_scaled(rows) ** self.POWER


def super_scaled(rows):
    return rows * FACTOR


class Last(LogisticRegression):
    def predict_proba(self, rows):
        return super().predict_proba(rows) ** helpers.LAST


def build_model(contract: Contract, settings: Settings) -> Pipeline:
    steps = [
        ("numbers", "passthrough"),
    ]
    del steps
    names = contract.inputs("number")
    numbers = ColumnTransformer([("numbers", "passthrough", names)])
    return Pipeline(
        [
            ("numbers", numbers),
            ("fill", FunctionTransformer(lambda rows: np.nan_to_num(rows))),
            ("shift", FunctionTransformer(shifted)),
            ("module", FunctionTransformer(lambda rows: helpers.shifted(rows) / 100)),
            ("scale", Scaled()),
            ("model", Last()),
        ]
    )
"""
SAVE = """
import hashlib, json, pathlib, sys, warnings
from mlops_ladder import problem, settings; from mlops_ladder.data import contract; from mlops_ladder.export import bundle; from mlops_ladder.model import prediction, training; from mlops_ladder.tracking import runs
from mlops_ladder.export import runtime
warnings.simplefilter("ignore")
place, known, chosen = pathlib.Path(sys.argv[1]), contract.read_contract(), settings.load_settings()
frame = problem.read_data(chosen).head(1000)
trained = training.train_model(frame, known, chosen)
rows = trained.holdout[known.inputs()]
if sys.argv[2:] == ["save"]:
    bundle.export_bundle(trained, place / "bundle")
    prediction.save_model(trained.model, known, trained.version, place / "model.joblib")
    (place / "run").write_text(runs.record_training(trained))
models = {
    "file": prediction.load_model(place / "model.joblib")["model"],
    "bundle": runtime.load_bundle(place / "bundle"),
    "mlflow": runs.connect_mlflow().sklearn.load_model(f"runs:/{(place / 'run').read_text()}/model"),
}
said = {name: prediction.predict_rows(it, rows).to_csv() for name, it in models.items()}
print(json.dumps({"version": trained.version, "now": trained.predictions.to_csv()} | said))
"""


def test_a_saved_model_answers_the_same_after_any_code_that_it_uses_was_edited(
    project: Path, tmp_path: Path
) -> None:
    """In each of its copies; the same code gives the same version, and other code another one."""
    package = project / "src/flight_delays"
    problem = package / "problem.py"
    before = problem.read_text(encoding="utf-8")
    (package / "helpers.py").write_text(HELPERS, encoding="utf-8")
    (package / "deeper.py").write_text("MORE = 0.25\n", encoding="utf-8")
    problem.write_text(before.partition("def build_model(")[0] + "import numpy as np\n" + USES)
    edits = {
        problem: ("FACTOR = 2.0", "POWER = 3.0", "np.nan_to_num(rows)"),
        package / "helpers.py": ("SHIFT = 1.5", "LAST = 1.0"),  # the last is not fitted with
        package / "deeper.py": ("MORE = 0.25",),
    }
    try:
        first = asked(project, tmp_path, "save")
        assert first == asked(project, tmp_path)
        assert first["now"] == first["file"] == first["bundle"] == first["mlflow"]
        versions = {first["version"]}
        for path, lines in edits.items():
            text = path.read_text(encoding="utf-8")
            for line in lines:
                assert line in text
                path.write_text(text.replace(line, f"{line} * 1.1"), encoding="utf-8")
                found = asked(project, tmp_path)
                versions.add(found["version"])
                copies = ("file", "bundle", "mlflow")
                assert {name: found[name] for name in copies} == {n: first[n] for n in copies}
            path.write_text(text, encoding="utf-8")
        assert len(versions) == 1 + sum(map(len, edits.values()))
        problem.write_text(f"# A word about it.\n{problem.read_text()}", encoding="utf-8")
        assert asked(project, tmp_path)["version"] == first["version"]
    finally:
        problem.write_text(before, encoding="utf-8")


def test_a_model_that_would_not_keep_its_code_is_not_saved(project: Path) -> None:
    """Code that is imported when it is called, and a module that no file can hold."""
    package = project / "src/flight_delays"
    problem, model = package / "problem.py", project / "models/model.joblib"
    before = problem.read_text(encoding="utf-8")
    saved = model.read_bytes() if model.exists() else b""
    (package / "helpers.py").write_text("import threading\nLOCK, SHIFT = threading.Lock(), 0.0\n")
    late = before.replace("    parts = {}\n", "    from .helpers import SHIFT\n    parts = {}\n")
    whole = before.replace(
        "from mlops_ladder.data.contract",
        "from . import helpers\nfrom mlops_ladder.data.contract",
        1,
    )
    kinds = {
        late.replace("/ 60", "/ 60 + SHIFT"): "calendar: it imports code of this project",
        whole.replace("/ 60", "/ 60 + helpers.SHIFT"): "cannot pickle '_thread.lock' object; if a",
    }
    few = {"FLIGHT_DELAYS_DATA__PATH": "data/sample/flights-2013-01.csv"}
    try:
        for text, told in kinds.items():
            problem.write_text(text, encoding="utf-8")
            said = fails(".venv/bin/ladder", "train", at=project, **few)
            assert told in said and "Traceback" not in said
            assert (model.read_bytes() if model.exists() else b"") == saved
        names = whole.replace("from . import helpers", "from .helpers import SHIFT")
        problem.write_text(names.replace("/ 60", "/ 60 + SHIFT"), encoding="utf-8")
        ok(".venv/bin/ladder", "train", at=project, **few)
    finally:
        problem.write_text(before, encoding="utf-8")
        (package / "helpers.py").unlink()


def asked(project: Path, place: Path, *words: str) -> Any:
    """The version of a training, and what each saved copy of the first one says of the same rows."""
    said = ok(".venv/bin/python", "-c", SAVE, str(place), *words, at=project)
    return json.loads(said.splitlines()[-1])
