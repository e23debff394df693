"""Errors that a user can correct."""

from collections.abc import Iterable


class ProjectError(Exception):
    """An error that its user can correct: printed in a line or two, without a traceback."""

    status = 1  # with which a command ends


def raise_for_faults(what: str, faults: Iterable[object]) -> None:
    """Raise ProjectError that lists the faults below what is wrong, if there are any."""
    if lines := [str(fault) for fault in faults]:
        raise ProjectError("\n  ".join(filter(None, [what, *lines])))
