"""Trials and faults of the repository: entry point, secrets, hooks, wheel, lock, tests."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from zipfile import ZipFile

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import read_artifact
from mlops_ladder.maturity.repo import find_secrets, list_hook_ids
from mlops_ladder.maturity.sandbox import Copy, Failed, last_line, require_network
from mlops_ladder.maturity.trials.batch import need_model
from mlops_ladder.maturity.trials.project import ask_project, read_rows, read_table

HOOKS = ".pre-commit-config.yaml"
RUN_HOOKS = "uv run --frozen pre-commit run".split()
KEY = "\n".join(["-----BEGIN RSA PRIVATE" + " KEY-----", "planted", ""])
TIMEOUT_S = 560  # for all hooks, all tests, or `make check`
FIRST_TO_FAIL = ("tests/code/test_prediction.py", "tests/model")  # if the model has a fault


def predict_each_row(copy: Copy) -> Iterator[str]:
    """Train and predict: there is one prediction for each row of the data."""
    try:
        copy.need("train")
        need_model(copy)
        copy.must("make", "predict")
    except Failed as error:
        yield str(error)
        return
    predictions = [row.get("prediction") for row in read_rows(copy, "predictions.csv")]
    rows = ask_project(copy, "rows", "count_rows")
    if len(predictions) != rows:
        yield f"predictions.csv: {len(predictions)} predictions for {rows} rows"
    if empty := predictions.count("") + predictions.count(None):
        yield f"predictions.csv: {empty} rows have no prediction"


def plant_private_key(copy: Copy) -> Iterator[str]:
    """Commit a key and delete it again: hooks, and the search of the history, report it."""
    name = f"key-{copy.random.randrange(10**6)}.txt"
    copy.write(name, KEY)
    copy.must("git", "add", "--force", name)
    if "repos" in (copy.repository.parsed(HOOKS) or {}):
        done = copy.run(*RUN_HOOKS, "--files", name, timeout=TIMEOUT_S)
        if not done.returncode:
            yield f"{HOOKS}: no hook refuses the private key in {name}"
        elif name not in done.stdout:
            raise Unknown(f"pre-commit: {last_line(require_network(done))}")
    for action, option in (("add", "--"), ("rm", "--ignore-unmatch")):
        copy.must("git", action, "--force", option, name)
        copy.must("git", "commit", "--quiet", "--no-verify", "-m", "A key")
        if not any(line.startswith(f"{name}:") for line in find_secrets(copy.repository)):
            where = "a file that is committed" if action == "add" else "the history"
            yield f"{name}: a private key in {where} is not reported"


def import_from_wheel(copy: Copy) -> Iterator[str]:
    """Look into the wheel: every module is in it, and can be imported from it."""
    (wheel_path,) = (copy.root / "dist").glob("*.whl")
    outside = copy.root.parent / "wheel"
    shutil.rmtree(outside, ignore_errors=True)
    with ZipFile(wheel_path) as wheel:
        packed = set(wheel.namelist())
        wheel.extractall(outside)
    for path in (copy.root / name for name in copy.repository.files if name.endswith(".py")):
        if path.is_relative_to(copy.package):
            if path.relative_to(copy.package.parent).as_posix() not in packed:
                yield f"{path.relative_to(copy.root)}: is not in the wheel"
    script, folder = read_table()["texts"]["import_all"], str(outside)
    done = copy.run("python", "-c", script, folder, copy.package.name, at=folder)
    if done.returncode or not done.stdout.strip().startswith(folder):
        yield f"{wheel_path.name}: does not import outside of the repository: {last_line(done)}"


def find_changed_files(copy: Copy, cause: str) -> Iterator[str]:
    """Yield the files that git sees as changed or new."""
    for line in copy.must("git", "status", "--porcelain", "--untracked-files=all").splitlines():
        yield f"{line[3:]}: {cause} changed it, or left it where git would add it"


def compare_run_with_lock(copy: Copy) -> Iterator[str]:
    """Compare the packages that were installed when a model was trained with the lock."""
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads(copy.text("uv.lock"))["package"]:
        locked.setdefault(package["name"], set()).add(package.get("version", ""))
    own = normalize_package(copy.repository.table("pyproject.toml", "project")["name"])
    for line in read_artifact(copy.repository.runs[0], "environment.txt").split():
        package, _, version = line.partition("==")
        name = normalize_package(package)
        if name != own and version not in locked.get(name, set()):
            versions = ", ".join(locked.get(name, {"nothing"}))
            yield f"uv.lock: a run used {line}, the lock has {versions}"


def normalize_package(name: str) -> str:
    """Return the name of a package as locks write it."""
    return re.sub("[-_.]+", "-", name).lower()


def edit_lock(copy: Copy) -> Iterator[str]:
    """Edit a requirement in the lock: `make check` fails, also if all is installed."""
    text = copy.text("uv.lock")
    requirements = sorted(set(re.findall(r'\{ name = "[^"]+", specifier = "[^"]+"', text)))
    if not requirements:
        raise Unknown("uv.lock: no requirement in it to edit")
    old = copy.random.choice(requirements)
    skipped = ",".join(list_hook_ids(copy.repository.parsed(HOOKS)))
    for place in ("a fresh clone", "an environment that is ready"):
        copy.write("uv.lock", text.replace(old, re.sub(r'"[^"]+"$', '">=0"', old)))
        if place != "a fresh clone":
            (copy.root / ".venv/bin/.ready").touch()
        done = copy.run("make", "check", timeout=TIMEOUT_S, SKIP=skipped)
        if not done.returncode or "lock" not in done.stdout + done.stderr:
            name = old.split('"')[1]
            yield f"uv.lock: asks for any {name} now, and `make check` passes it in {place}"


def expect_failing_test(copy: Copy, fault: str) -> Iterator[str]:
    """Run the tests that should fail first, and yield a problem if all of them pass."""
    chosen = [name for name in FIRST_TO_FAIL if (copy.root / name).exists()] or ["tests"]
    done = copy.run("pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *chosen)
    if done.returncode not in (0, 1):
        raise Unknown(f"pytest {' '.join(chosen)}: {last_line(done)}")
    if not done.returncode:
        yield f"with {fault}, no test of {', '.join(chosen)} fails"
