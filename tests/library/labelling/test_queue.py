"""The queue: the least certain rows and some at random, without what nobody needs to see."""

import json
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.labelling import command, queue
from mlops_ladder.labelling.labels import add_labels, build_answers, Label, QUEUED
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.privacy.erasure import delete_expired_requests
from mlops_ladder.settings import Settings
from mlops_ladder.labelling.settings import Labels

from .conftest import log

KNOWN = Contract(
    columns={
        "größe": Column(kind="number", role="feature", nullable=True),
        "note": Column(kind="text", role="feature"),
        "name": Column(kind="text", role="personal"),
        "kind": Column(kind="category", role="target", categories=["a", "b"]),
    }
)


def asked(count: int) -> list[dict[str, Any]]:
    """Rows with more in them than the model sees."""
    return [{"größe": float(it), "note": f"=1+{it}", "name": "Ada Lovelace"} for it in range(count)]


def test_half_are_the_least_certain_and_the_seed_draws_the_rest() -> None:
    """The same seed gives the same rows, another one others."""
    doubts = {f"{place:03}": place / 1000 for place in range(500)}
    first = queue.choose_rows(doubts, 20, 0.5, 7)
    unsure = sorted(name for name, why in first.items() if why == "uncertain")
    assert unsure == [f"{place}" for place in range(490, 500)]
    assert len(first) == 20 and first == queue.choose_rows(doubts, 20, 0.5, 7)
    assert first != queue.choose_rows(doubts, 20, 0.5, 8)


def test_without_doubt_all_are_drawn_at_random() -> None:
    """A model without probabilities, of which no row was strange."""
    assert set(queue.choose_rows(dict.fromkeys("abc", 0.0), 2, 1.0, 0).values()) == {"random"}


def test_doubt_is_what_is_left_to_certainty() -> None:
    """Of the likeliest class; of a number, whether the service abstained."""
    assert queue.measure_doubt({"probability": {"a": 0.7, "b": 0.3}}) == pytest.approx(0.3)
    assert [queue.measure_doubt({"abstain": True}), queue.measure_doubt({"prediction": 3.0})] == [
        1.0,
        0.0,
    ]


def test_only_what_the_model_sees_is_shown_and_nothing_runs(folder: Path) -> None:
    """No personal column, no answer of the model; text that a spreadsheet would run is text."""
    log(asked(3), [{"prediction": "a", "probability": {"a": 0.6, "b": 0.4}}] * 3)
    with Archive("sqlite:///predictions.db") as archive:
        queue.write_lines(queue.draw_rows(archive, KNOWN, Labels(), 3, 0))
    queue.write_sheets(queue.QUEUE, list(queue.read_rows()), 0)
    sheet = pd.read_csv(folder / queue.QUEUE, encoding="utf-8-sig", dtype=str).sort_values("row")
    assert list(sheet) == ["row", "größe", "note", "label", "note.1"]
    assert list(sheet["note"]) == ["'=1+0", "'=1+1", "'=1+2"]
    assert "Ada" not in queue.ROWS.read_text("utf-8") + queue.QUEUE.read_text("utf-8")
    assert [it["note"] for it in queue.read_rows().values()] == list(sheet["note"].str[1:])


def test_what_a_stand_in_has_answered_is_not_asked(folder: Path) -> None:
    """Nor is a row twice."""
    log(asked(2), [{"prediction": "a", "fallback": True}, {"prediction": "a", "abstain": True}])
    assert folder == Path.cwd()
    with Archive("sqlite:///predictions.db") as archive:
        first = queue.draw_rows(archive, KNOWN, Labels(), 5, 0)
        queue.write_lines(first)
        assert [it["row"] for it in first] == ["asked/2"]
        assert queue.draw_rows(archive, KNOWN, Labels(), 5, 0) == []


def test_the_queue_is_filled_up_and_not_drawn_anew(project: Settings, contract: Contract) -> None:
    """While rows wait, the same are asked; the sheet has the columns of the contract."""
    command.fill_queue(project, contract)
    before = queue.ROWS.read_bytes()
    whys = [json.loads(line)["why"] for line in before.splitlines()]
    assert sorted(whys) == ["random"] * 3 + ["uncertain"] * 3
    command.fill_queue(project, contract)
    assert queue.ROWS.read_bytes() == before
    assert all(list(it) == contract.inputs() for it in queue.read_rows().values())


def test_a_log_without_rows_says_so(project: Settings, contract: Contract) -> None:
    """The way out is told."""
    short = project.labels.model_copy(update={"hours": 1e-9})
    with pytest.raises(ProjectError, match="no row of the last 1e-09 hours that was not queued"):
        command.fill_queue(project.model_copy(update={"labels": short}), contract)


def test_a_row_that_was_forgotten_is_neither_asked_nor_merged_and_no_other_changes(
    project: Settings, contract: Contract
) -> None:
    """Its inputs leave queue and sheet; the places of the others, by which they count, stay."""
    command.fill_queue(project, contract)
    before = queue.read_rows()
    gone, *others = before
    queue.forget_rows({gone, "of another request/1"})
    assert queue.read_rows() == before | {gone: {}}
    sheet = pd.read_csv(queue.QUEUE, encoding="utf-8-sig", dtype=str)
    assert sorted(sheet["row"]) == sorted(others)
    now = datetime.now(UTC).isoformat()
    label = build_answers(project, contract).allowed.removeprefix("one of ").split(", ")[0]
    given = label if project.problem == "classification" else "1"
    add_labels([Label(row, given, QUEUED, by, now) for row in before for by in ("ada", "bo")])
    assert command.read_agreement(project, contract).settled.keys() == set(others)
    assert gone not in command.list_waiting(project, command.read_agreement(project, contract))


def test_what_waits_for_a_label_is_kept_no_longer_than_the_log(
    project: Settings, contract: Contract, two: tuple[str, str]
) -> None:
    """Old rows lose their inputs, in the sheet too; but one whose label is settled is data."""
    command.fill_queue(project, contract)
    delete_expired_requests(project)
    assert all(queue.read_rows().values())
    lines = list(map(json.loads, queue.ROWS.read_text(encoding="utf-8").splitlines()))
    old = (datetime.now(UTC) - timedelta(days=40_000)).isoformat()
    first, second, third, *others = [it["row"] for it in lines]
    changed = [it | {"time": old} if it["row"] in (first, second) else it for it in lines]
    changed = [{k: v for k, v in it.items() if it["row"] != third or k != "time"} for it in changed]
    queue.write_lines(changed)
    now = datetime.now(UTC).isoformat()
    add_labels([Label(second, two[0], QUEUED, name, now) for name in ("Ada", "Bob")])
    delete_expired_requests(project)
    assert [row for row, inputs in queue.read_rows().items() if not inputs] == [first]
    assert first not in queue.QUEUE.read_text(encoding="utf-8-sig")
    assert json.loads(queue.ROWS.read_text(encoding="utf-8").splitlines()[2])["time"] >= now
    assert list(queue.read_rows()) == [first, second, third, *others]
