"""A folder of its own with some configured rows, and a log of the rows that were asked."""

import json
from collections.abc import Callable
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tomlkit

from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.sources import declare_files, SOURCES
from mlops_ladder.labelling.queue import QUEUE
from mlops_ladder.serving.store import Store
from mlops_ladder.settings import CONFIG, load_settings, Settings

ROWS, ASKED = 200, 12
LABELS = '\n["rows".labels]\nannotator = "Ada"\ntime = 2024-01-01\n'
Fill = Callable[..., Path]


def inputs(frame: pd.DataFrame, contract: Contract) -> list[dict[str, Any]]:
    """Rows as the service logs them."""
    rows = validate_and_cast(frame, contract, contract.inputs())
    found: list[dict[str, Any]] = json.loads(rows.to_json(orient="records", date_format="iso"))
    return found


def log(rows: list[dict[str, Any]], answers: list[dict[str, Any]], name: str = "asked") -> None:
    """Put one request into the log."""
    store = Store("sqlite:///predictions.db")
    record: Any = {"request_id": name, "time": datetime.now(UTC), "model_version": "a model"}
    record |= {"rows": len(rows), "latency_ms": 1.0}
    store.write([record | {"inputs": json.dumps(rows), "output": json.dumps(answers)}])
    store.close()


@pytest.fixture(name="project")
def _project(folder: Path, settings: Settings, frame: pd.DataFrame, contract: Contract) -> Settings:
    """Settings of one file of data that is declared, and a log of rows like others of the data."""
    (folder / "data").mkdir()
    has_label = frame[frame[contract.target].notna()]
    has_label.head(ROWS).to_csv(folder / "data/rows.csv", index=False)
    config: Any = tomlkit.parse(CONFIG.read_text(encoding="utf-8"))
    marks = {"encoding": "utf-8", "separator": ",", "decimal": ".", "path": "data/rows.csv"}
    config["data"].update(marks)
    config["data"].pop("thousands", None)
    CONFIG.write_text(tomlkit.dumps(config), encoding="utf-8")
    declare_files(load_settings())
    with SOURCES.open("a", encoding="utf-8") as file:
        file.write(LABELS)
    asked = inputs(has_label.tail(ASKED), contract)
    shares = [{"yes": 1 - place / 100, "no": place / 100} for place in range(len(asked))]
    if settings.problem == "regression":
        log(asked, [{"prediction": 1.0, "abstain": place > 5} for place in range(len(asked))])
    else:
        log(asked, [{"prediction": "yes", "probability": share} for share in shares])
    return load_settings(labels=settings.labels.model_copy(update={"rows": 6, "annotators": 2}))


@pytest.fixture
def fill(folder: Path) -> Fill:
    """`fill("ada", *labels)` fills the queue's sheet in, with these labels again and again."""

    def filled(name: str, *labels: str, sheet: Path = QUEUE) -> Path:
        table = pd.read_csv(sheet, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        table = table.sort_values("row", kind="stable")
        table["label"] = [labels[place % len(labels)] for place in range(len(table))]
        table.to_csv(folder / f"{name}.csv", index=False)
        return folder / f"{name}.csv"

    return filled


@pytest.fixture(name="two")
def _two(settings: Settings, contract: Contract, frame: pd.DataFrame) -> tuple[str, str]:
    """Two different labels of the configured problem, as the data write them."""
    values = validate_and_cast(frame, contract, [contract.target])[contract.target].dropna()
    if settings.problem == "regression":
        return str(values.min()), str(values.max())
    first, second = sorted(map(str, values.unique()))[:2]
    return first, second
