"""OpenAPI: the service described with the columns of the contract."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field, TypeAdapter

from mlops_ladder.serving.schemas import Types

SCHEMAS = "#/components/schemas/{model}"
PREDICT = """Predict for one row, or for a list of rows; the answer has the form of the question.

A value outside of what is expected is answered, and `outside` names its column.  A row that breaks the
contract refuses the request: 422 names the row and the column.

Send `X-Request-ID` (up to 64 letters, digits, `.`, `_`, `-`) to find a request again in the log;
without one that is fit, the request gets a new one."""


class Fault(BaseModel):
    """What is wrong, and where: `["body", row number from 0 (in a list), column]`."""

    type: str
    loc: list[str | int]
    msg: str


class Refused(BaseModel):
    """The first 20 faults of a request, and how many `more` there are.

    A list is answered as a whole or refused as a whole: send the other rows again.
    """

    detail: list[Fault]
    more: int = 0


class Failure(BaseModel):
    """Why there is no answer."""

    detail: str


class Health(BaseModel):
    """The process lives.  `trouble`: why a published model is not served."""

    status: str = "ok"
    trouble: str | None
    observers: dict[str, dict[str, int]]


class Ready(BaseModel):
    """A model is served."""

    model_version: str


class Version(BaseModel):
    """What is served: `version` is its number in the registry, `model_version` what it learned."""

    version: str | None = None
    model_version: str | None = None
    run_id: str | None = None
    runtime: str | None = Field(default=None, description="onnx or native")
    why: str | None = Field(default=None, description="why it is native")
    commit: str = Field(description="of the code")
    python: str


def described(app: FastAPI, types: Types) -> dict[str, Any]:
    """The OpenAPI document of the service while it takes and gives these types."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    adapters: dict[str, TypeAdapter[Any]] = {
        "row": types.row,
        "rows": types.rows,
        "answer": types.answer,
        "answers": types.answers,
        "refused": TypeAdapter(Refused),
        "failure": TypeAdapter(Failure),
    }
    found, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items()], ref_template=SCHEMAS
    )
    shown = {name: schema for (name, _), schema in found.items()}
    document["paths"]["/predict"] = {"post": operation(shown, types.example)}
    document["components"]["schemas"] |= shared["$defs"]
    return document


def operation(shown: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """`POST /predict`: what it takes, and every answer that it gives."""
    row = content({"anyOf": [shown["row"], shown["rows"]]})
    row["application/json"]["examples"] = {
        "one": {"summary": "One row", "value": example},
        "many": {"summary": "A list of rows", "value": [example, example]},
    }
    number = {"name": "X-Request-ID", "in": "header", "schema": {"type": "string"}}
    failures = {"415": "Not JSON", "500": "The model failed", "503": "No model is served"}
    answers = {code: answer(words, shown["failure"]) for code, words in failures.items()}
    answers["200"] = answer("A prediction", {"anyOf": [shown["answer"], shown["answers"]]})
    answers["422"] = answer("Rows that break the contract", shown["refused"])
    return {
        "summary": "Predict",
        "description": PREDICT,
        "operationId": "predict",
        "parameters": [number],
        "requestBody": {"required": True, "content": row},
        "responses": dict(sorted(answers.items())),
    }


def content(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON of this schema."""
    return {"application/json": {"schema": schema}}


def answer(words: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One answer: what it means, its header and its body."""
    header = {"X-Request-ID": {"schema": {"type": "string"}}}
    return {"description": words, "headers": header, "content": content(schema)}
