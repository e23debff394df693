"""A journal: a file of lines that only ever grows, so that what is decided outlives a kill."""

import os
from pathlib import Path


def append_line(path: Path, line: str) -> None:
    """Append a line and flush it to the disk; first remove a line that a kill has cut."""
    with path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        whole = file.read().rpartition("\n")
        file.truncate(len((whole[0] + whole[1]).encode()))
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
