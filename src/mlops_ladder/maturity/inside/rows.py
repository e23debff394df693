"""Of the configured rows as they stand in the files: counted, spoiled, in the order of a split."""

import json
from math import ceil
from random import Random
from typing import Any

import pandas as pd
from pandas.api import types

from mlops_ladder.maturity.inside import given, part

MOST = 5000  # rows that are spoiled: enough for every rule, and read in a second


def parquet(settings: Any) -> bool:
    """Are the files Parquet?"""
    return bool(part("data.reading").is_parquet(part("data.reading").files(settings.data.path)[0]))


def raw(settings: Any) -> pd.DataFrame:
    """The rows of all files; those of a CSV as text, cell by cell."""
    data, found = settings.data, part("data.reading").files(settings.data.path)
    if parquet(settings):
        return pd.concat(map(pd.read_parquet, found), ignore_index=True)
    options: Any = {"sep": data.separator, "encoding": data.encoding, "skipinitialspace": True}
    frames = [pd.read_csv(it, **options, dtype=str, keep_default_na=False) for it in found]
    rows: pd.DataFrame = pd.concat(frames, ignore_index=True).rename(columns=str.strip)
    return rows


def write(frame: pd.DataFrame, settings: Any, path: str) -> None:
    """A file of the same kind."""
    if parquet(settings):
        frame.to_parquet(path)
    else:
        data = settings.data
        frame.to_csv(path, sep=data.separator, encoding=data.encoding, index=False)


def count() -> Any:
    """How many there are."""
    return len(raw(part("settings").load_settings()))


def cells(frame: pd.DataFrame, name: str, places: list[int], value: Any) -> pd.DataFrame:
    """The rows with another value in some cells of a column."""
    values = frame[name]
    if isinstance(value, str) or (value is not None and not types.is_numeric_dtype(values)):
        values, value = values.astype("object").map(str, na_action="ignore"), str(value)
    values = values.astype("object" if isinstance(value, str | None) else "float64")
    values.iloc[places] = value
    return frame.assign(**{name: values})


def spoiled(frame: pd.DataFrame, fault: str, name: str, value: Any, random: Random) -> pd.DataFrame:
    """The rows with one fault in this column."""
    if fault == "lost":
        return frame.drop(columns=name)
    if fault == "copied":
        return frame.assign(**{value: frame[name]})
    if fault in ("flood", "gap"):
        many = ceil(value * len(frame)) if fault == "flood" else 1
        return cells(frame, name, random.sample(range(len(frame)), many), None)
    one, two = random.sample(range(len(frame)), 2)
    if fault == "twin":
        return cells(frame, name, [one, two], frame[name].iloc[one])
    return cells(frame, name, [one], value)


def spoil(path: str, plan: str) -> Any:
    """Write some rows that have a target, with these faults in them; how many, or None.

    None where training reads other rows than the files hold.
    """
    asked, (known, contract, settings) = json.loads(plan), given()
    frame = raw(settings)
    if len(frame) != len(known):
        return None
    frame = frame[known[contract.target].notna().to_numpy()].reset_index(drop=True)
    random, most = Random(asked["seed"]), min(asked.get("most", MOST), len(frame))
    frame = frame.iloc[sorted(random.sample(range(len(frame)), most))]
    for fault, name, value in asked["faults"]:
        frame = spoiled(frame, fault, name, value, random)
    write(frame, settings, path)
    return len(frame)


def order(path: str) -> Any:
    """Of each part of a saved split its times, and what it lacks or has that it should not."""
    settings, contract = part("settings").load_settings(), part("data.contract").read_contract()
    rows = part("model.training").prepare_training_rows(
        part("problem").read_data(settings), contract, settings
    )
    names, times = contract.names("id") or ["row"], contract.names("time")[:1]
    known = rows.assign(row=rows.index + 1)[[*dict.fromkeys([*names, *times])]]
    known[names] = known[names].astype("str").where(known[names].notna(), "")
    saved = pd.read_csv(path, dtype=str, keep_default_na=False)
    both = known.merge(saved, how="outer", on=names, indicator=True)
    spans = [
        [name, str(found[time].min()), str(found[time].max())]
        for time in times
        for name, found in both.groupby("part", sort=False)
    ]
    return {"astray": int((both["_merge"] != "both").sum()), "spans": spans}
