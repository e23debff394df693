"""Level 2, the export: each framework and problem as ONNX, own data, and faults in the service."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Generate, run

pytestmark = [pytest.mark.slow]

EXPORT = """
import json, pathlib, sys, warnings
from mlops_ladder import problem, settings; from mlops_ladder.data import contract; from mlops_ladder.export import bundle; from mlops_ladder.model import training
from mlops_ladder.export import runtime
warnings.simplefilter("ignore")
folder = pathlib.Path("bundle")
chosen = settings.load()
trained = training.train(problem.read_data(chosen), contract.read_contract(), chosen)
bundle.export(trained, folder)
loaded = runtime.load(folder)
rows = bundle.as_rows(trained.holdout[trained.contract.inputs()])
pairs = zip(loaded.answers(rows), trained.predictions["prediction"].tolist(), strict=True)
near = lambda a, b: a == b or abs(a - b) <= 1e-6 * max(abs(b), 1)
fault = sys.argv[1:]
broken = lambda rows: loaded.scores([row | {fault[0]: row[fault[0]] * 1.01} for row in rows])
print(json.dumps({
    "bundle": loaded.bundle,
    "predictions": all(near(answer["prediction"], value) for answer, value in pairs),
    "parity": bundle.parity(trained, broken).holds if fault else True,
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
