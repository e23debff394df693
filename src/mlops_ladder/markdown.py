"""Markdown: text of somebody else as it is written, and pages of which a part is the user's own."""

import re
from collections.abc import Iterable
from difflib import ndiff
from pathlib import Path

from mlops_ladder.errors import ProjectError, raise_for_faults


def escape_text(value: object) -> str:
    """Return a value on one line of Markdown, in which nothing is markup, HTML or a link."""
    words = re.sub(r"\s+", " ", str(value))
    return re.sub(r"&(?!#\d+;)|[<>|`\[\]*~\\]", lambda sign: f"&#{ord(sign[0])};", words)


def format_code(name: object) -> str:
    """Return a name as code; as plain text if a sign in it would end the code or the cell."""
    plain = escape_text(name)
    return f"`{name}`" if plain == name else plain


def list_as_code(names: Iterable[object]) -> str:
    """Return names of columns, files or versions as code, separated by commas."""
    return ", ".join(map(format_code, names))


def split_page(page: Path, text: str, line: str) -> tuple[str, str]:
    """Return a page up to this line, and the rest.  Raise ProjectError without the line."""
    above, mark, below = text.partition(line)
    if not mark:
        raise ProjectError(f"{page}: the line {line!r} is gone; put it back above your own words")
    return above + mark, below


def raise_for_differences(what: str, text: str, expected: str) -> None:
    """Raise ProjectError that shows the first lines in which a text is not what is wanted."""
    lines = ndiff(text.splitlines(), expected.splitlines())
    raise_for_faults(what, [line for line in lines if line[0] in "+-"][:6])
