"""Of what people agree on: which labels there are, whose data are learned from, made older."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from . import given, part
from .rows import parquet


def labels() -> Any:
    """Two different labels, as a person writes them."""
    frame, contract, settings = given()
    found = part("labelling.taking").classes(settings, contract)
    if not found:
        values = part("prediction").conform(frame, contract, [contract.target])[contract.target]
        found = [values.min(), values.max()]
    return [str(found[0]), str(found[-1])]


def digest() -> Any:
    """The sha256 of all data, and how many rows they have."""
    frame, _, settings = given()
    found = part("sources").checksum(*part("reading").files(settings.data.path))
    return [found, len(frame)]


def upstream() -> Any:
    """The sources of others that training reads, whose rows say how old they are."""
    settings = part("settings").load()
    return [it.source for it in part("upstream").used(settings) if it.freshness.column]


def age(source: str) -> Any:
    """Take away the newest rows of a source, so that it is older than was promised."""
    settings, promise = part("settings").load(), part("promises").promises()[source]
    data, fresh = settings.data, promise.freshness
    options: Any = {"sep": data.separator, "encoding": data.encoding, "dtype": str}
    read, times = parquet(settings), part("reading").times
    frames: dict[Path, pd.DataFrame] = {
        path: pd.read_parquet(path) if read else pd.read_csv(path, **options)
        for path in part("upstream").here(promise)
    }
    when = {
        path: times(frame[fresh.column].astype(str), fresh.format) for path, frame in frames.items()
    }
    newest = max(it.max() for it in when.values())
    end = min(pd.Timestamp(fresh.until or newest), newest)
    left = 0
    for path, frame in frames.items():
        kept = frame[when[path] < end - timedelta(days=fresh.max_age_days + 1)]
        left += len(kept)
        if kept.empty:
            path.unlink()
        elif read:
            kept.to_parquet(path)
        else:
            marks: Any = {"sep": data.separator, "encoding": data.encoding}
            kept.to_csv(path, index=False, **marks)
    return left
