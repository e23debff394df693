"""Files that both sides have: what theirs lacks is added, and what comes out is read again."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import yaml

from mlops_ladder.adopt.tables import TABLES

HOOKS = ".pre-commit-config.yaml"
SAME = {name: set(others) for name, others in TABLES["same_hooks"].items()}
HOOK = re.compile(r"^      - \{id: ([\w-]+),.*\n", re.MULTILINE)


def append_block(text: str, block: str) -> str:
    """A text with a block behind it, an empty line between them."""
    lines = text if not text or text.endswith("\n") else text + "\n"
    return lines + ("\n" if lines.strip() else "") + block


def merge_gitignore(theirs: str, ours: str, base: str) -> str:
    """Their .gitignore with the entries that it lacks, at the end."""
    have = {line.strip().strip("/") for line in (theirs + base).splitlines()}
    lacking = [line for line in ours.splitlines() if line.strip("/") not in have]
    return append_block(theirs, "\n".join(lacking) + "\n") if lacking else theirs


def merge_pyproject(theirs: str, ours: str, base: str) -> str:
    """Their pyproject.toml with the tool tables that it lacks, at the end.

    ValueError where it cannot be read, or where a table cannot be added behind what is there.
    """
    try:
        before, wanted = tomllib.loads(theirs), tomllib.loads(ours)["tool"]
        known = tomllib.loads(base).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"cannot be read as TOML: {error}") from error
    except KeyError:
        return theirs
    have = before.get("tool", {})
    lacking = {name for name in wanted if name not in have and name not in known}
    tables = re.split(r"\n(?=\[)", ours.strip())
    block = "\n\n".join(it.strip() for it in tables if find_tool_name(it) in lacking)
    if not block:
        return theirs
    text = append_block(theirs, block + "\n")
    try:
        after = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"no table can be added behind what is there: {error}") from error
    if after != before | {"tool": have | {name: wanted[name] for name in lacking}}:
        raise ValueError("a table added at the end would change what is there")
    return text


def find_tool_name(text: str) -> str:
    """The tool that a block of TOML configures."""
    found = re.match(r"\[tool\.([\w-]+)", text)
    return found[1] if found else ""


def find_lacking_hooks(ours: str, have: Mapping[str, str]) -> list[str]:
    """The lines of our hooks that do nothing which a hook of theirs does already."""
    return [
        match[0]
        for match in HOOK.finditer(ours)
        if not ({match[1]} | SAME.get(match[1], set())) & have.keys()
        or "files: " in match[0]
        and all(value not in ("", find_hook_files(match[0])) for value in have.values())
    ]


def find_hook_id(line: str) -> str:
    """The id of a hook of ours."""
    found = HOOK.match(line)
    return found[1] if found else ""


def find_hook_files(line: str) -> str:
    """The pattern of the files that a hook of ours looks at; empty where it is all."""
    found = re.search(r"files: '([^']+)'", line)
    return found[1] if found else ""


def merge_hooks(theirs: str, ours: str, base: str) -> str:
    """Their .pre-commit-config.yaml with the hooks that it lacks, behind the last one.

    ValueError where it cannot be read, or has no list of repositories in lines of their own.
    """
    before = parse_hooks(theirs)
    hooks = [hook for repo in before["repos"] for hook in repo.get("hooks") or []]
    have = {str(hook.get("id")): str(hook.get("files", "")) for hook in hooks}
    known = {find_hook_id(match[0]) for match in HOOK.finditer(base)}
    lines = [line for line in find_lacking_hooks(ours, have) if find_hook_id(line) not in known]
    if not lines:
        return theirs
    at, indent = find_end_of_repos(theirs)
    block = "  - repo: local\n    hooks:\n" + "".join(lines)
    shifted = re.sub(r"^  ", indent, block, flags=re.MULTILINE)
    rows = theirs.splitlines(keepends=True)
    if rows and not rows[-1].endswith("\n"):
        rows[-1] += "\n"
    text = "".join([*rows[:at], shifted, *rows[at:]])
    wanted = yaml.safe_load("repos:\n" + block)["repos"]
    if parse_hooks(text) != before | {"repos": before["repos"] + wanted}:
        raise ValueError("hooks cannot be added without changing what is there")
    return text


def parse_hooks(text: str) -> dict[str, list[dict[str, list[dict[str, str]]]]]:
    """What a configuration of pre-commit says.  ValueError where it is none."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot be read as YAML: {str(error).splitlines()[0]}") from error
    repos = config.get("repos") if isinstance(config, dict) else None
    if not isinstance(repos, list) or not all(isinstance(it, dict) for it in repos):
        raise ValueError("has no list of repositories")
    return dict(config)


def find_end_of_repos(text: str) -> tuple[int, str]:
    """The line behind the last repository of a configuration, and the blanks before its dash."""
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    [repos] = [value for key, value in root.value if key.value == "repos"]
    if repos.flow_style or not repos.value:
        raise ValueError("its repositories stand in brackets: give each lines of its own")
    leaves, stack = [], [repos]
    while stack:
        node = stack.pop()
        inner = node.value if isinstance(node.value, list) else []
        stack += [it for pair in inner for it in (pair if isinstance(pair, tuple) else (pair,))]
        if not inner or node.flow_style:
            leaves.append(node.end_mark)
    last = max(leaves, key=lambda mark: mark.index)
    return last.line + bool(last.column), " " * repos.start_mark.column


JOINED = {".gitignore": merge_gitignore, "pyproject.toml": merge_pyproject, HOOKS: merge_hooks}
