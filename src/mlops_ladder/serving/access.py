"""Access: who is let in, how much of a body is read, how often one may ask, and safe headers."""

# pylint: disable=too-few-public-methods  # each class is a function with a memory

import logging
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_ladder import ProjectError
from mlops_ladder.serving.keys import Ring
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
MOST = 10_000  # callers that are remembered; the one that has been quiet longest is forgotten
PAGES = ("/docs", "/static-offline-docs")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STRICT = "default-src 'none'; frame-ancestors 'none'"
# The page has a script and a style of its own between its tags; all else comes from this service.
DOCS = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class Buckets:
    """A bucket for each caller: it holds what a minute allows, and fills steadily."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._clock = float(per_minute), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Take a request from the bucket; the seconds until there is one, 0 where one was taken."""
        now, rate = self._clock(), self._most / 60
        held, then = self._left.pop(caller, (self._most, now))
        held = min(self._most, held + (now - then) * rate)
        taken = held >= 1
        self._left[caller] = (held - taken, now)
        if len(self._left) > MOST:
            self._left.popitem(last=False)
        return 0 if taken else (1 - held) / rate


class Guard:
    """Asked before a request to predict is read.

    Raises HTTPException: 401 without a valid key where one is needed, 429 where one asks too often.
    """

    def __init__(self, settings: Settings, ring: Ring) -> None:
        self._ring = ring
        most = settings.access.requests_per_minute
        self._buckets = Buckets(most) if most else None

    def __call__(self, request: Request) -> None:
        self._ring.look()
        caller = self._caller(request)
        if self._buckets and (wait := self._buckets.wait(caller)):
            after = {"Retry-After": str(ceil(wait))}
            raise HTTPException(429, f"too many requests; wait {ceil(wait)} s", after)

    def _caller(self, request: Request) -> str:
        """The name of the key, or the address where none is needed."""
        if not self._ring.locked:
            return f"address {request.client.host if request.client else ''}"
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        owner = self._ring.owner(given.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            words = "a valid key is needed: Authorization: Bearer KEY"
            raise HTTPException(401, words, {"WWW-Authenticate": "Bearer"})
        return f"key {owner}"


class Shield:
    """Around the whole service: reads no body beyond a limit, and puts safe headers on answers.

    What nobody has caught is answered by 500, without its words.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                path = scope["path"].removeprefix(scope.get("root_path", ""))
                protect(path, MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, limited(scope, receive, self._most), sent)
        except Exception:  # pylint: disable=broad-exception-caught  # whatever nobody has caught
            LOG.exception("%s failed", scope["path"])
            if begun:
                raise
            await JSONResponse({"detail": "the service failed"}, 500)(scope, receive, sent)


def protect(path: str, headers: MutableHeaders) -> None:
    """Tell browsers to take an answer for nothing but what it is."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers["Content-Security-Policy"] = DOCS if path.startswith(PAGES) else STRICT


def limited(scope: Scope, receive: Receive, most: int) -> Receive:
    """The body of a request, as long as it is not too long: then HTTPException 413.

    Nothing is read of one that says so itself.
    """
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    known = int(said) if said.isdigit() else 0
    found = 0

    async def received() -> Message:
        nonlocal found
        if known <= most:
            message = await receive()
            found += len(message.get("body", b""))
        if max(known, found) > most:
            words = f"the body has more than {most:,} bytes; send fewer rows at once"
            raise HTTPException(413, words, {"Connection": "close"})
        return message

    return received


def loopback(host: str) -> bool:
    """Does this host reach only its own machine?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def opened(settings: Settings) -> Guard:
    """The guard of the service.  ProjectError where anybody could ask, unless that is wanted."""
    access, host = settings.access, settings.serving.host
    ring = Ring(Path(access.key_file), settings.serving.poll_seconds)
    if not (ring.locked or access.open or loopback(host)):
        raise ProjectError(
            f"serving.host = {host!r}, and {access.key_file} holds no key: anybody who reaches it"
            " could ask; add a key: make key NAME=…  To let everybody ask: access.open = true"
        )
    if not (ring.locked or loopback(host)):
        LOG.warning("anybody who reaches %s may ask; to change that: make key NAME=…", host)
    return Guard(settings, ring)


def extend(app: FastAPI, settings: Settings) -> None:
    """Put the shield around the service, and the key into its description."""
    app.add_middleware(Shield, most=settings.access.body_bytes)
    plain = app.openapi
    codes = {"401": "Not authenticated", "413": "Too large"}
    codes |= {"429": "Too many requests"} if settings.access.requests_per_minute else {}

    def described() -> dict[str, Any]:
        document = plain()
        bearer = {"type": "http", "scheme": "bearer", "description": "a key of `make key NAME=…`"}
        document["components"]["securitySchemes"] = {"key": bearer}
        operation = document["paths"]["/predict"]["post"]
        operation["security"] = [{"key": []}, {}]
        failure = operation["responses"]["503"]
        for code, words in codes.items():
            operation["responses"][code] = failure | {"description": words}
        return document

    # FastAPI's own way to describe more than it knows.
    app.openapi = described  # type: ignore[method-assign]
