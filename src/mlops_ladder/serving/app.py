"""The service: predictions over HTTP by the champion, typed by its contract."""

import asyncio
import logging
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, UTC
from inspect import isawaitable
from time import perf_counter
from typing import NamedTuple

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from mlops_ladder import project
from mlops_ladder.data.columns import Answer, Row
from mlops_ladder.serving.events import Observer, request_id, Served
from mlops_ladder.serving.model_reloader import Champion, Follower
from mlops_ladder.serving.openapi import described, Failure, Health, Ready, Version
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
LONG = 100_000  # bytes of a body that is answered in a thread, as all of a native model are

Authenticate = Callable[[Request], Awaitable[None] | None]
Choose = Callable[[Request, str, Champion | None], Champion | None]


class Reply(NamedTuple):
    """The body of an answer as JSON, and what it was made of."""

    content: bytes
    status: int = 200
    rows: Sequence[Row] = ()
    answers: Sequence[Answer] = ()


class Predictor:
    """`POST /predict`.  A plain Starlette endpoint: its types change while it runs."""

    def __init__(
        self,
        follower: Follower,
        observers: Sequence[Observer],
        authenticate: Authenticate | None,
        choices: Sequence[Choose],
    ) -> None:
        self.follower, self.observers = follower, observers
        self.authenticate, self.choices = authenticate, choices

    async def predict(self, request: Request) -> Response:
        """Answer a row or a list of rows; the observers know of it before the client does."""
        started, headers = perf_counter(), {"X-Request-ID": request_id(request)}
        champion = self.follower.current  # for the whole request: never two models in one answer
        for choose in self.choices:
            champion = choose(request, headers["X-Request-ID"], champion)
        try:
            reply = await self.reply(request, champion, headers["X-Request-ID"])
        except HTTPException as error:
            reply = Reply(orjson.dumps({"detail": error.detail}), error.status_code)
            headers |= error.headers or {}
        except Exception:  # pylint: disable=broad-exception-caught  # whatever a model raises
            LOG.exception("request %s failed", headers["X-Request-ID"])
            reply = Reply(b'{"detail":"the model failed"}', 500)
        self.tell(
            Served(
                request_id=headers["X-Request-ID"],
                time=datetime.now(UTC),
                status=reply.status,
                seconds=perf_counter() - started,
                model_version=champion.model.version if champion else "",
                rows=reply.rows,
                answers=reply.answers,
            )
        )
        return Response(reply.content, reply.status, headers, "application/json")

    async def reply(self, request: Request, champion: Champion | None, number: str) -> Reply:
        """The reply to a request.  Raises HTTPException where there is none to give."""
        if self.authenticate and isawaitable(asked := self.authenticate(request)):
            await asked
        if not champion:
            raise HTTPException(503, self.follower.trouble)
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, f"{kind or 'no content type'}: send application/json")
        try:
            body = await request.body()
        except ClientDisconnect as error:
            raise HTTPException(400, "the client went away") from error
        try:
            if len(body) > LONG or champion.model.bundle["runtime"] == "native":
                return await run_in_threadpool(replied, champion, body, number)
            return replied(champion, body, number)
        except ValidationError as error:
            detail = await run_in_threadpool(champion.types.faults, body, error)
            return Reply(orjson.dumps(detail), 422)

    def tell(self, event: Served) -> None:
        """Tell every observer; one that fails costs nobody an answer."""
        for observer in self.observers:
            try:
                observer(event)
            except Exception:  # pylint: disable=broad-exception-caught  # whatever it raises
                LOG.exception("%s failed", observer.name)


def replied(champion: Champion, body: bytes, number: str) -> Reply:
    """What a model says of the rows of a body.  ValidationError where they break its contract."""
    rows, many = champion.types.read(body)
    answers = champion.model.answers(rows)
    for place, name in champion.types.expected.outside(rows):
        answers[place].setdefault("outside", []).append(name)
    known = {"model_version": champion.model.version, "request_id": number}
    shown = champion.types.spelled(answers)
    said = ({"predictions": shown} if many else shown[0]) | known
    return Reply(orjson.dumps(said), 200, rows, answers)


def create_app(
    settings: Settings,
    follower: Follower,
    observers: Sequence[Observer] = (),
    authenticate: Authenticate | None = None,
    choices: Sequence[Choose] = (),
) -> FastAPI:
    """The service of the model that `follower` holds; on start it looks for one.

    `observers` are told of each request.  `authenticate` may raise HTTPException.  Each of
    `choices` may give another model for a request, by its id, than the champion or the one before.
    """
    heard = list(observers)  # an extension of the service may add another
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title=project.current().package,
        description=settings.about.question,
        version="1",
        lifespan=lambda _: living(follower, heard, settings.serving.poll_seconds),
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.follower, app.state.observers, app.state.choices = follower, heard, choices
    predict = Predictor(follower, heard, authenticate, choices).predict
    app.router.routes.insert(0, Route("/predict", predict, methods=["POST"]))
    # FastAPI's own way to describe more than it knows.
    app.openapi = lambda: described(app, follower.types)  # type: ignore[method-assign]
    add_probes(app, follower, heard, settings.serving.commit)
    return app


@asynccontextmanager
async def living(
    follower: Follower, observers: Sequence[Observer], seconds: float
) -> AsyncIterator[None]:
    """From the start of the service to its end: follow the champion, then close the observers."""
    await asyncio.to_thread(follower.look)
    following = asyncio.create_task(follower.follow(seconds))
    yield
    following.cancel()
    # All at once: each may wait for a database, and the process is killed after its grace.
    await asyncio.gather(*(asyncio.to_thread(observer.close) for observer in observers))


def add_probes(app: FastAPI, follower: Follower, heard: Sequence[Observer], commit: str) -> None:
    """What those who run the service ask it."""

    @app.get("/health")
    async def health() -> Health:
        """Does the process live, and how are its observers?"""
        counts = {observer.name: observer.counts() for observer in heard}
        return Health(trouble=follower.trouble, observers=counts)

    @app.get("/ready", responses={503: {"model": Failure, "description": "No model is served"}})
    async def ready() -> Ready:
        """Is there a model to answer with?"""
        if not follower.current:
            raise HTTPException(503, follower.trouble)
        return Ready(model_version=follower.current.model.version)

    @app.get("/version")
    async def version() -> Version:
        """Which model, which code, which Python?"""
        known = told(follower.current) if follower.current else {}
        return Version(**known, commit=commit, python=platform.python_version())


def told(served: Champion) -> dict[str, str]:
    """Which model is served, and how."""
    return {
        "version": served.number,
        "model_version": served.model.version,
        "run_id": served.run_id,
        "runtime": served.model.bundle["runtime"],
        "why": served.model.bundle.get("why"),
    }
