"""Logged predictions of a published champion and what became of them, of any problem."""

import json
from datetime import datetime, UTC
from pathlib import Path

import orjson
import pandas as pd

from mlops_ladder.export import bundle
from mlops_ladder.export.runtime import frame_to_rows, load_bundle
from mlops_ladder.model.training import Trained
from mlops_ladder.serving.store import Store

URL = "sqlite:///predictions.db"
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
PART = 20  # rows of a request


def publish(trained: Trained, run_id: str = "run") -> None:
    """Have `trained` served from this folder, as the model of a run."""
    bundle.export_bundle(trained, Path("models/serving/1"))
    pointer = {"version": "1", "run_id": run_id, "sha256": ""}
    Path("models/serving/champion.json").write_text(json.dumps(pointer), encoding="utf-8")


def log(trained: Trained, rows: pd.DataFrame, time: datetime = NOW) -> pd.DataFrame:
    """Ask for these rows, 20 a request, and log it; their outcomes as a file has them."""
    model, target = load_bundle(Path("models/serving/1")), trained.contract.target
    asked = frame_to_rows(rows[trained.contract.inputs()])
    for row in asked:
        row |= {k: v.to_pydatetime() for k, v in row.items() if isinstance(v, pd.Timestamp)}
    starts = range(0, len(asked), PART)
    store = Store(URL)
    store.write(
        [
            {
                "request_id": f"request-{start}",
                "time": time,
                "model_version": model.version,
                "inputs": orjson.dumps(part := asked[start : start + PART]).decode(),
                "output": orjson.dumps(model.answers(part)).decode(),
                "rows": len(part),
                "latency_ms": 1.0,
            }
            for start in starts
        ]
    )
    store.close()
    places = range(len(rows))
    return pd.DataFrame(
        {
            "request_id": [f"request-{place // PART * PART}" for place in places],
            "row": [place % PART + 1 for place in places],
            target: rows[target].tolist(),
        }
    )
