"""Our files among theirs: added, merged where that only adds, or left out with the reason.

Files that both sides have are never written anew: a block is appended, and what comes out is read
again and has to hold all that was there.  `base` is what an earlier adoption brought: what they have
not changed since then follows the template, what they have changed is theirs.
"""

import fnmatch
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import yaml

RECORD = ".cruft.json"
BASELINE = "tools/pylint_baseline.py"
HOOKS = ".pre-commit-config.yaml"
# Paths that have their place at the top of the repository, also where a folder of it is adopted into.
TOP = (HOOKS, ".github/*", ".gitlab/*", ".gitlab-ci.yml", "renovate.json")
# Hooks that do the same under another name: a repository with one of them needs no second.
SAME = {
    "black": {"black-jupyter", "ruff-format", "yapf", "autopep8", "blue"},
    "ruff-format": {"black", "black-jupyter"},
    "pylint-baseline": {"pylint", "ruff", "ruff-check", "flake8"},
    "ruff-check": {"ruff"},
    "nbstripout": {"nb-clean"},
}
# Files that do the same under another name.
DOES = {
    "renovate.json": ("renovate.json5", ".renovaterc*", ".github/renovate.json*", ".github/dependabot.y*ml"),
    ".github/pull_request_template.md": ("*pull_request_template*",),
    ".gitlab/merge_request_templates/Default.md": (".gitlab/merge_request_templates/*",),
    ".pylintrc": ("pylintrc", ".pylintrc.toml"),
}
HOOK = re.compile(r"^      - \{id: ([\w-]+),.*\n", re.MULTILINE)

Files = dict[str, bytes]


@dataclass
class Merge:
    """What changes, and what was left alone with the reason, by path."""

    changed: Files = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)


def place(name: str, prefix: str, slug: str) -> str:
    """Where a file of ours goes in their repository."""
    if not any(fnmatch.fnmatch(name, pattern) for pattern in TOP):
        return prefix + name
    return name.replace("ci.yml", f"ci-{slug}.yml") if prefix and "workflows/" in name else name


def merge(
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
            joined(found, name, (theirs, content, base.get(name, b"")))
        elif theirs != content:
            found.alone[name] = "a file of yours stands there"
    found.changed = {name: it for name, it in found.changed.items() if it != read(name)}
    hooks = found.changed.get(HOOKS) or read(HOOKS) or b""
    for name in [it for it in found.changed if it.endswith(BASELINE) and BASELINE.encode() not in hooks]:
        del found.changed[name]  # a linter of theirs is a hook already, or no hook could be added
    return found


def joined(found: Merge, name: str, sides: tuple[bytes, bytes, bytes]) -> None:
    """Add to a file of theirs what it lacks; where that cannot be done safely it is left alone."""
    try:
        theirs, ours, base = (side.decode("utf-8") for side in sides)
        plain = theirs.replace("\r\n", "\n")
        if base and base in plain:  # our block, as it was: it follows the template
            text = plain.replace(base, ours)
        else:
            text = JOINED[name.rpartition("/")[2]](plain, ours, base)
        if text != plain:
            found.changed[name] = in_their_lines(theirs, plain, text).encode()
    except UnicodeDecodeError:
        found.alone[name] = "is not UTF-8"
    except ValueError as reason:
        found.alone[name] = str(reason)


def in_their_lines(theirs: str, plain: str, text: str) -> str:
    """What was added to a text, in the text with the line ends that it has, also where they are mixed."""
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


def done_by(name: str, files: Iterable[str]) -> str:
    """The file of theirs that does what one of ours would; empty without one."""
    others = (it for it in files if it.lower() != name and "workflows/" not in it)
    patterns = DOES.get(name, ())
    return next((it for it in others if any(fnmatch.fnmatch(it.lower(), p) for p in patterns)), "")


def appended(text: str, block: str) -> str:
    """A text with a block behind it, an empty line between them."""
    lines = text if not text or text.endswith("\n") else text + "\n"
    return lines + ("\n" if lines.strip() else "") + block


def into_gitignore(theirs: str, ours: str, base: str) -> str:
    """Their .gitignore with the entries that it lacks, at the end."""
    have = {line.strip().strip("/") for line in (theirs + base).splitlines()}
    lacking = [line for line in ours.splitlines() if line.strip("/") not in have]
    return appended(theirs, "\n".join(lacking) + "\n") if lacking else theirs


def into_pyproject(theirs: str, ours: str, base: str) -> str:
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
    block = "\n\n".join(it.strip() for it in tables if table_of(it) in lacking)
    if not block:
        return theirs
    text = appended(theirs, block + "\n")
    try:
        after = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"no table can be added behind what is there: {error}") from error
    if after != before | {"tool": have | {name: wanted[name] for name in lacking}}:
        raise ValueError("a table added at the end would change what is there")
    return text


def table_of(text: str) -> str:
    """The tool that a block of TOML configures."""
    found = re.match(r"\[tool\.([\w-]+)", text)
    return found[1] if found else ""


def lacking_hooks(ours: str, have: Mapping[str, str]) -> list[str]:
    """The lines of our hooks that do nothing which a hook of theirs does already."""
    return [
        match[0]
        for match in HOOK.finditer(ours)
        if not ({match[1]} | SAME.get(match[1], set())) & have.keys()
        or "files: " in match[0]
        and all(value not in ("", files_of(match[0])) for value in have.values())
    ]


def files_of(line: str) -> str:
    """The pattern of the files that a hook of ours looks at; empty where it is all."""
    found = re.search(r"files: '([^']+)'", line)
    return found[1] if found else ""


def into_hooks(theirs: str, ours: str, base: str) -> str:
    """Their .pre-commit-config.yaml with the hooks that it lacks, behind the last one.

    ValueError where it cannot be read, or has no list of repositories in lines of their own.
    """
    before = hooks_config(theirs)
    hooks = [hook for repo in before["repos"] for hook in repo.get("hooks") or []]
    have = {str(hook.get("id")): str(hook.get("files", "")) for hook in hooks}
    known = {match[1] for match in HOOK.finditer(base)}
    lines = [line for line in lacking_hooks(ours, have) if HOOK.match(line)[1] not in known]  # type: ignore[index]
    if not lines:
        return theirs
    at, indent = end_of_repos(theirs)
    block = "  - repo: local\n    hooks:\n" + "".join(lines)
    shifted = re.sub(r"^  ", indent, block, flags=re.MULTILINE)
    rows = theirs.splitlines(keepends=True)
    if rows and not rows[-1].endswith("\n"):
        rows[-1] += "\n"
    text = "".join([*rows[:at], shifted, *rows[at:]])
    wanted = yaml.safe_load("repos:\n" + block)["repos"]
    if hooks_config(text) != before | {"repos": before["repos"] + wanted}:
        raise ValueError("hooks cannot be added without changing what is there")
    return text


def hooks_config(text: str) -> dict[str, list[dict[str, list[dict[str, str]]]]]:
    """What a configuration of pre-commit says.  ValueError where it is none."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot be read as YAML: {str(error).splitlines()[0]}") from error
    repos = config.get("repos") if isinstance(config, dict) else None
    if not isinstance(repos, list) or not all(isinstance(it, dict) for it in repos):
        raise ValueError("has no list of repositories")
    return dict(config)


def end_of_repos(text: str) -> tuple[int, str]:
    """The line behind the last repository of a configuration, and the blanks before its dash."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
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


JOINED = {".gitignore": into_gitignore, "pyproject.toml": into_pyproject, HOOKS: into_hooks}
