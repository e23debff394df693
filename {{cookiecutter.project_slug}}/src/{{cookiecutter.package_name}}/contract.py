"""The data contract: what `contract.toml` promises about each column."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args
from unicodedata import normalize

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import ProjectError

CONTRACT = Path("contract.toml")
FEWEST_ROWS = 100  # a share of missing values says little about fewer
Kind = Literal["number", "integer", "boolean", "category", "text", "time"]
Role = Literal["feature", "target", "id", "time", "group", "personal", "ignored"]
DAYS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y/%m/%d",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
TIMES = ("ISO8601", *(day + clock for day in DAYS for clock in CLOCKS))
HEADER = """\
What the data hold, column by column; training, prediction and checks read it.
Made by `make contract DATA=file TARGET=column`.  Read it, correct it, then set reviewed = true.
kind: number integer boolean category text time
role: feature target id time group personal ignored"""


class Section(BaseModel):
    """A table of a TOML file; it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Section):
    """What one column holds, and what it is used for.

    A `time` orders the rows, and the model sees its weekday and hour.  A `group`
    (one patient, one machine) keeps its rows together and is no feature.  `missing` is the largest
    share of missing values that is still normal.  `range` and `categories` are expectations: a
    value outside of them is answered, marked and counted.  With `enforce`, and for a class of the
    target, its row is refused.
    """

    kind: Kind
    role: Role
    nullable: bool = False
    missing: float | None = Field(default=None, ge=0, le=1)
    range: tuple[int | float, int | float] | None = None
    categories: list[str] | None = None
    enforce: bool = False
    format: str | None = None


class Contract(Section):
    """Every column by its name, in the order of the file.  `reviewed`: a person has read it."""

    reviewed: bool = False
    columns: dict[str, Column]

    def names(self, *roles: Role) -> list[str]:
        """The columns of these roles."""
        return [name for name, column in self.columns.items() if column.role in roles]

    @property
    def target(self) -> str:
        """The column to predict."""
        return self.names("target")[0]

    def inputs(self, *kinds: Kind) -> list[str]:
        """The columns that the model sees: of these kinds, or all."""
        wanted = kinds or get_args(Kind)
        return [name for name in self.names("feature", "time") if self.columns[name].kind in wanted]


@dataclass(frozen=True)
class Breach:
    """A rule that some values of a column break: how many of how many rows, and the first of them.

    `rows` counts from 1.  Without a `total` it is the column as a whole that is wrong.  `wrong` says
    of each row of the frame that was judged whether it breaks the rule.  What is only `expected` is
    reported, and a share up to `most` is normal.
    """

    column: str
    rule: str
    count: int = 0
    total: int = 0
    rows: tuple[int, ...] = ()
    example: str = ""
    wrong: Any = field(default=None, compare=False, repr=False)
    expected: bool = False
    most: float | None = None

    @property
    def refuses(self) -> bool:
        """Are these values refused?  A share is judged of 100 rows or more."""
        if self.most is None:
            return not self.expected
        return self.total >= FEWEST_ROWS and self.count > self.most * self.total

    def __add__(self, later: "Breach") -> "Breach":
        rows = (self.rows + later.rows)[:3]
        return replace(self, count=self.count + later.count, rows=rows, wrong=None)

    def of(self, total: int) -> "Breach":
        """The same breach, of so many rows."""
        return replace(self, total=total) if self.total else self

    def __str__(self) -> str:
        if not self.total:
            return f"{self.column}: {self.rule}"
        where = f" (rows {', '.join(map(str, self.rows))})" if self.rows else ""
        shown = f": {self.example}" if self.example else ""
        return f"{self.column}: {self.count:,} of {self.total:,} rows {self.rule}{shown}{where}"


class Refused(ProjectError):
    """Rows that break the contract, and how."""

    def __init__(self, words: str, breaches: list[Breach]) -> None:
        super().__init__(words, breaches)
        self.breaches = breaches

    def __str__(self) -> str:
        return str(self.args[0])


def merged(breaches: Iterable[Breach]) -> list[Breach]:
    """One for each column and rule, of those from several parts of the same rows."""
    found: dict[tuple[str, str], Breach] = {}
    for breach in breaches:
        first = found.get((breach.column, breach.rule))
        found[breach.column, breach.rule] = first + breach if first else breach
    return list(found.values())


def refuse(breaches: list[Breach]) -> None:
    """Report values outside of what is expected.  Raises ProjectError that lists what is refused."""
    for breach in breaches:
        if breach.expected:
            print(f"outside, not refused: {breach}")
    if wrong := [breach for breach in breaches if breach.refuses]:
        lines = "\n  ".join(map(str, wrong))
        way_out = "Correct the data; where they are right, widen contract.toml, or make contract"
        raise Refused(f"the data break the contract\n  {lines}\n  {way_out}", wrong)


def read_contract(path: Path = CONTRACT) -> Contract:
    """The contract in this file.  Raises ProjectError naming each column and key that is wrong."""
    try:
        contract = Contract(**tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ProjectError(
            f"{path}: not here; make it: `make contract DATA=file TARGET=column`"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors()
        ]
        raise ProjectError(f"{path}: " + "\n  ".join(lines)) from error
    targets, inputs = contract.names("target"), contract.inputs()
    if len(targets) != 1 or not inputs:
        found = f"{len(targets)} columns of role target and {len(inputs)} of role feature or time"
        raise ProjectError(
            f"{path}: {found}; exactly one target and at least one feature are needed"
        )
    return contract


def resolve(target: str, names: list[str]) -> str:
    """The column that is meant: as written, else the one alike but for case, blanks, accents."""

    def plain(name: str) -> str:
        return " ".join(normalize("NFKC", name).casefold().split())

    alike = [name for name in names if plain(name) == plain(target)]
    if target in names or len(alike) == 1:
        return target if target in names else alike[0]
    near = get_close_matches(target, names, n=3)
    shown = list(dict.fromkeys([*near, *names]))[:20]
    more = f", and {len(names) - 20} more" if len(names) > 20 else ""
    raise ProjectError(f"TARGET {target!r}: no such column; there are: {', '.join(shown)}{more}")


def written(contract: Contract) -> str:
    """The text of `contract.toml`."""
    text = tomlkit.document()
    for line in HEADER.splitlines():
        text.add(tomlkit.comment(line))
    text.add("reviewed", contract.reviewed)
    text.add("columns", contract.model_dump(exclude_defaults=True)["columns"])
    return tomlkit.dumps(text)
