"""Formats: the same rows are read from every kind of file; what cannot be read says the way out."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data import formats
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.data.reading import read_chunks, read_table
from mlops_ladder.settings import Data

ROWS = pd.DataFrame({"id": ["007", "b", "c"], "size": [1.5, None, -2.25], "count": [1, 2, 3]})
CONTRACT = Contract(
    columns={
        "id": Column(kind="text", role="id"),
        "size": Column(kind="number", role="feature", nullable=True),
        "count": Column(kind="integer", role="target"),
    }
)
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 100


def write_zip(path: str, **contents: str) -> None:
    """Write an archive of these files; `a_csv` is `a.csv`."""
    with ZipFile(path, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name.replace("_csv", ".csv"), text)


def write_json(path: str) -> None:
    """Write the rows as JSON lines; a missing value has no key in its row."""
    rows = [row.dropna().to_dict() for _, row in ROWS.iterrows()]
    lines = [json.dumps(row, default=int) for row in rows]
    Path(path).write_text("\n".join([*lines, "", ""]), "utf-8")


CSV = ROWS.to_csv(index=False)
WRITERS: dict[str, Callable[[str], object]] = {
    "rows.csv": lambda path: Path(path).write_text(CSV, encoding="utf-8"),
    "rows.tsv": lambda path: Path(path).write_bytes(ROWS.to_csv(index=False, sep="\t").encode()),
    "rows.csv.gz": lambda path: Path(path).write_bytes(gzip.compress(CSV.encode())),
    "rows.tsv.gz": lambda path: Path(path).write_bytes(
        gzip.compress(ROWS.to_csv(index=False, sep="\t").encode())
    ),
    "rows.zip": lambda path: write_zip(path, rows_csv=CSV, **{"__MACOSX/._rows.csv": "x"}),
    "rows.parquet": ROWS.to_parquet,
    "rows.feather": ROWS.to_feather,
    "rows.jsonl": write_json,
    "rows.xlsx": lambda path: ROWS.to_excel(path, index=False),
    "wrong-name.csv": ROWS.to_parquet,
    "wrong.xlsx": lambda path: Path(path).write_bytes(gzip.compress(CSV.encode())),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("size", [None, 2])
def test_the_same_rows_are_read_from_each_kind_of_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int | None
) -> None:
    """In one go and in parts; the content decides, and then the name."""
    monkeypatch.chdir(tmp_path)
    WRITERS[name](name)
    chunks = list(read_chunks(name, Data(path=name), CONTRACT, size))
    assert [len(chunk) for chunk in chunks] == ([3] if size is None else [2, 1])
    rows = pd.concat(chunks)
    assert list(rows) == list(ROWS)
    assert rows["id"].tolist() == ["007", "b", "c"]
    assert np.array_equal(rows["size"].astype("float64"), ROWS["size"], equal_nan=True)
    assert rows["count"].astype("int64").tolist() == [1, 2, 3]
    assert rows.index.tolist() == [0, 1, 2]


def test_numbers_of_a_sheet_are_numbers_where_a_comma_is_the_decimal_mark(tmp_path: Path) -> None:
    """A model that was trained on 1,5 reads 1.234 of a workbook as it is, and not as 1234."""
    path = tmp_path / "rows.xlsx"
    pd.DataFrame({"size": [1.234, 2.5], "count": [1, 2]}).to_excel(path, index=False)
    data = Data(path=str(path), decimal=",", thousands=".", separator=";", encoding="cp1252")
    assert read_table(str(path), data, CONTRACT)["size"].tolist() == [1.234, 2.5]


def test_a_workbook_with_blank_rows_and_an_empty_sheet_is_read(tmp_path: Path) -> None:
    """Blank rows and columns around the rows are left out, and so are empty sheets."""
    path = tmp_path / "rows.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame().to_excel(book, sheet_name="empty")
        ROWS.to_excel(book, sheet_name="rows", index=False, startrow=2, startcol=1)
    assert read_table(str(path), Data(path=""), CONTRACT)["id"].tolist() == ["007", "b", "c"]


def two_sheets(path: Path) -> None:
    """Write a workbook with two sheets that hold rows."""
    with pd.ExcelWriter(path) as book:
        ROWS.to_excel(book, sheet_name="May", index=False)
        ROWS.to_excel(book, sheet_name="June", index=False)


def encrypted_zip(path: Path) -> None:
    """Write an archive whose only file is marked as encrypted."""
    write_zip(str(path), a_csv=CSV)
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + place] |= 1
    path.write_bytes(raw)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "an old workbook": (
        lambda path: path.write_bytes(OLE),
        "an old Excel workbook (.xls), or one with a password; save it as .xlsx without a password",
    ),
    "several files": (
        lambda path: write_zip(str(path), a_csv=CSV, b_csv=CSV),
        "a ZIP archive of 2 files (a.csv, b.csv); unpack it; several files that belong together: DATA='folder/*.csv'",
    ),
    "an encrypted archive": (
        encrypted_zip,
        "an encrypted ZIP archive; unpack it with its password",
    ),
    "two sheets": (
        two_sheets,
        "several sheets hold rows (May, June); save each as a CSV of its own",
    ),
    "a cut archive": (
        lambda path: path.write_bytes(b"PK\x03\x04\0\0"),
        "File is not a zip file; it is damaged: bring it again",
    ),
    "a cut gzip": (
        lambda path: path.write_bytes(gzip.compress(CSV.encode() * 999)[:-20]),
        "Compressed file ended before the end-of-stream marker was reached; it is damaged: bring it again",
    ),
    "packed Parquet": (
        lambda path: path.write_bytes(gzip.compress(b"PAR1")),
        "Parquet in a packed file; unpack it",
    ),
    "no JSON": (
        lambda path: path.write_text('{"a": 1}\n{"a": \n'),
        "line 2 is no JSON object (Expecting value: line 2 column 1 (char 7)); write each row as one in a line of its own",
    ),
    "a list of JSON": (
        lambda path: path.write_text('[{"a": 1}]'),
        "JSON, but not in lines; write each row as an object in a line of its own",
    ),
    "xz": (
        lambda path: path.write_bytes(b"\xfd7zXZ\0\0"),
        "compressed, but not by gzip or ZIP; unpack it",
    ),
    "old Feather": (
        lambda path: path.write_bytes(b"FEA1"),
        "a Feather file of version 1; write it again as Parquet",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_says_the_way_out(tmp_path: Path, name: str) -> None:
    """In one line, that begins with the file."""
    path = tmp_path / "rows.csv"
    write, reason = REFUSED[name]
    write(path)
    with pytest.raises(ProjectError) as error:
        read_table(str(path), Data(path=""))
    assert str(error.value).startswith(f"{path}: cannot be read")
    assert str(error.value).endswith(f": {reason}")


def test_a_missing_package_is_named_with_the_command_that_adds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Excel needs openpyxl, which is not always here."""
    path = tmp_path / "rows.xlsx"
    ROWS.to_excel(path, index=False)
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(ProjectError, match="openpyxl: not installed; add it: uv add 'openpyxl'"):
        read_table(str(path), Data(path=""))


def test_values_of_several_kinds_become_text_and_large_ones_stay() -> None:
    """A column is never refused for its values: nested ones are JSON, others as Python writes them."""
    names = ["mixed", "nested", "large", "gone"]
    table = formats.make_table(names, [[1, {"a": [1]}, 2**70, None], ["x", None, 3, None]])
    frame = formats.make_frame(table)
    assert frame["mixed"].tolist() == ["1", "x"]
    assert frame["nested"].iloc[0] == '{"a": [1]}'
    assert frame["large"].tolist() == [str(2**70), "3"]
    assert frame["gone"].isna().all() and isinstance(table.schema.field("gone").type, pa.DataType)
    with pytest.raises(ValueError, match="column 'a' is there twice"):
        formats.make_table(["a", "a"], [[1, 2]])
