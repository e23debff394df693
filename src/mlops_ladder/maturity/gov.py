"""Who answers for what: owners, risks, the audit log, what it is made from, features, incidents."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

import yaml

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.code import find_lacking_targets
from mlops_ladder.maturity.delivery import registered
from mlops_ladder.maturity.monitoring import alerts, without
from mlops_ladder.maturity.repo import changes
from mlops_ladder.maturity.repository import digest, read_text, Repository
from mlops_ladder.maturity.runbook import blocks

CLASSES = ("minimal", "limited", "high", "unacceptable")
OWNER = re.compile(r"@[\w./-]+|[^@\s]+@[^@\s]+\.\w+")
Facts = dict[str, Any]
LOG, REF = "audit.jsonl", "refs/audit/log"
WORKFLOWS = (".github/workflows", ".github/actions", ".gitlab-ci.yml", ".gitlab")
USES = re.compile(r"^\s*(?:- )?uses\s*:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
PINNED = re.compile(r"^\./|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$")
HOOKS = {
    "before_bundle_load": "the service loads what nobody has signed",
    "find_promotion_objections": "an unsigned version becomes champion",
    "after_bundle_download": "no signature comes along with a model",
}
TOOL = "delivery/release.py"
DOCUMENT = "TECHNICAL.md"
CITED = re.compile(r"`([^`]+)` sha256 `([0-9a-f]{12})`")
SOURCE = re.compile(r"\[(?:run `[0-9a-f]{32}`|`[^`]+` sha256 `[0-9a-f]{12}`)[^\]]*\]$")
CLAIM = re.compile(r"\b(?:non-?)?(?:compli(?:an|ed|es)|comply|conform(?!al\b)|certif)\w*", re.I)
RETIREMENT = "docs/runbooks/retirement.md"
TEMPLATE = "incidents/template.md"
HEADINGS = ("Timeline", "Why", "What is done about it")


@sign("gov.ownership", "every file has an owner, and decisions are recorded")
def owned(repository: Repository) -> Iterator[str]:
    """A rule for all, or one for each folder at the top; at home decision records and guides."""
    files = repository.glob("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS")
    lines = [line.split() for name in files for line in repository.text(name).splitlines()]
    known = {words[0] for words in lines if len(words) > 1 and OWNER.fullmatch(words[1])}
    if "*" not in known:
        tops = {f"/{name.split('/')[0]}" for name in repository.files}
        if lacking := sorted(tops - {it.rstrip("/") for it in known}):
            yield f"CODEOWNERS: nobody owns {', '.join(lacking[:5])}"
    if repository.ours:
        for name in ("CONTRIBUTING.md", "docs/modelling.md"):
            if "\n## " not in repository.text(name) and "\n1. " not in repository.text(name):
                yield f"{name}: says nothing on how the project is changed"
        decisions = [repository.text(name) for name in repository.glob("docs/adr/*.md")]
        if not any("**Decision.**" in text for text in decisions):
            yield "docs/adr: no decision is recorded"


@sign("gov.risk", "each high risk names a test, a gate or an alert that is there")
def risks(repository: Repository) -> Iterator[str]:
    """The register has a class with its reason, misuse and risks, each with controls."""
    register = repository.parsed("governance/risk.toml") or {}
    if register.get("class") not in CLASSES or not register.get("reason"):
        yield "governance/risk.toml: no class of the risk, or no reason for it"
    if not register.get("misuse") or not register.get("risk"):
        yield "governance/risk.toml: names no misuse, or no risk"
    for risk in register.get("risk", []):
        controls = risk.get("controls", [])
        if risk.get("level") == "high" and not controls:
            yield f"governance/risk.toml: {risk.get('what')}: high, and nothing stands against it"
        for control in map(str, controls):
            if not there(repository, *split(control)):
                yield f"governance/risk.toml: {risk.get('what')}: there is no {control}"


def split(control: str) -> tuple[str, str]:
    """The kind and the name of a control, as in `alert: Name`."""
    kind, _, name = control.partition(":")
    return kind.strip(), name.strip()


def there(repository: Repository, kind: str, name: str) -> bool:
    """Is the control in the repository?"""
    if kind == "test":
        path, _, function = name.partition("::")
        return f"def {function}(" in repository.text(path)
    if kind == "alert":
        return name in {rule["alert"] for rule in alerts(repository)}
    section, _, key = name.partition(".")
    if section == "questions":
        told = repository.parsed(f"config/{key}.toml")
        here = (
            repository.glob(f"src/*/checks/{key}.py")
            or f"registry/checks/{key}.py" in repository.library
        )
        return bool(here and told)
    settings: Facts = repository.parsed(f"config/{section}.toml") or {}
    return kind == "gate" and key in settings.get(section, {})


@sign("gov.lineage", "a logged prediction can be followed back to run, commit, data and lock")
def lineage(repository: Repository) -> Iterator[str]:
    """It asks the log, the registry, MLflow and git."""
    yield from without(
        repository,
        "governance/lineage.py",
        "Archive",
        "find_promoting_decision",
        "get_run",
        "git",
        "checksum",
    )


@use("gov.ownership")
def records(repository: Repository) -> list[datetime]:
    """Commits that record a decision or change who owns what."""
    return changes(repository, "CODEOWNERS", "docs/adr")


@use("gov.risk")
def registers(repository: Repository) -> list[datetime]:
    """Commits that change the register."""
    return changes(repository, "governance/risk.toml")


@sign("gov.audit", "each decision is noted in a chain that is compared with registry and git")
def chained(repository: Repository) -> Iterator[str]:
    """A line holds the digest of the one before; what decides tells it; a target verifies."""
    yield from without(
        repository, "governance/audit/chain.py", "digest", "differences", "registered"
    )
    yield from without(
        repository, "governance/audit/noting.py", "chain.faults", "contradicted", "unnoted"
    )
    if not repository.ours:
        return
    line = 'after_decision.audit = "governance.audit.noting:'
    if line not in repository.library.get("plugins.toml", ""):
        yield "plugins.toml of the library: nobody tells the audit log of a decision"
    for module in ("registry/decisions.py", "serving/rollout/decisions.py"):
        if "after_decision(" not in repository.library.get(module, ""):
            yield f"{module}: tells nobody of a decision"
    yield from find_lacking_targets(repository, "audit")


def noted(repository: Repository) -> list[str]:
    """The lines of the log.  Unknown where there is none on this machine."""
    path = repository.root / LOG
    if not path.exists():
        raise Unknown(f"{LOG} is not on this machine: make audit NOTE=yes")
    return read_text(path).splitlines()


@record("gov.audit", "each line follows from the one before, and each decision has its line")
def unbroken(repository: Repository) -> Iterator[str]:
    """Compute the chain anew, and compare it with the registry and with git."""
    lines, before = noted(repository), "0" * 64
    held = registered(repository)["tags"]
    seen: dict[str, str] = {}
    for place, text in enumerate(lines, 1):
        try:
            line = dict(json.loads(text))
        except ValueError:
            yield f"{LOG}:{place}: cannot be read"
            return
        if line.get("before") != before:
            yield f"{LOG}:{place}: does not follow from the line before"
            return
        if held.get(f"audit.{place:06}") != text:
            yield f"{LOG}:{place}: is not what the registry holds"
        before = hashlib.sha256(text.encode()).hexdigest()
        if line.get("kind") == "decision":
            seen[str(line.get("about"))] = str(line.get("digest"))
    for key in sorted(it for it in held if re.fullmatch(r"promotion\.\d{6}", it)):
        number = str(int(key.rpartition(".")[2]))
        if seen.get(number) != hashlib.sha256(held[key].encode()).hexdigest():
            yield f"{LOG}: decision {number} is not noted as the registry holds it"
    if lines[: len(known := anchored(repository))] != known:
        yield f"{LOG}: {REF} in git holds another one"


def anchored(repository: Repository) -> list[str]:
    """The lines that git holds; none in a clone that has not fetched them."""
    try:
        return repository.git("cat-file", "blob", REF).splitlines()
    except Unknown:
        return []


@use("gov.audit")
def times(repository: Repository) -> list[datetime]:
    """When decisions were noted."""
    found = [json.loads(text) for text in noted(repository)]
    return [datetime.fromisoformat(it["time"]) for it in found if it["kind"] == "decision"]


@sign("gov.supply", "a bill of materials, signatures that are asked for, and pinned actions")
def supplied(repository: Repository) -> Iterator[str]:
    """Read the workflows, and what verifies before anything serves."""
    for name in repository.glob(*WORKFLOWS):
        for used in USES.findall(repository.text(name)):
            if not PINNED.search(used):
                yield f"{name}: {used}: a tag may be other code tomorrow; pin a full commit"
    if not repository.ours:
        return
    yield from without(repository, "governance/sbom.py", "locked", "model", "data")
    yield from without(repository, "registry/signing.py", "signatures.sign", "signatures.signer")
    yield from without(repository, "registry/signed.py", "signatures.signer")
    for hook, why in HOOKS.items():
        line = rf'^{hook}\.signing = "registry\.sign(?:ed|ing):\w+"'
        if not re.search(line, repository.library.get("plugins.toml", ""), re.MULTILINE):
            yield f"plugins.toml of the library: no {hook} for signing: {why}"
    if "required" not in (repository.parsed("config/signing.toml") or {}).get("signing", {}):
        yield "config/signing.toml: does not say whether it is required"
    yield from delivered(repository)


def delivered(repository: Repository) -> Iterator[str]:
    """Where an image gets to production past the signatures."""
    text = repository.library.get(TOOL, "")
    verified, brought = text.find("{verified(image, commit)}"), text.find("._places.bring(")
    if not 0 <= verified < brought or "raise self._places.Refused" not in text:
        yield f"{TOOL}: an image is brought that nobody has verified"
    if "return Attested(places) if" not in text:
        yield f"{TOOL}: `ladder stage` and `ladder promote` do not ask for a signature"


@use("gov.supply")
def signed(repository: Repository) -> list[datetime]:
    """When signatures of versions were noted."""
    found = [json.loads(text) for text in noted(repository)]
    return [datetime.fromisoformat(it["time"]) for it in found if it["kind"] == "signature"]


@sign("feature.review", "each feature is left out, and what is lost is told from chance")
def reviewed(repository: Repository) -> Iterator[str]:
    """Models learn anew without it; the loss has an interval, the latency is measured."""
    calls = (
        "= fit_or_baseline",
        "value = estimate_loss",
        "= measure_latency",
        "in review_features",
        "owners = find_column_owners",
    )
    yield from without(repository, "governance/feature_review.py", "log_text", *calls)


@sign("gov.techdoc", "the documentation claims nothing, and each statement in it has its source")
def sourced(repository: Repository) -> Iterator[str]:
    """It is what `make techdoc` writes, `make check` asks it, and no word in it is a verdict."""
    if not repository.ours:
        return
    text = repository.text(DOCUMENT)
    if "`make techdoc` writes it from evidence" not in text:
        yield f"{DOCUMENT}: is not what `make techdoc` writes"
    for line in text.splitlines():
        if claim := CLAIM.search(re.sub(r"`[^`]*`", "", line)):
            yield f"{DOCUMENT}: says {claim[0]!r}; run: make techdoc"
        if line.startswith("- ") and not SOURCE.search(line):
            yield f"{DOCUMENT}: without a source: {line[:60]}; run: make techdoc"
    yield from find_lacking_targets(repository, "techdoc-checked")
    if not re.search(r"^techdoc-checked\b", repository.targets.get("check", ""), re.MULTILINE):
        yield "make check: does not check the technical documentation"


@record("gov.techdoc", "every file that the documentation cites is what it was")
def unchanged(repository: Repository) -> Iterator[str]:
    """Compute each sha256 again."""
    found = set(CITED.findall(repository.text(DOCUMENT)))
    if not found:
        raise Unknown(f"{DOCUMENT}: cites nothing yet: make techdoc")
    for name, digits in sorted(found):
        path = repository.root / name
        if not path.is_file():
            yield f"{DOCUMENT}: cites {name}, which is not there; run: make techdoc"
        elif not digest(path).startswith(digits):
            yield f"{DOCUMENT}: {name} has changed since it was cited; run: make techdoc"


@sign("gov.incident", "incidents have a post-mortem, delivery is measured, an end is planned")
def prepared(repository: Repository) -> Iterator[str]:
    """The template asks for what is learned; the procedure of retirement has commands."""
    if not repository.ours:
        return
    for heading in HEADINGS:
        if f"## {heading}\n" not in repository.text(TEMPLATE):
            yield f"{TEMPLATE}: has no {heading!r}"
    calls = (
        "rolled_back",
        "return blame_changes",
        "read_incidents",
        "= measure_lead_times",
        "read_changes",
        "median",
    )
    yield from without(repository, "governance/delivery_metrics.py", "git", *calls)
    try:
        blocks(RETIREMENT, repository.text(RETIREMENT))
    except Unknown as reason:
        yield str(reason)


@record("gov.incident", "the times of every incident are in order")
def ordered(repository: Repository) -> Iterator[str]:
    """Harm begins, is detected, ends: by the facts at the top of each post-mortem."""
    names = [it for it in repository.glob("incidents/*.md") if repository.ours and it != TEMPLATE]
    if not names:
        raise Unknown("no incident is written down")
    for name in names:
        facts = repository.text(name).removeprefix("---\n").partition("\n---\n")[0]
        try:
            known: Any = dict(yaml.safe_load(facts))
        except (yaml.YAMLError, TypeError, ValueError):
            known = {}
        values = [known.get(key) for key in ("started", "detected", "restored")]
        order = [zoned(value) for value in values if isinstance(value, datetime)]
        if len(order) < 2 or order != sorted(order):
            yield f"{name}: started, detected and restored are not times in this order"


def zoned(time: datetime) -> datetime:
    """A time with its zone: UTC where it names none."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@use("gov.techdoc")
def documents(repository: Repository) -> list[datetime]:
    """Commits that renew the documentation."""
    return changes(repository, DOCUMENT)


@use("gov.incident")
def learned(repository: Repository) -> list[datetime]:
    """Commits that write down what an incident has taught."""
    return changes(repository, "incidents/*.md")
