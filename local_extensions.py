"""The ladder in Jinja: what the answers bring and leave out, read from capabilities.yml."""

import json
import re
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import CodeType
from typing import Any

import yaml
from jinja2 import Environment, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

TEMPLATE = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LOCKED_NAME = "the-name-of-the-project"
WHEELS = TEMPLATE / "{{cookiecutter.project_slug}}" / "wheels"

Answers = dict[str, Any]
Manifest = dict[str, Any]


@cache
def manifest() -> Manifest:
    """What capabilities.yml says, read once."""
    text = (TEMPLATE / "capabilities.yml").read_text(encoding="utf-8")
    loaded: Manifest = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def has(ladder: Manifest, answers: Answers, name: str) -> bool:
    """Do these answers bring this capability?  KeyError where no such capability is declared."""
    capability = ladder["capabilities"][name]
    excluded = ladder["conditions"].get(capability["if"], {})
    applies = not any(answers[question] == answer for question, answer in excluded.items())
    return bool(applies and int(answers["maturity_level"]) >= capability["level"])


def left_out(ladder: Manifest, answers: Answers) -> list[str]:
    """The paths (globs) that these answers leave out: one that does not hold is enough."""
    paths = []
    for name, capability in ladder["capabilities"].items():
        if not has(ladder, answers, name):
            paths += capability.get("paths", [])
    for question, choices in ladder.get("choices", {}).items():
        for choice, owned in choices.items():
            if answers[question] not in choice.split():
                paths += owned
    return paths


def capability_list() -> str:
    """The text of capabilities.yml: a project has a copy, to know what it could have."""
    return (TEMPLATE / "capabilities.yml").read_text(encoding="utf-8").rstrip("\n")


def git(*arguments: str) -> str:
    """What git answers about the template, or nothing where it has no answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(TEMPLATE), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def template_version() -> dict[str, str]:
    """Where the template came from, and its commit.

    The address of origin is given only for a commit that origin has; otherwise the folder.  No
    commit is given where none describes what was rendered: no repository, or changed files.
    """
    top, _, commit = git("rev-parse", "--show-toplevel", "HEAD").partition("\n")
    if not commit or Path(top).resolve() != TEMPLATE or git("status", "--porcelain"):
        return {"template": str(TEMPLATE), "commit": ""}
    published = git("branch", "--remotes", "--contains", commit)
    origin = git("remote", "get-url", "origin") if published else ""
    return {"template": origin or str(TEMPLATE), "commit": commit}


def public(answers: Answers) -> Answers:
    """The answers that a person gives; what cookiecutter and cruft add begins with '_'."""
    return {name: answer for name, answer in answers.items() if not name.startswith("_")}


def record(answers: Answers) -> str:
    """The text of .cruft.json: where the project comes from, and the answers that made it."""
    version = template_version()
    content = {
        **version,
        "checkout": None,
        "context": {"cookiecutter": {**public(answers), "_template": version["template"]}},
        "directory": None,
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def this_python() -> str:
    """The Python that renders: one that this machine has.  The nearest one that is supported."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    return running if running in PYTHONS else PYTHONS[-1]


def lock_file(ladder: Manifest, answers: Answers) -> str:
    """The name of the lock for these answers, under templates/locks."""
    reached = [level for level in ladder["locks"] if level <= int(answers["maturity_level"])]
    return f"{answers['framework']}-{max(reached, default=min(ladder['locks']))}.lock"


def lock(ladder: Manifest, answers: Answers) -> str:
    """The text of uv.lock.  It is as long as all other files together: Jinja need not parse it."""
    path = TEMPLATE / "templates" / "locks" / lock_file(ladder, answers)
    text = path.read_text(encoding="utf-8")
    name = re.sub(r"[-_.]+", "-", answers["project_slug"])  # as uv writes it
    ours = r'(filename = "mlops_ladder-[^"]*", hash = "sha256:)[0-9a-f]*'
    text = re.sub(ours, rf"\g<1>{wheel_hash()}", text)
    return text.replace(LOCKED_NAME, name).rstrip("\n")


@cache
def wheel_hash() -> str:
    """The SHA-256 of the library's wheel, which every project brings."""
    (wheel,) = WHEELS.glob("*.whl")
    return sha256(wheel.read_bytes()).hexdigest()


def escaped(text: str) -> str:
    """The text as it stands between the quotes of a string of TOML, YAML or JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def precompile(text: str, name: str | None) -> CodeType:
    """Return a template that yields this text, in the form that Jinja's ModuleLoader loads."""
    lines = (
        f"name, blocks, debug_info = {name!r}, {{}}, ''",
        "def root(context, missing=None, environment=None):",
        f"    yield {text!r}",
    )
    return compile("\n".join(lines), "<template>", "exec")


def skip_plain_text(environment: Environment) -> None:
    """Let an environment compile only what holds Jinja: most paths and files do not."""
    starts = (
        environment.variable_start_string,
        environment.block_start_string,
        environment.comment_start_string,
        "\r",  # Jinja makes it a plain newline
    )
    compile_template = environment.compile

    def compile_dynamic(source: Any, name: str | None = None, filename: str | None = None) -> Any:
        if isinstance(source, str) and not any(start in source for start in starts):
            return precompile(source, name)
        return compile_template(source, name, filename)

    # The environment is cookiecutter's: there is no class of ours that could override the method.
    environment.compile = compile_dynamic  # type: ignore[method-assign,assignment]  # see above


class Ladder(Extension):  # pylint: disable=abstract-method  # it adds no tags to parse
    """Gives templates and hooks the functions of this module."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        skip_plain_text(environment)
        ladder = manifest()

        def asked(function: Any) -> Any:
            @pass_context
            def answer(context: Context, *arguments: str) -> Any:
                return function(ladder, context["cookiecutter"], *arguments)

            return answer

        environment.filters["escaped"] = escaped
        environment.globals.update(
            has=asked(has),
            left_out=asked(left_out),
            lock=asked(lock),
            answers=pass_context(lambda context: public(context["cookiecutter"])),
            record=pass_context(lambda context: record(context["cookiecutter"])),
            capability_list=capability_list,
            this_python=this_python,
            git_config=lambda key: git("config", key),
        )
