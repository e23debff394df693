"""Noting: what has happened becomes a line; what is noted is compared with what has happened."""

import sys
from collections.abc import Iterator
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import ProjectError
from mlops_ladder.append_only_log import append_line
from mlops_ladder.data import provenance
from mlops_ladder.governance.audit import chain
from mlops_ladder.governance.audit.chain import Fact, Line, LOG
from mlops_ladder.registry.decisions import alone

LOCK = Path("models/audit.lock")
NOTE, REPAIR = "make audit NOTE=yes", "make audit REPAIR=yes"
LONG = 1000  # characters of a line that says what was repaired


def unnoted(noted: list[Line]) -> tuple[list[Fact], list[Fact]]:
    """What has happened and is not noted, and what never changes and is not as it was noted."""
    configured = [it for it in noted if it.kind == "configuration"]
    files = {it.about: it.digest for it in configured}
    last = configured[-1].commit if configured else ""
    seen = {it.fact for it in noted if it.kind != "configuration"}
    found = [it for it in chain.facts(files, last) if (it.kind, it.about, it.digest) not in seen]
    steady = {(it.kind, it.about) for it in chain.standing(noted) if it.kind in chain.STEADY}
    changed = [it for it in found if (it.kind, it.about) in steady]
    return [it for it in found if it not in changed], changed


def contradicted(noted: list[Line]) -> Iterator[str]:
    """Where the log says what neither the registry nor git does, in words."""
    held = {it.about: it.digest for it in chain.decided()}
    repository = provenance.git("rev-parse", "--verify", "HEAD")
    for line in chain.standing(noted):
        where = f"{LOG}:{line.number}"
        if line.kind == "decision" and line.about not in held:
            yield f"{where}: the registry holds no decision {line.about}"
        if line.kind == "configuration" and repository:
            found = chain.contents(line.commit)
            if not found:
                yield f"{where}: commit {line.commit[:12]} is not in this repository; git fetch"
            elif found.get(line.about, chain.GONE) != line.digest:
                yield f"{where}: {line.about} is another one in commit {line.commit[:12]}"


def verify() -> list[str]:
    """All that is wrong, in words: with the chain, its copies, and what it says or lacks."""
    lines = chain.written()
    noted = chain.said(lines)
    fresh, changed = unnoted(noted)
    found = [*chain.faults(lines), *contradicted(noted)]
    if chain.torn():
        found.append(f"{LOG}:{len(lines) + 1}: is a piece of a line; to remove it: {NOTE}")
    found += [f"{it.kind} {it.about}: is not as it was noted, but: {it.said}" for it in changed]
    return found + [f"{it.kind} {it.about}: not noted; to do so: {NOTE}" for it in fresh]


def note() -> list[Line]:
    """Bring into the log what has happened and is not in it.

    Raises ProjectError, and notes nothing, where the log is not what its copies are.
    """
    with alone(LOCK):
        lines, held = chain.written(), chain.registered()
        if lines == held[: len(lines)]:  # another machine was here, or a kill
            for text in held[len(lines) :]:
                append_line(LOG, text)
            lines = chain.written()
        if wrong := chain.faults(lines):
            told = "\n  ".join(wrong)
            raise ProjectError(f"{LOG}: nothing is noted until {REPAIR}\n  {told}")
        added = []
        for fact in unnoted(chain.said(lines))[0]:
            added.append(Line.of(fact, lines))
            lines.append(added[-1].text)
            append_line(LOG, lines[-1])
        chain.keep(lines)
    return added


def repair() -> list[str]:
    """Put back the longest chain that holds, and note what was wrong; the file is set aside.

    Raises ProjectError where no chain holds that goes on from what git has.
    """
    with alone(LOCK):
        anchor, lines = chain.anchored(), chain.written()
        wrong = [*chain.faults(lines), *contradicted(chain.said(lines))]
        copies = [chain.registered(), lines, anchor]
        sound = [it for it in copies if it[: len(anchor)] == anchor and not [*chain.breaks(it)]]
        if not sound:
            message = f"{LOG}: no copy holds; see: git cat-file blob {chain.REF}, and a backup"
            raise ProjectError(message)
        if wrong:
            longest = max(sound, key=len)
            if LOG.exists():
                LOG.rename(LOG.with_name(f"{LOG.name}.old-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"))
            told = "; ".join(it[:200] for it in wrong)[:LONG]
            fact = Fact("repair", str(LOG), chain.digest(told), told)
            lines = longest + [Line.of(fact, longest).text]
            for text in lines:
                append_line(LOG, text)
            chain.keep(lines)
    return wrong


def decided_now(_decision: object) -> None:
    """Note what was decided just now.  A log that is broken stops no decision, and is told."""
    try:
        note()
    except ProjectError as error:
        print(f"Not in the audit log: {error}", file=sys.stderr)


def main(
    add: Annotated[bool, typer.Option("--note", help="first note what is not noted yet")] = False,
    put_back: Annotated[bool, typer.Option("--repair", help="first put back what holds")] = False,
) -> None:
    """Verify the log.  ProjectError that lists what is wrong."""
    if put_back:
        print("\n  ".join(["Put back what holds.  Wrong were:", *(repair() or ["none"])]))
    for line in note() if add or put_back else ():
        print(f"{line.number:5}  {line.said}")
    if wrong := verify():
        raise ProjectError("\n  ".join([f"{chain.LOG}: does not hold", *wrong]))
    lines = chain.written()
    head = chain.digest(lines[-1])[:12] if lines else "none"
    print(f"{chain.LOG}: {len(lines)} lines, head {head}: registry, journals and git agree")
