"""What can be answered for: features, incidents and delivery, the technical documentation."""

import re
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repo import changes
from mlops_ladder.maturity.repository import digest, Repository
from mlops_ladder.maturity.runbook import blocks

DOCUMENT = "TECHNICAL.md"
CITED = re.compile(r"`([^`]+)` sha256 `([0-9a-f]{12})`")
SOURCE = re.compile(r"\[(?:run `[0-9a-f]{32}`|`[^`]+` sha256 `[0-9a-f]{12}`)[^\]]*\]$")
CLAIM = re.compile(r"\b(?:non-?)?(?:compli(?:an|ed|es)|comply|conform(?!al\b)|certif)\w*", re.I)
RETIREMENT = "docs/runbooks/retirement.md"
TEMPLATE = "incidents/template.md"
HEADINGS = ("Timeline", "Why", "What is done about it")


@sign("feature.review", "each feature is left out, and what is lost is told from chance")
def reviewed(repository: Repository) -> Iterator[str]:
    """Models learn anew without it; the loss has an interval, the latency is measured."""
    calls = ("answers(learned", "value = lost", "= paired", "in review", "known = owners")
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
    asked = repository.targets.get("check", "")
    if "techdoc-checked" not in repository.targets or not re.search(
        r"^techdoc-checked\b", asked, re.MULTILINE
    ):
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
    calls = ("rolled_back", "return blamed", "incidents", "= lead_times", "happened", "median")
    yield from without(repository, "governance/delivery_metrics.py", "git", *calls)
    try:
        blocks(RETIREMENT, repository.text(RETIREMENT))
    except Unknown as reason:
        yield str(reason)


@record("gov.incident", "the times of every incident are in order")
def ordered(repository: Repository) -> Iterator[str]:
    """Harm begins, is detected, ends; and each incident has its post-mortem beside it."""
    names = [it for it in repository.glob("incidents/*.toml") if repository.ours]
    if not names:
        raise Unknown("no incident is written down")
    for name in names:
        known: Any = repository.parsed(name) or {}
        times = [known.get(key) for key in ("started", "detected", "restored")]
        there = [zoned(it) for it in times if isinstance(it, datetime)]
        if len(there) < 2 or there != sorted(there):
            yield f"{name}: started, detected and restored are not times in this order"
        if name.removesuffix(".toml") + ".md" not in repository.files:
            yield f"{name}: has no post-mortem beside it"


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
    return changes(repository, "incidents/*.toml")
