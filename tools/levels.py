"""Renew the table of levels in README.md from capabilities.yml: `make docs`."""

from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parents[1]
README = TEMPLATE / "README.md"
BEGIN, END = "<!-- levels: begin, made by `make docs` -->", "<!-- levels: end -->"
NAMES = {0: "Ad hoc", 1: "Initial", 2: "Managed", 3: "Defined", 4: "Optimized"}


def table(manifest: dict[str, Any]) -> str:
    """The levels with what each adds; of a level that is not built yet, how much is planned."""
    lines = ["| level | adds |", "|---|---|"]
    for level, name in NAMES.items():
        found = [entry for entry in manifest["capabilities"].values() if entry["level"] == level]
        titles = [entry["title"] for entry in found if not entry.get("planned")]
        later = len(found) - len(titles)
        cell = " · ".join(titles) or f"nothing yet: {later} capabilities are planned"
        lines.append(f"| **{level}** {name} | {cell} |")
    return "\n".join(lines)


def renewed(readme: str, manifest: dict[str, Any]) -> str:
    """The README with the table that the manifest gives.  ValueError where a marker is missing."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(manifest)}\n{END}{after}"


if __name__ == "__main__":
    loaded = yaml.safe_load((TEMPLATE / "capabilities.yml").read_text(encoding="utf-8"))
    text = renewed(README.read_text(encoding="utf-8"), loaded)
    README.write_text(text, encoding="utf-8")
