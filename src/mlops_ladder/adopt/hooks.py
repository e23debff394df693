"""The first run of the adopted hooks on their code: what they would change, and what fails.

Hooks run in the copy, from our configuration alone: their own hooks are not run again.
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
UNABLE = 3  # pre-commit's exit code if it could not run at all


@dataclass(frozen=True)
class Finding:
    """The result of a hook on their files: those that it would change, those that fail it."""

    hook: str
    changes: list[str]
    fails: list[str]
    printed: str


def run_hook(copy: Copy, line: str, files: Iterable[str] = ()) -> tuple[int, str]:
    """Run one hook on all files, or on some; return its exit code and its output."""
    config = copy.root.parent / "hooks.yaml"
    config.write_text("repos:\n  - repo: local\n    hooks:\n" + line, encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pre_commit", "run", "--color=never"]
    command += ["--config", str(config)]
    command += ["--files", *files] if files else ["--all-files"]
    text: Any = {"capture_output": True, "text": True, "errors": "replace"}
    result = subprocess.run(command, cwd=copy.root, env=child_environment(), check=False, **text)
    printed = result.stdout + result.stderr
    if result.returncode == UNABLE or "An error has occurred" in printed:
        words = [row.strip() for row in printed.splitlines() if "rror" in row]
        raise Refused(f"the hooks cannot be installed here: {(words or ['no word'])[-1]}")
    return result.returncode, printed


def list_modified(copy: Copy) -> list[str]:
    """Return the files that differ from what is staged."""
    return split_names(copy.git("diff", "--name-only", "-z", "--no-renames"))


def restore_files(copy: Copy) -> None:
    """Write the files as they are staged."""
    copy.git("checkout-index", "--all", "--force", "--quiet")


def run_hooks_first(copy: Copy, config: str, ours: Iterable[str], keep: bool) -> list[Finding]:
    """Return the result of each hook on all files; with `keep`, the changes of fixers stay."""
    findings: list[Finding] = []
    shared, past = set(ours), set(list_modified(copy))
    for match in HOOK.finditer(config):
        if match[1] == "pylint-baseline":
            continue
        code, printed = run_hook(copy, match[0])
        changes = set(list_modified(copy)) - past
        fails = set(find_named_files(copy, printed) if code else []) - changes | changes & shared
        findings.append(Finding(match[1], sorted(changes - shared), sorted(fails), printed))
        if not keep:
            restore_files(copy)
        elif changes & shared:
            paths = sorted(changes & shared)
            copy.git("checkout-index", "--force", "--quiet", "--", *paths)
        past |= set(list_modified(copy))
    return findings


def find_named_files(copy: Copy, printed: str) -> list[str]:
    """Return their files that a hook names in its output."""
    words = set(re.findall(r"[^\s\"':,()]+", printed)) | set(re.findall(r'"([^"\n]+)"', printed))
    words |= set(re.findall(r"^(?:Private key found: )?(.+?)(?:: .*)?$", printed, re.MULTILINE))
    return sorted(set(copy.list_files()) & words)


def escape_path(name: str) -> str:
    """Return a pattern for a path, without special characters of YAML or of our templates."""
    return re.escape(re.sub(r"['\"\[\]%#\s]", "\0", name)).replace("\\\0", ".").replace("\0", ".")


def find_excuses(findings: Iterable[Finding]) -> dict[str, str]:
    """Return the answers that exclude today's files from hooks that only a person can satisfy."""
    return {
        EXCUSED[finding.hook]: f"^({'|'.join(map(escape_path, finding.fails))})$"
        for finding in findings
        if finding.hook in EXCUSED and finding.fails
    }


def record_baseline(copy: Copy, config: str, prefix: str) -> dict[str, bytes]:
    """Return the baseline of pylint's findings in their code of today; {} without that hook."""
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
    """Commit the changes of the fixers, and return the commit; an empty string without changes."""
    changed = [name for name in list_modified(copy) if name not in ours]
    copy.git("read-tree", "HEAD")
    if not changed:
        return ""
    paths = "\0".join(changed).encode("utf-8", "surrogateescape")
    copy.git("add", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=paths)
    return copy.commit(message)
