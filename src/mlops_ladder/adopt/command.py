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
    args = parser.parse_args(arguments)
    args.capabilities = " ".join(args.capabilities)
    return args


def refuse_branch(theirs: Theirs, branch: str) -> None:
    """Raise Refused if the branch exists, or if git does not accept its name."""
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


def ask_agreement(args: argparse.Namespace, actions: list[str]) -> None:
    """Ask before actions that can run their code.  Raise Refused if the answer is not yes."""
    if args.yes or not actions:
        return
    summary = "; ".join(actions)
    if not sys.stdin.isatty():
        way = "if you trust this repository, YES=yes (--yes); if not, leave that out"
        raise Refused(f"{summary}: {way}")
    print(f"{summary}.  All of that can run code of this repository.", file=sys.stderr)
    print("Run it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("not agreed: nothing is run, and nothing is changed")


def find_blocked(copy: Copy, names: list[str]) -> dict[str, str]:
    """Return our paths that something other than a committed file blocks, each with the reason."""
    reasons = {}
    for name in names:
        mode, above = copy.read_mode(name), Path(name).parents
        if {copy.read_mode(str(path)) for path in above if str(path) != "."} - {"", FOLDER}:
            reasons[name] = "a file, a link or a submodule stands where its folder would be"
        elif mode and mode not in FILES:
            reasons[name] = "a folder, a link or a submodule stands there"
        elif not mode and os.path.lexists(copy.theirs.top / name):
            reasons[name] = "a file that is not committed stands there"
        elif not mode and (other := find_equivalent(name, copy.list_files())):
            reasons[name] = f"{other} does it already"
    return reasons


class Adoption:
    """One adoption, in a copy of their commit."""

    def __init__(self, args: argparse.Namespace, copy: Copy) -> None:
        self.args, self.copy = args, copy
        self.facts = Facts(copy.root, copy.theirs.prefix, tuple(copy.list_files()))
        self.forge = find_forge(args.forge, copy.theirs.remote, self.facts)
        self.record = read_record(self.facts)
        self.offers = list_offers(self.facts, self.forge[0])

    def names(self) -> list[str]:
        """Return the requested and the earlier capabilities, in the order of the levels."""
        before = read_recorded_answers(self.record).get("capabilities", "").split()
        choices = choose_capabilities(self.offers, self.args.capabilities, self.args.level)
        return [name for name in self.offers if name in {*before, *choices}]

    def merge_all(self, answers: Answers) -> Merge:
        """Return the changes that our files for these answers make in their repository."""
        base = render_base(self.record, self.facts.prefix)
        answers["required_checks"] = ""
        for _ in range(2):  # the branch rules name checks that the first pass finds
            ours = render_files(answers, find_origin(), self.facts.prefix)
            blocked = find_blocked(self.copy, list(ours))
            merge = merge_files(ours, base, self.copy.read_blob, blocked)
            answers["required_checks"] = format_required(self.statuses(merge, answers["branch"]))
        return merge

    def statuses(self, merge: Merge, branch: str) -> list[str]:
        """Return the checks that their workflows and ours report on each pull request."""
        texts = {name: text for name, text in self.facts.pipelines.items() if WORKFLOWS in name}
        texts |= {name: text.decode() for name, text in merge.changed.items() if WORKFLOWS in name}
        own = place_file(f"{WORKFLOWS}ci.yml", self.facts.prefix, "*")
        before = read_recorded_answers(self.record).get("jobs")
        come = before or set(texts) - set(self.facts.pipelines)
        ours = {name: text for name, text in texts.items() if come and fnmatch(name, own)}
        return find_statuses(ours, branch) or find_statuses(texts, branch)

    def hooks(self, answers: Answers, merge: Merge) -> str:
        """Return the lines of our hooks that are added; a hook that duplicates theirs is not."""
        ours = render_files(answers, find_origin(), "").get(HOOKS, b"").decode()
        before = (self.copy.read_blob(HOOKS) or b"").decode("utf-8", "replace")
        after = merge.changed.get(HOOKS, b"").decode("utf-8", "replace")
        there = {line.strip() for line in before.split("\n")}
        come = {line.strip() for line in after.splitlines()} - there
        lines = ours.splitlines(keepends=True)
        return "".join(line for line in lines if HOOK.match(line) and line.strip() in come)

    def make_commit(self, names: list[str]) -> Result:
        """Commit in the copy if something changes; with --format, commit the format first."""
        before = read_recorded_answers(self.record)
        answers = collect_answers(self.copy, self.facts, self.forge[0], names, before)
        answers |= {name: before[name] for name in EXCUSED.values() if name in before}
        merge = self.merge_all(answers)
        if set(merge.changed) <= {self.facts.prefix + RECORD}:
            return Result(merge)
        result, extra, hooks = Result(merge), {}, self.hooks(answers, merge)
        is_tried = self.args.trial and "tests" in answers["jobs"].split()
        ask_agreement(self.args, [HOOKS_RUN] * bool(hooks) + [TRIAL_RUNS] * is_tried)
        if hooks:
            self.copy.stage(merge.changed)
            findings = run_hooks_first(self.copy, hooks, merge.changed, self.args.format)
            answers |= find_excuses(findings)
            style = commit_format(self.copy, set(merge.changed), STYLE) if self.args.format else ""
            result = Result(self.merge_all(answers), findings, style)
            self.copy.stage(result.merge.changed)
            extra = record_baseline(self.copy, hooks, self.facts.prefix)
        result.merge.changed |= extra | self.revisions(result.style)
        self.copy.stage(result.merge.changed)
        notes = self.notes(names, answers, is_tried)
        commit = self.copy.commit(write_message(names, result.merge, notes))
        trial = run_tests_of_ci(self.copy, answers) if is_tried else ""
        return replace(result, commit=commit, trial=trial, notes=notes)

    def revisions(self, style: str) -> dict[str, bytes]:
        """Return the file by which `git blame` skips the commit of the format; {} without one."""
        lines = self.copy.read_blob(REVISIONS) or b""
        more = f"# {STYLE.splitlines()[0]}\n{style}\n".encode()
        return {REVISIONS: lines + more} if style else {}

    def notes(self, names: list[str], answers: Answers, is_tried: bool) -> list[str]:
        """Return notes on the jobs of CI: not tried, not needed, skipped hooks or scripts."""
        jobs, unready, rows = answers["jobs"].split(), answers["unready_hooks"], []
        runners, scripts = find_test_runners(self.facts), ", ".join(self.facts.uncallable)
        if "tests" in jobs and not is_tried:
            rows.append("Not tried: the job tests.  TRY=yes (--try) runs it first.")
        if "ci.tests" in names and "tests" not in jobs:
            rows.append(f"No job for tests comes: {', '.join(runners)} runs them.")
        if "hooks" in jobs and unready:
            rows.append(f"Skipped in the job hooks, which does not have what they need: {unready}.")
        if "tests" in jobs and scripts:
            rows.append(f"Not run: {scripts}: the functions need arguments that no fixture gives.")
        return rows


STYLE = "Format the code\n\nWhat the adopted hooks change in every file, and nothing else."


def write_message(names: list[str], merge: Merge, notes: list[str]) -> str:
    """Return the commit message: the capabilities, the files left alone and why, the notes."""
    rows = [f"- {name}: {why}" for name, why in merge.alone.items()]
    lines = ["", "Left alone:", *rows] if rows else []
    lines += ["", *notes] if notes else []
    return "\n".join([f"Adopt {', '.join(names)}", *lines, ""])


def adopt(args: argparse.Namespace) -> str:
    """Adopt, and return the report.  Raise Refused, with nothing changed, if that is impossible."""
    theirs = open_repository(args.folder)
    wants = args.level is not None or args.capabilities.strip()
    if wants:
        refuse_branch(theirs, args.branch)
    with copy_repository(theirs) as copy:
        adoption = Adoption(args, copy)
        if adoption.facts.layout == "no Python":
            raise Refused(f"{args.folder}: no Python in it: neither a module nor a notebook")
        before = read_recorded_answers(adoption.record).get("capabilities", "").split()
        if not wants:
            return describe_offers(adoption.facts, adoption.offers, before)
        names, facts = adoption.names(), describe_facts(adoption.facts, *adoption.forge)
        result = adoption.make_commit(names)
        if result.commit:
            copy.deliver(args.branch)
        parts = [facts, *describe_result(result, copy, adoption.offers)]
        parts += (
            describe_ending(result, theirs, args.branch)
            if result.commit
            else [describe_nothing(names)]
        )
        return "\n\n".join(parts)


def main(arguments: list[str]) -> None:
    """Adopt as the command line says.  A refusal goes to standard error; the exit code is 1."""
    try:
        print(adopt(options(arguments)))
    except Refused as refusal:
        sys.exit(re.sub(r"\s*\n\s*", "; ", str(refusal)))
