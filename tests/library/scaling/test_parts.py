"""Parts: whatever a Parquet file is cut into, its rows are those that it has as a whole."""

from pathlib import Path

import pandas as pd
import pytest

from mlops_ladder.data.reading import read_chunks
from mlops_ladder.scaling import batch
from mlops_ladder.settings import Data, Settings

MANY = 1000


def cut(path: Path) -> list[pd.DataFrame]:
    """The frames of each part."""
    parts = batch.list_parts([path])
    return [pd.concat(read_chunks([part], Data(path=""), size=MANY)) for part in parts]


@pytest.mark.parametrize(
    ("group", "most", "sizes"),
    [(100, 250, [200] * 5), (100, 1000, [1000]), (400, 250, [400, 400, 200])],
)
def test_parquet_is_cut_between_its_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, most: int, sizes: list[int]
) -> None:
    """Small ones are put together, and no row is lost or comes twice."""
    frame = pd.DataFrame({"größe": range(1000)})
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=group)
    monkeypatch.setattr(batch, "ROWS", most)
    found = cut(tmp_path / "rows.parquet")
    assert [len(it) for it in found] == sizes
    assert pd.concat(found)["größe"].tolist() == list(range(1000))


def test_a_part_knows_the_rows_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its own file, and those of the files before it."""
    frame = pd.DataFrame({"größe": range(250)})
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        frame.to_parquet(path, row_group_size=100)
    monkeypatch.setattr(batch, "ROWS", 200)
    found = [(part.path, part.groups, part.before) for part in batch.list_parts(paths)]
    a, b = paths
    assert found == [(a, [0, 1], 0), (a, [2], 200), (b, [0, 1], 250), (b, [2], 450)]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"", b"PAR1", b"PAR1 and PAR1", b"\xff\xfe\n1"])
def test_other_and_damaged_files_are_read_by_one_process(
    tmp_path: Path, settings: Settings, content: bytes
) -> None:
    """Also beside a Parquet file: the batch is no work of the workers."""
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_bytes(content)
    assert batch.score_parts({}, f"{tmp_path}/*", settings) is None
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "b.csv")
    assert batch.score_parts({}, f"{tmp_path}/*", settings) is None
