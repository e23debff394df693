"""Count the tests that passed in each group: `make test-counts`.  Fails if a group has none.

A group is a folder under `tests`.  The counts are of the report of the last `make test`; a skipped
test, or one that was expected to fail, has not passed.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

REPORT = Path("reports/tests.xml")
ALWAYS = {"code", "data", "model"}


def count_passed(report: Path) -> Counter[str]:
    """Return the number of tests that passed, by their folder under `tests`."""
    return Counter(
        case.get("classname", "").split(".")[1]
        for case in ElementTree.parse(report).iter("testcase")
        if not {"error", "failure", "skipped"} & {child.tag for child in case}
    )


def main() -> None:
    """Print the counts in one line.  End the program if there is no report, or a zero."""
    if not REPORT.exists():
        sys.exit(f"{REPORT}: no tests have run; run `make test`")
    counts = count_passed(REPORT)
    groups = sorted(ALWAYS | {path.parent.name for path in Path("tests").glob("*/test_*.py")})
    print("tests=" + ", ".join(f"{group} {counts[group]}" for group in groups))
    if empty := [group for group in groups if not counts[group]]:
        lines = [f"tests/{group}: no test passed; a change here goes unseen" for group in empty]
        sys.exit("\n".join(lines))
