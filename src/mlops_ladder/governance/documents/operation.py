"""Points 3 to 9 of the annex: how the system is watched, judged and changed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from mlops_ladder.governance.documents.statements import named, of, said, Section, toml

DRILLS = Path("docs/runbooks/drills.jsonl")
PEOPLE = "no program can make it; it is written, and answered for, by whoever offers the system"


def sections() -> Iterator[Section]:
    """Each with what it finds, and where that is nothing how to make evidence."""
    nothing: Iterator[str] = iter(())
    yield Section("3 Monitoring, functioning and control", control(), "`make drift drill`")
    yield Section("4 Performance metrics", metrics(), "choose `metric` in `config.toml`")
    yield Section("5 Risk management", risks(), "write `governance/risk.toml`, then `make risks`")
    yield Section("6 Changes through the life cycle", changes(), "`make pipeline`")
    yield Section("7 Standards applied", nothing, PEOPLE)
    yield Section("8 Declaration of the provider", nothing, PEOPLE)
    yield Section("9 After it is in use", afterwards(), "`make outcomes quality delivery`")


def control() -> Iterator[str]:
    """What watches it, and what was seen."""
    for path in sorted(Path("monitoring").glob("*alerts.yml")):
        names = re.findall(r"^\s*- alert: (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        yield said(f"{len(names)} alerts: {named(names)}", path)
    found, cited = of("drift")
    if verdicts := found.get("found"):
        moved = named(it["column"] for it in verdicts if it["drifted"]) or "none"
        rows = f"{verdicts[0]['rows']:,} rows asked until {verdicts[0]['time'][:10]}"
        yield said(f"Inputs that have drifted, of {len(verdicts)} in {rows}: {moved}", *cited)
    if DRILLS.exists():
        lines = [json.loads(line) for line in DRILLS.read_text("utf-8").splitlines()]
        passed = sum(it["result"] == "passed" for it in lines)
        until = lines[-1]["time"][:10]
        yield said(f"{passed} of {len(lines)} drills of runbooks passed, until {until}", DRILLS)


def metrics() -> Iterator[str]:
    """By what it is judged, and what it has to reach."""
    metric, gate = toml("config.toml").get("metric"), toml("config/gate.toml").get("gate", {})
    if metric:
        yield said(f"Models are compared by `{metric}`", "config.toml")
    if gate:
        floors = ", ".join(f"`{k}` {it}" for k, it in gate.get("floors", {}).items()) or "none"
        told = f"A gain above {gate.get('min_gain')} on the champion is needed; floors: {floors}"
        yield said(told, "config/gate.toml")


def risks() -> Iterator[str]:
    """What can go wrong, and what stands against it."""
    register = toml("governance/risk.toml")
    if register.get("class"):
        yield said(f"Class {register['class']}: {register.get('reason')}", "governance/risk.toml")
    for risk in register.get("risk", []):
        against = named(risk.get("controls", [])) or "nothing"
        yield said(
            f"{risk.get('level')}: {risk.get('what')}. Against it: {against}",
            "governance/risk.toml",
        )


def changes() -> Iterator[str]:
    """Which model served when, what was decided, and what went wrong."""
    found, cited = of("decisions")
    for it in found.get("decisions", []):
        told = f"{it['time'][:10]}: {it['action']} version {it['version']}, by {it['who']}"
        yield said(told, *cited)
    for path in sorted(Path("docs/adr").glob("[0-9]*.md")):
        yield said(f"Decided: {path.read_text('utf-8').partition(chr(10))[0].lstrip('# ')}", path)
    for path in sorted(Path("incidents").glob("*.toml")):
        it = toml(str(path))
        over = f"restored {it['restored']}" if "restored" in it else "goes on"
        told = f"Incident, {it.get('severity')}, cause {it.get('cause')}: {it.get('title')}"
        yield said(f"{told}; started {it.get('started')}, {over}", path)


def afterwards() -> Iterator[str]:
    """How it is seen that it got worse, and what is done then."""
    found, cited = of("quality")
    for it in found.get("found", []):
        promised = "" if it["promised"] is None else f", promised {it['promised']:.4g}"
        how = "degraded" if it["degraded"] else "not degraded"
        told = f"{it['name']}: {it['metric']} {it['value']:.4g}{promised}, on {it['rows']:,} rows"
        yield said(f"{told} with an outcome: {how}", *cited)
    age = toml("config/staleness.toml").get("staleness", {}).get("max_age_days")
    if age:
        yield said(f"A model is too old after {age} days", "config/staleness.toml")
    triggers = toml("config/triggers.toml").get("triggers", {})
    if triggers:
        who = "by itself" if triggers.get("automatic") else "when a person lets it"
        limit = f"at most {triggers.get('runs_per_week')} in a week"
        yield said(f"A cause starts a training {who}, {limit}", "config/triggers.toml")
    found, cited = of("delivery")
    for it in found.get("measures", []):
        value = "not enough data" if it["value"] is None else f"{it['value']:.3g} {it['unit']}"
        days = f"{found['days']} days until {found['until'][:10]}"
        yield said(f"{it['name']}: {value} (n = {it['n']} {it['what']}; {days})", *cited)
