"""The types of requests: what the contract promises is taken, and all else is refused by name."""

import json
from typing import Any

import pandas as pd
import pytest
from library.serving.published import CLASSES, MOST
from pydantic import ValidationError

from mlops_ladder.data.casting import cast_times
from mlops_ladder.data.columns import Row, format_time
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.serving.schemas import Types

TARGET = Column(kind="boolean", role="target")


@pytest.fixture(name="types")
def _types(contract: Contract) -> Types:
    return Types.from_contract(contract, CLASSES, MOST)


def refused(types: Types, body: Any) -> list[tuple[int | str, ...]]:
    """Where a body is refused."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ValidationError) as told:
        types.parse_rows(content)
    return [fault["loc"][1:] for fault in types.list_violations(content, told.value)["detail"]]


def one(name: str, column: Column) -> Types:
    """The types of a contract with this one input."""
    return Types.from_contract(Contract(columns={name: column, "y": TARGET}), [False, True], MOST)


def enforced(**promises: Any) -> Column:
    """A feature of which a person says that its range or categories are no guess."""
    return Column(role="feature", enforce=True, **promises)


def test_what_is_not_expected_is_named_by_row_and_column() -> None:
    """A value outside a range or the categories, unless it is missing; none that is enforced."""
    columns = {
        "n": Column(kind="number", role="feature", range=(0, 1), nullable=True),
        "c": Column(kind="category", role="feature", categories=["a", "b"], nullable=True),
        "e": enforced(kind="number", range=(0, 1)),
        "y": TARGET,
    }
    expected = Types.from_contract(Contract(columns=columns), [False, True], MOST).expected
    rows: list[dict[str, Any]] = [
        {"n": 1, "c": " a ", "e": 9},
        {"n": 1.1, "c": "c", "e": 0},
        {"n": None, "c": None, "e": 0},
    ]
    assert expected.find_outside(rows) == [(1, "n"), (1, "c")]


def test_the_example_is_taken(types: Types) -> None:
    """The row that OpenAPI shows is one that the service takes, alone and in a list."""
    row = json.dumps(types.example).encode()
    assert types.parse_rows(row)[1] is False
    rows, many = types.parse_rows(b"\n [" + row + b"," + row + b"]")
    assert many and len(rows) == 2 and rows[0].keys() == types.example.keys()


def test_every_input_is_asked_for_and_named(types: Types, contract: Contract) -> None:
    """A row without any input is refused with the name of each of them."""
    assert refused(types, {}) == [(name,) for name in contract.inputs()]


def test_a_value_of_no_kind_is_refused_by_name(types: Types, contract: Contract) -> None:
    """A list in place of a value is refused for each column, in a list with the row's number."""
    for name in contract.inputs():
        row = types.example | {name: []}
        assert {place[0] for place in refused(types, row)} == {name}
        assert {place[:2] for place in refused(types, [types.example, row])} == {(1, name)}


def test_null_is_taken_where_the_contract_says_so(types: Types, contract: Contract) -> None:
    """A missing value is taken in a nullable column, and refused by name in every other one."""
    for name in contract.inputs():
        row: Row = types.example | {name: None}
        if contract.columns[name].nullable:
            assert types.parse_rows(json.dumps(row).encode())[0][0][name] is None
        else:
            assert {place[0] for place in refused(types, row)} == {name}


def test_what_is_no_input_is_refused_by_name(types: Types, contract: Contract) -> None:
    """Target, personal, ignored, group and unknown columns do not get into the service."""
    for name in ["no such column", *contract.names("target", "personal", "ignored", "group")]:
        assert refused(types, types.example | {name: "x"}) == [(name,)]


def test_every_row_that_is_refused_is_named_and_the_faults_are_bounded(
    types: Types, contract: Contract
) -> None:
    """Wrong values and unknown names of each row, 20 at most, with the number of the others."""
    name, row = contract.inputs()[0], types.example
    wrong = [row, row | {name: [], "x": 1}, row | {"y": 1}]
    assert refused(types, wrong) == [(1, name), (1, "x"), (2, "y")]
    for many in (
        row | {f"x{place}": 1 for place in range(25)},
        [row | dict.fromkeys("abcdefg")] * 4,
    ):
        content = json.dumps(many).encode()
        with pytest.raises(ValidationError) as told:
            types.parse_rows(content)
        found = types.list_violations(content, told.value)
        assert (len(found["detail"]), found["more"]) == (20, 5 if isinstance(many, dict) else 8)
    assert refused(types, row | {"x" * 1000: 1}) == [("x" * 100,)]


def test_an_id_may_be_given(contract: Contract) -> None:
    """An id is not asked for, and taken: as text, or as the whole number that the column holds."""
    columns = contract.columns | {"the id": Column(kind="integer", role="id")}
    types = Types.from_contract(Contract(columns=columns), CLASSES, MOST)
    for given in ("a1", 7, 7.0, 2**60 + 1):
        rows, _ = types.parse_rows(json.dumps(types.example | {"the id": given}).encode())
        assert rows[0]["the id"] == given
    assert refused(types, types.example | {"the id": 2**63})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"null", b'"text"', b'{"x": NaN}'])
def test_what_is_no_row_is_refused(types: Types, body: bytes) -> None:
    """Invalid JSON, an empty list and anything but an object or a list are refused."""
    assert refused(types, body)


def test_more_rows_than_the_limit_are_refused(types: Types) -> None:
    """Six rows are one too many where five are taken."""
    assert refused(types, [types.example] * (MOST + 1)) == [()]
    types.parse_rows(json.dumps([types.example] * MOST).encode())


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (enforced(kind="number", range=(0, 1)), ["0", "1.0", "0.5"], ["-0.1", "2"]),
        (Column(kind="number", role="feature", range=(0, 1)), ["-0.1", "2"], ["NaN", "true"]),
        (Column(kind="number", role="feature"), ["1e300", "-3"], ["NaN", "Infinity", "1e999"]),
        (Column(kind="number", role="feature"), ["0"], ['"1"', "true", "null"]),
        (enforced(kind="integer", range=(1, 9)), ["3", "3.0"], ["3.5", "10", '"3"']),
        (Column(kind="integer", role="feature", range=(1, 9)), ["3.0", "10"], ["3.5", "1e-9"]),
        (Column(kind="boolean", role="feature"), ["true"], ["1", '"true"', "null"]),
        (enforced(kind="category", categories=["a", "é"]), ['"é"'], ['"b"', "1"]),
        (Column(kind="category", role="feature", categories=["a", "é"]), ['"b"'], ["1", "null"]),
        (Column(kind="text", role="feature"), ['""', '"ü\\u0000"'], ["1", '"\\ud800"']),
        (Column(kind="time", role="time", timezone="UTC"), ['"2024-02-29T23:59:00+02:00"'], ["0"]),
        (Column(kind="time", role="time"), ['"2024-02-29T23:59"'], ['"2024-02-29T23:59Z"', "0"]),
        (Column(kind="time", role="time", timezone="UTC"), [], ['"0001-01-01T00:00:00+23:59"']),
        (Column(kind="time", role="time"), ['"2024-02-29"'], ['"2023-02-29"']),
        (Column(kind="time", role="time", format="%d.%m.%Y"), ['"29.02.2024"'], ['"2024-02-29"']),
        (Column(kind="text", role="feature", nullable=True), ["null", '"x"'], ["[]"]),
    ],
)
def test_values_are_taken_and_refused_as_the_column_says(
    column: Column, good: list[str], bad: list[str]
) -> None:
    """Kind, format, and what is enforced decide; no value is turned into another."""
    name = "Größe (cm)"
    types = one(name, column)
    for text in good:
        types.parse_rows(json.dumps({name: "?"}).replace('"?"', text).encode())
    for text in bad:
        assert refused(types, json.dumps({name: "?"}).replace('"?"', text).encode()) is not None


CLOCK = {
    "2024-03-30T07:30:00Z": "2024-03-30T08:30:00",
    "2024-03-30T09:30:00+02:00": "2024-03-30T08:30:00",
    "2024-03-31T06:30:00Z": "2024-03-31T08:30:00",  # summer time has begun
    "2024-03-31T08:30:00": "2024-03-31T08:30:00",
    "2024-03-31T02:30:00": "2024-03-31T03:30:00",  # the clock skips this hour
    "2024-10-27T00:30:00Z": "2024-10-27T02:30:00",  # the clock shows this hour twice
    "2024-10-27T01:30:00Z": "2024-10-27T02:30:00",
    "2024-10-27T02:30:00": "2024-10-27T02:30:00",
    "9999-12-31T23:59:59": "9999-12-31T23:59:59",  # some write this for "never"
}


@pytest.mark.parametrize("text", CLOCK)
def test_a_time_is_what_the_clock_of_its_column_shows(text: str) -> None:
    """The service and a file read the same text as the same time, on both days of a change."""
    column = Column(kind="time", role="time", timezone="Europe/Berlin")
    rows, _ = one("at", column).parse_rows(json.dumps({"at": text}).encode())
    known = cast_times(pd.Series([text, None]), column)
    assert rows[0]["at"].isoformat() == CLOCK[text] == known[0].isoformat()
    assert known.dtype == "datetime64[us]" and known[1:].isna().all()


def test_a_time_that_no_clock_shows_is_refused_and_the_others_are_read() -> None:
    """In Berlin it is the year 10,000 by then."""
    column, texts = Column(kind="time", role="time", timezone="Europe/Berlin"), [*CLOCK]
    assert refused(one("at", column), b'{"at": "9999-12-31T23:59:59Z"}') is not None
    known = cast_times(pd.Series(["9999-12-31T23:59:59Z", *texts]), column)
    assert known.isna().tolist() == [True, *[False] * len(texts)]


def test_a_time_with_an_offset_needs_a_clock() -> None:
    """Without a timezone in the contract, the service and a file refuse it; nothing is guessed."""
    column, text = Column(kind="time", role="time"), "2024-03-30T07:30:00Z"
    with pytest.raises(ValidationError, match="contract.toml sets no timezone for its column"):
        one("at", column).parse_rows(json.dumps({"at": text}).encode())
    assert cast_times(pd.Series([text, text[:-1]]), column).isna().tolist() == [True, False]


@pytest.mark.parametrize(
    "form, text", [("epoch seconds", "1711783800"), ("%Y%m%d %H %z", "20240330 00 +0000")]
)
def test_every_format_is_read_alike_by_the_service_and_from_a_file(form: str, text: str) -> None:
    """What is written by a format is read again as the same time."""
    column = Column(kind="time", role="time", format=form, timezone="Asia/Tokyo")
    rows, _ = one("at", column).parse_rows(json.dumps({"at": text}).encode())
    known = cast_times(pd.Series([text]), column)[0]
    assert rows[0]["at"] == known and known.hour in (9, 16)
    assert cast_times(pd.Series([format_time(column, known)]), column)[0] == known


def test_a_zone_that_is_none_is_refused() -> None:
    """The contract names the value and the way out."""
    with pytest.raises(ValueError, match="no time zone; write one such as Europe/Berlin or UTC"):
        Column(kind="time", role="time", timezone="CEST+1")
