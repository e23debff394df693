"""The first run of the adopted hooks on their code: what they would change, and what is known.

Hooks run in the copy, from a configuration of ours alone: hooks of theirs are not asked again.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlops_ladder.adopt.git import Copy, Refused, split_names, child_environment
from mlops_ladder.adopt.join import HOOK
from mlops_ladder.adopt.tables import TABLES

FIXERS = TABLES["fixers"]
EXCUSED = TABLES["excused"]
BASELINE = "tools/pylint_baseline.json"
UNABLE = 3  # pre-commit's exit code where it could not run at all


@dataclass(frozen=True)
class Finding:
    """What a hook says of their files: those that it would change, those that it cannot pass."""

    hook: str
    changes: list[str]
    fails: list[str]
    printed: str


def run_hook(copy: Copy, line: str, files: Iterable[str] = ()) -> tuple[int, str]:
    """Run one hook on all files, or on some; how it ended and what it printed."""
    config = copy.root.parent / "hooks.yaml"
    config.write_text("repos:\n  - repo: local\n    hooks:\n" + line, encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pre_commit", "run", "--color=never"]
    command += ["--config", str(config)]
    command += ["--files", *files] if files else ["--all-files"]
    text: Any = {"capture_output": True, "text": True, "errors": "replace"}
    done = subprocess.run(command, cwd=copy.root, env=child_environment(), check=False, **text)
    printed = done.stdout + done.stderr
    if done.returncode == UNABLE or "An error has occurred" in printed:
        words = [it.strip() for it in printed.splitlines() if "rror" in it]
        raise Refused(f"the hooks cannot be installed here: {(words or ['no word'])[-1]}")
    return done.returncode, printed


def list_modified(copy: Copy) -> list[str]:
    """The files that differ from what is staged."""
    return split_names(copy.git("diff", "--name-only", "-z", "--no-renames"))


def restore_files(copy: Copy) -> None:
    """The files as they are staged."""
    copy.git("checkout-index", "--all", "--force", "--quiet")


def run_hooks_first(copy: Copy, config: str, ours: Iterable[str], keep: bool) -> list[Finding]:
    """What each hook says of all files; with `keep` they stay as the fixers have made them."""
    found: list[Finding] = []
    shared, past = set(ours), set(list_modified(copy))
    for match in HOOK.finditer(config):
        if match[1] == "pylint-baseline":
            continue
        code, printed = run_hook(copy, match[0])
        changes = set(list_modified(copy)) - past
        fails = set(find_named_files(copy, printed) if code else []) - changes | changes & shared
        found.append(Finding(match[1], sorted(changes - shared), sorted(fails), printed))
        if not keep:
            restore_files(copy)
        elif changes & shared:
            paths = sorted(changes & shared)
            copy.git("checkout-index", "--force", "--quiet", "--", *paths)
        past |= set(list_modified(copy))
    return found


def find_named_files(copy: Copy, printed: str) -> list[str]:
    """The files of theirs that a hook names in what it prints."""
    words = set(re.findall(r"[^\s\"':,()]+", printed)) | set(re.findall(r'"([^"\n]+)"', printed))
    words |= set(re.findall(r"^(?:Private key found: )?(.+?)(?:: .*)?$", printed, re.MULTILINE))
    return sorted(set(copy.list_files()) & words)


def escape_path(name: str) -> str:
    """Return a pattern for a path, without signs of YAML or of our templates."""
    return re.escape(re.sub(r"['\"\[\]%#\s]", "\0", name)).replace("\\\0", ".").replace("\0", ".")


def find_excuses(found: Iterable[Finding]) -> dict[str, str]:
    """The answers that let today's files pass the hooks which nobody but a person can satisfy."""
    return {
        EXCUSED[it.hook]: f"^({'|'.join(map(escape_path, it.fails))})$"
        for it in found
        if it.hook in EXCUSED and it.fails
    }


def record_baseline(copy: Copy, config: str, prefix: str) -> dict[str, bytes]:
    """The baseline of pylint: what it finds in their code today; nothing without that hook."""
    lines = [match[0] for match in HOOK.finditer(config) if match[1] == "pylint-baseline"]
    if not lines:
        return {}
    entry = "tools/pylint_baseline.py"
    code, printed = run_hook(copy, lines[0].replace(entry, f"{entry} --record"))
    path = copy.root / prefix / BASELINE
    if not path.exists():
        if code:
            words = printed.strip().splitlines()
            raise Refused(f"pylint cannot judge this code: {words[-1] if words else 'no word'}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n", encoding="utf-8", newline="\n")
    return {prefix + BASELINE: path.read_bytes()}


def commit_format(copy: Copy, ours: set[str], message: str) -> str:
    """Commit what the fixers have changed, by itself, before ours; empty without a change."""
    changed = [name for name in list_modified(copy) if name not in ours]
    copy.git("read-tree", "HEAD")
    if not changed:
        return ""
    paths = "\0".join(changed).encode("utf-8", "surrogateescape")
    copy.git("add", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=paths)
    return copy.commit(message)
