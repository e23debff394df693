"""Files that both sides have: what theirs lacks is added, and the result is read again."""

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
    """Return a text with a block behind it, with an empty line between them."""
    lines = text if not text or text.endswith("\n") else text + "\n"
    return lines + ("\n" if lines.strip() else "") + block


def merge_gitignore(theirs: str, ours: str, base: str) -> str:
    """Return their .gitignore with the entries that it lacks at the end."""
    have = {line.strip().strip("/") for line in (theirs + base).splitlines()}
    lacking = [line for line in ours.splitlines() if line.strip("/") not in have]
    return append_block(theirs, "\n".join(lacking) + "\n") if lacking else theirs


def merge_pyproject(theirs: str, ours: str, base: str) -> str:
    """Return their pyproject.toml with the tool tables that it lacks at the end.

    Raise ValueError if it cannot be read, or if a table cannot be added at the end.
    """
    try:
        before, tools = tomllib.loads(theirs), tomllib.loads(ours)["tool"]
        earlier = tomllib.loads(base).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"cannot be read as TOML: {error}") from error
    except KeyError:
        return theirs
    have = before.get("tool", {})
    lacking = {name for name in tools if name not in have and name not in earlier}
    tables = re.split(r"\n(?=\[)", ours.strip())
    block = "\n\n".join(table.strip() for table in tables if find_tool_name(table) in lacking)
    if not block:
        return theirs
    text = append_block(theirs, block + "\n")
    try:
        after = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"no table can be added behind what is there: {error}") from error
    if after != before | {"tool": have | {name: tools[name] for name in lacking}}:
        raise ValueError("a table added at the end would change what is there")
    return text


def find_tool_name(text: str) -> str:
    """Return the tool that a block of TOML configures; empty without one."""
    match = re.match(r"\[tool\.([\w-]+)", text)
    return match[1] if match else ""


def find_lacking_hooks(ours: str, have: Mapping[str, str]) -> list[str]:
    """Return the lines of our hooks that do not duplicate one of their hooks."""
    return [
        match[0]
        for match in HOOK.finditer(ours)
        if not ({match[1]} | SAME.get(match[1], set())) & have.keys()
        or "files: " in match[0]
        and all(value not in ("", find_hook_files(match[0])) for value in have.values())
    ]


def find_hook_id(line: str) -> str:
    """Return the id of one of our hooks; empty if the line is none."""
    match = HOOK.match(line)
    return match[1] if match else ""


def find_hook_files(line: str) -> str:
    """Return the pattern of the files that one of our hooks reads; empty if it reads all."""
    match = re.search(r"files: '([^']+)'", line)
    return match[1] if match else ""


def merge_hooks(theirs: str, ours: str, base: str) -> str:
    """Return their .pre-commit-config.yaml with the hooks that it lacks behind the last one.

    Raise ValueError if it cannot be read, or has no list of repositories in separate lines.
    """
    before = parse_hooks(theirs)
    hooks = [hook for repo in before["repos"] for hook in repo.get("hooks") or []]
    have = {str(hook.get("id")): str(hook.get("files", "")) for hook in hooks}
    earlier = {find_hook_id(match[0]) for match in HOOK.finditer(base)}
    lines = [line for line in find_lacking_hooks(ours, have) if find_hook_id(line) not in earlier]
    if not lines:
        return theirs
    at, indent = find_end_of_repos(theirs)
    block = "  - repo: local\n    hooks:\n" + "".join(lines)
    shifted = re.sub(r"^  ", indent, block, flags=re.MULTILINE)
    rows = theirs.splitlines(keepends=True)
    if rows and not rows[-1].endswith("\n"):
        rows[-1] += "\n"
    text = "".join([*rows[:at], shifted, *rows[at:]])
    repos = yaml.safe_load("repos:\n" + block)["repos"]
    if parse_hooks(text) != before | {"repos": before["repos"] + repos}:
        raise ValueError("hooks cannot be added without changing what is there")
    return text


def parse_hooks(text: str) -> dict[str, list[dict[str, list[dict[str, str]]]]]:
    """Return a parsed configuration of pre-commit.  Raise ValueError if it is none."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot be read as YAML: {str(error).splitlines()[0]}") from error
    repos = config.get("repos") if isinstance(config, dict) else None
    if not isinstance(repos, list) or not all(isinstance(repo, dict) for repo in repos):
        raise ValueError("has no list of repositories")
    return dict(config)


def find_end_of_repos(text: str) -> tuple[int, str]:
    """Return the line after the last repository of a configuration, and its indentation."""
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    [repos] = [value for key, value in root.value if key.value == "repos"]
    if repos.flow_style or not repos.value:
        raise ValueError("its repositories stand in brackets: give each lines of its own")
    leaves, stack = [], [repos]
    while stack:
        node = stack.pop()
        inner = node.value if isinstance(node.value, list) else []
        stack += [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
        if not inner or node.flow_style:
            leaves.append(node.end_mark)
    last = max(leaves, key=lambda mark: mark.index)
    return last.line + bool(last.column), " " * repos.start_mark.column


JOINED = {".gitignore": merge_gitignore, "pyproject.toml": merge_pyproject, HOOKS: merge_hooks}
