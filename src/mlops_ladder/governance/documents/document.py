"""The technical documentation: what runs, logs and files show, and nothing else.

Its headings follow the points of Annex IV of Regulation (EU) 2024/1689, the Artificial Intelligence
Act.  It tells what there is, not that it suffices: that is judged by people.
"""

import json
import re
from collections.abc import Iterator
from difflib import ndiff
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.governance.documents import evidence, statements
from mlops_ladder.governance.documents.statements import named, of, said, Section, toml
from mlops_ladder.settings import load
from mlops_ladder.tracking import runs

DOCUMENT = Path("TECHNICAL.md")
HEAD = """\
# Technical documentation

For the person who has to judge this system from outside. `make techdoc` writes it from evidence alone; do not
edit it by hand. Its headings follow the points of Annex IV of Regulation (EU) 2024/1689; whether what
stands here is enough is for people to judge. Each statement ends with its source: a file with the first
digits of its sha256, or a run of MLflow. Copies of what logs and runs recorded are in `docs/evidence/`.
"""
CARD, SHEET = Path("MODEL_CARD.md"), Path("DATASHEET.md")
LOCK, API = Path("uv.lock"), Path("docs/openapi.json")
DRILLS = Path("docs/runbooks/drills.jsonl")
PEOPLE = "no program can make it; it is written, and answered for, by whoever offers the system"


def render() -> str:
    """The document, from the files that are here: the same from the same files."""
    return "\n".join([HEAD, *map(str, sections())])


def check(text: str) -> str:
    """In words: every statement has its source.  ProjectError that lists what is wrong."""
    wrong = list(statements.faults(text))
    if not wrong:
        pairs = ndiff(text.splitlines(), render().splitlines())
        wrong = [line for line in pairs if line[0] in "+-"][:6]
        wrong = ["differs from its evidence (- document, + evidence)", *wrong] if wrong else []
    here = runs.newest() is not None
    if not wrong and here:
        wrong = evidence.differing()
    if wrong:
        lines = "\n  ".join(wrong[:20])
        raise ProjectError(f"{DOCUMENT}: run `make techdoc`, read it, commit it\n  {lines}")
    count = sum(line.startswith("- ") for line in text.splitlines())
    compared = "" if here else "; no run is here to compare them with"
    return f"{DOCUMENT}: {count} statements, each with its source, which is as it was{compared}"


def write() -> str:
    """Copy the evidence, render, and say what is lacking.  ProjectError where it would claim."""
    evidence.keep(evidence.gathered(load()))
    text = render()
    if wrong := list(statements.faults(text)):
        told = "\n  ".join([*wrong, "it comes from the file that the line cites: change it there"])
        raise ProjectError(f"{DOCUMENT}: not written\n  {told}")
    write_whole(DOCUMENT, text)
    lacking = sum(line.startswith(statements.NOTHING) for line in text.splitlines())
    count = sum(line.startswith("- ") for line in text.splitlines())
    return f"Wrote {DOCUMENT}: {count} statements; {lacking} points without evidence"


def main(
    only_check: Annotated[
        bool, typer.Option("--check", help="change nothing; fail if it is stale")
    ] = False,
) -> None:
    """Write the documentation, or with --check say whether it still is what evidence shows."""
    checked = only_check
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    if not checked:
        print(f"{write()}.  Read it, then: git add {DOCUMENT} {evidence.FOLDER}")
    elif "\n## " not in text:
        print(f"{DOCUMENT}: describes nothing yet; to write it: make techdoc")
    else:
        print(check(text))


def sections() -> Iterator[Section]:
    """Each with what it finds, and where that is nothing how to make evidence."""
    nothing: Iterator[str] = iter(())
    about = "say it in `[about]` of `config.toml`"
    yield Section("1 General description: purpose", purpose(), about)
    yield Section("1 General description: version and form", version(), "`make pipeline`")
    yield Section("2 Elements and development: data", data(), "`make contract train`")
    yield Section("2 Elements and development: design", design(), "`make train`")
    yield Section("2 Elements and development: validation", validation(), "`make pipeline test`")
    yield Section("2 Elements and development: human oversight", oversight(), "`make approve`")
    yield Section("2 Elements and development: security", security(), "`make key`")
    yield Section("3 Monitoring, functioning and control", control(), "`make drift drill`")
    yield Section("4 Performance metrics", metrics(), "choose `metric` in `config.toml`")
    yield Section("5 Risk management", risks(), "write `governance/risk.toml`, then `make risks`")
    yield Section("6 Changes through the life cycle", changes(), "`make pipeline`")
    yield Section("7 Standards applied", nothing, PEOPLE)
    yield Section("8 Declaration of the provider", nothing, PEOPLE)
    yield Section("9 After it is in use", afterwards(), "`make outcomes quality delivery`")


def purpose() -> Iterator[str]:
    """What the model is for, and what it must not be used for."""
    about, risk = toml("config.toml").get("about", {}), toml("governance/risk.toml")
    for key, words in (("question", "It answers"), ("intended_use", "Intended use")):
        if about.get(key):
            yield said(f"{words}: {about[key]}", "config.toml")
    for limit in about.get("limits", []):
        yield said(f"Limit: {limit}", "config.toml")
    for misuse in risk.get("misuse", []):
        yield said(f"It must not be used for: {misuse}", "governance/risk.toml")


def version() -> Iterator[str]:
    """Which model it is, who answers for the project, and how it is asked."""
    found, cited = of("gate")
    if found:
        model = f"Version {found['version']}, model `{found['model_version']}`"
        yield said(f"{model}, accepted on {found['time'][:10]}", *cited)
    project = toml("pyproject.toml").get("project", {})
    for author in project.get("authors", []):
        yield said(f"Author: {author.get('name', author.get('email'))}", "pyproject.toml")
    if LOCK.exists():
        count = len(toml(str(LOCK)).get("package", []))
        yield said(f"{count} packages, each of one locked version", LOCK)
    if API.exists():
        paths = json.loads(API.read_text(encoding="utf-8")).get("paths", {})
        yield said(f"It is asked over HTTP: {named(paths)}", API)


def data() -> Iterator[str]:
    """Where the rows come from, how many there are, and what each column is used for."""
    for name, source in toml("data/sources.toml").items():
        told = f"Source `{name}`: {source.get('origin')}. Licence {source.get('licence')}."
        yield said(f"{told} Owner: {source.get('owner')}", "data/sources.toml")
    run, cited = of("run")
    if "rows.train" in run.get("metrics", {}):
        rows = f"{run['metrics']['rows.train']:,.0f} rows to learn from, "
        rows += f"{run['metrics']['rows.holdout']:,.0f} held out"
        yield said(f"{rows}; data sha256 `{run['tags'].get('data.sha256')}`", *cited)
    contract = toml("contract.toml")
    roles: dict[str, list[str]] = {}
    for name, column in contract.get("columns", {}).items():
        roles.setdefault(column.get("role"), []).append(name)
    for role, names in roles.items():
        yield said(f"Columns of role {role}: {named(names)}", "contract.toml")
    if SHEET.exists() and "sha256 `" in SHEET.read_text(encoding="utf-8"):
        yield said("What each column holds is counted in the datasheet", SHEET)


def design() -> Iterator[str]:
    """How the model was made."""
    run, cited = of("run")
    if not run:
        return
    params, tags = run["params"], run["tags"]
    dirty = ", with changes that were not committed" if tags.get("git.dirty") == "true" else ""
    yield said(f"Trained from commit `{tags.get('git.commit')}`{dirty}", *cited)
    chosen = sorted(k for k in params if k.startswith("model.") and params[k] != "None")
    listed = ", ".join(f"`{k.removeprefix('model.')}` = `{params[k]}`" for k in chosen)
    yield said(f"Problem: {params.get('problem')}; seed {params.get('seed')}; {listed}", *cited)
    review, sources = of("features")
    for verdict in ("valuable", "harmful", "no value shown"):
        names = [it["name"] for it in review.get("features", []) if it["verdict"] == verdict]
        if names:
            yield said(f"Features, by {review['method']}: {verdict}: {named(names)}", *sources)


def validation() -> Iterator[str]:
    """How good it is on rows that it has not seen, and what the gate and the tests said."""
    yield from scores()
    gate, sources = of("gate")
    for reason in (gate.get("verdict") or {}).get("reasons", []):
        yield said(f"The gate: {reason}", *sources)
    tests, sources = of("tests")
    if tests:
        bad = tests["failures"] + tests["errors"]
        counts = f"{tests['tests']} tests ran, {bad} failed, {tests['skipped']} were left out"
        yield said(f"{counts}, on {tests['time'][:10]}", *sources)
    if CARD.exists() and (told := re.search(r"run `(\w{32})`", CARD.read_text("utf-8"))):
        same = "of this model" if told[1] == of("run")[0].get("run_id") else "of another run"
        yield said(f"There is a model card {same}", CARD)


def scores() -> Iterator[str]:
    """Each metric with its interval, and the one of a model without features."""
    run, cited = of("run")
    found = run.get("metrics", {})
    for name in sorted(it.removeprefix("baseline.") for it in found if it.startswith("baseline.")):
        if name in found:
            low, high = (found.get(f"{name}.{end}") for end in ("low", "high"))
            span = f" ({low:.4g} to {high:.4g})" if None not in (low, high) else ""
            told = f"{name} {found[name]:.4g}{span} on rows held out"
            yield said(f"{told}; a model without features {found[f'baseline.{name}']:.4g}", *cited)


def oversight() -> Iterator[str]:
    """What people decide, and how they stop it."""
    for path in sorted(Path("approvals").glob("*.json")):
        it = json.loads(path.read_text(encoding="utf-8")).get("approval")
        if it:
            when = f"{it['time'][:10]}, {it['way']}"
            yield said(f"Version {it['version']} was approved by {it['approver']}, {when}", path)
    if approval := toml("config/approval.toml").get("approval"):
        yield said(f"Approval by a second person: {approval.get('needed')}", "config/approval.toml")
    if fallback := toml("config/fallback.toml").get("fallback"):
        how = "a stand-in does" if fallback.get("enabled") else "the request is refused"
        told = f"No model answers while the file `{fallback.get('switch')}` is there: {how}"
        yield said(told, "config/fallback.toml")
        if fallback.get("abstain"):
            told = "Rows with an input that training did not see are marked"
            yield said(told, "config/fallback.toml")


def security() -> Iterator[str]:
    """Who may ask, and what is kept of it."""
    if access := toml("config/access.toml").get("access"):
        limit = access.get("requests_per_minute") or "any number of"
        told = f"At most {access.get('body_bytes'):,} bytes a request; {limit} requests a minute"
        yield said(told, "config/access.toml")
    if days := toml("governance/privacy.toml").get("retention", {}).get("log_days"):
        yield said(f"Logged requests are kept for {days} days", "governance/privacy.toml")


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
