"""`POST /predict`: FastAPI describes it by the types of the champion, which change while it runs.

FastAPI's own reading of a body and its check of an answer would take a third of the time of a
one-row request (docs/adr).  So the route reads the bytes with the same types, and answers itself.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, UTC
from inspect import isawaitable
from time import perf_counter
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import APIRouter, Body, Header, HTTPException, Request, Response
from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from mlops_ladder.data.columns import Answer, Row
from mlops_ladder.serving.events import get_request_id, Observer, PredictionEvent
from mlops_ladder.serving.model_reloader import ModelReloader, ServedModel
from mlops_ladder.serving.schemas import Failure, Refusal, Types

LOG = logging.getLogger(__name__)
THREADPOOL_MIN_BYTES = 100_000  # a longer body is answered in a thread, as all of a native model
FAILURES = {415: "Not JSON", 500: "The model failed", 503: "No model is served"}
DESCRIPTION = """Predict for one row, or for a list of rows; a list is answered by a list.

A value outside of what is expected is answered, and `outside` names its column.  A row that breaks the
contract refuses the request: 422 names the row and the column.

Send `X-Request-ID` (up to 64 letters, digits, `.`, `_`, `-`) to find a request again in the log;
without a valid one, the request gets a new id."""

Authenticator = Callable[[Request], Awaitable[None] | None]
ModelSelector = Callable[[Request, str, ServedModel | None], ServedModel | None]


class Reply(NamedTuple):
    """The body of an answer as JSON, and the rows and answers that it was made of."""

    content: bytes
    status: int = 200
    rows: Sequence[Row] = ()
    answers: Sequence[Answer] = ()


@dataclass
class Predictor:
    """Answers requests to `/predict` with the model of a reloader, and notifies the observers."""

    reloader: ModelReloader
    observers: Sequence[Observer]
    authenticate: Authenticator | None
    selectors: Sequence[ModelSelector]

    async def predict(self, request: Request) -> Response:
        """Answer a row or a list of rows; the observers are notified before the client."""
        started, request_id = perf_counter(), get_request_id(request)
        headers = {"X-Request-ID": request_id}
        model = self.reloader.current  # for the whole request: one model answers all its rows
        for select in self.selectors:
            model = select(request, request_id, model)
        try:
            reply = await self.reply(request, model, request_id)
        except HTTPException as error:
            reply = Reply(orjson.dumps({"detail": error.detail}), error.status_code)
            headers |= error.headers or {}
        except Exception:  # pylint: disable=broad-exception-caught  # models raise anything
            LOG.exception("request %s failed", request_id)
            reply = Reply(b'{"detail":"the model failed"}', 500)
        version, now = model.model.version if model else "", datetime.now(UTC)
        source = request_id, now, reply.status, perf_counter() - started, version
        self.notify(PredictionEvent(*source, reply.rows, reply.answers))
        return Response(reply.content, reply.status, headers, "application/json")

    async def reply(self, request: Request, model: ServedModel | None, request_id: str) -> Reply:
        """Return the reply to a request.  Raise HTTPException if there is none."""
        if self.authenticate and isawaitable(waiting := self.authenticate(request)):
            await waiting
        if not model:
            raise HTTPException(503, self.reloader.last_error)
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, f"{kind or 'no content type'}: send application/json")
        try:
            body = await request.body()
        except ClientDisconnect as error:
            raise HTTPException(400, "the client went away") from error
        try:
            if len(body) > THREADPOOL_MIN_BYTES or model.model.bundle["runtime"] == "native":
                return await run_in_threadpool(answer_rows, model, body, request_id)
            return answer_rows(model, body, request_id)
        except ValidationError as error:
            violations = await run_in_threadpool(model.types.list_violations, body, error)
            return Reply(orjson.dumps(violations), 422)

    def notify(self, event: PredictionEvent) -> None:
        """Give every observer an event; if one fails, the client still gets its answer."""
        for observer in self.observers:
            try:
                observer(event)
            except Exception:  # pylint: disable=broad-exception-caught  # observers raise anything
                LOG.exception("%s failed", observer.name)


def answer_rows(model: ServedModel, body: bytes, request_id: str) -> Reply:
    """Return the answers to a body.  Raise ValidationError if a row breaks the contract."""
    rows, is_list = model.types.parse_rows(body)
    answers = model.model.answers(rows)
    for number, name in model.types.expected.find_outside(rows):
        answers[number].setdefault("outside", []).append(name)
    source = {"model_version": model.model.version, "request_id": request_id}
    spelled = model.types.spell_booleans(answers)
    document = ({"predictions": spelled} if is_list else spelled[0]) | source
    return Reply(orjson.dumps(document), 200, rows, answers)


class PredictRoute(APIRoute):
    """A route that FastAPI describes by its signature, and that the service's predictor answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""

        async def handle(request: Request) -> Response:
            response: Response = await request.app.predictor.predict(request)
            return response

        return handle


def describe_responses(failures: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Return the answers of `/predict`: each has the id of its request."""
    header = {"headers": {"X-Request-ID": {"schema": {"type": "string"}}}}
    responses: dict[int | str, dict[str, Any]] = {
        200: header | {"description": "A prediction"},
        422: header | {"description": "Rows that break the contract", "model": Refusal},
    }
    for status, words in failures.items():
        responses[status] = header | {"description": words, "model": Failure}
    return responses


def create_predict_router(
    types: Types, failures: dict[int, str], dependencies: Sequence[Depends]
) -> APIRouter:
    """Return a router with `POST /predict` for one champion.

    Args:
        types: What the champion takes and answers.
        failures: The descriptions of further answers, by status.
        dependencies: What the description says of access; the predictor asks for it.
    """
    examples: Any = {
        "one": {"summary": "One row", "value": types.example},
        "many": {"summary": "A list of rows", "value": [types.example, types.example]},
    }
    router = APIRouter(
        route_class=PredictRoute, generate_unique_id_function=lambda route: route.name
    )

    @router.post(
        "/predict",
        response_model=types.answer,
        responses=describe_responses(FAILURES | failures),
        description=DESCRIPTION,
        dependencies=dependencies,
        # A key is optional until the first one is made.
        openapi_extra={"security": [{}]} if dependencies else None,
    )
    async def predict(
        # Types are made for each champion.
        rows: Annotated[types.body, Body(openapi_examples=examples)],  # type: ignore[name-defined]
        x_request_id: Annotated[str, Header(alias="X-Request-ID")] = "",
    ) -> Response:
        raise NotImplementedError(f"{rows} {x_request_id}: PredictRoute answers")

    return router
