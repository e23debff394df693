"""Level 1, proved: each capability's check passes, and each planted fault is caught."""

import json
import re
import socket
import sqlite3
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from conftest import commands, commit, domain_tests, fails, Generate, kill_mutant, ok, run

pytestmark = [pytest.mark.slow]


def clone_of(made: Path, folder: Path) -> Path:
    """A clone of a generated project, as its team would have it."""
    origin = folder / "origin" / made.name
    origin.parent.mkdir()
    subprocess.run(["cp", "-R", str(made), str(origin)], check=True)
    commit(origin)
    subprocess.run(["git", "clone", "--quiet", str(origin), str(folder / made.name)], check=True)
    return folder / made.name


@pytest.fixture(scope="module", name="project")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of level 1 with a name of its own, trained once."""
    made = generate(maturity_level="1", project_name="My Problem")
    project = clone_of(made, tmp_path_factory.mktemp("level1"))
    ok("make", "train", at=project)
    return project


@pytest.fixture(name="tree")
def _tree(project: Path) -> Iterator[Path]:
    """The project, brought back after the test to what is committed."""
    yield project
    run("git", "reset", "--quiet", "--hard", at=project)
    run("git", "clean", "--quiet", "-fd", at=project)


def ran(project: Path, role: str = "model") -> dict[str, dict[str, str]]:
    """Tags, parameters and metrics of the newest run of a role, read from the database."""
    with sqlite3.connect(project / "mlflow.db") as store:
        query = (
            "select r.run_uuid, r.status from runs r join tags t on t.run_uuid = r.run_uuid"
            " where t.key = 'role' and t.value = ? order by r.start_time desc limit 1"
        )
        run_id, status = store.execute(query, [role]).fetchone()
        found = {"run": {"run_id": run_id, "status": status}}
        for table in ("tags", "params", "metrics"):
            rows = store.execute(f"select key, value from {table} where run_uuid = ?", [run_id])
            found[table] = dict(rows.fetchall())
    return found


def test_each_command_of_the_readme_runs_in_an_empty_clone(
    generate: Generate, tmp_path: Path
) -> None:
    """The commands of the README, in order, end well; only the model card differs afterwards."""
    project = clone_of(generate(maturity_level="1", project_name="My Problem"), tmp_path)
    lines = commands(project / "README.md")
    assert {"make train", "make check", "make test", "make data", "make card"} <= set(lines)
    for line in lines:
        if line == "make card":
            assert ok("git", "status", "--porcelain", at=project) == ""
        ok("bash", "-c", line, at=project)
    changed = ok("git", "status", "--porcelain", at=project).split()[1::2]
    assert changed == ["MODEL_CARD.md", "docs/"]


def test_the_run_says_what_it_was_made_from(project: Path) -> None:
    """The newest run is finished, with the five tags, parameters, metrics and an interval."""
    found = ran(project)
    head = ok("git", "rev-parse", "HEAD", at=project).strip()
    lock = ok("sha256sum", "uv.lock", at=project).split()[0]
    data = ok("sh", "-c", "cat data/sample/*.csv | sha256sum", at=project).split()[0]
    tags = found["tags"]
    assert found["run"]["status"] == "FINISHED"
    assert (tags["git.commit"], tags["git.dirty"], tags["seed"]) == (head, "false", "0")
    assert (tags["env.lock_sha256"], tags["data.sha256"]) == (lock, data)
    metrics = found["metrics"]
    assert metrics["roc_auc.low"] < metrics["roc_auc"] < metrics["roc_auc.high"]
    assert {"seed", "metric", "model.learning_rate"} <= found["params"].keys()


def test_the_model_beats_the_baseline_on_the_same_data(project: Path) -> None:
    """The baseline's run has the same data hash, and even the low end of the score beats it."""
    model, baseline = ran(project), ran(project, "baseline")
    assert model["tags"]["data.sha256"] == baseline["tags"]["data.sha256"]
    assert model["metrics"]["roc_auc.low"] > baseline["metrics"]["roc_auc"]


def test_a_run_on_a_changed_tree_is_dirty(tree: Path) -> None:
    """An uncommitted change makes the next run carry git.dirty=true."""
    (tree / "config.toml").write_text(
        (tree / "config.toml").read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8"
    )
    ok("make", "train", at=tree)
    assert ran(tree)["tags"]["git.dirty"] == "true"


def answer_of(address: str, seconds: float = 180) -> str:
    """What a server answers, once it does."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urlopen(address, timeout=20) as answer:
                return str(answer.read(), "utf-8")
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def test_mlflow_ui_shows_the_runs_as_typed(project: Path) -> None:
    """`mlflow ui --backend-store-uri sqlite:///mlflow.db` answers, and knows the experiment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [".venv/bin/mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db"]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    question = "ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=my_problem"
    try:
        found = json.loads(answer_of(f"http://127.0.0.1:{port}/{question}"))
    finally:
        server.terminate()
        server.wait()
    assert found["experiment"]["name"] == "my_problem"


def test_the_wheel_imports_outside_the_repository(project: Path, tmp_path: Path) -> None:
    """The package builds, and its wheel imports and runs from another folder."""
    ok("uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), at=project)
    (wheel,) = tmp_path.glob("*.whl")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import my_problem; print(my_problem.__file__)"
    )
    python = str(project / ".venv/bin/python")
    place = ok(python, "-I", "-c", code, str(wheel), at=tmp_path)
    assert place.startswith(str(wheel))


def test_the_environment_is_what_the_lock_says(project: Path) -> None:
    """Every installed package of the lock has the version of the lock."""
    ok("uv", "lock", "--check", at=project)
    locked = tomllib.loads((project / "uv.lock").read_text(encoding="utf-8"))["package"]
    versions = {(package["name"], package.get("version")) for package in locked}
    listed = json.loads(ok("uv", "pip", "list", "--format", "json", at=project))
    assert {(it["name"], it["version"]) for it in listed} - versions == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r'name = "pandas", specifier = "[^"]*"', 'name = "pandas", specifier = ">=1"'),
        (r'name = "tomlkit"\nversion = "[^"]*"', 'name = "tomlkit"\nversion = "0.13.0"'),
    ],
    ids=["a requirement", "a version"],
)
def test_an_edited_lock_is_refused(tree: Path, old: str, new: str) -> None:
    """A lock that does not fit pyproject.toml fails `make check`, which says what to run."""
    lock = tree / "uv.lock"
    text = lock.read_text(encoding="utf-8")
    edited = re.sub(old, new, text, count=1, flags=re.S)
    assert edited != text
    lock.write_text(edited, encoding="utf-8")
    assert "uv.lock" in fails("make", "check", at=tree)  # as in a fresh clone: all is installed
    assert lock.read_text(encoding="utf-8") == edited
    (tree / ".venv/bin/.ready").touch()
    assert "uv.lock does not fit pyproject.toml; run: uv lock" in fails("make", "check", at=tree)


def test_a_package_that_is_not_what_the_lock_hashed_is_refused(tree: Path, tmp_path: Path) -> None:
    """A hash that was edited in the lock stops the installation."""
    lock = tree / "uv.lock"
    text = lock.read_text(encoding="utf-8")
    part = text[text.index('name = "tomlkit"\nversion') :].split("[[package]]")[0]
    lock.write_text(text.replace(part, re.sub(r"sha256:\w{8}", "sha256:00000000", part)), "utf-8")
    made = run("uv", "sync", "--locked", at=tree, UV_PROJECT_ENVIRONMENT=str(tmp_path / "venv"))
    assert made.returncode != 0 and "tomlkit" in made.stderr


def test_make_data_brings_every_file_back(tree: Path) -> None:
    """With every sample file gone, `make data` rebuilds all twelve, each with its sha256."""
    for path in (tree / "data/sample").glob("*.csv"):
        path.unlink()
    printed = ok("make", "data", at=tree)
    assert "sample: 12 files, 12,000 rows" in printed
    assert ok("git", "status", "--porcelain", at=tree) == ""


def test_one_flipped_byte_fails(tree: Path) -> None:
    """A file of which one byte differs is named, with what to do."""
    path = tree / "data/sample/flights-2013-03.csv"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    printed = fails("make", "data", at=tree)
    assert "data/sample/flights-2013-03.csv: sha256" in printed and "DECLARE=yes" in printed


@pytest.mark.parametrize(
    ("column", "value", "told", "answered"),
    [
        ("distance", "far", "distance: 1 of 1,000 rows hold no integer: 'far' (rows 5)", 999),
        ("origin", None, "origin: column is missing", None),
    ],
)
def test_a_batch_that_breaks_the_contract_names_the_column(
    project: Path, tmp_path: Path, column: str, value: str | None, told: str, answered: int | None
) -> None:
    """A word among numbers rejects its row alone; without a column nothing is written."""
    lines = (project / "data/sample/flights-2013-01.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines]
    place = rows[0].index(column)
    for row in rows if value is None else []:
        del row[place]
    if value:
        rows[5][place] = value
    (tmp_path / "rows.csv").write_text("\n".join(map(",".join, rows)), encoding="utf-8")
    out = tmp_path / "out.csv"
    printed = fails("make", "predict", f"DATA={tmp_path / 'rows.csv'}", f"OUT={out}", at=project)
    written = len(out.read_text(encoding="utf-8").splitlines()) - 1 if out.exists() else None
    assert told in printed and written == answered


def test_an_edited_card_fails_the_check(tree: Path) -> None:
    """A number of the model card that is not the run's fails `make check`."""
    ok("make", "train", "card", at=tree)
    ok("make", "card", "CHECK=yes", at=tree)
    card = tree / "MODEL_CARD.md"
    text = card.read_text(encoding="utf-8")
    score = re.search(r"\| roc_auc \| (0\.\d+) ", text)
    assert score
    card.write_text(text.replace(score[1], "0.9999", 1), encoding="utf-8")
    assert "differs from its run" in fails("make", "card", "CHECK=yes", at=tree)


def test_a_card_older_than_the_model_fails_the_check(tree: Path) -> None:
    """After another training the card is stale."""
    ok("make", "card", at=tree)
    ok("make", "train", at=tree)
    assert "describes run" in fails("make", "card", "CHECK=yes", at=tree)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("notes.txt", "-----BEGIN RSA PRIVATE" + " KEY-----\nabc\n"),
        ("src/my_problem/broken.py", "import os\nx=1\n"),
        ("bad.yaml", "a: [1\n"),
        ("bad.toml", "a = \n"),
        ("bad.json", "{\n"),
    ],
)
def test_a_fault_in_a_commit_is_caught_by_the_hooks(tree: Path, path: str, text: str) -> None:
    """A private key, unformatted code and broken files fail the pre-commit hooks."""
    (tree / path).write_text(text, encoding="utf-8")
    ok("git", "add", "--all", at=tree)
    fails(".venv/bin/pre-commit", "run", "--all-files", at=tree)


def test_outputs_of_notebooks_are_stripped(tree: Path) -> None:
    """A notebook with outputs does not pass the hooks, and comes out without them."""
    path = tree / "notebooks/first_look.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["secret"]}]
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    fails(".venv/bin/pre-commit", "run", "nbstripout", "--all-files", at=tree)
    assert "secret" not in path.read_text(encoding="utf-8")


MUTANTS = {
    "probabilities reversed": (
        "model/prediction.py",
        "= model.predict_proba(rows)",
        "= 1 - model.predict_proba(rows)",
    ),
    "a row lost": ("batch/sinks.py", "frame.to_csv(stream", "frame.iloc[1:].to_csv(stream"),
    "unknown keys welcome": (
        "settings.py",
        'extra="forbid", frozen=True)',
        'extra="ignore", frozen=True)',
    ),
    "scored on training rows": (
        "model/training.py",
        "predictions = predict_rows(model, holdout[inputs])",
        "predictions = predict_rows(model, train[inputs])",
    ),
    "a clean tree whatever happens": (
        "data/provenance.py",
        "str(bool(changes)).lower()",
        '"false"',
    ),
    "no seed in the tags": ("data/provenance.py", '"seed": str(settings.seed)', '"seed": "7"'),
    "a wrong metric logged": (
        "model/evaluation.py",
        '    metrics |= {"fit_seconds"',
        '    metrics = {n: v + 0.01 for n, v in metrics.items()}\n    metrics |= {"fit_seconds"',
    ),
    "a checksum that reads nothing": (
        "data/sources.py",
        "digest.update(block)",
        "digest.update(b'')",
    ),
    "a card that is never compared": (
        "tracking/card.py",
        ", page, render_model_card(run, settings, contract))",
        ", page, page)",
    ),
}


@pytest.mark.long
@pytest.mark.drawn(2)
@pytest.mark.parametrize("name", MUTANTS)
def test_the_tests_of_the_library_catch_a_fault(tmp_path: Path, name: str) -> None:
    """A fault planted in the library turns its tests red."""
    fault = MUTANTS[name]
    kill_mutant(tmp_path, *fault, *domain_tests(fault[0]), "tracking")


@pytest.mark.long
@pytest.mark.drawn(1)
@pytest.mark.parametrize(
    ("framework", "problem"), [("lightgbm", "regression"), ("xgboost", "classification")]
)
def test_the_other_frameworks_and_problems_pass_their_checks_and_tests(
    generate: Generate, tmp_path: Path, framework: str, problem: str
) -> None:
    """Trained, checked, tested: LightGBM on a number, XGBoost on classes."""
    made = generate(maturity_level="1", framework=framework, problem=problem)
    project = clone_of(made, tmp_path)
    ok("make", "train", "card", "check", "test", at=project)
    assert run("git", "status", "--porcelain", at=project).stdout.split()[1] == "MODEL_CARD.md"
