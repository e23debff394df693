"""Tried and planted: metrics, alerts, drift."""

import http.client
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from shutil import which
from statistics import stdev

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.monitoring import list_alerts, RULES, list_metrics
from mlops_ladder.maturity.sandbox import Copy, Done, last
from mlops_ladder.maturity.service import Service, serving
from mlops_ladder.maturity.trials.project import answer

ROWS = 2_000
OUTPUT = "select output from predictions where request_id = ?"
READ = "read([row[name] for row in rows for name in names])"
OTHER = "[v * 1.8 + 32 if type(v) is float else v for v in " + READ + "]"
SUFFIXES = re.compile(r"_(?:bucket|sum|count|total|created)$")


def exposed(service: Service) -> set[str]:
    """The metrics of a service; without one that says so, nothing."""
    to = service.connect()
    try:
        to.request("GET", "/metrics")
        reply = to.getresponse()
        text = reply.read().decode() if reply.status == 200 else ""
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
    asked = {
        SUFFIXES.sub("", it) for it in list_metrics(copy.repository) if it.startswith("serving_")
    }
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
    name = copy.random.choice([rule["alert"] for rule in list_alerts(copy.repository)])
    text = (copy.root / RULES).read_text(encoding="utf-8")
    head, _, rest = text.partition(f"alert: {name}\n")
    mute = re.sub(r"expr: (\|\n +)?", r"\g<0>0 > 1 and ", rest, count=1)
    (copy.root / RULES).write_text(f"{head}alert: {name}\n{mute}", encoding="utf-8")
    if not promtool(copy, "test", "rules", "alerts_test.yml"):
        yield f"{RULES}: {name} may fall silent, and no test says so"


def ask(copy: Copy, change: float) -> str | None:
    """Log rows of the training, one input of numbers shifted by so many of its spreads; which."""
    found = answer(copy, "served", "like_training", str(copy.random.randrange(1000)), str(ROWS))
    rows, name = found["rows"], found["number"]
    if name is None:
        raise Unknown("no input holds numbers to shift")
    values = [row[name] for row in rows if row[name] is not None]
    spread = stdev(values) * change
    high, low = max(values), min(values)
    with serving(copy) as service:
        for row in rows:
            if row[name] is not None:
                row[name] = min(max(row[name] + spread, low), high)
        for start in range(0, len(rows), 500):
            status, said = service.ask("/predict", rows[start : start + 500])
            if status != 200:
                raise Unknown(f"/predict: {status} for rows of the training: {said}")
    return str(name)


@trial("monitor.drift", "rows like those of the training are no drift")
def quiet(copy: Copy) -> Iterator[str]:
    """Ask for rows that the champion learned from."""
    copy.need("rehearse")
    ask(copy, 0)
    done = copy.run("make", "drift")
    if done.returncode:
        yield f"make drift: {last(done)}"
    elif more := drifted(done) - {"prediction", "no column"}:
        yield f"make drift: names {', '.join(sorted(more))}, and nothing has changed"


def drifted(done: Done) -> set[str]:
    """The columns that a report names: of rows that were learned from, `prediction` may differ."""
    said = re.search(r"drifted: (.*)\.  Next", done.stdout)
    return {it.strip() for it in said[1].split(",")} if said else set()


@fault("monitor.drift", "one input that has shifted is named, and no other")
def shifted(copy: Copy) -> Iterator[str]:
    """Shift one of the inputs by its spread."""
    copy.need("rehearse")
    name = ask(copy, 1)
    done = copy.run("make", "drift", "FAIL=yes")
    named = drifted(done)
    if done.returncode == 0 or name not in named:
        yield f"make drift: {name} has shifted by its spread, and is not named"
    elif more := named - {name, "prediction"}:
        yield f"make drift: names {', '.join(sorted(more))}, which has not changed"


@trial("monitor.skew", "what was answered is what the training code says")
def alike(copy: Copy) -> Iterator[str]:
    """Ask, and have it answered again."""
    copy.need("rehearse")
    ask(copy, 0)
    done = copy.run("make", "skew")
    if done.returncode:
        yield f"make skew: {last(done)}"


@fault("monitor.skew", "a unit that is another one in the service alone is found")
def unlike(copy: Copy) -> Iterator[str]:
    """Have the service read numbers in another unit."""
    copy.need("rehearse")
    copy.spoil("data/columns.py", READ, OTHER)
    ask(copy, 0)
    if copy.run("make", "skew").returncode == 0:
        yield "make skew: the service reads numbers in another unit, and nobody sees it"


@trial("monitor.staleness", "the age at which the model is too old is derived from the data")
def aged(copy: Copy) -> Iterator[str]:
    """Derive it."""
    copy.need("rehearse")
    done = copy.run("make", "staleness")
    if done.returncode:
        yield f"make staleness: {last(done)}"
    elif "max_age_days" not in done.stdout:
        yield "make staleness: says no age"


@contextmanager
def opened(copy: Copy, name: str) -> Iterator[sqlite3.Connection]:
    """A database of the copy; what is done to it is kept."""
    with closing(sqlite3.connect(copy.root / name)) as store:
        with store:
            yield store


def newest(copy: Copy) -> str:
    """The request that was logged last, once some were asked."""
    copy.need("rehearse")
    ask(copy, 0)
    with opened(copy, "predictions.db") as store:
        found = store.execute("select request_id from predictions order by id desc limit 1")
        return str(found.fetchone()[0])


@trial("model.explain", "the parts of a logged prediction add up to what was answered")
def adds_up(copy: Copy) -> Iterator[str]:
    """Explain one, and add up what is printed."""
    done = copy.run("make", "explain", ID=newest(copy))
    if done.returncode:
        yield f"make explain: {last(done)}"
        return
    numbers = [float(it) for it in re.findall(r" ([+-]?\d+\.\d{4})$", done.stdout, re.MULTILINE)]
    *parts, whole = numbers or [0.0]
    if len(parts) < 2 or abs(sum(parts) - whole) > 1e-4 * len(parts) * max(1, abs(whole)):
        yield f"make explain: {len(parts)} parts add up to {sum(parts):.4f}, the answer is {whole}"


@fault("model.explain", "an answer that the model does not give any more is not explained")
def other_answer(copy: Copy) -> Iterator[str]:
    """Write another answer into the log."""
    name = newest(copy)
    with opened(copy, "predictions.db") as store:
        (said,) = store.execute(OUTPUT, [name]).fetchone()
        other = re.sub(r"\d\.\d+", lambda found: f"{float(found[0]) * 0.5 + 0.3:.6f}", said)
        store.execute("update predictions set output = ? where request_id = ?", [other, name])
    if copy.run("make", "explain", ID=name).returncode == 0:
        yield "make explain: explains an answer that the model does not give"


@trial("gov.lineage", "every link from a prediction to its origin holds")
def traced(copy: Copy) -> Iterator[str]:
    """Trace one."""
    done = copy.run("make", "trace", PREDICTION=newest(copy))
    if done.returncode:
        yield f"make trace: {last(done)}"
    for link in ("version", "gate", "run", "commit", "data", "lock"):
        if not re.search(rf"^{link} +\S", done.stdout, re.MULTILINE):
            yield f"make trace: says nothing of {link}"


@fault("gov.lineage", "a link that is broken is named")
def cut(copy: Copy) -> Iterator[str]:
    """Change the commit of the run in MLflow."""
    name = newest(copy)
    with opened(copy, "mlflow.db") as store:
        store.execute("update tags set value = ? where key = 'git.commit'", ["0" * 40])
    done = copy.run("make", "trace", PREDICTION=name)
    if not done.returncode or "git.commit" not in done.stderr:
        yield "make trace: the run says another commit than the gate, and nobody sees it"
