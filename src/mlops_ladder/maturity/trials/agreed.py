"""Tried and planted: labels that people give, and promises of the owners of data."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.data import read_agreements, GUIDE, TABLE
from mlops_ladder.maturity.sandbox import Copy, Done, last
from mlops_ladder.maturity.service import serving
from mlops_ladder.maturity.trials.project import answer
from mlops_ladder.maturity.trials.schedule import listening

ROWS = 8  # that are labelled
QUEUE = "data/labelling/queue.csv"


def few(copy: Copy) -> dict[str, str]:
    """Settings of a small queue, of which two people label each row."""
    own = f"{copy.package.name.upper()}_LABELS__"
    return {f"{own}ROWS": str(ROWS), f"{own}ANNOTATORS": "2", f"{own}AGREEMENT": "0.6"}


def asked(copy: Copy) -> list[str]:
    """Ask the service, queue what was asked, and give two labels that fit."""
    copy.need("rehearse")
    with serving(copy) as service:
        status, said = service.ask("/predict", [service.example()] * ROWS)
    if status != 200:
        raise Unknown(f"/predict: {status} for its own example: {said}")
    found: list[str] = answer(copy, "agreed", "labels")
    with (copy.root / GUIDE).open("a", encoding="utf-8") as guide:
        guide.write("".join(f"\n- `{name}`: of a trial." for name in found))
    return found


def filled(copy: Copy, *labels: str) -> Path:
    """A sheet with these labels, one after the other, in the order of the rows."""
    with (copy.root / QUEUE).open(encoding="utf-8-sig", newline="") as file:
        lines = sorted(csv.DictReader(file), key=lambda it: it["row"])
    with (copy.root / "filled.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["row", "label"])
        table.writerows([it["row"], labels[at % len(labels)]] for at, it in enumerate(lines))
    return copy.root / "filled.csv"


def label(copy: Copy, *words: str) -> Done:
    """How `make label` ended with these words."""
    return copy.run("make", "label", *words, **few(copy))


def through(copy: Copy, *labels: str, more: tuple[str, ...] = ()) -> str:
    """Two people give these labels, and they are merged; what went wrong, or nothing."""
    path = filled(copy, *labels)
    for words in (("BY=ada", *more), ("BY=ben", *more)):
        if (done := label(copy, f"FILE={path}", *words)).returncode:
            return f"make label FILE=…: {last(done)}"
    done = label(copy, "MERGE=yes")
    return f"make label MERGE=yes: {last(done)}" if done.returncode else ""


@trial("data.labels", "what two people agree on is learned from, each label known by whom and when")
def learned(copy: Copy) -> Iterator[str]:
    """Queue, label, merge, check; then look at the table and at the rows."""
    labels = asked(copy)
    before = answer(copy, "agreed", "digest")
    if (done := label(copy)).returncode:
        yield f"make label: {last(done)}"
        return
    if wrong := through(copy, *labels):
        yield wrong
        return
    if (done := label(copy, "CHECK=yes")).returncode:
        yield f"make label CHECK=yes: {last(done)}"
    after = answer(copy, "agreed", "digest")
    if after[1] - before[1] != ROWS or after[0] == before[0]:
        yield f"make label MERGE=yes: {ROWS} rows settled, training reads {after[1] - before[1]}"
    with (copy.root / TABLE).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    three = all(it["source"] and it["annotator"] and it["time"] for it in table)
    if len(table) != 2 * ROWS or not three:
        yield f"{TABLE}: {len(table)} labels of {2 * ROWS}, or not each by whom and when"


@fault("data.labels", "a row that is labelled anew is another version of the data")
def relabelled(copy: Copy) -> Iterator[str]:
    """The same rows with the other label; and the check before it is merged."""
    labels = asked(copy)
    label(copy)
    if wrong := through(copy, *labels):
        raise Unknown(wrong)
    before = answer(copy, "agreed", "digest")
    path = filled(copy, *labels[::-1])
    for who in ("BY=ada", "BY=ben"):
        label(copy, f"FILE={path}", who, "RELABEL=yes")
    if not label(copy, "CHECK=yes").returncode:
        yield "make label CHECK=yes: rows are labelled anew, and the data still have the old labels"
    done = label(copy, "MERGE=yes")
    after = answer(copy, "agreed", "digest")
    if done.returncode or after[0] == before[0] or after[1] != before[1]:
        yield f"make label MERGE=yes: {ROWS} rows are labelled anew, and the data are the same"


@fault("data.labels", "a label that is none, and a row that nobody queued, are refused by name")
def refused(copy: Copy) -> Iterator[str]:
    """Both in one sheet; nothing is taken in."""
    asked(copy)
    label(copy)
    path = filled(copy, "no label at all")
    path.write_text(path.read_text("utf-8") + "a row of a trial,no label\n", "utf-8")
    done = label(copy, f"FILE={path}", "BY=ada")
    said = done.stdout + done.stderr
    if not done.returncode or (copy.root / TABLE).exists():
        yield "make label FILE=…: takes a label that is none"
    for name in ("a row of a trial", "no label at all"):
        if name not in said:
            yield f"make label FILE=…: refuses {name!r} without naming it"


def upstream(copy: Copy) -> str:
    """A source of others that training reads."""
    found: list[str] = answer(copy, "agreed", "upstream")
    if not found:
        raise Unknown("contracts: none about data that training reads and whose rows have a time")
    return copy.random.choice(sorted(found))


def told(copy: Copy) -> tuple[Done, str]:
    """How `make contracts` ended, and what was posted."""
    with listening() as (address, heard):
        own = f"{copy.package.name.upper()}_SCHEDULE__WEBHOOK"
        done = copy.run("make", "contracts", **{own: address})
    return done, " ".join(str(it.get("text")) for it in heard)


@trial("data.contract", "data that are what was agreed on are told to nobody")
def quiet(copy: Copy) -> Iterator[str]:
    """As they are."""
    done, said = told(copy)
    if done.returncode or said:
        yield f"make contracts: {said or last(done)}"


@fault("data.contract", "data that are older than was promised are told")
def aged(copy: Copy) -> Iterator[str]:
    """Take the newest rows away."""
    source = upstream(copy)
    if not answer(copy, "agreed", "age", source):
        raise Unknown(f"{source}: no row is old enough to be left")
    done, said = told(copy)
    if not done.returncode or source not in said or "days old" not in said:
        yield f"make contracts: {source} has lost its newest rows, and nobody is told"


@fault("data.contract", "a version that nobody has accepted is told")
def bumped(copy: Copy) -> Iterator[str]:
    """Raise the version of a contract."""
    source = upstream(copy)
    known = read_agreements(copy.repository)
    (name,) = [name for name, it in known.items() if it.get("source") == source]
    text = (copy.root / name).read_text(encoding="utf-8")
    other = re.sub(r'^(version *= *)["\'].*["\']', r'\1"of a trial"', text, flags=re.MULTILINE)
    (copy.root / name).write_text(other, encoding="utf-8")
    done, said = told(copy)
    if not done.returncode or "of a trial" not in said:
        yield f"make contracts: {name} has another version, and nobody is told"
    copy.must("make", "contracts", f"ACCEPT={source}", "BY=a trial")
    if told(copy)[1]:
        yield f"make contracts: {name} was accepted, and is told again"
