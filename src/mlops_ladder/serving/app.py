"""The service: a FastAPI app whose `/predict` has the types of the champion."""

import asyncio
import platform
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec, module_from_spec
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from starlette.types import Receive, Scope, Send

from mlops_ladder import project, ProjectError
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.plugins import get_hooks
from mlops_ladder.serving import predict_route
from mlops_ladder.serving.events import Observer
from mlops_ladder.serving.model_reloader import FOLDER, ModelReloader
from mlops_ladder.serving.schemas import Health, Ready, Types, Version
from mlops_ladder.settings import load_settings, Settings


class Service(FastAPI):
    """The service of the champion: a FastAPI app that reads its settings when it starts.

    The project adds endpoints: `health`, `ready` and `running_version` answer three of them.
    Each champion brings a router of its own for `/predict`, which takes what no endpoint does.
    """

    reloader: ModelReloader
    settings: Settings
    predictor: predict_route.Predictor

    def __init__(self, title: str) -> None:
        pages: dict[str, Any] = {"title": title, "redoc_url": None}
        options: Any = {"generate_unique_id_function": lambda route: route.name, "docs_url": None}
        super().__init__(version="1", lifespan=lambda _: self.lifespan(), **options, **pages)
        offline = FastAPIOffline(**pages).routes  # `/docs` with scripts of this service
        self.router.routes += [
            route for route in offline if getattr(route, "path", "") != self.openapi_url
        ]
        self.router.default = self.pass_to_champion
        self._champion: tuple[Types, APIRouter] | None = None

    def configure(
        self,
        settings: Settings,
        reloader: ModelReloader,
        observers: Sequence[Observer] = (),
        authenticate: predict_route.Authenticator | None = None,
        selectors: Sequence[predict_route.ModelSelector] = (),
    ) -> None:
        """Serve the model of a reloader.

        Args:
            settings: The settings of the project.
            reloader: Holds the champion; it is refreshed when the service starts.
            observers: Get each request.
            authenticate: Raises HTTPException if the client may not predict.
            selectors: Each may give a request another model than the one before has.
        """
        self.description = settings.about.question
        predictor = predict_route.Predictor(reloader, [*observers], authenticate, selectors)
        self.settings, self.reloader, self.predictor = settings, reloader, predictor
        self.state.reloader, self.state.selectors = reloader, selectors
        self.state.observers = self.predictor.observers
        self.state.predict_failures, self.state.predict_dependencies = {}, []

    def configure_as_project(self) -> None:
        """Serve the champion of this folder, with all that plugins add."""
        settings, hooks = load_settings(), get_hooks()
        self.configure(
            settings,
            create_reloader(read_contract(), settings),
            hooks.create_request_observer(settings=settings),
            hooks.create_authenticator(settings=settings),
            hooks.create_model_selector(settings=settings),
        )
        hooks.extend_service(app=self, settings=settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; the first call comes from the server that starts it, and configures it."""
        try:
            if not hasattr(self, "reloader"):
                self.configure_as_project()
        except ProjectError as error:
            if scope["type"] != "lifespan":
                raise
            await send({"type": "lifespan.startup.failed", "message": f"Error: {error}"})
            return
        await super().__call__(scope, receive, send)

    async def pass_to_champion(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass what no endpoint takes to the router of the champion."""
        await self.champion_router()(scope, receive, send)

    def champion_router(self) -> APIRouter:
        """Return the router with the types of the champion; without one, of the contract."""
        types = self.reloader.types
        if self._champion is None or self._champion[0] is not types:
            options = self.state.predict_failures, self.state.predict_dependencies
            self._champion = types, predict_route.create_predict_router(types, *options)
        return self._champion[1]

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the types of the model that is served."""
        if not hasattr(self, "reloader"):
            self.configure_as_project()
        routes = [*self.routes, *self.champion_router().routes]
        about: Any = {"description": self.description, "routes": routes}
        return get_openapi(title=self.title, version=self.version, **about)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Refresh the model while the service runs; close the observers at its end."""
        await asyncio.to_thread(self.reloader.refresh)
        polling = asyncio.create_task(self.reloader.poll(self.settings.serving.poll_seconds))
        yield
        polling.cancel()
        # All at once: each may wait for a database, and the process is killed after its grace.
        closing = (asyncio.to_thread(observer.close) for observer in self.state.observers)
        await asyncio.gather(*closing)

    def health(self) -> Health:
        """Return the counts of the observers, and why a published model is not served."""
        counts = {observer.name: observer.counts() for observer in self.state.observers}
        return Health(trouble=self.reloader.last_error, observers=counts)

    def ready(self) -> Ready:
        """Return the model that answers.  Raise HTTPException 503 if there is none."""
        if not self.reloader.current:
            raise HTTPException(503, self.reloader.last_error)
        return Ready(model_version=self.reloader.current.model.version)

    def running_version(self) -> Version:
        """Return the model, the code and the Python that answer."""
        code = {"commit": self.settings.serving.commit, "python": platform.python_version()}
        if not (served := self.reloader.current):
            return Version(**code)
        bundle = served.model.bundle
        code |= {"version": served.number, "model_version": served.model.version}
        return Version(
            run_id=served.run_id, runtime=bundle["runtime"], why=bundle.get("why"), **code
        )


def create_reloader(contract: Contract, settings: Settings) -> ModelReloader:
    """Return a reloader of the published champion, with the contract's types before the first."""
    target = contract.columns[contract.target]
    labels = [False, True] if target.kind == "boolean" else target.categories or []
    classes = labels if settings.problem == "classification" else []
    max_rows = settings.serving.max_rows_per_request
    return ModelReloader(FOLDER, Types.from_contract(contract, classes, max_rows))


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


def create_app(*arguments: Any, **options: Any) -> Service:
    """Return the service of service.py, configured with the arguments of `Service.configure`."""
    app = load_app()
    app.configure(*arguments, **options)
    return app


def create_service() -> Service:
    """Return the service of this folder, with its plugins; each worker calls it."""
    app = load_app()
    app.configure_as_project()
    return app
