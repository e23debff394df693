"""Upstream: data that are too old and terms that nobody has accepted are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tomlkit

from mlops_ladder import ProjectError
from mlops_ladder.data import agreements
from mlops_ladder.data.sources import declare_files, SOURCES
from mlops_ladder.governance import data_agreements
from mlops_ladder.maturity.trials.agreements import receive_posts
from mlops_ladder.settings import Settings

NOW = pd.Timestamp("2024-06-30", tz="UTC").to_pydatetime()
TERMS: dict[str, Any] = {
    "source": "rows",
    "owner": "Größe & Co",
    "contact": "groesse@example.com",
    "version": "1.0",
    "notice_days": 30,
    "columns": ["am", "größe"],
    "freshness": {"column": "am", "format": "%d.%m.%Y", "max_age_days": 7},
}


def write(**changed: Any) -> None:
    """Write the contract, with some of its terms changed; None leaves one out."""
    terms = {key: it for key, it in (TERMS | changed).items() if it is not None}
    agreements.FOLDER.mkdir(parents=True, exist_ok=True)
    (agreements.FOLDER / "rows.toml").write_text(tomlkit.dumps(terms), encoding="utf-8")


@pytest.fixture(name="rows")
def _rows(folder: Path, settings: Settings) -> Settings:
    """Settings of two files whose newest row is of the 28th of June, and an accepted contract."""
    (folder / "data").mkdir()
    days = ["1.6.2024", "28.6.2024", "2.2.2024"]
    frame = pd.DataFrame({"am": days, "größe": [1, 2, 3]})
    frame.to_csv(folder / "data/rows.csv", index=False)
    data = {"path": "data/rows.csv", "encoding": "utf-8", "separator": ",", "thousands": None}
    here = settings.model_copy(update={"data": settings.data.model_copy(update=data)})
    declare_files(here)
    write()
    agreements.record_acceptance(agreements.read_agreements()["rows"], "Ada")
    return here


@pytest.fixture(name="heard")
def _heard() -> Iterator[tuple[str, list[Any]]]:
    """An address, and what is posted there."""
    with receive_posts() as found:
        yield found


def told(rows: Settings, fresh: bool = True) -> str:
    """What does not hold."""
    return "\n".join(data_agreements.find_promise_breaches(rows, fresh).get("rows", []))


def test_what_is_accepted_and_fresh_is_quiet(rows: Settings) -> None:
    """Two days old, seven may be."""
    promise = agreements.read_agreements()["rows"]
    assert told(rows, fresh=False) == "" and not list(
        data_agreements.find_aged_data(promise, rows.data, NOW)
    )


def test_aged_data_and_a_bumped_version_each_notify(rows: Settings, heard: Any) -> None:
    """Who is named in the settings hears of both, with the source and whom to ask."""
    address, found = heard
    schedule = rows.schedule.model_copy(update={"webhook": address})
    named = rows.model_copy(update={"schedule": schedule})
    data_agreements.send_breaches(named)
    assert len(found) == 1 and found[0]["contract"] == "rows"
    assert "the newest is of 2024-06-28" in found[0]["text"]
    assert "7 may be; ask groesse@example.com" in found[0]["text"]
    write(version="1.1", freshness={"column": "am", "format": "%d.%m.%Y", "max_age_days": 1e6})
    data_agreements.send_breaches(named)
    assert "version 1.0 was accepted, now it is 1.1, which changes freshness" in found[1]["text"]
    data_agreements.accept_contract("rows", "Ben")
    data_agreements.send_breaches(named)
    assert len(found) == 2 and agreements.read_accepted()["rows"]["by"] == "Ben"


def test_a_source_that_has_ended_does_not_age(rows: Settings) -> None:
    """Its rows reach to its end, or do not."""
    late = pd.Timestamp("2025-01-01", tz="UTC").to_pydatetime()
    lines = {}
    for until in ("2024-07-01", "2024-07-20"):
        write(freshness=TERMS["freshness"] | {"until": until})
        lines[until] = "".join(
            data_agreements.find_aged_data(agreements.read_agreements()["rows"], rows.data, late)
        )
    assert lines["2024-07-01"] == ""
    assert "22.0 days old on 2024-07-20, 7 may be" in lines["2024-07-20"]


def test_without_a_column_the_age_is_that_of_the_files(rows: Settings) -> None:
    """They were made just now; what no row says is told."""
    write(freshness={"max_age_days": 1})
    assert told(rows) == "rows: freshness changed, and still version 1.0; " + (
        "read it, then: make contracts ACCEPT=rows"
    )
    write(freshness={"column": "größe", "max_age_days": 1})
    assert "no time in größe: how old is it?" in told(rows)


def test_a_promised_column_that_is_gone_is_told(rows: Settings) -> None:
    """By file, with the version that promises it."""
    frame = pd.read_csv(rows.data.path)
    frame.drop(columns="größe").to_csv(rows.data.path, index=False)
    assert "data/rows.csv lacks größe, which version 1.0 promises" in told(rows, fresh=False)


def test_a_change_announced_too_late_is_told(rows: Settings) -> None:
    """Ten days before, where thirty are agreed on; and it is to be accepted."""
    change = {"version": "2.0", "on": "2024-07-11", "announced": "2024-07-01", "what": "Renamed"}
    write(change=change)
    said = told(rows, fresh=False)
    assert "2.0 on 2024-07-11 was announced 10 days before, 30 are agreed on" in said
    assert "change changed, and still version 1.0" in said


def test_a_contract_that_cannot_be_read_names_its_keys(rows: Settings) -> None:
    """All that is wrong, at once; and a second one about the same source."""
    write(owner=None, notice_days=-1)
    with pytest.raises(ProjectError) as refused:
        told(rows)
    assert "owner" in str(refused.value) and "notice_days = -1" in str(refused.value)
    write()
    text = (agreements.FOLDER / "rows.toml").read_text(encoding="utf-8")
    (agreements.FOLDER / "too.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match="has another contract; keep one"):
        told(rows)


def test_a_source_without_a_contract_is_named_unless_it_is_our_own(
    rows: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the way out; nothing fails."""
    (agreements.FOLDER / "rows.toml").unlink()
    assert told(rows) == "" and "no file of governance/contracts is" in capsys.readouterr().out
    text = SOURCES.read_text(encoding="utf-8")
    SOURCES.write_text(text.replace('owner = "', 'upstream = false\nowner = "'), encoding="utf-8")
    assert told(rows) == "" and capsys.readouterr().out == ""


def test_only_a_contract_that_is_there_can_be_accepted(rows: Settings) -> None:
    """The error names those that are."""
    assert rows
    with pytest.raises(ProjectError, match="no such contract; there are: rows"):
        data_agreements.accept_contract("others", "Ada")
