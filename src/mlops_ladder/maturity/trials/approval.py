"""Trials and faults of approval: a second person approves a version."""

import re
from collections.abc import Iterator

from mlops_ladder.maturity.delivery import read_registered_model
from mlops_ladder.maturity.sandbox import Copy, Done, last_line

MAKER, OTHER = "maker", "other"


def act_as(copy: Copy, name: str) -> dict[str, str]:
    """Return the environment of a person, if a second person has to approve by name."""
    settings = {"way": '"named"', "approvers": "[]"}
    for key, value in settings.items():  # a variable may not weaken the file
        text = copy.text("config/approval.toml")
        text = re.sub(rf"^{key} *= .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        copy.write("config/approval.toml", text)
    person = {f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")}
    person |= {f"GIT_{role}_EMAIL": f"{name}@localhost" for role in ("AUTHOR", "COMMITTER")}
    own = {"NEEDED": "always", "WAY": "named", "APPROVERS": "[]"}
    return person | copy.settings(**{f"APPROVAL__{key}": value for key, value in own.items()})


def make_waiting_version(copy: Copy) -> dict[str, str]:
    """Run the pipeline, once; return its version, which nobody has approved."""

    def make() -> str:
        copy.must("make", "pipeline-smoke", **act_as(copy, MAKER))
        return str(max(read_registered_model(copy.repository)["versions"], key=int))

    return {"version": copy.once("waiting", make)}


def champion_version(copy: Copy) -> str | None:
    """Return the version that is champion."""
    version: str | None = read_registered_model(copy.repository)["aliases"].get("champion")
    return version


def run_approve(copy: Copy, number: str | None, person: dict[str, str]) -> Done:
    """Approve a version as this person."""
    return copy.run("make", "approve", f"VERSION={number}", **person)


def approve_as_other(copy: Copy) -> Iterator[str]:
    """Run the pipeline as one person, and approve as another one."""
    number = make_waiting_version(copy)["version"]
    if champion_version(copy):
        yield "make pipeline: promotes a version that nobody has approved"
        return
    done = run_approve(copy, number, act_as(copy, OTHER))
    if done.returncode:
        yield f"make approve: {last_line(done)}"
    elif champion_version(copy) != number:
        yield f"make approve: v{number} was approved, and v{champion_version(copy)} is champion"


def approve_own_version(copy: Copy) -> Iterator[str]:
    """Approve as the person who ran the pipeline, and by another name with the same address."""
    number = make_waiting_version(copy)["version"]
    renamed = act_as(copy, MAKER) | {"GIT_AUTHOR_NAME": OTHER}
    for person in (act_as(copy, MAKER), renamed):
        done = run_approve(copy, number, person)
        if done.returncode == 0 or champion_version(copy) == number:
            yield f"make approve: {person['GIT_AUTHOR_NAME']} approves a version of their own"


def approve_changed_report(copy: Copy, number: str) -> Iterator[str]:
    """Approve as another person, after the report was changed."""
    done = run_approve(copy, number, act_as(copy, OTHER))
    if done.returncode == 0 or champion_version(copy) == number:
        yield "make approve: approves a report that was changed"


def approve_champion(copy: Copy) -> str:
    """Have somebody else approve the champion if that is needed; return why they cannot."""
    if not copy.repository.own("registry.approval"):
        return ""
    done = run_approve(copy, champion_version(copy), act_as(copy, OTHER))
    return last_line(done) if done.returncode else ""
