"""Trials and faults of monitoring: metrics, alerts, drift, skew, explanations, quality."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from statistics import stdev

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.monitoring import BUDGETS, list_alerts, list_metrics, RULES
from mlops_ladder.maturity.sandbox import Copy, last_line
from mlops_ladder.maturity.service import run_service, Service
from mlops_ladder.maturity.trials.project import ask_project, find_failure

ROWS = 2_000
SUFFIXES = re.compile(r"_(?:bucket|sum|count|total|created)$")
SLOW_LEAK = re.compile(r'(slo:burn:3d\{[^}]*slo=~"availability[^}]*\}) > 1\b')
LAST_REQUEST = "select request_id from predictions order by id desc limit 1"

Words = dict[str, str]


def exposed_metrics(service: Service) -> set[str]:
    """Return the names of the metrics of a service; empty if it exposes none."""
    connection = service.connect()
    try:
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        text = reply.read().decode() if reply.status == 200 else ""
    except (OSError, HTTPException):
        text = ""
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def compare_metrics(copy: Copy) -> Iterator[str]:
    """Ask a service with a champion, and compare its metrics with those of rules and panels."""
    copy.need("pipeline-smoke")
    with run_service(copy) as service:
        service.ask("/predict", service.example())
        exposed = {SUFFIXES.sub("", name) for name in exposed_metrics(service)}
    names = [name for name in list_metrics(copy.repository) if name.startswith("serving_")]
    for name in sorted({SUFFIXES.sub("", name) for name in names} - exposed):
        yield f"/metrics: lacks {name}, which rules or dashboards ask for"


def mute_alert(copy: Copy) -> Words:
    """Mute a random alert; return its name."""
    name = copy.random.choice([rule["alert"] for rule in list_alerts(copy.repository)])
    head, _, rest = copy.text(RULES).partition(f"alert: {name}\n")
    muted = re.sub(r"expr: (\|\n +)?", r"\g<0>0 > 1 and ", rest, count=1)
    copy.write(RULES, f"{head}alert: {name}\n{muted}")
    return {"alert": name}


def blunt_alert(copy: Copy) -> None:
    """Have the alert on a slow leak ask for one ten times as large."""
    text = copy.text(BUDGETS)
    blunt = SLOW_LEAK.sub(r"\1 > 10", text)
    if blunt == text:
        raise Unknown(f"{BUDGETS}: no alert on slo:burn:3d, so it cannot be blunted")
    copy.write(BUDGETS, blunt)


def log_rows(copy: Copy, change: str = "0") -> Words:
    """Log rows of the training, one input of numbers shifted by so many deviations; return it."""
    copy.need("pipeline-smoke")
    seed = str(copy.random.randrange(1000))
    sample = ask_project(copy, "served", "sample_training_rows", seed, str(ROWS))
    rows, name = sample["rows"], sample["number"]
    if name is None:
        raise Unknown("no input holds numbers to shift")
    values = [row[name] for row in rows if row[name] is not None]
    shift, high, low = stdev(values) * float(change), max(values), min(values)
    for row in rows:
        if row[name] is not None:
            row[name] = min(max(row[name] + shift, low), high)
    with run_service(copy) as service:
        for start in range(0, len(rows), 500):
            status, reply = service.ask("/predict", rows[start : start + 500])
            if status != 200:
                raise Unknown(f"/predict: {status} for rows of the training: {reply}")
    return {"input": str(name)}


def log_request(copy: Copy) -> Words:
    """Log some requests; return the id of the last."""
    log_rows(copy)
    with closing(sqlite3.connect(copy.root / "predictions.db")) as store:
        return {"request": store.execute(LAST_REQUEST).fetchone()[0]}


def explain_prediction(copy: Copy) -> Iterator[str]:
    """Explain a prediction: the printed parts add up to the answer."""
    done = copy.run("make", "explain", f"ID={log_request(copy)['request']}")
    if done.returncode:
        yield f"make explain: {last_line(done)}"
        return
    numbers = list(map(float, re.findall(r" ([+-]?\d+\.\d{4})$", done.stdout, re.MULTILINE)))
    *parts, total = numbers or [0.0]
    if len(parts) < 2 or abs(sum(parts) - total) > 1e-4 * len(parts) * max(1, abs(total)):
        yield f"make explain: {len(parts)} parts add up to {sum(parts):.4f}, the answer is {total}"


def log_outcomes(copy: Copy, kind: str) -> Words:
    """Log the hold-out, and its outcomes, right or wrong; return the number of rows."""
    copy.need("pipeline-smoke")
    count = ask_project(copy, "outcomes", "log_holdout", kind, str(ROWS))
    copy.must("make", "outcomes", FILE="outcomes.csv")
    return {"count": str(count)}


def take_outcomes(copy: Copy) -> Iterator[str]:
    """Log outcomes as they happened: no alarm, and feedback adds the rows to the data, once."""
    count = int(log_outcomes(copy, "right")["count"])
    done = copy.run("make", "quality", "FAIL=yes")
    if done.returncode and "logged rows" in done.stdout:
        yield f"make quality: {last_line(done)}, by the very rows of the promise"
    before = ask_project(copy, "rows", "count_training_rows")
    if (done := copy.run("make", "feedback")).returncode:
        yield f"make feedback: {last_line(done)}"
        return
    if (now := ask_project(copy, "rows", "count_training_rows")) != before + count:
        yield f"make feedback: {count} rows have an outcome, the data grew by {now - before}"
    yield from find_failure(copy, "make", "data")
    if "No logged row" not in copy.run("make", "feedback").stdout:
        yield "make feedback: the same rows are new a second time"
