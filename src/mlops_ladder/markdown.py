"""Text of somebody else in Markdown: shown as it is written, in one cell of a table."""

import re


def as_words(value: object) -> str:
    """A value as words on one line of Markdown: nothing in it is markup, HTML, a cell or a link."""
    words = re.sub(r"\s+", " ", str(value))
    return re.sub(r"&(?!#\d+;)|[<>|`\[\]*~\\]", lambda sign: f"&#{ord(sign[0])};", words)


def as_code(name: object) -> str:
    """A name as code; as words if it holds what would end the code, or the cell of a table."""
    plain = as_words(name)
    return f"`{name}`" if plain == name else plain
