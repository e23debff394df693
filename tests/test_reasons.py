"""What a linter is told to overlook has its reason: beside it, or in the comment above."""

import re

import pytest
from conftest import ROOT, run

OVERLOOKED = re.compile(
    r"#\s*(?:pylint: disable(?:-next)?=[\w, -]+|type: ignore(?:\[[\w, -]+\])?|noqa(?:: ?[\w, ]+)?)"
)


def find_unexplained(text: str) -> list[int]:
    """Return the numbers of the lines that tell a linter to look away, and do not say why."""
    lines, numbers = text.splitlines(), []
    for number, line in enumerate(lines, start=1):
        if begin := OVERLOOKED.search(line):
            beside = re.search(r"#\s*\w", OVERLOOKED.sub("", line[begin.start() :]))
            above = lines[number - 2].strip() if number > 1 else ""
            if not beside and (not above.startswith("#") or OVERLOOKED.match(above)):
                numbers.append(number)
    return numbers


def test_whatever_is_switched_off_has_its_reason() -> None:
    """In the library, the tools, the tests, the template's own files and those of a project."""
    names = run("git", "ls-files", "-z", "*.py", at=ROOT).stdout.split("\0")
    names.remove("tests/test_reasons.py")  # it holds examples
    texts = {it: (ROOT / it).read_text(encoding="utf-8") for it in names if (ROOT / it).is_file()}
    unexplained = {name: find_unexplained(text) for name, text in texts.items()}
    assert len(texts) > 400
    assert {name: numbers for name, numbers in unexplained.items() if numbers} == {}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("import x  # pylint: disable=C0415", [1]),
        ("import x  # pylint: disable=C0415  # heavy", []),
        ("# x is heavy\nimport x  # pylint: disable=C0415", []),
        ("y = x()  # type: ignore", [1]),
        ("y = x()  # type: ignore[misc]  # has no types", []),
        ("y = x()\nz = x()  # noqa: E501", [2]),
        ("# pylint: disable=C0415\nimport x  # type: ignore[misc]", [1, 2]),
    ],
)
def test_a_missing_reason_is_noticed(text: str, numbers: list[int]) -> None:
    """A comment that only switches off another linter is none."""
    assert find_unexplained(text) == numbers
