"""Tried and planted: owners, risks, the audit log, features, documents, incidents, signatures."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.delivery import read_registered_model
from mlops_ladder.maturity.gov import (
    DOCUMENT,
    LOG,
    find_unsourced_statements,
    split_control,
    has_control,
    find_audit_faults,
    find_changed_citations,
    WORKFLOWS,
)
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.service import serving
from mlops_ladder.maturity.trials.project import answer


@trial("gov.ownership", "each file that git tracks has an owner")
def owned(copy: Copy) -> Iterator[str]:
    """Ask the project's own command."""
    done = copy.run("make", "--silent", "owned")
    if done.returncode:
        yield f"make owned: {last(done)}"
    if "ladder owners" not in copy.must("make", "--dry-run", "check"):
        yield "make check: does not look at the owners"


@fault("gov.ownership", "a file that nobody owns is named")
def unowned(copy: Copy) -> Iterator[str]:
    """Take the owner of one file away."""
    name = copy.random.choice(sorted(copy.repository.files))
    with (copy.root / "CODEOWNERS").open("a", encoding="utf-8") as file:
        file.write(f"\n/{name}\n")
    done = copy.run("make", "--silent", "owned")
    if not done.returncode or name not in done.stdout + done.stderr:
        yield f"CODEOWNERS: {name} has no owner now, and `make owned` does not say so"


@trial("gov.risk", "each high risk has a control that is there")
def controlled(copy: Copy) -> Iterator[str]:
    """Ask the project's own command."""
    done = copy.run("make", "--silent", "risks")
    if done.returncode:
        yield f"make risks: {last(done)}"


@fault("gov.risk", "a control that is gone is named")
def uncontrolled(copy: Copy) -> Iterator[str]:
    """Rename one test that stands against a risk."""
    register = copy.repository.parsed("governance/risk.toml") or {}
    known = [str(it) for risk in register.get("risk", []) for it in risk.get("controls", [])]
    tests = [
        it
        for it in known
        if it.startswith("test:") and has_control(copy.repository, *split_control(it))
    ]
    if not tests:
        raise Unknown("governance/risk.toml: no test stands against any risk")
    path, _, function = split_control(copy.random.choice(tests))[1].partition("::")
    copy.plant(path, f"def {function}(", f"def other_{function}(")
    done = copy.run("make", "--silent", "risks")
    if not done.returncode or function not in done.stdout + done.stderr:
        yield f"governance/risk.toml: {function} is gone, and `make risks` does not say so"


@trial("gov.audit", "a promotion is noted by itself, and the chain agrees with registry and git")
def chained(copy: Copy) -> Iterator[str]:
    """Run the pipeline, and look at what was noted of it."""
    found = copy.need("rehearse")
    if not (copy.root / LOG).exists():
        yield f"make pipeline: no {LOG}"
        return
    lines = (copy.root / LOG).read_text(encoding="utf-8").splitlines()
    kinds = {json.loads(text)["kind"] for text in lines}
    for kind in {"configuration", "decision"} - kinds:
        yield f"{LOG}: nothing of kind {kind} is noted after make pipeline"
    yield from find_audit_faults(found)
    done = copy.run("make", "audit")
    if done.returncode:
        yield f"make audit: {last(done)}"


@fault("gov.audit", "a line that was altered is found, and named")
def altered(copy: Copy) -> Iterator[str]:
    """Change who has noted one line, taken at random."""
    copy.need("rehearse")
    path = copy.root / LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if not lines:
        raise Unknown(f"{LOG}: no line that could be altered")
    place = copy.random.randrange(len(lines))
    lines[place] = json.dumps(json.loads(lines[place]) | {"who": "somebody else"})
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    done = copy.run("make", "audit")
    if done.returncode == 0 or f"{LOG}:{place + 1}" not in done.stdout + done.stderr:
        yield f"make audit: line {place + 1} was altered, and it does not say so"


@fault("gov.audit", "a decision that is taken out of the registry is missed")
def unregistered(copy: Copy) -> Iterator[str]:
    """Delete the last decision with MLflow's client."""
    copy.need("rehearse")
    script = (
        "from mlops_ladder.registry import versions; known = versions.held().copies;"
        " versions.erase(max(known))"
    )
    if (done := copy.python(script)).returncode:
        raise Unknown(f"no decision can be deleted: {last(done)}")
    if copy.run("make", "audit").returncode == 0:
        yield "make audit: passes, though the registry has lost a decision"


INCIDENT = """---
title: Tried
severity: low
cause: {cause}
version: ""
started: {started}
detected: {started}
restored: {restored}
---
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
    yield from find_unsourced_statements(copy.repository)
    yield from find_changed_citations(copy.repository)
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
        path = copy.root / f"incidents/tried-{place}.md"
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
    path = copy.root / "incidents/backwards.md"
    path.write_text(INCIDENT.format(cause="data", **said), encoding="utf-8")
    done = copy.run("make", "delivery")
    if not done.returncode or path.name not in done.stderr or "restored" not in done.stderr:
        yield "make delivery: an incident ends before it starts, and that is not said"


SIGNER = "maturity@localhost"
IMAGE = f"sha256:{'0' * 64}"
# Staging in memory: `bring_image` is what would start an image.
PLACES = """
import subprocess, sys
from mlops_ladder.delivery import release
commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
class Places:
    class Refused(Exception): pass
    pin_image = staticmethod(lambda image: image)
    bring_image = staticmethod(lambda *words: print("BROUGHT"))
if sys.argv[1] == "sign":
    release.perform(Places, release.sign_image, sys.argv[2], commit)
else:
    release.perform(release.SignedTargets(Places), release.stage, sys.argv[2], commit)
"""


def key(copy: Copy, name: str) -> str:
    """A new key outside the files of the copy.  Unknown where no key can be made here."""
    path = copy.root / ".git" / name
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    copy.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    return str(path)


def needing(copy: Copy) -> dict[str, str]:
    """The environment in which everything has to be signed, by the key `own`."""
    own = key(copy, "own")
    public = (copy.root / ".git/own.pub").read_text(encoding="utf-8")
    (copy.root / ".signers").write_text(f"{SIGNER} {public}", encoding="utf-8")
    prefix = f"{copy.package.name.upper()}_SIGNING__"
    return {f"{prefix}REQUIRED": "true", f"{prefix}SIGNERS": ".signers", f"{prefix}KEY": own}


def champion(copy: Copy) -> tuple[str, str]:
    """The champion of `make rehearse`, and the sha256 of its bundle."""
    number = read_registered_model(copy.need("rehearse"))["aliases"].get("champion")
    if number is None:
        raise Unknown("no version is champion after make rehearse")
    pointer = json.loads((copy.root / "models/serving/champion.json").read_text(encoding="utf-8"))
    return str(number), str(pointer["sha256"])


def ready(copy: Copy, wanted: dict[str, str]) -> Any:
    """The status of /ready where everything has to be signed."""
    copy.environment.update(wanted)
    try:
        with serving(copy) as service:
            return service.ask("/ready")[0]
    finally:
        for name in wanted:
            copy.environment.pop(name, None)


@trial(
    "gov.supply", "a signed champion serves, a signed image is brought, and a bill names the model"
)
def vouched(copy: Copy) -> Iterator[str]:
    """Sign both, have them served, and read the bill."""
    number, sha256 = champion(copy)
    wanted = needing(copy)
    for target in (("sign", f"VERSION={number}"), ("sbom",), ("pinned",)):
        if (done := copy.run("make", *target, **wanted)).returncode:
            yield f"make {target[0]}: {last(done)}"
            return
    bill = json.loads((copy.root / "reports/sbom.json").read_text(encoding="utf-8"))
    kinds = {it["type"] for it in bill["components"]}
    models = [it for it in bill["components"] if it["type"] == "machine-learning-model"]
    if [it["hashes"][0]["content"] for it in models] != [sha256]:
        yield "reports/sbom.json: does not name the model that serves"
    for kind in {"library", "data"} - kinds:
        yield f"reports/sbom.json: names no {kind}"
    if (status := ready(copy, wanted)) != 200:
        yield f"/ready: {status}, though the champion is signed"
    for command in ("sign", "stage"):
        done = copy.python(PLACES, command, IMAGE, **wanted)
    if "BROUGHT" not in done.stdout:
        yield f"make stage: refuses a signed image: {last(done)}"


@fault("gov.supply", "a model that nobody of .signers has signed is not served")
def stranger(copy: Copy) -> Iterator[str]:
    """Ask for signatures where there is none, and then where somebody else has signed."""
    number, _ = champion(copy)
    wanted = needing(copy)
    if ready(copy, wanted) == 200:
        yield "/ready: serves a model that nobody has signed"
    stolen = wanted | {name: key(copy, "stranger") for name in wanted if name.endswith("__KEY")}
    if copy.run("make", "sign", f"VERSION={number}", **stolen).returncode == 0:
        yield "make sign: takes the signature of somebody whom .signers does not name"


@fault("gov.supply", "an image that is not signed gets nowhere")
def unsigned(copy: Copy) -> Iterator[str]:
    """Have an image brought to staging that nobody has signed."""
    done = copy.python(PLACES, "stage", IMAGE, **needing(copy))
    if done.returncode == 0 or "BROUGHT" in done.stdout or "not signed" not in done.stderr:
        yield f"make stage: brings an image that nobody has signed: {last(done)}"


@fault("gov.supply", "an action that is not pinned to its content is named")
def loose(copy: Copy) -> Iterator[str]:
    """Take the commit of one action away."""
    names = [
        name
        for name in copy.repository.glob(*WORKFLOWS)
        if "uses: actions/checkout@" in copy.repository.text(name)
    ]
    if not names:
        raise Unknown("no workflow uses an action")
    text = (copy.root / names[0]).read_text(encoding="utf-8")
    commit = text.partition("uses: actions/checkout@")[2].split()[0]
    copy.plant(names[0], f"actions/checkout@{commit}", "actions/checkout@v4")
    done = copy.run("make", "--silent", "pinned")
    if done.returncode == 0 or "actions/checkout@v4" not in done.stdout + done.stderr:
        yield f"make pinned: {names[0]} uses a tag, and it does not say so"
