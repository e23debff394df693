"""Continuous integration: the tests run on each push, and no failure is swallowed."""

import re
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity.repository import Repository, WORKFLOWS
from mlops_ladder.maturity.syntax import list_tests

RUNS_TESTS = re.compile(r"\bmake\b[^\n|&;]*\btest|\bpytest\b|\btox\b|\bnox\b|unittest")
SWALLOWED = re.compile(r"(pytest|make [^\n]*)\|\| *(true|:|exit 0)")
TRIGGER = re.compile("^[\"']?on[\"']?:", re.MULTILINE)
GROUPS = ("code", "data", "model")


def list_scripts(config: Any) -> list[str]:
    """Return the commands of each job of a CI file as a text; [] for any other file."""
    if not isinstance(config, dict):
        return []
    jobs: Any = config.get("jobs") if isinstance(config.get("jobs"), dict) else config
    scripts = []
    for job in (value for value in jobs.values() if isinstance(value, dict)):
        steps: Any = job.get("steps") if isinstance(job.get("steps"), list) else []
        lines = [str(step.get("run", "")) for step in steps if isinstance(step, dict)]
        lines += [str(line) for line in job.get("script") or []] if not steps else []
        if any(line.strip() for line in lines):
            scripts.append("\n".join(lines))
    return scripts


def find_ci_faults(repository: Repository) -> Iterator[str]:
    """Yield CI files that run no tests, never start, or swallow a failure; and empty tests."""
    scripts = {name: list_scripts(repository.parsed(name)) for name in repository.glob(*WORKFLOWS)}
    if not any(RUNS_TESTS.search(script) for jobs in scripts.values() for script in jobs):
        yield f"{', '.join(scripts) or 'no CI file'}: no job runs the tests"
    for name, jobs in scripts.items():
        if "workflows/" in name and not TRIGGER.search(repository.text(name)):
            yield f"{name}: nothing triggers it"
        if "continue-on-error: true" in repository.text(name):
            yield f"{name}: a failure is swallowed by continue-on-error"
        if any(SWALLOWED.search(script) for script in jobs):
            yield f"{name}: a failure is swallowed by `|| true`"
    for group in GROUPS if repository.ours else ():
        texts = map(repository.text, repository.glob(f"tests/{group}/test_*.py"))
        if not any(map(list_tests, texts)):
            yield f"tests/{group}: no test there compares anything"
