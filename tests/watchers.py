"""Debian's Prometheus, Alertmanager and Pushgateway on a project's own configuration, and who is told.

Nothing here is skipped: where the machine lacks something, the test fails and says how to get it.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

DEBIAN = "prometheus prometheus-alertmanager prometheus-pushgateway"
BUSY = 3  # a machine with other work is that much slower: waiting longer costs nothing where all is well
SPOILT = ["never fires", "always fires", "waits a day"]
REPOSITORY = "https://example.com/us/ours/blob/HEAD/"
PROGRAMS = ("promtool", "amtool", "prometheus", "prometheus-alertmanager", "prometheus-pushgateway")


def needed() -> None:
    """Fail, with the command that helps, where a program is missing."""
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        pytest.fail(f"{', '.join(missing)}: not installed; run: apt-get install {DEBIAN}")


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what it gives as soon as that is something; the test fails if it never is."""
    end = time.monotonic() + BUSY * seconds
    while time.monotonic() < end:
        try:
            if found := holds():
                return found
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.2)
    return pytest.fail(f"not within {BUSY * seconds} s: {what}")


def get(url: str) -> Any:
    """The JSON, or the text, that stands at a URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return json.loads(text) if text[:1] in "[{" else text


@dataclass
class Told:
    """Who is told of alerts: each as it came, in their order."""

    alerts: list[dict[str, Any]] = field(default_factory=list)

    def of(self, name: str) -> list[dict[str, Any]]:
        """What was told of the alert of this name."""
        return [alert for alert in self.alerts if alert["labels"]["alertname"] == name]


@contextmanager
def webhook() -> Iterator[tuple[str, Told]]:
    """The address of somebody who is told of alerts, and what they were told."""
    told = Told()

    class Receiver(BaseHTTPRequestHandler):
        """Takes what Alertmanager posts."""

        def do_POST(self) -> None:  # pylint: disable=invalid-name  # as the base class calls it
            """Keep each alert."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.alerts += body["alerts"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts", told
    finally:
        server.shutdown()


def spoil(path: Path, alert: str, fault: str) -> None:
    """Have an alert of a file of rules never fire, always fire, or wait a day: one of `SPOILT`."""
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    rule = next(it for group in known["groups"] for it in group["rules"] if it["alert"] == alert)
    changes = {
        "never fires": {"expr": f"({rule['expr']}) and vector(1) == 2"},
        "always fires": {"expr": "vector(1)"},
        "waits a day": {"for": "100h"},
    }
    rule |= changes[fault]
    path.write_text(yaml.safe_dump(known), encoding="utf-8")


@contextmanager
def program(*command: str, at: Path) -> Iterator[None]:
    """A program that runs until the block ends."""
    with (at / f"{Path(command[0]).name}.log").open("wb") as log:
        known = os.environ | {"REPOSITORY": REPOSITORY}
        process = subprocess.Popen(command, cwd=at, stdout=log, stderr=log, env=known)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@dataclass(frozen=True)
class Watchers:
    """What watches: where Prometheus and the Pushgateway listen, and what came of it."""

    prometheus: str
    pushgateway: str
    told: Told

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that answer a query now."""
        words = urllib.parse.urlencode({"query": query})
        found = get(f"{self.prometheus}/api/v1/query?{words}")
        assert found["status"] == "success", found
        return list(found["data"]["result"])


def hurried(rules: str) -> str:
    """The rules with seconds where they say minutes and hours: the same questions, sooner.

    Nothing else of them is changed; how long they really wait is what `promtool` tests.
    """
    rules = re.sub(r"for: \w+", "for: 1s", rules)
    return re.sub(r"\[\d+[mh]\]", "[10s]", rules)


@contextmanager
def watching(project: Path, service: int, at: Path) -> Iterator[Watchers]:
    """Prometheus, Alertmanager and Pushgateway on the project's own files, around its service.

    What is changed of them: addresses and ports, and how long is waited.
    """
    needed()
    ports = [free_port() for _ in range(3)]
    folder = project / "monitoring"
    with ExitStack() as running:
        address, told = running.enter_context(webhook())
        config = yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["alerting"]["alertmanagers"] = [{"static_configs": [target(ports[1])]}]
        addresses = {"service": service, "drift": ports[2]}
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [target(addresses[job["job_name"]])]
        (at / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        for path in [*folder.glob("*alerts.yml"), *folder.glob("*rules.yml")]:
            rules = hurried(path.read_text(encoding="utf-8"))
            (at / path.name).write_text(rules, encoding="utf-8")
        text = (folder / "alertmanager.yml").read_text(encoding="utf-8")
        text = text.replace("ALERT_WEBHOOK", address).replace("10s", "1s").replace("1m", "2s")
        (at / "alertmanager.yml").write_text(text, encoding="utf-8")
        for command in commands(ports):
            running.enter_context(program(*command, at=at))
        made = Watchers(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[2]}", told)
        until(lambda: get(f"{made.prometheus}/-/ready"), 30, "Prometheus is ready")
        until(lambda: get(f"{made.pushgateway}/-/ready"), 30, "the Pushgateway is ready")
        yield made


def target(port: int) -> dict[str, list[str]]:
    """One address of this machine, as Prometheus writes it."""
    return {"targets": [f"127.0.0.1:{port}"]}


def commands(ports: list[int]) -> Iterator[list[str]]:
    """How the three are started; each keeps what it knows in the folder where it runs."""
    listen = [f"--web.listen-address=127.0.0.1:{port}" for port in ports]
    yield [
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        "--enable-feature=expand-external-labels",  # from 3 on it always does
        listen[0],
    ]
    yield [
        "prometheus-alertmanager",
        "--config.file=alertmanager.yml",
        "--storage.path=alerts",
        "--cluster.listen-address=",
        listen[1],
    ]
    yield ["prometheus-pushgateway", "--persistence.file=pushed", listen[2]]
