"""The least that a FastAPI service can do: check the same body, answer a constant."""

import os
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, create_model, Field

KINDS = {"number": float, "integer": int, "boolean": bool, "time": datetime}


class Answer(BaseModel):
    """What every row is answered."""

    prediction: bool


def field(column: dict[str, Any]) -> tuple[Any, Any]:
    """Type and bounds of a column of the contract."""
    words = column.get("categories")
    kind: Any = Literal[tuple(words)] if words else KINDS.get(column["kind"], str)
    low, high = column.get("range", (None, None))
    return (kind | None if column.get("nullable") else kind), Field(ge=low, le=high)


def service() -> FastAPI:
    """The service of the contract in this folder."""
    columns = tomllib.loads(Path("contract.toml").read_text(encoding="utf-8"))["columns"]
    inputs = {name: it for name, it in columns.items() if it["role"] in ("feature", "time")}
    fields: Any = {name: field(column) for name, column in inputs.items()}
    row: Any = create_model("Row", __config__=ConfigDict(extra="forbid"), **fields)
    app = FastAPI()

    async def predict(body: row | list[row]) -> Answer | list[Answer]:
        constant = Answer(prediction=True)
        return [constant] * len(body) if isinstance(body, list) else constant

    app.post("/predict")(predict)
    return app


if __name__ == "__main__":
    uvicorn.run(service(), port=int(os.environ["PORT"]), access_log=False, log_level="warning")
