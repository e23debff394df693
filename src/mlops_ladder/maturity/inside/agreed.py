"""Of what people agree on: which labels there are, whose data are learned from, made older."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_ladder.maturity.inside import given, part
from mlops_ladder.maturity.inside.rows import parquet


def labels() -> Any:
    """Two different labels, as a person writes them."""
    frame, contract, settings = given()
    found = part("labelling.label_import").classes(settings, contract)
    if not found:
        values = part("data.casting").conform(frame, contract, [contract.target])[contract.target]
        found = [values.min(), values.max()]
    return [str(found[0]), str(found[-1])]


def digest() -> Any:
    """The sha256 of all data, and how many rows they have."""
    frame, _, settings = given()
    found = part("data.sources").checksum(*part("data.reading").files(settings.data.path))
    return [found, len(frame)]


def upstream() -> Any:
    """The sources of others that training reads, whose rows say how old they are."""
    settings = part("settings").load_settings()
    return [
        it.source
        for it in part("governance.data_agreements").select_promises(settings)
        if it.freshness.column
    ]


def age(source: str) -> Any:
    """Take away the newest rows of a source, so that it is older than was promised."""
    promise = part("data.agreements").promises()[source]
    fresh = promise.freshness
    frames = {
        path: kept_in(path)
        for path in part("governance.data_agreements").list_source_files(promise)
    }
    when = {
        path: part("data.casting").times(frame[fresh.column].astype(str), fresh.format)
        for path, frame in frames.items()
    }
    newest = max(it.max() for it in when.values())
    end = min(pd.Timestamp(fresh.until or newest), newest) - timedelta(days=fresh.max_age_days + 1)
    left = {path: frame[when[path] < end] for path, frame in frames.items()}
    for path, kept in left.items():
        keep(kept, path)
    return sum(map(len, left.values()))


def kept_in(path: Path) -> pd.DataFrame:
    """The rows of a file of data, of CSV as they are written."""
    settings = part("settings").load_settings()
    if parquet(settings):
        return pd.read_parquet(path)
    data = settings.data
    return pd.read_csv(path, sep=data.separator, encoding=data.encoding, dtype=str)


def keep(frame: pd.DataFrame, path: Path) -> None:
    """These rows are the file's; without any there is no file."""
    settings = part("settings").load_settings()
    if frame.empty:
        path.unlink()
    elif parquet(settings):
        frame.to_parquet(path)
    else:
        data = settings.data
        frame.to_csv(path, index=False, sep=data.separator, encoding=data.encoding)
