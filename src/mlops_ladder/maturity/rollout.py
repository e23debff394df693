"""How a new model replaces the one that serves: rollouts, and experiments."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mlops_ladder.maturity import record, sign, use
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repository import read_text, Repository
from mlops_ladder.maturity.serving import components

SETTINGS = "config/rollout.toml"
LOG = "rollouts.jsonl"
KEYS = ("shares", "units", "false_aborts", "failures", "latency", "shift", "loss")
WRITTEN = ("hypothesis", "owner", "candidate", "metric", "better", "smallest_effect", "horizon")

Facts = dict[str, Any]


@sign("serving.canary", "a new version gets clients step by step, and evidence takes it back")
def rollouts(repository: Repository) -> Iterator[str]:
    """The steps and margins are written down; a step is decided by both arms."""
    known = (repository.parsed(SETTINGS) or {}).get("rollout", {}) if repository.ours else {}
    for key in KEYS if repository.ours else ():
        if key not in known:
            yield f"{SETTINGS}: [rollout] has no {key}"
    if repository.ours and not 0 < float(known.get("false_aborts", 1)) <= 0.2:
        yield f"{SETTINGS}: rollout.false_aborts is above 0.2: chance decides"
    yield from without(repository, "serving/canary.py", "drawn", "covered = Covered")
    yield from without(repository, "serving/assignment.py", "blake2b")
    yield from without(repository, "serving/rollout/analysis.py", "p_value")
    yield from without(repository, "serving/rollout/deciding.py", "standing", "decide")
    for place in (
        ("staging", "production") if repository.glob("deploy/kubernetes/overlays/scaled/*") else ()
    ):
        if "../../rollout" not in components(repository, place):
            yield f"deploy/kubernetes/overlays/scaled/{place}: its pods follow no plan of a rollout"


def decisions(repository: Repository) -> list[Facts]:
    """The lines of the log that can be read."""
    found = []
    path = repository.root / LOG
    for line in read_text(path).splitlines() if path.exists() else ():
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


@record("serving.canary", "no version reached all clients against the evidence of its rollout")
def evidence(repository: Repository) -> Iterator[str]:
    """Each rollout begins with an accepting gate, and goes on only where nothing was worse."""
    begun: set[str] = set()
    for it in decisions(repository):
        about = f"{LOG}: {it.get('action')} v{it.get('version')}"
        if it.get("action") == "start":
            begun.add(str(it.get("rollout")))
            if not (it.get("verdict") or {}).get("accepted"):
                yield f"{about}: no gate has accepted it"
        elif str(it.get("rollout")) not in begun:
            yield f"{about}: its rollout was never begun"
        if it.get("action") in ("advance", "promote"):
            worse = [
                x["name"] for x in (it.get("evidence") or {}).get("findings", []) if x["worse"]
            ]
            if worse:
                yield f"{about}: though the candidate was worse in {', '.join(worse)}"


@use("serving.canary")
def ended(repository: Repository) -> list[datetime]:
    """Days on which a rollout came to an end."""
    ends = ("promote", "abort")
    return [
        datetime.fromisoformat(it["time"]) for it in decisions(repository) if it["action"] in ends
    ]


@sign("serving.abtest", "an experiment is written down before it begins, and told at its horizon")
def experiments(repository: Repository) -> Iterator[str]:
    """Each record says what is believed, who is compared, and what decides when."""
    if not repository.ours:
        return
    names = repository.glob("experiments/*.toml")
    if not names:
        yield "experiments: no record, not even an example"
    for name in names:
        known = repository.parsed(name)
        lacking = [key for key in WRITTEN if not (isinstance(known, dict) and known.get(key))]
        if lacking:
            yield f"{name}: has no {', '.join(lacking)}"
    yield from without(repository, "serving/rollout/experiment.py", "ttest_ind", "chisquare")


@use("serving.abtest")
def decided(repository: Repository) -> list[datetime]:
    """Days on which somebody decided an experiment."""
    found = []
    for it in decisions(repository):
        if it.get("experiment") and it["action"] in ("promote", "abort"):
            found.append(datetime.fromisoformat(it["time"]))
    return found
