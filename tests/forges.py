"""GitHub's and GitLab's pipelines on this machine: `act` and `gitlab-ci-local` run them for real.

What a forge would fetch has stand-ins: the actions, and the place where jobs leave files for others.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import run

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlops-ladder-tests"
GITLAB_CI_LOCAL = "gitlab-ci-local@4.61.1"  # later ones need a newer node than Debian's
WORKFLOW = ".github/workflows/ci.yml"
PINNED = re.compile(r"uses: ([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$", re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STAND_INS = {
    "astral-sh/setup-uv": "uv --version",
    "actions/upload-artifact": """
        mkdir -p "$ARTIFACTS/$NAME"
        if [ -d "$PLACE" ]; then cp -R "$PLACE/." "$ARTIFACTS/$NAME"; else cp "$PLACE" "$ARTIFACTS/$NAME"; fi
    """,
    "actions/download-artifact": 'mkdir -p "$PLACE" && cp -R "$ARTIFACTS/$NAME/." "$PLACE"',
}
TAGGED = {"ref": "refs/tags/v1.0.0"}


def tool(name: str) -> str:
    """A program that the template's environment brings, or the machine; fails where none does."""
    if found := shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"):
        return found
    pytest.fail(f"{name}: not installed; run: make setup, or .ci/run for what Debian brings")


@dataclass(frozen=True)
class Pipeline:
    """How a pipeline ended: as a whole, the result of each job that ran, and all that was printed."""

    green: bool
    results: dict[str, str]
    printed: str


def action(folder: Path, script: str) -> Path:
    """A composite action that runs a script with the inputs `name` and `path`."""
    step = {
        "shell": "bash",
        "run": script,
        "env": {"NAME": "${{ inputs.name }}", "PLACE": "${{ inputs.path }}"},
    }
    content = {
        "name": "stand-in",
        "inputs": {"name": {"default": ""}, "path": {"default": ""}},
        "runs": {"using": "composite", "steps": [step]},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "action.yml").write_text(json.dumps(content), encoding="utf-8")
    return folder


def github(project: Path, folder: Path, *options: str, **environment: str) -> Pipeline:
    """Run the workflow of a project; `folder` gets the work of the jobs and what they hand on."""
    command = [tool("act"), "push", "--json", "--action-offline-mode"]
    command += ["-P", "ubuntu-24.04=-self-hosted", "-P", "self-hosted=-self-hosted"]
    for name, sha in set(PINNED.findall((project / WORKFLOW).read_text(encoding="utf-8"))):
        if name in STAND_INS:  # act checks out by itself
            place = action(folder / name, STAND_INS[name])
            command += ["--local-repository", f"{name}@{sha}={place}"]
    told = {"ARTIFACTS": str(folder / "artifacts")} | shared() | environment
    for name, value in told.items():
        command += ["--env", f"{name}={value}"]
    done = run(*command, *options, at=project, XDG_CACHE_HOME=str(folder / "cache"), **environment)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    results = {line["jobID"]: line["jobResult"] for line in lines if "jobResult" in line}
    words = "".join(line.get("msg", "") for line in lines if line.get("raw_output"))
    return Pipeline(done.returncode == 0, results, COLOUR.sub("", words) + done.stderr)


def gitlab(project: Path, *jobs: str, **variables: str) -> Pipeline:
    """Run the GitLab pipeline of a project, or only some jobs, each in a folder of its own."""
    command = [gitlab_ci_local(), "--force-shell-executor", "--shell-isolation"]
    for name, value in (shared() | variables).items():
        command += ["--variable", f"{name}={value}"]
    done = run(*command, *jobs, at=project)
    printed = COLOUR.sub("", done.stdout + done.stderr)
    ended = re.findall(r"^(?!pipeline )(\S+)\s+finished in [^\n]*?(FAIL)?[ \d]*$", printed, re.M)
    results = {name: "failure" if failed else "success" for name, failed in ended}
    return Pipeline(done.returncode == 0, results, printed)


def gitlab_ci_local() -> str:
    """The program that runs GitLab pipelines, from npm, installed once on a machine."""
    program = CACHE / GITLAB_CI_LOCAL / "node_modules" / ".bin" / "gitlab-ci-local"
    tool("rsync")
    if not program.exists():
        command = [tool("npm"), "install", "--silent", "--no-fund", "--no-audit", "--prefix"]
        done = run(*command, str(CACHE / GITLAB_CI_LOCAL), GITLAB_CI_LOCAL, at=Path.home())
        assert done.returncode == 0, done.stdout + done.stderr
    return str(program)


def shared() -> dict[str, str]:
    """What the jobs take from the tests: where uv keeps packages, as a forge's cache would, and SKIP."""
    told = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True)
    return {"UV_CACHE_DIR": told.stdout.strip(), "SKIP": os.environ["SKIP"]}
