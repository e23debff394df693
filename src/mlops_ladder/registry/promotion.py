"""The registry: versions of the model, and the only way to become champion.

The alias `candidate` names the version that the gate judged last, `champion` the one that is
served, `previous` the champion before it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from mlops_ladder import plugins, ProjectError, raise_for_faults
from mlops_ladder.registry import decisions, gate, history, publishing, versions

REPAIR = typer.Option("--repair", help="put back what the gate decided")
CHOICE = typer.Option(help="which (default: the previous champion)", metavar="VERSION")


@contextmanager
def steady() -> Iterator[versions.Held]:
    """Alone with a registry that is as the gate left it, and what it holds.

    What a kill interrupted is finished first.  Raises ProjectError that lists what is not as it
    was, and the way out.
    """
    with decisions.alone():
        now = decisions.recover()
        decisions.refuse(decisions.verify(now))
        yield now


def settle() -> None:
    """Finish what a kill has interrupted.  A pipeline starts with it.

    Raises ProjectError where the registry is not as the gate left it, and would refuse a promotion.
    """
    with decisions.alone():
        decisions.refuse(decisions.verify(decisions.recover()))


def register(run_id: str, model_version: str, verdict: gate.Verdict) -> versions.Version:
    """The version of this model, as `candidate`: the one it has, or a new one of the run.

    A refusal is logged, and so is that an accepted one waits.  Raises ProjectError where the
    registry is not as the gate left it.
    """
    with steady() as now:
        equal = [it for it in versions.versions().values() if it.model_version == model_version]
        version = equal[0] if equal else versions.create(run_id, model_version)
        versions.alias("candidate", version.number)
        last = now.champion.version if now.champion else None
        if not verdict.accepted:
            decisions.decide("refuse", version, last, asdict(verdict))
        elif last != version.number and objections(version, verdict):
            known = [(it.action, it.version, it.proof) for it in now.entries[-1:]]
            if known != [("accept", version.number, history.digest(asdict(verdict)))]:
                decisions.decide("accept", version, last, asdict(verdict))
    return version


def objections(version: versions.Version, verdict: gate.Verdict) -> list[str]:
    """Why an accepted version may not become champion yet, as all say that have joined."""
    found = plugins.get_hooks().find_promotion_objections(version=version, verdict=asdict(verdict))
    return [why for reasons in found for why in reasons]


def waits(version: versions.Version, verdict: gate.Verdict) -> list[str]:
    """Why an accepted version does not become champion now: objections, or it goes another way."""
    return objections(version, verdict) or diverted(version, verdict)


def diverted(version: versions.Version, verdict: gate.Verdict) -> list[str]:
    """The other way that an accepted version goes, where one has joined that takes it."""
    return list(filter(None, plugins.get_hooks().hand_to_rollout(version=version, verdict=verdict)))


def promote(version: versions.Version, verdict: gate.Verdict) -> None:
    """Make the version champion, have it served, and log who did it and why.

    A kill at any moment is made good by the next command.  Raises ProjectError, and changes
    nothing, where the verdict refuses or is about another champion, where somebody has to approve
    it first, where the registry is not as the gate left it, or the run has no sound bundle.
    """
    if not verdict.accepted:
        told = "\n  ".join(verdict.reasons)
        raise ProjectError(f"v{version.number}: the gate has refused it\n  {told}")
    with steady() as now:
        last = now.champion.version if now.champion else None
        if last == version.number:
            return
        raise_for_faults(f"v{version.number}: not approved", objections(version, verdict))
        compared, there = verdict.evidence["champion"], history.title(now.champion)
        if compared != there:
            told = f"compared with {compared or 'no champion'}; by now there is {there}"
            raise ProjectError(f"v{version.number}: {told}; run `make pipeline` again")
        decisions.decide("promote", version, last, asdict(verdict))


def promote_waiting(
    entry: history.Entry, find_obstacles: Callable[[versions.Version, gate.Verdict], list[str]]
) -> None:
    """Make a version that waited the champion, or say what is in its way."""
    version, last = versions.of(entry), versions.held().champion
    if entry.action != "accept" or (last and last.version == version.number):
        return
    verdict = gate.Verdict(**entry.verdict)
    if found := find_obstacles(version, verdict):
        print("\n".join(found))
        return
    promote(version, verdict)
    print(f"v{version.number} is champion; the service follows.  Next: make publish")


def renew(run_id: str) -> versions.Version:
    """The version of a run that made the champion's model again, champion in its place.

    The verdict stays, and so does what a rollback leads to.  Raises ProjectError where the registry
    is not as the gate left it, or the run has another model or no sound bundle.
    """
    with steady() as now:
        last = now.champion
        found = versions.client().get_run(run_id).data.tags.get("model_version")
        if not last or last.model_version != found:
            there = last.model_version if last else "no champion"
            raise ProjectError(f"run {run_id}: it made model {found}; there is {there}")
        judged = [it for it in history.promoted(now.entries) if it.version == last.version][-1]
        version = versions.create(run_id, last.model_version)
        versions.alias("candidate", version.number)
        decisions.decide("renew", version, last.previous, versions.whole(judged).verdict)
    return version


def rollback(number: str | None = None) -> history.Entry:
    """Make `previous`, or another version that was champion, champion again: the log's new entry.

    A second rollback takes the first one back.  Raises ProjectError where there is nothing to roll
    back to, or the registry is not as the gate left it.
    """
    with steady() as now:
        last, known = now.champion, versions.versions()
        once = [versions.of(it) for it in history.promoted(now.entries)]
        others = {it.number: it for it in once if last and it.number != last.version}
        target = others.get(number or str(last and last.previous))
        if not last or not target or known.get(target.number) != target:
            told = "no version was champion before"
            told = f"v{number} is no champion of old" if number else told
            choice = ", ".join(f"v{it}" for it in others if it in known) or "none"
            raise ProjectError(f"nothing to roll back to: {told}; versions to choose: {choice}")
        return decisions.decide("rollback", target, last.version)


def publish() -> history.Entry | None:
    """Have the champion served on this machine, and give the decision that made it champion.

    Raises ProjectError where the registry is not as the gate left it.
    """
    with decisions.alone():
        now = decisions.recover()
        decisions.refuse(decisions.undecided(now))
        if now.champion:
            publishing.publish(now.champion)
    return now.champion


def listing(now: versions.Held) -> str:
    """Every version with its aliases, its run and the last decision about it, a line each."""
    about = {entry.version: str(entry) for entry in now.entries}
    rows = []
    for number, version in sorted(versions.versions().items(), key=lambda it: int(it[0])):
        names = " ".join(name for name, named in sorted(now.aliases.items()) if named == number)
        run = f"run {version.run_id[:8]}  model {version.model_version}"
        rows.append(f"v{number:4} {names:19} {run}  {about.get(number, 'not decided')}")
    return "\n".join(rows) or "No version is registered yet.  Next: make pipeline"


def main(
    put_back: Annotated[bool, REPAIR] = False,
) -> None:
    """List the versions, and say whether all is as the gate left it."""
    if put_back:
        wrong = decisions.repair() or ["none"]
        print("\n  ".join(["Put back what the gate decided.  Wrong were:", *wrong]))
    with decisions.alone():
        now = decisions.recover()
        print(listing(now))
        decisions.refuse(decisions.verify(now))
    print(publishing.behind(now.champion) or "All is as the gate left it.")


def rollback_main(
    to: Annotated[str | None, CHOICE] = None,
) -> None:
    """Make the previous champion, or another one, champion again."""
    entry = rollback(to)
    print(f"{entry}\n{listing(versions.held())}")
    publishing.warn_of_inputs(entry)
    print("The service follows by itself.  To take it back: make rollback")


def publish_main() -> None:
    """Bring the champion of the registry to this machine, and have it served."""
    last = publish()
    if last is None:
        raise ProjectError("no version is champion yet; run `make pipeline`")
    publishing.warn_of_inputs(last)
    print(f"{publishing.POINTER}: names v{last.version}.  Next: make serve")
