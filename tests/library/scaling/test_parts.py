"""Parts: whatever a file is cut into, its rows are those that it has as a whole."""

from pathlib import Path

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.reading import read_chunks, read_table
from mlops_ladder.scaling import batch
from mlops_ladder.settings import Data

MANY = 1000
LINES = [
    "größe,words",
    *(f"{number},plain" for number in range(40)),
    '41,"two\nlines, and ""quotes"""',
    '42,"ends here"',
    '43,"a long one\n\n\n\n\n\nover many lines"',
    "",
    *(f'{number},"{number}, quoted"' for number in range(44, 60)),
    '60,a stray " quote',
    *(f"{number},plain" for number in range(61, 90)),
]


def cut(path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, block: int) -> list[pd.DataFrame]:
    """The frames of each part."""
    monkeypatch.setattr(batch, "BLOCK", block)
    found = batch.list_parts(str(path), data)
    return [pd.concat(read_chunks([part], data, size=MANY)) for part in found]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [16, 50, 333, 10_000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_a_csv_is_cut_between_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: str, encoding: str
) -> None:
    """Also where a field holds the end of a line, or a quote; with and without an end at last."""
    path, data = tmp_path / "rows.csv", Data(path="", encoding=encoding)
    path.write_bytes(end.join(LINES).encode(encoding))
    found = cut(path, data, monkeypatch, block)
    whole = read_table(str(path), data)
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), whole)
    assert len(found) > 1 or block == 10_000 or encoding == "utf-16"
    path.write_bytes((end.join(LINES) + end).encode(encoding))
    assert sum(map(len, cut(path, data, monkeypatch, block))) == len(whole)


def test_parquet_is_cut_between_its_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small ones are put together, and no row is lost or comes twice."""
    frame = pd.DataFrame({"größe": range(1000)})
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    monkeypatch.setattr(batch, "ROWS", 250)
    found = cut(tmp_path / "rows.parquet", Data(path=""), monkeypatch, 1)
    assert [len(it) for it in found] == [200] * 5
    assert pd.concat(found)["größe"].tolist() == list(range(1000))


@pytest.mark.parametrize("content", [b"", b"a,b", b"a,b\n", b"PAR1", b"\xff\xfe\n1"])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """In the words in which it is as a whole."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(ProjectError) as whole:
        read_table(str(path), Data(path=""))
    with pytest.raises(ProjectError) as found:
        cut(path, Data(path=""), monkeypatch, 16)
    assert str(found.value) == str(whole.value)


def test_a_line_with_too_few_fields_is_numbered_in_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in its part."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1,2\n" * 50 + "3\n" + "1,2\n" * 50)
    with pytest.raises(ProjectError, match="line 52 has 1 fields"):
        cut(path, Data(path=""), monkeypatch, 16)
