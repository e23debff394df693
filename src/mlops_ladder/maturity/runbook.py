"""A runbook: the commands of a page that are run."""

from dataclasses import dataclass
from textwrap import dedent

from mlops_ladder.maturity import Unknown


@dataclass(frozen=True)
class Block:
    """Commands of a page: which of its blocks they are, what they need, what is run."""

    name: str
    needs: tuple[str, ...]
    text: str


def read_blocks(page: str, text: str) -> list[Block]:
    """The blocks of a page that are run.  Unknown where there is none, or one does not end."""
    found: list[Block] = []
    heading, inside, marks, lines = "", False, [""], [""]
    for line in text.splitlines():
        if line.strip().startswith("```"):
            if inside and marks[:1] == ["sh"]:
                name = f"{heading}, block {len(found) + 1}"
                found.append(Block(name, tuple(marks[1:]), dedent("\n".join(lines))))
            inside, marks, lines = not inside, line.strip()[3:].split(), []
        elif inside:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    if inside:
        raise Unknown(f"{page}: the last block, under {heading}, does not end: close it with ```")
    if not found:
        raise Unknown(f"{page}: no block that is run: mark one with ```sh, or take the page away")
    return found
