"""Tried and planted: a second person approves."""

import re
from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.delivery import read_registered_model
from mlops_ladder.maturity.sandbox import Copy, last

MAKER, OTHER = "maker", "other"


def worker(copy: Copy, name: str) -> dict[str, str]:
    """The environment of somebody of this name, where a second person has to approve by name."""
    known = {f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")}
    known |= {f"GIT_{role}_EMAIL": f"{name}@localhost" for role in ("AUTHOR", "COMMITTER")}
    own = copy.original.answers["package_name"].upper() + "_APPROVAL__"
    path = copy.root / "config/approval.toml"
    text = path.read_text(encoding="utf-8")  # a variable asks for no less than the file
    for key, value in {"way": '"named"', "approvers": "[]"}.items():
        text = re.sub(rf"^{key} *= .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    return known | {f"{own}NEEDED": "always", f"{own}WAY": "named", f"{own}APPROVERS": "[]"}


def waiting(copy: Copy) -> str:
    """The newest version, which nobody has approved, after a pipeline that was run once."""

    def make() -> str:
        copy.must("make", "rehearse", **worker(copy, MAKER))
        return str(max(read_registered_model(copy.repository)["versions"], key=int))

    return str(copy.kept("waiting", make))


def champion(copy: Copy) -> str | None:
    """Which version is champion."""
    found: str | None = read_registered_model(copy.repository)["aliases"].get("champion")
    return found


@trial(
    "registry.approval", "an accepted version waits, and is champion once a second person approves"
)
def approved(copy: Copy) -> Iterator[str]:
    """Run the pipeline as one person, and approve as another one."""
    number = waiting(copy)
    if champion(copy):
        yield "make pipeline: promotes what nobody has approved"
        return
    done = copy.run("make", "approve", f"VERSION={number}", **worker(copy, OTHER))
    if done.returncode:
        yield f"make approve: {last(done)}"
    elif champion(copy) != number:
        yield f"make approve: v{number} was approved, and v{champion(copy)} is champion"


@fault("registry.approval", "who made a version cannot approve it, by another name neither")
def alone(copy: Copy) -> Iterator[str]:
    """Approve as the one who ran the pipeline, and by another name with the same address."""
    number = waiting(copy)
    renamed = worker(copy, MAKER) | {"GIT_AUTHOR_NAME": OTHER}
    for who in (worker(copy, MAKER), renamed):
        done = copy.run("make", "approve", f"VERSION={number}", **who)
        if done.returncode == 0 or champion(copy) == number:
            yield f"make approve: {who['GIT_AUTHOR_NAME']} approves what they have made"


@fault("registry.approval", "a report that was changed cannot be approved")
def another(copy: Copy) -> Iterator[str]:
    """Change the report that is in the registry, and approve it."""
    number, name = waiting(copy), str(copy.original.answers["package_name"])
    script = (
        "from mlops_ladder.registry import versions; client = versions.client();"
        f" tags = client.get_model_version({name!r}, {number!r}).tags;"
        " key = next(it for it in tags if it.startswith('verdict.'));"
        f" client.set_model_version_tag({name!r}, {number!r}, key,"
        " tags[key].replace('reasons', 'Reasons'))"
    )
    if (done := copy.python(script)).returncode:
        raise Unknown(f"the report cannot be changed: {last(done)}")
    done = copy.run("make", "approve", f"VERSION={number}", **worker(copy, OTHER))
    if done.returncode == 0 or champion(copy) == number:
        yield "make approve: approves a report that was changed"
