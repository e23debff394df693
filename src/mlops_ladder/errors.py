"""What a user can put right."""

from collections.abc import Iterable


class ProjectError(Exception):
    """Something that its user can put right: told in a line or two, without a traceback."""

    status = 1  # with which a command ends


def raise_for_faults(what: str, faults: Iterable[object]) -> None:
    """Raise ProjectError that lists the faults below what is wrong, if there are any."""
    if lines := [str(fault) for fault in faults]:
        raise ProjectError("\n  ".join(filter(None, [what, *lines])))
