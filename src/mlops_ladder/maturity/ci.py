"""What watches over changes: CI, and the rules for reviews."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mlops_ladder.maturity import sign, use
from mlops_ladder.maturity.forge import Forge
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.syntax import tests

RUNS_TESTS = re.compile(r"\bmake\b[^\n|&;]*\btest|\bpytest\b|\btox\b|\bnox\b|unittest")
SWALLOWED = re.compile(r"(pytest|make [^\n]*)\|\| *(true|:|exit 0)")
TRIGGER = re.compile("^[\"']?on[\"']?:", re.MULTILINE)
GROUPS = ("code", "data", "model")


def pipelines(repository: Repository) -> dict[str, list[str]]:
    """The scripts of each CI file, a job each; none where it is no CI file."""
    names = repository.glob(
        ".github/workflows", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml"
    )
    return {name: scripts(repository.parsed(name)) for name in names}


def scripts(config: Any) -> list[str]:
    """What the jobs of a CI file run, a text each."""
    if not isinstance(config, dict):
        return []
    jobs: Any = config.get("jobs") if isinstance(config.get("jobs"), dict) else config
    found = []
    for job in (it for it in jobs.values() if isinstance(it, dict)):
        steps: Any = job.get("steps") if isinstance(job.get("steps"), list) else []
        lines = [str(step.get("run", "")) for step in steps if isinstance(step, dict)]
        lines += [str(line) for line in job.get("script") or []] if not steps else []
        if any(line.strip() for line in lines):
            found.append("\n".join(lines))
    return found


@sign("ci.tests", "CI runs the tests on each push, and no failure is swallowed")
def tested(repository: Repository) -> Iterator[str]:
    """A workflow that can be read, is triggered, and runs tests that exist."""
    found = pipelines(repository)
    if not any(RUNS_TESTS.search(script) for jobs in found.values() for script in jobs):
        yield f"{', '.join(found) or 'no CI file'}: no job runs the tests"
    for name, jobs in found.items():
        if "workflows/" in name and not TRIGGER.search(repository.text(name)):
            yield f"{name}: nothing triggers it"
        if "continue-on-error: true" in repository.text(name):
            yield f"{name}: a failure is swallowed by continue-on-error"
        if any(SWALLOWED.search(script) for script in jobs):
            yield f"{name}: a failure is swallowed by `|| true`"
    if repository.ours:
        yield from groups(repository)


def groups(repository: Repository) -> Iterator[str]:
    """The groups of tests in which no test compares anything."""
    for group in GROUPS:
        names = repository.glob(f"tests/{group}/test_*.py")
        if not any(tests(repository.text(name)) for name in names):
            yield f"tests/{group}: no test there compares anything"


@use("ci.tests")
def ci_runs(repository: Repository) -> list[datetime]:
    """Runs of CI that passed on the main branch; the forge has to be asked."""
    return Forge(repository).passed()


@sign("ci.review", "changes are reviewed by rule, and dependencies are kept up to date")
def reviewed(repository: Repository) -> Iterator[str]:
    """A form for changes, rules for the branch, a bot for dependencies."""
    forms = repository.glob(
        ".github/pull_request_template.md",
        ".github/PULL_REQUEST_TEMPLATE*",
        ".gitlab/merge_request_templates",
    )
    if not any("- [ ]" in repository.text(name) or "##" in repository.text(name) for name in forms):
        yield "no form for pull or merge requests asks for anything"
    bots = repository.glob("renovate.json", ".github/renovate.json", ".github/dependabot.yml")
    if not any(isinstance(repository.parsed(name), dict) for name in bots):
        yield "nothing keeps dependencies up to date: no renovate.json, no dependabot.yml"
    rules = repository.glob(".github/rulesets", ".gitlab/branch-rules")
    if not re.search("approv|only_allow_merge", "".join(repository.text(name) for name in rules)):
        yield "no rule as code asks for an approval"


@use("ci.review")
def merged(repository: Repository) -> list[datetime]:
    """Changes that came in by an approved request; the forge has to be asked."""
    return Forge(repository).approved()
