"""The list of capabilities, and which of their globs a path fits."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Facts = dict[str, Any]

HERE = Path(__file__).resolve().parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml, ten times as fast


@cache
def read_capabilities() -> Facts:
    """Return the capabilities that this library knows, from the template's manifest."""
    loaded: Facts = yaml.load((HERE / "capabilities.yml").read_text("utf-8"), Loader=LOADER)
    return loaded


@cache
def read_targets() -> dict[str, list[str]]:
    """Return the targets of the Makefile that each capability brings."""
    return tomllib.loads((HERE / "targets.toml").read_text("utf-8"))


@cache
def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return a pattern for paths that fit a glob, or lie below; `*` stays within a folder."""
    return re.compile(re.escape(pattern).replace(r"\*", "[^/]*") + r"(?:/|\Z)")


def match_glob(name: str, pattern: str) -> int:
    """Return the number of parts of a glob if the path, or a folder above it, fits it; else 0."""
    return pattern.count("/") + 1 if compile_glob(pattern).match(name) else 0


def find_owner(name: str, capabilities: Facts) -> str:
    """Return the capability whose matching glob is the longest; an empty string without one."""
    fits = [
        (match_glob(name, pattern), capability)
        for capability, entry in capabilities.items()
        for pattern in entry.get("paths", [])
    ]
    depth, capability = max(fits, default=(0, ""))
    return capability if depth else ""
