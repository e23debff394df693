"""Who answers for what: owners, risks, the audit log, actions, documentation, incidents."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

import yaml

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.delivery import read_registered_model
from mlops_ladder.maturity.monitoring import list_alerts
from mlops_ladder.maturity.repository import hash_files, Repository

RISKS = "governance/risk.toml"
CLASSES = ("minimal", "limited", "high", "unacceptable")
OWNER = re.compile(r"@[\w./-]+|[^@\s]+@[^@\s]+\.\w+")
LOG, REF = "audit.jsonl", "refs/audit/log"
WORKFLOWS = (".github/workflows", ".github/actions", ".gitlab-ci.yml", ".gitlab")
USES = re.compile(r"^\s*(?:- )?uses\s*:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
PINNED = re.compile(r"^\./|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$")
DOCUMENT = "TECHNICAL.md"
CITED = re.compile(r"`([^`]+)` sha256 `([0-9a-f]{12})`")
SOURCE = re.compile(r"\[(?:run `[0-9a-f]{32}`|`[^`]+` sha256 `[0-9a-f]{12}`)[^\]]*\]$")
CLAIM = re.compile(r"\b(?:non-?)?(?:compli(?:an|ed|es)|comply|conform(?!al\b)|certif)\w*", re.I)


def find_unowned_folders(repository: Repository) -> Iterator[str]:
    """Yield the folders at the top without an owner in CODEOWNERS."""
    files = repository.glob("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS")
    rules = [line.split() for name in files for line in repository.text(name).splitlines()]
    owned = {words[0] for words in rules if len(words) > 1 and OWNER.fullmatch(words[1])}
    tops = {f"/{name.split('/')[0]}" for name in repository.files}
    lacking = sorted(tops - {path.rstrip("/") for path in owned})
    if lacking and "*" not in owned:
        yield f"CODEOWNERS: no owner for {', '.join(lacking[:5])}"


def find_risk_faults(repository: Repository) -> Iterator[str]:
    """Yield a register without class, misuse or risks, and risks whose controls are missing."""
    register = repository.table(RISKS)
    if register.get("class") not in CLASSES or not register.get("reason"):
        yield f"{RISKS}: no class of the risk, or no reason for it"
    if not register.get("misuse") or not register.get("risk"):
        yield f"{RISKS}: names no misuse, or no risk"
    for risk in register.get("risk", []):
        controls = risk.get("controls", [])
        if risk.get("level") == "high" and not controls:
            yield f"{RISKS}: {risk.get('what')}: the risk is high, and has no control"
        for control in map(str, controls):
            if not has_control(repository, *split_control(control)):
                yield f"{RISKS}: {risk.get('what')}: there is no {control}"


def split_control(control: str) -> tuple[str, str]:
    """Return the kind and the name of a control, as in `alert: Name`."""
    kind, _, name = control.partition(":")
    return kind.strip(), name.strip()


def has_control(repository: Repository, kind: str, name: str) -> bool:
    """Return whether the test, alert or gate is in the repository."""
    if kind == "test":
        path, _, function = name.partition("::")
        return f"def {function}(" in repository.text(path)
    if kind == "alert":
        return name in {rule["alert"] for rule in list_alerts(repository)}
    section, _, key = name.partition(".")
    if section == "questions":
        module = f"registry/checks/{key}.py"
        code = repository.glob(f"src/*/checks/{key}.py") or module in repository.library
        return bool(code and repository.parsed(f"config/{key}.toml"))
    return kind == "gate" and key in repository.table(f"config/{section}.toml", section)


def find_audit_faults(repository: Repository) -> Iterator[str]:
    """Yield breaks in the chain of the log, and its differences from registry and git."""
    lines, before = repository.log_lines(LOG, "make audit NOTE=yes"), "0" * 64
    tags = read_registered_model(repository)["tags"]
    digests: dict[str, str] = {}
    for number, text in enumerate(lines, 1):
        try:
            line = dict(json.loads(text))
        except ValueError:
            yield f"{LOG}:{number}: cannot be read"
            return
        if line.get("before") != before:
            yield f"{LOG}:{number}: does not follow from the line before"
            return
        if tags.get(f"audit.{number:06}") != text:
            yield f"{LOG}:{number}: is not what the registry holds"
        before = hashlib.sha256(text.encode()).hexdigest()
        if line.get("kind") == "decision":
            digests[str(line.get("about"))] = str(line.get("digest"))
    for key in sorted(tag for tag in tags if re.fullmatch(r"promotion\.\d{6}", tag)):
        decision = str(int(key.rpartition(".")[2]))
        if digests.get(decision) != hashlib.sha256(tags[key].encode()).hexdigest():
            yield f"{LOG}: decision {decision} is not noted as the registry holds it"
    anchored = read_anchored_log(repository)
    if lines[: len(anchored)] != anchored:
        yield f"{LOG}: {REF} in git holds another one"


def read_anchored_log(repository: Repository) -> list[str]:
    """Return the lines of the log in git; none in a clone that has not fetched them."""
    try:
        return repository.git("cat-file", "blob", REF).splitlines()
    except Unknown:
        return []


def find_unpinned_actions(repository: Repository) -> Iterator[str]:
    """Yield each action of a workflow that is not pinned to a commit."""
    for name in repository.glob(*WORKFLOWS):
        for action in USES.findall(repository.text(name)):
            if not PINNED.search(action):
                yield f"{name}: {action}: a tag can move; pin a full commit"


def find_unsourced_statements(repository: Repository) -> Iterator[str]:
    """Yield each line of the documentation that claims something, or names no source."""
    text = repository.text(DOCUMENT)
    if "`make techdoc` writes it from evidence" not in text:
        yield f"{DOCUMENT}: is not what `make techdoc` writes"
    for line in text.splitlines():
        if claim := CLAIM.search(re.sub(r"`[^`]*`", "", line)):
            yield f"{DOCUMENT}: says {claim[0]!r}; run: make techdoc"
        if line.startswith("- ") and not SOURCE.search(line):
            yield f"{DOCUMENT}: without a source: {line[:60]}; run: make techdoc"


def find_changed_citations(repository: Repository) -> Iterator[str]:
    """Yield each file that has changed since the documentation cited it."""
    cited = set(CITED.findall(repository.text(DOCUMENT)))
    if not cited:
        raise Unknown(f"{DOCUMENT}: cites nothing yet: make techdoc")
    for name, digits in sorted(cited):
        path = repository.root / name
        if not path.is_file():
            yield f"{DOCUMENT}: cites {name}, which is not there; run: make techdoc"
        elif not hash_files(path).startswith(digits):
            yield f"{DOCUMENT}: {name} has changed since it was cited; run: make techdoc"


def find_incident_faults(repository: Repository) -> Iterator[str]:
    """Yield each post-mortem whose times are not in order."""
    names = repository.glob("incidents/*.md") if repository.ours else []
    names = [name for name in names if name != "incidents/template.md"]
    if not names:
        raise Unknown("no incident is written down")
    for name in names:
        header = repository.text(name).removeprefix("---\n").partition("\n---\n")[0]
        try:
            incident: dict[str, Any] = dict(yaml.safe_load(header))
        except (yaml.YAMLError, TypeError, ValueError):
            incident = {}
        values = [incident.get(key) for key in ("started", "detected", "restored")]
        times = [add_zone(value) for value in values if isinstance(value, datetime)]
        if len(times) < 2 or times != sorted(times):
            yield f"{name}: started, detected and restored are not times in this order"


def add_zone(time: datetime) -> datetime:
    """Return a time with its zone: UTC if it names none."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
