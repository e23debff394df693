"""The service, as `make serve`, `fastapi dev` and uvicorn run it: {{ cookiecutter.package_name }}.service:app.

`app` is a FastAPI app: add an endpoint, a router or a middleware here.  It reads settings and model
when it starts, and answers with a new champion without a restart.
"""

from fastapi import Request, Response

from mlops_ladder.serving.app import Service
from mlops_ladder.serving.openapi import Failure, Health, Ready, Version

app = Service(title="{{ cookiecutter.package_name }}")


@app.get("/health")
async def health() -> Health:
    """Does the process live, and how are its observers?"""
    return app.health()


@app.get("/ready", responses={503: {"model": Failure, "description": "No model is served"}})
async def ready() -> Ready:
    """Is there a model to answer with?"""
    return app.ready()


@app.get("/version")
async def version() -> Version:
    """Which model, which code, which Python?"""
    return app.running_version()


async def predict(request: Request) -> Response:
    """Answer a row, or a list of rows, as the contract has them."""
    return await app.predict(request)


# A plain route: the types of `/predict` change with the champion, and `/docs` shows those of now.
app.add_route("/predict", predict, methods=["POST"])
