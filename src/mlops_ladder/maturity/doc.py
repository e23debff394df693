"""Documents: the card of the model, the datasheet, the runbooks."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.repo import list_code_lines
from mlops_ladder.maturity.repository import hash_files, Repository
from mlops_ladder.maturity.runbook import read_blocks

CARD, DATASHEET, DRILLS = "MODEL_CARD.md", "DATASHEET.md", "docs/runbooks/drills.jsonl"
NAMED = re.compile(r"run `([0-9a-f]{32})`")
SHA = re.compile(r"sha256 `([0-9a-f]{64})`")
ROW = re.compile(r"^\| (\w+) \| (\S+) \| (\S+) to (\S+) \| (\S+) \|$", re.MULTILINE)


def find_card_faults(repository: Repository) -> Iterator[str]:
    """Yield a model card that `make card` did not write, and the subjects that it lacks."""
    for name in repository.glob(CARD, f"docs/{CARD}", "model_card.md"):
        text = repository.text(name)
        if repository.ours and "`make card` keeps it" not in text:
            yield f"{name}: is not what `make card` writes"
        if NAMED.search(text) or not repository.ours:
            for title in ("intended use", "limit"):
                if title not in text.lower():
                    yield f"{name}: says nothing about {title}"


def compare_card_with_run(repository: Repository) -> Iterator[str]:
    """Yield each number and tag of the card that differs from its run."""
    text = repository.text(CARD)
    if not (named := NAMED.search(text)):
        return
    run = next((run for run in repository.runs if run["id"] == named[1]), None)
    if run is None:
        raise Unknown(f"{CARD}: run {named[1][:8]} is not recorded here")
    for metric, *shown in ROW.findall(text):
        keys = (metric, f"{metric}.low", f"{metric}.high", f"baseline.{metric}")
        logged = [f"{run['metrics'].get(key, float('nan')):.4g}" for key in keys]
        if shown != logged:
            yield f"{CARD}: {metric} is {logged}, the card says {shown}; run: make card"
    for tag in ("data.sha256", "git.commit", "model_version"):
        if run["tags"].get(tag, "") not in text:
            yield f"{CARD}: {tag} is not that of its run; run: make card"


def find_datasheet_faults(repository: Repository) -> Iterator[str]:
    """Yield a datasheet that `make datasheet` did not write, or without a table of columns."""
    for name in repository.glob(DATASHEET, f"docs/{DATASHEET}"):
        text = repository.text(name)
        if repository.ours and "`make datasheet` keeps it" not in text:
            yield f"{name}: is not what `make datasheet` writes"
        if SHA.search(text) and "| column | role | kind |" not in text:
            yield f"{name}: says nothing about the columns"


def compare_datasheet_with_data(repository: Repository) -> Iterator[str]:
    """Yield a problem if the sha256 that the datasheet names is not that of the data."""
    if named := SHA.search(repository.text(DATASHEET)):
        path = repository.table("config.toml", "data").get("path", "")
        files = sorted(repository.root.glob(path)) if path else []
        if not files:
            raise Unknown(f"{path or 'config.toml'}: the data are not here")
        now = hash_files(*files)
        if named[1] != now:
            about = f"is about {named[1][:8]}, the data are {now[:8]}"
            yield f"{DATASHEET}: {about}; run: make datasheet"


def find_runbook_faults(repository: Repository) -> Iterator[str]:
    """Yield each page without commands, and at home each whose commands a drill cannot run."""
    for name in (page for page in repository.own("doc.runbook") if page.endswith(".md")):
        text = repository.text(name)
        try:
            if repository.ours:
                read_blocks(name, text)
        except Unknown as reason:
            yield str(reason)
        if text and not list_code_lines(text):
            yield f"{name}: no command in it"


def read_drills(repository: Repository) -> list[dict[str, Any]]:
    """Return the lines of the committed log of drills.  Raise Unknown if there is none."""
    if DRILLS not in repository.files:
        raise Unknown("no drill is noted here yet: make drill")
    return [json.loads(line) for line in repository.git("show", f"HEAD:./{DRILLS}").splitlines()]


def find_lost_drills(repository: Repository) -> Iterator[str]:
    """Yield a problem if committed lines of the log of drills are gone."""
    read_drills(repository)
    past = repository.git("log", "--format=", "--patch", "--", DRILLS).splitlines()
    lost = {line[1:] for line in past if line.startswith("+{")}
    if lost := lost - set(repository.text(DRILLS).splitlines()):
        back = f"bring them back: git log -p {DRILLS}"
        yield f"{DRILLS}: {len(lost)} lines were changed or taken out; {back}"


def list_passed_drills(repository: Repository) -> list[datetime]:
    """Return the times when a page passed a drill in its committed form."""
    drills = read_drills(repository)
    passed = [drill for drill in drills if drill["result"] == "passed" and not drill["dirty"]]
    return [datetime.fromisoformat(drill["time"]) for drill in passed]
