"""The gate's further questions: each file of this folder that has a function `ask` is one.

So is each such file in the folder `checks` of the project's package.  `fairness` is asked where
predictions are about persons.  `config/NAME.toml` declares what `NAME.py` needs to know.
A question is new as long as nothing there says `mode = "enforce"`: its refusal is reported, and
keeps no model from becoming champion.
"""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Literal

import pandas as pd
import tomlkit

from mlops_ladder import project, ProjectError, raise_for_faults
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.registry.questions import Question
from mlops_ladder.settings import FOLDER, Settings
from mlops_ladder.strict_model import read_strict_model, StrictModel

FALSE_ALARMS = 0.05  # how often one question may refuse a model of which nothing is wrong


class Declared(StrictModel):
    """What every question can be told: does its refusal count, or is it only reported?"""

    mode: Literal["report", "enforce"] = "report"

    def faults(self, contract: Contract) -> list[str]:
        """Where what is declared does not fit the contract, in words."""
        return unknown([], contract)


def unknown(names: list[str], contract: Contract) -> list[str]:
    """The columns among these that the contract lacks, in words."""
    told = f"no such column; there are {', '.join(contract.columns)}"
    return [f"{name}: {told}" for name in names if name not in contract.columns]


def questions(contract: Contract) -> list[Question]:
    """The questions of this folder.  ProjectError that lists what is wrong with their files."""
    found, faults = [], []
    for name, module in modules().items():
        try:
            settings = declared(name, module, contract)
        except ProjectError as error:
            faults.append(str(error))
            continue
        ask = partial(module.ask, settings=settings)
        found.append(Question(name, settings.mode == "enforce", ask))
    raise_for_faults("", faults)
    return found


def modules() -> dict[str, ModuleType]:
    """The questions, by their names: each module has a function `ask`.

    Raises ProjectError where a question is declared and has none.
    """
    here = project.get_project()
    names = {"behaviour", "slices"} | ({"fairness"} if here.people else set())
    found = {name: import_module(f"{__name__}.{name}") for name in sorted(names)}
    if find_spec(f"{here.package}.checks"):
        own = import_module(f"{here.package}.checks")
        names = {it.name for it in iter_modules(own.__path__)}
        found |= {name: import_module(f"{own.__name__}.{name}") for name in sorted(names)}
    without = [name for name, module in found.items() if not hasattr(module, "ask")]
    if lost := [name for name in without if (FOLDER / f"{name}.toml").exists()]:
        raise ProjectError(f"checks/{lost[0]}.py: has no function ask(asked, settings)")
    return {name: module for name, module in found.items() if name not in without}


def declared(name: str, module: ModuleType, contract: Contract) -> Declared:
    """What a question is told by its file.  ProjectError that names each key that is wrong."""
    path = FOLDER / f"{name}.toml"
    settings: Declared = read_strict_model(getattr(module, "Settings", Declared), path)
    raise_for_faults("", [f"{path}: {fault}" for fault in settings.faults(contract)])
    return settings


def renew(_settings: Settings, _frame: pd.DataFrame) -> dict[Path, str]:
    """The files after `make contract`: without what names columns that the new contract lacks."""
    contract, texts = read_contract(), {}
    for path in (FOLDER / f"{name}.toml" for name in modules()):
        if path.exists():
            file: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
            before = tomlkit.dumps(file)
            for key in list(file):
                keep_known(file, key, contract)
            if tomlkit.dumps(file) != before:
                texts[path] = tomlkit.dumps(file)
    return texts


def keep_known(file: Any, key: str, contract: Contract) -> None:
    """Take out of a list of columns, or of tables about a column, those that are not known."""
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


def sure(chances: Sequence[float], alarms: float = FALSE_ALARMS) -> list[bool]:
    """Which of these p-values are no chance, however many there are: Holm's procedure.

    The share of questions that are wrong about a faultless model stays below `alarms`.
    Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    found = [False] * len(chances)
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda it: chances[it])):
        if chances[place] > alarms / (len(chances) - rank):
            break
        found[place] = True
    return found
