"""The technical documentation: what runs, logs and files show, and nothing else.

Its headings follow the points of Annex IV of Regulation (EU) 2024/1689, the Artificial Intelligence
Act.  It tells what there is, not that it suffices: that is judged by people.
"""

from difflib import ndiff
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.governance.documents import annex, evidence
from mlops_ladder.governance.documents.statements import faults, NOTHING
from mlops_ladder.settings import load
from mlops_ladder.tracking import runs

DOCUMENT = Path("TECHNICAL.md")
HEAD = """\
# Technical documentation

For whoever has to judge this system from outside. `make techdoc` writes it from evidence alone; do not
edit it by hand. Its headings follow the points of Annex IV of Regulation (EU) 2024/1689; whether what
stands here is enough is for people to judge. Each statement ends with its source: a file with the first
digits of its sha256, or a run of MLflow. Copies of what logs and runs recorded are in `docs/evidence/`.
"""


def render() -> str:
    """The document, from the files that are here: the same from the same files."""
    return "\n".join([HEAD, *map(str, annex.sections())])


def check(text: str) -> str:
    """In words: every statement has its source.  ProjectError that lists what is wrong."""
    wrong = list(faults(text))
    if not wrong:
        pairs = ndiff(text.splitlines(), render().splitlines())
        wrong = [line for line in pairs if line[0] in "+-"][:6]
        wrong = ["differs from its evidence (- document, + evidence)", *wrong] if wrong else []
    here = runs.newest() is not None
    if not wrong and here:
        wrong = evidence.differing()
    if wrong:
        lines = "\n  ".join(wrong[:20])
        raise ProjectError(f"{DOCUMENT}: run `make techdoc`, read it, commit it\n  {lines}")
    count = sum(line.startswith("- ") for line in text.splitlines())
    compared = "" if here else "; no run is here to compare them with"
    return f"{DOCUMENT}: {count} statements, each with its source, which is as it was{compared}"


def write() -> str:
    """Copy the evidence, render, and say what is lacking.  ProjectError where it would claim."""
    evidence.keep(evidence.gathered(load()))
    text = render()
    if wrong := list(faults(text)):
        told = "\n  ".join([*wrong, "it comes from the file that the line cites: change it there"])
        raise ProjectError(f"{DOCUMENT}: not written\n  {told}")
    write_whole(DOCUMENT, text)
    lacking = sum(line.startswith(NOTHING) for line in text.splitlines())
    count = sum(line.startswith("- ") for line in text.splitlines())
    return f"Wrote {DOCUMENT}: {count} statements; {lacking} points without evidence"


def main(
    only_check: Annotated[
        bool, typer.Option("--check", help="change nothing; fail if it is stale")
    ] = False,
) -> None:
    """Write the documentation, or with --check say whether it still is what evidence shows."""
    checked = only_check
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    if not checked:
        print(f"{write()}.  Read it, then: git add {DOCUMENT} {evidence.FOLDER}")
    elif "\n## " not in text:
        print(f"{DOCUMENT}: describes nothing yet; to write it: make techdoc")
    else:
        print(check(text))
