"""Tried and planted: metrics, alerts, drift."""

import http.client
import re
from collections.abc import Iterator
from shutil import which

from .. import Unknown, fault, trial
from ..monitoring import RULES, alerts, wanted
from ..sandbox import Copy, last
from ..service import Service, serving

SUFFIXES = re.compile(r"_(?:bucket|sum|count|total|created)$")


def exposed(service: Service) -> set[str]:
    """The metrics of a service; without one that says so, nothing."""
    to = service.connect()
    try:
        to.request("GET", "/metrics")
        answer = to.getresponse()
        text = answer.read().decode() if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        text = ""
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


@trial("monitor.metrics", "each metric that a rule or a panel asks for is exposed by the service")
def counted(copy: Copy) -> Iterator[str]:
    """Start it with a champion, ask, and compare."""
    copy.need("rehearse")
    with serving(copy) as service:
        service.ask("/predict", service.example())
        known = {SUFFIXES.sub("", name) for name in exposed(service)}
    asked = {SUFFIXES.sub("", it) for it in wanted(copy.repository) if it.startswith("serving_")}
    for name in sorted(asked - known):
        yield f"/metrics: lacks {name}, which rules or dashboards ask for"


def promtool(copy: Copy, *arguments: str) -> str:
    """What Prometheus's tool has against the rules; empty where that is nothing."""
    if not which("promtool"):
        raise Unknown("promtool is not on this machine; it comes with Prometheus")
    done = copy.run("promtool", *arguments, at=str(copy.root / "monitoring"))
    return last(done) if done.returncode else ""


@trial("monitor.alerts", "the rules hold in all of their tests")
def tested(copy: Copy) -> Iterator[str]:
    """Have Prometheus's tool run them."""
    if wrong := promtool(copy, "test", "rules", "alerts_test.yml"):
        yield f"{RULES}: {wrong}"


@fault("monitor.alerts", "an alert that never fires is found by its test")
def silent(copy: Copy) -> Iterator[str]:
    """Silence one of them."""
    if broken := promtool(copy, "test", "rules", "alerts_test.yml"):
        raise Unknown(f"the rules break their tests as they are: {broken}")
    name = copy.random.choice([rule["alert"] for rule in alerts(copy.repository)])
    text = (copy.root / RULES).read_text(encoding="utf-8")
    head, _, rest = text.partition(f"alert: {name}\n")
    mute = re.sub(r"expr: (\|\n +)?", r"\g<0>0 > 1 and ", rest, count=1)
    (copy.root / RULES).write_text(f"{head}alert: {name}\n{mute}", encoding="utf-8")
    if not promtool(copy, "test", "rules", "alerts_test.yml"):
        yield f"{RULES}: {name} may fall silent, and no test says so"
