"""What is said: the card of the model, the datasheet, what to do in trouble, the site."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.code import find_lacking_targets
from mlops_ladder.maturity.repo import changes, fences
from mlops_ladder.maturity.repository import digest, Repository
from mlops_ladder.maturity.runbook import blocks

DRILLS = "docs/runbooks/drills.jsonl"
NAMED = re.compile(r"run `([0-9a-f]{32})`")
SHA = re.compile(r"sha256 `([0-9a-f]{64})`")
ROW = re.compile(r"^\| (\w+) \| (\S+) \| (\S+) to (\S+) \| (\S+) \|$", re.MULTILINE)


@sign("doc.modelcard", "the card has a place for intended use, limits and scores")
def card_sections(repository: Repository) -> Iterator[str]:
    """The card is a card: rendered, or about to be."""
    for name in repository.glob("MODEL_CARD.md", "docs/MODEL_CARD.md", "model_card.md"):
        text = repository.text(name)
        if repository.ours and "`make card` keeps it" not in text:
            yield f"{name}: is not what `make card` writes"
        if NAMED.search(text) or not repository.ours:
            for title in ("intended use", "limit"):
                if title not in text.lower():
                    yield f"{name}: says nothing about {title}"


@record("doc.modelcard", "every number of the card is that of the run it names")
def card_numbers(repository: Repository) -> Iterator[str]:
    """Compare the table of scores with MLflow's."""
    text = repository.text("MODEL_CARD.md")
    if not (named := NAMED.search(text)):
        return
    run = next((it for it in repository.runs if it["id"] == named[1]), None)
    if run is None:
        raise Unknown(f"MODEL_CARD.md: run {named[1][:8]} is not recorded here")
    for metric, *said in ROW.findall(text):
        keys = (metric, f"{metric}.low", f"{metric}.high", f"baseline.{metric}")
        true = [f"{run['metrics'].get(key, float('nan')):.4g}" for key in keys]
        if said != true:
            yield f"MODEL_CARD.md: {metric} is {true}, the card says {said}; run: make card"
    for tag in ("data.sha256", "git.commit", "model_version"):
        if run["tags"].get(tag, "") not in text:
            yield f"MODEL_CARD.md: {tag} is not that of its run; run: make card"


@sign("doc.datasheet", "the datasheet has a place for what the data hold")
def sheet_sections(repository: Repository) -> Iterator[str]:
    """The sheet is a sheet: rendered, or about to be."""
    for name in repository.glob("DATASHEET.md", "docs/DATASHEET.md"):
        text = repository.text(name)
        if repository.ours and "`make datasheet` keeps it" not in text:
            yield f"{name}: is not what `make datasheet` writes"
        if SHA.search(text) and "| column | role | kind |" not in text:
            yield f"{name}: says nothing about the columns"


@record("doc.datasheet", "the datasheet is about the data that are here")
def sheet_data(repository: Repository) -> Iterator[str]:
    """Compare the sha256 that it names with that of the files."""
    if named := SHA.search(repository.text("DATASHEET.md")):
        path = (repository.parsed("config.toml") or {}).get("data", {}).get("path", "")
        files = sorted(repository.root.glob(path)) if path else []
        if not files:
            raise Unknown(f"{path or 'config.toml'}: the data are not here")
        now = digest(*files)
        if named[1] != now:
            about = f"is about {named[1][:8]}, the data are {now[:8]}"
            yield f"DATASHEET.md: {about}; run: make datasheet"


@sign("doc.site", "a site is made of the pages of the repository, and a link to nowhere fails")
def site(repository: Repository) -> Iterator[str]:
    """A configuration with a name; at home one that is strict about links."""
    for name in repository.glob("mkdocs.yml"):
        known = repository.parsed(name)
        if not isinstance(known, dict) or not known.get("site_name"):
            yield f"{name}: names no site"
        elif repository.ours and not known.get("validation"):
            yield f"{name}: does not look at links"
    if repository.ours and "--strict" not in repository.library.get("governance/docs_site.py", ""):
        yield "governance/docs_site.py: builds the site without --strict"


@use("doc.datasheet")
def sheets(repository: Repository) -> list[datetime]:
    """Commits that renew the datasheet."""
    return changes(repository, "DATASHEET.md")


@use("doc.modelcard")
def cards(repository: Repository) -> list[datetime]:
    """Commits that renew the card."""
    return changes(repository, "MODEL_CARD.md")


@sign("doc.runbook", "every runbook has commands that are run, and there is a drill that runs them")
def runnable(repository: Repository) -> Iterator[str]:
    """Read its pages; those of the alerts are read with the alerts."""
    for name in repository.own("doc.runbook"):
        text = repository.text(name) if name.endswith(".md") else ""
        try:
            if repository.ours and name.endswith(".md"):
                blocks(name, text)
        except Unknown as reason:
            yield str(reason)
        if text and not fences(text):
            yield f"{name}: no command in it"
    if repository.ours:
        yield from find_lacking_targets(repository, "drill")


def drills(repository: Repository) -> list[dict[str, Any]]:
    """The lines that git keeps of the log of drills.  Unknown where there is none."""
    if DRILLS not in repository.files:
        raise Unknown("no drill is noted here yet: make drill")
    return [json.loads(line) for line in repository.git("show", f"HEAD:./{DRILLS}").splitlines()]


@record("doc.runbook", "the log of drills has only grown")
def grown(repository: Repository) -> Iterator[str]:
    """Every line that git has ever known of it is still there, as it was."""
    drills(repository)
    past = repository.git("log", "--format=", "--patch", "--", DRILLS).splitlines()
    lost = {line[1:] for line in past if line.startswith("+{")}
    lost -= set(repository.text(DRILLS).splitlines())
    if lost:
        back = f"bring them back: git log -p {DRILLS}"
        yield f"{DRILLS}: {len(lost)} lines were changed or taken out; {back}"


@use("doc.runbook")
def passed(repository: Repository) -> list[datetime]:
    """When pages passed that were drilled as they were committed."""
    found = [it for it in drills(repository) if it["result"] == "passed" and not it["dirty"]]
    return [datetime.fromisoformat(it["time"]) for it in found]
