"""Our files among theirs: added, merged if that only adds, or left out with the reason.

Files that both sides have are never rewritten: a block is appended, and the result is read again
and has to hold everything that was there.  `base` holds the files of an earlier adoption: those
that they have not changed since then follow the template, the others stay as they are.
"""

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mlops_ladder.adopt.join import HOOKS, JOINED
from mlops_ladder.adopt.tables import TABLES

RECORD = ".cruft.json"
BASELINE = "tools/pylint_baseline.py"
TOP = TABLES["top"]
DOES = TABLES["same_files"]

Files = dict[str, bytes]


@dataclass
class Merge:
    """The changed files, and the reasons for files that were left alone, by path."""

    changed: Files = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)


def place_file(name: str, prefix: str, slug: str) -> str:
    """Return the path of one of our files in their repository."""
    if not any(fnmatch.fnmatch(name, pattern) for pattern in TOP):
        return prefix + name
    return name.replace("ci.yml", f"ci-{slug}.yml") if prefix and "workflows/" in name else name


def merge_files(
    ours: Files, base: Files, read: Callable[[str], bytes | None], blocked: Mapping[str, str]
) -> Merge:
    """Return our files merged with theirs; `read` returns their committed bytes, or None."""
    merge = Merge()
    for name, content in ours.items():
        theirs, kind = read(name), name.rpartition("/")[2]
        if name in blocked:
            merge.alone[name] = blocked[name]
        elif theirs is None and base.get(name):
            merge.alone[name] = "was adopted once, and is gone: it stays away"
        elif theirs is None or base.get(name) == theirs or (kind == RECORD and base):
            merge.changed[name] = content
        elif kind in JOINED:
            join_file(merge, name, (theirs, content, base.get(name, b"")))
        elif theirs != content:
            merge.alone[name] = "a file of yours stands there"
    merge.changed = {name: data for name, data in merge.changed.items() if data != read(name)}
    hooks = merge.changed.get(HOOKS) or read(HOOKS) or b""
    for name in [
        name for name in merge.changed if name.endswith(BASELINE) and BASELINE.encode() not in hooks
    ]:
        del merge.changed[name]  # a linter of theirs is a hook already, or no hook could be added
    return merge


def join_file(merge: Merge, name: str, sides: tuple[bytes, bytes, bytes]) -> None:
    """Add what one of their files lacks; leave it alone, with the reason, if that is not safe."""
    try:
        theirs, ours, base = (side.decode("utf-8") for side in sides)
        plain = theirs.replace("\r\n", "\n")
        if base and base in plain:  # our block, as it was: it follows the template
            text = plain.replace(base, ours)
        else:
            text = JOINED[name.rpartition("/")[2]](plain, ours, base)
        if text != plain:
            merge.changed[name] = keep_line_ends(theirs, plain, text).encode()
    except UnicodeDecodeError:
        merge.alone[name] = "is not UTF-8"
    except ValueError as reason:
        merge.alone[name] = str(reason)


def keep_line_ends(theirs: str, plain: str, text: str) -> str:
    """Return the extended text with the line ends of the original, even if they are mixed."""
    line_end = "\r\n" if theirs.count("\r\n") * 2 > theirs.count("\n") else "\n"
    same = next((i for i, (a, b) in enumerate(zip(plain, text)) if a != b), len(plain))
    start = same if same == len(plain) else plain.rfind("\n", 0, same) + 1
    if text.endswith(plain[start:]):
        lines = theirs.split("\n")
        before = "\n".join(lines[: plain[:start].count("\n")] + [""] * (start < len(plain)))
        before = theirs if start == len(plain) else before
        added = text[start : len(text) - len(plain[start:])]
        return before + added.replace("\n", line_end) + theirs[len(before) :]
    if theirs not in (plain, plain.replace("\n", "\r\n")):
        raise ValueError("its line ends are mixed, and a change would make them all one")
    return text.replace("\n", line_end)


def find_equivalent(name: str, files: Iterable[str]) -> str:
    """Return their file that does what one of ours would do; empty without one."""
    others = (path for path in files if path != name and "workflows/" not in path)
    pairs = ((path, pattern) for path in others for pattern in DOES.get(name, ()))
    return next((path for path, pattern in pairs if fnmatch.fnmatch(path.lower(), pattern)), "")
