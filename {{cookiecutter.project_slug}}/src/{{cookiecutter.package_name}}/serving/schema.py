"""Requests and answers as types, made from the contract; what they refuse never gets further."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, NotRequired, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from typing_extensions import TypedDict

from ..contract import EPOCHS, ISO, Column, Contract

NOON = datetime(2024, 1, 1, 12)
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
# What may stand beside a prediction, where not the model alone has answered.
FLAGS: dict[str, Any] = {
    "fallback": NotRequired[Annotated[bool, Field(description="no model answered: a stand-in")]],
    "abstain": NotRequired[Annotated[bool, Field(description="training saw no such row")]],
}
Row = dict[str, Any]
Answer = dict[str, Any]


def record(name: str, fields: dict[str, Any]) -> Any:
    """An object of exactly these fields, whatever their names; no value is turned into another."""
    made = TypedDict(name, fields)  # type: ignore[misc]  # fields known at run time only
    # Where pydantic looks for the settings of a TypedDict; mypy knows no attribute of one.
    made.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
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


def number(column: Column) -> Any:
    """A finite number in the column's range; 3.0 is an integer too, as JSON has it."""
    low, high = column.range or (None, None)
    if column.kind == "number":
        return Annotated[float, Field(ge=low, le=high)]
    bounds = {"minimum": low, "maximum": high} if column.range else {}
    shown = WithJsonSchema({"type": "integer"} | bounds)
    return Annotated[float, Field(ge=low, le=high, multiple_of=1), shown]


def identity(column: Column) -> Any:
    """Text; of a column of numbers also a whole number, which stays as it is."""
    if column.kind not in ("number", "integer"):
        return str
    bounds = Field(ge=-(2**63), lt=2**63, multiple_of=1)
    whole = Annotated[int, bounds] | Annotated[float, bounds]
    shown = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    return str | Annotated[whole, WithJsonSchema(shown)]


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
        kind = Literal[tuple(column.categories)] if column.categories else str
    return kind | None if column.nullable else kind


def row(contract: Contract) -> Any:
    """One row: every input of the contract; an id may be given, and nothing else."""
    fields = {name: value(contract.columns[name]) for name in contract.inputs()}
    ids = {name: NotRequired[value(contract.columns[name])] for name in contract.names("id")}
    return record("Row", ids | fields)


def prediction(contract: Contract, classes: Sequence[Any]) -> dict[str, Any]:
    """The fields of what a model says of a row: a number, or a class and how probable each is."""
    kinds: dict[str, Any] = {"number": float, "integer": float, "boolean": bool}
    kind = kinds.get(contract.columns[contract.target].kind, str)
    if not classes:
        return {"prediction": kind} | FLAGS
    if not any(isinstance(label, float) for label in classes):
        kind = Literal[tuple(classes)]
    share = Annotated[float, Field(ge=0, le=1)]
    shares = record("Probability", {str(label): share for label in classes})
    return {"prediction": kind, "probability": shares} | FLAGS


@dataclass(frozen=True)
class Types:
    """What may be asked of a model, and what it answers: of one row, and of many."""

    row: TypeAdapter[Row]
    rows: TypeAdapter[list[Row]]
    answer: TypeAdapter[Answer]
    answers: TypeAdapter[Answer]
    example: Row
    limit: int

    @classmethod
    def of(cls, contract: Contract, classes: Sequence[Any], limit: int) -> Self:
        """The types for this contract and these classes, none for a regression.

        At most `limit` rows are taken in a request.
        """
        # Types that are made while the program runs are no types to mypy.
        one, said = row(contract), prediction(contract, classes)
        many = Annotated[list[one], Field(min_length=1, max_length=limit)]  # type: ignore[valid-type]
        known = {"model_version": str, "request_id": str}
        listed = {"predictions": list[record("Prediction", said)]}  # type: ignore[misc]
        return cls(
            TypeAdapter(one),
            TypeAdapter(many),
            TypeAdapter(record("Answer", said | known)),
            TypeAdapter(record("Answers", listed | known)),
            example(contract),
            limit,
        )

    def read(self, body: bytes) -> tuple[list[Row], bool]:
        """The rows of a JSON body, and whether it is a list of them.

        Raises pydantic's ValidationError that names every field that breaks the contract.
        """
        if body.lstrip()[:1] == b"[":
            return self.rows.validate_json(body), True
        return [self.row.validate_json(body)], False


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
