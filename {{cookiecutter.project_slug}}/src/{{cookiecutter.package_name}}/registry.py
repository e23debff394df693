"""The registry: versions of the model, and the only way to become champion.

The alias `candidate` names the version that the gate judged last, `champion` the one that is
served, `previous` the champion before it.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from . import ProjectError, history, publishing, versions
from .decisions import alone, decide, recover
from .history import Entry
from .integrity import refuse, repair, undecided, verify
from .promotion import Verdict
from .versions import Version


@contextmanager
def steady() -> Iterator[list[Entry]]:
    """Alone with a registry that is as the gate left it: its decisions so far.

    What a kill interrupted is finished first.  Raises ProjectError that lists what is not as it
    was, and the way out.
    """
    with alone():
        recover()
        refuse(verify())
        yield versions.held().entries


def settle() -> list[Entry]:
    """The decisions so far; what a kill interrupted is finished.

    A pipeline starts with it.  Raises ProjectError where the registry is not as the gate left it:
    it would refuse what is trained.
    """
    with steady() as entries:
        return entries


def register(run_id: str, model_version: str, verdict: Verdict) -> Version:
    """The version of this model, as `candidate`: the one it has, or a new one of the run.

    A refusal is logged.  Raises ProjectError where the registry is not as the gate left it.
    """
    with steady() as entries:
        equal = [it for it in versions.versions().values() if it.model_version == model_version]
        version = equal[0] if equal else versions.create(run_id, model_version)
        versions.alias("candidate", version.number)
        if not verdict.accepted:
            last = history.champion(entries)
            decide("refuse", version, last.version if last else None, asdict(verdict))
    return version


def promote(version: Version, verdict: Verdict) -> None:
    """Make the version champion, have it served, and log who did it and why.

    A kill at any moment is made good by the next command.  Raises ProjectError, and changes
    nothing, where the verdict refuses or is about another champion, where the registry is not as
    the gate left it, or where the run has no sound bundle.
    """
    if not verdict.accepted:
        told = "\n  ".join(verdict.reasons)
        raise ProjectError(f"v{version.number}: the gate has refused it\n  {told}")
    with steady() as entries:
        last = history.champion(entries)
        if last and last.version == version.number:
            return
        compared, now = verdict.evidence["champion"], history.title(last)
        if compared != now:
            told = f"compared with {compared or 'no champion'}; by now there is {now}"
            raise ProjectError(f"v{version.number}: {told}; run `make pipeline` again")
        decide("promote", version, last.version if last else None, asdict(verdict))


def rollback(number: str | None = None) -> Entry:
    """Make `previous`, or another version that was champion, champion again: the log's new entry.

    A second rollback takes the first one back.  Raises ProjectError where there is nothing to roll
    back to, or the registry is not as the gate left it.
    """
    with steady() as entries:
        last, once = history.champion(entries), history.promoted(entries)
        target = number or (last.previous if last else None)
        if not last or target not in once or target == last.version:
            others = [f"v{it}" for it in once if last and it != last.version]
            told = (
                f"v{target} is champion, or never was" if target else "no version before this one"
            )
            raise ProjectError(
                f"nothing to roll back to: {told}; versions to choose: {', '.join(others) or 'none'}"
            )
        return decide("rollback", versions.of(once[target]), last.version)


def publish() -> Entry | None:
    """Have the champion served on this machine, and give the decision that made it champion.

    Raises ProjectError where the registry is not as the gate left it.
    """
    with alone():
        recover()
        refuse(undecided())
        last = history.champion(versions.held().entries)
        if last:
            publishing.publish(last)
    return last


def listing() -> str:
    """Every version with its aliases, its run and the last decision about it, a line each."""
    now = versions.held()
    about = {entry.version: str(entry) for entry in now.entries}
    rows = []
    for number, version in sorted(versions.versions().items(), key=lambda it: int(it[0])):
        names = " ".join(name for name, named in sorted(now.aliases.items()) if named == number)
        run = f"run {version.run_id[:8]}  model {version.model_version}"
        rows.append(f"v{number:4} {names:19} {run}  {about.get(number, 'not decided')}")
    return "\n".join(rows) or "No version is registered yet.  Next: make pipeline"


def main(arguments: list[str]) -> None:
    """List the versions, and say whether all is as the gate left it."""
    parser = argparse.ArgumentParser(
        prog="registry", description="Versions, aliases, their soundness."
    )
    parser.add_argument("--repair", action="store_true", help="put back what the gate decided")
    if parser.parse_args(arguments).repair:
        faults = repair()
        print(
            "\n  ".join(["Put back what the gate decided; what was wrong:", *faults])
            if faults
            else "Nothing was wrong."
        )
    with alone():
        recover()
        print(listing())
        refuse(verify())
    print("All is as the gate left it.")


def rollback_main(arguments: list[str]) -> None:
    """Make the previous champion, or another one, champion again."""
    parser = argparse.ArgumentParser(
        prog="rollback", description="Champion becomes what was before."
    )
    parser.add_argument(
        "--to", metavar="VERSION", help="a version that was champion (default: the previous)"
    )
    print(rollback(parser.parse_args(arguments).to))
    print(f"{listing()}\nThe service follows by itself.  To take it back: make rollback")


def publish_main(arguments: list[str]) -> None:
    """Bring the champion of the registry to this machine, and have it served."""
    argparse.ArgumentParser(prog="publish", description="Serve the champion here.").parse_args(
        arguments
    )
    last = publish()
    if last is None:
        raise ProjectError("no version is champion yet; run `make pipeline`")
    print(f"{publishing.POINTER}: serves v{last.version}.  Next: make serve")
