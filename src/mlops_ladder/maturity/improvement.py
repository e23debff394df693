"""What learns again by itself: outcomes and live quality, triggers, objectives."""

import re
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import sign
from mlops_ladder.maturity.monitoring import alerts, faulty, without
from mlops_ladder.maturity.repository import Repository

QUALITY = "monitoring/quality_alerts.yml"
TRIGGERS = "monitoring/triggers_alerts.yml"
BUDGETS, BURNS = "monitoring/slo_alerts.yml", "monitoring/slo_rules.yml"
WINDOWS = ("5m", "30m", "1h", "6h", "3d")  # of The Site Reliability Workbook, chapter 5

Facts = dict[str, Any]


def section(repository: Repository, name: str) -> Facts:
    """The settings of a capability."""
    known = repository.parsed(f"config/{name}.toml")
    return dict(known.get(name, {})) if isinstance(known, dict) else {}


@sign(
    "monitor.quality", "what became of predictions is compared with the promise, and learned from"
)
def quality(repository: Repository) -> Iterator[str]:
    """Outcomes are joined and judged; an alert asks for the verdict; rows go back into the data."""
    yield from without(repository, "monitoring/quality.py", "joined", "losses", "write")
    yield from without(repository, "monitoring/feedback.py", "rows_of", "written", "declare")
    if not section(repository, "quality"):
        yield "config/quality.toml: does not say how much worse is too much"
    yield from faulty(repository, QUALITY)
    if not any("quality_worse" in str(it["expr"]) for it in alerts(repository, QUALITY)):
        yield f"{QUALITY}: no alert asks whether the quality is worse than promised"


@sign("pipeline.triggers", "a cause is judged before it starts a training, and written down")
def triggers(repository: Repository) -> Iterator[str]:
    """Cooldown and budget are set; the decision, the ledger and the veto are asked."""
    yield from without(
        repository, "pipeline/retraining/starting.py", "decide", "ledger.add", "data_guard.faults"
    )
    yield from without(repository, "pipeline/retraining/receiver.py", "Guard", "judge")
    yield from faulty(repository, TRIGGERS)
    for key in ("cooldown_hours", "runs_per_week", "minutes_per_week"):
        if repository.ours and key not in section(repository, "triggers"):
            yield f"config/triggers.toml: sets no {key}"


@sign("monitor.slo", "what is promised has rules in each window, and an alert for a slow leak")
def objectives(repository: Repository) -> Iterator[str]:
    """Each objective has a burn rate in each window, by its own budget."""
    yield from faulty(repository, BUDGETS)
    yield from without(repository, "monitoring/costs.py", "busy_cost", "trainings")
    wanted = {k: it for k, it in section(repository, "objectives").items() if k != "latency_ms"}
    if repository.ours and not wanted:
        yield "config/objectives.toml: promises nothing"
    known = repository.parsed(BURNS)
    groups = known.get("groups", []) if isinstance(known, dict) else []
    rules = {
        (it.get("record"), it.get("labels", {}).get("slo")): str(it.get("expr"))
        for group in groups
        for it in group.get("rules", [])
    }
    for name, share in wanted.items():
        for window in WINDOWS:
            expression = rules.get((f"slo:burn:{window}", name), "")
            if not re.search(rf"\[{window}\].*/ {1 - share:.6g}$", expression):
                yield f"{BURNS}: {name} has no burn rate of {window}; run: make objectives"
    slow = [it for it in alerts(repository, BUDGETS) if "slo:burn:3d" in str(it["expr"])]
    if not slow:
        yield f"{BUDGETS}: no alert sees a slow leak"
