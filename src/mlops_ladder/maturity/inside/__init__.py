"""What trials ask of the project's own code; it is run by the Python of the project, in a copy.

It knows no data, only what config and contract say of them.
"""

import sys
from importlib import import_module
from typing import Any


def part(name: str) -> Any:
    """A module of the library."""
    return import_module(f"mlops_ladder.{name}")


def given() -> tuple[Any, Any, Any]:
    """The rows, the contract and the settings of the project."""
    settings, contract = part("settings").load_settings(), part("data.contract").read_contract()
    return part("problem").read_data(settings).reset_index(drop=True), contract, settings
