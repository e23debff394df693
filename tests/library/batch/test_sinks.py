"""Sinks: predictions are written whole or not at all, to every kind of file and to tables."""

import gzip
import io
import json
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from sqlite3 import connect
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pytest
from library.batch.test_scoring import _alone, _rows  # pylint: disable=unused-import  # fixtures

from mlops_ladder import ProjectError
from mlops_ladder.batch.sinks import name_rejected, open_sink, refuse_overwriting
from mlops_ladder.data.contract import Contract

FRAME = pd.DataFrame({"id": [1, 2], "prediction": ["=yes", "no"], "share": [0.1 + 0.2, None]})
read_csv = partial(pd.read_csv, float_precision="round_trip")
READERS: dict[str, Callable[[str], pd.DataFrame]] = {
    "found.csv": read_csv,
    "found.txt": read_csv,
    "found.tsv": lambda path: read_csv(path, sep="\t"),
    "found.csv.gz": lambda path: read_csv(io.BytesIO(gzip.decompress(Path(path).read_bytes()))),
    "found.zip": lambda path: read_csv(ZipFile(path).open("found.csv")),
    "found.tsv.zip": lambda path: read_csv(ZipFile(path).open("found.tsv"), sep="\t"),
    "found.parquet": pd.read_parquet,
    "found.feather": pd.read_feather,
    "found.jsonl": lambda path: pd.DataFrame(
        map(json.loads, Path(path).read_text(encoding="utf-8").splitlines())
    ),
    "found.jsonl.gz": lambda path: pd.DataFrame(
        map(json.loads, gzip.open(path, "rt", encoding="utf-8"))
    ),
    "found.xlsx": pd.read_excel,
}


@pytest.mark.parametrize("name", READERS)
def test_each_kind_of_file_holds_what_was_written(
    folder: Path, contract: Contract, name: str
) -> None:
    """In two parts, to the last digit; a text that begins like a formula stays a text."""
    with open_sink(name, contract) as sink:
        sink.write(FRAME)
        sink.write(FRAME)
        assert not Path(name).exists()
        sink.commit()
    expected = pd.concat([FRAME, FRAME], ignore_index=True)
    exact = {"atol": 0, "rtol": 1e-15 if name.endswith("xlsx") else 0}  # Excel has 16 digits
    pd.testing.assert_frame_equal(READERS[name](name), expected, check_dtype=False, **exact)
    assert sorted(path.name for path in folder.glob("found*")) == [name]


@pytest.mark.parametrize("name", READERS)
def test_a_batch_that_fails_leaves_the_old_file_and_no_part(
    folder: Path, contract: Contract, name: str
) -> None:
    """Also if it fails before the first row."""
    Path(name).write_text("old", encoding="utf-8")
    for frames in ([], [FRAME]):
        with pytest.raises(KeyboardInterrupt), open_sink(name, contract) as sink:
            for frame in frames:
                sink.write(frame)
                sink.reject(frame)
            raise KeyboardInterrupt
        assert Path(name).read_text(encoding="utf-8") == "old"
        assert sorted(path.name for path in folder.glob("found*")) == [name]


@pytest.mark.parametrize("name", ["a.xls", "a.json", "a.csv.xz", "a.parquet.gz", "a.xlsx.zip"])
def test_a_kind_that_is_not_written_is_refused(folder: Path, contract: Contract, name: str) -> None:
    """Before the work, with the names that are."""
    with pytest.raises(ProjectError, match="is not written; end its name in csv, tsv, csv.gz"):
        with open_sink(name, contract):
            pass
    assert not list(folder.glob("a.*"))


def test_a_sheet_that_excel_cannot_open_is_refused(
    folder: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Excel would cut it at a million rows."""
    monkeypatch.setattr("mlops_ladder.batch.sinks.SHEET_ROWS", 3)
    with pytest.raises(ProjectError, match="found.xlsx: Excel opens 3 rows; write to a .csv"):
        with open_sink("found.xlsx", contract) as sink:
            sink.write(FRAME)
            sink.write(FRAME)
    assert not list(folder.glob("found*"))


def test_what_is_read_is_not_written_to(folder: Path) -> None:
    """Under any of its names, and also if only the rejected rows would go there."""
    (folder / "rows.csv").write_text("x\n1\n")
    for pattern, target in (
        ("*.csv", str(folder / "rows.csv")),
        ("sqlite:///own.db#t", "sqlite:///own.db#t"),
        ("s3://bucket/a.csv", "s3://bucket/a.csv"),
    ):
        with pytest.raises(ProjectError, match="the file that is read; write to another"):
            refuse_overwriting(pattern, "other.csv", target)
    refuse_overwriting("*.csv", "other.csv", "sqlite:///own.db#t")


def test_rejected_rows_are_beside_the_answers() -> None:
    """As a file beside a file or an object, as a table beside a table."""
    assert name_rejected("out/found.csv") == "out/found.rejected.csv"
    assert name_rejected("found.parquet") == "found.rejected.csv"
    assert name_rejected("s3://bucket/a/found.csv") == "s3://bucket/a/found.rejected.csv"
    assert name_rejected("sql://BASE#scores") == "sql://BASE#scores_rejected"


def read_rows(statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query of own.db."""
    with closing(connect("own.db")) as base:
        return base.execute(statement).fetchall()


def test_a_batch_reads_a_table_and_writes_to_one(
    rows: Path, contract: Contract, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same answers as from a file; a rejected row is in a table beside, and the status is 3."""
    assert command("predict", "--data", str(rows), "--out", "found.csv") == 0
    frame, names = pd.read_parquet(rows).reset_index(drop=True), contract.inputs("number", "time")
    with closing(connect("own.db")) as base:
        frame.to_sql("customers", base, index=False)
    source, out = "sqlite:///own.db#customers", "sqlite:///own.db#scores"
    assert command("predict", "--data", source, "--out", out) == 0
    expected = pd.read_csv("found.csv")["prediction"].tolist()  # SQLite's True is 1
    answers = [row[0] for row in read_rows("select prediction from scores")]
    assert sorted(answers) == sorted(expected) and len(answers) == len(frame)
    if not names:
        return
    with closing(connect("own.db")) as base:
        base.execute(f'update customers set "{names[0]}" = "nonsense" where rowid = 2')
        base.commit()
    capsys.readouterr()
    assert command("predict", "--data", source, "--out", out) == 3
    assert f"1 of {len(frame)} rows break the contract" in capsys.readouterr().err
    rejected = read_rows("select * from scores_rejected")
    assert [row[0] for row in rejected] == [2] and names[0] in rejected[0][1]
