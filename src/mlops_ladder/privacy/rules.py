"""The rules of `governance/privacy.toml`: which columns and values may reach the model and the log.

Values that look personal are e-mail addresses, phone numbers and account numbers (IBAN).
"""

import re
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Annotated, Literal
from unicodedata import combining, normalize

import pandas as pd
import typer
from pydantic import Field

from mlops_ladder import ProjectError, raise_for_faults
from mlops_ladder.data.casting import make_violation
from mlops_ladder.data.contract import Column, Contract, read_contract, Violation
from mlops_ladder.privacy import erasure_log
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
from mlops_ladder.strict_model import read_strict_model, StrictModel

RULES = Path("governance/privacy.toml")
MAX_WORDS_JOINED = 4  # words of a name that are compared as one: "credit card number" has three
DataClass = Literal["public", "internal", "pseudonymous", "personal"]
CLASS_BY_ROLE: dict[str, DataClass] = {"personal": "personal", "id": "pseudonymous"}
WAY_OUT = 'give it role = "personal" or "ignored" in contract.toml'
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}")
# With a country code, or as in North America; digits alone are as often the number of an order
PHONE = re.compile(
    r"(?<![\w+])\+[1-9]\d{0,2}(?:[ ./()-]{0,2}\d){7,12}(?!\w)"
    r"|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\w.-])"
)
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")


class Banned(StrictModel):
    """Names of columns that reach neither model nor log: whole names, and words in a name."""

    names: list[str] = []
    words: list[str] = []

    def find_rule(self, name: str) -> str:
        """Return the first rule that a name breaks, or an empty text."""
        words = split_name(name)
        spans = product(range(len(words)), range(1, MAX_WORDS_JOINED + 1))
        joined = {"".join(words[first : first + count]) for first, count in spans}
        for rules, candidates in ((self.names, {"".join(words)}), (self.words, joined)):
            for rule in rules:
                pattern = normalize_name(rule).replace(" ", "")
                if any(fnmatchcase(candidate, pattern) for candidate in candidates):
                    return rule
        return ""


class Retention(StrictModel):
    """How many days the prediction log is kept."""

    log_days: float = Field(default=90, gt=0, le=36_500)


class Rules(StrictModel):
    """The content of `governance/privacy.toml`; `allowed` has a reason for each column."""

    banned: Banned = Banned()
    allowed: dict[str, str] = {}
    classes: dict[str, DataClass] = {}
    retention: Retention = Retention()

    def classify(self, name: str, column: Column) -> DataClass:
        """Return the class of a column: its own, else that of its role."""
        return self.classes.get(name) or CLASS_BY_ROLE.get(column.role, "internal")

    def find_faults(self, contract: Contract) -> list[str]:
        """Return a line for each rule that does not fit the contract, or that has no reason."""
        keys = [("allowed", name) for name in self.allowed]
        keys += [("classes", name) for name in self.classes]
        known = contract.columns
        unknown = f"no such column; there are {', '.join(known)}"
        faults = [f"{key}.{name}: {unknown}" for key, name in keys if name not in known]
        empty = [name for name, why in self.allowed.items() if not why.strip()]
        faults += [f"allowed.{name}: say why" for name in empty]
        for name in contract.names("personal"):
            if self.classes.get(name, "personal") != "personal":
                faults.append(f'classes.{name}: its role in contract.toml is "personal"')
        return faults

    def find_banned_columns(self, contract: Contract) -> Iterator[Violation]:
        """Yield a violation for each column that reaches the model or the log but must not."""
        for name in list_logged_columns(contract):
            column, rule = contract.columns[name], self.banned.find_rule(name)
            kind = self.classify(name, column)
            if kind == "personal" or (kind == "pseudonymous" and column.role != "id"):
                yield Violation(name, f"is {kind}, and its role is {column.role}; {WAY_OUT}")
            elif rule and name not in self.allowed and column.kind not in ("boolean", "number"):
                reason = f"{RULES} bans {rule!r}, and its role is {column.role}"
                yield Violation(name, f"{reason}; {WAY_OUT}, or say in [allowed] why it may")


def list_logged_columns(contract: Contract) -> list[str]:
    """Return the columns that the service accepts, and so logs: the inputs, and ids."""
    return contract.inputs() + contract.names("id")


def normalize_name(name: str) -> str:
    """Return a name in lower case, without accents."""
    letters = normalize("NFKD", normalize("NFC", name).replace("-", " "))
    return normalize("NFC", "".join(char for char in letters if not combining(char))).casefold()


def split_name(name: str) -> list[str]:
    """Return the words of a name: `eMail-Address2` has three."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", normalize_name(spaced))


def read_rules(contract: Contract) -> Rules:
    """Return the rules for these columns; without the file, rules that forbid nothing.

    Raise ProjectError that names each key that is wrong.
    """
    rules = read_strict_model(Rules, RULES)
    raise_for_faults("", [f"{RULES}: {fault}" for fault in rules.find_faults(contract)])
    return rules


def has_iban(text: str) -> bool:
    """Return whether a text holds an IBAN with right check digits (ISO 7064, modulo 97)."""
    numbers = (match.replace(" ", "") for match in IBAN.findall(text))
    digits = ("".join(str(int(sign, 36)) for sign in name[4:] + name[:4]) for name in numbers)
    return any(int(number) % 97 == 1 for number in digits)


PII_PATTERNS: dict[str, Callable[[str], object]] = {
    "an e-mail address": EMAIL.search,
    "a phone number": PHONE.search,
    "an IBAN": has_iban,
}


def find_personal_values(
    frame: pd.DataFrame, contract: Contract, allowed: Container[str]
) -> Iterator[Violation]:
    """Yield a violation for each column of words that is logged and looks personal.

    It names rows, and no value.

    Args:
        frame: The rows, as they are in the file.
        contract: Their contract.
        allowed: Columns that are not searched.
    """
    for name in list_logged_columns(contract):
        has_words = contract.columns[name].kind in ("category", "text")
        if has_words and name in frame.columns and name not in allowed:
            values = frame[name].astype("object").where(frame[name].notna(), "").astype("str")
            words = pd.Series(values.unique())
            for kind, is_personal in PII_PATTERNS.items():
                personal = words[[bool(is_personal(word)) for word in words]]
                if len(personal):
                    rule = f"hold {kind}; take it out, or see docs/privacy.md"
                    mask = values.isin(personal).to_numpy()
                    yield replace(make_violation(values.rename(name), mask, rule), example="")


def find_privacy_violations(frame: pd.DataFrame, contract: Contract) -> list[Violation]:
    """Return what keeps rows from being learned from: banned columns, and ids that were erased."""
    banned = read_rules(contract).find_banned_columns(contract)
    return [*banned, *erasure_log.find_erased_ids(frame, contract)]


def format_columns(contract: Contract, rules: Rules) -> str:
    """Return a line for each column: its role, its class, whether it reaches model and log."""
    inputs, logged = contract.inputs(), list_logged_columns(contract)
    width = max(map(len, contract.columns))
    lines = [f"{'column':{width}}  {'role':8}  {'class':12}  reaches"]
    for name, column in contract.columns.items():
        reach = "model, log" if name in inputs else "log, where sent" if name in logged else "-"
        lines.append(f"{name:{width}}  {column.role:8}  {rules.classify(name, column):12}  {reach}")
    return "\n".join(lines)


def main(
    check: Annotated[bool, typer.Option("--check", help="show only what is wrong")] = False,
) -> None:
    """Show the class of each column.  Raise ProjectError that lists all violations of the rules."""
    contract = read_contract()
    if not RULES.exists():
        raise ProjectError(f"{RULES}: not here; git checkout it: nothing says what is banned")
    rules = read_rules(contract)
    if not check:
        print(format_columns(contract, rules) + "\n")
    frame = read_data(load_settings())
    violations = find_privacy_violations(frame, contract)
    violations += find_personal_values(frame, contract, rules.allowed)
    raise_for_faults("against the rules of privacy", violations)
    count = len(erasure_log.read_erasures())
    summary = f"{len(contract.columns)} columns, {count} ids forgotten"
    print(f"{RULES}: {summary}; no banned column or value reaches model or log")
