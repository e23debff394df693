"""How many tests passed in each group: `make test-counts`.  Fails where none did.

A group is a folder under `tests`.  What counts is the report of the newest `make test`; a test that
was skipped, or that was expected to fail, has not passed.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

REPORT = Path("reports/tests.xml")
ALWAYS = {"code", "data", "model"}


def passed(report: Path) -> Counter[str]:
    """The number of tests that passed, by the folder under `tests` that holds them."""
    return Counter(
        case.get("classname", "").split(".")[1]
        for case in ElementTree.parse(report).iter("testcase")
        if not {"error", "failure", "skipped"} & {child.tag for child in case}
    )


def main(arguments: list[str]) -> None:
    """Print the counts in one line.  Exits with what to do where there is no report or a zero."""
    if arguments:
        sys.exit("usage: ladder test-counts")
    if not REPORT.exists():
        sys.exit(f"{REPORT}: no tests have run; run `make test`")
    found = passed(REPORT)
    groups = sorted(ALWAYS | {path.parent.name for path in Path("tests").glob("*/test_*.py")})
    print("tests=" + ", ".join(f"{group} {found[group]}" for group in groups))
    if empty := [group for group in groups if not found[group]]:
        lines = [f"tests/{group}: no test passed; a change here goes unseen" for group in empty]
        sys.exit("\n".join(lines))
