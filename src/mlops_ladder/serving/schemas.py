"""The types of requests and answers: those of `/predict` follow from the contract."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, Self

import orjson
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from mlops_ladder.data.columns import Answer, make_example_row, make_record_type, Row, make_row_type
from mlops_ladder.data.contract import Contract

MAX_VIOLATIONS = 20  # listed for a request; the others are counted
MAX_NAME_LENGTH = 100  # of an unknown field that is listed
BRIEF: dict[str, Any] = {"include_url": False, "include_context": False, "include_input": False}
UNKNOWN_FIELD = {"type": "extra_forbidden", "msg": "Extra inputs are not permitted"}
JSON_BOOLEANS = {"False": "false", "True": "true"}
# Further fields of a prediction.
FLAGS: dict[str, Any] = {
    "fallback": NotRequired[Annotated[bool, Field(description="a stand-in answered, no model")]],
    "abstain": NotRequired[Annotated[bool, Field(description="training saw no such row")]],
    "outside": NotRequired[
        Annotated[
            list[str], Field(description="columns with a value that contract.toml does not expect")
        ]
    ],
}


class RowViolation(BaseModel):
    """An error and its place: `["body", row number from 0 (in a list), column]`."""

    type: str
    loc: list[str | int]
    msg: str


class Refusal(BaseModel):
    """The first 20 errors of a request, and how many `more` there are.

    A list is answered as a whole or refused as a whole: send the other rows again.
    """

    detail: list[RowViolation]
    more: int = 0


class Failure(BaseModel):
    """The reason why there is no answer."""

    detail: str


class Health(BaseModel):
    """The process is alive.  `trouble`: why a published model is not served."""

    status: str = "ok"
    trouble: str | None
    observers: dict[str, dict[str, int]]


class Ready(BaseModel):
    """A model is served."""

    model_version: str


class Version(BaseModel):
    """The model and the code; `version` is the number of the model in the registry."""

    version: str | None = None
    model_version: str | None = None
    run_id: str | None = None
    runtime: str | None = Field(default=None, description="onnx or native")
    why: str | None = Field(default=None, description="why it is native")
    commit: str = Field(description="of the code")
    python: str


@dataclass(frozen=True)
class Expected:
    """The ranges and categories that values are expected in; a missing value is always expected."""

    ranges: Sequence[tuple[str, float, float]] = ()
    categories: Sequence[tuple[str, frozenset[Any]]] = ()

    @classmethod
    def from_contract(cls, contract: Contract) -> Self:
        """Return the expectations that a contract has and does not enforce."""
        inputs = {name: contract.columns[name] for name in contract.inputs()}
        free = [(name, column) for name, column in inputs.items() if not column.enforce]
        return cls(
            [(name, *column.range) for name, column in free if column.range],
            [(name, frozenset(column.categories)) for name, column in free if column.categories],
        )

    def find_outside(self, rows: Sequence[Row]) -> list[tuple[int, str]]:
        """Return the row number and the column of each value that is not expected."""
        outside = []
        for number, row in enumerate(rows):
            for name, low, high in self.ranges:
                if (value := row[name]) is not None and not low <= value <= high:
                    outside.append((number, name))
            for name, categories in self.categories:
                if (value := row[name]) is not None and value not in categories:
                    if not isinstance(value, str) or value.strip() not in categories:
                        outside.append((number, name))
        return outside


def prediction_fields(contract: Contract, classes: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of a prediction: a number, or a class and the probability of each class."""
    kinds: dict[str, Any] = {"number": float, "integer": float, "boolean": bool}
    kind = kinds.get(contract.columns[contract.target].kind, str)
    if not classes:
        return {"prediction": kind} | FLAGS
    if not any(isinstance(label, float) for label in classes):
        kind = Literal[tuple(classes)]
    probability = Annotated[float, Field(ge=0, le=1)]
    names = [JSON_BOOLEANS[str(label)] if isinstance(label, bool) else label for label in classes]
    probabilities = make_record_type("Probability", {str(name): probability for name in names})
    return {"prediction": kind, "probability": probabilities} | FLAGS


@dataclass(frozen=True)
class Types:
    """The requests that a model takes and the answers that it gives, of one row or of many."""

    body: Any
    answer: Any
    row: TypeAdapter[Row]
    rows: TypeAdapter[list[Row]]
    expected: Expected
    names: frozenset[str]
    has_booleans: bool
    example: Row
    max_rows: int

    @classmethod
    def from_contract(cls, contract: Contract, classes: Sequence[Any], max_rows: int) -> Self:
        """Return the types for this contract and these classes; a regression has no classes."""
        # mypy knows no types that are made at run time.
        one, fields = make_row_type(contract), prediction_fields(contract, classes)
        lengths = Field(min_length=1, max_length=max_rows, fail_fast=True)
        many = Annotated[list[one], lengths]  # type: ignore[valid-type]  # made at run time
        source = {"model_version": str, "request_id": str}
        predictions = make_record_type("Prediction", fields)
        listed = {"predictions": list[predictions]}  # type: ignore[valid-type]  # made at run time
        return cls(
            one | many,
            make_record_type("Answer", fields | source)
            | make_record_type("Answers", listed | source),
            TypeAdapter(one),
            TypeAdapter(many),
            Expected.from_contract(contract),
            frozenset(contract.inputs() + contract.names("id")),
            any(isinstance(label, bool) for label in classes),
            make_example_row(contract),
            max_rows,
        )

    def parse_rows(self, body: bytes) -> tuple[list[Row], bool]:
        """Return the rows of a JSON body, and whether it is a list.

        Raises pydantic's ValidationError if a row breaks the contract; `list_violations` explains
        it.
        """
        is_list = body.lstrip()[:1] == b"["
        rows = self.rows.validate_json(body) if is_list else [self.row.validate_json(body)]
        if not all(row.keys() <= self.names for row in rows):
            raise ValidationError.from_exception_data("Row", [])
        return rows, is_list

    def list_violations(self, body: bytes, error: ValidationError) -> dict[str, Any]:
        """Return the first errors of a refused body, in FastAPI's form, and how many `more`.

        Only the errors that are listed are kept in memory.
        """
        errors = error.errors(**BRIEF)
        is_long = any(fault["type"] == "too_long" for fault in errors)
        violations, count = list[Any](), 0
        for place, row in () if is_long else iter_rows(body):
            of_row, number = self.find_row_violations(row)
            violations += [fault | {"loc": ("body", *place, *fault["loc"])} for fault in of_row]
            del violations[MAX_VIOLATIONS:]
            count += number
        if not violations:  # the body as a whole is wrong
            first = errors[:MAX_VIOLATIONS]
            violations = [fault | {"loc": ("body", *fault["loc"])} for fault in first]
        more = {"more": count - MAX_VIOLATIONS} if count > MAX_VIOLATIONS else {}
        return {"detail": violations} | more

    def find_row_violations(self, row: Any) -> tuple[list[Any], int]:
        """Return the first errors of a row, and how many it has."""
        errors = list[Any]()
        try:
            self.row.validate_python(row)
        except ValidationError as error:
            errors += error.errors(**BRIEF)
        unknown = [key for key in row if key not in self.names] if isinstance(row, dict) else []
        names = [key[:MAX_NAME_LENGTH] for key in unknown[:MAX_VIOLATIONS]]
        errors_of_names = [UNKNOWN_FIELD | {"loc": (name,)} for name in names]
        return errors + errors_of_names, len(errors) + len(unknown)

    def spell_booleans(self, answers: list[Answer]) -> list[Answer]:
        """Return the answers with the keys of probabilities spelled as JSON spells predictions."""
        if not self.has_booleans:
            return answers
        spelled = [answer.copy() for answer in answers]
        for answer in spelled:
            if shares := answer.get("probability"):
                answer["probability"] = {JSON_BOOLEANS[key]: share for key, share in shares.items()}
        return spelled


def iter_rows(body: bytes) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield each row of a JSON body with its place in the list; nothing if it is no JSON."""
    with suppress(orjson.JSONDecodeError):
        rows = orjson.loads(body)
        if isinstance(rows, list):
            yield from (((number,), row) for number, row in enumerate(rows))
        else:
            yield (), rows
