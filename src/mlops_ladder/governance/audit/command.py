"""The command `audit`: is all noted as it happened?"""

import argparse

from mlops_ladder import ProjectError
from mlops_ladder.governance.audit import chain, noting
from mlops_ladder.governance.audit.facts import digest


def main(arguments: list[str]) -> None:
    """Verify the log.  ProjectError that lists what is wrong."""
    parser = argparse.ArgumentParser(prog="audit", description="Is all noted as it happened?")
    parser.add_argument("--note", action="store_true", help="first note what is not noted yet")
    parser.add_argument("--repair", action="store_true", help="first put back what holds")
    options = parser.parse_args(arguments)
    if options.repair:
        print("\n  ".join(["Put back what holds.  Wrong were:", *(noting.repair() or ["none"])]))
    for line in noting.note() if options.note or options.repair else ():
        print(f"{line.number:5}  {line.said}")
    if wrong := noting.verify():
        raise ProjectError("\n  ".join([f"{chain.LOG}: does not hold", *wrong]))
    lines = chain.written()
    head = digest(lines[-1])[:12] if lines else "none"
    print(f"{chain.LOG}: {len(lines)} lines, head {head}: registry, journals and git agree")
