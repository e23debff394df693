"""Sources: every data file is declared, and is what it was."""

from pathlib import Path

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data import sources
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.settings import Settings


@pytest.fixture(name="declared")
def _declared(folder: Path, settings: Settings, frame: pd.DataFrame) -> Settings:
    """Settings of a file that is declared, in a folder of its own."""
    (folder / "data").mkdir()
    frame.head(5).to_csv(folder / "data" / "rows.csv", index=False)
    data = settings.data.model_copy(update={"path": "data/rows.csv", "encoding": "utf-8"})
    data = data.model_copy(update={"separator": ",", "decimal": ".", "thousands": None})
    here = settings.model_copy(update={"data": data})
    sources.declare_files(here)
    return here


def test_every_file_that_training_reads_is_declared_and_unchanged(settings: Settings) -> None:
    """Each configured file stands in data/sources.toml, with the sha256 that it has."""
    known: dict[str, dict[str, str]] = {}
    for source in sources.read_sources().values():
        known |= source["files"]
    now = {str(path): sources.compute_sha256(path) for path in list_data_files(settings.data.path)}
    assert {name: known.get(name, {}).get("sha256") for name in now} == now


def test_one_flipped_byte_is_found(declared: Settings) -> None:
    """A file of which one byte differs is named."""
    path = Path(declared.data.path)
    content = bytearray(path.read_bytes())
    assert not sources.find_changed_files(sources.read_sources())
    content[-2] ^= 1
    path.write_bytes(content)
    assert [line.split(":")[0] for line in sources.find_changed_files(sources.read_sources())] == [
        str(path)
    ]


def test_a_missing_file_comes_back_from_its_origin(declared: Settings, folder: Path) -> None:
    """A file that is gone is copied from the origin that its source names."""
    path = Path(declared.data.path)
    path.rename(folder / "elsewhere.csv")
    text = sources.SOURCES.read_text(encoding="utf-8")
    known = text.replace('origin = "unknown"', 'origin = "elsewhere.csv"')
    sources.SOURCES.write_text(known, encoding="utf-8")
    sources.restore_source("rows", sources.read_sources()["rows"])
    assert not sources.find_changed_files(sources.read_sources())


def test_a_missing_file_of_unknown_origin_is_refused(declared: Settings) -> None:
    """Where nobody has said the origin, the way out is told."""
    Path(declared.data.path).unlink()
    with pytest.raises(ProjectError, match="put the file back, or say in data/sources.toml"):
        sources.restore_source("rows", sources.read_sources()["rows"])


def test_declaring_counts_the_rows(declared: Settings) -> None:
    """A declared file carries its number of rows."""
    source = sources.read_sources()["rows"]
    assert source["files"][declared.data.path]["rows"] == 5
