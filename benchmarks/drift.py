# mypy: disable-error-code="import-not-found,import-untyped"
# pylint: disable=import-error  # the project's environment has them
"""How often the report on drift is wrong where nothing has changed, and what a million rows cost.

In a project of level 3 that has a champion:
.venv/bin/python TEMPLATE/benchmarks/drift.py [--reports N] [--seed N] [--rows N] [--package NAME]
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, UTC
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

REFERENCE = 10_000
WINDOWS = (200, 2_000, 20_000)
KINDS = {
    "normal": "number",
    "heavy_tail": "number",
    "mostly_zero": "number",
    "month": "integer",
    "rounded": "integer",
    "constant": "number",
    "mostly_missing": "number",
    "some_missing": "number",
    "seldom_true": "boolean",
    "five_words": "category",
    "rare_words": "category",
    "many_words": "category",
    "free_text": "text",
    "time": "time",
}


def rows(random: np.random.Generator, count: int) -> pd.DataFrame:
    """Rows from a distribution that never changes, with what makes tests go wrong."""
    normal, ranks = random.normal(size=(4, count)), np.arange(300)
    seen = random.random(count)
    rare = 1 / (ranks + 1) ** 1.5
    columns: dict[str, Any] = {
        "normal": normal[0],
        "heavy_tail": random.pareto(1.2, count),
        "mostly_zero": np.where(seen < 0.95, 0, normal[1]),
        "month": random.integers(1, 13, count),
        "rounded": (normal[2] * 10).round(),
        "constant": np.ones(count),
        "mostly_missing": np.where(random.random(count) < 0.995, np.nan, normal[3]),
        "some_missing": np.where(random.random(count) < 0.02, np.nan, normal[1] + normal[0]),
        "seldom_true": random.random(count) < 0.003,
        "five_words": random.choice(list("abcde"), count),
        "rare_words": np.char.add(
            "w", random.choice(ranks, count, p=rare / rare.sum()).astype(str)
        ),
        "many_words": np.char.add("tail ", random.integers(0, 4_000, count).astype(str)),
        "free_text": np.char.multiply("x", random.poisson(30, count)),
    }
    minutes = pd.to_timedelta(random.integers(0, 500_000, count), unit="min")
    return pd.DataFrame(columns).assign(time=pd.Timestamp("2024-01-01") + minutes)


def answers(random: np.random.Generator, count: int) -> pd.DataFrame:
    """What a classifier of three classes says."""
    classes = random.choice(["no", "yes", "perhaps"], count, p=[0.7, 0.25, 0.05])
    return pd.DataFrame({"prediction": classes, "score": random.beta(5, 2, count)})


def contract(package: str) -> Any:
    """The contract of these rows."""
    columns = {
        name: {"kind": kind, "role": "feature", "nullable": True} for name, kind in KINDS.items()
    }
    target = {"target": {"kind": "category", "role": "target"}}
    return import_module(f"{package}.data.contract").Contract(columns=columns | target)


def alarms(package: str, count: int, window: int, seed: int) -> pd.DataFrame:
    """Which columns each report names: by p alone, and with the effect that is asked for too."""
    comparison = import_module(f"{package}.monitoring.comparison")
    settings = import_module(f"{package}.settings.operations").Drift(namespace="benchmark")
    reference = import_module(f"{package}.monitoring.training_reference").Reference
    newest = import_module(f"{package}.monitoring.archive").Window
    random, found = np.random.default_rng((seed, window)), []
    for report in range(count):
        old = (rows(random, REFERENCE), answers(random, REFERENCE), {})
        champion = reference("1", "model", contract(package), *old)
        asked = newest(window, rows(random, window), answers(random, window))
        for it in comparison.judge_columns(comparison.build_pairs(champion, asked), settings):
            found.append((report, it.column, it.p <= it.threshold, it.drifted))
    return pd.DataFrame(found, columns=["report", "column", "p", "drifted"])


def rate(package: str, count: int, seed: int, windows: Sequence[int]) -> None:
    """Print the share of reports that are wrong."""
    declared = (
        import_module(f"{package}.settings.operations").Drift(namespace="benchmark").false_alarms
    )
    for window in windows:
        found = alarms(package, count, window, seed)
        shares = found.groupby("report")[["p", "drifted"]].any().mean()
        named = found[found["p"]]["column"].value_counts().to_dict()
        print(
            f"window {window:6,}: {count:,} reports, {shares['p']:.2%} name a column by p alone,"
            f" {shares['drifted']:.2%} with the effect (declared {declared:.2%}); {named}",
            flush=True,
        )


def fill(package: str, count: int) -> None:
    """Log so many requests of one row, drawn from the reference of the champion."""
    champion = import_module(f"{package}.monitoring.training_reference").read_reference()
    store = import_module(f"{package}.serving.store").Store("sqlite:///predictions.db")
    times = champion.contract.inputs("time")
    plain = champion.rows.assign(
        **{name: champion.rows[name].dt.strftime("%Y-%m-%dT%H:%M:%S") for name in times}
    ).astype("object")
    given = plain.where(champion.rows.notna(), None).to_dict("records")
    said = champion.predictions.to_dict("records")
    texts = [
        (
            orjson.dumps([row], option=orjson.OPT_SERIALIZE_NUMPY).decode(),
            orjson.dumps(
                [{"prediction": it["prediction"], "probability": {"a": it["score"]}}]
            ).decode(),
        )
        for row, it in zip(given, said * 10, strict=False)
    ]
    now, random = datetime.now(UTC), np.random.default_rng(0)
    for first in range(0, count, 10_000):
        drawn = random.integers(0, len(texts), min(10_000, count - first))
        store.write(
            [
                {
                    "request_id": f"id-{first + place}",
                    "time": now - timedelta(days=6) * (1 - (first + place) / count),
                    "model_version": champion.version,
                    "inputs": texts[number][0],
                    "output": texts[number][1],
                    "rows": 1,
                    "latency_ms": 1.0,
                }
                for place, number in enumerate(drawn)
            ]
        )
    store.close()


def scale(package: str, count: int) -> None:
    """Print what a report on so many logged rows costs, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copytree("models", place / "models")
        for name in ("config.toml", "config", "contract.toml"):
            shutil.copy(name, place / name)
        os.chdir(place)
        fill(package, count)
        size = Path("predictions.db").stat().st_size / 1e6
        os.environ[f"{package.upper()}_DRIFT__ROWS"] = str(count)
        started = time.perf_counter()
        command = [sys.executable, "-c", f"from {package} import main; raise SystemExit(main())"]
        ended = os.spawnv(os.P_WAIT, sys.executable, [*command, "drift"])
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        most = used.ru_maxrss / 1024
        busy = used.ru_utime + used.ru_stime
        print(
            f"{count:,} rows, {size:.0f} MB: {seconds:.1f} s ({busy:.1f} s of CPU), {most:.0f} MiB,"
            f" exit {ended}"
        )


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--windows", type=int, nargs="+", default=WINDOWS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--package", default="flight_delays")
    options = parser.parse_args()
    if options.reports:
        rate(options.package, options.reports, options.seed, options.windows)
    if options.rows:
        scale(options.package, options.rows)


if __name__ == "__main__":
    main()
