"""Bring hooks, CI and review rules to a repository that we did not make: one commit on a branch.

make adopt REPO=path CAPABILITIES="repo.vcs ci.tests", or from anywhere:
uvx --from path/or/git+URL mlops-ladder adopt FOLDER repo.vcs ci.tests

Their checked-out files, index and configuration stay as they are.  Without capabilities it lists
what the repository can have.  See docs/adopting.md.
"""

import argparse
import os
import re
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from mlops_ladder.adopt.answers import collect_answers, find_forge, read_record
from mlops_ladder.adopt.ci import find_statuses, find_test_runners, format_required
from mlops_ladder.adopt.facts import Facts
from mlops_ladder.adopt.git import Copy, Refused, Theirs, ask_git, copy_repository, open_repository
from mlops_ladder.adopt.hooks import (
    EXCUSED,
    find_excuses,
    run_hooks_first,
    commit_format,
    record_baseline,
)
from mlops_ladder.adopt.join import HOOK, HOOKS
from mlops_ladder.adopt.merge import RECORD, Merge, find_equivalent, merge_files, place_file
from mlops_ladder.adopt.offers import choose_capabilities, list_offers
from mlops_ladder.adopt.render import (
    Answers,
    render_base,
    read_recorded_answers,
    find_origin,
    render_files,
)
from mlops_ladder.adopt.report import (
    Result,
    describe_ending,
    describe_offers,
    describe_nothing,
    describe_facts,
    describe_result,
)
from mlops_ladder.adopt.trial import run_tests_of_ci

BRANCH = "mlops-adopt"
FOLDER, FILES = "040000", ("100644", "100755")  # the modes of git
WORKFLOWS = ".github/workflows/"
REVISIONS = ".git-blame-ignore-revs"


def options(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="adopt", description=str(__doc__).split("\n", maxsplit=1)[0]
    )
    parser.add_argument("folder", type=Path, help="the repository, or a folder of it")
    parser.add_argument("capabilities", nargs="*", help="such as repo.vcs ci.tests; without: list")
    parser.add_argument("--level", type=int, choices=range(5), help="all that fits up to a level")
    parser.add_argument("--branch", default=BRANCH, help=f"the new branch (default: {BRANCH})")
    parser.add_argument(
        "--ci", dest="forge", choices=("github", "gitlab"), default="", help="default: the remote"
    )
    parser.add_argument(
        "--format", action="store_true", help="format the code, as a commit of its own"
    )
    parser.add_argument(
        "--try", dest="trial", action="store_true", help="first run what CI would run"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="agree to running tools, and with --try tests, on this code",
    )
    asked = parser.parse_args(arguments)
    asked.capabilities = " ".join(asked.capabilities)
    return asked


def refuse_branch(theirs: Theirs, branch: str) -> None:
    """Refuse a branch that is there, or that git does not take."""
    if ask_git(theirs.top, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"):
        way = f"merge it, delete it (git branch -D {branch}), or BRANCH=another"
        raise Refused(f"{branch}: there is such a branch: {way}")
    if not ask_git(theirs.top, "check-ref-format", "--branch", branch):
        raise Refused(f"{branch!r}: no name for a branch")


HOOKS_RUN = (
    "repo.vcs runs the hooks once on this code; pylint and flake8 load the plugins, and pylint the "
    "init-hook, that its configuration names"
)
TRIAL_RUNS = "TRY=yes installs its requirements, builds its package and runs its tests"


def ask_agreement(asked: argparse.Namespace, actions: list[str]) -> None:
    """Ask before anything that can run their code.  Refused without a yes, with nothing changed."""
    if asked.yes or not actions:
        return
    said = "; ".join(actions)
    if not sys.stdin.isatty():
        way = "if you trust this repository, YES=yes (--yes); if not, leave that out"
        raise Refused(f"{said}: {way}")
    print(f"{said}.  All of that can run code of this repository.", file=sys.stderr)
    print("Run it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("not agreed: nothing is run, and nothing is changed")


def find_blocked(copy: Copy, names: list[str]) -> dict[str, str]:
    """Our paths that something else than a committed file of theirs stands in the way of."""
    found = {}
    for name in names:
        mode, above = copy.read_mode(name), Path(name).parents
        if {copy.read_mode(str(it)) for it in above if str(it) != "."} - {"", FOLDER}:
            found[name] = "a file, a link or a submodule stands where its folder would be"
        elif mode and mode not in FILES:
            found[name] = "a folder, a link or a submodule stands there"
        elif not mode and os.path.lexists(copy.theirs.top / name):
            found[name] = "a file that is not committed stands there"
        elif not mode and (other := find_equivalent(name, copy.list_files())):
            found[name] = f"{other} does it already"
    return found


class Adoption:
    """One adoption, in a copy of their commit."""

    def __init__(self, asked: argparse.Namespace, copy: Copy) -> None:
        self.asked, self.copy = asked, copy
        self.facts = Facts(copy.root, copy.theirs.prefix, tuple(copy.list_files()))
        self.forge = find_forge(asked.forge, copy.theirs.remote, self.facts)
        self.record = read_record(self.facts)
        self.offers = list_offers(self.facts, self.forge[0])

    def names(self) -> list[str]:
        """What is asked for and what was adopted before, in the order of the levels."""
        before = read_recorded_answers(self.record).get("capabilities", "").split()
        wanted = choose_capabilities(self.offers, self.asked.capabilities, self.asked.level)
        return [name for name in self.offers if name in {*before, *wanted}]

    def merge_all(self, answers: Answers) -> Merge:
        """What our files for these answers change in theirs."""
        base = render_base(self.record, self.facts.prefix)
        answers["required_checks"] = ""
        for _ in range(2):  # the branch rules name what the workflows report, once those are known
            ours = render_files(answers, find_origin(), self.facts.prefix)
            found = merge_files(
                ours, base, self.copy.read_blob, find_blocked(self.copy, list(ours))
            )
            answers["required_checks"] = format_required(self.statuses(found, answers["branch"]))
        return found

    def statuses(self, found: Merge, branch: str) -> list[str]:
        """The checks that the workflows, theirs and ours, report on each pull request."""
        texts = {name: it for name, it in self.facts.pipelines.items() if WORKFLOWS in name}
        texts |= {name: it.decode() for name, it in found.changed.items() if WORKFLOWS in name}
        own = place_file(f"{WORKFLOWS}ci.yml", self.facts.prefix, "*")
        come = read_recorded_answers(self.record).get("jobs") or set(texts) - set(
            self.facts.pipelines
        )
        ours = {name: it for name, it in texts.items() if come and fnmatch(name, own)}
        return find_statuses(ours, branch) or find_statuses(texts, branch)

    def hooks(self, answers: Answers, found: Merge) -> str:
        """The hooks that come, a line each: of ours those which theirs do not do already."""
        lines = (
            render_files(answers, find_origin(), "")
            .get(HOOKS, b"")
            .decode()
            .splitlines(keepends=True)
        )
        after = found.changed.get(HOOKS, b"").decode("utf-8", "replace")
        there = {
            line.strip()
            for line in (self.copy.read_blob(HOOKS) or b"").decode("utf-8", "replace").split("\n")
        }
        come = {line.strip() for line in after.splitlines()} - there
        return "".join(line for line in lines if HOOK.match(line) and line.strip() in come)

    def make_commit(self, names: list[str]) -> Result:
        """The commit in the copy, with FORMAT another one before it; none where nothing changes."""
        before = read_recorded_answers(self.record)
        answers = collect_answers(self.copy, self.facts, self.forge[0], names, before)
        answers |= {name: before[name] for name in EXCUSED.values() if name in before}
        found = self.merge_all(answers)
        if set(found.changed) <= {self.facts.prefix + RECORD}:
            return Result(found)
        result, extra, hooks = Result(found), {}, self.hooks(answers, found)
        asked = self.asked.trial and "tests" in answers["jobs"].split()
        ask_agreement(self.asked, [HOOKS_RUN] * bool(hooks) + [TRIAL_RUNS] * asked)
        if hooks:
            self.copy.stage(found.changed)
            findings = run_hooks_first(self.copy, hooks, found.changed, self.asked.format)
            answers |= find_excuses(findings)
            style = commit_format(self.copy, set(found.changed), STYLE) if self.asked.format else ""
            result = Result(self.merge_all(answers), findings, style)
            self.copy.stage(result.merge.changed)
            extra = record_baseline(self.copy, hooks, self.facts.prefix)
        result.merge.changed |= extra | self.revisions(result.style)
        self.copy.stage(result.merge.changed)
        notes = self.notes(names, answers, asked)
        commit = self.copy.commit(write_message(names, result.merge, notes))
        trial = run_tests_of_ci(self.copy, answers) if asked else ""
        return replace(result, commit=commit, trial=trial, notes=notes)

    def revisions(self, style: str) -> dict[str, bytes]:
        """The file that has `git blame` pass over the commit of the format; none without one."""
        lines = self.copy.read_blob(REVISIONS) or b""
        more = f"# {STYLE.splitlines()[0]}\n{style}\n".encode()
        return {REVISIONS: lines + more} if style else {}

    def notes(self, names: list[str], answers: Answers, is_tried: bool) -> list[str]:
        """What the commit and the answer say of the jobs of CI: not tried, skipped, not needed."""
        jobs, found = answers["jobs"].split(), find_test_runners(self.facts)
        unready, scripts = answers["unready_hooks"], ", ".join(self.facts.uncallable)
        rows = {
            "Not tried: the job tests.  TRY=yes (--try) runs it first.": "tests" in jobs
            and not is_tried,
            f"No job for tests comes: {', '.join(found)} runs them.": "ci.tests" in names
            and "tests" not in jobs,
            f"Skipped in the job hooks, which does not have what they need: {unready}.": bool(
                unready
            )
            and "hooks" in jobs,
            f"Not run: {scripts}: the functions need arguments that no fixture gives.": bool(
                scripts
            )
            and "tests" in jobs,
        }
        return [text for text, is_so in rows.items() if is_so]


STYLE = "Format the code\n\nWhat the adopted hooks change in every file, and nothing else."


def write_message(names: list[str], found: Merge, notes: list[str]) -> str:
    """The words of the commit: what came, what was left alone and why, and what was not tried."""
    rows = [f"- {name}: {why}" for name, why in found.alone.items()]
    left = ["", "Left alone:", *rows] if rows else []
    left += ["", *notes] if notes else []
    return "\n".join([f"Adopt {', '.join(names)}", *left, ""])


def adopt(asked: argparse.Namespace) -> str:
    """Adopt; what there is to say of it.  Refused where it cannot be done, with nothing changed."""
    theirs = open_repository(asked.folder)
    wants = asked.level is not None or asked.capabilities.strip()
    if wants:
        refuse_branch(theirs, asked.branch)
    with copy_repository(theirs) as copy:
        adoption = Adoption(asked, copy)
        if adoption.facts.layout == "no Python":
            raise Refused(f"{asked.folder}: no Python in it: neither a module nor a notebook")
        before = read_recorded_answers(adoption.record).get("capabilities", "").split()
        if not wants:
            return describe_offers(adoption.facts, adoption.offers, before)
        names, facts = adoption.names(), describe_facts(adoption.facts, *adoption.forge)
        result = adoption.make_commit(names)
        if result.commit:
            copy.deliver(asked.branch)
        parts = [facts, *describe_result(result, copy, adoption.offers)]
        parts += (
            describe_ending(result, theirs, asked.branch)
            if result.commit
            else [describe_nothing(names)]
        )
        return "\n\n".join(parts)


def main(arguments: list[str]) -> None:
    """Adopt as the command line says; a refusal goes to standard error, and ends with 1."""
    try:
        print(adopt(options(arguments)))
    except Refused as refusal:
        sys.exit(re.sub(r"\s*\n\s*", "; ", str(refusal)))
