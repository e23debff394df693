"""Trials and faults of governance: owners, risks, audit log, documents, delivery."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, UTC

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.gov import DOCUMENT, has_control, LOG, split_control
from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.trials.project import read_table

Words = dict[str, str]


def disown_file(copy: Copy) -> Words:
    """Remove the owner of a random file; return the file."""
    name = copy.random.choice(sorted(copy.repository.files))
    copy.append("CODEOWNERS", f"\n/{name}\n")
    return {"file": name}


def rename_control(copy: Copy) -> Words:
    """Rename a random test that is a control of a risk; return its name."""
    risks = copy.repository.table("governance/risk.toml").get("risk", [])
    controls = [str(control) for risk in risks for control in risk.get("controls", [])]
    tests = [
        text
        for text in controls
        if text.startswith("test:") and has_control(copy.repository, *split_control(text))
    ]
    if not tests:
        raise Unknown("governance/risk.toml: no test stands against any risk")
    path, _, function = split_control(copy.random.choice(tests))[1].partition("::")
    copy.plant(path, f"def {function}(", f"def other_{function}(")
    return {"test": function}


def alter_audit_line(copy: Copy) -> Words:
    """Change the author of a random line of the audit log; return the place of the line."""
    lines = copy.text(LOG).splitlines()
    if not lines:
        raise Unknown(f"{LOG}: no line that could be altered")
    place = copy.random.randrange(len(lines))
    lines[place] = json.dumps(json.loads(lines[place]) | {"who": "somebody else"})
    copy.write(LOG, "".join(f"{line}\n" for line in lines))
    return {"line": f"{LOG}:{place + 1}"}


def check_cited_runs(copy: Copy) -> Iterator[str]:
    """Yield the runs that the technical documentation cites, and that are not recorded."""
    cited = set(re.findall(r"run `([0-9a-f]{32})`", copy.text(DOCUMENT)))
    if not cited or cited - {run["id"] for run in copy.repository.runs}:
        yield f"{DOCUMENT}: cites runs that are not recorded: {', '.join(cited) or 'none'}"


def edit_technical_documentation(copy: Copy) -> None:
    """Change a digit of a random score."""
    text = copy.text(DOCUMENT)
    lines = [line for line in text.splitlines() if re.match(r"- \w+ \d\.\d*[1-9]", line)]
    if not lines:
        raise Unknown(f"{DOCUMENT}: no score in it to edit")
    line = copy.random.choice(lines)
    other = re.sub(r"[1-9]", lambda digit: str(int(digit[0]) % 9 + 1), line, count=1)
    copy.write(DOCUMENT, text.replace(line, other))


def write_deliveries(copy: Copy) -> list[float]:
    """Write three commits, deployments and incidents; return the hours that commits waited."""
    now = datetime.now(UTC).replace(microsecond=0)
    hours, lines, incident = list[float](), [], read_table()["texts"]["incident"]
    for place in range(3):
        begin = now - timedelta(days=30 - 7 * place)
        hours.append(copy.random.randint(2, 90))
        dates = {"GIT_COMMITTER_DATE": begin.isoformat(), "GIT_AUTHOR_DATE": begin.isoformat()}
        copy.must("git", "commit", "--quiet", "--allow-empty", "--no-verify", "-m", "It", **dates)
        commit = copy.must("git", "rev-parse", "HEAD").strip()
        entry = {"time": (begin + timedelta(hours=hours[-1])).isoformat(), "who": "maturity"}
        entry |= {"environment": "production", "image": f"sha256:{place}", "commit": commit}
        lines.append(json.dumps(entry | {"result": "deployed"}))
        started = now - timedelta(days=5 + place)
        times = {"started": started, "restored": started + timedelta(hours=place + 1)}
        cause = "data" if place else "deploy"
        texts = {name: time.isoformat() for name, time in times.items()}
        copy.write(f"incidents/tried-{place}.md", incident.format(cause=cause, **texts))
    copy.write("deployments.jsonl", "\n".join(lines) + "\n")
    return hours


def measure_delivery(copy: Copy) -> Iterator[str]:
    """Measure three deployments, one to blame for one of three incidents of one to three hours."""
    hours = write_deliveries(copy)
    output = copy.must("make", "delivery")
    values = dict(re.findall(r"^([a-z ]+?) {2,}(\d[\d.e+-]*) ", output, re.MULTILINE))
    truth = {"lead time": sorted(hours)[1], "change failure rate": 1 / 3, "time to restore": 2.0}
    for name, right in truth.items():
        if not abs(float(values.get(name, "nan")) - right) < 0.01 * right:
            yield f"make delivery: {name} is {right:.3g}, it says {values.get(name, 'nothing')}"
    if not 0 < float(values.get("deployment frequency", 0)) < 3:
        yield f"make delivery: 3 changes in 4 weeks are {values.get('deployment frequency')} a week"
