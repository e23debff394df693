"""Questions about the configured rows as they are in the files: counted, spoiled, aged, split."""

import json
from collections.abc import Iterable
from datetime import timedelta
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
from pandas.api import types

from mlops_ladder.maturity.inside import part, read_project, read_training_rows

MAX_ROWS = 5000  # with faults: enough for every rule, and read within a second
MAX_PRIVATE_ROWS = 300


def list_files(settings: Any) -> list[Path]:
    """Return the files that training reads."""
    return list(part("data.reading").list_data_files(settings.data.path))


def has_types(settings: Any) -> bool:
    """Return whether the files are no CSV."""
    kind = part("data.formats").detect_format(list_files(settings)[0], settings.data)[1]
    return bool(kind.name != "CSV")


def read_raw(settings: Any, paths: Iterable[Path]) -> pd.DataFrame:
    """Return the rows of these files; those of a CSV as text, cell by cell."""
    if has_types(settings):
        return pd.DataFrame(pd.concat(part("data.reading").read_chunks([*paths], settings.data)))
    data = settings.data
    options: Any = {"sep": data.separator, "encoding": data.encoding, "skipinitialspace": True}
    frames = [pd.read_csv(path, **options, dtype=str, keep_default_na=False) for path in paths]
    rows: pd.DataFrame = pd.concat(frames, ignore_index=True).rename(columns=str.strip)
    return rows


def write_raw(frame: pd.DataFrame, settings: Any, path: str | Path) -> None:
    """Write a file of the same kind: as CSV, else as Parquet."""
    if has_types(settings):
        frame.to_parquet(path)
    else:
        data = settings.data
        frame.to_csv(path, sep=data.separator, encoding=data.encoding, index=False)


def count_rows() -> Any:
    """Return the number of rows in the files."""
    settings = part("settings").load_settings()
    return len(read_raw(settings, list_files(settings)))


def count_training_rows() -> int:
    """Return the number of rows that training reads."""
    return len(read_project()[0])


def first_file() -> str:
    """Return the first file of the data."""
    return str(list_files(part("settings").load_settings())[0])


def data_digest() -> Any:
    """Return the sha256 of all data, and the number of their rows."""
    frame, _, settings = read_project()
    digest = part("data.sources").compute_sha256(*list_files(settings))
    return [digest, len(frame)]


def change_cells(frame: pd.DataFrame, name: str, places: list[int], value: Any) -> pd.DataFrame:
    """Return the rows with another value in some cells of a column."""
    values = frame[name]
    if isinstance(value, str) or (value is not None and not types.is_numeric_dtype(values)):
        values, value = values.astype("object").map(str, na_action="ignore"), str(value)
    values = values.astype("object" if isinstance(value, str | None) else "float64")
    values.iloc[places] = value
    return frame.assign(**{name: values})


def plant_fault(frame: pd.DataFrame, fault: tuple[str, str, Any], random: Random) -> pd.DataFrame:
    """Return the rows with one fault: kind, column and value."""
    kind, name, value = fault
    if kind == "lost":
        return frame.drop(columns=name)
    if kind == "copied":
        return frame.assign(**{value: frame[name]})
    if kind in ("flood", "gap"):
        count = ceil(value * len(frame)) if kind == "flood" else 1
        return change_cells(frame, name, random.sample(range(len(frame)), count), None)
    one, two = random.sample(range(len(frame)), 2)
    if kind == "twin":
        return change_cells(frame, name, [one, two], frame[name].iloc[one])
    return change_cells(frame, name, [one], value)


def write_spoiled_rows(path: str, plan: str) -> Any:
    """Write some rows that have a target, with these faults in them; return their number.

    Return None if training reads other rows than the files hold.
    """
    spec, (rows, contract, settings) = json.loads(plan), read_project()
    frame = read_raw(settings, list_files(settings))
    if len(frame) != len(rows):
        return None
    frame = frame[rows[contract.target].notna().to_numpy()].reset_index(drop=True)
    random, count = Random(spec["seed"]), min(spec.get("most", MAX_ROWS), len(frame))
    frame = frame.iloc[sorted(random.sample(range(len(frame)), count))]
    for fault in spec["faults"]:
        frame = plant_fault(frame, fault, random)
    write_raw(frame, settings, path)
    return len(frame)


def describe_split(path: str) -> Any:
    """Return the time span of each part of a saved split, and the number of unmatched rows."""
    rows, contract, _ = read_training_rows()
    names, times = contract.names("id") or ["row"], contract.names("time")[:1]
    table = rows.assign(row=rows.index + 1)[[*dict.fromkeys([*names, *times])]]
    table[names] = table[names].astype("str").where(table[names].notna(), "")
    saved = pd.read_csv(path, dtype=str, keep_default_na=False)
    both = table.merge(saved, how="outer", on=names, indicator=True)
    spans = [
        [name, str(group[time].min()), str(group[time].max())]
        for time in times
        for name, group in both.groupby("part", sort=False)
    ]
    return {"astray": int((both["_merge"] != "both").sum()), "spans": spans}


def choose_labels() -> Any:
    """Return two different labels, as a person would write them."""
    frame, contract, settings = read_project()
    labels = part("labelling.labels").list_classes(settings, contract)
    if not labels:
        columns = part("data.casting").validate_and_cast(frame, contract, [contract.target])
        values = columns[contract.target]
        labels = [values.min(), values.max()]
    return [str(labels[0]), str(labels[-1])]


def list_upstream_sources() -> Any:
    """Return the sources with other owners that training reads and whose rows have a time."""
    settings = part("settings").load_settings()
    agreements = part("governance.data_agreements").select_promises(settings)
    return [promise.source for promise in agreements if promise.freshness.column]


def remove_newest_rows(source: str) -> Any:
    """Remove rows until a source is older than its agreement allows; return the number left."""
    settings = part("settings").load_settings()
    agreement = part("data.agreements").read_agreements()[source]
    fresh, times = agreement.freshness, part("data.casting").parse_timestamps
    paths = part("governance.data_agreements").list_source_files(agreement)
    frames = {path: read_raw(settings, [path]) for path in paths}
    when = {path: times(frames[path][fresh.column].astype(str), fresh.format) for path in frames}
    newest = max(moments.max() for moments in when.values())
    end = min(pd.Timestamp(fresh.until or newest), newest) - timedelta(days=fresh.max_age_days + 1)
    rest = {path: frame[when[path] < end] for path, frame in frames.items()}
    for path, frame in rest.items():
        if frame.empty:
            path.unlink()
        else:
            write_raw(frame, settings, path)
    return sum(map(len, rest.values()))


def write_private_rows(path: str, ids: str, words: str, odd: str) -> Any:
    """Write rows with two more columns, and an odd text in one cell; return one of the ids."""
    settings = part("settings").load_settings()
    frame = read_raw(settings, list_files(settings)).head(MAX_PRIVATE_ROWS)
    frame[ids] = [f"trial-{number}-of-many" for number in range(len(frame))]
    frame[words] = ["ordinary"] * (len(frame) - 1) + [odd or "ordinary"]
    write_raw(frame, settings, path)
    return frame[ids].iloc[len(frame) // 2]
