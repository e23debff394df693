"""The answers that our files are rendered with: read from the repository, or from an earlier adoption.

The record is `.cruft.json`: the template, its commit, and the answers.  By it the next adoption, also one
of a newer template, knows what was brought, and what has been changed since.
"""

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adopt_facts import Facts
from adopt_git import Copy, Refused, Theirs, git
from adopt_install import install, installable
from adopt_merge import HOOKS, RECORD, Files, place
from cookiecutter.main import cookiecutter
from local_extensions import template_version

HERE = Path(__file__).resolve().parent
INSIDE = "templates/adopted"
ADOPTED = next(it for it in (HERE.parent / INSIDE, HERE / "adopt_files") if it.exists())
# What we bring where their lock or requirements name no version, or one that is too old for the hooks.
VERSIONS = {
    "black": ("26.10.1", 23),
    "pylint": ("4.1.4", 3),
    "ruff": ("0.17.6", 0),
    "yapf": ("0.43.0", 0),
    "autopep8": ("2.3.2", 2),
    "flake8": ("7.5.0", 6),
}
OWN_LENGTH, BLACKS_LENGTH = "100", "88"
IGNORED = """.env .env.* !.env.example *.pem *.key __pycache__/ *.py[cod] *.egg-info/ .venv/ build/ dist/
.ipynb_checkpoints/ .mypy_cache/ .pytest_cache/ .coverage mlruns/ mlartifacts/ *.db *.sqlite3 .idea/
.vscode/ .DS_Store"""
# Answers that stay as they were once their capability has been adopted.
SETTLED = {
    "repo.hygiene": ("ignored",),
    "repo.vcs": ("formatter", "linter", "line_length", "notebooks", "hooks_python")
    + ("formatter_version", "linter_version", "formatter_settings", "linter_settings"),
    "ci.tests": ("python_version", "tests", "source", "submodules", "pytest_table"),
}
PLAIN = re.compile(r"[\w./@+-]*")


@dataclass(frozen=True)
class Origin:
    """Where our files come from: an address or a folder, and the commit."""

    template: str
    commit: str


@cache
def origin() -> Origin:
    """The clone that this runs in, or what `uvx` has installed it from."""
    if ADOPTED.parent != HERE:
        return Origin(**template_version())
    try:
        text = distribution("mlops-ladder").read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    told: dict[str, Any] = json.loads(text or "{}")
    address = str(told.get("url", ""))
    if commit := told.get("vcs_info", {}).get("commit_id"):
        return Origin(address.removeprefix("file://"), str(commit))
    folder = Path(urlsplit(address).path)
    clean = address and (folder / ".git").exists() and not git(folder, "status", "--porcelain")
    return Origin(
        str(folder), git(folder, "rev-parse", "HEAD").decode().strip() if clean else ""
    )


def record_of(facts: Facts) -> dict[str, Any]:
    """The record of an earlier adoption; empty without one.  Refused in a project of the template."""
    try:
        record = json.loads(facts.text(RECORD) or "{}")
        answers = record.get("context", {}).get("cookiecutter", {})
    except (ValueError, AttributeError):
        return {}
    if {"maturity_level", "framework"} <= set(answers):
        raise Refused(f"{RECORD}: made by this template: in the project, make climb LEVEL=n")
    return record if record.get("directory") == INSIDE else {}


def known(record: dict[str, Any]) -> dict[str, str]:
    """The answers of an earlier adoption."""
    found = record.get("context", {}).get("cookiecutter", {})
    return {name: str(value) for name, value in found.items() if not name.startswith("_")}


def forge_of(asked: str, remote: str, facts: Facts) -> tuple[str, str]:
    """The forge, and what says so; nothing where the remote is on another one."""
    host = urlsplit(remote if "://" in remote else "ssh://" + remote.replace(":", "/", 1)).hostname
    if asked:
        return asked, "as asked"
    for forge in ("github", "gitlab"):
        if remote and forge in (host or ""):
            return forge, str(host)
    if ".gitlab-ci.yml" in facts.everything:
        return "gitlab", ".gitlab-ci.yml"
    if any(name.startswith(".github/") for name in facts.everything):
        return "github", ".github"
    return ("", str(host)) if host and "://" in remote else ("github", "no remote: assumed")


def answered(
    facts: Facts, theirs: Theirs, copy: Copy, forge: str, names: list[str], record: dict[str, Any]
) -> dict[str, str]:
    """The answers for these capabilities: read, but where they are settled already."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", facts.prefix or theirs.top.name).strip("-").lower()
    answers = {
        "project_slug": slug or "adopted",
        "capabilities": " ".join(names),
        "folder": facts.prefix,
        "ci": forge or "github",
        "branch": theirs.main,
        "install": install(facts)[0],
        "submodules": "yes" if copy.submodules() else "no",
        "ignored": " ".join(ignored(copy, facts)),
        "notebooks": "strip" if facts.notebooks and not facts.shown else "keep",
        "python_version": facts.python[0],
        "hooks_python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **tested(facts),
        **styled(facts),
    }
    before = known(record)
    for capability in before.get("capabilities", "").split():
        settled = SETTLED.get(capability, ())
        answers |= {name: before[name] for name in settled if name in before}
    answers["jobs"] = " ".join(jobs(facts, names, before))
    for name in ("folder", "branch", "tests", "source"):
        if not PLAIN.fullmatch(answers[name]):
            raise Refused(f"{answers[name]!r}: {name} with signs that a CI file cannot hold as they are")
    return answers


def jobs(facts: Facts, names: list[str], before: dict[str, str]) -> list[str]:
    """The jobs of CI: hooks where we bring them, tests where CI runs none yet."""
    if "ci.tests" not in names:
        return []
    own = "tests" in before.get("jobs", "").split() or not facts.tested_by()
    return ["hooks"] * ("repo.vcs" in names) + ["tests"] * own


def tested(facts: Facts) -> dict[str, str]:
    """How pytest is called."""
    settings = facts.text(facts.pytest_settings) if facts.pytest_settings else ""
    tests = "" if "testpaths" in settings else facts.test_folder
    source = "src" if facts.layout == "src layout" and not installable(facts) else ""
    table = bool(facts.pyproject and not facts.pytest_settings and (tests or source))
    return {"tests": tests, "source": source, "pytest_table": "yes" if table else "no"}


def styled(facts: Facts) -> dict[str, str]:
    """Formatter, linter and length of lines: theirs where they have them; where a hook of theirs does
    it already, nothing of ours."""
    formatter, linter = facts.formatter[0] or "black", facts.linter[0] or "pylint"
    usual = BLACKS_LENGTH if facts.formatter[0] == "black" else OWN_LENGTH
    here, where = bool(facts.pyproject), ("table", "args", "file")
    formatter_settings = "theirs" if facts.formatter[0] else where[not here]
    length = facts.line_length[0] or usual
    if facts.formatter[0] == "black" and "black" not in facts.tools:
        formatter_settings, length = "args", facts.called_length or usual
    return {
        "formatter": formatter,
        "formatter_version": version(facts, formatter),
        "formatter_settings": formatter_settings,
        "linter": linter,
        "linter_version": version(facts, linter),
        "linter_settings": "theirs" if facts.linter[0] else where[0 if here else 2],
        "line_length": length,
    }


def version(facts: Facts, name: str) -> str:
    """The version of a tool: theirs where one is pinned that the hooks can use, else ours."""
    ours, oldest = VERSIONS[name]
    texts = [facts.text(it) for it in facts.files if it.endswith((".lock", ".txt")) and "/" not in it]
    locked = re.compile(rf'^name = "{name}"\nversion = "([\d.]+)"|^{name}==([\d.]+)', re.MULTILINE)
    found = [one or other for text in texts for one, other in locked.findall(text)]
    return found[0] if found and int(found[0].split(".")[0]) >= oldest else ours


def ignored(copy: Copy, facts: Facts) -> list[str]:
    """The patterns to leave out of git which hide no file that is committed."""
    at = copy.root / facts.prefix
    listed = ("ls-files", "--cached", "--ignored", "-z")
    return [it for it in IGNORED.split() if it[0] == "!" or not git(at, *listed, f"--exclude={it}")]


# ---- Rendering


def render(answers: dict[str, str], source: Origin, prefix: str) -> Files:
    """Our files for these answers, by their place in the repository, with the record."""
    files = rendered(str(ADOPTED), tuple(sorted(answers.items())))
    found = {place(name, prefix, answers["project_slug"]): it for name, it in files}
    shared = [name for name in found if name.rpartition("/")[2] in (HOOKS, ".gitignore", "pyproject.toml")]
    record = {
        "template": source.template,
        "commit": source.commit,
        "checkout": None,
        "context": {"cookiecutter": answers | {"_template": source.template}},
        "directory": INSIDE,
        "skip": shared,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    return found | {prefix + RECORD: text.encode()}


@cache
def rendered(template: str, answers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, bytes], ...]:
    """The files that a version of the template makes of these answers."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = Path(
            cookiecutter(
                template,
                no_input=True,
                extra_context=dict(answers),
                output_dir=f"{folder}/made",
                default_config={"replay_dir": f"{folder}/replay"},
            )
        )
        paths = sorted(path for path in made.rglob("*") if path.is_file())
        return tuple((path.relative_to(made).as_posix(), path.read_bytes()) for path in paths)


def based(record: dict[str, Any], prefix: str) -> Files:
    """What an earlier adoption brought, rendered again; nothing without one.

    Refused where the template that it came from cannot be had any more.
    """
    if not record:
        return {}
    source = Origin(str(record.get("template")), str(record.get("commit")))
    if source.commit in ("", origin().commit):
        return render(known(record), source, prefix)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        clone = Path(folder) / "template"
        try:
            quiet = ("--quiet", "--no-checkout", "--template=")
            git(Path(folder), "clone", *quiet, "--", source.template, str(clone))
            git(clone, "checkout", "--quiet", source.commit, "--", INSIDE)
        except Refused as refusal:
            way = f"mend \"template\" and \"commit\" in {RECORD}, or the network"
            raise Refused(f"{source.template} at {source.commit[:12]}: {refusal}: {way}") from refusal
        files = rendered(str(clone / INSIDE), tuple(sorted(known(record).items())))
    slug = known(record).get("project_slug", "adopted")
    return {place(name, prefix, slug): it for name, it in files}
