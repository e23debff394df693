"""The command `audit`: is all noted as it happened?"""

from typing import Annotated

import typer

from mlops_ladder import ProjectError
from mlops_ladder.governance.audit import chain, noting
from mlops_ladder.governance.audit.facts import digest


def main(
    note: Annotated[bool, typer.Option("--note", help="first note what is not noted yet")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="first put back what holds")] = False,
) -> None:
    """Verify the log.  ProjectError that lists what is wrong."""
    if repair:
        print("\n  ".join(["Put back what holds.  Wrong were:", *(noting.repair() or ["none"])]))
    for line in noting.note() if note or repair else ():
        print(f"{line.number:5}  {line.said}")
    if wrong := noting.verify():
        raise ProjectError("\n  ".join([f"{chain.LOG}: does not hold", *wrong]))
    lines = chain.written()
    head = digest(lines[-1])[:12] if lines else "none"
    print(f"{chain.LOG}: {len(lines)} lines, head {head}: registry, journals and git agree")
