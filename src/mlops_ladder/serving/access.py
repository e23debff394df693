"""Access: API keys, limits on bodies and on requests, and safe headers."""

# pylint: disable=too-few-public-methods  # each class is a function with state

import logging
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from time import monotonic

from fastapi import FastAPI, HTTPException, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_ladder import ProjectError
from mlops_ladder.serving.keys import KeyRing
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
MAX_CLIENTS = 10_000  # clients with a bucket; the one that was idle longest is dropped
PAGES = ("/docs", "/static-offline-docs")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The page has an inline script and style; all else comes from this service.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
KEY_SCHEME = HTTPBearer(
    scheme_name="key", description="a key of `make key NAME=…`", auto_error=False
)


class TokenBuckets:
    """A token bucket for each client: it holds the requests of a minute, and fills steadily."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self._capacity, self._clock = float(per_minute), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        now, rate = self._clock(), self._capacity / 60
        tokens, then = self._buckets.pop(client, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - then) * rate)
        is_taken = tokens >= 1
        self._buckets[client] = (tokens - is_taken, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if is_taken else (1 - tokens) / rate


class Guard:
    """Checks a request to predict before its body is read.

    Raises HTTPException: 401 without a valid key if one is needed, 429 if a client asks too often.
    """

    def __init__(self, settings: Settings, ring: KeyRing) -> None:
        self._ring = ring
        per_minute = settings.access.requests_per_minute
        self._buckets = TokenBuckets(per_minute) if per_minute else None

    def __call__(self, request: Request) -> None:
        self._ring.refresh()
        client = self._identify_client(request)
        if self._buckets and (wait := self._buckets.take(client)):
            after = {"Retry-After": str(ceil(wait))}
            raise HTTPException(429, f"too many requests; wait {ceil(wait)} s", after)

    def _identify_client(self, request: Request) -> str:
        """Return the name of the key, or the address if no key is needed."""
        if not self._ring.is_locked:
            return f"address {request.client.host if request.client else ''}"
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        owner = self._ring.find_owner(key.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            detail = "a valid key is needed: Authorization: Bearer KEY"
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
        return f"key {owner}"


class Shield:
    """A middleware that limits the size of bodies, and puts safe headers on answers.

    An error that nothing has caught is answered by 500, without its message.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_safely(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                path = scope["path"].removeprefix(scope.get("root_path", ""))
                set_safe_headers(path, MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, limit_body(scope, receive, self._max_bytes), send_safely)
        except Exception:  # pylint: disable=broad-exception-caught  # anything uncaught
            LOG.exception("%s failed", scope["path"])
            if has_begun:
                raise
            failure = JSONResponse({"detail": "the service failed"}, 500)
            await failure(scope, receive, send_safely)


def set_safe_headers(path: str, headers: MutableHeaders) -> None:
    """Set the headers that keep a browser from using an answer for anything else."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers["Content-Security-Policy"] = PAGE_POLICY if path.startswith(PAGES) else STRICT_POLICY


def limit_body(scope: Scope, receive: Receive, max_bytes: int) -> Receive:
    """Return a `receive` that raises HTTPException 413 if the body is too long.

    If the header says so already, nothing is read.
    """
    length = dict(scope["headers"]).get(b"content-length", b"")
    announced, received = int(length) if length.isdigit() else 0, 0

    async def receive_limited() -> Message:
        nonlocal received
        if announced <= max_bytes:
            message = await receive()
            received += len(message.get("body", b""))
        if max(announced, received) > max_bytes:
            detail = f"the body has more than {max_bytes:,} bytes; send fewer rows at once"
            raise HTTPException(413, detail, {"Connection": "close"})
        return message

    return receive_limited


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def create_guard(settings: Settings) -> Guard:
    """Return the guard of the service.

    Raises ProjectError if other machines reach it without a key and `access.open` is false.
    """
    access, host = settings.access, settings.serving.host
    ring = KeyRing(Path(access.key_file), settings.serving.poll_seconds)
    is_private = ring.is_locked or is_loopback(host)
    if not (is_private or access.open):
        raise ProjectError(
            f"serving.host = {host!r}, and {access.key_file} holds no key: any machine that reaches"
            " it could ask; add a key: make key NAME=…  To let everybody ask: access.open = true"
        )
    if not is_private:
        LOG.warning("any machine that reaches %s may ask; to change that: make key NAME=…", host)
    return Guard(settings, ring)


def protect_service(app: FastAPI, settings: Settings) -> None:
    """Put the shield around the service, and the key and its statuses into the description."""
    app.add_middleware(Shield, max_bytes=settings.access.body_bytes)
    app.state.predict_failures |= {401: "Not authenticated", 413: "Too large"}
    if settings.access.requests_per_minute:
        app.state.predict_failures[429] = "Too many requests"
    app.state.predict_dependencies.append(Security(KEY_SCHEME))
