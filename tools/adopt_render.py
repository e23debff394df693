"""Our files for some answers, from this version of the template or from an earlier one.

The record is `.cruft.json`: the template, its commit, and the answers.  By it the next adoption
knows what was brought, and what has been changed since.
"""

import json
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adopt_git import Refused, git
from adopt_join import JOINED
from adopt_merge import RECORD, Files, place
from cookiecutter.main import cookiecutter
from local_extensions import template_version

HERE = Path(__file__).resolve().parent
INSIDE = "templates/adopted"
ADOPTED = next(it for it in (HERE.parent / INSIDE, HERE / "adopt_files") if it.exists())

Answers = dict[str, str]


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
    return Origin(str(folder), git(folder, "rev-parse", "HEAD").decode().strip() if clean else "")


def known(record: dict[str, Any]) -> Answers:
    """The answers of an earlier adoption."""
    found = record.get("context", {}).get("cookiecutter", {})
    return {name: str(value) for name, value in found.items() if not name.startswith("_")}


def render(answers: Answers, source: Origin, prefix: str) -> Files:
    """Our files for these answers, by their place in the repository, with the record."""
    files = rendered(str(ADOPTED), tuple(sorted(answers.items())))
    found = {place(name, prefix, answers["project_slug"]): it for name, it in files}
    shared = [name for name in found if name.rpartition("/")[2] in JOINED]
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
            way = f'mend "template" and "commit" in {RECORD}, or the network'
            raise Refused(
                f"{source.template} at {source.commit[:12]}: {refusal}: {way}"
            ) from refusal
        files = rendered(str(clone / INSIDE), tuple(sorted(known(record).items())))
    slug = known(record).get("project_slug", "adopted")
    return {place(name, prefix, slug): it for name, it in files}
