"""From the champion to production: registry, gate, approval, image, stages, infrastructure."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.repository import is_own_data, Repository

LOG, DEPLOYED = "promotions.jsonl", "deployments.jsonl"
FOLDER = "deploy/kubernetes/overlays"
OVERLAYS = tuple(f"{FOLDER}/{name}/kustomization.yaml" for name in ("staging", "production"))
OWN = {"namespace", "replicas", "patches"}  # keys that may differ between overlays
TERRAFORM_SECRET = re.compile(
    r'^\s*(?:\w*password|\w*secret_key|token)\s*=\s*"[^"$]+"', re.MULTILINE
)

Facts = dict[str, Any]


def read_registered_model(repository: Repository) -> Facts:
    """Return the model of this project in the registry.  Raise Unknown if there is none."""
    models = repository.records["registry"]
    name = repository.answers.get("package_name", "")
    model = models.get(name) or next(iter(models.values()), None)
    if not model or not model["versions"]:
        raise Unknown("no version is registered here yet: make pipeline")
    return dict(model)


def trace_champion(repository: Repository) -> Iterator[str]:
    """Yield what is missing between the champion and its run, commit, data and lock."""
    model = read_registered_model(repository)
    number = model["aliases"].get("champion")
    if number is None:
        raise Unknown("no version is champion yet: make pipeline")
    run_id = model["versions"].get(number, {}).get("run")
    run = next((run for run in repository.records["all"] if run["id"] == run_id), None)
    if run is None:
        yield f"champion v{number}: its run is not recorded"
        return
    for tag in ("git.commit", "data.sha256", "env.lock_sha256"):
        if run["tags"].get(tag, "unknown") == "unknown":
            yield f"champion v{number}: its run does not say {tag}"
    if not run["models"]:
        yield f"champion v{number}: its run logged no model"


def read_decisions(repository: Repository) -> list[Facts]:
    """Return the decisions of the gate in the registry, the oldest first."""
    tags = read_registered_model(repository)["tags"]
    numbers = sorted(name for name in tags if re.fullmatch(r"promotion\.\d{6}", name))
    return [json.loads(tags[name]) for name in numbers]


def compare_log_with_registry(repository: Repository) -> Iterator[str]:
    """Yield each decision and alias that differs between log and registry."""
    aliases = read_registered_model(repository)["aliases"]
    try:
        decisions = read_decisions(repository)
        log = [json.loads(line) for line in repository.log_lines(LOG, "make registry")]
    except ValueError as error:
        yield f"{LOG}: cannot be read: {error}"
        return
    for line, decision in zip(log, decisions, strict=False):
        differing = [key for key in decision if key != "verdict" and line.get(key) != decision[key]]
        if differing:
            yield f"{LOG}: decision {decision.get('number')}: {differing[0]} is not the registry's"
    if len(decisions) != len(log):
        yield f"{LOG}: {len(log)} decisions, the registry holds {len(decisions)}"
    moves = [move for move in decisions if move["action"] not in ("accept", "refuse")]
    for alias, key in (("champion", "version"), ("previous", "previous")):
        right = moves[-1].get(key) if moves else None
        if aliases.get(alias) != right:
            named = aliases.get(alias)
            yield f"alias {alias}: names version {named}, the gate decided on {right}"


def list_decision_times(repository: Repository, actions: list[str]) -> list[datetime]:
    """Return when decisions of this kind were made about runs on own data."""
    own = {run["id"] for run in repository.records["all"] if is_own_data(run)}
    return [
        datetime.fromisoformat(decision["time"]).astimezone(UTC)
        for decision in read_decisions(repository)
        if decision["action"] in actions and decision["run_id"] in own
    ]


def read_approvals(repository: Repository) -> list[Facts]:
    """Return the approvals that the registry holds."""
    versions = read_registered_model(repository)["versions"].values()
    tags = [version["tags"] for version in versions]
    return [json.loads(texts["approval"]) for texts in tags if "approval" in texts]


def find_wrong_approvals(repository: Repository) -> Iterator[str]:
    """Yield each approval of another report than the gate's, or by an author."""
    proofs = {decision["proof"] for decision in read_decisions(repository)}
    for approval in read_approvals(repository):
        where = f"v{approval['version']}: approved by {approval['approver']}"
        if approval["proof"] not in proofs:
            yield f"{where}: no decision of the gate has that report"
        if approval["approver"].casefold() in map(str.casefold, approval["authors"]):
            yield f"{where}, who made it"


def list_approvals(repository: Repository) -> list[datetime]:
    """Return the times of the approvals."""
    times = [approval["time"] for approval in read_approvals(repository)]
    return [datetime.fromisoformat(time).astimezone(UTC) for time in times]


def find_image_faults(repository: Repository) -> Iterator[str]:
    """Yield what is wrong with the Dockerfile, and with what starts its image."""
    texts = [
        repository.text(name)
        for name in repository.files
        if name.endswith("Dockerfile") and "deploy/kubernetes/base/" not in name
    ]
    text = "\n".join(texts)
    if not re.search(r"^FROM \S", text, re.MULTILINE):
        yield "Dockerfile: builds nothing"
        return
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    if not users or users[-1] in ("root", "0"):
        yield "Dockerfile: the service runs as root"
    if not re.search(r"^(CMD|ENTRYPOINT) ", text, re.MULTILINE):
        yield "Dockerfile: starts nothing"
    starting = repository.glob(
        "compose", "compose.yaml", "docker-compose.yml", "k8s", "deploy", "helm"
    )
    manifests = [repository.parsed(name) for name in starting if name.endswith("ml")]
    if not any(isinstance(manifest, dict | list) for manifest in manifests):
        yield "nothing starts the image: no compose file, no manifest"
    texts += map(repository.text, starting)
    if not any(re.search("HEALTHCHECK|healthcheck|readinessProbe", part) for part in texts):
        yield "no start waits until the service is ready: no health check, no probe"


def list_release_tags(repository: Repository) -> list[datetime]:
    """Return the times of the tags that CI deploys."""
    listed = repository.git("for-each-ref", "--format=%(creatordate:iso-strict)", "refs/tags/v*")
    return [datetime.fromisoformat(line).astimezone(UTC) for line in listed.split()]


def compare_overlays(repository: Repository) -> Iterator[str]:
    """Yield the differences between the overlays of staging and production."""
    overlays = [repository.table(name) for name in OVERLAYS]
    for name, overlay in zip(OVERLAYS, overlays, strict=True):
        if not overlay.get("namespace"):
            yield f"{name}: no overlay with a namespace"
            return
    staging, production = ({key: one[key] for key in one.keys() - OWN} for one in overlays)
    for key in sorted(staging.keys() | production.keys()):
        if staging.get(key) != production.get(key):
            yield f"{FOLDER}: {key} of staging is not production's"
    if "images" in staging:
        yield f"{FOLDER}: images are named; `make promote` puts the digest in"


def find_unstaged_images(repository: Repository) -> Iterator[str]:
    """Yield each image that reached production without staging."""
    staged: set[str] = set()
    try:
        for attempt in map(json.loads, repository.log_lines(DEPLOYED, "make stage promote")):
            if attempt["result"] != "deployed":
                continue
            if attempt["environment"] == "staging":
                staged.add(attempt["image"])
            elif (image := attempt["image"]) not in staged:
                yield f"{DEPLOYED}: {image} got to production without staging, {attempt['time']}"
    except (ValueError, KeyError, TypeError) as error:
        yield f"{DEPLOYED}: cannot be read: {error!r}"


def find_stack_faults(repository: Repository) -> Iterator[str]:
    """Yield a tracking server without passwords, open ports, and secrets with a default."""
    tracking = read_services(repository, "deploy/stack/tracking.yaml").values()
    if not any("--app-name=basic-auth" in list_command_words(service) for service in tracking):
        yield "deploy/stack/tracking.yaml: no server that requires a login"
    for name in repository.glob("deploy/stack/*.yaml"):
        for key, service in read_services(repository, name).items():
            ports = [str(port) for port in service.get("ports", [])]
            if open_ports := [port for port in ports if "127.0.0.1:" not in port]:
                yield f"{name}: {key} listens on all interfaces at {', '.join(open_ports)}"
        for secret in re.findall(r"\$\{(\w*(?:PASSWORD|SECRET)\w*):?-\w", repository.text(name)):
            yield f"{name}: {secret} has a default value"


def read_services(repository: Repository, name: str) -> dict[str, Facts]:
    """Return the services of a compose file, by name; none of another file."""
    return repository.table(name, "services")


def list_command_words(service: Facts) -> list[str]:
    """Return the command of a service, word by word."""
    command = service.get("command", [])
    return command.split() if isinstance(command, str) else [str(word) for word in command]


def find_terraform_secrets(repository: Repository) -> Iterator[str]:
    """Yield each Terraform file with a secret.  Raise Unknown if a foreign repository has none."""
    files = repository.glob("*.tf", "deploy/infra", "infra", "terraform")
    names = [name for name in files if name.endswith(".tf")]
    for name in names:
        if secret := TERRAFORM_SECRET.search(repository.text(name)):
            yield f"{name}: {secret[0].split('=')[0].strip()} stands in the file"
    if not names and not repository.ours:
        raise Unknown("what other tools say is not read")
