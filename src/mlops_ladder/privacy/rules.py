"""The rules of `governance/privacy.toml`: what each column is, and who may see it: model or log."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Literal
from unicodedata import combining, normalize

from pydantic import Field

from mlops_ladder import raise_for_faults
from mlops_ladder.data.contract import Breach, Column, Contract
from mlops_ladder.strict_model import read_strict_model, StrictModel

RULES = Path("governance/privacy.toml")
LONGEST = 4  # words of a name that are read as one: "credit card number" has three
Class = Literal["public", "internal", "pseudonymous", "personal"]
BY_ROLE: dict[str, Class] = {"personal": "personal", "id": "pseudonymous"}
WAY_OUT = 'give it role = "personal" or "ignored" in contract.toml'


class Banned(StrictModel):
    """Names of columns that reach neither model nor log: whole ones, and words in them."""

    names: list[str] = []
    words: list[str] = []

    def by(self, name: str) -> str:
        """The rule that a name breaks; empty where it breaks none."""
        words = split(name)
        spans = product(range(len(words)), range(1, LONGEST + 1))
        runs = {"".join(words[first : first + count]) for first, count in spans}
        for rules, found in ((self.names, {"".join(words)}), (self.words, runs)):
            for rule in rules:
                if any(fnmatchcase(it, plain(rule).replace(" ", "")) for it in found):
                    return rule
        return ""


class Retention(StrictModel):
    """How many days the prediction log is kept."""

    log_days: float = Field(default=90, gt=0, le=36_500)


class Rules(StrictModel):
    """What `governance/privacy.toml` says; `allowed` has a reason for each column."""

    banned: Banned = Banned()
    allowed: dict[str, str] = {}
    classes: dict[str, Class] = {}
    retention: Retention = Retention()

    def of(self, name: str, column: Column) -> Class:
        """What a column is."""
        return self.classes.get(name) or BY_ROLE.get(column.role, "internal")

    def faults(self, contract: Contract) -> list[str]:
        """Where the rules do not fit the contract, or give no reason, in words."""
        known = ", ".join(contract.columns)
        named = [("allowed", it) for it in self.allowed] + [("classes", it) for it in self.classes]
        lost = [f"{section}.{name}" for section, name in named if name not in contract.columns]
        found = [f"{key}: no such column; there are {known}" for key in lost]
        found += [f"allowed.{it}: say why" for it, why in self.allowed.items() if not why.strip()]
        personal = contract.names("personal")
        other = [it for it in personal if self.classes.get(it, "personal") != "personal"]
        return found + [f'classes.{it}: its role in contract.toml is "personal"' for it in other]

    def breaches(self, contract: Contract) -> Iterator[Breach]:
        """A breach for each column that reaches the model or the log and may not."""
        for name in reaching(contract):
            column, rule = contract.columns[name], self.banned.by(name)
            kind = self.of(name, column)
            if kind == "personal" or (kind == "pseudonymous" and column.role != "id"):
                yield Breach(name, f"is {kind}, and its role is {column.role}; {WAY_OUT}")
            elif rule and name not in self.allowed and column.kind not in ("boolean", "number"):
                told = f"{RULES} bans {rule!r}, and its role is {column.role}"
                yield Breach(name, f"{told}; {WAY_OUT}, or say in [allowed] why it may")


def reaching(contract: Contract) -> list[str]:
    """The columns that the service takes, and so logs: the inputs, and ids."""
    return contract.inputs() + contract.names("id")


def plain(name: str) -> str:
    """In lower case, without accents."""
    letters = normalize("NFKD", normalize("NFC", name).replace("-", " "))
    return normalize("NFC", "".join(it for it in letters if not combining(it))).casefold()


def split(name: str) -> list[str]:
    """The words of a name: `eMail-Address2` has three."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", plain(apart))


def read_rules(contract: Contract) -> Rules:
    """What `governance/privacy.toml` says of these columns; nothing where there is no such file.

    Raises ProjectError that names each key that is wrong.
    """
    rules = read_strict_model(Rules, RULES)
    raise_for_faults("", [f"{RULES}: {fault}" for fault in rules.faults(contract)])
    return rules
