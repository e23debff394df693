"""Decisions: each is written down before it is applied, so that a kill leaves nothing open.

The order: download the bundle, and write the decision to the registry and to the log.  Then move
the aliases and the pointer of the service, and mark the decision as applied.  After a kill,
`recover_decisions` applies the last decision that was written.  `verify_registry` lists every
difference from the gate's last decision, and `repair_registry` restores that state.
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
from mlops_ladder.registry.versions import RegistryState, Version

LOCK = Path("models/registry.lock")
LOCK_TIMEOUT_S = 60  # a promotion takes a few seconds
WAY_OUT = "`make registry REPAIR=yes` restores the last decision"


@contextmanager
def registry_lock(lock: Path | None = None, timeout: float | None = None) -> Iterator[None]:
    """Hold the lock of the registry, or another one.  Raise ProjectError after the timeout.

    The system frees the lock when its process ends, also after a kill.
    """
    lock, timeout = lock or LOCK, LOCK_TIMEOUT_S if timeout is None else timeout
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=timeout):
            yield
    except Timeout as error:
        message = f"{lock}: another decision has held it for {timeout:g} s; wait, or end it"
        raise ProjectError(message) from error


@contextmanager
def locked_registry() -> Iterator[RegistryState]:
    """Hold the lock of a verified registry, and give its state.

    First, finish an interrupted decision.  Raises ProjectError that lists each difference from the
    gate's decisions, and the way out.
    """
    with registry_lock():
        state = recover_decisions()
        raise_for_changes(verify_registry(state))
        yield state


def recover_and_verify() -> None:
    """Finish an interrupted decision.  Raise ProjectError if the registry was changed by hand.

    A pipeline starts with it, so that it does not train for a registry that refuses promotions.
    """
    with locked_registry():
        pass


def decide(
    action: history.Action, version: Version | None, previous: str | None, verdict: Any = None
) -> history.Entry:
    """Write a decision to the registry and the log, and apply it.

    Args:
        action: The kind of decision.
        version: The version that the decision is about.
        previous: The number of the champion before it.
        verdict: The report of the gate, ready for JSON.

    Returns:
        The new entry of the log.

    Raises:
        ProjectError: The version has no sound bundle to serve, or another machine has decided
            meanwhile.  Nothing is written then.
    """
    before = versions.read_state()
    entries = before.entries
    moves = version and action not in history.NON_MOVING_ACTIONS
    entry = history.Entry(
        number=entries[-1].number + 1 if entries else 1,
        time=datetime.now(UTC),
        action=action,
        version=version.number if version else None,
        run_id=version.run_id if version else "",
        model_version=version.model_version if version else "",
        previous=previous,
        who=get_actor(),
        bundle=ensure_same_bundle(version, entries) if version and moves else "",
        proof=history.hash_verdict(verdict),
        verdict=verdict,
        **versions.read_origin(version),
    )
    write_ahead(entry, before)
    apply_decision(entry)
    plugins.get_hooks().after_decision(decision=entry)
    return entry


def write_ahead(entry: history.Entry, before: RegistryState) -> None:
    """Write a decision to registry and log.  Raise ProjectError if the registry has a newer one."""
    if versions.read_state().copies != before.copies:
        raise ProjectError("another machine has decided meanwhile; run the command again")
    versions.write_decision(entry)
    history.append_entry(entry)


def ensure_same_bundle(version: Version, entries: list[history.Entry]) -> str:
    """Download the version's bundle; return its sha256, which must be that of earlier decisions."""
    hashes = [entry.bundle for entry in entries if entry.version == version.number and entry.bundle]
    return publishing.ensure_bundle(version, hashes[0] if hashes else None)


def get_actor() -> str:
    """Return the name for the log: git's user, else the user of the system."""
    return provenance.run_git("config", "user.name") or versions.get_system_user()


def apply_decision(entry: history.Entry) -> None:
    """Move the aliases, then the pointer of the service, then mark the decision as applied."""
    if entry.action not in history.NON_MOVING_ACTIONS:
        versions.set_alias("previous", entry.previous)
        versions.set_alias("champion", entry.version)
        publishing.publish_entry(entry)
    versions.mark_applied(entry.number)


def recover_decisions() -> RegistryState:
    """Apply the last decision if a kill has interrupted it; return the state of the registry.

    Decisions that another machine has made are added to the log.
    """
    state, logged = versions.read_state(), history.read_log()
    missing = [entry for entry in state.entries if entry.number not in logged]
    for entry in missing:
        history.append_entry(versions.with_verdict(entry))
    if missing:
        print(f"{history.LOG}: {len(missing)} decisions added from the registry")
    if not state.entries or state.entries[-1].number <= state.concluded:
        return state
    entry = versions.with_verdict(state.entries[-1])
    print(f"Finishing an interrupted decision: {entry}")
    history.append_entry(entry)
    version = versions.version_from_entry(entry)
    if entry.version and versions.list_versions().get(entry.version) != version:
        versions.mark_applied(entry.number)  # deleted meanwhile: `verify_registry` reports it
    else:
        apply_decision(entry)
    return versions.read_state()


def verify_registry(state: RegistryState) -> list[str]:
    """Return a line for each difference from the gate's decisions, in registry, log and service."""
    return find_changes(state) + publishing.verify_pointer(history.list_moves(state.entries))


def find_changes(state: RegistryState) -> list[str]:
    """Return a line for each change of log, aliases or versions that the gate did not decide."""
    existing, last = versions.list_versions(), state.champion
    faults = history.compare_log(state.copies)
    expected = {"champion": last.version, "previous": last.previous} if last else {}
    for name in ("champion", "previous"):
        names, right = state.aliases.get(name), expected.get(name)
        if names != right:
            faults.append(f"alias {name}: it names version {names}; the gate decided on {right}")
    for entry in history.list_moves_since_repair(state.entries):
        promoted = versions.version_from_entry(entry)
        if existing.get(promoted.number) != promoted:
            present = existing.get(promoted.number, "none")
            faults.append(f"v{entry.version}: promoted was {promoted}; there is {present}")
    return faults


def repair_registry() -> list[str]:
    """Restore log, aliases and pointer as the gate decided; return the faults.

    The champion becomes the newest promoted version that is unchanged.  No change made outside the
    gate is adopted.
    """
    with registry_lock():
        state = recover_decisions()
        if faults := verify_registry(state):
            entries, existing = reconcile_log(state), versions.list_versions()
            moves = [entry for entry in reversed(history.list_moves(entries)) if entry.version]
            promoted = dict.fromkeys(map(versions.version_from_entry, moves))
            sound = [version for version in promoted if existing.get(version.number) == version]
            champion, previous = (*sound, None, None)[:2]
            decide("repair", champion, previous.number if previous else None, {"faults": faults})
    return faults


def reconcile_log(state: RegistryState) -> list[history.Entry]:
    """Make registry and log hold the same decisions, and return these.

    If the two differ, the registry is right; a decision that it has lost comes from the log.
    """
    kept = {entry.number: versions.with_verdict(entry) for entry in state.entries}
    logged = {n: entry for n, entry in history.read_log().items() if n <= state.concluded}
    entries = logged | kept
    for number in state.copies.keys() - entries.keys():
        versions.delete_decision(number)
    for number in entries.keys() - kept.keys():
        versions.write_decision(entries[number])
    ordered = [entries[number] for number in sorted(entries)]
    history.rewrite_log(ordered)
    return ordered


def raise_for_changes(faults: list[str]) -> None:
    """Raise ProjectError that lists the faults and the way out, if there are any."""
    raise_for_faults(f"the registry is not as the gate left it; {WAY_OUT}", faults)
