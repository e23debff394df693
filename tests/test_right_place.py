"""A project runs its own code on its own runs wherever it lies, and writes whole or not at all."""

import ast
import json
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import commit, fails, Generate, ok, on_full_disk, plant, ROOT, run

pytestmark = [pytest.mark.slow]

# Kills, or fails as a full disk does, at the n-th change of the file system.
HARNESS = """
import errno, os, signal, sys

CHANGES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.chmod", "os.truncate"}

def arm(number, kill):
    left = [number]
    def hook(event, given):
        writes = event == "open" and isinstance(given[2], int) and given[2] & 3
        if (event in CHANGES or writes) and isinstance(given[0], (str, bytes, os.PathLike)):
            if not os.path.abspath(os.fsdecode(given[0])).startswith(os.getcwd() + os.sep):
                return
            left[0] -= 1
            if left[0] == 0 and kill:
                os.kill(os.getpid(), signal.SIGKILL)
            if left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    sys.addaudithook(hook)

def tried(action, number, kill=True):
    child = os.fork()
    if not child:
        arm(number, kill)
        try:
            action()
            os._exit(0)
        except OSError:
            os._exit(3)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(4)
    return os.waitpid(child, 0)[1]
"""


def package(project: Path) -> str:
    """The name of the package of a project."""
    return next((project / "src").iterdir()).name


@pytest.fixture(scope="module", name="project")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of level 1, committed, with an environment of its own."""
    made = tmp_path_factory.mktemp("first") / "project"
    shutil.copytree(generate(maturity_level="1", project_name="Any Thing"), made)
    commit(made)
    ok("make", "setup", at=made)
    return made


def own_code(project: Path) -> str:
    """The file of the package that the environment of a project imports."""
    script = f"import {package(project)} as it; print(it.__file__)"
    return ok(".venv/bin/python", "-c", script, at=project).strip()


@pytest.mark.parametrize("how", ["copied", "moved", "renamed"])
def test_a_copied_or_moved_project_runs_its_own_code(
    project: Path, tmp_path: Path, how: str
) -> None:
    """`make setup` makes the environment anew; a command without make refuses to run other code."""
    there = tmp_path / "an other (place) #1"
    shutil.copytree(project, tmp_path / "start", symlinks=True)
    if how == "copied":
        shutil.copytree(project, there, symlinks=True)
    else:
        start = tmp_path / "start"
        ok("make", "setup", at=start)
        start.rename(there)
    if how == "copied":
        told = fails(".venv/bin/ladder", "train", at=there)
        assert f"this would run {project}/src/{package(project)}, not {there}/src/" in told
        assert "this would run" in fails(".venv/bin/pytest", "tests/data", at=there)
    ok("make", "setup", at=there)
    assert own_code(there) == f"{there}/src/{package(there)}/__init__.py"
    assert "Usage: ladder" in ok(".venv/bin/ladder", "--help", at=there)
    assert "Installing" not in ok("make", "setup", at=there)
    assert ok("git", "status", "--porcelain", at=there) == ""
    assert own_code(project) == f"{project}/src/{package(project)}/__init__.py"


def places(project: Path) -> set[str]:
    """Where the store of a project says that its artifacts are, without the project's folder."""
    found = set()
    with sqlite3.connect(project / "mlflow.db") as store:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            for (place,) in store.execute(f"select {column} from {table}"):
                found |= {str(place).replace(str(project), "HERE").split("mlruns")[0]}
    return found


RECORD = """
import sys
from mlops_ladder.tracking.runs import connect_mlflow
mlflow = connect_mlflow()
mlflow.set_experiment("trial")
client = mlflow.MlflowClient()
with mlflow.start_run() as run:
    mlflow.log_text(sys.argv[1], "words.txt")
client.create_registered_model("m")
client.create_model_version("m", run.info.artifact_uri + "/words", run.info.run_id)
if not client.get_experiment_by_name("elsewhere"):
    client.create_experiment("elsewhere", "s3://bucket/elsewhere")
print(run.info.run_id)
"""
READ = """
import sys
from mlops_ladder.tracking.runs import connect_mlflow
print(connect_mlflow().artifacts.load_text(f"runs:/{sys.argv[1]}/words.txt"))
"""


def test_the_store_of_a_moved_project_is_its_own(project: Path, tmp_path: Path) -> None:
    """Runs, experiments and versions are found here; what lay elsewhere stays there."""
    there = tmp_path / "moved"
    python = str(project / ".venv/bin/python")
    first, script = tmp_path / "first", RECORD
    shutil.copytree(project, first, ignore=shutil.ignore_patterns(".venv"))
    more = {"PYTHONPATH": "src"}
    run_id = ok(python, "-c", script, "what was written", at=first, **more).split()[-1]
    assert places(first) == {"HERE/", "s3://bucket/elsewhere"}
    first.rename(there)
    assert ok(python, "-c", READ, run_id, at=there, **more).split("\n")[-2] == ("what was written")
    assert places(there) == {"HERE/", "s3://bucket/elsewhere"}
    assert not first.exists()


def test_two_first_runs_at_once_make_one_store(project: Path, tmp_path: Path) -> None:
    """Neither of them dies of a schema that is half made."""
    shutil.copytree(project, tmp_path / "p", ignore=shutil.ignore_patterns(".venv"))
    script = "from mlops_ladder.tracking.runs import connect_mlflow; connect_mlflow()"
    command = [str(project / ".venv/bin/python"), "-c", script + ".search_experiments()"]
    both = [
        subprocess.Popen(command, cwd=tmp_path / "p", env=os.environ | {"PYTHONPATH": "src"})
        for _ in range(2)
    ]
    assert [one.wait(300) for one in both] == [0, 0]


def test_a_mirror_of_the_index_leaves_the_lock_as_it_is(project: Path, tmp_path: Path) -> None:
    """No address of a mirror gets into uv.lock; a lock that does not fit is still found."""
    place = tmp_path / "p"
    shutil.copytree(project, place, ignore=shutil.ignore_patterns(".venv"))
    before = (place / "uv.lock").read_bytes()
    index = re.search(r'registry = "(.*?)"', before.decode())
    assert index
    mirror = {"UV_DEFAULT_INDEX": f"{index[1]}/"}  # another spelling, same packages
    ok("make", "setup", at=place, **mirror)
    assert (place / "uv.lock").read_bytes() == before
    assert "Usage: ladder" in ok(".venv/bin/ladder", "--help", at=place)
    plant(place / "pyproject.toml", '"scikit-learn>=1.7,<1.10"', '"scikit-learn>=1.7,<1.7"')
    told = fails("make", "check", at=place, UV_LOCKED="1", **mirror)
    assert "No solution found" in told or "needs to be updated" in told
    assert (place / "uv.lock").read_bytes() == before


def test_make_uses_the_environment_that_uv_is_told_to_use(project: Path, tmp_path: Path) -> None:
    """`UV_PROJECT_ENVIRONMENT` is where `make setup` installs; no .venv is made beside it."""
    place, other = tmp_path / "p", tmp_path / "env"
    shutil.copytree(project, place, ignore=shutil.ignore_patterns(".venv"))
    ok("make", "setup", at=place, UV_PROJECT_ENVIRONMENT=str(other))
    assert (other / "bin/ladder").exists()
    assert not (place / ".venv").exists()


def test_the_hooks_check_a_project_inside_a_larger_repository(
    project: Path, tmp_path: Path
) -> None:
    """They look at its files only, and find what is wrong in them."""
    place = tmp_path / "large/team/p"
    shutil.copytree(project, place, ignore=shutil.ignore_patterns(".venv", ".git"))
    (tmp_path / "large/other.py").write_text("not   = 'ours'\n", encoding="utf-8")
    commit(tmp_path / "large")
    skip = {"SKIP": "pylint"}  # minutes
    done = run("make", "check", at=place, **skip)
    assert "black....." in done.stdout and "Failed" not in done.stdout, done.stdout + done.stderr
    assert "team/p/ of a larger repository" in ok("make", "help", at=place)
    wrong = place / f"src/{package(place)}/wrong.py"
    wrong.write_text("a   = 1\n", encoding="utf-8")
    commit(tmp_path / "large")
    assert "reformatted team/p/src" in fails("make", "check", at=place, **skip)
    assert (tmp_path / "large/other.py").read_text("utf-8") == "not   = 'ours'\n"


FORKED = HARNESS + dedent("""
    import json
    from pathlib import Path
    from mlops_ladder import write_file_atomically

    note = Path("notes/words.md")
    note.parent.mkdir()
    note.write_text("what a person wrote\\n")
    ends = []
    for number in range(1, 40):
        for kill in (False, True):  # the killed one last: it ends only when nothing is left to kill
            status = tried(lambda: write_file_atomically(note, "new\\n" * 5000), number, kill)
            known = note.read_text()
            assert known in ("what a person wrote\\n", "new\\n" * 5000), (number, kill, known[:20])
            ends.append(status)
            note.write_text("what a person wrote\\n")
        if status == 0:
            break
    print(json.dumps([number, sorted(set(ends)), sorted(map(str, note.parent.iterdir()))]))
    """)


def test_a_document_is_written_whole_or_not_at_all(project: Path, tmp_path: Path) -> None:
    """Whichever change of the file system kills the writer or finds the disk full."""
    script = FORKED
    python = str(project / ".venv/bin/python")
    said = ok(python, "-c", script, at=tmp_path, PYTHONPATH=str(project / "src"))
    number, ends, left = json.loads(said)
    assert number > 2
    assert ends == [0, 9, 3 << 8]
    assert left == ["notes/words.md"]


def test_a_full_disk_is_told_in_a_line_and_changes_nothing(project: Path, tmp_path: Path) -> None:
    """`make data DECLARE=yes` keeps the words of the file of sources."""
    place = tmp_path / "p"
    shutil.copytree(project, place, ignore=shutil.ignore_patterns(".venv"))
    sources = place / "data/sources.toml"
    words = f"\n# Ada wrote this {'.' * 2000}\n"
    sources.write_text(sources.read_text("utf-8") + words, "utf-8")
    plant(sources, 'sha256 = "', 'sha256 = "0')
    before = sources.read_bytes()
    python = str(project / ".venv/bin/python")
    script = on_full_disk(
        "sys.exit(mlops_ladder.main())", 1000, "mlops_ladder, mlops_ladder.data.sources"
    )
    command = [python, "-c", script, "data", "--declare"]
    done = run(*command, at=place, PYTHONPATH="src", PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: data/sources.toml: File too large; make room, then run this again;"
        " what was there is as it was"
    ]
    assert sources.read_bytes() == before
    data = ["--data", "data/sample/flights-2013-01.csv", "--target", "late"]
    run_tool = "import mlops_ladder; sys.exit(mlops_ladder.main())"
    python_of = [
        python,
        "-c",
        on_full_disk(run_tool, 100, "mlops_ladder, mlops_ladder.data.sources"),
        "contract",
        *data,
    ]
    said = fails(*python_of, at=place, PYTHONPATH="src", PYTHONDONTWRITEBYTECODE="1")
    assert "Error: config.toml and contract.toml: cannot be written: File too large" in said
    assert not list(place.glob("**/*.part"))
    ok(str(project / ".venv/bin/ladder"), "data", "--declare", at=place, PYTHONPATH="src")
    assert words in sources.read_text("utf-8")


IN_PLACE = {  # writes into a folder that is thrown away or moved when it is whole, or a log
    ("delivery/backup.py", "write_text"),
    ("delivery/drill.py", "write_text"),
    ("delivery/on_kubernetes.py", "write_text"),
    ("delivery/provision.py", "write_bytes"),
    ("governance/docs_site.py", "write_text"),
    ("governance/sbom.py", "write_text"),
    ("registry/ssh_signatures.py", "write_text"),
    ("export/bundle.py", "write_bytes"),
    ("export/bundle.py", "write_text"),
    ("simulation/timeline.py", "write_bytes"),
    ("simulation/folder.py", "write_text"),
}


def test_no_module_writes_a_document_in_place() -> None:
    """All that holds words or a state goes through `write_file_atomically`."""
    root = ROOT / "src" / "mlops_ladder"
    found = {
        (path.relative_to(root).as_posix(), node.func.attr)
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0]
        not in ("maturity", "climb", "adopt")  # by git, in copies
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("write_text", "write_bytes")
    }
    assert found == IN_PLACE


def test_a_reader_that_goes_away_leaves_no_traceback(project: Path) -> None:
    """As of `| head`.  Where rich writes to nobody, it ends with 1."""
    said = ok("sh", "-c", ".venv/bin/ladder --help | true; exec 2>&1", at=project)
    assert said == ""
    done = run("sh", "-c", "{ .venv/bin/ladder --help; echo $? >&2; } | sleep 0", at=project)
    assert done.stderr in ("141\n", "1\n", "0\n")


SNAPSHOTS = HARNESS + """
import contextlib, io, json, pathlib, shutil, subprocess
import dvc.repo, dvc.commands.add, dvc.commands.data_sync, dvc.commands.cache  # once, for all forks
from dvc.cli import main as dvc_main
from mlops_ladder.data import versioning as snapshots
from mlops_ladder.settings import load_settings

def dvc_here(command, *names):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert not dvc_main([command, *names]), command
    return said.getvalue()

snapshots.run_dvc = dvc_here
settings = load_settings()
settings = settings.model_copy(
    update={"data": settings.data.model_copy(update={"path": "data/own.csv"})}
)
arm(int(sys.argv[1]), True)
snapshots.store_versions(settings)
assert not snapshots.find_damage("data/own.csv") and snapshots.cache_path("data/own.csv").exists()
sys.stdout.flush()
os._exit(0)
"""


def test_a_killed_snapshot_loses_no_data_and_the_next_one_finishes(
    generate: Generate, tmp_path: Path
) -> None:
    """Whichever change of the file system the kill comes at."""
    made, place = tmp_path / "made", tmp_path / "work"
    shutil.copytree(generate(maturity_level="2"), made)
    ok("make", "setup", at=made)
    shutil.copytree(made, place, ignore=shutil.ignore_patterns(".venv"))
    sample = sorted((place / "data/sample").glob("*.csv*"))[0]
    shutil.copy(sample, place / "data/own.csv")
    store = f"['remote \"storage\"']\n    url = {tmp_path}/store\n"
    (place / ".dvc/config.local").write_text(store, encoding="utf-8")
    commit(place)
    script = SNAPSHOTS
    more = {"PYTHONPATH": "src", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    python, content = str(made / ".venv/bin/python"), (place / "data/own.csv").read_bytes()
    ends = []
    for number in range(2, 400, 6):  # each is seconds: these places, and not those between
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(place, copy)
        ends.append(run(python, "-c", script, str(number), at=copy, **more).returncode)
        assert (copy / "data/own.csv").read_bytes() == content, number
        ok(python, "-c", script, "100000", at=copy, **more)
        assert (copy / "data/own.csv").read_bytes() == content, number
        if ends[-1] == 0:
            break
    assert len(ends) > 2
    assert set(ends) == {-9, 0}
