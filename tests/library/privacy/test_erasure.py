"""Forgetting: the rows of an id leave data and log, all else stays, and nobody is named."""

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta, UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tomlkit

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.data.sources import compute_sha256, declare_files
from mlops_ladder.privacy import erasure, erasure_log

from mlops_ladder.privacy.erasure import delete_expired_requests, erase_id, parse_request
from mlops_ladder.privacy.residual_search import describe_residuals
from mlops_ladder.serving.store import Store
from mlops_ladder.settings import load_settings, Settings

ID = "Zoë 7"
COLUMNS: dict[str, Any] = {
    "Nummer": {"kind": "text", "role": "id"},
    "wer": {"kind": "text", "role": "group"},
    "größe": {"kind": "number", "role": "feature"},
    "antwort": {"kind": "integer", "role": "target"},
}
HEAD = "Nummer;wer;größe;antwort\n"
ROWS = ["A 1;x;1,50;1\n", '"Zoë 7"; x ;"2,5";0\n', '\n"B ""2""";"a\nb";3;1\n', " Zoë 7;y;4;1\n"]
KEPT = [HEAD, ROWS[0], ROWS[2]]


def contract(**roles: str) -> Contract:
    """The contract of the rows, some columns with another role."""
    known = {name: it | {"role": roles.get(name, it["role"])} for name, it in COLUMNS.items()}
    return Contract(columns={name: Column(**it) for name, it in known.items()})


@pytest.fixture(name="made")
def _made(folder: Path) -> Settings:
    """Two files of semicolons in a folder of their own, one of them with the id, both declared."""
    (folder / "data").mkdir()
    (folder / "data/1.csv").write_text("".join([HEAD, *ROWS]), encoding="utf-8", newline="")
    (folder / "data/2.csv").write_text(HEAD + "C;z;1;0\n", encoding="utf-8", newline="")
    text = tomlkit.dumps(contract().model_dump(exclude_defaults=True))
    (folder / "contract.toml").write_text(text, encoding="utf-8")
    marks = {"encoding": "utf-8", "separator": ";", "decimal": ","}
    settings = load_settings(data={"path": "data/*.csv"} | marks)
    declare_files(settings)
    return settings


def forgotten_id(settings: Settings, text: str = ID, column: str = "") -> Any:
    """The entry of the record."""
    return erase_id(parse_request(contract(), text, column, settings), settings)


def all_bytes(folder: Path) -> dict[str, bytes]:
    """What every file holds."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def log(*requests: list[dict[str, Any]], age: float = 0) -> None:
    """Log these requests; the answer to a row is its place."""
    store = Store("sqlite:///predictions.db")
    known = {
        "time": datetime.now(UTC) - timedelta(days=age),
        "model_version": "1",
        "latency_ms": 1.0,
    }
    for number, rows in enumerate(requests):
        answers = [{"prediction": place} for place, _ in enumerate(rows)]
        texts = {"inputs": orjson.dumps(rows).decode(), "output": orjson.dumps(answers).decode()}
        record: Any = known | texts | {"request_id": f"r{number}", "rows": len(rows)}
        store.write([record])
    store.close()


def logged() -> list[Any]:
    """Request, inputs, answers and number of rows of what is logged."""
    with sqlite3.connect("predictions.db") as store:
        found = store.execute("select request_id, inputs, output, rows from predictions")
        return [(name, json.loads(inputs), json.loads(out), n) for name, inputs, out, n in found]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_other_row_stays_byte_for_byte(folder: Path, encoding: str, end: str) -> None:
    """In its encoding, with its separator, quotes, blanks and line ends; also within a cell."""
    text = "".join([HEAD, *ROWS]).replace("\n", end)
    (folder / "own.csv").write_bytes(text.encode(encoding))
    settings = load_settings(data={"path": "own.csv", "encoding": encoding, "separator": ";"})
    entry = forgotten_id(settings)
    kept = "".join(KEPT).replace("\n", end)
    assert (folder / "own.csv").read_bytes() == kept.encode(encoding)
    assert (entry["files"]["own.csv"]["rows"], entry["files"]["own.csv"]["left"]) == (2, 2)


def test_of_parquet_the_schema_and_the_other_rows_stay(folder: Path) -> None:
    """Numbers, categories, an index and the compression too; 7.0 is the id 7."""
    frame = pd.DataFrame(
        {"Nummer": [7.0, 8.0, 9.0], "größe": [1, 2, 3], "c": pd.Categorical(["a", "b", "a"])},
        index=pd.Index(["p", "q", "r"], name="at"),
    )
    frame.to_parquet("own.parquet", compression="gzip")
    before = pq.read_schema("own.parquet")
    known = contract().columns | {"Nummer": Column(kind="integer", role="id")}
    settings = load_settings(data={"path": "own.parquet"})
    erase_id(parse_request(Contract(columns=known), "8", "", settings), settings)
    pd.testing.assert_frame_equal(pd.read_parquet("own.parquet"), frame.drop(index="q"))
    assert pq.read_schema("own.parquet").equals(before, check_metadata=True)
    assert pq.read_metadata(folder / "own.parquet").row_group(0).column(0).compression == "GZIP"


def test_only_the_files_that_hold_the_id_change_and_nobody_is_named(made: Settings) -> None:
    """They are declared anew; the record says what went, and holds no trace of the id."""
    paths = [Path("data/1.csv"), Path("data/2.csv")]
    before, other = compute_sha256(*paths), paths[1].read_bytes()
    entry = forgotten_id(made)
    assert compute_sha256(*paths) != before and paths[1].read_bytes() == other
    assert paths[0].read_text(encoding="utf-8") == "".join(KEPT)
    sources = tomlkit.parse(Path("data/sources.toml").read_text("utf-8")).unwrap()
    assert sources["1"]["files"]["data/1.csv"] == {"sha256": compute_sha256(paths[0]), "rows": 2}
    text = erasure_log.RECORD.read_text(encoding="utf-8")
    assert json.loads(text) == entry and "Zo" not in text
    assert entry["files"]["data/1.csv"]["after"] == compute_sha256(paths[0])
    assert erasure_log.KEY.stat().st_mode & 0o77 == 0


def test_in_the_log_only_its_rows_go(made: Settings, folder: Path) -> None:
    """Other rows of the same request stay with their answers, under another id, as they count anew.

    The file holds no trace.
    """
    log([{"Nummer": ID}], [{"größe": 1}, {"Nummer": f" {ID}"}, {"größe": 2}], [{"größe": 3}])
    assert forgotten_id(made)["log"] == {"requests": 2, "rows": 2}
    found = logged()
    assert len(renamed := found[0][0]) == 32
    assert found == [
        (renamed, [{"größe": 1}, {"größe": 2}], [{"prediction": 0}, {"prediction": 2}], 2),
        ("r2", [{"größe": 3}], [{"prediction": 0}], 1),
    ]
    assert not [path for path in folder.glob("predictions.db*") if ID.encode() in path.read_bytes()]


def test_logged_rows_that_became_data_go_too(
    made: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rows were labelled, or came as feedback; who else keeps logged rows is told of them."""
    told: list[set[str]] = []

    def forget_rows(names: set[str]) -> None:
        told.append(names)

    hooks = SimpleNamespace(forget_rows=forget_rows)
    monkeypatch.setattr(erasure, "get_hooks", lambda: hooks)
    path = Path("data/2.csv")
    rows = ["r0-2;z;1;0\n", "r0/2;z;1;0\n", "r0-1;z;1;0\n"]
    path.write_text("".join([HEAD, *rows]), encoding="utf-8")
    log([{"größe": 1}, {"Nummer": ID}])
    assert forgotten_id(made)["files"]["data/2.csv"]["rows"] == 2
    assert path.read_text(encoding="utf-8") == HEAD + rows[2]
    assert told == [{"r0/2"}]


def test_an_id_that_only_the_log_holds_is_forgotten_too(made: Settings) -> None:
    """The data stay as they are."""
    log([{"Nummer": "only asked"}])
    assert forgotten_id(made, "only asked")["files"] == {} and logged() == []


def test_by_a_group_all_of_its_rows_go(made: Settings) -> None:
    """From the log those with the ids of these rows, which holds no group."""
    log([{"Nummer": "A 1"}, {"Nummer": "C"}])
    entry = forgotten_id(made, "x", "wer")
    assert (entry["columns"], entry["files"]["data/1.csv"]["rows"]) == (["wer"], 2)
    assert logged()[0][1] == [{"Nummer": "C"}]


@pytest.mark.parametrize("place", ["apply_erasure", "update_declared"])
def test_what_was_interrupted_is_ended_by_the_next_run(
    made: Settings, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Before or after the first change; another id has to wait; there is one entry for it."""
    log([{"Nummer": ID}])

    def killed(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erasure, place, killed)
        with pytest.raises(KeyboardInterrupt):
            forgotten_id(made)
    with pytest.raises(ProjectError, match="another id was begun and not ended"):
        forgotten_id(made, "C")
    entry = forgotten_id(made)
    assert Path("data/1.csv").read_text(encoding="utf-8") == "".join(KEPT) and logged() == []
    assert entry["files"]["data/1.csv"]["rows"] == 2 and entry["log"]["rows"] == 1
    assert erasure_log.read_erasures() == [entry] and not erasure.ERASURE_MARKER.exists()


def test_a_full_disk_tears_no_line_of_the_record(
    made: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was forgotten before stays known, and the same command once more ends it."""
    first = forgotten_id(made, "A 1")

    def full(path: Path, content: str | bytes) -> None:
        if path == erasure_log.RECORD:
            raise OSError(28, "No space left on device", str(path))
        write_file_atomically(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(f"{erasure.__name__}.write_file_atomically", full)
        with pytest.raises(OSError, match="No space left"):
            forgotten_id(made)
    assert erasure_log.read_erasures() == [first]
    second = forgotten_id(made)
    assert erasure_log.read_erasures() == [first, second] and not erasure.ERASURE_MARKER.exists()


@pytest.mark.parametrize(
    ("name", "named"),
    [("data/1.csv.part", "data/1.csv.part"), ("forgotten.part.part", "forgotten.part")],
)
def test_where_a_file_cannot_be_prepared_nothing_changes(
    made: Settings, folder: Path, name: str, named: str
) -> None:
    """The error names it; no part of a file is left."""
    (folder / name).mkdir()
    erasure_log.ensure_key()
    before = all_bytes(folder)
    with pytest.raises(ProjectError, match=f"{named}: .*; nothing is changed"):
        forgotten_id(made)
    assert all_bytes(folder) == before


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("nobody", "", "the id is not in Nummer of 2 data files, nor in a logged request"),
        ("", "", "ID='': no id"),
        ("NA", "", "ID='NA': no id"),
        (
            "A 1",
            "größe",
            "COLUMN='größe': is of no role id or group or personal; there are: Nummer",
        ),
    ],
)
def test_what_names_nobody_is_refused_and_nothing_changes(
    made: Settings, folder: Path, text: str, column: str, told: str
) -> None:
    """An id that is nowhere or none, a column that names nobody: no key is made either."""
    before = all_bytes(folder)
    with pytest.raises(ProjectError, match=told):
        forgotten_id(made, text, column)
    assert all_bytes(folder) == before


def test_without_an_id_in_the_contract_the_way_out_is_told(made: Settings) -> None:
    """A column gets the role, or one is named."""
    with pytest.raises(ProjectError, match='no column has the role id; give role = "id"'):
        parse_request(contract(Nummer="ignored"), ID, "", made)


def test_a_file_of_this_id_alone_goes_and_the_last_one_does_not(made: Settings) -> None:
    """A file without rows cannot be read; data without rows are no data."""
    assert forgotten_id(made, "C")["files"]["data/2.csv"]["after"] is None
    assert not Path("data/2.csv").exists()
    assert "data/2.csv" not in Path("data/sources.toml").read_text(encoding="utf-8")
    Path("data/1.csv").write_text(HEAD + ROWS[0], encoding="utf-8")
    with pytest.raises(ProjectError, match="no row would be left"):
        forgotten_id(made, "A 1")


def test_whoever_is_back_is_told_by_row_and_not_by_name(
    made: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writing of the id too.  Without the key that is not known, and said."""
    forgotten_id(made)
    frame = pd.DataFrame({"Nummer": ["A 1", " Zoe\u0308 7 ", None], "größe": 1.0})
    found, *others = erasure_log.find_erased_ids(frame, contract())
    assert not others
    assert str(found).startswith("Nummer: 1 of 3 rows hold an id that was forgotten")
    assert "(rows 2)" in str(found) and "7" not in str(found)
    assert erasure_log.find_erased_ids(frame.iloc[:1], contract()) == []
    key = erasure_log.KEY.read_text(encoding="ascii")
    erasure_log.KEY.unlink()
    assert erasure_log.find_erased_ids(frame, contract()) == []
    assert "whether one is back is not known" in capsys.readouterr().err
    with pytest.raises(ProjectError, match="bring it back, or set FORGOTTEN_KEY"):
        erasure_log.ensure_key()
    monkeypatch.setenv("FORGOTTEN_KEY", key)
    assert len(erasure_log.find_erased_ids(frame, contract())) == 1


def test_what_still_holds_it_is_found(folder: Path) -> None:
    """As text, as JSON writes it, in the encoding of the data, in Parquet; compressed is said."""
    for name in ("a", "b", "runs"):
        (folder / name).mkdir()
    (folder / "a/text.md").write_text(f"about {ID}.", encoding="utf-8")
    (folder / "b/one.json").write_text(json.dumps([ID]), encoding="utf-8")
    (folder / "b/two.csv").write_text(f"x,{ID}\n", encoding="cp1252")
    (folder / "b/three.csv").write_text(f"{ID}8\nx{ID}\n", encoding="utf-8")
    pd.DataFrame({"x": ["a", ID]}).to_parquet("runs/x.parquet")
    (folder / "runs/x.gz").write_bytes(b"1")
    assert list(describe_residuals(ID, "cp1252", [])) == [
        "a/text.md",
        "b/one.json",
        "b/two.csv",
        "runs/x.parquet",
        "1 compressed files, such as runs/x.gz, are not looked into",
    ]
    assert "not looked for" in list(describe_residuals("7", "utf-8", []))[0]


def test_a_dry_run_and_the_command(
    made: Settings, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first changes nothing; the other says what went; the settings are those of the folder."""
    assert made.data.path == "data/*.csv"
    text = Path("config.toml").read_text(encoding="utf-8")
    config: Any = tomlkit.parse(text)
    config["data"] = made.data.model_dump(exclude_none=True)
    Path("config.toml").write_text(tomlkit.dumps(config), encoding="utf-8")
    before = all_bytes(Path.cwd())
    assert command("forget", f"--id={ID}", "--dry-run") == 0 and all_bytes(Path.cwd()) == before
    assert "Would remove 2 rows of 1 data files" in capsys.readouterr().out
    assert command("forget", f"--id={ID}") == 0
    assert "data/1.csv: 2 rows, 2 left" in capsys.readouterr().out


def test_what_is_older_than_the_retention_goes(folder: Path) -> None:
    """A request of yesterday stays, and no free page; without a log there is nothing to do."""
    (folder / "governance").mkdir()
    (folder / "governance/privacy.toml").write_text("[retention]\nlog_days = 2\n", encoding="utf-8")
    assert (
        delete_expired_requests(load_settings())[0] == 0
        and not (folder / "predictions.db").exists()
    )
    log([{"x": "of old " * 5000}], age=3)
    log([{"x": 1}], age=1)
    assert delete_expired_requests(load_settings()) == (
        1,
        "1 requests older than 2 days deleted, 1 left",
    )
    assert logged() == [("r0", [{"x": 1}], [{"prediction": 0}], 1)]
    assert b"of old" not in (folder / "predictions.db").read_bytes()
    with sqlite3.connect("predictions.db") as store:
        assert store.execute("pragma freelist_count").fetchone() == (0,)
