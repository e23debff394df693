"""The list of capabilities, and which of their globs a path fits."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Facts = dict[str, Any]

HERE = Path(__file__).resolve().parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # where libyaml is there, ten times as fast
LISTS = (HERE / "capabilities.yml", HERE / "manifest.yml", HERE.parents[2] / "capabilities.yml")


@cache
def capability_list() -> Facts:
    """The capabilities that this tool knows: its own list, or in the template the manifest."""
    for path in LISTS:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if text and not text.startswith("{"):  # in the template it is yet to be rendered
            loaded: Facts = yaml.load(text, Loader=LOADER)
            return loaded
    raise FileNotFoundError(f"{LISTS[0]}: the list of capabilities is missing")


@cache
def glob_of(pattern: str) -> re.Pattern[str]:
    """What matches the paths that fit a glob, and all below them; `*` stays within a folder."""
    return re.compile(re.escape(pattern).replace(r"\*", "[^/]*") + r"(?:/|\Z)")


def within(name: str, pattern: str) -> int:
    """How many parts of a path a glob names where the path or a folder above it fits, else 0."""
    return pattern.count("/") + 1 if glob_of(pattern).match(name) else 0
