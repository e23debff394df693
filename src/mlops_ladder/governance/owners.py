"""The owner of each file of the repository, by CODEOWNERS: `ladder owners [--list]`.

git itself matches the patterns, as they are those of .gitignore.  Ends with 1 if a file has no
owner, an owner has a name that no forge knows, or a pattern matches no file.
"""

import re
import subprocess
import sys
from pathlib import Path

OWNERS = Path("CODEOWNERS")
OWNER = re.compile(r"@[\w.-]+(/[\w.-]+)*|[^@\s]+@[^@\s]+\.[^@\s]+")
Rule = tuple[str, list[str]]


def list_repository_files(*options: str) -> list[str]:
    """Return the files that git tracks, or that the options of `git ls-files` choose.

    Ends the program with git's message if it fails.
    """
    command = ["git", "ls-files", *options, "-z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"git cannot list the files: {done.stderr.strip()}; run: git init")
    return [name for name in done.stdout.split("\0") if name]


def match_pattern(pattern: str) -> list[str]:
    """Return the tracked files that a pattern matches."""
    return list_repository_files("--cached", "--ignored", f"--exclude={pattern}")


def parse_rules(text: str) -> list[Rule]:
    """Return the patterns in order, each with its owners, without comments and sections."""
    lines = (re.sub(r"(^|\s)#.*", "", line).split() for line in text.splitlines())
    return [(words[0], words[1:]) for words in lines if words and words[0][0] not in "[^"]


def find_owners(rules: list[Rule]) -> dict[str, list[str]]:
    """Return the owners of each tracked file; none if no pattern matches it."""
    owners: dict[str, list[str]] = {name: [] for name in list_repository_files()}
    for pattern, names in rules:
        owners |= dict.fromkeys(match_pattern(pattern), names)
    return owners


def find_owner_faults(rules: list[Rule], owners: dict[str, list[str]]) -> list[str]:
    """Return a line for each fault."""
    pairs = [(pattern, name) for pattern, names in rules for name in names]
    wrong = [(pattern, name) for pattern, name in pairs if not OWNER.fullmatch(name)]
    message = "is no @name and no e-mail address"
    faults = [f"{OWNERS}: {pattern}: {name!r} {message}" for pattern, name in wrong]
    unused = [pattern for pattern, _ in rules if not match_pattern(pattern)]
    faults += [f"{OWNERS}: {pattern}: fits no file" for pattern in unused]
    return faults + [f"{name}: nobody owns it" for name, names in owners.items() if not names]


def main(arguments: list[str]) -> None:
    """List every file with its owners, or only the faults."""
    if not OWNERS.exists():
        sys.exit(f"{OWNERS}: not here; a line `* you@example.com` in it owns all")
    rules = parse_rules(OWNERS.read_text(encoding="utf-8"))
    owners = find_owners(rules)
    if "--list" in arguments:
        width = max(map(len, owners), default=0)
        print("\n".join(f"{name:{width}}  {' '.join(names)}" for name, names in owners.items()))
    if faults := find_owner_faults(rules, owners):
        sys.exit("\n".join(faults[:20]) + f"\n{len(faults)} faults; put them right in {OWNERS}")
    people = {name for names in owners.values() for name in names}
    print(f"{OWNERS}: {len(owners)} files, each owned, by {len(people)} in all")
