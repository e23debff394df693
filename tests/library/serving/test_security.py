"""The list of threats: every control has a test, and the test is there."""

import re
from pathlib import Path

from library.fixture_project import ROOT
import pytest

LIBRARY = Path(__file__).parents[1]

ROWS = [
    line.split("|")[1:-1]
    for line in (ROOT / "docs/security.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [A-Z]", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_every_threat_names_a_test_that_is_there(row: list[str]) -> None:
    """A threat has a control, and a test that fails without it."""
    written = "\n".join(path.read_text(encoding="utf-8") for path in LIBRARY.rglob("test_*.py"))
    names = re.findall(r"`(test_\w+)`", row[2])
    assert row[1].strip() and names
    assert [name for name in names if f"def {name}(" not in written] == []
