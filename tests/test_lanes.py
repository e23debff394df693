"""The tests are distributed by file, so that a file makes its environments and engines once."""

import json
import sys
from pathlib import Path

from conftest import ok, ROOT
from scheduling import find_group

CONFTEST = """
import sys

sys.path.insert(0, {tests!r})
from scheduling import FileScheduling


def pytest_xdist_make_scheduler(config, log):
    return FileScheduling(config, log)
"""
TEST = """
import json
import os
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(6))
def test_where_it_runs(number):
    time.sleep(0.05)
    record = {"file": __name__, "worker": os.environ["PYTEST_XDIST_WORKER"]}
    Path(f"{__name__}-{number}.json").write_text(json.dumps(record))
"""


def test_the_tests_of_a_file_run_in_one_process(tmp_path: Path) -> None:
    """Each file in one of two processes; the files that need the engine in the same one."""
    (tmp_path / "conftest.py").write_text(CONFTEST.format(tests=str(ROOT / "tests")), "utf-8")
    names = ["test_level_2_ci", "test_a", "test_b", "test_level_3_stack"]
    for name in names:
        (tmp_path / f"{name}.py").write_text(TEST, "utf-8")
    ok(sys.executable, "-m", "pytest", "-q", "-n", "2", "--no-loadscope-reorder", at=tmp_path)
    workers: dict[str, set[str]] = {name: set() for name in names}
    for path in tmp_path.glob("*.json"):
        record = json.loads(path.read_text("utf-8"))
        workers[record["file"]].add(record["worker"])
    assert all(len(processes) == 1 for processes in workers.values()), workers
    assert workers["test_level_2_ci"] == workers["test_level_3_stack"]
    assert set().union(*workers.values()) == {"gw0", "gw1"}


def test_a_group_is_a_file_or_the_engine() -> None:
    """A parameter with a colon or an at sign changes nothing."""
    assert find_group("tests/test_a.py::test_b[me@host::c]") == "tests/test_a.py"
    assert find_group("tests/test_level_4_pods.py::test_b") == "engine"
