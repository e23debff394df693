"""What answers: batch, API, the log of predictions, rollouts and experiments."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.code import find_lacking_targets, without_library
from mlops_ladder.maturity.data import by_role
from mlops_ladder.maturity.database import opened
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repository import hint, read_text, Repository

PATHS = ("/predict", "/health", "/ready", "/version")
DATABASE = "predictions.db"
THREATS = "docs/security.md"

Facts = dict[str, Any]
NEWEST = "select max(time) from predictions group by date(time) order by 1 desc limit 100"
SETTINGS = "config/rollout.toml"
LOG = "rollouts.jsonl"
KEYS = ("shares", "units", "false_aborts", "failures", "latency", "shift", "loss")
WRITTEN = ("hypothesis", "owner", "candidate", "metric", "better", "smallest_effect", "horizon")


@sign("serving.api", "a service, and the snapshot of its API, which the contract types")
def api(repository: Repository) -> Iterator[str]:
    """Something imports a web framework; the snapshot names paths and inputs."""
    yield from without_library(repository, "serving.api")
    if not repository.ours:
        return
    known = repository.parsed("docs/openapi.json")
    paths = known.get("paths", {}) if isinstance(known, dict) else {}
    for path in PATHS:
        if path not in paths:
            yield f"docs/openapi.json: lacks {path}; run: make openapi"
    words = json.dumps(known, ensure_ascii=False) if paths else ""
    for name in by_role(repository, "feature") if paths else ():
        if json.dumps(name, ensure_ascii=False) not in words:
            yield f"docs/openapi.json: lacks the input {name}; run: make openapi"


def predicted(repository: Repository, query: str) -> list[tuple[Any, ...]]:
    """Rows of the prediction log.  Unknown where there is none on this machine."""
    path = repository.root / DATABASE
    if not path.exists():
        raise Unknown(f"no prediction is logged in {DATABASE} here{hint(repository, 'make serve')}")
    with opened(path) as ask:
        return ask(query)


@record("monitor.predlog", "no logged prediction holds a personal column or lacks its model")
def logged(repository: Repository) -> Iterator[str]:
    """Read the newest thousand requests."""
    query = "select model_version, inputs from predictions order by id desc limit 1000"
    private = set(by_role(repository, "personal"))
    for version, inputs in predicted(repository, query):
        rows = json.loads(inputs)
        if not version:
            yield f"{DATABASE}: a prediction names no model"
            return
        if found := sorted(private & {name for row in rows for name in row}):
            yield f"{DATABASE}: holds {found[0]}, which the contract calls personal"
            return


@use("monitor.predlog")
@use("serving.api")
def asked(repository: Repository) -> list[datetime]:
    """Days on which predictions were logged, once a request up to a hundred."""
    return [moment(time) for (time,) in predicted(repository, NEWEST)]


def moment(text: str) -> datetime:
    """A time of the log, which is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@sign("serving.security", "each threat has a control and a test that is there")
def threats(repository: Repository) -> Iterator[str]:
    """Read docs/security.md, and look for the tests that it names."""
    if not repository.ours:
        raise Unknown("how others list their threats is not known")
    rows = re.findall(r"^\| [A-Z].*\|$", repository.text(THREATS), re.MULTILINE)
    if not rows:
        yield f"{THREATS}: lists no threat"
    written = "\n".join(repository.text(it) for it in repository.files if it.startswith("tests/"))
    known = set(re.findall(r"^def (test_\w+)\(", written, re.MULTILINE))
    known |= set(re.findall(r"\btest_\w+", repository.library.get("proofs.toml", "")))
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row)
        if lost := [name for name in names if name not in known] or not names:
            yield f"{THREATS}: {row.split('|')[1].strip()}: no such test: {lost or 'none named'}"


@sign("serving.load", "the load that the service has to carry is written down")
def budgets(repository: Repository) -> Iterator[str]:
    """Budgets for time, errors and memory."""
    yield from settings(repository, "load", "p95_ms", "error_share", "memory_mib")


@sign("serving.fallback", "what answers where no model does is written down")
def fallback(repository: Repository) -> Iterator[str]:
    """It is switched on."""
    yield from settings(repository, "fallback", "enabled", "switch")
    if repository.ours and not section(repository, "fallback").get("enabled", False):
        yield "config/fallback.toml: fallback.enabled is false: such requests are refused"


@sign("serving.scale", "there may be several of it, and one that dies is noticed by nobody")
def scaled(repository: Repository) -> Iterator[str]:
    """A drill that kills one; copies behind a proxy that asks again, or an autoscaler."""
    if not repository.ours:
        return
    yield from find_lacking_targets(repository, "survive")
    if repository.glob("deploy/compose"):
        if not re.search("lb_retry_match", repository.text("deploy/compose/Caddyfile.workers")):
            yield "deploy/compose/Caddyfile.workers: a request whose copy dies is not sent again"
        if not re.search("replicas:", repository.text("deploy/compose/workers.yaml")):
            yield "deploy/compose/workers.yaml: there is one copy of the service"
    if repository.glob("deploy/kubernetes"):
        yield from autoscaled(repository)


def autoscaled(repository: Repository) -> Iterator[str]:
    """What a cluster lacks to run as many pods as are needed."""
    deployment = repository.parsed("deploy/kubernetes/base/deployment.yaml") or {}
    name = deployment.get("metadata", {}).get("name")
    pods = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    if not all(it.get("resources", {}).get("requests", {}).get("cpu") for it in pods) or not pods:
        yield "deploy/kubernetes/base/deployment.yaml: requests no CPU: none can be measured"
    ways = (
        "deploy/kubernetes/overlays/scaled/cpu/autoscaler.yaml",
        "deploy/kubernetes/overlays/scaled/requests/scaled.yaml",
    )
    for way in ways:
        spec = (repository.parsed(way) or {}).get("spec", {})
        if spec.get("scaleTargetRef", {}).get("name") != name:
            yield f"{way}: scales something else than {name}"
        least = spec.get("minReplicas", spec.get("minReplicaCount", 0))
        if least < 2:
            yield f"{way}: {least} pods at least: where one dies there is none"
    for place in ("staging", "production"):
        if not {"../cpu", "../requests"} & components(repository, place):
            yield f"deploy/kubernetes/overlays/scaled/{place}: no autoscaler"


def components(repository: Repository, place: str) -> set[str]:
    """The components of kustomize that an environment of many pods has."""
    known = repository.parsed(f"deploy/kubernetes/overlays/scaled/{place}/kustomization.yaml")
    return {*(known.get("components") or ())} if isinstance(known, dict) else set()


def section(repository: Repository, name: str) -> Facts:
    """The settings of a capability."""
    known = repository.parsed(f"config/{name}.toml")
    return dict(known.get(name, {})) if isinstance(known, dict) else {}


def settings(repository: Repository, name: str, *keys: str) -> Iterator[str]:
    """Keys that the settings of a capability lack."""
    for key in keys if repository.ours else ():
        if key not in section(repository, name):
            yield f"config/{name}.toml: has no {key}"


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
