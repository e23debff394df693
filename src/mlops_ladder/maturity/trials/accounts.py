"""Tried and planted: features that are worth something or nothing, incidents, documentation."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, UTC
from pathlib import Path

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.gov import DOCUMENT, sourced, unchanged
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.trials.project import answer

INCIDENT = """title = "Tried"
severity = "low"
cause = "{cause}"
version = ""
started = {started}
detected = {started}
restored = {restored}
"""


@trial("feature.review", "the champion has a report on each of its features")
def report(copy: Copy) -> Iterator[str]:
    """Shuffled, which is quick; each input of the contract stands in the report."""
    copy.need("rehearse")
    done = copy.run("make", "features", "SECONDS=0")
    pages = list(copy.root.glob("reports/features/v*.md"))
    if done.returncode or not pages:
        yield f"make features: {last(done)}"
        return
    text = pages[0].read_text(encoding="utf-8")
    columns = (copy.repository.parsed("contract.toml") or {}).get("columns", {})
    inputs = [name for name, it in columns.items() if it["role"] in ("feature", "time")]
    lacking = [name for name in inputs if f"| {name.replace('|', '&#124;')} | " not in text]
    if lacking:
        yield f"{pages[0].name}: says nothing of {', '.join(lacking[:3])}"


@fault("feature.review", "a column that tells the answer is valuable, one that is constant is not")
def worthless(copy: Copy) -> Iterator[str]:
    """Add both to some rows of the project, and have models learn anew without each."""
    found = answer(copy, "features", "planted")
    for name, right in (("constant", "no value shown"), ("telling", "valuable")):
        if found[name] != right:
            yield f"features: a {name} column is called {found[name]!r}"


def documented(copy: Copy) -> Path:
    """The documentation of the champion of this copy."""
    copy.need("rehearse")
    copy.must("make", "techdoc")
    return copy.root / DOCUMENT


@trial("gov.techdoc", "the documentation of a champion passes, and cites runs, files and reports")
def written(copy: Copy) -> Iterator[str]:
    """Write it, read every citation once more, and look for the champion's run in it."""
    text = documented(copy).read_text(encoding="utf-8")
    yield from sourced(copy.repository)
    yield from unchanged(copy.repository)
    named = set(re.findall(r"run `([0-9a-f]{32})`", text))
    if not named or named - {it["id"] for it in copy.repository.runs}:
        yield f"{DOCUMENT}: cites runs that are not recorded: {', '.join(named) or 'none'}"
    if (done := copy.cli("techdoc", "--check")).returncode:
        yield f"{DOCUMENT}: fresh from `make techdoc`, and its check fails: {last(done)}"
    if "techdoc --check" not in copy.must("make", "--dry-run", "check"):
        yield "make check: does not check the technical documentation"


@fault("gov.techdoc", "an edited number, a changed source and a claim are refused")
def claimed(copy: Copy) -> Iterator[str]:
    """Edit a digit of a statement; then a file that is cited; then have config.toml claim."""
    path = documented(copy)
    text = path.read_text(encoding="utf-8")
    lines = [it for it in text.splitlines() if re.match(r"- \w+ \d\.\d*[1-9]", it)]
    if not lines:
        raise Unknown(f"{DOCUMENT}: no score in it to edit")
    line = copy.random.choice(lines)
    other = re.sub(r"[1-9]", lambda it: str(int(it[0]) % 9 + 1), line, count=1)
    path.write_text(text.replace(line, other), encoding="utf-8")
    if not copy.cli("techdoc", "--check").returncode:
        yield f"{DOCUMENT}: a number was edited, and `techdoc --check` passes it"
    path.write_text(text, encoding="utf-8")
    with (copy.root / "governance/risk.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    done = copy.cli("techdoc", "--check")
    if not done.returncode or "governance/risk.toml" not in done.stderr:
        yield f"{DOCUMENT}: a source has changed, and `techdoc --check` passes it"
    copy.plant("governance/risk.toml", 'reason = "', 'reason = "It is fully compliant. ')
    done = copy.run("make", "techdoc")
    if not done.returncode or "compliant" not in done.stderr:
        yield "make techdoc: writes that the system is compliant"


def delivered(copy: Copy) -> list[float]:
    """Write commits, deployments and incidents down; the hours that commits waited."""
    now = datetime.now(UTC).replace(microsecond=0)
    hours, lines = list[float](), []
    for place in range(3):
        began = now - timedelta(days=30 - 7 * place)
        hours.append(copy.random.randint(2, 90))
        given = {"GIT_COMMITTER_DATE": began.isoformat(), "GIT_AUTHOR_DATE": began.isoformat()}
        copy.must("git", "commit", "--quiet", "--allow-empty", "--no-verify", "-m", "It", **given)
        commit = copy.must("git", "rev-parse", "HEAD").strip()
        told = {"time": (began + timedelta(hours=hours[-1])).isoformat(), "who": "maturity"}
        told |= {"environment": "production", "image": f"sha256:{place}", "commit": commit}
        lines.append(json.dumps(told | {"result": "deployed"}))
        begun, over = (now - timedelta(days=5 + place), timedelta(hours=place + 1))
        said = {"started": begun.isoformat(), "restored": (begun + over).isoformat()}
        cause = "deploy" if place == 0 else "data"
        path = copy.root / f"incidents/tried-{place}.toml"
        path.write_text(INCIDENT.format(cause=cause, **said), encoding="utf-8")
    (copy.root / "deployments.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return hours


@trial("gov.incident", "lead time, deploy rate, failure share and restore time are what they were")
def measured(copy: Copy) -> Iterator[str]:
    """Three deployments, one to blame for an incident; three incidents of one to three hours."""
    hours = delivered(copy)
    text = copy.must("make", "delivery")
    found = dict(re.findall(r"^([a-z ]+?) {2,}(\d[\d.e+-]*) ", text, re.MULTILINE))
    wanted = {"lead time": sorted(hours)[1], "change failure rate": 1 / 3, "time to restore": 2.0}
    for name, right in wanted.items():
        if abs(float(found.get(name, "nan")) - right) < 0.01 * right:
            continue
        yield f"make delivery: {name} is {right:.3g}, it says {found.get(name, 'nothing')}"
    if not 0 < float(found.get("deployment frequency", 0)) < 3:
        yield f"make delivery: 3 changes in 4 weeks are {found.get('deployment frequency')} a week"


@fault("gov.incident", "an incident that ends before it starts is refused by file and value")
def backwards(copy: Copy) -> Iterator[str]:
    """Restored an hour before it started."""
    now = datetime.now(UTC).replace(microsecond=0)
    said = {"started": now.isoformat(), "restored": (now - timedelta(hours=1)).isoformat()}
    path = copy.root / "incidents/backwards.toml"
    path.write_text(INCIDENT.format(cause="data", **said), encoding="utf-8")
    done = copy.run("make", "delivery")
    if not done.returncode or path.name not in done.stderr or "restored" not in done.stderr:
        yield "make delivery: an incident ends before it starts, and that is not said"
