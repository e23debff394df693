"""Feedback: logged rows whose outcome is known become a further file of the data.

Each file is made once and stays as it is, so that a version of the data means the same for ever.
Which rows are in which file is written down with the outcomes before the file is there: what a kill
interrupts is finished by the next `make feedback`, which also brings a lost file back.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import tomlkit

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.datafile import choose_destination, verify_round_trip, write_rows_like
from mlops_ladder.data.reading import list_data_files, read_table
from mlops_ladder.data.sources import compute_sha256, SOURCES, UNKNOWN
from mlops_ladder.data.validation import find_contract_violations
from mlops_ladder.monitoring.archive import logged
from mlops_ladder.monitoring.joining import Joined, joined, pairs
from mlops_ladder.monitoring.outcomes import OUTCOMES, Outcomes
from mlops_ladder.settings import CONFIG, Data, load_settings, Settings

MARK = "feedback"
NUMBER = re.compile(rf"{MARK}-(\d+)")
NUMBERS = ("number", "integer")
RESTORE = "ladder feedback"


def feed(settings: Settings, contract: Contract, archive: Outcomes) -> tuple[Path | None, int]:
    """The new file of the data, none where no row is new, and how many rows it has.

    Raises ProjectError where rows cannot be written as the data have theirs; nothing is changed.
    """
    before, data = archive.used(), settings.data
    place, wide = choose_destination(data.path, f"{MARK}-{following(before):04}")
    for name in before:
        complete(Path(name), archive, data, contract)
    new = rows_of(archive, "", contract)
    if new.rows.empty:
        return None, 0
    unfinished = place.with_name(f".{place.name}.part")
    try:
        write(new, unfinished, data, contract)
        widen(wide, data)
        archive.mark(new.keys, str(place))
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
    declare(place, len(new.rows))
    return place, len(new.rows)


def following(used: list[str]) -> int:
    """The number of the next file: no number comes twice, also where the log is another one."""
    names = [*used, *tomlkit.parse(SOURCES.read_text("utf-8")).get(MARK, {}).get("files", {})]
    return 1 + max((int(it[1]) for name in names if (it := NUMBER.search(name))), default=0)


def complete(place: Path, archive: Outcomes, data: Data, contract: Contract) -> None:
    """Have a file that was begun: its rows, and its place in data/sources.toml."""
    known = rows_of(archive, str(place), contract)
    if not place.exists():
        unfinished = place.with_name(f".{place.name}.part")
        write(known, unfinished, data, contract)
        unfinished.replace(place)
        print(f"{place}: brought back from the prediction log")
    if str(place) not in SOURCES.read_text(encoding="utf-8"):
        declare(place, len(known.rows))


def rows_of(archive: Outcomes, file: str, contract: Contract) -> Joined:
    """The rows with an outcome that are in this file of the data; without a name, in none yet."""
    found = archive.labelled(OUTCOMES.c.file == file)
    return joined(pairs(archive, found), contract, answered=False)


def write(them: Joined, to: Path, data: Data, contract: Contract) -> None:
    """Write these rows as the first file of the data has its own, and read them back."""
    like = list_data_files(data.path)[0]
    found = named(them, like, data, contract)
    try:
        write_rows_like(found, like, to, data, contract)
        verify_round_trip(to, found, data, contract)
    except BaseException:
        to.unlink(missing_ok=True)
        raise


def named(them: Joined, like: Path, data: Data, contract: Contract) -> pd.DataFrame:
    """The rows with an id and a group of their own, each column as its kind.

    That is the name of the request and the row; where ids are numbers, those after the last one.
    """
    rows = them.rows.copy()
    for name in contract.names("id", "group"):
        words = [f"{request}-{row}" for request, row in them.keys]
        numbers = contract.columns[name].kind in NUMBERS
        rows[name] = list(after(like, name, len(words), data, contract)) if numbers else words
    wanted = contract.names("feature", "time", "target", "id", "group")
    return validate_and_cast(rows, logged(contract), wanted, [find_contract_violations])


def after(like: Path, name: str, count: int, data: Data, contract: Contract) -> Iterator[int]:
    """So many whole numbers after the largest one in a column of the data."""
    known = [read_table(str(path), data, contract)[name] for path in list_data_files(data.path)]
    last = pd.to_numeric(pd.concat(known), errors="coerce").max()
    if pd.isna(last):
        message = f"{name}: holds no number in {like}; is its kind right in contract.toml?"
        raise ProjectError(message)
    yield from range(int(last) + 1, int(last) + 1 + count)


def widen(pattern: str, data: Data) -> None:
    """Have `config.toml` name the further files too."""
    if pattern == data.path:
        return
    config: Any = tomlkit.parse(CONFIG.read_text(encoding="utf-8"))
    config["data"]["path"] = pattern
    write_file_atomically(CONFIG, tomlkit.dumps(config))
    print(f"{CONFIG}: [data] path = {pattern!r} names the further files too")


def declare(place: Path, rows: int) -> None:
    """Have data/sources.toml say where the file comes from."""
    document: Any = tomlkit.parse(SOURCES.read_text(encoding="utf-8"))
    first: Any = next(iter(document.values()), {})
    source = document.setdefault(
        MARK,
        {
            "origin": "The prediction log, with the outcomes that came back",
            "licence": first.get("licence", UNKNOWN),
            "owner": first.get("owner", UNKNOWN),
            "restore": RESTORE,
            "upstream": False,
            "labels": {"annotator": "what happened", "time": "known_at of the table outcomes"},
            "files": {},
        },
    )
    source["files"][str(place)] = {"sha256": compute_sha256(place), "rows": rows}
    write_file_atomically(SOURCES, tomlkit.dumps(document))


def main() -> None:
    """Make a file of the data from logged rows whose outcome is known, for the next training."""
    settings, contract = load_settings(), read_contract()
    if not SOURCES.exists():
        raise ProjectError(f"{SOURCES}: not here; run: make data DECLARE=yes")
    with Outcomes(settings.serving.prediction_log_url) as archive:
        place, rows = feed(settings, contract, archive)
    if place is None:
        print(
            "No logged row has an outcome that is not in the data yet.  Next: make outcomes FILE=…"
        )
        return
    print(f"{place}: {rows:,} rows.  Next: git add it (or make data-version), make pipeline")
