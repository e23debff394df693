"""Data of level 2, proved: the contract enforced, the answer not given away, bytes that come back."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import commit, Generate, run
from test_level_1 import clone_of, fails, ok, ran

pytestmark = [pytest.mark.slow]

SAMPLE = "data/sample/flights-2013-{:02}.csv"
OWN = "data/own rows.csv"
Lines = list[list[str]]


@pytest.fixture(scope="module", name="project")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of level 2, set up, whose data are stored in a folder of the test's own."""
    folder = tmp_path_factory.mktemp("level2")
    project = clone_of(generate(maturity_level="2", project_name="My Problem"), folder)
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        ok("git", "config", key, value, at=project)
    ok("git", "config", "commit.gpgsign", "false", at=project)
    stored_in(folder / "store", project)
    ok("make", "setup", at=project)
    return project


@pytest.fixture(name="tree")
def _tree(project: Path) -> Iterator[Path]:
    """The project, brought back after the test to its first commit, without own data."""
    first = ok("git", "rev-parse", "HEAD", at=project).strip()
    branch = ok("git", "branch", "--show-current", at=project).strip()
    yield project
    ok("git", "checkout", "--quiet", "--force", branch, at=project)
    ok("git", "reset", "--quiet", "--hard", first, at=project)
    run("git", "clean", "--quiet", "-fd", at=project)
    (project / OWN).unlink(missing_ok=True)


def stored_in(store: Path, project: Path) -> None:
    """Let DVC store in this folder, and in none of the person who runs the tests."""
    text = f"['remote \"storage\"']\n    url = {store}\n"
    (project / ".dvc/config.local").write_text(text, encoding="utf-8")


def own_rows(project: Path, seed: int = 0) -> None:
    """A file of one's own: x, which tells some of y, and copy, which tells all of it."""
    rows = ["x,copy,y"]
    for number in range(400):
        y = (number * 7919 + seed) % 401
        rows.append(f"{(y + number % 97) / 10},{1000 - 2 * y},{y}")
    (project / OWN).write_text("\n".join(rows) + "\n", encoding="utf-8")


def changed(project: Path, months: range, change: Callable[[Lines], None]) -> None:
    """Change the fields of these months of the sample; the first line is the header."""
    for month in months:
        path = project / SAMPLE.format(month)
        lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        change(lines)
        path.write_text("\n".join(map(",".join, lines)) + "\n", encoding="utf-8")


def put(column: str, value: str, rows: slice) -> Callable[[Lines], None]:
    """A change that puts a value into rows of a column."""

    def change(lines: Lines) -> None:
        for line in lines[1:][rows]:
            line[lines[0].index(column)] = value

    return change


def drop(column: str) -> Callable[[Lines], None]:
    """A change that takes a column away."""

    def change(lines: Lines) -> None:
        place = lines[0].index(column)
        for line in lines:
            del line[place]

    return change


def same_id(lines: Lines) -> None:
    """A change that gives two rows the id of the first."""
    lines[2][0] = lines[3][0] = lines[1][0]


FAULTS = {
    "a dropped column": (range(1, 13), drop("humid"), "humid: column is missing"),
    "another type": (
        range(2, 3),
        put("distance", "far", slice(4, 5)),
        "distance: 1 of 12,000 rows hold no integer: 'far' (rows 1005)",
    ),
    "a value out of range": (
        range(2, 3),
        put("humid", "101", slice(0, 2)),
        "humid: 2 of 12,000 rows break 0 ≤ humid ≤ 100",
    ),
    "a flood of missing values": (
        range(1, 3),
        put("temp", "", slice(None)),
        "of 12,000 rows are missing; the contract allows 6.0%",
    ),
    "a hole where none may be": (
        range(1, 2),
        put("origin", "", slice(6, 7)),
        "origin: 1 of 12,000 rows are missing, and the contract says nullable = false",
    ),
    "a new category": (
        range(12, 13),
        put("origin", "ZZ", slice(0, 1)),
        "origin: 1 of 12,000 rows hold none of the 3 categories: 'ZZ' (rows 11001)",
    ),
    "the same id again": (
        range(1, 2),
        same_id,
        "flight_id: 3 of 12,000 rows hold an id that another row has too",
    ),
}


@pytest.mark.parametrize(("months", "change", "told"), FAULTS.values(), ids=FAULTS)
def test_each_fault_in_the_data_is_refused_before_training(
    tree: Path, months: range, change: Callable[[Lines], None], told: str
) -> None:
    """A fault is named with its column, rows and value; nothing is trained or saved."""
    shutil.rmtree(tree / "models", ignore_errors=True)
    changed(tree, months, change)
    assert told in fails(".venv/bin/ladder", "train", at=tree)
    assert not list((tree / "models").glob("*"))


def test_faults_are_told_together(tree: Path) -> None:
    """Three faults in three columns are told by one error."""
    for name in ("a value out of range", "a new category", "the same id again"):
        months, change, _ = FAULTS[name]
        changed(tree, months, change)
    printed = fails(".venv/bin/ladder", "train", at=tree)
    assert {"flight_id", "origin", "humid"} <= set(re.findall(r"^  (\w+): ", printed, re.M))


MILLION = """
import time
import numpy as np, pandas as pd
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.data.validation import find_contract_violations
n, rng = 1_000_000, np.random.default_rng(0)
words = [f"k{i}" for i in range(100)]
rows = pd.DataFrame(
    {f"n{i}": rng.uniform(size=n) for i in range(8)}
    | {f"c{i}": rng.choice(words, n).astype(object) for i in range(5)}
    | {"id": np.arange(n).astype(str).astype(object)}
)
number = Column(kind="number", role="feature", range=(0, 1))
word = Column(kind="category", role="feature", categories=words)
columns = {name: number if name[0] == "n" else word for name in rows}
contract = Contract(columns=columns | {"id": Column(kind="text", role="id")})
for frame, faults in ((rows, 0), (rows.assign(n0=2.0, c0="?", id="same"), 3)):
    began = time.process_time()
    assert len(find_contract_violations(frame, contract)) == faults
    print(time.process_time() - began)
"""


def test_a_million_rows_are_checked_in_seconds(project: Path) -> None:
    """1,000,000 rows of 14 columns take under 10 s of computing, whether none or all are wrong."""
    printed = ok(".venv/bin/python", "-c", MILLION, at=project)
    assert [seconds for seconds in map(float, printed.split()) if seconds >= 10] == []


def test_a_copy_of_the_target_stops_the_pipeline(tree: Path) -> None:
    """A column that is the target on another scale is named, and nothing is registered."""
    own_rows(tree)
    ok("make", "contract", f"DATA={OWN}", "TARGET=y", at=tree)
    printed = fails("make", "pipeline", at=tree)
    assert "copy: alone it tells 9" in printed and "x: alone it tells" not in printed


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    return run("sha256sum", str(path), at=path.parent).stdout.split()[0]


def versioned(tree: Path, seed: int) -> str:
    """Another content of one's own file, with a version and a commit; its sha256."""
    own_rows(tree, seed)
    ok("make", "data-version", at=tree)
    commit(tree, f"Data {seed}")
    assert "Every data file has a version" in ok("make", "data-version", "CHECK=yes", at=tree)
    return sha256(tree / OWN)


def test_the_commit_of_a_run_restores_the_bytes_that_it_was_trained_on(tree: Path) -> None:
    """Checked out and restored, the data have the hash that the run carries."""
    own_rows(tree, 1)
    ok("make", "contract", f"DATA={OWN}", "TARGET=y", at=tree)
    before = versioned(tree, 1)
    ok("make", "train", at=tree)
    tags = ran(tree)["tags"]
    assert (tags["data.sha256"], tags["git.dirty"]) == (before, "false")
    assert versioned(tree, 2) != before
    ok("git", "checkout", "--quiet", tags["git.commit"], at=tree)
    said = fails("make", "data-version", "CHECK=yes", at=tree)
    assert f"{OWN}: not the content that {OWN}.dvc names" in said
    ok("make", "restore", at=tree)
    assert sha256(tree / OWN) == tags["data.sha256"]
    ok("make", "data-version", "CHECK=yes", at=tree)


def test_changes_without_a_version_are_not_overwritten(tree: Path) -> None:
    """`make restore` refuses where it would lose bytes that nothing else holds."""
    own_rows(tree, 3)
    ok("make", "contract", f"DATA={OWN}", "TARGET=y", at=tree)
    versioned(tree, 3)
    own_rows(tree, 4)
    changed_to = sha256(tree / OWN)
    assert "Give them a version first (`make data-version`)" in fails("make", "restore", at=tree)
    assert sha256(tree / OWN) == changed_to


def test_data_come_to_a_clone_a_worktree_and_a_subfolder(tree: Path, tmp_path: Path) -> None:
    """Wherever the commit is checked out, `make data` brings the bytes; a bad store is told."""
    own_rows(tree, 5)
    ok("make", "contract", f"DATA={OWN}", "TARGET=y", at=tree)
    wanted = versioned(tree, 5)
    ok("git", "worktree", "add", "--quiet", str(tmp_path / "worktree"), at=tree)
    ok("git", "clone", "--quiet", str(tree), str(tmp_path / "clone"), at=tmp_path)
    shutil.copytree(tmp_path / "clone", tmp_path / "mono/part", ignore=lambda *_: {".git"})
    commit(tmp_path / "mono")
    command, store = str(tree / ".venv/bin/ladder"), tree.parent / "store"
    tool = str(tree / ".venv/bin/ladder"), "data-version"
    for place in ("worktree", "clone", "mono/part"):
        stored_in(store, tmp_path / place)
        own = {"PYTHONPATH": str(tmp_path / place / "src")}
        ok(command, "data", at=tmp_path / place, **own)
        assert sha256(tmp_path / place / OWN) == wanted
        ok(*tool, "--check", at=tmp_path / place, **own)
    ok("git", "worktree", "remove", "--force", str(tmp_path / "worktree"), at=tree)
    spoil(store)
    shutil.rmtree(tmp_path / "clone/.dvc/cache")
    (tmp_path / "clone" / OWN).unlink()
    own = {"PYTHONPATH": str(tmp_path / "clone/src")}
    printed = fails(*tool, "--restore", at=tmp_path / "clone", **own)
    assert f"{OWN}: not the content that {OWN}.dvc names" in printed


def spoil(store: Path) -> None:
    """Flip a bit of each file of a store, which stays read-only as it was."""
    for path in filter(Path.is_file, store.rglob("*")):
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)
        path.chmod(0o444)


def test_before_the_first_commit_the_way_to_it_is_told(project: Path, tmp_path: Path) -> None:
    """Without a repository nothing is stored, and the error says how to begin."""
    shutil.copytree(project, tmp_path / "bare", ignore=lambda *_: {".git", ".venv", "mlflow.db"})
    tool = str(project / ".venv/bin/ladder"), "data-version"
    own = {"PYTHONPATH": str(tmp_path / "bare/src")}
    wanted = "run: git init && git add . && git commit -m Start"
    assert wanted in fails(*tool, at=tmp_path / "bare", **own)
    ok("git", "init", "--quiet", at=tmp_path / "bare")
    assert wanted in fails(*tool, at=tmp_path / "bare", **own)
