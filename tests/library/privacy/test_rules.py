"""Privacy: banned columns and personal values are named, and no value is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.model import training
from mlops_ladder.privacy import rules as privacy_rules
from mlops_ladder.privacy.rules import Banned, find_personal_values, read_rules, Rules
from mlops_ladder.settings import Settings

BANNED = Banned(
    names=["name", "*email", "*姓名*"], words=["first name", "ssn", "prenom", "passport*"]
)


def columned(**columns: Any) -> Contract:
    """A contract of these columns, text and a feature unless said, and a target."""
    known = {
        name: Column(**{"kind": "text", "role": "feature"} | it) for name, it in columns.items()
    }
    return Contract(columns=known | {"answer": Column(kind="number", role="target")})


def broken(rules: Rules, **columns: Any) -> list[str]:
    """The breaches of these columns, in words."""
    return list(map(str, rules.find_banned_columns(columned(**columns))))


def test_the_configured_columns_and_data_keep_to_the_rules(command: Callable[..., int]) -> None:
    """What `make check` asks of this project."""
    assert command("privacy", "--check") == 0


@pytest.mark.parametrize(
    "name",
    [
        "name",
        "Name ",
        "E-Mail",
        "customerEmail",
        "FIRST_NAME",
        "first-name 2",
        "Prénom",
        "SSN",
        "顧客姓名",
    ]
    + ["Passport_No", "ssn of the owner"],
)
def test_a_banned_column_is_refused(name: str) -> None:
    """However it is written; the error names column, rule and way out."""
    (told,) = broken(Rules(banned=BANNED), **{name: {}})
    assert told.startswith(f"{name}: governance/privacy.toml bans '")
    assert 'role = "personal"' in told and "[allowed]" in told


@pytest.mark.parametrize("name", ["product name", "filename", "emails sent", "business number", ""])
def test_a_name_that_only_looks_like_it_is_fine(name: str) -> None:
    """A rule is about a whole name, or about whole words."""
    assert not broken(Rules(banned=BANNED), **{name: {}})


def test_what_does_not_reach_the_model_may_have_any_name() -> None:
    """Nor is a truth meant, or a number that need not be whole; an id that may be sent is."""
    rules = Rules(banned=BANNED)
    for role in ("personal", "ignored", "group"):
        assert not broken(rules, email={"role": role})
    assert not broken(rules, email={"kind": "boolean"}, ssn={"kind": "number"})
    assert len(broken(rules, email={"role": "id"}, ssn={"kind": "integer"})) == 2


def test_a_reason_allows_a_column() -> None:
    """An empty one does not, and a class is not outdone by it."""
    allowed = Rules(banned=BANNED, allowed={"email": "a yes or a no"})
    assert not broken(allowed, email={}) and allowed.find_faults(columned(email={})) == []
    empty = Rules(allowed={"email": " "})
    assert empty.find_faults(columned(email={})) == ["allowed.email: say why"]
    personal = allowed.model_copy(update={"classes": {"email": "personal"}})
    assert "is personal, and its role is feature" in broken(personal, email={})[0]


@pytest.mark.parametrize("kind", ["personal", "pseudonymous"])
def test_what_is_classed_personal_or_pseudonymous_is_no_feature(kind: Any) -> None:
    """Whatever it is called; a column has the class of its role unless another one is set."""
    rules = Rules(classes={"since": kind})
    assert f"since: is {kind}, and its role is feature" in broken(rules, since={}, other={})[0]
    classes = [rules.classify(name, Column(kind="text", role=role)) for name, role in ROLES]
    assert classes == ["personal", "pseudonymous", "internal", kind]


ROLES: list[Any] = [("a", "personal"), ("b", "id"), ("c", "feature"), ("since", "feature")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[banned", "not valid TOML"),
        ("[baned]\n", "governance/privacy.toml: baned = {}"),
        ("[retention]\nlog_days = 0\n", "retention.log_days = 0"),
        ('[classes]\nzip = "personal"\n', "classes.zip: no such column; there are who, answer"),
        ('[classes]\nwho = "public"\n', 'classes.who: its role in contract.toml is "personal"'),
        ('[allowed]\nzip = "why"\n', "allowed.zip: no such column"),
    ],
)
def test_rules_that_cannot_hold_are_named(folder: Path, text: str, told: str) -> None:
    """A key or a column that is not known, or a class that is not that of the role."""
    (folder / "governance").mkdir()
    (folder / "governance/privacy.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError) as found:
        read_rules(columned(who={"role": "personal"}))
    assert told in str(found.value)


def test_nothing_is_learned_from_a_banned_column(
    frame: pd.DataFrame, contract: Contract, settings: Settings, folder: Path
) -> None:
    """`make train` and the pipeline refuse it by its name."""
    name = contract.inputs()[0]
    rules = f"[classes]\n{name!r} = 'personal'\n"
    (folder / "governance").mkdir()
    (folder / "governance/privacy.toml").write_text(rules, encoding="utf-8")
    with pytest.raises(ProjectError, match="is personal, and its role is"):
        training.prepare_training_rows(
            frame, contract, settings, [privacy_rules.find_privacy_violations]
        )


PERSONAL = {
    "an e-mail address": ["ada@example.com", "write to ada.l+x@mail.example.org!", "ü@exämple.de"],
    "a phone number": [
        "+49 30 1234567",
        "call +1 (212) 555-0100",
        "212-555-0100",
        "(212) 555-0100",
    ],
    "an IBAN": ["DE89 3704 0044 0532 0130 00", "to GB82WEST12345698765432."],
}


@pytest.mark.parametrize("what", PERSONAL)
def test_a_value_that_looks_personal_is_found(what: str) -> None:
    """By column and row, and not shown."""
    for value in PERSONAL[what]:
        frame = pd.DataFrame({"größe": ["a", value, None, value], "answer": 1.0})
        (found,) = find_personal_values(frame, columned(**{"größe": {}}), ())
        assert str(found).startswith(f"größe: 2 of 4 rows hold {what}")
        assert "rows 2, 4" in str(found) and value not in str(found)
        assert not list(find_personal_values(frame, columned(**{"größe": {}}), ("größe",)))
        assert not list(
            find_personal_values(frame, columned(**{"größe": {"role": "personal"}}), ())
        )


@pytest.mark.parametrize(
    "value",
    ["a@b", "@home", "2013-01-01-0600-LGA-B6371", "0012345678", "+01:00", "192.168.100.1000", "1.5"]
    + ["DE89 3704 0044 0532 0130 01", "2024-01-01T12:00:00+00:00", "12-3456-7890", "v1.234.567"],
)
def test_an_ordinary_value_is_none(value: str) -> None:
    """Times, versions, numbers of orders, and accounts whose check digits are wrong."""
    assert not list(find_personal_values(pd.DataFrame({"x": [value]}), columned(x={}), ()))


def test_the_table_says_what_each_column_reaches() -> None:
    """Inputs reach model and log, an id the log, all else nothing."""
    known = columned(a={}, b={"role": "id"}, c={"role": "personal"})
    lines = [line.split() for line in privacy_rules.format_columns(known, Rules()).splitlines()]
    assert [line[1:] for line in lines[1:4]] == [
        ["feature", "internal", "model,", "log"],
        ["id", "pseudonymous", "log,", "where", "sent"],
        ["personal", "personal", "-"],
    ]
