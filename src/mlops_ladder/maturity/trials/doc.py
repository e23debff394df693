"""Tried and planted: the model card, the datasheet, the site, the runbooks."""

import re
from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.doc import compare_card_with_run, ROW
from mlops_ladder.maturity.sandbox import Copy, Failed, last
from mlops_ladder.maturity.trials.project import answer

CARD = "MODEL_CARD.md"
SHEET = "DATASHEET.md"
DRILL = 1800  # seconds that a drill may take


def written(copy: Copy) -> str:
    """The card of a run of this copy."""
    copy.need("train")
    copy.must("make", "card")
    return (copy.root / CARD).read_text(encoding="utf-8")


@trial("doc.modelcard", "a card made of a run passes its check, and every number is the run's")
def made(copy: Copy) -> Iterator[str]:
    """Ask the project's own check, and compare with MLflow once more."""
    copy.need("train")
    try:
        if not ROW.search(written(copy)):
            yield f"{CARD}: `make card` writes no score into it"
    except Failed as error:
        yield str(error)
        return
    done = copy.cli("card", "--check")
    if done.returncode:
        yield f"{CARD}: fresh from `make card`, and its check fails: {last(done)}"
    yield from compare_card_with_run(copy.repository)
    if not re.search(r"\bcard --check", copy.must("make", "--dry-run", "check")):
        yield "make check: does not check the card"


@fault("doc.modelcard", "an edited number is refused")
def edited(copy: Copy) -> Iterator[str]:
    """One digit of one score is another; the card's check has to fail."""
    text = written(copy)
    rows = list(ROW.finditer(text))
    digits = [at for row in rows for at in range(*row.span()) if text[at] in "123456789"]
    digits = [at for at in digits if not text[at - 1].isalpha()]
    if not digits:
        raise Unknown(f"{CARD}: no number in it to edit")
    at = copy.random.choice(digits)
    other = str((int(text[at]) + copy.random.randint(1, 8)) % 10)
    (copy.root / CARD).write_text(text[:at] + other + text[at + 1 :], encoding="utf-8")
    done = copy.cli("card", "--check")
    if not done.returncode:
        names = [row[1] for row in rows if row.start() <= at < row.end()]
        yield f"{CARD}: a number of {names[0]} was edited, and `card --check` passes it"


@trial("doc.datasheet", "a datasheet made of the data passes its check, and counts their rows")
def sheet(copy: Copy) -> Iterator[str]:
    """Ask the project's own check, and count once more."""
    copy.must("make", "datasheet")
    rows = answer(copy, "rows", "count")
    if f"{rows:,} rows of" not in (copy.root / SHEET).read_text(encoding="utf-8"):
        yield f"{SHEET}: does not say that there are {rows:,} rows"
    done = copy.run("make", "datasheet", "CHECK=yes")
    if done.returncode:
        yield f"{SHEET}: fresh from `make datasheet`, and its check fails: {last(done)}"
    if "datasheet.py --check" not in copy.must("make", "--dry-run", "check"):
        yield "make check: does not check the datasheet"


@fault("doc.datasheet", "an edited number is refused")
def edited_sheet(copy: Copy) -> Iterator[str]:
    """Another digit in the line of a column."""
    copy.must("make", "datasheet")
    text = (copy.root / SHEET).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `") and line[-3].isdigit()]
    if not lines:
        raise Unknown(f"{SHEET}: no column of numbers in it")
    line = copy.random.choice(lines)
    other = line[:-3] + str((int(line[-3]) + copy.random.randint(1, 8)) % 10) + line[-2:]
    (copy.root / SHEET).write_text(text.replace(line, other), encoding="utf-8")
    if not copy.run("make", "datasheet", "CHECK=yes").returncode:
        yield f"{SHEET}: a number was edited, and `make datasheet CHECK=yes` passes it"


@trial("doc.site", "the site builds, with a page for the model card and one for the level")
def built(copy: Copy) -> Iterator[str]:
    """Build it, and look for the pages."""
    done = copy.run("make", "site")
    if done.returncode:
        yield f"make site: {last(done)}"
        return
    for name in ("index", "MODEL_CARD", "maturity"):
        if not (copy.root / f"build/site/{name}.html").exists():
            yield f"build/site: has no page {name}.html"


@fault("doc.site", "a link to a page that is not there fails")
def nowhere(copy: Copy) -> Iterator[str]:
    """Add one to the card, below the line."""
    name = f"page-{copy.random.randrange(10**6)}.md"
    with (copy.root / CARD).open("a", encoding="utf-8") as file:
        file.write(f"\n[more]({name})\n")
    done = copy.run("make", "site")
    if not done.returncode or name not in done.stdout + done.stderr:
        yield f"make site: a link to {name}, which is not there, passes"


@trial("doc.runbook", "every block of every runbook runs")
def drilled(copy: Copy) -> Iterator[str]:
    """Drill, in a copy of this copy."""
    done = copy.run("make", "drill", timeout=DRILL)
    if done.returncode:
        failed = re.search(r"^  (.*) ended with", done.stdout, re.MULTILINE)
        yield f"make drill: {failed[1] if failed else last(done)}"
    elif left := re.search(r"[1-9]\d* not drilled", done.stdout):
        raise Unknown(f"make drill: {left[0]}, for what they need is not here")


@fault("doc.runbook", "a block that fails is named, and a page without a block refused")
def spoilt(copy: Copy) -> Iterator[str]:
    """Add a page whose second block fails; then a page that only talks."""
    page = copy.root / "docs/runbooks/spoilt.md"
    page.write_text("## Here\n\n```sh\ntrue\n```\n\n```sh\nfalse\n```\n", encoding="utf-8")
    done = copy.run("make", "drill", "ONLY=spoilt", timeout=DRILL)
    if done.returncode == 0 or "Here, block 2 ended with 1" not in done.stdout:
        yield f"make drill: a block fails, and it says: {last(done)}"
    page.write_text("## Here\n\nDo the right thing.\n", encoding="utf-8")
    if copy.run("make", "drill", "ONLY=spoilt").returncode == 0:
        yield "make drill: passes a page without a block"
