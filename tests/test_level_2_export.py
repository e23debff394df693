"""Level 2, the export: each framework and problem as ONNX, own data, and faults in the service."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Generate, ok, plant, run

pytestmark = [pytest.mark.slow]

EXPORT = """
import json, pathlib, sys, warnings
from mlops_ladder import problem, settings; from mlops_ladder.data import contract; from mlops_ladder.export import bundle; from mlops_ladder.model import training
from mlops_ladder.export import runtime
warnings.simplefilter("ignore")
folder = pathlib.Path("bundle")
chosen = settings.load_settings()
trained = training.train_model(problem.read_data(chosen), contract.read_contract(), chosen)
bundle.export_bundle(trained, folder)
loaded = runtime.load_bundle(folder)
rows = runtime.frame_to_rows(trained.holdout[trained.contract.inputs()])
pairs = zip(loaded.answers(rows), trained.predictions["prediction"].tolist(), strict=True)
near = lambda a, b: a == b or abs(a - b) <= 1e-6 * max(abs(b), 1)
fault = sys.argv[1:]
broken = lambda rows: loaded.scores([row | {fault[0]: row[fault[0]] * 1.01} for row in rows])
print(json.dumps({
    "bundle": loaded.bundle,
    "predictions": all(near(answer["prediction"], value) for answer, value in pairs),
    "parity": bundle.measure_parity(trained, broken).holds if fault else True,
}))
"""


@pytest.fixture(scope="module")
def python(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`python(framework)`: the Python of a level-2 environment without the package itself."""
    made: dict[str, Path] = {}

    def of(framework: str) -> Path:
        if framework not in made:
            place = tmp_path_factory.mktemp("level2") / ".venv"
            project = generate(maturity_level="2", framework=framework)
            command = ("uv", "sync", "--quiet", "--no-install-project")
            done = run(*command, at=project, UV_PROJECT_ENVIRONMENT=str(place))
            assert done.returncode == 0, done.stderr
            made[framework] = place / "bin" / "python"
        return made[framework]

    return of


def exported(python: Path, project: Path, *fault: str) -> dict[str, Any]:
    """The bundle of a project's model, trained on its data, and how it answers."""
    command = (str(python), "-c", EXPORT, *fault)
    done = run(*command, at=project, PYTHONPATH=str(project / "src"), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("framework", ["scikit-learn", "lightgbm", "xgboost"])
@pytest.mark.parametrize("problem", ["classification", "regression"])
def test_each_framework_is_served_as_onnx(
    generate: Generate, python: Callable[[str], Path], tmp_path: Path, framework: str, problem: str
) -> None:
    """It answers as the model does; with one column multiplied by 1.01, parity fails."""
    made = generate(maturity_level="2", framework=framework, problem=problem)
    project = shutil.copytree(made, tmp_path / "project")
    found = exported(python(framework), project, "distance")
    assert (found["bundle"]["runtime"], found["bundle"]["why"]) == ("onnx", "")
    assert found["bundle"]["parity"]["rows"] > 3000
    assert found["bundle"]["parity"]["mismatched"] == 0
    assert found["bundle"]["parity"]["largest"] < 1e-6
    assert (found["predictions"], found["parity"]) == (True, False)


@pytest.mark.parametrize(
    ("old", "new", "runtime"),
    [
        ("clock.weekday\n", "clock.month\n", "native"),
        ("clock.hour + clock.minute / 60", "clock.hour + clock.second / 60", "native"),
        ("clock.hour + clock.minute / 60", "clock.hour // 6", "onnx"),
    ],
    ids=["month", "seconds", "quarter of a day"],
)
def test_an_edited_calendar_never_serves_other_answers(
    generate: Generate,
    python: Callable[[str], Path],
    tmp_path: Path,
    old: str,
    new: str,
    runtime: str,
) -> None:
    """What ONNX can say is exported anew; what it cannot is served natively, and named."""
    project = shutil.copytree(generate(maturity_level="2"), tmp_path / "project")
    path = project / "src/flight_delays/problem.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = exported(python("scikit-learn"), project)
    assert (found["bundle"]["runtime"], found["predictions"]) == (runtime, True)
    assert ("calendar looks at more" in found["bundle"]["why"]) == (runtime == "native")


OWN: dict[str, Callable[[int], dict[str, Any]]] = {
    "unicode names": lambda i: {
        "größe": i % 17,
        "年齢": i * 0.37,
        "ziel": ["ja", "nein"][i % 17 > 8],
    },
    "only categories": lambda i: {"c": f"c{i % 200:03}", "d": "abc"[i % 3], "ziel": i % 3 == 0},
    "integers as classes": lambda i: {"a": i % 30, "b": i % 7 == 0, "ziel": 3 + 4 * (i % 30 // 10)},
    "words as classes": lambda i: {"a": i % 30, "ziel": ["ä", "b b", "c", "d"][i % 30 // 8]},
    "values missing": lambda i: {
        "a": "" if i % 5 == 0 else i % 30,
        "w": "" if i % 7 == 0 else "xyz"[i % 3],
        "ziel": i % 30 * 1.5,
    },
    "times": lambda i: {
        "t": f"2023-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:{i % 60:02}",
        "u": f"{1 + i % 28:02}.{1 + i % 12:02}.2022",
        "ziel": i % 24 + i % 28 * 0.5,
    },
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("framework", ["scikit-learn", "lightgbm", "xgboost"])
def test_own_data_are_served_as_onnx(
    generate: Generate, python: Callable[[str], Path], tmp_path: Path, framework: str, name: str
) -> None:
    """A contract inferred from a file of any kind gives a model that answers the same as ONNX."""
    project = shutil.copytree(
        generate(maturity_level="2", framework=framework), tmp_path / "project"
    )
    rows = [OWN[name](i) for i in range(400)]
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (project / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    command = (
        str(python(framework)),
        "-m",
        "mlops_ladder",
        "contract",
        "--data",
        "rows.csv",
        "--target",
        "ziel",
    )
    done = run(*command, at=project, PYTHONPATH=str(project / "src"))
    assert done.returncode == 0, done.stderr
    found = exported(python(framework), project)
    assert (found["bundle"]["runtime"], found["bundle"]["why"]) == ("onnx", "")
    assert found["predictions"]


OWN_MODEL = """

class Rounded(HistGradientBoostingClassifier):
    def fit(self, rows, labels):
        return super().fit(rounded(rows), labels)

    def predict(self, rows):
        late = self.predict_proba(rounded(rows))[:, 1] > THRESHOLD
        return self.classes_[late.astype(int)]
"""
HELPERS = """
THRESHOLD, DIGITS = 0.3, 3


def rounded(rows):
    return rows.round(DIGITS)
"""
INPUTS = """
from mlops_ladder import problem, settings; from mlops_ladder.data import casting, contract
known = contract.read_contract()
rows = casting.validate_and_cast(problem.read_data(settings.load_settings()), known, known.inputs())
body = rows.to_json(orient="split", index=False, date_format="iso")
print('{"dataframe_split": ' + body + "}")
"""


def test_mlflows_copy_of_the_champion_answers_where_only_mlflow_is_installed(
    generate: Generate, tmp_path: Path
) -> None:
    """`mlflow models predict` builds an environment, without the project; answers are the same.

    The model is of a class in `problem.py`, which uses another module of the project.
    """
    project = shutil.copytree(generate(maturity_level="2"), tmp_path / "project")
    package = project / "src/flight_delays"
    plant(package / "problem.py", "\n\ndef build_model(", f"{OWN_MODEL}\n\ndef build_model(", 1)
    imports = "from flight_delays.helpers import rounded, THRESHOLD\nfrom mlops_ladder.settings"
    plant(package / "problem.py", "from mlops_ladder.settings", imports, 1)
    plant(package / "problem.py", "= HistGradientBoostingClassifier(", "= Rounded(", 1)
    (package / "helpers.py").write_text(HELPERS, encoding="utf-8")
    ok("make", "setup", at=project)
    few = {"FLIGHT_DELAYS_MODEL": '{"max_iter": 20}', "FLIGHT_DELAYS_TUNING__TRIALS": "1"}
    ok(".venv/bin/ladder", "pipeline", at=project, OMP_NUM_THREADS="1", **few)
    ok(".venv/bin/ladder", "predict", at=project)
    with (project / "predictions.csv").open(encoding="utf-8", newline="") as file:
        wanted = [row["prediction"] == "True" for row in csv.DictReader(file)]
    rows = tmp_path / "rows.json"
    rows.write_text(ok(".venv/bin/python", "-c", INPUTS, at=project), encoding="utf-8")
    version = "import mlflow; print(mlflow.__version__)"
    mlflow = f"mlflow=={ok('.venv/bin/python', '-c', version, at=project).strip()}"
    for part in ("src", "wheels", ".venv"):
        shutil.rmtree(project / part)
    ok("uv", "venv", "--quiet", "fresh", at=tmp_path)
    ok("uv", "pip", "install", "--quiet", "--python", "fresh", mlflow, at=tmp_path)
    programs = f"{tmp_path}/fresh/bin"
    there = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": "",
    }
    command = (f"{programs}/mlflow", "models", "predict", "--env-manager", "uv")
    files = ("-i", str(rows), "-o", "answers.json")
    ok(*command, "-m", "models:/flight_delays@champion", *files, at=tmp_path, **there)
    answers = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    assert answers["predictions"] == wanted
    assert 0.01 < sum(wanted) / len(wanted) < 0.99
