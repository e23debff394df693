"""The peers: what each is made of, so that it does work that can be compared with ours."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from paired import files

HERE = Path(__file__).resolve().parent
# What Jinja would act on, and something of the same length that it leaves alone.
BLUNT = {b"{{": b"((", b"{%": b"(%", b"{#": b"(#"}
DROPPED = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS"}
QUIET = {
    "DO_NOT_TRACK": "1",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada Lovelace",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


def environment() -> dict[str, str]:
    """This process's environment for every party alike: no telemetry, compiled Python is kept."""
    return {name: value for name, value in os.environ.items() if name not in DROPPED} | QUIET


def run(*command: str | Path, at: Path | None = None) -> str:
    """What a command prints; one that fails is an error, with its words."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=at,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def committed(folder: Path) -> Path:
    """The folder, as a git repository with one commit."""
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "As it is"]):
        run("git", "-c", "commit.gpgsign=false", *command, at=folder)
    return folder


def snapshot(template: Path, folder: Path) -> Path:
    """A clone of the template as it stands in its folder, from an origin that has its commit."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", at=template)
    for name in filter(None, listed.split("\0")):
        if (template / name).is_file():
            (folder / "origin" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "origin" / name).write_bytes((template / name).read_bytes())
    committed(folder / "origin")
    run("git", "clone", "--quiet", folder / "origin", folder / "template")
    return folder / "template"


def project_of(scratch: Path, level: int, task: str) -> Path:
    """A committed project of the template as it stands, installed; `make task` has run."""
    template = snapshot(HERE.parent, scratch)
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config"]
    run(*command, template, f"maturity_level={level}", at=scratch)
    project = committed(scratch / "flight-delays")
    run("make", "setup", task, at=project)
    return project


def plain_template(project: Path, folder: Path, copied: Sequence[str]) -> Path:
    """A template of the project's files, as many and as long, without hooks, extension or Jinja.

    Paths that match `copied` are copied; all others go through Jinja, which finds nothing to do.
    """
    for path in files(project):
        content = path.read_bytes()
        for sharp, blunt in BLUNT.items():
            content = content.replace(sharp, blunt)
        target = folder / "{{cookiecutter.project_slug}}" / path.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    questions = {"project_slug": "peer", "_copy_without_render": list(copied)}
    (folder / "cookiecutter.json").write_text(json.dumps(questions), encoding="utf-8")
    return folder


def installed(folder: Path, python: str, *packages: str) -> Path:
    """The programs of a new environment that holds these packages."""
    run("uv", "venv", "--quiet", "--python", python, folder)
    run("uv", "pip", "install", "--quiet", "--python", folder / "bin" / "python", *packages)
    return folder / "bin"


def named(package: str, programs: Path) -> str:
    """The package with the version that stands in the environment of these programs."""
    asked = f"from importlib.metadata import version; print(version({package!r}))"
    return f"{package} {run(programs / 'python', '-c', asked)}"
