"""Integrity: is all as the gate left it, and if not, how it is put back."""

from mlops_ladder import ProjectError
from mlops_ladder.registry import history, publishing, versions
from mlops_ladder.registry.decisions import alone, decide, recover
from mlops_ladder.registry.history import Entry
from mlops_ladder.registry.versions import Held

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


def mend(now: Held) -> list[Entry]:
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
    if faults:
        told = "\n  ".join(faults)
        raise ProjectError(f"the registry is not as the gate left it; {WAY_OUT}\n  {told}")
