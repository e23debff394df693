"""Tried and planted: entry point, hygiene, hooks, lock."""

import csv
import re
import shutil
import tomllib
from collections.abc import Iterator
from zipfile import ZipFile

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.data import read_artifact
from mlops_ladder.maturity.repo import find_secrets, list_hook_ids
from mlops_ladder.maturity.sandbox import Copy, Done, Failed, last, reached
from mlops_ladder.maturity.trials.batch import ready
from mlops_ladder.maturity.trials.project import answer

KEY = "\n".join(["-----BEGIN RSA PRIVATE" + " KEY-----", "planted", ""])
LONG = 420  # seconds for all hooks, or all that `make check` runs
IMPORT = """
import sys
from importlib import import_module
from pkgutil import walk_packages

sys.path.insert(0, sys.argv[1])
package = import_module(sys.argv[2])
for found in walk_packages(package.__path__, package.__name__ + "."):
    if not found.name.endswith("__main__"):
        import_module(found.name)
print(package.__file__)
"""


def uv(copy: Copy) -> str:
    """uv, as the Makefile finds it."""
    own = copy.root / ".venv/bin/uv"
    return copy.environment.get("UV") or shutil.which("uv") or str(own)


def pre_commit(copy: Copy, *arguments: str) -> Done:
    """Run the hooks: uv puts the environment on the PATH, where uv itself may be."""
    return copy.run(uv(copy), "run", "--frozen", "pre-commit", "run", *arguments, timeout=LONG)


@trial("repo.entrypoint", "`make train` and `make predict` work in a fresh clone, row by row")
def enters(copy: Copy) -> Iterator[str]:
    """A model, and one prediction for each row of the data."""
    try:
        copy.need("train")
        ready(copy)
    except Failed as error:
        yield str(error)
        return
    done = copy.run("make", "predict")
    if done.returncode:
        yield f"make predict: {last(done)}"
        return
    with (copy.root / "predictions.csv").open(encoding="utf-8", newline="") as file:
        found = [row.get("prediction") for row in csv.DictReader(file)]
    rows = answer(copy, "rows", "count")
    if len(found) != rows:
        yield f"predictions.csv: {len(found)} predictions for {rows} rows"
    if empty := found.count("") + found.count(None):
        yield f"predictions.csv: {empty} rows have no prediction"


@fault("repo.hygiene", "a private key in a commit is reported, also once it is deleted again")
def planted_key(copy: Copy) -> Iterator[str]:
    """By the search through files and history, and by the project's own hooks."""
    name = f"key-{copy.random.randrange(10**6)}.txt"
    (copy.root / name).write_text(KEY, encoding="utf-8")
    copy.must("git", "add", "--force", name)
    if "repos" in (copy.repository.parsed(".pre-commit-config.yaml") or {}):
        yield from hooked(copy, name)
    for what in ("add", "rm"):
        copy.must("git", what, "--force", "--ignore-unmatch" if what == "rm" else "--", name)
        copy.must("git", "commit", "--quiet", "--no-verify", "-m", "A key")
        if not any(line.startswith(f"{name}:") for line in find_secrets(copy.repository)):
            where = "a file that is committed" if what == "add" else "the history"
            yield f"{name}: a private key in {where} is not reported"


def hooked(copy: Copy, name: str) -> Iterator[str]:
    """Does any hook of the project refuse the file?"""
    done = pre_commit(copy, "--files", name)
    if not done.returncode:
        yield f".pre-commit-config.yaml: no hook refuses the private key in {name}"
    elif name not in done.stdout:
        raise Unknown(f"pre-commit: {last(reached(done))}")


@trial("repo.vcs", "the wheel builds, and all of the package imports outside of the repository")
def builds(copy: Copy) -> Iterator[str]:
    """Every module is in the wheel, and can be imported from it."""
    done = reached(copy.run(uv(copy), "build", "--quiet", "--wheel", "--out-dir", "dist"))
    wheels = sorted((copy.root / "dist").glob("*.whl"))
    if done.returncode or not wheels:
        yield f"pyproject.toml: the wheel does not build: {last(done)}"
        return
    with ZipFile(wheels[0]) as wheel:
        held, outside = set(wheel.namelist()), copy.root.parent / "wheel"
        shutil.rmtree(outside, ignore_errors=True)
        wheel.extractall(outside)
    top = copy.package.parent
    files = [it for it in copy.repository.files if it.endswith(".py")]
    inside = [copy.root / it for it in files if (copy.root / it).is_relative_to(copy.package)]
    for path in inside:
        if path.relative_to(top).as_posix() not in held:
            yield f"{path.relative_to(copy.root)}: is not in the wheel"
    done = copy.python(IMPORT, str(outside), copy.package.name, at=str(outside))
    if done.returncode or not done.stdout.strip().startswith(str(outside)):
        yield f"{wheels[0].name}: does not import outside of the repository: {last(done)}"


@trial("repo.vcs", "the hooks pass on all files, and change none")
def hooks(copy: Copy) -> Iterator[str]:
    """Names the hooks that do not, and the files that they change."""
    if not list_hook_ids(copy.repository.parsed(".pre-commit-config.yaml")):
        yield ".pre-commit-config.yaml: has no hook"
    done = reached(pre_commit(copy, "--all-files"))
    failed = re.findall(r"^(.+?)\.{3,}.*Failed$", done.stdout, re.MULTILINE)
    if done.returncode and not failed:
        raise Unknown(f"pre-commit: {last(done)}")
    for name in failed:
        yield f".pre-commit-config.yaml: the hook {name} fails on files that are committed"
    yield from changed(copy, "the hooks")


@trial("repo.vcs", "training changes no file that git tracks, and leaves none that it would add")
def clean(copy: Copy) -> Iterator[str]:
    """The tree after `make train` is the tree before."""
    copy.need("train")
    yield from changed(copy, "make train")


def changed(copy: Copy, what: str) -> Iterator[str]:
    """The files that git sees as changed."""
    for line in copy.must("git", "status", "--porcelain", "--untracked-files=all").splitlines():
        yield f"{line[3:]}: {what} changed it, or left it where git would add it"


@trial("env.lock", "the lock is checked, and the versions that a run logs are those in it")
def locks(copy: Copy) -> Iterator[str]:
    """Compare what was installed when a model was trained with the lock."""
    done = reached(copy.run(uv(copy), "lock", "--check"))
    if done.returncode:
        yield f"uv.lock: {last(done)}"
    copy.need("train")
    locked: dict[str, set[str]] = {}
    for it in tomllib.loads((copy.root / "uv.lock").read_text(encoding="utf-8"))["package"]:
        locked.setdefault(plain(it["name"]), set()).add(it.get("version", ""))
    own = plain(copy.repository.table("pyproject.toml", "project")["name"])
    for line in read_artifact(copy.repository.runs[0], "environment.txt").split():
        name, _, version = line.partition("==")
        if plain(name) != own and version not in locked.get(plain(name), set()):
            known = ", ".join(locked.get(plain(name), {"nothing"}))
            yield f"uv.lock: a run used {line}, the lock says {known}"


def plain(name: str) -> str:
    """The name of a package as locks write it."""
    return re.sub("[-_.]+", "-", name).lower()


@fault("env.lock", "an edited lock is refused, in a fresh clone and where all is installed")
def edited_lock(copy: Copy) -> Iterator[str]:
    """`make check` names the lock."""
    path = copy.root / "uv.lock"
    text = path.read_text(encoding="utf-8")
    asked_for = sorted(set(re.findall(r'\{ name = "[^"]+", specifier = "[^"]+"', text)))
    if not asked_for:
        raise Unknown("uv.lock: no requirement in it to edit")
    old = copy.random.choice(asked_for)
    skipped = list_hook_ids(copy.repository.parsed(".pre-commit-config.yaml"))
    for where in ("a fresh clone", "an environment that is ready"):
        path.write_text(text.replace(old, re.sub(r'"[^"]+"$', '">=0"', old)), encoding="utf-8")
        if where != "a fresh clone":
            (copy.root / ".venv/bin/.ready").touch()
        done = copy.run("make", "check", timeout=LONG, SKIP=",".join(skipped))
        if not done.returncode or "lock" not in done.stdout + done.stderr:
            name = old.split('"')[1]
            yield f"uv.lock: asks for any {name} now, and `make check` passes it in {where}"
