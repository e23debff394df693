"""The list of capabilities, and which of their globs a path fits."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Facts = dict[str, Any]

HERE = Path(__file__).resolve().parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # where libyaml is there, ten times as fast


@cache
def capability_list() -> Facts:
    """Return the capabilities that this library knows: the template's manifest of its time."""
    loaded: Facts = yaml.load((HERE / "capabilities.yml").read_text("utf-8"), Loader=LOADER)
    return loaded


@cache
def target_list() -> dict[str, list[str]]:
    """Return the targets of the Makefile that each capability brings."""
    return tomllib.loads((HERE / "targets.toml").read_text("utf-8"))


@cache
def glob_of(pattern: str) -> re.Pattern[str]:
    """What matches the paths that fit a glob, and all below them; `*` stays within a folder."""
    return re.compile(re.escape(pattern).replace(r"\*", "[^/]*") + r"(?:/|\Z)")


def within(name: str, pattern: str) -> int:
    """How many parts of a path a glob names where the path or a folder above it fits, else 0."""
    return pattern.count("/") + 1 if glob_of(pattern).match(name) else 0


def owner_of(name: str, capabilities: Facts) -> str:
    """Return the capability whose glob names most of a path; an empty string without one."""
    fits = [
        (within(name, pattern), capability)
        for capability, entry in capabilities.items()
        for pattern in entry.get("paths", [])
    ]
    depth, capability = max(fits, default=(0, ""))
    return capability if depth else ""
