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
import tomlkit

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data import casting, columns, formats, reading, remote, sources
from mlops_ladder.data.contract import Contract
from mlops_ladder.settings import CONFIG, Data


def choose_destination(pattern: str, mark: str) -> tuple[Path, str]:
    """Return the file for rows with this mark, and the new path of the data in `config.toml`.

    Raises ProjectError if no pattern names just that file and the others.
    """
    files, path = reading.list_data_files(pattern), Path(pattern)
    kind = formats.detect_format(files[0], Data(path=pattern))[1].name
    if remote.is_remote(pattern) or kind not in ("CSV", "Parquet"):
        fault = "rows are added to files on this machine, and to CSV and Parquet only"
        raise ProjectError(f"{pattern}: {fault}; copy the rows to data/, `make contract` on them")
    if path.exists():
        new = path.with_name(f"{path.stem}_{mark}{path.suffix}")
        wide = path.with_name(f"{escape(path.stem)}*{path.suffix}").as_posix()
    else:
        head, star, tail = path.name.rpartition("*")
        joint = "_" if head and head[-1].isalnum() else ""
        new, wide = files[0].with_name(f"{head}{joint}{mark}{tail}"), pattern if star else ""
    others = {*map(Path, glob(wide)), *files} - {*files, new}
    if others or not fnmatchcase(new.as_posix(), wide):
        fault = f"[data] path = {pattern!r}: no pattern names its files and {new.name} alone"
        raise ProjectError(f"{fault}; move them into a folder of their own: data/mine/*.csv")
    return new, wide


def verify_round_trip(unfinished: Path, rows: pd.DataFrame, data: Data, contract: Contract) -> None:
    """Raise ProjectError if these rows are not read back unchanged."""
    names, frame = list(map(str, rows)), reading.read_table(str(unfinished), data, contract)
    back = casting.validate_and_cast(frame, contract, names)
    if lost := [name for name in names if not rows[name].equals(back[name])]:
        fault = "are not read as they were logged; does contract.toml say how they are written?"
        raise ProjectError(f"{', '.join(lost)}: {fault}")


def write_rows_like(
    rows: pd.DataFrame, like: Path, to: Path, data: Data, contract: Contract
) -> None:
    """Write rows as this file has its own: its columns in their order, its kind, its marks."""
    head = next(reading.read_file(like, data, str, 1)).columns
    frame = pd.DataFrame({name: rows.get(name, np.nan) for name in head}, index=rows.index)
    schema = pq.read_schema(like).remove_metadata() if reading.is_parquet(like) else None
    for name in contract.names("time"):
        column, kind = contract.columns[name], schema.field(name).type if schema else pa.string()
        if not pa.types.is_temporal(kind):
            frame[name] = rows[name].map(partial(columns.format_time, column), na_action="ignore")
        elif getattr(kind, "tz", None):
            once = np.ones(len(rows), dtype="bool")
            frame[name] = rows[name].dt.tz_localize(column.timezone, ambiguous=once)
    if schema is not None:
        try:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).cast(schema), to)
        except (pa.ArrowException, ValueError) as error:
            raise ProjectError(f"{to}: cannot be written as {like} is: {error}") from error
        return
    marks: Any = {"sep": data.separator, "decimal": data.decimal, "encoding": data.encoding}
    frame.to_csv(to, index=False, lineterminator="\n", **marks)


def write_checked(rows: pd.DataFrame, like: Path, to: Path, data: Data, contract: Contract) -> None:
    """Write rows as the file `like` has its own, and read them back.

    Args:
        rows: The rows, each column as its kind.
        like: A file of the data.
        to: The new file.
        data: How the data are written.
        contract: The contract of the data.

    Raises:
        ProjectError: The rows are not read back as what they were; then there is no new file.
    """
    try:
        write_rows_like(rows, like, to, data, contract)
        verify_round_trip(to, rows, data, contract)
    except BaseException:
        to.unlink(missing_ok=True)
        raise


def add_ids(
    rows: pd.DataFrame,
    labels: list[tuple[str, int]],
    paths: list[Path],
    data: Data,
    contract: Contract,
) -> None:
    """Fill the columns of role id and group: with names, or with numbers after the largest one.

    Args:
        rows: The rows to change.
        labels: The name of each row, and its place among the new ones, from 1.
        paths: The files whose largest number the places are added to.
        data: How the data are written.
        contract: The contract of the data.

    Raises:
        ProjectError: The column holds no number in the files.
    """
    for name in contract.names("id", "group"):
        if contract.columns[name].kind not in ("number", "integer"):
            rows[name] = [label for label, _ in labels]
            continue
        tables = (reading.read_table(str(path), data, contract)[name] for path in paths)
        largest = pd.to_numeric(pd.concat(tables), errors="coerce").max()
        if pd.isna(largest):
            reason = f"holds no number in {paths[0]}; is its kind right in contract.toml?"
            raise ProjectError(f"{name}: {reason}")
        rows[name] = [int(largest) + place for _, place in labels]


def describe_source(like: dict[str, Any], origin: str, restore: str, labels: Any) -> dict[str, Any]:
    """Return an entry of data/sources.toml for files that the project writes itself.

    Args:
        like: The source whose licence and owner hold for these files too.
        origin: Where the rows come from.
        restore: The command that brings a lost file back.
        labels: Who labelled the rows, and when.
    """
    facts = {key: like.get(key, sources.UNKNOWN) for key in ("licence", "owner")}
    facts |= {"restore": restore, "upstream": False, "labels": labels, "files": {}}
    return {"origin": origin, **facts}


def set_data_path(path: str) -> None:
    """Have `config.toml` name these files as the data, all else of it unchanged."""
    config: Any = tomlkit.parse(CONFIG.read_text(encoding="utf-8"))
    if config["data"]["path"] != path:
        config["data"]["path"] = path
        write_file_atomically(CONFIG, tomlkit.dumps(config))
        print(f"{CONFIG}: [data] path = {path!r} names the further files too")
