"""Our files for some answers, from this version of the template or from an earlier one.

The record is `.cruft.json`: the template, its commit, and the answers.  From it the next adoption
learns which files came, and which have been changed since.
"""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from runpy import run_path
from typing import Any
from urllib.parse import urlsplit

from cookiecutter.main import cookiecutter

from mlops_ladder.adopt.git import Refused, run_git
from mlops_ladder.adopt.hooks import EXCUSED
from mlops_ladder.adopt.join import JOINED
from mlops_ladder.adopt.merge import RECORD, Files, place_file
from mlops_ladder.adopt.tables import TABLES

HERE = Path(__file__).resolve().parent
TEMPLATE, INSIDE = HERE.parents[2], "templates/adopted"
IN_CLONE = (TEMPLATE / INSIDE).exists()
ADOPTED = TEMPLATE / INSIDE if IN_CLONE else HERE / "files"  # the latter is what `uvx` installs

Answers = dict[str, str]


@dataclass(frozen=True)
class Origin:
    """Where our files come from: an address or a folder, and the commit."""

    template: str
    commit: str


@cache
def find_origin() -> Origin:
    """Return the clone that this runs in, or the source that `uvx` installed."""
    if IN_CLONE:
        return Origin(**run_path(str(TEMPLATE / "local_extensions.py"))["template_version"]())
    try:
        text = distribution("mlops-ladder-template").read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    info: dict[str, Any] = json.loads(text or "{}")
    address = str(info.get("url", ""))
    if commit := info.get("vcs_info", {}).get("commit_id"):
        return Origin(address.removeprefix("file://"), str(commit))
    folder = Path(urlsplit(address).path)
    clean = address and (folder / ".git").exists() and not run_git(folder, "status", "--porcelain")
    head = run_git(folder, "rev-parse", "HEAD").decode().strip() if clean else ""
    return Origin(str(folder), head)


def read_recorded_answers(record: dict[str, Any]) -> Answers:
    """Return the answers of an earlier adoption."""
    answers = record.get("context", {}).get("cookiecutter", {})
    return {name: str(value) for name, value in answers.items() if not name.startswith("_")}


def render_files(answers: Answers, source: Origin, prefix: str) -> Files:
    """Return our files for these answers, by path in the repository, with the record."""
    files = render_template(str(ADOPTED), tuple(sorted(answers.items())))
    ours = {place_file(name, prefix, answers["project_slug"]): content for name, content in files}
    shared = [name for name in ours if name.rpartition("/")[2] in JOINED]
    record = {
        "template": source.template,
        "commit": source.commit,
        "checkout": None,
        "context": {"cookiecutter": answers | {"_template": source.template}},
        "directory": INSIDE,
        "skip": shared,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    return ours | {prefix + RECORD: text.encode()}


# Our templates execute these signs.  Answers come from their files, so they may not contain any.
CODE = re.compile(r"\[\[|\]\]|\[%|%\]|\[#|[\r\n\0]")
SHAPES = TABLES["shapes"] | dict.fromkeys(EXCUSED.values(), "[^']*")


def refuse_code(answers: Answers, source: str) -> None:
    """Raise Refused, with the names, if answers would be more than text in our files."""
    bad = [
        f"{source}: {name} is {value!r}: it has signs that our files cannot hold"
        for name, value in answers.items()
        if CODE.search(value) or not re.fullmatch(SHAPES.get(name, r".*"), value)
    ]
    if bad:
        raise Refused("; ".join(bad))


@cache
def render_template(
    template: str, answers: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, bytes], ...]:
    """Return the files that a version of the template makes of these answers."""
    refuse_code(dict(answers), "an answer")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            project = Path(
                cookiecutter(
                    template,
                    no_input=True,
                    extra_context=dict(answers),
                    output_dir=f"{folder}/made",
                    default_config={"replay_dir": f"{folder}/replay"},
                )
            )
        except ValueError as error:
            raise Refused(f"an answer is none of the choices: {error}") from error
        paths = sorted(path for path in project.rglob("*") if path.is_file())
        return tuple((path.relative_to(project).as_posix(), path.read_bytes()) for path in paths)


def check_out_template(commit: str, clone: Path) -> None:
    """Clone this template, with our files of a commit.  Raise Refused if its history lacks it."""
    agent = {name: os.environ[name] for name in ("SSH_AUTH_SOCK",) if name in os.environ}
    quiet, network = ("--quiet", "--no-checkout", "--template="), {"GIT_TERMINAL_PROMPT": "0"}
    words = ("clone", *quiet, "--", find_origin().template, str(clone))
    run_git(clone.parent, *words, stdin=b"", **network | agent)
    run_git(clone, "merge-base", "--is-ancestor", commit, "HEAD")
    run_git(clone, "checkout", "--quiet", commit, "--", INSIDE)


def render_base(record: dict[str, Any], prefix: str) -> Files:
    """Return the files of an earlier adoption, rendered again by this template; {} without one.

    The address in the record is not used, because rendering runs the hooks of a template.  Raise
    Refused if the recorded commit is not in the history of this template.
    """
    if not record:
        return {}
    answers = read_recorded_answers(record)
    commit = re.sub(r"[^0-9a-f]", "", str(record.get("commit")))
    if commit in ("", find_origin().commit):
        return render_files(answers, find_origin(), prefix)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        clone = Path(folder) / "template"
        try:
            check_out_template(commit, clone)
        except Refused as refusal:
            template = find_origin().template
            raise Refused(
                f"{RECORD} names commit {commit[:12]}, and {template} does not have it in its "
                f"history: {refusal}: run a newer version of the template, or mend the commit"
            ) from refusal
        files = render_template(str(clone / INSIDE), tuple(sorted(answers.items())))
    slug = answers.get("project_slug", "adopted")
    return {place_file(name, prefix, slug): content for name, content in files}
