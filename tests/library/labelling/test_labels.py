"""Labels: taken in whole or not at all, merged into the data, each known by whom and when."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import find_changed_files, compute_sha256, read_sources, SOURCES
from mlops_ladder.data.validation import find_contract_violations as rules
from mlops_ladder.labelling import command, labels, queue
from mlops_ladder.problem import read_data
from mlops_ladder.settings import CONFIG, load_settings, Settings

MERGED = Path("data/rows_labelled.csv")


@pytest.fixture(name="take")
def _take(project: Settings, contract: Contract) -> Any:
    """`take(path, "ada")` takes a sheet in; the queue is filled."""
    command.fill_queue(project, contract)
    asked = labels.build_answers(project, contract)

    def taken(path: Path, who: str = "", source: str = labels.QUEUED, **options: bool) -> int:
        return len(labels.import_labels(path, who, source, asked, **options))

    return taken


def test_a_sheet_is_taken_in_once(take: Any, fill: Any, two: tuple[str, str]) -> None:
    """Each label has row, source, annotator and time; the same sheet again brings nothing."""
    assert [take(fill("ada", *two), " Ada "), take(fill("ada", *two), "ADA")] == [6, 0]
    known = labels.read_labels()
    assert {it.annotator for it in known} == {"ada"} and {it.source for it in known} == {"queue"}
    assert all(it.time.endswith("+00:00") and it.label in two for it in known)


def test_a_row_without_a_label_waits_and_a_spreadsheet_may_use_semicolons(
    take: Any, fill: Any, two: tuple[str, str]
) -> None:
    """Every second row is left open."""
    path = fill("ada", two[0], "")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [f"{line.partition(',')[0]};{('', two[0])[at % 2]}" for at, line in enumerate(lines[1:])]
    path.write_text("\n".join(["row;label", *rows]), encoding="utf-8-sig")
    assert take(path, "ada") == 3


def test_what_is_wrong_is_told_all_at_once_and_nothing_is_taken(
    take: Any, fill: Any, two: tuple[str, str]
) -> None:
    """An unknown row, a label that is none, two labels for a row, another label than before."""
    take(fill("before", two[0]), "ada")
    path = fill("ada", two[0], two[1], "no such label")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[1].replace("asked/", "lost/")]), encoding="utf-8")
    with pytest.raises(ProjectError) as refused:
        take(path, "ada")
    told = str(refused.value)
    assert "nothing is taken in" in told and len(labels.read_labels()) == 6
    assert "lost/" in told and "was never queued" in told
    assert "label 'no such label': has to be" in told
    assert f"the same person said '{two[0]}' before; where this is meant: RELABEL=yes" in told
    path.write_text("\n".join([*lines[:2], lines[1].replace(two[0], two[1])]), encoding="utf-8")
    with pytest.raises(ProjectError, match="further up in this file; keep one"):
        take(path, "ben")


def studio(path: Path, *votes: tuple[str, str]) -> Path:
    """The tasks of the queue as Label Studio exports them; each user gives all rows one label."""
    tasks = json.loads(queue.QUEUE.with_suffix(".json").read_text(encoding="utf-8"))
    for task in tasks:
        task["annotations"] = [
            {
                "completed_by": {"email": user},
                "result": [{"from_name": "label", "value": {"choices": [label]}}],
            }
            for user, label in votes
        ]
        skipped = {"was_cancelled": True, "completed_by": 3, "result": []}
        task["annotations"].append(skipped)
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def test_labels_come_from_label_studio_too(take: Any, folder: Path, two: tuple[str, str]) -> None:
    """Its users are the annotators, or the one who is named; a skipped task has no label."""
    path = studio(folder / "export.json", ("Ada@example.com", two[0]), ("ben@example.com", two[0]))
    assert [take(path), take(path)] == [12, 0]
    known = labels.read_labels()
    assert {it.annotator for it in known} == {"ada@example.com", "ben@example.com"}
    assert {it.row for it in known} == set(queue.read_rows()) and known[0].label == two[0]
    assert take(studio(path, ("x", two[1])), "Eva") == 6
    with pytest.raises(ProjectError, match="task 1: row .*: has to be"):
        take(studio(path, ("x", "no such label")))
    with pytest.raises(ProjectError, match="task 1: row .* the same person said"):
        take(studio(path, ("ada@example.com", two[1])))
    path.write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(ProjectError, match="export it from Label Studio as JSON"):
        take(path)


def test_tasks_for_label_studio_hold_what_the_sheet_holds(take: Any, two: tuple[str, str]) -> None:
    """The same rows in the same order; a row that is forgotten leaves both."""
    assert take and two
    sheet = queue.QUEUE.read_text(encoding="utf-8-sig").splitlines()[1:]
    tasks = json.loads(queue.QUEUE.with_suffix(".json").read_text(encoding="utf-8"))
    names = [task["data"]["row"] for task in tasks]
    assert names == [line.partition(",")[0] for line in sheet]
    queue.forget_rows({names[0]})
    assert names[0] not in queue.QUEUE.with_suffix(".json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("who", "told"), [("", "say who labelled"), ("x" * 81, "1 to 80")])
def test_somebody_has_to_answer_for_a_label(who: str, told: str) -> None:
    """No name, and one that is none."""
    with pytest.raises(ProjectError, match=told):
        labels.normalize_person(who)


def test_a_sheet_without_labels_is_refused(take: Any, fill: Any, folder: Path) -> None:
    """So is one without the columns, and one that is not there."""
    for path, told in ((fill("ada", ""), "holds no label"), (CONFIG, "has no column row, label")):
        with pytest.raises(ProjectError, match=told):
            take(path, "ada")
    with pytest.raises(ProjectError, match="cannot be read"):
        take(folder / "nowhere.csv", "ada")


def merged(project: Settings, contract: Contract) -> str:
    """Merge, and the sha256 of all data."""
    command.merge_labels(load_settings(labels=project.labels), contract)
    return compute_sha256(*list_data_files(load_settings().data.path))


def test_settled_rows_join_the_data_and_another_label_is_another_version(
    project: Settings, contract: Contract, take: Any, fill: Any, two: tuple[str, str]
) -> None:
    """They are read with the others, keep the contract, and are declared; labels give the bytes."""
    before = len(read_data(load_settings()))
    for who in ("ada", "ben"):
        take(fill(who, *two), who)
    first = merged(project, contract)
    rows = validate_and_cast(
        read_data(load_settings()), contract, [contract.target, *contract.inputs()]
    )
    assert len(rows) == before + 6
    assert not any(breach.is_refused for breach in rules(rows, contract))
    assert sorted(map(str, rows[contract.target].tail(6))) == sorted(two * 3)
    assert not find_changed_files(read_sources()) and MERGED in list_data_files(
        load_settings().data.path
    )
    assert merged(project, contract) == first
    for who in ("ada", "ben"):
        take(fill(who, *two[::-1]), who, relabel=True)
    with pytest.raises(ProjectError, match="not what data/labelling/labels.csv says"):
        command.check_labels(load_settings(labels=project.labels), contract)
    assert merged(project, contract) != first
    assert len(read_data(load_settings())) == before + 6


def test_a_row_in_dispute_is_merged_once_somebody_decides(
    project: Settings, contract: Contract, take: Any, fill: Any, two: tuple[str, str]
) -> None:
    """It stands on a sheet of its own, which a third person fills in."""
    take(fill("ada", *two), "ada")
    take(fill("ben", *two, *two, two[0], two[0]), "ben")
    loose = project.model_copy(
        update={"labels": project.labels.model_copy(update={"agreement": 0.0})}
    )
    found = command.read_agreement(loose, contract)
    command.report_agreement(loose, found)
    assert len(found.disputed) == 1 and len(found.settled) == 5
    take(fill("eva", two[1], sheet=queue.DISPUTED), "eva", labels.DECIDED)
    assert command.read_agreement(loose, contract).settled.keys() == queue.read_rows().keys()
    command.report_agreement(loose, command.read_agreement(loose, contract))
    assert not queue.DISPUTED.exists()


def test_nothing_is_merged_that_nobody_agrees_on(project: Settings, contract: Contract) -> None:
    """No file is written, no path changed."""
    before = CONFIG.read_bytes(), SOURCES.read_bytes()
    with pytest.raises(ProjectError, match="no row is settled yet"):
        command.merge_labels(project, contract)
    assert (CONFIG.read_bytes(), SOURCES.read_bytes()) == before and not MERGED.exists()


def test_a_source_says_who_gave_its_labels(project: Settings, contract: Contract) -> None:
    """Where it does not, the check names it, with the way out."""
    command.check_labels(project, contract)
    text = SOURCES.read_text(encoding="utf-8")
    SOURCES.write_text(text.replace("Ada", "unknown"), encoding="utf-8")
    with pytest.raises(ProjectError, match=r"\[rows\] does not say its labels' annotator"):
        command.check_labels(project, contract)


def test_a_line_of_the_table_that_lacks_something_is_named(take: Any, fill: Any, two: Any) -> None:
    """A label without an annotator is none."""
    take(fill("ada", *two), "ada")
    text = labels.TABLE.read_text(encoding="utf-8")
    labels.TABLE.write_text(text.replace(",ada,", ",,", 1), encoding="utf-8")
    with pytest.raises(ProjectError, match="line 2: not all of row, label, source, annotator"):
        labels.read_labels()
