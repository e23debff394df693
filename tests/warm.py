"""Compile once what the environments of the tests import: `make test` runs it first.

uv links packages from its cache into each new environment, and bytecode that lies beside them there
is linked too.  Without it each new environment compiles MLflow, Prefect and the others anew, which
takes 16 seconds of a processor.  What does not fit its source is compiled as ever.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parents[1]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
IMPORTED = """
black dvc.cli.main dvc.commands.repro dvc.repo evidently evidently.presets fairlearn.metrics fastapi fastapi_offline
filelock httpx IPython joblib matplotlib.pyplot mkdocs.__main__ material mlflow mlflow.onnx mlflow.projects
mlflow.pyfunc mlflow.server mlflow.sklearn mypy nbclient nbconvert onnx onnxruntime optuna orjson pandas pandera.pandas
pip._internal.cli.main pre_commit.main prefect prefect.flow_runs prefect.runner prefect.server.api.server
prometheus_client psycopg pyarrow.parquet pydantic_settings pylint.lint pytest scipy.stats skl2onnx sklearn.compose
sklearn.ensemble sklearn.linear_model sklearn.metrics sklearn.model_selection sqlalchemy uvicorn
xdist.plugin
""".split()
IMPORT = """
import contextlib, importlib, sys
for name in sys.argv[1:]:
    with contextlib.suppress(Exception):  # one that a project has no longer is no fault
        importlib.import_module(name)
"""


def bytecode(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each compiled file below a folder, with its source."""
    for path in folder.rglob("__pycache__/*.pyc"):
        source = path.parents[1] / f"{path.name.partition('.')[0]}.py"
        if source.exists():
            yield path, source


def same(path: Path) -> tuple[int, int]:
    """What two links to one file have alike, and no other files."""
    found = path.stat()
    return found.st_dev, found.st_ino


def keep(environment: Path, cache: Path) -> int:
    """Link the bytecode of an environment beside its sources in the cache; how much of it is new."""
    compiled = {same(source): path for path, source in bytecode(environment)}
    new = 0
    for folder, _, names in os.walk(cache):
        for name in names:
            source = Path(folder) / name
            if name.endswith(".py") and (found := compiled.get(same(source))):
                place = source.parent / "__pycache__" / found.name
                if not place.exists():
                    place.parent.mkdir(exist_ok=True)
                    os.link(found, place)
                    new += 1
    return new


def main() -> None:
    """Make a project of the highest level, import what its commands import, and keep the bytecode."""
    with tempfile.TemporaryDirectory() as folder:
        answers = {"maturity_level": "4", "python_version": VERSION}
        project = Path(
            cookiecutter(
                str(ROOT),
                no_input=True,
                default_config=True,
                extra_context=answers,
                output_dir=folder,
            )
        )
        subprocess.run(["uv", "sync", "--quiet"], cwd=project, check=True)
        python = project / ".venv/bin/python"
        subprocess.run([python, "-c", IMPORT, *IMPORTED], cwd=project, check=True)
        command = ["uv", "cache", "dir"]
        cache = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"{keep(project / '.venv', Path(cache))} files of bytecode are new in uv's cache")


if __name__ == "__main__":
    main()
