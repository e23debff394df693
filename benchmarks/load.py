"""Load: one request over and over, on some connections at once, and how long each answer took."""

import asyncio
import time
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any


@dataclass
class Load:
    """What was seen: the milliseconds of each answer, in so many seconds, and the failures."""

    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0
    failures: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.milliseconds) / self.seconds

    def within(self, percent: int) -> float:
        """The milliseconds that this share of the answers did not exceed."""
        return quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.milliseconds + other.milliseconds,
            self.seconds + other.seconds,
            self.failures + other.failures,
        )


class Client(asyncio.Protocol):
    """A connection that sends the same request as soon as it has the answer to the last one.

    Where there is a `next`, that one sends its request instead: so they take turns.
    """

    def __init__(self, request: bytes, load: Load, until: float) -> None:
        self.request, self.load, self.until = request, load, until
        self.next = self
        self.done = asyncio.get_running_loop().create_future()
        self.rest, self.sent = b"", 0.0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Know the connection."""
        self.transport = transport

    def send(self) -> None:
        """Ask."""
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Note the answer once it is whole, and ask again."""
        self.rest += data
        head, found, body = self.rest.partition(b"\r\n\r\n")
        if not found or len(body) < length(head):
            return
        self.load.milliseconds.append((time.perf_counter() - self.sent) * 1000)
        self.load.failures += not head.startswith(b"HTTP/1.1 200")
        self.rest = b""
        if time.perf_counter() < self.until:
            self.next.send()
        else:
            self.end()

    def end(self) -> None:
        """Close this connection and those that wait for it."""
        self.transport.close()
        if not self.next.transport.is_closing():
            self.next.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; before its time it is a failure."""
        self.load.failures += time.perf_counter() < self.until
        self.done.set_result(None)


def length(head: bytes) -> int:
    """What a head says of the length of its body."""
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


def posted(path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def loaded(port: int, request: bytes, connections: int, seconds: float) -> Load:
    """The load of so many connections for so many seconds."""
    load, loop, started = Load(), asyncio.get_running_loop(), time.perf_counter()
    clients = [Client(request, load, started + seconds) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
        client.send()
    await asyncio.gather(*(client.done for client in clients))
    load.seconds = time.perf_counter() - started
    return load


async def alternated(requests: list[tuple[int, bytes]], seconds: float) -> list[Load]:
    """The loads of some services, by port and request, of which each is asked in its turn.

    What disturbs the machine for a while disturbs all of them alike.
    """
    loop, until = asyncio.get_running_loop(), time.perf_counter() + seconds
    clients = [Client(request, Load(seconds=seconds), until) for _, request in requests]
    for at, client in enumerate(clients):
        client.next = clients[(at + 1) % len(clients)]
        await loop.create_connection(lambda client=client: client, "127.0.0.1", requests[at][0])
    clients[0].send()
    await asyncio.gather(*(client.done for client in clients))
    return [client.load for client in clients]
