"""A further file of the data: where it belongs, and rows written as the others have their own."""

from fnmatch import fnmatchcase
from functools import partial
from glob import escape, glob
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_ladder import ProjectError
from mlops_ladder.data import casting, columns, reading
from mlops_ladder.data.contract import Contract
from mlops_ladder.settings import Data


def choose_destination(pattern: str, mark: str) -> tuple[Path, str]:
    """The file for rows of this mark, and the path of `config.toml` that names it too.

    Raises ProjectError where no pattern names just that file and the others.
    """
    known, path = reading.list_data_files(pattern), Path(pattern)
    if path.exists():
        new = path.with_name(f"{path.stem}_{mark}{path.suffix}")
        wide = path.with_name(f"{escape(path.stem)}*{path.suffix}").as_posix()
    else:
        head, star, tail = path.name.rpartition("*")
        joint = "_" if head and head[-1].isalnum() else ""
        new, wide = known[0].with_name(f"{head}{joint}{mark}{tail}"), pattern if star else ""
    others = {*map(Path, glob(wide)), *known} - {*known, new}
    if others or not fnmatchcase(new.as_posix(), wide):
        told = f"[data] path = {pattern!r}: no pattern names its files and {new.name} alone"
        raise ProjectError(f"{told}; move them into a folder of their own: data/mine/*.csv")
    return new, wide


def verify_round_trip(
    unfinished: Path, found: pd.DataFrame, data: Data, contract: Contract
) -> None:
    """Raises ProjectError where these rows are not read back as what they were."""
    names = list(map(str, found))
    back = casting.validate_and_cast(
        reading.read_table(str(unfinished), data, contract), contract, names
    )
    if lost := [name for name in names if not found[name].equals(back[name])]:
        told = "are not read as they were logged; does contract.toml say how they are written?"
        raise ProjectError(f"{', '.join(lost)}: {told}")


def write_rows_like(
    found: pd.DataFrame, like: Path, to: Path, data: Data, contract: Contract
) -> None:
    """Write rows as this file has its own: its columns in their order, its kind, its marks."""
    head = next(reading.read_file(like, data, str, 1)).columns
    frame = pd.DataFrame({name: found.get(name, np.nan) for name in head}, index=found.index)
    schema = pq.read_schema(like).remove_metadata() if reading.is_parquet(like) else None
    for name in contract.names("time"):
        column, kind = contract.columns[name], schema.field(name).type if schema else pa.string()
        if not pa.types.is_temporal(kind):
            frame[name] = found[name].map(partial(columns.format_time, column), na_action="ignore")
        elif getattr(kind, "tz", None):
            once = np.ones(len(found), dtype="bool")
            frame[name] = found[name].dt.tz_localize(column.timezone, ambiguous=once)
    if schema is not None:
        try:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).cast(schema), to)
        except (pa.ArrowException, ValueError) as error:
            raise ProjectError(f"{to}: cannot be written as {like} is: {error}") from error
        return
    marks: Any = {"sep": data.separator, "decimal": data.decimal, "encoding": data.encoding}
    frame.to_csv(to, index=False, lineterminator="\n", **marks)
