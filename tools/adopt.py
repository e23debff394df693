"""Bring hooks, CI and review rules to a repository that we did not make: one commit on a branch.

make adopt REPO=path CAPABILITIES="repo.vcs ci.tests", or from anywhere:
uvx --from path/or/git+URL mlops-adopt FOLDER repo.vcs ci.tests

Their checked-out files, index and configuration stay as they are.  Without capabilities it lists what
the repository can have.  See docs/adopting.md.
"""

import argparse
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from adopt_answers import Origin, answered, based, forge_of, origin, record_of, render
from adopt_facts import Facts
from adopt_git import Copy, Refused, Theirs, answer, copied, opened
from adopt_hooks import Finding, excuses, first_run, formatted, recorded
from adopt_merge import HOOKS, RECORD, Files, Merge, done_by, into_hooks, merge
from adopt_offers import chosen, offers
from adopt_report import listed, told
from adopt_trial import tried

BRANCH = "mlops-adopt"
REVISIONS = ".git-blame-ignore-revs"


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    folder: Path
    capabilities: str
    level: int | None = None
    branch: str = BRANCH
    forge: str = ""
    format: bool = False
    trial: bool = False


def options(arguments: list[str] | None = None) -> Asked:
    """The command line, read."""
    parser = argparse.ArgumentParser(
        prog="mlops-adopt", description=str(__doc__).split("\n", maxsplit=1)[0]
    )
    parser.add_argument("folder", type=Path, help="the repository, or a folder of it")
    parser.add_argument("capabilities", nargs="*", help="such as repo.vcs ci.tests; without: list")
    parser.add_argument("--level", type=int, choices=range(5), help="all that fits up to a level")
    parser.add_argument("--branch", default=BRANCH, help=f"the new branch (default: {BRANCH})")
    parser.add_argument("--ci", choices=("github", "gitlab"), default="", help="default: the remote")
    parser.add_argument("--format", action="store_true", help="format the code, as a commit of its own")
    parser.add_argument("--try", dest="trial", action="store_true", help="first run what CI would run")
    it = parser.parse_args(arguments)
    names = " ".join(it.capabilities)
    return Asked(it.folder, names, it.level, it.branch, it.ci, it.format, it.trial)


def refuse_branch(theirs: Theirs, branch: str) -> None:
    """Refuse a branch that is there, or that git does not take."""
    if answer(theirs.top, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"):
        way = f"merge it, delete it (git branch -D {branch}), or BRANCH=another"
        raise Refused(f"{branch}: there is such a branch: {way}")
    if not answer(theirs.top, "check-ref-format", "--branch", branch):
        raise Refused(f"{branch!r}: no name for a branch")


def blocked(theirs: Theirs, copy: Copy, names: list[str]) -> dict[str, str]:
    """Our paths that something else than a committed file of theirs stands in the way of."""
    found = {}
    for name in names:
        tracked = copy.blob(name) is not None
        above = [copy.root / parent for parent in Path(name).parents if str(parent) != "."]
        if any(it.is_symlink() or it.is_file() for it in above) or (copy.root / name).is_symlink():
            found[name] = "a link, or no folder, stands there"
        elif not tracked and os.path.lexists(theirs.top / name):
            found[name] = "a file that is not committed stands there"
        elif not tracked and (copy.root / name).is_dir():
            found[name] = "a folder of yours stands there"
        elif not tracked and (other := done_by(name, copy.listed())):
            found[name] = f"{other} does it already"
    return found


class Adoption:
    """One adoption, in a copy of their commit."""

    def __init__(self, asked: Asked, theirs: Theirs, copy: Copy) -> None:
        self.asked, self.theirs, self.copy = asked, theirs, copy
        self.facts = Facts(copy.root, theirs.prefix, tuple(copy.listed()))
        self.forge, self.forge_by = forge_of(asked.forge, theirs.remote, self.facts)
        self.record = record_of(self.facts)
        self.offers = offers(self.facts, self.forge)
        self.findings: list[Finding] = []
        self.trial = ""

    def merged(self, answers: dict[str, str], source: Origin, base: Files) -> Merge:
        """What our files for these answers change in theirs."""
        ours = render(answers, source, self.theirs.prefix)
        return merge(ours, base, self.copy.blob, blocked(self.theirs, self.copy, list(ours)))

    def hooks(self, answers: dict[str, str], source: Origin) -> str:
        """The lines of the hooks that come: of ours those which theirs do not do already."""
        ours = render(answers, source, self.theirs.prefix).get(HOOKS, b"").decode()
        theirs = (self.copy.blob(HOOKS) or b"").decode("utf-8", "replace").replace("\r\n", "\n")
        if not theirs or not ours:
            return ours
        try:
            added = set(into_hooks(theirs, ours, "").splitlines()) - set(theirs.splitlines())
        except ValueError:
            return ""
        lines = (line for line in ours.splitlines() if line.strip() in {it.strip() for it in added})
        return "".join(line + "\n" for line in lines)

    def made(self, names: list[str]) -> tuple[Merge, str, str]:
        """The commit, or two with FORMAT, in the copy; what changed, and both commits."""
        source = origin()
        answers = answered(self.facts, self.theirs, self.copy, self.forge, names, self.record)
        base = based(self.record, self.theirs.prefix)
        found = self.merged(answers, source, base)
        if set(found.changed) <= {self.theirs.prefix + RECORD}:
            return found, "", ""
        style, extra = "", {}
        if hooks := self.hooks(answers, source) if "repo.vcs" in names else "":
            self.copy.stage(found.changed)
            self.findings = first_run(self.copy, hooks, found.changed, self.asked.format)
            answers |= excuses(self.findings)
            if self.asked.format:
                style = formatted(self.copy, set(found.changed), STYLE)
            found = self.merged(answers, source, base)
            self.copy.stage(found.changed)
            extra = recorded(self.copy, hooks, self.theirs.prefix)
        if style:
            lines = self.copy.blob(REVISIONS) or b""
            extra[REVISIONS] = lines + f"# {STYLE.splitlines()[0]}\n{style}\n".encode()
        found.changed |= extra
        self.copy.stage(found.changed)
        commit = self.copy.commit(message(names, found))
        if self.asked.trial and "tests" in answers["jobs"].split():
            self.trial = tried(self.copy, answers)
        return found, commit, style


STYLE = "Format the code\n\nWhat the adopted hooks change in every file, and nothing else."


def message(names: list[str], found: Merge) -> str:
    """The words of the commit: what came, what was left alone and why."""
    rows = [f"- {name}: {why}" for name, why in found.alone.items()]
    return "\n".join([f"Adopt {', '.join(names)}", *(["", "Left alone:", *rows] if rows else []), ""])


def adopt(asked: Asked) -> str:
    """Adopt; what there is to say of it.  Refused where it cannot be done, with nothing changed."""
    theirs = opened(asked.folder)
    wants = asked.level is not None or asked.capabilities.strip()
    if wants:
        refuse_branch(theirs, asked.branch)
    with copied(theirs) as copy:
        adoption = Adoption(asked, theirs, copy)
        if adoption.facts.layout == "no Python":
            raise Refused(f"{asked.folder}: no Python in it: neither a module nor a notebook")
        if not wants:
            return listed(adoption.facts, adoption.offers, adoption.record)
        before = adoption.record.get("capabilities", "").split()
        asked_for = chosen(adoption.offers, asked.capabilities, asked.level)
        names = [it for it in adoption.offers if it in {*before, *asked_for}]
        found, commit, style = adoption.made(names)
        if commit:
            copy.deliver(asked.branch)
        return told(adoption, names, found, commit, style)


def main() -> None:
    """Adopt as the command line says; a refusal goes to standard error, and ends with 1."""
    try:
        print(adopt(options()))
    except Refused as refusal:
        sys.exit(re.sub(r"\s*\n\s*", "; ", str(refusal)))


if __name__ == "__main__":
    main()
