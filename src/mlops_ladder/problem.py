"""The project's own `problem.py`: how rows are read, and which model learns from them."""

from importlib import import_module
from typing import Any

import pandas as pd

from mlops_ladder import project


def load_problem_module() -> Any:
    """Return the module that the project wrote."""
    return import_module(f"{project.get_project().package}.problem")


def read_data(settings: Any) -> pd.DataFrame:
    """Return the rows that the settings name, with the columns of the contract."""
    frame: pd.DataFrame = load_problem_module().read_data(settings)
    return frame


def build_model(*arguments: Any, **options: Any) -> Any:
    """Return an untrained model, as the project builds it."""
    return load_problem_module().build_model(*arguments, **options)
