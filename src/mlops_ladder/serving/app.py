"""The service: predictions over HTTP by the champion, typed by its contract."""

import asyncio
import logging
import platform
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, UTC
from importlib.util import find_spec, module_from_spec
from inspect import isawaitable
from time import perf_counter
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from mlops_ladder import project, ProjectError
from mlops_ladder.data.columns import Answer, Row
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.plugins import get_hooks
from mlops_ladder.serving.events import Observer, request_id, Served
from mlops_ladder.serving.model_reloader import Champion, FOLDER, Follower
from mlops_ladder.serving.openapi import described, Health, Ready, Version
from mlops_ladder.serving.schemas import Types
from mlops_ladder.settings import load_settings, Settings

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
        started, number = perf_counter(), request_id(request)
        headers = {"X-Request-ID": number}
        champion = self.follower.current  # for the whole request: never two models in one answer
        for choose in self.choices:
            champion = choose(request, number, champion)
        try:
            reply = await self.reply(request, champion, number)
        except HTTPException as error:
            reply = Reply(orjson.dumps({"detail": error.detail}), error.status_code)
            headers |= error.headers or {}
        except Exception:  # pylint: disable=broad-exception-caught  # whatever a model raises
            LOG.exception("request %s failed", number)
            reply = Reply(b'{"detail":"the model failed"}', 500)
        version, now = champion.model.version if champion else "", datetime.now(UTC)
        known = number, now, reply.status, perf_counter() - started, version
        self.tell(Served(*known, reply.rows, reply.answers))
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


class Service(FastAPI):
    """The service of the champion: a FastAPI app that reads its settings when it starts.

    Whoever creates one adds the endpoints: `predict`, `health`, `ready` and `version` answer them.
    """

    follower: Follower
    settings: Settings
    predict: Callable[[Request], Awaitable[Response]]

    def __init__(self, title: str) -> None:
        named: dict[str, Any] = {"title": title, "redoc_url": None}
        super().__init__(
            docs_url=None,
            version="1",
            lifespan=lambda _: self.lifespan(),
            generate_unique_id_function=lambda route: route.name,
            **named,
        )
        pages = FastAPIOffline(**named).routes  # docs whose scripts come from here
        self.router.routes += [it for it in pages if getattr(it, "path", "") != self.openapi_url]

    def configure(
        self,
        settings: Settings,
        follower: Follower,
        observers: Sequence[Observer] = (),
        authenticate: Authenticate | None = None,
        choices: Sequence[Choose] = (),
    ) -> None:
        """Serve the model that `follower` holds; on start it looks for one.

        `observers` are told of each request.  `authenticate` may raise HTTPException.  Each of
        `choices` may give another model for a request than the champion or the one before.
        """
        heard = list(observers)  # an extension of the service may add another
        self.description = settings.about.question
        self.settings, self.follower = settings, follower
        self.state.follower, self.state.observers, self.state.choices = follower, heard, choices
        self.predict = Predictor(follower, heard, authenticate, choices).predict

    def configure_as_project(self) -> None:
        """Serve the champion of this folder, with all that plugins add."""
        settings, hooks = load_settings(), get_hooks()
        self.configure(
            settings,
            follow_champion(read_contract(), settings),
            hooks.create_request_observer(settings=settings),
            hooks.create_authenticator(settings=settings),
            hooks.create_model_selector(settings=settings),
        )
        hooks.extend_service(app=self, settings=settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; at first, which is when a server starts it, it is configured."""
        try:
            if not hasattr(self, "follower"):
                self.configure_as_project()
        except ProjectError as error:
            if scope["type"] != "lifespan":
                raise
            await send({"type": "lifespan.startup.failed", "message": f"Error: {error}"})
            return
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document: FastAPI's, with the types of the model that is served."""
        if not hasattr(self, "follower"):
            self.configure_as_project()
            return self.openapi()  # an extension may have replaced it
        return described(self, self.follower.types)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """From the start of the service to its end: follow the champion, then close observers."""
        await asyncio.to_thread(self.follower.look)
        seconds = self.settings.serving.poll_seconds
        following = asyncio.create_task(self.follower.follow(seconds))
        yield
        following.cancel()
        # All at once: each may wait for a database, and the process is killed after its grace.
        await asyncio.gather(*(asyncio.to_thread(it.close) for it in self.state.observers))

    def health(self) -> Health:
        """Say that the process lives, and what its observers count."""
        counts = {observer.name: observer.counts() for observer in self.state.observers}
        return Health(trouble=self.follower.trouble, observers=counts)

    def ready(self) -> Ready:
        """Say which model answers.  Raise HTTPException 503 if there is none."""
        if not self.follower.current:
            raise HTTPException(503, self.follower.trouble)
        return Ready(model_version=self.follower.current.model.version)

    def running_version(self) -> Version:
        """Say which model, code and Python answer."""
        known = told(self.follower.current) if self.follower.current else {}
        commit = self.settings.serving.commit
        return Version(**known, commit=commit, python=platform.python_version())


def follow_champion(contract: Contract, settings: Settings) -> Follower:
    """Follows the published champion; before the first, the contract says what may be asked."""
    target = contract.columns[contract.target]
    classes = [False, True] if target.kind == "boolean" else target.categories or []
    most = settings.serving.max_rows_per_request
    known = classes if settings.problem == "classification" else []
    return Follower(FOLDER, Types.of(contract, known, most))


def load_app() -> Service:
    """Return a new app as the project's service.py has it.  Raise ProjectError if there is none."""
    name = f"{project.get_project().package}.service"
    path, spec = f"src/{name.replace('.', '/')}.py", find_spec(name)
    if not (spec and spec.loader):
        raise ProjectError(f"{path}: not here; git checkout it")
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    if not isinstance(app := getattr(module, "app", None), Service):
        raise ProjectError(f"{path}: app is {app!r}; it has to be a Service")
    return app


def create_app(*given: Any, **named: Any) -> Service:
    """Return the service of service.py, configured with what `Service.configure` takes."""
    app = load_app()
    app.configure(*given, **named)
    return app


def build() -> Service:
    """The service of this folder, with all that is registered for it: run by each worker."""
    app = load_app()
    app.configure_as_project()
    return app


def told(served: Champion) -> dict[str, str]:
    """Which model is served, and how."""
    return {
        "version": served.number,
        "model_version": served.model.version,
        "run_id": served.run_id,
        "runtime": served.model.bundle["runtime"],
        "why": served.model.bundle.get("why"),
    }
