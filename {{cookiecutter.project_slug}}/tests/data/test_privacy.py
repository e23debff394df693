"""The rules of `governance/privacy.toml` hold for your columns and values."""

import pandas as pd
import pytest

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.privacy import erasure_log
from mlops_ladder.privacy.rules import (
    find_personal_values,
    find_privacy_violations,
    read_rules,
)


def test_no_column_or_value_is_against_the_rules(frame: pd.DataFrame, contract: Contract) -> None:
    """Nothing that is banned, or that looks personal, reaches the model or the log."""
    personal = find_personal_values(frame, contract, read_rules(contract).allowed)
    violations = [*find_privacy_violations(frame, contract), *personal]
    assert [str(violation) for violation in violations] == []


def test_a_banned_column_is_refused(contract: Contract) -> None:
    """An input with a banned name is named."""
    email = Column(kind="text", role="feature")
    known = contract.model_copy(update={"columns": contract.columns | {"email": email}})
    (violation,) = read_rules(contract).find_banned_columns(known)
    assert str(violation).startswith("email: ")


def test_a_value_that_looks_personal_is_found(frame: pd.DataFrame, contract: Contract) -> None:
    """An address in an input is found by its column, and not shown."""
    note = Column(kind="text", role="feature")
    known = contract.model_copy(update={"columns": contract.columns | {"note": note}})
    violations = find_personal_values(frame.assign(note="ada@example.com"), known, ())
    lines = [str(violation) for violation in violations if violation.column == "note"]
    assert lines and not any("ada@" in line for line in lines)


def test_whoever_was_forgotten_and_is_back_is_told(
    contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The column and the row are named, not the id."""
    entry = {"ids": {"who": erasure_log.make_mark(bytes(32), "who", "zoe")}}
    monkeypatch.setattr(erasure_log, "read_erasures", lambda: [entry])
    monkeypatch.setattr(erasure_log, "read_key", lambda: bytes(32))
    columns = {"who": Column(kind="text", role="id")}
    known = contract.model_copy(update={"columns": columns})
    frame = pd.DataFrame({"who": ["ada", "zoe"]})
    lines = [str(violation) for violation in erasure_log.find_erased_ids(frame, known)]
    assert len(lines) == 1 and "zoe" not in lines[0]
    assert lines[0].startswith("who: 1 of 2 rows hold an id that was forgotten")
