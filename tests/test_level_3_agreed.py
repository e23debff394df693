"""Level 3, what people agree on: a fault in labels or contracts lowers exactly that capability."""

import shutil
from pathlib import Path

import pytest
from conftest import commit, fails, Generate, ok, plant
from faults import AGREED, Fault

from mlops_ladder.maturity import grading
from mlops_ladder.maturity.repository import Repository


@pytest.fixture(name="project")
def _project(generate: Generate, tmp_path: Path) -> Path:
    """A committed project of level 3."""
    shutil.copytree(generate(maturity_level="3"), tmp_path / "project")
    commit(tmp_path / "project")
    return tmp_path / "project"


def grades(project: Path) -> dict[str, str]:
    """The grade of each capability."""
    return {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}


@pytest.mark.slow
@pytest.mark.parametrize("fault", AGREED, ids=lambda it: it.name)
def test_a_fault_in_what_people_agree_on_lowers_it_alone(project: Path, fault: Fault) -> None:
    """By the files alone: no environment is needed to see it."""
    before = grades(project)
    fault.plant(project)
    after = grades(project)
    assert {name for name in after if after[name] != before[name]} == {fault.lowers}
    assert (before[fault.lowers], after[fault.lowers]) == ("present", "declared")


def test_data_that_are_our_own_need_no_contract(project: Path) -> None:
    """A source that says so; then its contract may go."""
    plant(project / "data/sources.toml", "[sample]\n", "[sample]\nupstream = false\n")
    (project / "governance/contracts/sample.toml").unlink()
    assert grades(project)["data.contract"] == "present"


@pytest.mark.slow
def test_a_fresh_project_is_told_of_nothing_and_aged_or_changed_data_are(project: Path) -> None:
    """`make contracts` on the sample; without its last month; with another version, accepted."""
    assert "is accepted, and holds" in ok("make", "contracts", at=project)
    ok("make", "label", "CHECK=yes", at=project)
    held = project / "data/sample/flights-2013-12.csv"
    moved = held.rename(project / "flights.csv")
    assert "sample: the newest is of 2013-11-30, 31.0 days old" in fails(
        "make", "contracts", at=project
    )
    ok("make", "promises", at=project)
    moved.rename(held)
    plant(project / "governance/contracts/sample.toml", '"0.0.3"', '"0.0.4"')
    told = fails("make", "promises", at=project)
    assert "version 0.0.3 was accepted, now it is 0.0.4" in told
    ok("make", "contracts", "ACCEPT=sample", "BY=Ada", at=project)
    ok("make", "contracts", "promises", at=project)
