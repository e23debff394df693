"""The faults that `make maturity` is tested with: what is planted, and the capability that falls.

`RECORDS` contradict what a project of level 2 has recorded, once its pipeline has run.  `MACHINES` break
what a project catches faults with: a deep run plants those faults, and sees that nobody catches them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conftest import ok, plant

MLFLOW = "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); c = mlflow.MlflowClient();"
NEWEST = (
    "run = c.search_runs([e.experiment_id for e in c.search_experiments()],"
    " filter_string=\"tags.role = 'model'\", order_by=['attributes.start_time DESC'])[0];"
)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a project, and the capabilities that it lowers, no other."""

    name: str
    lowers: str  # ids, with a blank between two
    plant: Callable[[Path], object]


def asked(words: str) -> Callable[[Path], object]:
    """Have MLflow do something; `c` is its client, `run` the newest run of a model."""
    return lambda project: ok(".venv/bin/python", "-c", MLFLOW + NEWEST + words, at=project)


def artifact(project: Path, pattern: str) -> Path:
    """A file of the newest run that has one."""
    return max(project.glob(f"mlruns/*/*/artifacts/{pattern}"), key=lambda it: it.stat().st_mtime)


def lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a file."""
    path.write_text("".join(change(path.read_text("utf-8").splitlines(keepends=True))), "utf-8")


def flipped(path: Path) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def first_data(project: Path) -> Path:
    """The first file of the sample."""
    return min((project / "data/sample").glob("*.csv"))


def turned(row: str) -> str:
    """A row of predictions with the other class."""
    cells = row.split(",")
    cells[-3] = {"True": "False", "False": "True"}[cells[-3]]
    return ",".join(cells)


def sql(database: str, words: str) -> Callable[[Path], object]:
    """Have SQLite do something."""
    script = f"import sqlite3; c = sqlite3.connect('{database}'); c.execute({words!r}); c.commit()"
    return lambda project: ok(".venv/bin/python", "-c", script, at=project)


RECORDS = [
    Fault(
        "an alias moved by hand",
        "registry.gate",
        asked("c.delete_registered_model_alias('flight_delays', 'champion')"),
    ),
    Fault(
        "a decision taken out of the log",
        "registry.gate",
        lambda project: lines(project / "promotions.jsonl", lambda them: them[1:]),
    ),
    Fault(
        "a decision rewritten in the log",
        "registry.gate",
        lambda project: plant(project / "promotions.jsonl", '"who": "', '"who": "not '),
    ),
    Fault(
        "a number of the model card edited",
        "doc.modelcard",
        lambda project: plant(project / "MODEL_CARD.md", "| roc_auc | 0.6", "| roc_auc | 0.9"),
    ),
    Fault(
        "a byte of the data flipped", "data.source", lambda project: flipped(first_data(project))
    ),
    Fault(
        "a tag of the newest run deleted",
        "tracking.runs",
        asked("c.delete_tag(run.info.run_id, 'data.sha256')"),
    ),
    Fault(
        "the predictions of the newest run changed",
        "model.eval",
        lambda project: lines(
            artifact(project, "predictions.csv"), lambda them: [*them[:-1], turned(them[-1])]
        ),
    ),
    Fault(
        "a score below the baseline's",
        "model.baseline",
        asked("c.log_metric(run.info.run_id, 'baseline.roc_auc', 0.99)"),
    ),
    Fault(
        "a row both learned from and held out",
        "data.split",
        lambda project: lines(
            artifact(project, "split/*.csv"),
            lambda them: [*them, them[-1].replace(",holdout", ",train")],
        ),
    ),
    Fault(
        "parameters that are not those of the best trial",
        "model.tune",
        asked(
            "c.set_tag(run.info.run_id, 'model.parameters',"
            " run.data.tags['model.parameters'].replace(': ', ': 7', 1))"
        ),
    ),
    Fault(
        "an input of the model that the contract lacks",
        "data.schema serving.api",
        lambda project: plant(project / "contract.toml", "[columns.carrier]", "[columns.carriers]"),
    ),
    Fault(
        "a prediction that names no model",
        "monitor.predlog",
        sql("predictions.db", "update predictions set model_version = ''"),
    ),
    Fault(
        "the run of the champion without its commit",
        "registry.versions",
        asked("c.set_tag(run.info.run_id, 'git.commit', 'unknown')"),
    ),
    Fault(
        "a secret in a commit that was taken back",
        "repo.hygiene",
        lambda project: [
            (project / "notes.txt").write_text("AKIA" + "ABCDEFGHIJKLMNOP\n", "utf-8"),
            ok("git", "add", "notes.txt", at=project),
            ok("git", "commit", "-qm", "Notes", at=project),
            ok("git", "rm", "-q", "notes.txt", at=project),
            ok("git", "commit", "-qm", "Gone", at=project),
        ],
    ),
    Fault(
        "a failing test that CI forgives",
        "ci.tests",
        lambda project: plant(
            project / ".github/workflows/ci.yml", "run: make test\n", "run: make test || true\n"
        ),
    ),
    Fault(
        "tests that assert nothing",
        "ci.tests repo.vcs data.version data.source data.split data.schema",
        lambda project: [
            path.write_text('"""Tests."""\n\n\ndef test_it() -> None:\n    assert True\n', "utf-8")
            for path in (project / "tests/data").glob("test_*.py")
        ],
    ),
]

MACHINES: list[Fault] = []
