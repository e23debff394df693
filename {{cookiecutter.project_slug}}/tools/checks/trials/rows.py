"""The configured rows as they stand in the files: counted, spoiled, or in the order of a split.

Run by the project's own Python, in its folder: rows.py PACKAGE count | spoil FILE PLAN | order FILE
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from math import ceil
from random import Random
from typing import Any

import pandas as pd
from pandas.api import types

MOST = 5000  # rows that are spoiled: enough for every rule, and read in a second


class Project:
    """What is asked of the project that is judged: its settings, its readers, its contract."""

    def __init__(self, package: str) -> None:
        names = ("settings", "contract", "reading", "problem", "training")
        found = {name: import_module(f"{package}.{name}") for name in names}
        self.reading: Any = found["reading"]
        self.training: Any = found["training"]
        self.settings: Any = found["settings"].load()
        self.contract: Any = found["contract"].read_contract()
        self.read_data: Callable[[Any], pd.DataFrame] = found["problem"].read_data

    @property
    def table(self) -> bool:
        """Are the files Parquet?"""
        first = self.reading.files(self.settings.data.path)[0]
        return bool(self.reading.is_parquet(first))

    def raw(self) -> pd.DataFrame:
        """The rows of all files; those of a CSV as text, cell by cell."""
        data = self.settings.data
        found = self.reading.files(data.path)
        if self.table:
            return pd.concat(map(pd.read_parquet, found), ignore_index=True)
        options: Any = {"sep": data.separator, "encoding": data.encoding, "skipinitialspace": True}
        frames = [pd.read_csv(it, **options, dtype=str, keep_default_na=False) for it in found]
        return pd.concat(frames, ignore_index=True).rename(columns=str.strip)

    def write(self, frame: pd.DataFrame, path: str) -> None:
        """A file of the same kind."""
        data = self.settings.data
        if self.table:
            frame.to_parquet(path)
        else:
            frame.to_csv(path, sep=data.separator, encoding=data.encoding, index=False)


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
        count = ceil(value * len(frame)) if fault == "flood" else 1
        return cells(frame, name, random.sample(range(len(frame)), count), None)
    one, two = random.sample(range(len(frame)), 2)
    if fault == "twin":
        return cells(frame, name, [one, two], frame[name].iloc[one])
    return cells(frame, name, [one], value)


def spoil(project: Project, path: str, plan: str) -> dict[str, Any]:
    """Write up to 5,000 rows that have a target, with these faults in them."""
    asked = json.loads(plan)
    frame, known = project.raw(), project.read_data(project.settings)
    if len(frame) != len(known):
        return {"otherwise": True}
    kept = known[project.contract.target].notna().to_numpy()
    frame = frame[kept].reset_index(drop=True)
    random = Random(asked["seed"])
    frame = frame.iloc[sorted(random.sample(range(len(frame)), min(MOST, len(frame))))]
    for fault, name, value in asked["faults"]:
        frame = spoiled(frame, fault, name, value, random)
    project.write(frame, path)
    return {"rows": len(frame)}


def order(project: Project, path: str) -> dict[str, Any]:
    """Of each part of a saved split its times, and what it lacks or has that it should not."""
    contract, settings = project.contract, project.settings
    rows = project.training.learnable(project.read_data(settings), contract, settings)
    names, times = contract.names("id") or ["row"], contract.names("time")
    known = rows.assign(row=rows.index + 1)[[*dict.fromkeys([*names, *times[:1]])]]
    known[names] = known[names].astype("str").where(known[names].notna(), "")
    saved = pd.read_csv(path, dtype=str, keep_default_na=False)
    both = known.merge(saved, how="outer", on=names, indicator=True)
    spans = (
        [
            [part, *(str(it) for it in (found[times[0]].min(), found[times[0]].max()) if times)]
            for part, found in both.groupby("part", sort=False)
        ]
        if times
        else []
    )
    return {"astray": int((both["_merge"] != "both").sum()), "spans": spans}


def main() -> None:
    """Do what is asked, and print what came of it as JSON."""
    package, command, *rest = sys.argv[1:]
    project = Project(package)
    if command == "count":
        found = {"rows": len(project.raw())}
    else:
        found = {"spoil": spoil, "order": order}[command](project, *rest)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
