"""A runbook: the commands of a page, in named blocks."""

from dataclasses import dataclass
from textwrap import dedent

from mlops_ladder.maturity import Unknown


@dataclass(frozen=True)
class Block:
    """Commands of a page: the name of the block, what it needs, and its text."""

    name: str
    needs: tuple[str, ...]
    text: str


def read_blocks(page: str, text: str) -> list[Block]:
    """Return the blocks of a page that are run.  Raise Unknown without one, or without its end."""
    blocks: list[Block] = []
    heading, is_inside, marks, lines = "", False, [""], [""]
    for line in text.splitlines():
        if line.strip().startswith("```"):
            if is_inside and marks[:1] == ["sh"]:
                name = f"{heading}, block {len(blocks) + 1}"
                blocks.append(Block(name, tuple(marks[1:]), dedent("\n".join(lines))))
            is_inside, marks, lines = not is_inside, line.strip()[3:].split(), []
        elif is_inside:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    if is_inside:
        raise Unknown(f"{page}: the last block, under {heading}, does not end: close it with ```")
    if not blocks:
        raise Unknown(f"{page}: no block that is run: mark one with ```sh, or take the page away")
    return blocks
