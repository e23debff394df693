"""Further checks of the gate: each module of this folder with a function `check_candidate` is one.

So is each such module in the folder `checks` of the project's package.  `fairness` runs if
predictions affect people.  `config/NAME.toml` holds the settings of `NAME.py`.  Unless that file
says `mode = "enforce"`, a refusal is only reported, and does not refuse the candidate.
"""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from statistics import NormalDist
from types import ModuleType
from typing import Any, Literal

import pandas as pd
import tomlkit

from mlops_ladder import project, ProjectError, raise_for_faults
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.registry.gate_checks import GateCheck
from mlops_ladder.settings import FOLDER, Settings
from mlops_ladder.strict_model import read_strict_model, StrictModel

FALSE_ALARMS = 0.05  # how often one check may refuse a faultless model


class CheckSettings(StrictModel):
    """The settings of every check: whether its refusal counts, or is only reported."""

    mode: Literal["report", "enforce"] = "report"

    def find_faults(self, contract: Contract) -> list[str]:
        """Return why the settings do not fit the contract."""
        return find_unknown_columns([], contract)


def find_unknown_columns(names: list[str], contract: Contract) -> list[str]:
    """Return a line for each of these columns that the contract lacks."""
    message = f"no such column; there are {', '.join(contract.columns)}"
    return [f"{name}: {message}" for name in names if name not in contract.columns]


def build_checks(contract: Contract) -> list[GateCheck]:
    """Return the checks with their settings.  Raise ProjectError that lists all wrong settings."""
    checks, faults = [], []
    for name, module in import_checks().items():
        try:
            settings = read_check_settings(name, module, contract)
        except ProjectError as error:
            faults.append(str(error))
            continue
        run = partial(module.check_candidate, settings=settings)
        checks.append(GateCheck(name, settings.mode == "enforce", run))
    raise_for_faults("", faults)
    return checks


def import_checks() -> dict[str, ModuleType]:
    """Return the modules of the checks by name, those of the library and of the project.

    Raises ProjectError if a check has settings and no function `check_candidate`.
    """
    here = project.get_project()
    folders = {__name__: {"behaviour", "slices"} | ({"fairness"} if here.people else set())}
    if find_spec(f"{here.package}.checks"):
        own = import_module(f"{here.package}.checks")
        folders[own.__name__] = {module.name for module in iter_modules(own.__path__)}
    modules: dict[str, ModuleType] = {}
    for package, names in folders.items():
        modules |= {name: import_module(f"{package}.{name}") for name in sorted(names)}
    without = [name for name, module in modules.items() if not hasattr(module, "check_candidate")]
    if lost := [name for name in without if (FOLDER / f"{name}.toml").exists()]:
        message = "has no function check_candidate(context, settings)"
        raise ProjectError(f"checks/{lost[0]}.py: {message}")
    return {name: module for name, module in modules.items() if name not in without}


def read_check_settings(name: str, module: ModuleType, contract: Contract) -> Any:
    """Return the settings of a check.  Raise ProjectError that names each wrong key."""
    path = FOLDER / f"{name}.toml"
    settings = read_strict_model(getattr(module, "Settings", CheckSettings), path)
    raise_for_faults("", [f"{path}: {fault}" for fault in settings.find_faults(contract)])
    return settings


def drop_unknown_columns(_settings: Settings, _frame: pd.DataFrame) -> dict[Path, str]:
    """Return the files of settings without columns that the new contract lacks.

    An implementation of `after_contract_change`.
    """
    contract, texts = read_contract(), {}
    for path in (FOLDER / f"{name}.toml" for name in import_checks()):
        if path.exists():
            file: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
            before = tomlkit.dumps(file)
            for key in list(file):
                keep_known_columns(file, key, contract)
            if tomlkit.dumps(file) != before:
                texts[path] = tomlkit.dumps(file)
    return texts


def keep_known_columns(file: Any, key: str, contract: Contract) -> None:
    """Delete unknown columns from a list of columns, or from tables with a key `column`."""
    value = file[key]
    if key in ("columns", "groups"):
        file[key] = [name for name in value if name in contract.columns]
    elif key == "edges":
        file[key] = {name: edges for name, edges in value.items() if name in contract.columns}
    elif isinstance(value, tomlkit.items.AoT):
        for place in reversed(range(len(value))):
            if value[place].get("column") not in contract.columns:
                del value[place]
        if not value:
            del file[key]


def compute_chance(room: float, error: float) -> float:
    """Return the probability, by a normal distribution, of a value at or below this room."""
    return NormalDist().cdf(room / error) if error else float(room >= 0)


def apply_holm(p_values: Sequence[float], alarms: float = FALSE_ALARMS) -> list[bool]:
    """Return which p-values are significant, however many there are: Holm's procedure.

    The share of checks that refuse a faultless model stays below `alarms`.
    Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    significant = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[place] > alarms / (len(p_values) - rank):
            break
        significant[place] = True
    return significant
