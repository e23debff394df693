"""The answers that our files are rendered with: read from the repository or an earlier adoption."""

import json
import re
import sys
from typing import Any
from urllib.parse import urlsplit

from mlops_ladder.adopt.ci import find_test_runners, find_unready_hooks
from mlops_ladder.adopt.facts import Facts
from mlops_ladder.adopt.git import Copy, Refused
from mlops_ladder.adopt.install import find_install_command, is_installable
from mlops_ladder.adopt.join import HOOKS
from mlops_ladder.adopt.merge import RECORD
from mlops_ladder.adopt.python import choose_python
from mlops_ladder.adopt.render import INSIDE, Answers, read_recorded_answers, refuse_code
from mlops_ladder.adopt.style import (
    find_called_length,
    find_pins,
    find_formatter,
    find_line_length,
    find_linter,
    describe_linter,
)
from mlops_ladder.adopt.tables import TABLES

VERSIONS = TABLES["versions"]
OWN_LENGTH, BLACKS_LENGTH = "100", "88"
IGNORED = TABLES["ignored"]
SETTLED = TABLES["settled"]


def read_record(facts: Facts) -> dict[str, Any]:
    """Return the record of an earlier adoption, or {}.  Raise Refused in a generated project."""
    try:
        record = json.loads(facts.text(RECORD) or "{}")
        answers = record.get("context", {}).get("cookiecutter", {})
    except (ValueError, AttributeError):
        return {}
    if {"maturity_level", "framework"} <= set(answers):
        raise Refused(f"{RECORD}: made by this template: in the project, make climb LEVEL=n")
    if record.get("directory") != INSIDE:
        return {}
    refuse_code(read_recorded_answers(record), RECORD)
    return dict(record)


def find_forge(option: str, remote: str, facts: Facts) -> tuple[str, str]:
    """Return the forge and its source; the forge is empty if the remote is on another one."""
    host = urlsplit(remote if "://" in remote else "ssh://" + remote.replace(":", "/", 1)).hostname
    if option:
        return option, "as asked"
    for forge in ("github", "gitlab"):
        if remote and forge in (host or ""):
            return forge, str(host)
    if ".gitlab-ci.yml" in facts.everything:
        return "gitlab", ".gitlab-ci.yml"
    if any(name.startswith(".github/") for name in facts.everything):
        return "github", ".github"
    return ("", str(host)) if host and "://" in remote else ("github", "no remote: assumed")


def read_answers(copy: Copy, facts: Facts, forge: str, names: list[str]) -> Answers:
    """Return the answers for these capabilities, read from the repository."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", facts.prefix or copy.theirs.top.name).strip("-").lower()
    return {
        "project_slug": slug or "adopted",
        "capabilities": " ".join(names),
        "folder": facts.prefix,
        "ci": forge or "github",
        "branch": copy.theirs.main,
        "install": find_install_command(facts)[0],
        "history": "yes" if facts.versioned_by_git else "no",
        "submodules": "yes" if copy.has_submodules() else "no",
        "ignored": " ".join(choose_ignored(copy, facts)),
        "notebooks": "strip" if facts.notebooks and not facts.shown else "keep",
        "python_version": choose_python(facts)[0],
        "hooks_python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "unready_hooks": ",".join(find_unready_hooks(facts.text(HOOKS, top=True))),
        "pipeline": "yes" if ".gitlab-ci.yml" in facts.everything else "no",
        "required_checks": "",
        **describe_tests(facts),
        **describe_style(facts),
    }


def collect_answers(
    copy: Copy, facts: Facts, forge: str, names: list[str], before: Answers
) -> Answers:
    """Return the answers for these capabilities; those of an earlier adoption stay as they were."""
    answers = read_answers(copy, facts, forge, names)
    for capability in before.get("capabilities", "").split():
        settled = SETTLED.get(capability, ())
        answers |= {name: before[name] for name in settled if name in before}
    answers["jobs"] = " ".join(choose_jobs(facts, names, before))
    if answers["jobs"]:
        answers["pipeline"] = "yes"
    refuse_code(answers, "CI")
    return answers


def choose_jobs(facts: Facts, names: list[str], before: dict[str, str]) -> list[str]:
    """Return the jobs of CI: `hooks` if we bring hooks, `tests` if CI runs none yet."""
    if "ci.tests" not in names:
        return []
    own = "tests" in before.get("jobs", "").split() or not find_test_runners(facts)
    return ["hooks"] * ("repo.vcs" in names) + ["tests"] * own


def describe_tests(facts: Facts) -> dict[str, str]:
    """Return the answers about pytest: its folder, its source path and its arguments."""
    settings = facts.text(facts.pytest_settings) if facts.pytest_settings else ""
    tests = "" if "testpaths" in settings else facts.test_folder
    source = "src" if facts.layout == "src layout" and not is_installable(facts) else ""
    table = bool(facts.pyproject and not facts.pytest_settings and (tests or source))
    scripts = [name for name in facts.uncallable if not tests or name.startswith(f"{tests}/")]
    arguments = [f"--ignore={script}" for script in scripts]
    if "--doctest" in settings and not tests and "testpaths" not in settings:
        arguments = [*find_outermost(facts.test_files), *arguments]
    return {
        "tests": tests,
        "source": source,
        "pytest_table": "yes" if table else "no",
        "arguments": " ".join(arguments),
    }


def find_outermost(files: list[str]) -> list[str]:
    """Return the outermost folders of these test files; a file at the top stands for itself."""
    paths = {name.rpartition("/")[0] or name for name in files}
    return sorted(top for top in paths if not any(top.startswith(f"{path}/") for path in paths))


def describe_style(facts: Facts) -> dict[str, str]:
    """Return the answers about formatter, linter and line length: theirs if they have them."""
    theirs, lints, here = find_formatter(facts)[0], find_linter(facts)[0], bool(facts.pyproject)
    usual = BLACKS_LENGTH if theirs == "black" else OWN_LENGTH
    length, settings = find_line_length(facts)[0] or usual, "table" if here else "args"
    if theirs == "black" and "black" not in facts.tools:
        length, settings = find_called_length(facts) or usual, "args"
    elif theirs or lints == "ruff":
        settings = "theirs"
    formatter = theirs or ("theirs" if lints == "ruff" else "black")  # beside ruff no second tool
    return {
        "formatter": formatter,
        "formatter_version": choose_version(facts, theirs or "black"),
        "formatter_settings": settings,
        "linter": lints or "pylint",
        "linter_version": choose_version(facts, lints or "pylint"),
        "linter_settings": "theirs" if lints else "table" if here else "file",
        "line_length": length,
        **describe_linter(facts, lints),
    }


def choose_version(facts: Facts, name: str) -> str:
    """Return the version of a tool: theirs if they pin one that the hooks can use, else ours."""
    ours, oldest = VERSIONS[name]
    pins = [pin for pin in find_pins(facts, name) if int(pin.split(".")[0]) >= oldest]
    return pins[0] if pins else ours


def choose_ignored(copy: Copy, facts: Facts) -> list[str]:
    """Return our patterns for .gitignore that hide no committed file."""
    call = ["ls-files", "--cached", "--ignored", "-z"]
    at = ["--", facts.prefix] if facts.prefix else []
    return [
        rule for rule in IGNORED if rule[0] == "!" or not copy.git(*call, f"--exclude={rule}", *at)
    ]
