"""The rules of `governance/privacy.toml` hold for your columns and values."""

import pandas as pd

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.privacy.command import breaches
from mlops_ladder.privacy.erasure_log import back, mark
from mlops_ladder.privacy.pii_patterns import personal
from mlops_ladder.privacy.rules import read_rules


def test_no_column_or_value_is_against_the_rules(frame: pd.DataFrame, contract: Contract) -> None:
    """Nothing that is banned, or that looks personal, reaches the model or the log."""
    rules = read_rules(contract)
    found = [*rules.breaches(contract), *breaches(frame, contract, rules)]
    assert [str(breach) for breach in found] == []


def test_a_banned_column_is_refused(contract: Contract) -> None:
    """An input with a banned name is named."""
    email = Column(kind="text", role="feature")
    known = contract.model_copy(update={"columns": contract.columns | {"email": email}})
    (told,) = read_rules(contract).breaches(known)
    assert str(told).startswith("email: ")


def test_a_value_that_looks_personal_is_found(frame: pd.DataFrame, contract: Contract) -> None:
    """An address in an input is found by its column, and not shown."""
    note = Column(kind="text", role="feature")
    known = contract.model_copy(update={"columns": contract.columns | {"note": note}})
    told = [str(it) for it in personal(frame.assign(note="ada@example.com"), known, ())]
    assert [line for line in told if line.startswith("note: ") and "ada@" not in line]


def test_whoever_was_forgotten_and_is_back_is_told() -> None:
    """The column and the row are named, not the id."""
    frame, columns = pd.DataFrame({"who": ["ada", "zoe"]}), {"who": Column(kind="text", role="id")}
    entry = {"ids": {"who": mark(bytes(32), "who", "zoe")}}
    (told,) = map(str, back(frame, columns, bytes(32), [entry]))
    assert told.startswith("who: 1 of 2 rows hold an id that was forgotten") and "zoe" not in told
