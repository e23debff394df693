"""Requests and answers as types, made from the contract; what they refuse never gets further."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, NotRequired, Self
from zoneinfo import ZoneInfo

import orjson
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from typing_extensions import TypedDict

from ..contract import EPOCHS, ISO, Column, Contract

NOON = datetime(2024, 1, 1, 12)
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
# Of a row with 100,000 unknown fields pydantic makes as many errors: they are counted apart.
LOOSE = STRICT | ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})
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
Row = dict[str, Any]
Answer = dict[str, Any]


def record(name: str, fields: dict[str, Any], config: ConfigDict = STRICT) -> Any:
    """An object of exactly these fields, whatever their names; no value is turned into another."""
    made = TypedDict(name, fields)  # type: ignore[misc]  # fields known at run time only
    # Where pydantic looks for the settings of a TypedDict; mypy knows no attribute of one.
    made.__pydantic_config__ = config  # type: ignore[attr-defined]
    return made


def instant(column: Column, text: str) -> datetime:
    """The time on the column's clock.  Raises ValueError where it is not of the column's format."""
    form = column.format or ISO
    try:
        if form in EPOCHS:
            when = datetime.fromtimestamp(float(text) / EPOCHS[form], UTC)
        else:
            when = datetime.fromisoformat(text) if form == ISO else datetime.strptime(text, form)
        known = column.clock(when) if column.timezone else when
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"not a time of the format {form}") from error
    return column.clock(known)


def time(column: Column) -> Any:
    """Text that is a time of the column's format; to the model, a datetime."""
    form, zone = column.format or ISO, column.timezone
    shown: dict[str, Any] = {"type": "string", "examples": [moment(column)]}
    if form == ISO and zone:
        shown["format"] = "date-time"
    words = "a time" if form == ISO else f"a time of the format {form}"
    clock = f"without an offset it is of {zone}" if zone else "without an offset from UTC"
    shown["description"] = f"{words}; {clock}" if zone else f"{words} {clock}"
    return Annotated[str, AfterValidator(partial(instant, column)), WithJsonSchema(shown)]


def moment(column: Column) -> str:
    """A time of this column."""
    known = column.format in (None, ISO) and column.timezone
    return f"{NOON.isoformat()}Z" if known else spell(column, NOON)


def spell(column: Column, when: datetime) -> str:
    """A time of the column's clock as text in the column's format."""
    form, exact = column.format or ISO, when.replace(tzinfo=ZoneInfo(column.timezone or "UTC"))
    if form in EPOCHS:
        return str(round(exact.timestamp() * EPOCHS[form]))
    return when.isoformat() if form == ISO else exact.strftime(form)


@dataclass(frozen=True)
class Expected:
    """Ranges and words that rows are expected to hold; a missing value is always expected."""

    ranges: Sequence[Range] = ()
    known: Sequence[Known] = ()

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """What a contract expects of its inputs, and does not enforce."""
        free = [
            (n, contract.columns[n]) for n in contract.inputs() if not contract.columns[n].enforce
        ]
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


def whole(value: float) -> float:
    """The value.  ValueError where it is not whole, which pydantic's `multiple_of` says roughly."""
    if value % 1:
        raise ValueError("not a whole number")
    return value


def number(column: Column) -> Any:
    """A finite number, in the range that is enforced; 3.0 is an integer too, as JSON has it."""
    low, high = column.range if column.range and column.enforce else (None, None)
    shown: dict[str, Any] = {"type": "integer" if column.kind == "integer" else "number"}
    if column.range and column.enforce:
        shown |= {"minimum": low, "maximum": high}
    elif column.range:
        shown["description"] = f"expected: {column.range[0]} to {column.range[1]}"
    kind = Annotated[float, Field(ge=low, le=high), WithJsonSchema(shown)]
    return Annotated[kind, AfterValidator(whole)] if column.kind == "integer" else kind


def word(column: Column) -> Any:
    """Text, one of the categories that are enforced."""
    if not column.categories:
        return str
    if column.enforce:
        return Literal[tuple(column.categories)]
    return Annotated[str, Field(description=f"expected: {', '.join(column.categories)}")]


def identity(column: Column) -> Any:
    """Text; of a column of numbers also a whole number, which stays as it is."""
    if column.kind not in ("number", "integer"):
        return str
    bounds = Field(ge=-(2**63), lt=2**63)
    whole_number = Annotated[int, bounds] | Annotated[float, bounds, AfterValidator(whole)]
    shown = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    return str | Annotated[whole_number, WithJsonSchema(shown)]


def value(column: Column) -> Any:
    """The type of one value of a column."""
    if column.role == "id":
        kind: Any = identity(column)
    elif column.kind in ("number", "integer"):
        kind = number(column)
    elif column.kind == "time":
        kind = time(column)
    elif column.kind == "boolean":
        kind = bool
    else:
        kind = word(column)
    return kind | None if column.nullable else kind


def row(contract: Contract) -> Any:
    """One row: every input of the contract; an id may be given, and nothing else."""
    fields = {name: value(contract.columns[name]) for name in contract.inputs()}
    ids = {name: NotRequired[value(contract.columns[name])] for name in contract.names("id")}
    return record("Row", ids | fields, LOOSE)


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
        one, said = row(contract), prediction(contract, classes)
        lengths = Field(min_length=1, max_length=limit, fail_fast=True)
        many = Annotated[list[one], lengths]  # type: ignore[valid-type]
        known = {"model_version": str, "request_id": str}
        listed = {"predictions": list[record("Prediction", said)]}  # type: ignore[misc]
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
        return [
            (
                answer | {"probability": {SPELLED[k]: v for k, v in answer["probability"].items()}}
                if "probability" in answer
                else answer
            )
            for answer in answers
        ]


def given(body: bytes) -> list[tuple[tuple[int, ...], Any]]:
    """The rows of a body and their places in its list; none of what is no JSON."""
    try:
        rows = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    return (
        [((place,), row) for place, row in enumerate(rows)]
        if isinstance(rows, list)
        else [((), rows)]
    )


def example(contract: Contract) -> Row:
    """A row that the contract accepts."""
    made: Row = {}
    for name in contract.inputs():
        column = contract.columns[name]
        if column.kind in ("number", "integer"):
            made[name] = column.range[0] if column.range else 0
        elif column.kind == "boolean":
            made[name] = True
        elif column.kind == "time":
            made[name] = moment(column)
        else:
            made[name] = (column.categories or ["text"])[0]
    return made
