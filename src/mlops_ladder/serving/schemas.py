"""Requests and answers as types, made from the contract; what they refuse never gets further."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, Self

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from mlops_ladder.data.columns import example, record, Row, row_type
from mlops_ladder.data.contract import Contract

SHOWN = 20  # faults of a request
LONGEST = 100  # characters of the name of an unknown field
BRIEF: dict[str, Any] = {"include_url": False, "include_context": False, "include_input": False}
SPELLED = {"False": "false", "True": "true"}
# What may stand beside a prediction, where not the model alone has answered.
FLAGS: dict[str, Any] = {
    "fallback": NotRequired[Annotated[bool, Field(description="no model answered: a stand-in")]],
    "abstain": NotRequired[Annotated[bool, Field(description="training saw no such row")]],
    "outside": NotRequired[
        Annotated[
            list[str], Field(description="columns with a value that contract.toml does not expect")
        ]
    ],
}
Range = tuple[str, float, float]
Known = tuple[str, frozenset[Any]]
Answer = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """Ranges and words that rows are expected to hold; a missing value is always expected."""

    ranges: Sequence[Range] = ()
    known: Sequence[Known] = ()

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """What a contract expects of its inputs, and does not enforce."""
        columns = {name: contract.columns[name] for name in contract.inputs()}
        free = [(name, column) for name, column in columns.items() if not column.enforce]
        return cls(
            [(name, *column.range) for name, column in free if column.range],
            [(name, frozenset(column.categories)) for name, column in free if column.categories],
        )

    def outside(self, rows: Sequence[Row]) -> list[tuple[int, str]]:
        """The place of a row and the column, of each value that is not expected."""
        found = []
        for place, row in enumerate(rows):
            for name, low, high in self.ranges:
                if (value := row[name]) is not None and not low <= value <= high:
                    found.append((place, name))
            for name, known in self.known:
                if (value := row[name]) is not None and value not in known:
                    if not isinstance(value, str) or value.strip() not in known:
                        found.append((place, name))
        return found


def prediction(contract: Contract, classes: Sequence[Any]) -> dict[str, Any]:
    """The fields of what a model says of a row: a number, or a class and how probable each is."""
    kinds: dict[str, Any] = {"number": float, "integer": float, "boolean": bool}
    kind = kinds.get(contract.columns[contract.target].kind, str)
    if not classes:
        return {"prediction": kind} | FLAGS
    if not any(isinstance(label, float) for label in classes):
        kind = Literal[tuple(classes)]
    share = Annotated[float, Field(ge=0, le=1)]
    names = [SPELLED[str(label)] if isinstance(label, bool) else str(label) for label in classes]
    shares = record("Probability", dict.fromkeys(names, share))
    return {"prediction": kind, "probability": shares} | FLAGS


@dataclass(frozen=True)
class Types:
    """What may be asked of a model, and what it answers: of one row, and of many."""

    row: TypeAdapter[Row]
    rows: TypeAdapter[list[Row]]
    answer: TypeAdapter[Answer]
    answers: TypeAdapter[Answer]
    expected: Expected
    known: frozenset[str]
    truths: bool
    example: Row
    limit: int

    @classmethod
    def of(cls, contract: Contract, classes: Sequence[Any], limit: int) -> Self:
        """The types for this contract and these classes, none for a regression.

        At most `limit` rows are taken in a request.
        """
        # Types that are made while the program runs are no types to mypy.
        one, said = row_type(contract), prediction(contract, classes)
        lengths = Field(min_length=1, max_length=limit, fail_fast=True)
        many = Annotated[list[one], lengths]  # type: ignore[valid-type]  # as above
        known = {"model_version": str, "request_id": str}
        listed = {"predictions": list[record("Prediction", said)]}  # type: ignore[misc]  # as above
        return cls(
            TypeAdapter(one),
            TypeAdapter(many),
            TypeAdapter(record("Answer", said | known)),
            TypeAdapter(record("Answers", listed | known)),
            Expected.of(contract),
            frozenset(contract.inputs() + contract.names("id")),
            any(isinstance(label, bool) for label in classes),
            example(contract),
            limit,
        )

    def read(self, body: bytes) -> tuple[list[Row], bool]:
        """The rows of a JSON body, and whether it is a list of them.

        Raises pydantic's ValidationError where a field breaks the contract; `faults` names all.
        """
        many = body.lstrip()[:1] == b"["
        rows = self.rows.validate_json(body) if many else [self.row.validate_json(body)]
        if not all(row.keys() <= self.known for row in rows):
            raise ValidationError.from_exception_data("Row", [])
        return rows, many

    def faults(self, body: bytes, error: ValidationError) -> dict[str, Any]:
        """The first faults of a body that `read` refuses, in FastAPI's form, and how many `more`.

        However many there are, only those that are shown are kept.
        """
        first = error.errors(**BRIEF)
        long = any(fault["type"] == "too_long" for fault in first)
        found, count = list[Any](), 0
        for place, row in [] if long else given(body):
            faults, number = self.wrong(row)
            found += [fault | {"loc": ("body", *place, *fault["loc"])} for fault in faults]
            del found[SHOWN:]
            count += number
        if not found:  # of the body as a whole
            found = [fault | {"loc": ("body", *fault["loc"])} for fault in first[:SHOWN]]
        return {"detail": found} | ({"more": count - SHOWN} if count > SHOWN else {})

    def wrong(self, row: Any) -> tuple[list[Any], int]:
        """The first faults of a row, and how many it has."""
        faults = list[Any]()
        try:
            self.row.validate_python(row)
        except ValidationError as error:
            faults += error.errors(**BRIEF)
        names = [name for name in row if name not in self.known] if isinstance(row, dict) else []
        known = {"type": "extra_forbidden", "msg": "Extra inputs are not permitted"}
        shown = [known | {"loc": (name[:LONGEST],)} for name in names[:SHOWN]]
        return faults + shown, len(faults) + len(names)

    def spelled(self, answers: list[Answer]) -> list[Answer]:
        """The answers as JSON spells them: the keys of probabilities as the prediction."""
        if not self.truths:
            return answers
        for answer in (shown := [answer.copy() for answer in answers]):
            if shares := answer.get("probability"):
                answer["probability"] = {SPELLED[name]: share for name, share in shares.items()}
        return shown


def given(body: bytes) -> list[tuple[tuple[int, ...], Any]]:
    """The rows of a body and their places in its list; none of what is no JSON."""
    try:
        rows = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    if isinstance(rows, list):
        return [((place,), row) for place, row in enumerate(rows)]
    return [((), rows)]
