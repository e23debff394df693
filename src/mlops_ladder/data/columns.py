"""The columns of a row: their types in a request, and the tensors that they become for a graph."""

from collections.abc import Callable
from datetime import datetime, UTC
from functools import partial
from typing import Annotated, Any, Literal, NotRequired
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict

from mlops_ladder.data.contract import Column, Contract, EPOCHS, ISO, Kind

# The first and the last day that Python knows: the clock of another zone may have no such time.
ENDS_OF_CALENDAR = "^(0001-01-01|9999-12-31)"
NOON = datetime(2024, 1, 1, 12)
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
# Of a row with 100,000 unknown fields pydantic makes as many errors: they are counted apart.
LOOSE = STRICT | ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})
TENSOR_KINDS: dict[str, tuple[Kind, ...]] = {
    "numbers": ("number", "integer", "boolean"),
    "words": ("category", "text"),
    "times": ("time",),
}
MISSING_WORD = "nan"  # a missing word, as scikit-learn's converters say it
MISSING_TIME = -1
MINUTES_PER_DAY = 24 * 60  # minutes
Row = dict[str, Any]
Answer = dict[str, Any]
Reading = Callable[[list[Any]], list[Any]]


def make_record_type(name: str, fields: dict[str, Any], config: ConfigDict | None = None) -> Any:
    """An object of exactly these fields, whatever their names; no value is turned into another."""
    record = TypedDict(name, fields)  # type: ignore[misc]  # fields known at run time only
    # Where pydantic looks for the settings of a TypedDict; mypy knows no attribute of one.
    record.__pydantic_config__ = config or STRICT  # type: ignore[attr-defined]
    return record


def parse_time(column: Column, text: str) -> datetime:
    """The time on the column's clock.  Raises ValueError where it is not of the column's format."""
    form = column.format or ISO
    try:
        if form in EPOCHS:
            when = datetime.fromtimestamp(float(text) / EPOCHS[form], UTC)
        else:
            when = datetime.fromisoformat(text) if form == ISO else datetime.strptime(text, form)
        if column.timezone:
            return column.to_wall_clock(when)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"not a time of the format {form}") from error
    return column.to_wall_clock(when)


def time_type(column: Column) -> Any:
    """Text that is a time of the column's format; to the model, a datetime."""
    form, zone = column.format or ISO, column.timezone
    shown: dict[str, Any] = {"type": "string", "examples": [example_time(column)]}
    if form == ISO and zone:
        shown |= {"format": "date-time", "not": {"pattern": ENDS_OF_CALENDAR}}
    what = "a time" if form == ISO else f"a time of the format {form}"
    clock = f"without an offset it is of {zone}" if zone else "without an offset from UTC"
    shown["description"] = f"{what}; {clock}" if zone else f"{what} {clock}"
    return Annotated[str, AfterValidator(partial(parse_time, column)), WithJsonSchema(shown)]


def example_time(column: Column) -> str:
    """A time of this column."""
    is_iso = column.format in (None, ISO) and column.timezone
    return f"{NOON.isoformat()}Z" if is_iso else format_time(column, NOON)


def format_time(column: Column, when: datetime) -> str:
    """A time of the column's clock as text in the column's format."""
    form, exact = column.format or ISO, when.replace(tzinfo=ZoneInfo(column.timezone or "UTC"))
    if form in EPOCHS:
        return str(round(exact.timestamp() * EPOCHS[form]))
    return when.isoformat() if form == ISO else exact.strftime(form)


def require_whole(value: float) -> float:
    """The value.  ValueError where it is not whole, which pydantic's `multiple_of` says roughly."""
    if value % 1:
        raise ValueError("not a whole number")
    return value


def number_type(column: Column) -> Any:
    """A finite number, in the range that is enforced; 3.0 is an integer too, as JSON has it."""
    low, high = column.range if column.range and column.enforce else (None, None)
    shown: dict[str, Any] = {"type": "integer" if column.kind == "integer" else "number"}
    if column.range and column.enforce:
        shown |= {"minimum": low, "maximum": high}
    elif column.range:
        shown["description"] = f"expected: {column.range[0]} to {column.range[1]}"
    kind = Annotated[float, Field(ge=low, le=high), WithJsonSchema(shown)]
    return Annotated[kind, AfterValidator(require_whole)] if column.kind == "integer" else kind


def word_type(column: Column) -> Any:
    """Text, one of the categories that are enforced."""
    if not column.categories:
        return str
    if column.enforce:
        return Literal[tuple(column.categories)]
    return Annotated[str, Field(description=f"expected: {', '.join(column.categories)}")]


def id_type(column: Column) -> Any:
    """Text; of a column of numbers also a whole number, which stays as it is."""
    if column.kind not in ("number", "integer"):
        return str
    bounds = Field(ge=-(2**63), lt=2**63)
    whole_number = Annotated[int, bounds] | Annotated[float, bounds, AfterValidator(require_whole)]
    shown = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    return str | Annotated[whole_number, WithJsonSchema(shown)]


VALUE_TYPES: dict[Kind, Callable[[Column], Any]] = {"number": number_type, "integer": number_type}
VALUE_TYPES |= {
    "time": time_type,
    "boolean": lambda _: bool,
    "category": word_type,
    "text": word_type,
}


def value_type(column: Column) -> Any:
    """The type of one value of a column."""
    kind = (id_type if column.role == "id" else VALUE_TYPES[column.kind])(column)
    return kind | None if column.nullable else kind


def make_row_type(contract: Contract) -> Any:
    """One row: every input of the contract; an id may be given, and nothing else."""
    fields = {name: value_type(contract.columns[name]) for name in contract.inputs()}
    ids = {name: NotRequired[value_type(contract.columns[name])] for name in contract.names("id")}
    return make_record_type("Row", ids | fields, LOOSE)


def make_example_row(contract: Contract) -> Row:
    """A row that the contract accepts, its numbers in the middle of what it expects."""
    row: Row = {}
    for name in contract.inputs():
        column = contract.columns[name]
        if column.kind in ("number", "integer"):
            row[name] = (int if column.kind == "integer" else float)(np.mean(column.range or 0))
        elif column.kind == "boolean":
            row[name] = True
        elif column.kind == "time":
            row[name] = example_time(column)
        else:
            row[name] = (column.categories or ["text"])[0]
    return row


def input_builders(contract: Contract) -> dict[str, Callable[..., np.ndarray]]:
    """How rows become the tensors of a graph, (rows, columns) each, by its name.

    One for the columns of a kind: each tensor costs a microsecond.
    """
    columns = {name: contract.inputs(*kinds) for name, kinds in TENSOR_KINDS.items()}
    read: dict[str, Reading] = {"numbers": list, "words": encode_text, "times": encode_times}
    return {
        name: partial(build_tensor, names, read[name]) for name, names in columns.items() if names
    }


def build_tensor(names: list[str], read: Reading, rows: list[Row], dtype: type) -> np.ndarray:
    """What is read from these columns, (rows, columns); from one list: nested ones cost more."""
    values = read([row[name] for row in rows for name in names])
    return np.array(values, dtype).reshape(len(rows), -1)


def encode_text(values: list[Any]) -> list[str]:
    """Words without blanks around them, or what stands for a missing one."""
    return [MISSING_WORD if value is None else str(value).strip() for value in values]


def encode_times(values: list[datetime | None]) -> list[int]:
    """Minutes since Monday, 1 January of the year 1, on its clock; -1 where a time is missing."""
    return [MISSING_TIME if value is None else to_minute(value) for value in values]


def to_minute(when: datetime) -> int:
    """The minute of a time of its column's clock."""
    return (when.toordinal() - 1) * MINUTES_PER_DAY + when.hour * 60 + when.minute
