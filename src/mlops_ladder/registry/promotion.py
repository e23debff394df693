"""Promotion: registers versions, and is the only way to become champion.

The alias `candidate` names the version that the gate evaluated last, `champion` the served version,
and `previous` the champion before it.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from mlops_ladder import plugins, project, ProjectError, raise_for_faults
from mlops_ladder.registry import decisions, gate, history, publishing, versions
from mlops_ladder.registry.versions import Version

REPAIR = typer.Option("--repair", help="restore the state of the gate's last decision")
CHOICE = typer.Option(help="which (default: the previous champion)", metavar="VERSION")


def register_version(run_id: str, model_version: str, verdict: gate.Verdict) -> Version:
    """Return the version of this model, now the `candidate`: an existing or a new one.

    A refusal is logged, and so is an acceptance that waits for an approval.  Raises ProjectError if
    the registry was changed outside the gate.
    """
    with decisions.locked_registry() as state:
        every = versions.list_versions().values()
        equal = [version for version in every if version.model_version == model_version]
        version = equal[0] if equal else versions.create_version(run_id, model_version)
        versions.set_alias("candidate", version.number)
        last = state.champion.version if state.champion else None
        if not verdict.accepted:
            decisions.decide("refuse", version, last, asdict(verdict))
        elif last != version.number and find_blocking_reasons(version, verdict):
            newest = [(entry.action, entry.version, entry.proof) for entry in state.entries[-1:]]
            if newest != [("accept", version.number, history.hash_verdict(asdict(verdict)))]:
                decisions.decide("accept", version, last, asdict(verdict))
    return version


def find_blocking_reasons(version: Version, verdict: gate.Verdict) -> list[str]:
    """Return why an accepted version may not become champion yet, from all plugins."""
    hook = plugins.get_hooks().find_promotion_objections
    lists = hook(version=version, verdict=asdict(verdict))
    return [reason for reasons in lists for reason in reasons]


def find_pending_reasons(version: Version, verdict: gate.Verdict) -> list[str]:
    """Return why an accepted version does not become champion now: blocked, or in a rollout."""
    return find_blocking_reasons(version, verdict) or begin_rollout(version, verdict)


def begin_rollout(version: Version, verdict: gate.Verdict) -> list[str]:
    """Hand an accepted version to the rollout; return what it says, or [] if there is none."""
    return list(filter(None, plugins.get_hooks().hand_to_rollout(version=version, verdict=verdict)))


def promote_version(version: Version, verdict: gate.Verdict) -> None:
    """Make the version champion, serve it, and log who did it and why.

    After a kill at any moment, the next command finishes the promotion.  Raises ProjectError, and
    changes nothing, if the verdict refuses or is about another champion, or an approval is missing.
    The same if the registry was changed outside the gate, or the run has no sound bundle.
    """
    if not verdict.accepted:
        raise_for_faults(f"v{version.number}: the gate has refused it", verdict.reasons)
    with decisions.locked_registry() as state:
        last = state.champion.version if state.champion else None
        if last == version.number:
            return
        reasons = find_blocking_reasons(version, verdict)
        raise_for_faults(f"v{version.number}: not approved", reasons)
        compared, champion = verdict.evidence["champion"], history.name_champion(state.champion)
        if compared != champion:
            message = f"compared with {compared or 'no champion'}; by now there is {champion}"
            raise ProjectError(f"v{version.number}: {message}; run `make pipeline` again")
        decisions.decide("promote", version, last, asdict(verdict))


def promote_waiting(entry: history.Entry) -> None:
    """Make a version that waited the champion, or print why it still waits."""
    version, last = versions.version_from_entry(entry), versions.read_state().champion
    if entry.action != "accept" or (last and last.version == version.number):
        return
    verdict = gate.Verdict(**entry.verdict)
    if reasons := find_pending_reasons(version, verdict):
        print("\n  ".join([f"v{version.number} still waits", *reasons]))
        return
    promote_version(version, verdict)
    print(f"v{version.number} is champion, and predicts from now on.  Next: make publish")


def renew_champion(run_id: str) -> Version:
    """Make the version of a run that has trained the champion's model again the champion.

    The verdict stays, and so does the target of a rollback.  Raises ProjectError if the registry
    was changed outside the gate, or the run has another model or no sound bundle.
    """
    with decisions.locked_registry() as state:
        last = state.champion
        model = versions.get_client().get_run(run_id).data.tags.get("model_version")
        if not last or last.model_version != model:
            present = last.model_version if last else "no champion"
            raise ProjectError(f"run {run_id}: it made model {model}; there is {present}")
        version = versions.create_version(run_id, last.model_version)
        versions.set_alias("candidate", version.number)
        verdict = versions.find_acceptance(last).verdict
        decisions.decide("renew", version, last.previous, verdict)
    return version


def roll_back(number: str | None = None) -> history.Entry:
    """Make `previous`, or another former champion, champion again; return the log's new entry.

    A second rollback reverts the first.  Raises ProjectError if there is no such version, or the
    registry was changed outside the gate.
    """
    with decisions.locked_registry() as state:
        last, existing = state.champion, versions.list_versions()
        former = map(versions.version_from_entry, history.list_promotions(state.entries))
        others = {version.number: version for version in former if last}
        others.pop(str(last and last.version), None)
        target = others.get(number or str(last and last.previous))
        if not last or not target or existing.get(target.number) != target:
            message = f"v{number} is no former champion" if number else "no former champion"
            choice = ", ".join(f"v{name}" for name in others if name in existing) or "none"
            raise ProjectError(f"nothing to roll back to: {message}; versions to choose: {choice}")
        return decisions.decide("rollback", target, last.version)


def publish_champion() -> history.Entry | None:
    """Serve the champion on this machine; return the decision that made it champion.

    Raises ProjectError if the registry was changed outside the gate.
    """
    with decisions.registry_lock():
        state = decisions.recover_decisions()
        decisions.raise_for_changes(decisions.find_changes(state))
        if state.champion:
            publishing.publish_entry(state.champion)
    return state.champion


def format_versions(state: versions.RegistryState) -> str:
    """Return a line for each version: its aliases, its run and the last decision about it."""
    last = {entry.version: str(entry) for entry in state.entries}
    rows = []
    for number, version in sorted(versions.list_versions().items(), key=lambda item: int(item[0])):
        names = " ".join(sorted(name for name, target in state.aliases.items() if target == number))
        run = f"run {version.run_id[:8]}  model {version.model_version}"
        rows.append(f"v{number:4} {names:19} {run}  {last.get(number, 'not decided')}")
    return "\n".join(rows) or "No version is registered yet.  Next: make pipeline"


def main(put_back: Annotated[bool, REPAIR] = False) -> None:
    """List the versions; fail if the registry was changed outside the gate."""
    if put_back:
        faults = decisions.repair_registry() or ["none"]
        print("\n  ".join(["Restored the gate's last decision.  The faults were:", *faults]))
    with decisions.registry_lock():
        state = decisions.recover_decisions()
        print(format_versions(state))
        decisions.raise_for_changes(decisions.verify_registry(state))
    print(publishing.describe_lag(state.champion) or "All is as the gate left it.")


def rollback_main(to: Annotated[str | None, CHOICE] = None) -> None:
    """Make the previous champion, or another one, champion again."""
    entry = roll_back(to)
    print(f"{entry}\n{format_versions(versions.read_state())}")
    publishing.warn_of_changed_inputs(entry)
    print("New predictions are its.  To revert it: make rollback")


def publish_main() -> None:
    """Download the champion of the registry to this machine, where it predicts."""
    publish_champion()
    champion = versions.require_champion()
    publishing.warn_of_changed_inputs(champion)
    target = project.get_project().predict_target
    print(f"{publishing.POINTER}: names v{champion.version}.  Next: make {target}")
