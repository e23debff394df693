"""Our files among theirs: added, merged where that only adds, or left out with the reason.

Files that both sides have are never written anew: a block is appended, and what comes out is read
again and has to hold all that was there.  `base` is what an earlier adoption brought: what they
have not changed since then follows the template, what they have changed is theirs.
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
    """What changes, and what was left alone with the reason, by path."""

    changed: Files = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)


def place_file(name: str, prefix: str, slug: str) -> str:
    """Where a file of ours goes in their repository."""
    if not any(fnmatch.fnmatch(name, pattern) for pattern in TOP):
        return prefix + name
    return name.replace("ci.yml", f"ci-{slug}.yml") if prefix and "workflows/" in name else name


def merge_files(
    ours: Files, base: Files, read: Callable[[str], bytes | None], blocked: Mapping[str, str]
) -> Merge:
    """Ours among theirs; `read` gives the bytes of a committed path of theirs, None without one."""
    found = Merge()
    for name, content in ours.items():
        theirs, kind = read(name), name.rpartition("/")[2]
        if name in blocked:
            found.alone[name] = blocked[name]
        elif theirs is None and base.get(name):
            found.alone[name] = "was adopted once, and is gone: it stays away"
        elif theirs is None or base.get(name) == theirs or (kind == RECORD and base):
            found.changed[name] = content
        elif kind in JOINED:
            join_file(found, name, (theirs, content, base.get(name, b"")))
        elif theirs != content:
            found.alone[name] = "a file of yours stands there"
    found.changed = {name: it for name, it in found.changed.items() if it != read(name)}
    hooks = found.changed.get(HOOKS) or read(HOOKS) or b""
    for name in [
        it for it in found.changed if it.endswith(BASELINE) and BASELINE.encode() not in hooks
    ]:
        del found.changed[name]  # a linter of theirs is a hook already, or no hook could be added
    return found


def join_file(found: Merge, name: str, sides: tuple[bytes, bytes, bytes]) -> None:
    """Add to a file of theirs what it lacks; where that cannot be done safely it is left alone."""
    try:
        theirs, ours, base = (side.decode("utf-8") for side in sides)
        plain = theirs.replace("\r\n", "\n")
        if base and base in plain:  # our block, as it was: it follows the template
            text = plain.replace(base, ours)
        else:
            text = JOINED[name.rpartition("/")[2]](plain, ours, base)
        if text != plain:
            found.changed[name] = keep_line_ends(theirs, plain, text).encode()
    except UnicodeDecodeError:
        found.alone[name] = "is not UTF-8"
    except ValueError as reason:
        found.alone[name] = str(reason)


def keep_line_ends(theirs: str, plain: str, text: str) -> str:
    """What was added to a text, in the text with its own line ends, also where they are mixed."""
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
    """The file of theirs that does what one of ours would; empty without one."""
    others = (it for it in files if it != name and "workflows/" not in it)
    patterns = DOES.get(name, ())
    return next((it for it in others if any(fnmatch.fnmatch(it.lower(), p) for p in patterns)), "")
