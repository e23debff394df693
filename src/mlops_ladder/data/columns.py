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

# 2 to 9998: at the ends of Python's calendar the clock of another zone may have no such time.
YEARS = r"^(000[2-9]|00[1-9]\d|0[1-9]\d\d|[1-8]\d{3}|9[0-8]\d\d|99[0-8]\d|999[0-8])-"
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
    """Return a type with exactly these fields, of any names; no value is converted."""
    record = TypedDict(name, fields)  # type: ignore[misc]  # fields known at run time only
    # Where pydantic looks for the settings of a TypedDict; mypy knows no attribute of one.
    record.__pydantic_config__ = config or STRICT  # type: ignore[attr-defined]
    return record


def parse_time(column: Column, text: str) -> datetime:
    """Return the time on the column's clock.  Raise ValueError if its format is another."""
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
    """Return the type of text that is a time of the column's format; the model gets a datetime."""
    form, zone = column.format or ISO, column.timezone
    shown: dict[str, Any] = {"type": "string", "examples": [example_time(column)]}
    if form == ISO and zone:
        shown |= {"format": "date-time", "pattern": YEARS}
    what = "a time" if form == ISO else f"a time of the format {form}"
    clock = f"without an offset it is of {zone}" if zone else "without an offset from UTC"
    shown["description"] = f"{what}; {clock}" if zone else f"{what} {clock}"
    return Annotated[str, AfterValidator(partial(parse_time, column)), WithJsonSchema(shown)]


def example_time(column: Column) -> str:
    """Return a time of this column as text."""
    is_iso = column.format in (None, ISO) and column.timezone
    return f"{NOON.isoformat()}Z" if is_iso else format_time(column, NOON)


def format_time(column: Column, when: datetime) -> str:
    """Return a time of the column's clock as text in the column's format."""
    form, exact = column.format or ISO, when.replace(tzinfo=ZoneInfo(column.timezone or "UTC"))
    if form in EPOCHS:
        return str(round(exact.timestamp() * EPOCHS[form]))
    return when.isoformat() if form == ISO else exact.strftime(form)


def require_whole(value: float) -> float:
    """Return the value.  Raise ValueError unless it is whole; `multiple_of` is less clear."""
    if value % 1:
        raise ValueError("not a whole number")
    return value


def number_type(column: Column) -> Any:
    """Return the type of a finite number in the enforced range; 3.0 is also an integer."""
    low, high = column.range if column.range and column.enforce else (None, None)
    shown: dict[str, Any] = {"type": "integer" if column.kind == "integer" else "number"}
    if column.range and column.enforce:
        shown |= {"minimum": low, "maximum": high}
    elif column.range:
        shown["description"] = f"expected: {column.range[0]} to {column.range[1]}"
    kind = Annotated[float, Field(ge=low, le=high), WithJsonSchema(shown)]
    return Annotated[kind, AfterValidator(require_whole)] if column.kind == "integer" else kind


def word_type(column: Column) -> Any:
    """Return the type of text; only the categories, if they are enforced."""
    if not column.categories:
        return str
    if column.enforce:
        return Literal[tuple(column.categories)]
    return Annotated[str, Field(description=f"expected: {', '.join(column.categories)}")]


def id_type(column: Column) -> Any:
    """Return the type of an id: text; in a column of numbers also a whole number."""
    if column.kind not in ("number", "integer"):
        return str
    bounds = Field(ge=-(2**63), lt=2**63)
    whole_number = Annotated[int, bounds] | Annotated[float, bounds, AfterValidator(require_whole)]
    shown = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    return str | Annotated[whole_number, WithJsonSchema(shown)]


VALUE_TYPES: dict[Kind, Callable[[Column], Any]] = {"number": number_type, "integer": number_type}
VALUE_TYPES |= {"time": time_type, "boolean": lambda _: bool}


def value_type(column: Column) -> Any:
    """Return the type of one value of a column."""
    kind = (id_type if column.role == "id" else VALUE_TYPES.get(column.kind, word_type))(column)
    return kind | None if column.nullable else kind


def make_row_type(contract: Contract) -> Any:
    """Return the type of a row: every input of the contract, optional ids, and nothing else."""
    fields = {name: value_type(contract.columns[name]) for name in contract.inputs()}
    ids = {name: NotRequired[value_type(contract.columns[name])] for name in contract.names("id")}
    return make_record_type("Row", ids | fields, LOOSE)


def make_example_row(contract: Contract) -> Row:
    """Return a row that the contract accepts, its numbers in the middle of their range."""
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
    """Return functions from rows to the tensors of a graph, (rows, columns) each, by name.

    Columns of one kind share a tensor, because each tensor costs a microsecond.
    """
    columns = {name: contract.inputs(*kinds) for name, kinds in TENSOR_KINDS.items()}
    read: dict[str, Reading] = {"numbers": list, "words": encode_text, "times": encode_times}
    return {
        name: partial(build_tensor, names, read[name]) for name, names in columns.items() if names
    }


def build_tensor(names: list[str], read: Reading, rows: list[Row], dtype: type) -> np.ndarray:
    """Return these columns as a tensor, (rows, columns); a flat list is faster than nested ones."""
    values = read([row[name] for row in rows for name in names])
    return np.array(values, dtype).reshape(len(rows), -1)


def encode_text(values: list[Any]) -> list[str]:
    """Return words without blanks around them; MISSING_WORD for a missing one."""
    return [MISSING_WORD if value is None else str(value).strip() for value in values]


def encode_times(values: list[datetime | None]) -> list[int]:
    """Return minutes since Monday, 1 January of the year 1; -1 for a missing time."""
    return [MISSING_TIME if value is None else to_minute(value) for value in values]


def to_minute(when: datetime) -> int:
    """Return the minute of a time on its column's clock, since the year 1."""
    return (when.toordinal() - 1) * MINUTES_PER_DAY + when.hour * 60 + when.minute
