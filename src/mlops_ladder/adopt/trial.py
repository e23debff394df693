"""What CI would do with the tests, done in the copy: only on request, since it runs their code."""

import subprocess
import sys
from typing import Any

from mlops_ladder.adopt.git import Copy, Refused, child_environment

LONGEST = 1800  # seconds, as the job has


def list_commands(answers: dict[str, str]) -> list[str]:
    """The commands of the job `tests`."""
    own = answers["pytest_table"] == "no"
    before = f"PYTHONPATH={answers['source']} " if answers["source"] and own else ""
    after = f" {answers['tests']}" if answers["tests"] and own else ""
    return [
        answers["install"],
        f"{before}.venv/bin/python -m pytest{after} {answers['arguments']}".rstrip(),
    ]


def find_python(python: str) -> str:
    """This Python where the machine has it, else the one that runs: a trial downloads none."""
    command = ["uv", "python", "find", "--no-python-downloads", "--no-project", python]
    done = subprocess.run(command, capture_output=True, check=False)
    return f"{sys.version_info.major}.{sys.version_info.minor}" if done.returncode else python


def run_tests_of_ci(copy: Copy, answers: dict[str, str]) -> str:
    """The last line of their tests in a fresh environment.  Refused where they fail."""
    python = find_python(answers["python_version"])
    env = child_environment() | {
        "UV_PYTHON": python,
        "COLUMNS": "200",
        "NO_COLOR": "1",
        "CI": "true",
    }
    text: Any = {"capture_output": True, "text": True, "errors": "replace", "timeout": LONGEST}
    said = ""
    for command in list_commands(answers):
        shell = ["bash", "-e", "-o", "pipefail", "-c", command]
        try:
            place = copy.root / answers["folder"]
            done = subprocess.run(shell, cwd=place, env=env, check=False, **text)
        except subprocess.TimeoutExpired as error:
            raise Refused(f"{command}: no end after {LONGEST} s, so CI would be red") from error
        lines = [it.strip() for it in (done.stdout + done.stderr).splitlines() if it.strip()]
        said = (lines or ["nothing is printed"])[-1].strip("= ")
        if done.returncode:
            way = "first mend that, or leave ci.tests out of CAPABILITIES"
            raise Refused(f"CI would be red: {command}: {said}: {way}")
    return said + f" (with Python {python}: {answers['python_version']} is not here)" * (
        python != answers["python_version"]
    )
