"""Feedback: logged rows whose outcome is known are in the next version of the data, each once."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from library.fixture_project import ROOT
from library.monitoring.known import log, NOW, publish, URL

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.data.datafile import choose_destination, verify_round_trip, write_rows_like
from mlops_ladder.data.reading import list_data_files, is_parquet, read_table
from mlops_ladder.data.sources import declare_files, find_changed_files, read_sources, SOURCES
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.archive import to_logged_contract
from mlops_ladder.monitoring.feedback import write_feedback
from mlops_ladder.monitoring.outcomes import import_outcomes, OUTCOMES, Outcomes
from mlops_ladder.settings import Settings

ROWS = 60


@pytest.fixture(name="own")
def _own(folder: Path, trained: Trained, settings: Settings) -> Settings:
    """The settings of a folder with one file of the data, a champion, and outcomes of 60 rows."""
    first = list_data_files(str(ROOT / settings.data.path))[0]
    (folder / "data").mkdir()
    place = Path("data") / f"mine{first.suffix}"
    place.write_bytes(first.read_bytes())
    own = settings.model_copy(
        update={"data": settings.data.model_copy(update={"path": str(place)})}
    )
    text = (folder / "config.toml").read_text(encoding="utf-8")
    (folder / "config.toml").write_text(text.replace(settings.data.path, str(place)), "utf-8")
    declare_files(own)
    publish(trained)
    outcomes = log(trained, trained.holdout.head(ROWS))
    with Outcomes(URL) as archive:
        import_outcomes(outcomes, archive, trained.contract, NOW)
    return own


def fed(settings: Settings, contract: Contract) -> tuple[Path | None, int]:
    """What came of it, in the settings as `config.toml` has them by then."""
    with Outcomes(URL) as archive:
        return write_feedback(settings, contract, archive)


def wider(settings: Settings) -> Settings:
    """The settings after the first file was made."""
    path = Path(settings.data.path)
    name = f"data/{path.stem}*{path.suffix}"
    return settings.model_copy(update={"data": settings.data.model_copy(update={"path": name})})


def test_rows_with_an_outcome_are_in_the_next_version_of_the_data(
    own: Settings, trained: Trained
) -> None:
    """In the format of the data, declared, named by `config.toml`; inputs and target as logged."""
    contract, before = trained.contract, len(read_table(own.data.path, own.data))
    place, rows = fed(own, contract)
    assert place and rows == ROWS and is_parquet(place) == is_parquet(Path(own.data.path))
    after = wider(own)
    assert after.data.path in Path("config.toml").read_text(encoding="utf-8")
    assert len(read_table(after.data.path, own.data)) == before + ROWS
    assert str(place) in read_sources()["feedback"]["files"] and not find_changed_files(
        read_sources()
    )
    names = [*contract.inputs(), contract.target]
    found = validate_and_cast(read_table(str(place), own.data, contract), contract, names)
    asked = trained.holdout[names].head(ROWS).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, asked, check_dtype=False)


def test_no_row_is_in_the_data_twice(own: Settings, trained: Trained) -> None:
    """Without a new outcome there is no new file; with one, only its row is in it."""
    fed(own, trained.contract)
    after = wider(own)
    assert fed(after, trained.contract) == (None, 0)
    log(trained, trained.holdout.head(1))  # under the same id, with one row: it has no outcome yet
    assert fed(after, trained.contract) == (None, 0)
    more = log(trained, trained.holdout.tail(80)).tail(20)
    with Outcomes(URL) as archive:
        import_outcomes(more, archive, trained.contract, NOW)
    place, rows = fed(after, trained.contract)
    assert place and "feedback-0002" in place.name and rows == 20


def test_what_a_kill_interrupted_is_finished(own: Settings, trained: Trained) -> None:
    """Rows that were written down and have no file get it, and its bytes are what they were."""
    place, _ = fed(own, trained.contract)
    assert place
    content, after = place.read_bytes(), wider(own)
    place.unlink()
    declared = SOURCES.read_text(encoding="utf-8")
    SOURCES.write_text(declared.partition("[feedback]")[0], encoding="utf-8")
    assert fed(after, trained.contract) == (None, 0)
    assert place.read_bytes() == content
    assert not find_changed_files(read_sources()) and "feedback" in read_sources()


def test_what_cannot_be_written_changes_nothing(
    own: Settings, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are not read back as they were are an error, and wait for the next time."""
    with monkeypatch.context() as patch:
        patch.setattr("mlops_ladder.data.datafile.write_rows_like", lambda *_: None)
        with pytest.raises(ProjectError):
            fed(own, trained.contract)
    with Outcomes(URL) as archive:
        assert archive.list_used_files() == []
        assert len(archive.find_labelled(OUTCOMES.c.file == "")) == ROWS
    assert [path.name for path in Path("data").glob("*feedback*")] == []


KINDS = Contract.model_validate(
    {
        "columns": {
            "größe": {"kind": "number", "role": "feature", "nullable": True},
            "an": {"kind": "time", "role": "time", "format": "%d.%m.%Y"},
            "wer": {"kind": "text", "role": "personal"},
            "ziel": {"kind": "category", "role": "target"},
        }
    }
)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_are_written_as_the_data_are(tmp_path: Path, settings: Settings, kind: str) -> None:
    """Separator, decimal, encoding and format of times; nothing personal is filled in."""
    marks = {"separator": ";", "decimal": ",", "encoding": "latin-1"}
    data = settings.data.model_copy(update=marks)
    like, to = tmp_path / f"mine.{kind}", tmp_path / f"new.{kind}"
    first = pd.DataFrame({"wer": ["Ada"], "größe": [1.5], "an": ["31.12.2024"], "ziel": ["ja"]})
    if kind == "csv":
        first.to_csv(like, sep=";", decimal=",", encoding="latin-1", index=False)
    else:
        first.to_parquet(like, index=False)
    times = pd.to_datetime(pd.Series(["2025-01-02", "2025-01-03"]))
    rows = pd.DataFrame({"größe": [2.5, None], "an": times, "ziel": ["nein", "größer"]})
    write_rows_like(rows, like, to, data, KINDS)
    found = validate_and_cast(rows, to_logged_contract(KINDS), ["größe", "an", "ziel"])
    verify_round_trip(to, found, data, KINDS)
    if kind == "csv":
        assert to.read_text(encoding="latin-1").splitlines() == [
            "wer;größe;an;ziel",
            ";2,5;02.01.2025;nein",
            ";;03.01.2025;größer",
        ]
    with pytest.raises(ProjectError, match="ziel: are not read as they were logged"):
        verify_round_trip(to, found.assign(ziel="ja"), data, KINDS)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_times_of_parquet_are_written_as_the_data_have_them(
    tmp_path: Path, settings: Settings, unit: str, zone: str | None
) -> None:
    """In their unit and with their zone; each is the same time when it is read again."""
    like, to = tmp_path / "mine.parquet", tmp_path / "new.parquet"
    kind = pa.timestamp(unit, zone)
    hours = pd.date_range("2024-03-30 22:00", periods=5, freq="h", tz="UTC")
    times = pa.array(hours.tz_convert(zone), kind)
    pq.write_table(pa.table({"an": times, "ziel": ["ja"] * 5}), like)
    column = Column(kind="time", role="time", timezone=zone)
    contract = Contract(columns={"an": column, "ziel": Column(kind="category", role="target")})
    rows = validate_and_cast(
        read_table(str(like), settings.data, contract), contract, ["an", "ziel"]
    )
    texts = rows.assign(an=[when.isoformat() for when in rows["an"]])
    found = validate_and_cast(texts, to_logged_contract(contract), ["an", "ziel"])
    write_rows_like(found, like, to, settings.data, contract)
    verify_round_trip(to, found, settings.data, contract)
    assert pq.read_table(to).column("an").combine_chunks() == times
    assert pq.read_schema(to).field("an").type == kind


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_feedback_adds_rows_to_parquet(own: Settings, trained: Trained, unit: str) -> None:
    """A data file of Parquet gets its rows too, whatever the unit of its times."""
    contract = trained.contract
    columns = {
        name: column.model_copy(update={"format": None})
        for name, column in contract.columns.items()
        if column.role in ("feature", "time", "target", "id", "group")
    }
    stored = contract.model_copy(update={"columns": columns})
    frame = validate_and_cast(read_table(own.data.path, own.data, contract), contract, columns)
    for name in contract.names("time"):
        frame[name] = frame[name].dt.tz_localize(columns[name].timezone).dt.as_unit(unit)
    Path(own.data.path).unlink()
    frame.to_parquet("data/mine.parquet", index=False)
    data = own.data.model_copy(update={"path": "data/mine.parquet"})
    made, rows = fed(own.model_copy(update={"data": data}), stored)
    assert made and rows == ROWS and is_parquet(made)
    names = [*contract.inputs(), contract.target]
    found = validate_and_cast(read_table(str(made), data, stored), stored, names)
    asked = trained.holdout[names].head(ROWS).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, asked, check_dtype=False)


def test_a_pattern_that_names_others_too_is_refused(folder: Path) -> None:
    """Nothing else may become data by the way."""
    for name in ("mine.csv", "mine_old.csv"):
        (folder / name).write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="no pattern names its files and mine_new.csv alone"):
        choose_destination("mine.csv", "new")
    assert choose_destination("mine*.csv", "new") == (Path("mine_new.csv"), "mine*.csv")
