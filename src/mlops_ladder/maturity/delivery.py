"""From training to the champion: flow, registry, gate, deployment."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.code import find_lacking_targets, without_library
from mlops_ladder.maturity.grading import own_data
from mlops_ladder.maturity.repository import read_text, Repository

LOG = "promotions.jsonl"
DEPLOYED = "deployments.jsonl"
FOLDER = "deploy/kubernetes/overlays"
OVERLAYS = tuple(f"{FOLDER}/{name}/kustomization.yaml" for name in ("staging", "production"))
OWN = {"namespace", "replicas", "patches"}  # what an overlay may have to itself

Facts = dict[str, Any]


@sign("pipeline.flow", "the steps from rows to a model are a flow")
def flow(repository: Repository) -> Iterator[str]:
    """Something imports an orchestrator."""
    yield from without_library(repository, "pipeline.flow")


def registered(repository: Repository) -> Facts:
    """The model of this project in the registry.  Unknown where there is none."""
    known = repository.records["registry"]
    name = repository.answers.get("package_name", "")
    found = known.get(name) or next(iter(known.values()), None)
    if not found or not found["versions"]:
        raise Unknown("no version is registered here yet: make pipeline")
    return dict(found)


@record(
    "registry.versions", "the champion leads to its run, and to the commit, data and lock of it"
)
def chain(repository: Repository) -> Iterator[str]:
    """Follow the alias to what the champion was made from."""
    found = registered(repository)
    number = found["aliases"].get("champion")
    if number is None:
        raise Unknown("no version is champion yet: make pipeline")
    version = found["versions"].get(number)
    run = next(
        (it for it in repository.records["all"] if version and it["id"] == version["run"]), None
    )
    if run is None:
        yield f"champion v{number}: its run is not recorded"
        return
    for tag in ("git.commit", "data.sha256", "env.lock_sha256"):
        if run["tags"].get(tag, "unknown") == "unknown":
            yield f"champion v{number}: its run does not say {tag}"
    if not run["models"]:
        yield f"champion v{number}: its run logged no model"


@use("registry.versions")
def promoted(repository: Repository) -> list[datetime]:
    """Promotions of models that learned from own data."""
    return decisions_of(repository, {"promote"})


def decided(repository: Repository) -> list[Facts]:
    """The decisions that the registry holds, in their order; they are those of the log."""
    tags = registered(repository)["tags"]
    numbers = sorted(name for name in tags if re.fullmatch(r"promotion\.\d{6}", name))
    return [json.loads(tags[name]) for name in numbers]


def logged(repository: Repository) -> list[Facts]:
    """The decisions of promotions.jsonl.  Unknown where there is none on this machine."""
    path = repository.root / LOG
    if not path.exists():
        raise Unknown(f"{LOG} is not on this machine: make registry")
    return [json.loads(line) for line in read_text(path).splitlines() if line]


@record("registry.gate", "the log, the registry and its aliases agree on who was made champion")
def agreed(repository: Repository) -> Iterator[str]:
    """Compare log and registry decision by decision, and the aliases with the last move."""
    found = registered(repository)
    try:
        known, log = decided(repository), logged(repository)
    except ValueError as error:
        yield f"{LOG}: cannot be read: {error}"
        return
    for one, other in zip(log, known, strict=False):
        differing = [key for key in other if key != "verdict" and one.get(key) != other[key]]
        if differing:
            yield f"{LOG}: decision {other.get('number')}: {differing[0]} is not the registry's"
    if len(known) != len(log):
        yield f"{LOG}: {len(log)} decisions, the registry holds {len(known)}"
    moves = [it for it in known if it["action"] not in ("accept", "refuse")]
    for alias, wanted in (("champion", "version"), ("previous", "previous")):
        right = moves[-1].get(wanted) if moves else None
        if found["aliases"].get(alias) != right:
            held = found["aliases"].get(alias)
            yield f"alias {alias}: names version {held}, the gate decided on {right}"


@use("registry.gate")
def judged(repository: Repository) -> list[datetime]:
    """Decisions of the gate on models that learned from own data."""
    return decisions_of(repository, {"accept", "promote", "refuse"})


def decisions_of(repository: Repository, actions: set[str]) -> list[datetime]:
    """When decisions of this kind were made about runs on own data."""
    own = {run["id"] for run in repository.records["all"] if own_data(run)}
    found = [it for it in decided(repository) if it["action"] in actions and it["run_id"] in own]
    return [datetime.fromisoformat(it["time"]).astimezone(UTC) for it in found]


@sign("cd.deploy", "an image that runs as nobody, and a way to start it that waits for it")
def image(repository: Repository) -> Iterator[str]:
    """Read the Dockerfile and what starts the image."""
    names = [
        name
        for name in repository.files
        if name.endswith("Dockerfile") and "deploy/kubernetes/base/" not in name
    ]
    text = "\n".join(repository.text(name) for name in names)
    if not re.search(r"^FROM \S", text, re.MULTILINE):
        yield "Dockerfile: builds nothing"
        return
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    if not users or users[-1] in ("root", "0"):
        yield "Dockerfile: the service runs as root"
    if not re.search(r"^(CMD|ENTRYPOINT) ", text, re.MULTILINE):
        yield "Dockerfile: starts nothing"
    started = repository.glob(
        "compose", "compose.yaml", "docker-compose.yml", "k8s", "deploy", "helm"
    )
    if not any(
        isinstance(repository.parsed(name), dict | list) for name in started if name.endswith("ml")
    ):
        yield "nothing starts the image: no compose file, no manifest"
    ready = "".join(repository.text(name) for name in started) + text
    if not re.search("HEALTHCHECK|healthcheck|readinessProbe", ready):
        yield "nothing waits until the service is ready: no health check, no probe"


@use("cd.deploy")
def tagged(repository: Repository) -> list[datetime]:
    """Tags: CI deploys each."""
    listed = repository.git("for-each-ref", "--format=%(creatordate:iso-strict)", "refs/tags/v*")
    return [datetime.fromisoformat(line).astimezone(UTC) for line in listed.split()]


@sign("cd.promote", "an image is tried in staging, and production is made from the same files")
def stages(repository: Repository) -> Iterator[str]:
    """Look for what promotes; overlays name the same bases, and no image."""
    if not repository.ours:
        raise Unknown("how others promote is not known")
    tool = repository.library.get("delivery/release.py", "")
    for act in ("smoked", "bring", "running"):
        if f"places.{act}(" not in tool:
            yield f"delivery/release.py: calls no {act}"
    yield from find_lacking_targets(repository, "promote")
    if repository.glob("deploy/kubernetes"):
        yield from alike(repository)


def alike(repository: Repository) -> Iterator[str]:
    """Where the overlays of staging and production are not made from the same."""
    found = [repository.parsed(name) for name in OVERLAYS]
    for name, known in zip(OVERLAYS, found, strict=True):
        if not isinstance(known, dict) or not known.get("namespace"):
            yield f"{name}: no overlay with a namespace"
            return
    one, other = ({key: it[key] for key in it.keys() - OWN} for it in found)
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            yield f"{FOLDER}: {key} of staging is not production's"
    if "images" in one:
        yield f"{FOLDER}: images are named; `make promote` puts the digest in"


def attempts(repository: Repository) -> list[Facts]:
    """The attempts of deployments.jsonl.  Unknown where there is none on this machine."""
    path = repository.root / DEPLOYED
    if not path.exists():
        raise Unknown(f"{DEPLOYED} is not on this machine: make stage promote")
    return [json.loads(line) for line in read_text(path).splitlines() if line]


@record("cd.promote", "whatever production got, staging ran before")
def tried(repository: Repository) -> Iterator[str]:
    """Follow the log of deployments."""
    staged: set[str] = set()
    try:
        for it in attempts(repository):
            if it["result"] == "deployed" and it["environment"] == "staging":
                staged.add(it["image"])
            elif it["result"] == "deployed" and it["image"] not in staged:
                yield f"{DEPLOYED}: {it['image']} got to production past staging, {it['time']}"
    except (ValueError, KeyError, TypeError) as error:
        yield f"{DEPLOYED}: cannot be read: {error!r}"


@use("cd.promote")
def moved(repository: Repository) -> list[datetime]:
    """Images that got from staging to production."""
    found = [it for it in attempts(repository) if it["environment"] == "production"]
    times = [it["time"] for it in found if it["result"] == "deployed"]
    return [datetime.fromisoformat(time).astimezone(UTC) for time in times]


@sign("tracking.shared", "a tracking server that asks who it is, and secrets without a default")
def shared(repository: Repository) -> Iterator[str]:
    """Read what starts it."""
    if not repository.ours:
        return
    tracking = services(repository, "deploy/stack/tracking.yaml").values()
    if not any("--app-name=basic-auth" in words(it) for it in tracking):
        yield "deploy/stack/tracking.yaml: no server that asks for a name and a password"
    for name in repository.glob("deploy/stack/*.yaml"):
        for service, it in services(repository, name).items():
            if open_ports := [str(at) for at in it.get("ports", []) if "127.0.0.1:" not in str(at)]:
                yield f"{name}: {service} listens to everybody at {', '.join(open_ports)}"
        for secret in re.findall(r"\$\{(\w*(?:PASSWORD|SECRET)\w*):?-\w", repository.text(name)):
            yield f"{name}: {secret} has a default, which everybody knows"
    for name in ("delivery/stack.py", "delivery/backup.py"):
        if "def " not in repository.library.get(name, ""):
            yield f"{name}: does nothing"


def services(repository: Repository, name: str) -> dict[str, Facts]:
    """The services of a compose file, by their names; none where it is no such file."""
    known = repository.parsed(name)
    return dict(known.get("services") or {}) if isinstance(known, dict) else {}


def words(service: Facts) -> list[str]:
    """The command of a service, word by word."""
    command = service.get("command", [])
    return command.split() if isinstance(command, str) else [str(word) for word in command]


@sign("pipeline.schedule", "the pipeline has its times, and each bad end of a run is told")
def scheduled(repository: Repository) -> Iterator[str]:
    """Read the settings, and what is registered for a failure, a crash, a cancellation."""
    if not repository.ours:
        return
    if not (repository.parsed("config/schedule.toml") or {}).get("schedule", {}).get("cron"):
        yield "config/schedule.toml: names no cron"
    text = repository.library.get("pipeline/deployment.py", "")
    for end in ("on_failure", "on_crashed", "on_cancellation"):
        if not re.search(rf"{end}=\[\w", text):
            yield f"pipeline/deployment.py: nobody is told {end.replace('_', ' ')}"
    if "cron=" not in text:
        yield "pipeline/deployment.py: no schedule"
