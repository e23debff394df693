"""The service, as `make serve`, `fastapi dev` and uvicorn run it: {{ cookiecutter.package_name }}.service:app.

`app` is a FastAPI app: add an endpoint, a router or a middleware here.  It reads settings and model
when it starts, and answers with a new champion without a restart.

Each champion brings `POST /predict`, typed by its contract.  An endpoint of this file with the same
path takes its place.
"""

from mlops_ladder.serving.app import Service
from mlops_ladder.serving.schemas import Failure, Health, Ready, Version

app = Service(title="{{ cookiecutter.package_name }}")


@app.get("/health")
async def health() -> Health:
    """Is the process alive, and what do its observers count?"""
    return app.health()


@app.get("/ready", responses={503: {"model": Failure, "description": "No model is served"}})
async def ready() -> Ready:
    """Is there a model that answers?"""
    return app.ready()


@app.get("/version")
async def version() -> Version:
    """Which model, which code, which Python?"""
    return app.running_version()
