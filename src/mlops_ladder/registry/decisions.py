"""Decisions: each is written down before it is carried out, so that a kill leaves nothing open.

In this order: the bundle is brought here, the registry and the log learn of the decision, the
aliases move, the pointer of the service moves, the registry learns that it is done.  Whatever is
killed in between, `recover` carries out what was written down.  `verify` says what is not as the
gate left it, and `repair` puts it back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlops_ladder import plugins, ProjectError, raise_for_faults
from mlops_ladder.data import provenance
from mlops_ladder.registry import history, publishing, versions
from mlops_ladder.registry.versions import Held, Version

LOCK = Path("models/registry.lock")
PATIENCE = 60  # seconds; a promotion takes a few


@contextmanager
def alone(lock: Path | None = None, patience: float | None = None) -> Iterator[None]:
    """Nobody else on this machine decides meanwhile.  ProjectError where it lasts too long.

    About promotions, or what another lock is for.  The system frees the lock of a process that
    ends, however it ends.
    """
    lock, patience = lock or LOCK, PATIENCE if patience is None else patience
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=patience):
            yield
    except Timeout as error:
        told = f"{lock}: another decision has held it for {patience:g} s; wait for it, or end it"
        raise ProjectError(told) from error


def decide(
    action: history.Action, version: Version | None, previous: str | None, verdict: Any = None
) -> history.Entry:
    """Write a decision down, in the registry and in the log, and then carry it out.

    Raises ProjectError, and nothing is written, where a version has no sound bundle to serve, or
    another machine has decided meanwhile.
    """
    entries = (before := versions.held()).entries
    bundle = brought(version, entries) if version and action not in history.STILL else ""
    entry = history.Entry(
        number=entries[-1].number + 1 if entries else 1,
        time=datetime.now(UTC),
        action=action,
        version=version.number if version else None,
        run_id=version.run_id if version else "",
        model_version=version.model_version if version else "",
        previous=previous,
        who=who(),
        bundle=bundle,
        proof=history.digest(verdict),
        verdict=verdict,
        **versions.origin(version),
    )
    write_down(entry, before)
    carry_out(entry)
    plugins.get_hooks().after_decision(decision=entry)
    return entry


def write_down(entry: history.Entry, before: Held) -> None:
    """Have registry and log hold a decision.  ProjectError where they hold another one by now."""
    if versions.held().copies != before.copies:
        raise ProjectError("another machine has decided meanwhile; run the command again")
    versions.write(entry)
    history.append(entry)


def brought(version: Version, entries: list[history.Entry]) -> str:
    """The sha256 of the version's bundle, which is here then, and is what it was if it ever was."""
    known = [it.bundle for it in entries if it.version == version.number and it.bundle]
    return publishing.fetch(version, known[0] if known else None)


def who() -> str:
    """Who decides: git's user, else the user of the system."""
    return provenance.git("config", "user.name") or versions.system_user()


def carry_out(entry: history.Entry) -> None:
    """Move the aliases, then have the champion served, then say that it is done."""
    if entry.action not in history.STILL:
        versions.alias("previous", entry.previous)
        versions.alias("champion", entry.version)
        publishing.publish(entry)
    versions.conclude(entry.number)


def recover() -> Held:
    """What the registry holds, once what a kill has interrupted is finished.

    The log learns of the decisions that it lacks, as another machine made them.
    """
    now, known = versions.held(), history.logged()
    lacking = [entry for entry in now.entries if entry.number not in known]
    for entry in lacking:
        history.append(versions.whole(entry))
    if lacking:
        print(f"{history.LOG}: brought from the registry, {len(lacking)} decisions")
    if not now.entries or now.entries[-1].number <= now.concluded:
        return now
    entry = versions.whole(now.entries[-1])
    print(f"Finishing what was interrupted: {entry}")
    history.append(entry)
    if entry.version and versions.versions().get(entry.version) != versions.of(entry):
        versions.conclude(entry.number)  # deleted meanwhile: `verify` tells
    else:
        carry_out(entry)
    return versions.held()


WAY_OUT = "`make registry REPAIR=yes` puts back what the gate decided"


def verify(now: Held) -> list[str]:
    """What is not as the gate left it, in words: the log, aliases, versions, what is served."""
    return undecided(now) + publishing.faults(history.moves(now.entries))


def undecided(now: Held) -> list[str]:
    """What the log, the aliases and the versions say and the gate did not decide, in words."""
    known, last = versions.versions(), now.champion
    faults = history.differences(now.copies)
    wanted = {"champion": last.version, "previous": last.previous} if last else {}
    for name in ("champion", "previous"):
        names, right = now.aliases.get(name), wanted.get(name)
        if names != right:
            faults.append(f"alias {name}: it names version {names}; the gate decided on {right}")
    for entry in history.standing(now.entries):
        if known.get(str(entry.version)) != versions.of(entry):
            found = known.get(str(entry.version), "none")
            faults.append(f"v{entry.version}: promoted was {versions.of(entry)}; there is {found}")
    return faults


def repair() -> list[str]:
    """Put back what the gate decided: the log, the aliases, what is served.  What was wrong.

    Champion becomes the newest version that the gate has promoted and that is still what it was;
    nothing that the gate did not decide is adopted.
    """
    with alone():
        now = recover()
        if faults := verify(now):
            entries, known = mend(now), versions.versions()
            chosen = [versions.of(it) for it in reversed(history.moves(entries)) if it.version]
            sound = [it for it in dict.fromkeys(chosen) if known.get(it.number) == it]
            champion, previous = (*sound, None, None)[:2]
            decide("repair", champion, previous.number if previous else None, {"faults": faults})
    return faults


def mend(now: Held) -> list[history.Entry]:
    """Have the same decisions in the registry and in the log, and give them.

    Where the two differ the registry is right; what it has lost comes back from the log.
    """
    lost = {n: it for n, it in history.logged().items() if n <= now.concluded}
    entries = lost | {it.number: versions.whole(it) for it in now.entries}
    for number in now.copies.keys() - entries.keys():
        versions.erase(number)
    for number in entries.keys() - {it.number for it in now.entries}:
        versions.write(entries[number])
    history.rewrite(entries[number] for number in sorted(entries))
    return [entries[number] for number in sorted(entries)]


def refuse(faults: list[str]) -> None:
    """Raises ProjectError that lists the faults and says the way out, where there are any."""
    raise_for_faults(f"the registry is not as the gate left it; {WAY_OUT}", faults)
