"""Questions of the trials, which the project's own Python answers in a copy.

They know the data only from the configuration and the contract.
"""

from importlib import import_module
from typing import Any


def part(name: str) -> Any:
    """Return a module of the library."""
    return import_module(f"mlops_ladder.{name}")


def read_project() -> tuple[Any, Any, Any]:
    """Return the rows, the contract and the settings of the project."""
    settings, contract = part("settings").load_settings(), part("data.contract").read_contract()
    return part("problem").read_data(settings).reset_index(drop=True), contract, settings


def read_training_rows() -> tuple[Any, Any, Any]:
    """Return the rows to learn from, the contract and the settings of the project."""
    frame, contract, settings = read_project()
    rows = part("model.training").prepare_training_rows(frame, contract, settings)
    return rows, contract, settings
