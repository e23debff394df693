"""Find actions of workflows, and includes of pipelines, that are not pinned to their content.

A tag may name other code tomorrow; a full commit or a digest may not.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

USES = re.compile(r"^\s*(?:- )?[\"']?uses[\"']?\s*:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
PINNED = re.compile(r"^\./|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$")
REMOTE = re.compile(r"^\s*(?:- )?(?:remote|component):\s*(\S+)", re.MULTILINE)
GITHUB = (".github/workflows/*.y*ml", ".github/actions/*/action.y*ml")
FOLDERS = (*GITHUB, ".gitlab-ci.yml", ".gitlab/*.y*ml")


def find_unpinned(text: str) -> Iterator[str]:
    """Yield the actions and includes of a workflow that are not pinned."""
    for name in [*USES.findall(text), *REMOTE.findall(text)]:
        if not PINNED.search(name):
            yield name


def main() -> None:
    """End the program with a list of the actions that are not pinned."""
    paths = [path for pattern in FOLDERS for path in sorted(Path().glob(pattern))]
    loose = [(path, name) for path in paths for name in find_unpinned(path.read_text("utf-8"))]
    if loose:
        sys.exit("\n".join(f"{path}: {name}: pin it to a full commit" for path, name in loose))
