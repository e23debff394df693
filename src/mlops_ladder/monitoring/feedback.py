"""Feedback: logged rows with a known outcome become a further file of the data.

Each file is written once and never changes, so that a version of the data always means the same.
Which rows are in a file is stored with the outcomes before the file exists.  After a kill the next
`make feedback` finishes the file; it also restores a lost one.
"""

import re
from pathlib import Path
from typing import Any

import tomlkit

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data import datafile
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import compute_sha256, SOURCES
from mlops_ladder.monitoring.archive import complete_rows
from mlops_ladder.monitoring.outcomes import Key, OUTCOMES, Outcomes, read_labelled_rows
from mlops_ladder.settings import Data, load_settings, Settings

MARK = "feedback"
NUMBER = re.compile(rf"{MARK}-(\d+)")
ABOUT: dict[str, Any] = {
    "origin": "The prediction log, with the outcomes that came back",
    "restore": "ladder feedback",
    "labels": {"annotator": "what happened", "time": "known_at of the table outcomes"},
}


def write_feedback(
    settings: Settings, contract: Contract, archive: Outcomes
) -> tuple[Path | None, int]:
    """Write the new rows as a file of the data.  Return the file, None without new rows, and rows.

    Raises ProjectError if rows cannot be written as the data have theirs; then nothing is changed.
    """
    earlier, data = archive.list_used_files(), settings.data
    names = [*earlier, *tomlkit.parse(SOURCES.read_text("utf-8")).get(MARK, {}).get("files", {})]
    numbers = (int(match[1]) for match in map(NUMBER.search, names) if match)
    number = 1 + max(numbers, default=0)  # none comes twice, even if the log is another one
    place, wide = datafile.choose_destination(data.path, f"{MARK}-{number:04}")
    for name in earlier:
        restore_file(Path(name), archive, data, contract)
    unfinished = place.with_name(f".{place.name}.part")
    keys = write_rows("", unfinished, archive, data, contract)
    if not keys:
        return None, 0
    try:
        datafile.set_data_path(wide)
        archive.mark_used(keys, str(place))
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
    declare_file(place, len(keys))
    return place, len(keys)


def restore_file(place: Path, archive: Outcomes, data: Data, contract: Contract) -> None:
    """Write a file that was begun or lost, and its entry in data/sources.toml.

    Args:
        place: The file.
        archive: The outcomes, which name the file.
        data: How the data are written.
        contract: The contract of the data.
    """
    is_declared = str(place) in SOURCES.read_text(encoding="utf-8")
    if place.exists() and is_declared:
        return
    unfinished = place.with_name(f".{place.name}.part")
    keys = write_rows(str(place), unfinished, archive, data, contract)
    if place.exists():
        unfinished.unlink()
    else:
        unfinished.replace(place)
        print(f"{place}: brought back from the prediction log")
    if not is_declared:
        declare_file(place, len(keys))


def write_rows(file: str, to: Path, archive: Outcomes, data: Data, contract: Contract) -> list[Key]:
    """Write the rows with an outcome, with an id and a group of their own.  Return their keys.

    A name is that of the request and the row.  Numbers go on after the last one.

    Args:
        file: The data file whose rows are written; "" for rows that are in none yet.
        to: The file to write; none is written without rows.
        archive: The outcomes.
        data: How the data are written.
        contract: The contract of the data.
    """
    outcomes = archive.find_labelled(OUTCOMES.c.file == file)
    labelled = read_labelled_rows(archive, outcomes, contract, by_model=False)
    keys, paths = enumerate(labelled.keys, start=1), list_data_files(data.path)
    if labels := [(f"{request}-{row}", number) for number, (request, row) in keys]:
        rows = complete_rows(labelled.rows, labels, paths, data, contract)
        datafile.write_checked(rows, paths[0], to, data, contract)
    return labelled.keys


def declare_file(place: Path, rows: int) -> None:
    """Write the file into data/sources.toml."""
    document: Any = tomlkit.parse(SOURCES.read_text(encoding="utf-8"))
    first: Any = next(iter(document.values()), {})
    source = document.setdefault(MARK, datafile.describe_source(first, **ABOUT))
    source["files"][str(place)] = {"sha256": compute_sha256(place), "rows": rows}
    write_file_atomically(SOURCES, tomlkit.dumps(document))


def main() -> None:
    """Write logged rows with a known outcome as a file of the data, for the next training."""
    settings, contract = load_settings(), read_contract()
    if not SOURCES.exists():
        raise ProjectError(f"{SOURCES}: not here; run: make data DECLARE=yes")
    with Outcomes(settings.serving.prediction_log_url) as archive:
        place, rows = write_feedback(settings, contract, archive)
    if place is None:
        none = "No logged row has an outcome that is not in the data yet"
        print(f"{none}.  Next: make outcomes FILE=…")
        return
    print(f"{place}: {rows:,} rows.  Next: git add it (or make data-version), make pipeline")
