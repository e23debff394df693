"""The audit log: facts, as a chain of lines that each hold the sha256 of the line before.

Facts are decisions, approvals, signatures, deployments and configuration.  Each is read from its
source: the registry, a log of this machine, or git.

The chain is in `audit.jsonl`, in the registry, and in git as `refs/audit/log`.  To change one line,
a forger has to change all later lines in all three places.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, UTC
from os import environ
from pathlib import Path

from pydantic import ValidationError

from mlops_ladder import project
from mlops_ladder.data import provenance
from mlops_ladder.registry import history, versions
from mlops_ladder.strict_model import StrictModel

# The keys of a line that say what was done, and to which version or image.
JOURNALS = {
    Path("rollouts.jsonl"): ("action", "version"),
    Path("deployments.jsonl"): ("result", "image"),
}
TAGS = ("approval", "signature")  # tags of a version that hold facts
CONFIGURATION = ":(glob)*.toml"  # git's name for the files of the project's first folder
IMMUTABLE = ("decision", "journal")  # kinds of facts that never change
REMOVED = "removed"
LOG = Path("audit.jsonl")
REF = "refs/audit/log"
KEY = "audit."  # start of the registry's tags that hold the lines
FIRST = "0" * 64


@dataclass(frozen=True)
class Fact:
    """Something that has happened: its subject, the digest of its source, and a description.

    The digest is a sha256.  For configuration it is git's name of the content, and `commit` is the
    commit that brought it.
    """

    kind: str
    about: str
    digest: str
    said: str
    commit: str = ""


def hash_text(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def list_decisions() -> Iterator[Fact]:
    """Yield the decisions of the gate that the registry holds."""
    for number, text in sorted(versions.read_state().copies.items()):
        entry = history.parse_entry(text)
        yield Fact("decision", str(number), hash_text(text), str(entry or "cannot be read"))


def list_approvals_and_signatures() -> Iterator[Fact]:
    """Yield the approvals and signatures of versions that the registry holds."""
    for version in sorted(versions.search_versions(), key=lambda record: int(record.version)):
        for kind in set(TAGS) & version.tags.keys():
            text = version.tags[kind]
            by = json.loads(text).get("approver", "") if text.startswith("{") else ""
            words = f"{kind} of v{version.version} {by}".strip()
            yield Fact(kind, f"v{version.version}", hash_text(text), words)


def list_journal_entries() -> Iterator[Fact]:
    """Yield the steps of rollouts and the deployments of this machine, without torn lines."""
    for path, keys in JOURNALS.items():
        for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            action, target = (line.get(key) for key in keys)
            words = f"{path.stem}: {action} {target} by {line.get('who')}"
            yield Fact("journal", f"{path.stem} {line.get('time')}", hash_text(text), words)


def list_configuration_changes(known: Mapping[str, str], last: str) -> Iterator[Fact]:
    """Yield each change of configuration in the commits after `last`.

    Without `last`, or if this repository does not hold it, yield the state of HEAD.  `known` holds
    the digest of each file in `last`.
    """
    command = ("log", "--reverse", "--format=%H", f"{last}..HEAD", "--", CONFIGURATION)
    listed = provenance.run_git(*command) if last else None
    if listed is None:
        listed = provenance.run_git("rev-parse", "--verify", "HEAD") or ""
    before = dict(known)
    for commit in listed.split():
        after = list_configuration_files(commit)
        for path in sorted(after.keys() | before.keys()):
            digest = after.get(path, REMOVED)
            if digest != before.get(path, REMOVED):
                about = provenance.run_git("show", "--no-patch", "--format=%h %s, by %an", commit)
                yield Fact("configuration", path, digest, f"{path}: {about}", commit)
        before = after


def list_configuration_files(commit: str) -> dict[str, str]:
    """Return git's name of the content of each file of configuration in a commit."""
    listed = provenance.run_git("-c", "core.quotepath=off", "ls-tree", commit) or ""
    rows = (row.partition("\t") for row in listed.splitlines())
    return {name: about.split()[2] for about, _, name in rows if name.endswith(".toml")}


class Line(StrictModel):
    """One fact, with the time and author of the note; `before` is the sha256 of the line before.

    `environment` names the settings that the environment overrode.
    """

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
        """The line as it is stored, in ASCII, so that a kill splits no character."""
        return json.dumps(self.model_dump(mode="json"))


def make_line(fact: Fact, before: list[str]) -> Line:
    """Return the line of a fact that comes after these lines."""
    prefix = project.get_project().prefix
    return Line(
        **vars(fact),
        number=len(before) + 1,
        time=datetime.now(UTC),
        who=versions.get_author(),
        environment=sorted(name for name in environ if name.startswith(prefix)),
        before=hash_text(before[-1]) if before else FIRST,
    )


def parse_line(text: str) -> Line | None:
    """Return the line in this text, or None."""
    try:
        return Line.model_validate_json(text)
    except ValidationError:
        return None


def parse_lines(texts: list[str]) -> list[Line]:
    """Return the lines in these texts, without damaged ones."""
    return [line for line in map(parse_line, texts) if line]


def lines_since_repair(lines: list[Line]) -> list[Line]:
    """Return the lines after the last repair, which has checked all before it."""
    last = max((line.number for line in lines if line.kind == "repair"), default=0)
    return [line for line in lines if line.number > last]


def read_log() -> tuple[list[str], str]:
    """Return the whole lines of the file, and the piece of a line that a kill has left."""
    text = LOG.read_text(encoding="utf-8") if LOG.exists() else ""
    whole, _, piece = text.rpartition("\n")
    return whole.splitlines(), piece


def read_registry_lines() -> list[str]:
    """Return the lines that the registry holds; an empty one for each missing line."""
    model = versions.find_registered_model()
    tags = dict(model.tags) if model else {}
    lines = {int(key.removeprefix(KEY)): text for key, text in tags.items() if key.startswith(KEY)}
    return [lines.get(number, "") for number in range(1, max(lines, default=0) + 1)]


def read_git_lines() -> list[str]:
    """Return the lines that git holds."""
    return (provenance.run_git("cat-file", "blob", REF) or "").splitlines()


def copy_lines(lines: list[str]) -> None:
    """Copy the lines of the file to the registry and to git."""
    if versions.find_registered_model():
        client, registered = versions.get_client(), read_registry_lines()
        for number, text in enumerate(lines, 1):
            if registered[number - 1 : number] != [text]:
                name = f"{KEY}{number:06}"
                client.set_registered_model_tag(versions.model_name(), name, text)
    if lines != read_git_lines() and (blob := provenance.run_git("hash-object", "-w", str(LOG))):
        provenance.run_git("update-ref", REF, blob)


def find_break(lines: list[str]) -> list[str]:
    """Return the first fault of the chain, in words; later lines follow from nothing."""
    before = FIRST
    for place, text in enumerate(lines, 1):
        line, fault = parse_line(text), ""
        if not line:
            fault = "is no line of this log"
        elif line.number != place:
            fault = f"says that it is line {line.number}"
        elif line.before != before:
            fault = f"does not follow from line {place - 1}: that was another one"
        if fault:
            return [f"{LOG}:{place}: {fault}"]
        before = hash_text(text)
    return []


def compare_copies(lines: list[str], other: list[str], where: str) -> Iterator[str]:
    """Yield the differences of the lines from those of another place, in words."""
    pairs = enumerate(zip(lines, other, strict=False), 1)
    if differing := [(place, theirs) for place, (ours, theirs) in pairs if ours != theirs]:
        place, theirs = differing[0]
        more = f", and {len(differing) - 1} lines after it" if differing[1:] else ""
        yield f"{LOG}:{place}: is not what {where} holds{more}; there it is {theirs or 'nothing'}"
    if len(lines) < len(other):
        yield f"{LOG}: lines {len(lines) + 1} to {len(other)} are missing; {where} holds them"


def find_chain_faults(lines: list[str]) -> list[str]:
    """Return the faults of the log itself, in words."""
    registered = compare_copies(lines, read_registry_lines(), "the registry")
    return [*find_break(lines), *registered, *compare_copies(lines, read_git_lines(), REF)]
