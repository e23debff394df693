"""Merging: rows that are settled become a file of the data, of their kind, beside the others.

It is made anew from the rows and the labels each time, so that the same labels give the same bytes,
and another label gives another version of the data.
"""

from fnmatch import fnmatchcase
from glob import escape, glob
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .. import ProjectError
from ..contract import Contract
from ..monitoring.window import logged
from ..prediction import conform
from ..reading import files, is_parquet, read_file, read_table
from ..settings import Data
from ..validation import breaches
from .queue import rows

MARK = "labelled"  # after `_` it is read after the file that it joins: rows keep their numbers


def destination(pattern: str) -> tuple[Path, str]:
    """The file for labelled rows, and the path of `config.toml` that names it too.

    Raises ProjectError where no pattern names just that file and the others.
    """
    known, path = files(pattern), Path(pattern)
    if path.exists():
        new = path.with_name(f"{path.stem}_{MARK}{path.suffix}")
        wide = path.with_name(f"{escape(path.stem)}*{path.suffix}").as_posix()
    else:
        head, star, tail = path.name.rpartition("*")
        joint = "_" if head and head[-1].isalnum() else ""
        new = known[0].with_name(f"{head}{joint}{MARK}{tail}" if star else path.name)
        wide = pattern
    others = {*map(Path, glob(wide)), *known} - {*known, new}
    if others or not fnmatchcase(new.as_posix(), wide):
        told = f"[data] path = {pattern!r}: no pattern names its files and {new.name} alone"
        raise ProjectError(f"{told}; move them into a folder of their own: data/mine/*.csv")
    return new, wide


def originals(pattern: str) -> list[Path]:
    """The configured files without the one of labelled rows."""
    return [path for path in files(pattern) if path != destination(pattern)[0]]


def largest(name: str, data: Data, contract: Contract) -> int:
    """The largest number in a column of the data, without the rows that were labelled here."""
    found = [read_table(str(path), data, contract)[name] for path in originals(data.path)]
    return int(pd.to_numeric(pd.concat(found), errors="coerce").max())


def read_again(unfinished: Path, found: pd.DataFrame, data: Data, contract: Contract) -> None:
    """Raises ProjectError where these rows are not read back as what they were."""
    names = list(map(str, found))
    back = conform(read_table(str(unfinished), data, contract), contract, names)
    if lost := [name for name in names if not found[name].equals(back[name])]:
        told = "are not read as they were logged; does contract.toml say how they are written?"
        raise ProjectError(f"{', '.join(lost)}: {told}")


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


def written(found: pd.DataFrame, like: Path, to: Path, data: Data, contract: Contract) -> None:
    """Write rows as this file has its own: its columns in their order, its kind, its marks."""
    head = next(read_file(like, data, str, 1)).columns
    frame = pd.DataFrame({name: found.get(name, np.nan) for name in head}, index=found.index)
    if is_parquet(like):
        schema = pq.read_schema(like).remove_metadata()
        try:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).cast(schema), to)
        except (pa.ArrowException, ValueError) as error:
            raise ProjectError(f"{to}: cannot be written as {like} is: {error}") from error
        return
    for name in contract.names("time"):
        form = contract.columns[name].format or "ISO8601"
        frame[name] = found[name].map(
            lambda it, form=form: it.isoformat() if form == "ISO8601" else it.strftime(form),
            na_action="ignore",
        )
    marks: Any = {"sep": data.separator, "decimal": data.decimal, "encoding": data.encoding}
    frame.to_csv(to, index=False, lineterminator="\n", **marks)


def merge(settled: dict[str, str], data: Data, contract: Contract) -> Path:
    """An unfinished file of labelled rows beside its place, read back as what they were.

    Raises ProjectError where they are not, and leaves everything as it was.
    """
    new, _ = destination(data.path)
    found = labelled(settled, data, contract)
    unfinished = new.with_name(f".{new.name}.part")
    try:
        written(found, originals(data.path)[0], unfinished, data, contract)
        read_again(unfinished, found, data, contract)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return unfinished
