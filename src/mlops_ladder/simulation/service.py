"""The service of the simulation, over HTTP, with an inbox for messages to people."""

import json
import socket
import time
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import read_contract
from mlops_ladder.monitoring.outcomes import REQUEST, ROW
from mlops_ladder.registry import publishing
from mlops_ladder.serving import load_test
from mlops_ladder.serving.app import create_service
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.serving.store import read_variants
from mlops_ladder.settings import Settings
from mlops_ladder.simulation.clock import Clock, DAY, START

ROWS = 5  # of a request
PATIENCE = 60  # seconds in which the service has to follow what was decided
NOON, HOURS = 0.3, 0.5  # of a day: the time of the first request, and the span of all


class Service:
    """The service of this folder, in a thread, on a free port; `asked` and `failed` count requests.

    A request fails without an answer, with another status than 200, or if the fallback answers.
    `messages` holds what people are told at `/inbox`, with the day; `days` the day of a request.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self.asked, self.failed, self.url = 0, 0, ""
        self.messages: list[tuple[float, str]] = []
        self.days: dict[str, int] = {}
        self._server: Any = None
        self._thread: Any = None

    def __enter__(self) -> "Service":
        place = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{place.getsockname()[1]}"
        options: Any = {"access_log": False, "log_config": None, "server_header": False}
        app = self.create_app()
        app.add_api_route("/inbox", self.receive, methods=["POST"])
        self._server = uvicorn.Server(uvicorn.Config(app, **options))
        self._thread = Thread(target=self._server.run, args=([place],), daemon=True)
        self._thread.start()
        if why := load_test.wait_until_ready(self.url, self._thread.is_alive):
            raise ProjectError(f"the service of the simulation is not ready: {why}")
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)

    def create_app(self) -> FastAPI:
        """Return the service to run."""
        return create_service()

    def restart(self) -> None:
        """Stop the service, and start it again."""
        self.__exit__()
        self.__enter__()  # pylint: disable=unnecessary-dunder-call  # within its own `with`

    def receive(self, event: dict[str, Any]) -> None:
        """Take a message to people."""
        self.messages.append(((self.clock.now - START) / DAY, f"told: {event['text']}"))

    def answer(self, rows: pd.DataFrame, day: int) -> pd.DataFrame:
        """Send the rows of a day as requests; return the request and place of each row."""
        bodies = load_test.make_requests(rows, read_contract(), ROWS)
        requests = {f"day-{day}-{number}": body for number, body in enumerate(bodies)}
        self.follows()
        self.written(self.ask(requests, day))
        self.days |= dict.fromkeys(requests, day)
        at = np.arange(len(rows))
        names = [f"day-{day}-{request}" for request in at // ROWS]
        return pd.DataFrame({REQUEST: names, ROW: 1 + at % ROWS})

    def ask(self, requests: Mapping[str, bytes], day: int) -> set[str]:
        """Send requests, spread over a day; return the names of those that were answered.

        Each has a name, and comes from a client of its own.
        """
        connection, answered = load_test.connect(self.url), set[str]()
        for place, (name, body) in enumerate(requests.items()):
            self.clock.at(day + NOON + HOURS * place / len(requests))
            headers = {"Content-Type": "application/json", "X-Request-ID": name}
            headers[self.settings.rollout.key_header] = f"client of {name}"
            status, content = load_test.fetch_answer(connection, "POST", "/predict", body, headers)
            if status == 200 and b'"fallback":true' not in content:
                answered.add(name)
        connection.close()
        self.asked += len(requests)
        self.failed += len(requests) - len(answered)
        return answered

    def read_version(self) -> str:
        """Return the number of the version that answers."""
        return str(self.got("/version")["version"])

    def got(self, path: str) -> dict[str, Any]:
        """Return the JSON of an endpoint."""
        return dict(json.loads(load_test.get_endpoint(self.url, path)[1]))

    def follows(self) -> None:
        """Wait until the service follows the last decision.  Raise ProjectError if it does not."""
        served = json.loads(publishing.POINTER.read_text(encoding="utf-8"))["version"]
        now = decisions.find_running()
        plan = [int(now.plan.version), round(100 * now.plan.share)] if now and now.plan else [0]

        def followed() -> bool:
            counts = self.got("/health")["observers"]["rollout"]
            there = [counts[name] for name in ("version", "percent") if name in counts]
            return self.read_version() == served and there == plan

        wait_until(followed, f"the service does not follow v{served}, rollout {plan}")

    def written(self, names: set[str]) -> None:
        """Wait until these requests are in the log, with the answers of both arms of a rollout."""
        now = decisions.find_running()

        def noted() -> bool:
            if self.got("/health")["observers"]["log"]["waiting"]:
                return False
            if not now or not now.plan:
                return True
            log = self.settings.serving.prediction_log_url
            rows = read_variants(log, now.rollout, now.plan.step)
            matches = [row["request_id"] for row in rows if row["request_id"] in names]
            return len(matches) >= len(names) * (1 + now.plan.shadow)

        wait_until(noted, "the service does not write its log")


def wait_until(done: Callable[[], bool], otherwise: str) -> None:
    """Wait until a condition holds.  Raise ProjectError after a minute."""
    until = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > until:
            raise ProjectError(f"{otherwise} in {PATIENCE} s")
        time.sleep(0.05)
