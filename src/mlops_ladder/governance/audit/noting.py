"""The command `audit`: note facts as lines of the log, and compare the log with its sources."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import ProjectError, raise_for_faults
from mlops_ladder.append_only_log import append_line
from mlops_ladder.data import provenance
from mlops_ladder.governance.audit import chain
from mlops_ladder.governance.audit.chain import Fact, Line, LOG
from mlops_ladder.registry.decisions import registry_lock
from mlops_ladder.registry.history import rename_old_log

LOCK = Path("models/audit.lock")
NOTE, REPAIR = "make audit NOTE=yes", "make audit REPAIR=yes"
MAX_LENGTH = 1000  # characters of the description of a repair


def split_unnoted(lines: list[Line]) -> tuple[list[Fact], list[Fact]]:
    """Return the facts that are not noted yet, and the immutable ones that were noted otherwise."""
    configured = [line for line in lines if line.kind == "configuration"]
    files = {line.about: line.digest for line in configured}
    last = configured[-1].commit if configured else ""
    noted = {(line.kind, line.about, line.digest) for line in lines if line not in configured}
    facts = [
        *chain.list_configuration_changes(files, last),
        *chain.list_decisions(),
        *chain.list_approvals_and_signatures(),
        *chain.list_journal_entries(),
    ]
    unnoted = [fact for fact in facts if (fact.kind, fact.about, fact.digest) not in noted]
    recent = chain.lines_since_repair(lines)
    fixed = {(line.kind, line.about) for line in recent if line.kind in chain.IMMUTABLE}
    changed = [fact for fact in unnoted if (fact.kind, fact.about) in fixed]
    return [fact for fact in unnoted if fact not in changed], changed


def find_contradictions(lines: list[Line]) -> Iterator[str]:
    """Yield the lines that the registry or git contradicts, in words."""
    decisions = {fact.about for fact in chain.list_decisions()}
    has_repository = provenance.run_git("rev-parse", "--verify", "HEAD")
    for line in chain.lines_since_repair(lines):
        where = f"{LOG}:{line.number}"
        if line.kind == "decision" and line.about not in decisions:
            yield f"{where}: the registry holds no decision {line.about}"
        if line.kind == "configuration" and has_repository:
            files = chain.list_configuration_files(line.commit)
            if not files:
                yield f"{where}: commit {line.commit[:12]} is not in this repository; git fetch"
            elif files.get(line.about, chain.REMOVED) != line.digest:
                yield f"{where}: {line.about} is another one in commit {line.commit[:12]}"


def verify_log() -> list[str]:
    """Return all faults, in words: of the chain, of its copies, and of its facts."""
    texts, piece = chain.read_log()
    lines = chain.parse_lines(texts)
    fresh, changed = split_unnoted(lines)
    faults = [*chain.find_chain_faults(texts), *find_contradictions(lines)]
    if piece:
        faults.append(f"{LOG}:{len(texts) + 1}: is a piece of a line; to remove it: {NOTE}")
    for fact in changed:
        faults.append(f"{fact.kind} {fact.about}: is not as it was noted, but: {fact.said}")
    return faults + [f"{fact.kind} {fact.about}: not noted; to do so: {NOTE}" for fact in fresh]


def note_facts() -> list[Line]:
    """Add a line for each fact that is not noted yet, and return these lines.

    Raises ProjectError, and notes nothing, if the log differs from its copies.
    """
    with registry_lock(LOCK):
        texts, registered = chain.read_log()[0], chain.read_registry_lines()
        if texts == registered[: len(texts)]:  # another machine or a kill: the file is shorter
            for text in registered[len(texts) :]:
                append_line(LOG, text)
            texts = chain.read_log()[0]
        faults = chain.find_chain_faults(texts)
        raise_for_faults(f"{LOG}: nothing is noted until {REPAIR}", faults)
        added = []
        for fact in split_unnoted(chain.parse_lines(texts))[0]:
            added.append(chain.make_line(fact, texts))
            texts.append(added[-1].text)
            append_line(LOG, texts[-1])
        chain.copy_lines(texts)
    return added


def repair_log() -> list[str]:
    """Restore the longest whole chain, note the faults, and return them; the file is backed up.

    Raises ProjectError if no whole chain continues the one that git holds.
    """
    with registry_lock(LOCK):
        anchor, texts = chain.read_git_lines(), chain.read_log()[0]
        faults = [*chain.find_chain_faults(texts), *find_contradictions(chain.parse_lines(texts))]
        logs = [chain.read_registry_lines(), texts, anchor]
        whole = [log for log in logs if log[: len(anchor)] == anchor and not chain.find_break(log)]
        if not whole:
            way_out = f"see: git cat-file blob {chain.REF}, and a backup"
            raise ProjectError(f"{LOG}: no copy holds; {way_out}")
        if faults:
            texts = max(whole, key=len)
            rename_old_log(LOG)
            words = "; ".join(fault[:200] for fault in faults)[:MAX_LENGTH]
            fact = Fact("repair", str(LOG), chain.hash_text(words), words)
            texts = [*texts, chain.make_line(fact, texts).text]
            for text in texts:
                append_line(LOG, text)
            chain.copy_lines(texts)
    return faults


def note_decision(_decision: object) -> None:
    """Note a new decision.  A damaged log stops no decision: the reason is printed."""
    try:
        note_facts()
    except ProjectError as error:
        print(f"Not in the audit log: {error}", file=sys.stderr)


def main(
    add: Annotated[bool, typer.Option("--note", help="first note what is not noted yet")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="first restore a whole chain")] = False,
) -> None:
    """Verify the log.  Raise ProjectError that lists the faults."""
    if repair:
        faults = repair_log() or ["none"]
        print("\n  ".join(["Restored a whole chain.  The faults were:", *faults]))
    for line in note_facts() if add or repair else ():
        print(f"{line.number:5}  {line.said}")
    raise_for_faults(f"{chain.LOG}: does not hold", verify_log())
    texts = chain.read_log()[0]
    head = chain.hash_text(texts[-1])[:12] if texts else "none"
    print(f"{chain.LOG}: {len(texts)} lines, head {head}: registry, journals and git agree")
