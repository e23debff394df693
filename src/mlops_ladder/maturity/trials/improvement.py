"""Tried and planted: live quality and feedback, triggers, error budgets."""

import json
import re
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.monitoring import BUDGETS
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.trials.monitoring import opened, promtool
from mlops_ladder.maturity.trials.project import answer

ROWS = "2000"
BUDGET_TESTS = "slo_alerts_test.yml"
LEDGER = "triggers.jsonl"


def outcomes(copy: Copy, kind: str) -> int:
    """Log rows held out, and take what became of them, or something else; how many."""
    copy.need("rehearse")
    count = int(answer(copy, "outcomes", "logged", kind, ROWS))
    copy.must("make", "outcomes", FILE="outcomes.csv")
    return count


@trial("monitor.quality", "a model that is as promised is fine, and its rows are in the next data")
def fed(copy: Copy) -> Iterator[str]:
    """Outcomes as they happened: no alarm; feedback makes a file that the data are made of."""
    count = outcomes(copy, "right")
    done = copy.run("make", "quality", "FAIL=yes")
    if done.returncode and "logged rows" in done.stdout:
        yield f"make quality: {last(done)}, by the very rows of the promise"
    before = answer(copy, "outcomes", "rows")
    if (done := copy.run("make", "feedback")).returncode:
        yield f"make feedback: {last(done)}"
        return
    if (now := answer(copy, "outcomes", "rows")) != before + count:
        yield f"make feedback: {count} rows have an outcome, the data grew by {now - before}"
    if (done := copy.run("make", "data")).returncode:
        yield f"make data, after make feedback: {last(done)}"
    if "No logged row" not in copy.run("make", "feedback").stdout:
        yield "make feedback: the same rows are new a second time"


@fault("monitor.quality", "a model that is wrong by now is told")
def degraded(copy: Copy) -> Iterator[str]:
    """Outcomes that are none of those that were predicted."""
    outcomes(copy, "wrong")
    done = copy.run("make", "quality", "FAIL=yes")
    if "Not enough labels" in done.stdout:
        raise Unknown("too few rows are held out to judge the quality by")
    if done.returncode == 0:
        yield "make quality: every answer is wrong, and nobody sees it"


def decisions(copy: Copy) -> list[dict[str, Any]]:
    """The decisions of the ledger."""
    path = copy.root / LEDGER
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [it for it in map(json.loads, lines) if "decision" in it]


def changed(copy: Copy) -> None:
    """New data: the same rows, of which the first file has lost its last one."""
    copy.need("rehearse")
    path = copy.root / answer(copy, "outcomes", "first_file")
    path.write_bytes(path.read_bytes().rstrip(b"\n").rpartition(b"\n")[0] + b"\n")
    copy.must("make", "data", "DECLARE=yes")


@trial("pipeline.triggers", "new data give exactly one run, tagged with its cause")
def once(copy: Copy) -> Iterator[str]:
    """Change the data, trigger twice, and look for the tags in MLflow."""
    changed(copy)
    quick = {f"{copy.package.name.upper()}_TUNING__TRIALS": "1"}
    done = copy.run("make", "trigger", "CAUSE=data", **quick)
    if done.returncode or not done.stdout.startswith("run: "):
        yield f"make trigger: new data start no run: {last(done)}"
        return
    copy.run("make", "trigger", "CAUSE=data", **quick)
    runs = [it["id"] for it in decisions(copy) if it["decision"] == "run"]
    if len(runs) != 1:
        yield f"make trigger: {len(runs)} runs for one cause"
    with opened(copy, "mlflow.db") as store:
        query = "select value from tags where key = 'trigger.id'"
        tagged = {value for (value,) in store.execute(query)}
    if tagged != set(runs):
        yield f"MLflow: the runs are tagged with {', '.join(tagged) or 'nothing'}"


@fault("pipeline.triggers", "broken data start nothing, and a second event in cooldown neither")
def kept_back(copy: Copy) -> Iterator[str]:
    """Break a file of the data; then mend it, behind a run that began a minute ago."""
    changed(copy)
    path = copy.root / answer(copy, "outcomes", "first_file")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"broken" + content[len(content) // 2 :])
    copy.run("make", "trigger", "CAUSE=data")
    if [it["decision"] for it in decisions(copy)] != ["veto"]:
        yield f"make trigger: a file is broken, and it decides {decisions(copy)}"
    path.write_bytes(content)
    answer(copy, "outcomes", "just_begun")
    copy.run("make", "trigger", "CAUSE=data")
    if [it["decision"] for it in decisions(copy)][-1] != "cooldown":
        yield "make trigger: a run began a minute ago, and another one begins"


@trial("monitor.slo", "the rules of the error budgets hold in all of their tests")
def kept(copy: Copy) -> Iterator[str]:
    """Have Prometheus's tool run them."""
    if wrong := promtool(copy, "test", "rules", BUDGET_TESTS):
        yield f"{BUDGETS}: {wrong}"


@fault("monitor.slo", "an alert that no longer sees a slow leak is found by its test")
def leaking(copy: Copy) -> Iterator[str]:
    """Have it ask for a leak ten times as large."""
    if broken := promtool(copy, "test", "rules", BUDGET_TESTS):
        raise Unknown(f"the rules break their tests as they are: {broken}")
    text = (copy.root / BUDGETS).read_text(encoding="utf-8")
    blunt = re.sub(r'(slo:burn:3d\{[^}]*slo=~"availability[^}]*\}) > 1\b', r"\1 > 10", text)
    if blunt == text:
        raise Unknown(f"{BUDGETS}: no alert on slo:burn:3d, so it cannot be blunted")
    (copy.root / BUDGETS).write_text(blunt, encoding="utf-8")
    if not promtool(copy, "test", "rules", BUDGET_TESTS):
        yield f"{BUDGETS}: a slow leak is not seen any more, and no test says so"
