"""Who owns each file of the repository, by CODEOWNERS: `ladder owners [--list]`.

git itself matches the patterns, as they are those of .gitignore.  Ends with 1 where a file has no
owner, a line names nobody that a forge could know, or a pattern fits no file.
"""

import re
import subprocess
import sys
from pathlib import Path

OWNERS = Path("CODEOWNERS")
OWNER = re.compile(r"@[\w.-]+(/[\w.-]+)*|[^@\s]+@[^@\s]+\.[^@\s]+")
Rule = tuple[str, list[str]]


def git(*arguments: str) -> list[str]:
    """The names that git answers.  SystemExit with its last words where it refuses."""
    done = subprocess.run(["git", *arguments, "-z"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{OWNERS}: git cannot list the files: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name]


def rules(text: str) -> list[Rule]:
    """The patterns in their order, each with its owners; comments and sections are left out."""
    lines = (re.sub(r"(^|\s)#.*", "", line).split() for line in text.splitlines())
    return [(words[0], words[1:]) for words in lines if words and words[0][0] not in "[^"]


def owned(found: list[Rule]) -> dict[str, list[str]]:
    """The owners of each file that git tracks; none where no pattern fits it."""
    owner: dict[str, list[str]] = {name: [] for name in git("ls-files")}
    for pattern, names in found:
        for name in fitting(pattern):
            owner[name] = names
    return owner


def fitting(pattern: str) -> list[str]:
    """The files that git tracks and a pattern fits."""
    return git("ls-files", "--cached", "--ignored", f"--exclude={pattern}")


def faults(found: list[Rule], owner: dict[str, list[str]]) -> list[str]:
    """A line for each thing that is wrong."""
    wrong = [
        f"{OWNERS}: {pattern}: {name!r} is no @name and no e-mail address"
        for pattern, names in found
        for name in names
        if not OWNER.fullmatch(name)
    ]
    wrong += [f"{OWNERS}: {pattern}: fits no file" for pattern, _ in found if not fitting(pattern)]
    return wrong + [f"{name}: nobody owns it" for name, names in owner.items() if not names]


def main(arguments: list[str]) -> None:
    """List every file with its owners, or only what is wrong."""
    if not OWNERS.exists():
        sys.exit(f"{OWNERS}: not here; a line `* you@example.com` in it owns all")
    found = rules(OWNERS.read_text(encoding="utf-8"))
    owner = owned(found)
    if "--list" in arguments:
        width = max(map(len, owner), default=0)
        print("\n".join(f"{name:{width}}  {' '.join(names)}" for name, names in owner.items()))
    if wrong := faults(found, owner):
        sys.exit("\n".join(wrong[:20]) + f"\n{len(wrong)} faults; put them right in {OWNERS}")
    people = {name for names in owner.values() for name in names}
    print(f"{OWNERS}: {len(owner)} files, each owned, by {len(people)} in all")
