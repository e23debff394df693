"""A run of the tests in the copy, as CI would do it: only on request, since it runs their code."""

import subprocess
import sys
from typing import Any

from mlops_ladder.adopt.git import Copy, Refused, child_environment

LONGEST = 1800  # seconds: the timeout of the job in CI


def list_commands(answers: dict[str, str]) -> list[str]:
    """Return the commands of the job `tests`."""
    own = answers["pytest_table"] == "no"
    before = f"PYTHONPATH={answers['source']} " if answers["source"] and own else ""
    after = f" {answers['tests']}" if answers["tests"] and own else ""
    return [
        answers["install"],
        f"{before}.venv/bin/python -m pytest{after} {answers['arguments']}".rstrip(),
    ]


def find_python(python: str) -> str:
    """Return this version if the machine has it, else the running one: none is downloaded."""
    command = ["uv", "python", "find", "--no-python-downloads", "--no-project", python]
    result = subprocess.run(command, capture_output=True, check=False)
    return f"{sys.version_info.major}.{sys.version_info.minor}" if result.returncode else python


def run_tests_of_ci(copy: Copy, answers: dict[str, str]) -> str:
    """Return the last line of their tests in a new environment.  Raise Refused if they fail."""
    python = find_python(answers["python_version"])
    env = child_environment() | {
        "UV_PYTHON": python,
        "COLUMNS": "200",
        "NO_COLOR": "1",
        "CI": "true",
    }
    text: Any = {"capture_output": True, "text": True, "errors": "replace", "timeout": LONGEST}
    summary = ""
    for command in list_commands(answers):
        shell = ["bash", "-e", "-o", "pipefail", "-c", command]
        try:
            place = copy.root / answers["folder"]
            run = subprocess.run(shell, cwd=place, env=env, check=False, **text)
        except subprocess.TimeoutExpired as error:
            raise Refused(f"{command}: no end after {LONGEST} s, so CI would be red") from error
        lines = [line.strip() for line in (run.stdout + run.stderr).splitlines() if line.strip()]
        summary = (lines or ["nothing is printed"])[-1].strip("= ")
        if run.returncode:
            way = "first mend that, or leave ci.tests out of CAPABILITIES"
            raise Refused(f"CI would be red: {command}: {summary}: {way}")
    if python != answers["python_version"]:
        summary += f" (with Python {python}: {answers['python_version']} is not here)"
    return summary
