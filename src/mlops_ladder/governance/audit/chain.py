"""The audit log: facts, as a chain of lines each of which holds the sha256 of the line before.

Facts are decisions, approvals, signatures, deployments and configuration.  Each is looked up where
it really is: in the registry, in a journal of this machine, in git.

The chain is kept in `audit.jsonl`, in the registry, and in git as `refs/audit/log`: who changes one
line has to change all lines after it, in all three places.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, UTC
from os import environ
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_ladder import project
from mlops_ladder.data import provenance
from mlops_ladder.registry import history, versions

JOURNALS = (Path("rollouts.jsonl"), Path("deployments.jsonl"))
WORDS = {"rollouts": ("action", "version"), "deployments": ("result", "image")}
TAGS = ("approval", "signature")  # of a version
CONFIGURATION = ":(glob)*.toml"  # as git names the files of the project's first folder
STEADY = ("decision", "journal")  # such a fact never changes; another text is another fact
GONE = "removed"
LOG = Path("audit.jsonl")
REF = "refs/audit/log"
KEY = "audit."  # what the tags of the registry begin with that hold the lines
FIRST = "0" * 64


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
            words = f"{kind} of v{it.version} {by}".strip()
            yield Fact(kind, f"v{it.version}", digest(text), words)


def journaled() -> Iterator[Fact]:
    """The steps of rollouts and the deployments of this machine.  A torn line was never done."""
    for path in filter(Path.exists, JOURNALS):
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            did, what = (line.get(it) for it in WORDS[path.stem])
            words = f"{path.stem}: {did} {what} by {line.get('who')}"
            yield Fact("journal", f"{path.stem} {line.get('time')}", digest(text), words)


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
                about = provenance.git("show", "--no-patch", "--format=%h %s, by %an", commit)
                digested = now.get(path, GONE)
                yield Fact("configuration", path, digested, f"{path}: {about}", commit)
        held = now


def contents(commit: str) -> dict[str, str]:
    """What git calls the content of each file of configuration in a commit."""
    listed = provenance.git("-c", "core.quotepath=off", "ls-tree", commit) or ""
    rows = (row.partition("\t") for row in listed.splitlines())
    return {name: about.split()[2] for about, _, name in rows if name.endswith(".toml")}


def facts(known: Mapping[str, str], last: str) -> list[Fact]:
    """All that has happened, as far as it can be looked up here."""
    return [*configured(known, last), *decided(), *tagged(), *journaled()]


class Line(BaseModel):
    """One fact, and when and by whom it was noted; `before` is the sha256 of the line before.

    `environment` names the settings that were not those of the files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    time: datetime
    kind: str
    about: str
    digest: str
    said: str
    commit: str
    who: str
    environment: list[str]
    before: str

    @property
    def text(self) -> str:
        """As it is kept, in ASCII: a kill while it is written splits no character."""
        return json.dumps(self.model_dump(mode="json"))

    @property
    def fact(self) -> tuple[str, str, str]:
        """What was noted."""
        return self.kind, self.about, self.digest

    @classmethod
    def of(cls, fact: Fact, before: list[str]) -> "Line":
        """The line of a fact that comes after these."""
        prefix = project.get_project().prefix
        return cls(
            **vars(fact),
            number=len(before) + 1,
            time=datetime.now(UTC),
            who=versions.author(),
            environment=sorted(name for name in environ if name.startswith(prefix)),
            before=digest(before[-1]) if before else FIRST,
        )


def parse(text: str) -> Line | None:
    """The line in this text, or None where there is none."""
    try:
        return Line.model_validate_json(text)
    except ValidationError:
        return None


def said(lines: Iterable[str]) -> list[Line]:
    """What the lines say, without those that say nothing."""
    return [line for line in map(parse, lines) if line]


def standing(noted: list[Line]) -> list[Line]:
    """The lines since the last repair, which has looked at all before it."""
    last = max((it.number for it in noted if it.kind == "repair"), default=0)
    return [it for it in noted if it.number > last]


def written() -> list[str]:
    """The whole lines of the file."""
    text = LOG.read_text(encoding="utf-8") if LOG.exists() else ""
    return text.rpartition("\n")[0].splitlines()


def torn() -> bool:
    """Does the file end in a piece of a line, as after a kill?"""
    return LOG.exists() and not LOG.read_text(encoding="utf-8").endswith("\n")


def registered() -> list[str]:
    """The lines that the registry holds; an empty one where one is missing there."""
    found = versions.client().search_registered_models(f"name = '{versions.model_name()}'")
    tags = dict(found[0].tags) if found else {}
    held = {int(key.removeprefix(KEY)): it for key, it in tags.items() if key.startswith(KEY)}
    return [held.get(number, "") for number in range(1, max(held, default=0) + 1)]


def anchored() -> list[str]:
    """The lines that git holds."""
    return (provenance.git("cat-file", "blob", REF) or "").splitlines()


def keep(lines: list[str]) -> None:
    """Have the registry and git hold these lines, which are in the file."""
    if not lines:
        return
    if versions.client().search_registered_models(f"name = '{versions.model_name()}'"):
        held = registered()
        for number, text in enumerate(lines, 1):
            if held[number - 1 : number] != [text]:
                key = f"{KEY}{number:06}"
                versions.client().set_registered_model_tag(versions.model_name(), key, text)
    if lines != anchored() and (blob := provenance.git("hash-object", "-w", str(LOG))):
        provenance.git("update-ref", REF, blob)


def breaks(lines: list[str]) -> Iterator[str]:
    """Where the chain does not hold first, in words: what comes after it follows from nothing."""
    before = FIRST
    for place, text in enumerate(lines, 1):
        line = parse(text)
        if not line:
            yield f"{LOG}:{place}: is no line of this log"
        elif line.number != place:
            yield f"{LOG}:{place}: says that it is line {line.number}"
        elif line.before != before:
            yield f"{LOG}:{place}: does not follow from line {place - 1}: that was another one"
        else:
            before = digest(text)
            continue
        return


def differences(lines: list[str], other: list[str], where: str) -> Iterator[str]:
    """Where the lines are not what another place holds of them, in words."""
    pairs = enumerate(zip(lines, other, strict=False), 1)
    if differing := [(place, theirs) for place, (ours, theirs) in pairs if ours != theirs]:
        place, theirs = differing[0]
        more = f", and {len(differing) - 1} lines after it" if differing[1:] else ""
        yield f"{LOG}:{place}: is not what {where} holds{more}; there it is {theirs or 'nothing'}"
    if len(lines) < len(other):
        yield f"{LOG}: lines {len(lines) + 1} to {len(other)} are missing; {where} holds them"


def faults(lines: list[str]) -> list[str]:
    """What is wrong with the log itself, in words."""
    copies = {"the registry": registered(), REF: anchored()}
    found = [*breaks(lines)]
    return found + [it for where, held in copies.items() for it in differences(lines, held, where)]
