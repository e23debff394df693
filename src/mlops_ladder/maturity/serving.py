"""What answers: the API, the log of predictions, threats, scaling, rollouts and experiments."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import list_columns
from mlops_ladder.maturity.database import open_database
from mlops_ladder.maturity.repository import format_hint, Repository

DATABASE = "predictions.db"
NEWEST = "select max(time) from predictions group by date(time) order by 1 desc limit 100"
THREATS = "docs/security.md"
SCALED = "deploy/kubernetes/overlays/scaled"
SETTINGS = "config/rollout.toml"
LOG = "rollouts.jsonl"
WRITTEN = ("hypothesis", "owner", "candidate", "metric", "better", "smallest_effect", "horizon")

Facts = dict[str, Any]


def find_undocumented_inputs(repository: Repository) -> Iterator[str]:
    """Yield each input of the contract that the snapshot of the API lacks."""
    document = repository.table("docs/openapi.json")
    words = json.dumps(document, ensure_ascii=False)
    for name in list_columns(repository, "feature") if document.get("paths") else ():
        if json.dumps(name, ensure_ascii=False) not in words:
            yield f"docs/openapi.json: lacks the input {name}; run: make openapi"


def query_predictions(repository: Repository, query: str) -> list[tuple[Any, ...]]:
    """Return rows of the prediction log.  Raise Unknown if there is none on this machine."""
    path = repository.root / DATABASE
    if not path.exists():
        raise Unknown(
            f"no prediction is logged in {DATABASE} here{format_hint(repository, 'make serve')}"
        )
    with open_database(path) as ask:
        return ask(query)


def find_log_faults(repository: Repository) -> Iterator[str]:
    """Yield the first of the newest thousand requests with a personal column or without a model."""
    query = "select model_version, inputs from predictions order by id desc limit 1000"
    personal = set(list_columns(repository, "personal"))
    for version, inputs in query_predictions(repository, query):
        if not version:
            yield f"{DATABASE}: a prediction names no model"
            return
        if logged := sorted(personal & {name for row in json.loads(inputs) for name in row}):
            yield f"{DATABASE}: holds {logged[0]}, which the contract calls personal"
            return


def list_request_days(repository: Repository) -> list[datetime]:
    """Return the last request of each of the newest hundred days with one; the log is in UTC."""
    times = [datetime.fromisoformat(time) for (time,) in query_predictions(repository, NEWEST)]
    return [time if time.tzinfo else time.replace(tzinfo=UTC) for time in times]


def find_untested_threats(repository: Repository) -> Iterator[str]:
    """Yield each threat of docs/security.md whose tests are not there."""
    rows = re.findall(r"^\| [A-Z].*\|$", repository.text(THREATS), re.MULTILINE)
    if not rows:
        yield f"{THREATS}: lists no threat"
    tests = "\n".join(
        repository.text(name) for name in repository.files if name.startswith("tests/")
    )
    written = set(re.findall(r"^def (test_\w+)\(", tests, re.MULTILINE))
    written |= set(re.findall(r"\btest_\w+", repository.library.get("proofs.toml", "")))
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row)
        if lost := [name for name in names if name not in written] or not names:
            yield f"{THREATS}: {row.split('|')[1].strip()}: no such test: {lost or 'none named'}"


def find_autoscaler_faults(repository: Repository) -> Iterator[str]:
    """Yield what a cluster lacks to run as many pods as are needed."""
    deployment = repository.table("deploy/kubernetes/base/deployment.yaml")
    name = deployment.get("metadata", {}).get("name")
    pods = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    if not all(pod.get("resources", {}).get("requests", {}).get("cpu") for pod in pods) or not pods:
        yield "deploy/kubernetes/base/deployment.yaml: requests no CPU, so use is not measured"
    for way in (f"{SCALED}/cpu/autoscaler.yaml", f"{SCALED}/requests/scaled.yaml"):
        spec = repository.table(way, "spec")
        if spec.get("scaleTargetRef", {}).get("name") != name:
            yield f"{way}: does not scale {name}"
        least = spec.get("minReplicas", spec.get("minReplicaCount")) or 0
        if least < 2:
            yield f"{way}: at least {least} pods: none is left if one dies"
    for stage in ("staging", "production"):
        if not {"../cpu", "../requests"} & list_components(repository, stage):
            yield f"{SCALED}/{stage}: no autoscaler"


def list_components(repository: Repository, stage: str) -> set[str]:
    """Return the components of kustomize that an environment of many pods has."""
    return {*(repository.table(f"{SCALED}/{stage}/kustomization.yaml").get("components") or ())}


def find_rollout_faults(repository: Repository) -> Iterator[str]:
    """Yield a share of false aborts that is too large, and pods that follow no rollout."""
    if not 0 < float(repository.table(SETTINGS, "rollout").get("false_aborts", 1)) <= 0.2:
        yield f"{SETTINGS}: rollout.false_aborts is above 0.2: chance decides"
    for stage in ("staging", "production") if repository.glob(f"{SCALED}/*") else ():
        if "../../rollout" not in list_components(repository, stage):
            yield f"{SCALED}/{stage}: its pods follow no rollout"


def read_rollouts(repository: Repository) -> list[Facts]:
    """Return the lines of the log of rollouts that can be read; none without a log."""
    steps = []
    for line in repository.log_lines(LOG) if (repository.root / LOG).exists() else ():
        try:
            steps.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            continue
    return steps


def find_unproven_steps(repository: Repository) -> Iterator[str]:
    """Yield each rollout that no gate accepted, and each step although a finding was worse."""
    begun: set[str] = set()
    for step in read_rollouts(repository):
        about, rollout = f"{LOG}: {step.get('action')} v{step.get('version')}", step.get("rollout")
        if step.get("action") == "start":
            begun.add(str(rollout))
            if not (step.get("verdict") or {}).get("accepted"):
                yield f"{about}: no gate has accepted it"
        elif str(rollout) not in begun:
            yield f"{about}: its rollout was never begun"
        if step.get("action") in ("advance", "promote"):
            findings = (step.get("evidence") or {}).get("findings", [])
            if worse := [finding["name"] for finding in findings if finding["worse"]]:
                yield f"{about}: although the candidate was worse in {', '.join(worse)}"


def find_experiment_faults(repository: Repository) -> Iterator[str]:
    """Yield each record that does not say what is believed, who is compared, what decides when."""
    names = repository.glob("experiments/*.toml")
    if not names:
        yield "experiments: no record, not even an example"
    for name in names:
        record = repository.table(name)
        if lacking := [key for key in WRITTEN if not record.get(key)]:
            yield f"{name}: has no {', '.join(lacking)}"


def list_rollout_ends(repository: Repository, key: str) -> list[datetime]:
    """Return when rollouts that have this key came to an end."""
    steps = [step for step in read_rollouts(repository) if step.get(key)]
    ends = [step for step in steps if step["action"] in ("promote", "abort")]
    return [datetime.fromisoformat(step["time"]) for step in ends]
