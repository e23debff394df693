"""Merging: rows that are settled become a file of the data, of their kind, beside the others.

It is made anew from the rows and the labels each time, so that the same labels give the same bytes,
and another label gives another version of the data.
"""

from pathlib import Path

import pandas as pd

from mlops_ladder.data.casting import conform
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.datafile import destination, read_again, written
from mlops_ladder.data.reading import files, read_table
from mlops_ladder.data.validation import breaches
from mlops_ladder.labelling.queue import rows
from mlops_ladder.monitoring.archive import logged
from mlops_ladder.settings import Data

MARK = "labelled"  # after `_` it is read after the file that it joins: rows keep their numbers


def originals(pattern: str) -> list[Path]:
    """The configured files without the one of labelled rows."""
    return [path for path in files(pattern) if path != destination(pattern, MARK)[0]]


def largest(name: str, data: Data, contract: Contract) -> int:
    """The largest number in a column of the data, without the rows that were labelled here."""
    found = [read_table(str(path), data, contract)[name] for path in originals(data.path)]
    return int(pd.to_numeric(pd.concat(found), errors="coerce").max())


def labelled(settled: dict[str, str], data: Data, contract: Contract) -> pd.DataFrame:
    """The settled rows with their labels, each column as its kind, in the order of the queue.

    An id, or a group, is the name of the row, or a number that goes on from those that are there.
    Raises ProjectError where a row breaks the contract.
    """
    known = rows()
    names = [name for name in known if name in settled]
    raw = pd.DataFrame([known[name] for name in names], columns=contract.inputs())
    found = conform(raw, logged(contract), contract.inputs())
    found[contract.target] = [settled[name] for name in names]
    place = {name: at for at, name in enumerate(known, start=1)}
    for column in contract.names("id", "group"):
        if contract.columns[column].kind in ("number", "integer"):
            last = largest(column, data, contract)
            found[column] = [last + place[name] for name in names]
        else:
            found[column] = names
    wanted = contract.names("feature", "time", "target", "id", "group")
    return conform(found, logged(contract), wanted, [breaches])


def merge(settled: dict[str, str], data: Data, contract: Contract) -> Path:
    """An unfinished file of labelled rows beside its place, read back as what they were.

    Raises ProjectError where they are not, and leaves everything as it was.
    """
    new, _ = destination(data.path, MARK)
    found = labelled(settled, data, contract)
    unfinished = new.with_name(f".{new.name}.part")
    try:
        written(found, originals(data.path)[0], unfinished, data, contract)
        read_again(unfinished, found, data, contract)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return unfinished
