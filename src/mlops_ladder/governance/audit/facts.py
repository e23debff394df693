"""What the audit log is about: decisions, approvals, signatures, deployments, configuration.

Each is looked up where it really is: in the registry, in a journal of this machine, in git.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_ladder.data import provenance
from mlops_ladder.registry import history, versions

JOURNALS = (Path("rollouts.jsonl"), Path("deployments.jsonl"))
WORDS = {"rollouts": ("action", "version"), "deployments": ("result", "image")}
TAGS = ("approval", "signature")  # of a version
CONFIGURATION = ":(glob)*.toml"  # as git names the files of the project's first folder
STEADY = ("decision", "journal")  # such a fact never changes; another text is another fact
GONE = "removed"


@dataclass(frozen=True)
class Fact:
    """Something that has happened: what it is about, the digest of its source, and in words.

    The digest is a sha256; of configuration it is the name that git has for the content, and
    `commit` the one that brought it.
    """

    kind: str
    about: str
    digest: str
    said: str
    commit: str = ""


def digest(text: str) -> str:
    """The sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def decided() -> Iterator[Fact]:
    """The decisions of the gate, as the registry holds them."""
    for number, text in sorted(versions.held().copies.items()):
        entry = history.parse(text)
        yield Fact("decision", str(number), digest(text), str(entry or "cannot be read"))


def tagged() -> Iterator[Fact]:
    """Who has approved and signed versions, as the registry holds it."""
    query = f"name = '{versions.model_name()}'"
    found = versions.client().search_model_versions(query, max_results=10_000)
    for it in sorted(found, key=lambda it: int(it.version)):
        for kind in set(TAGS) & it.tags.keys():
            text = it.tags[kind]
            by = json.loads(text).get("approver", "") if text.startswith("{") else ""
            yield Fact(
                kind, f"v{it.version}", digest(text), f"{kind} of v{it.version} {by}".strip()
            )


def journaled() -> Iterator[Fact]:
    """The steps of rollouts and the deployments of this machine.  A torn line was never done."""
    for path in filter(Path.exists, JOURNALS):
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            did, what = (line.get(it) for it in WORDS[path.stem])
            said = f"{path.stem}: {did} {what} by {line.get('who')}"
            yield Fact("journal", f"{path.stem} {line.get('time')}", digest(text), said)


def configured(known: Mapping[str, str], last: str) -> Iterator[Fact]:
    """Each change of configuration in the commits after `last`; without one, what there is now.

    `known` says what each file held there.
    """
    asked = ("log", "--reverse", "--format=%H", f"{last}..HEAD", "--", CONFIGURATION)
    listed = provenance.git(*asked) if last else None
    if listed is None:  # nothing was noted yet, or that commit is not here
        listed = provenance.git("rev-parse", "--verify", "HEAD") or ""
    held = dict(known)
    for commit in listed.split():
        now = contents(commit)
        for path in sorted(now.keys() | held.keys()):
            if now.get(path, GONE) != held.get(path, GONE):
                said = provenance.git("show", "--no-patch", "--format=%h %s, by %an", commit)
                digested = now.get(path, GONE)
                yield Fact("configuration", path, digested, f"{path}: {said}", commit)
        held = now


def contents(commit: str) -> dict[str, str]:
    """What git calls the content of each file of configuration in a commit."""
    listed = provenance.git("-c", "core.quotepath=off", "ls-tree", commit) or ""
    rows = (row.partition("\t") for row in listed.splitlines())
    return {name: about.split()[2] for about, _, name in rows if name.endswith(".toml")}


def facts(known: Mapping[str, str], last: str) -> list[Fact]:
    """All that has happened, as far as it can be looked up here."""
    return [*configured(known, last), *decided(), *tagged(), *journaled()]
