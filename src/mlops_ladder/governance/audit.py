"""The audit log: facts, as a chain of lines that each hold the sha256 of the line before.

Facts are decisions, approvals, signatures, deployments and configuration.  Each is read from its
source: the registry, a log of this machine, or git.

The chain is in `audit.jsonl`, in the registry, and in git as `refs/audit/log`.  To change one line,
a forger has to change all later lines in all three places.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, UTC
from os import environ
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from mlops_ladder import project, ProjectError, raise_for_faults, read_text_if_exists
from mlops_ladder.append_only_log import append_line
from mlops_ladder.data import provenance
from mlops_ladder.registry import history, versions
from mlops_ladder.registry.decisions import registry_lock
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
LOCK = Path("models/audit.lock")
NOTE, REPAIR = "make audit NOTE=yes", "make audit REPAIR=yes"
MAX_LENGTH = 1000  # characters of the description of a repair


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
        for text in read_text_if_exists(path).splitlines():
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


def parse_lines(texts: list[str]) -> list[Line]:
    """Return the lines in these texts, without damaged ones."""
    lines = []
    for text in texts:
        with suppress(ValidationError):
            lines.append(Line.model_validate_json(text))
    return lines


def lines_since_repair(lines: list[Line]) -> list[Line]:
    """Return the lines after the last repair, which has checked all before it."""
    last = max((line.number for line in lines if line.kind == "repair"), default=0)
    return [line for line in lines if line.number > last]


def read_log() -> tuple[list[str], str]:
    """Return the whole lines of the file, and the piece of a line that a kill has left."""
    whole, _, piece = read_text_if_exists(LOG).rpartition("\n")
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
        line = next(iter(parse_lines([text])), None)
        if not line:
            return [f"{LOG}:{place}: is no line of this log"]
        if line.number != place:
            return [f"{LOG}:{place}: says that it is line {line.number}"]
        if line.before != before:
            return [f"{LOG}:{place}: does not follow from line {place - 1}: that was another one"]
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


def split_unnoted(lines: list[Line]) -> tuple[list[Fact], list[Fact]]:
    """Return the facts that are not noted yet, and the immutable ones that were noted otherwise."""
    configured = [line for line in lines if line.kind == "configuration"]
    files = {line.about: line.digest for line in configured}
    last = configured[-1].commit if configured else ""
    noted = {(line.kind, line.about, line.digest) for line in lines if line not in configured}
    facts = [
        *list_configuration_changes(files, last),
        *list_decisions(),
        *list_approvals_and_signatures(),
        *list_journal_entries(),
    ]
    unnoted = [fact for fact in facts if (fact.kind, fact.about, fact.digest) not in noted]
    recent = lines_since_repair(lines)
    fixed = {(line.kind, line.about) for line in recent if line.kind in IMMUTABLE}
    changed = [fact for fact in unnoted if (fact.kind, fact.about) in fixed]
    return [fact for fact in unnoted if fact not in changed], changed


def find_contradictions(lines: list[Line]) -> Iterator[str]:
    """Yield the lines that the registry or git contradicts, in words."""
    decisions = {fact.about for fact in list_decisions()}
    has_repository = provenance.run_git("rev-parse", "--verify", "HEAD")
    for line in lines_since_repair(lines):
        where = f"{LOG}:{line.number}"
        if line.kind == "decision" and line.about not in decisions:
            yield f"{where}: the registry holds no decision {line.about}"
        if line.kind == "configuration" and has_repository:
            files = list_configuration_files(line.commit)
            if not files:
                yield f"{where}: commit {line.commit[:12]} is not in this repository; git fetch"
            elif files.get(line.about, REMOVED) != line.digest:
                yield f"{where}: {line.about} is another one in commit {line.commit[:12]}"


def verify_log() -> list[str]:
    """Return all faults, in words: of the chain, of its copies, and of its facts."""
    texts, piece = read_log()
    lines = parse_lines(texts)
    fresh, changed = split_unnoted(lines)
    faults = [*find_chain_faults(texts), *find_contradictions(lines)]
    if piece:
        faults.append(f"{LOG}:{len(texts) + 1}: is a piece of a line; to remove it: {NOTE}")
    for fact in changed:
        faults.append(f"{fact.kind} {fact.about}: is not as it was noted, but: {fact.said}")
    return faults + [f"{fact.kind} {fact.about}: not noted; to do so: {NOTE}" for fact in fresh]


def note_facts() -> list[Line]:
    """Add a line for each fact that is not noted yet, and return these lines.

    Raises ProjectError, and notes nothing, if the log differs from its copies.
    """
    with registry_lock(LOCK):
        texts, registered = read_log()[0], read_registry_lines()
        if texts == registered[: len(texts)]:  # another machine or a kill: the file is shorter
            for text in registered[len(texts) :]:
                append_line(LOG, text)
            texts = read_log()[0]
        faults = find_chain_faults(texts)
        raise_for_faults(f"{LOG}: nothing is noted until {REPAIR}", faults)
        added = []
        for fact in split_unnoted(parse_lines(texts))[0]:
            added.append(make_line(fact, texts))
            texts.append(added[-1].text)
            append_line(LOG, texts[-1])
        copy_lines(texts)
    return added


def repair_log() -> list[str]:
    """Restore the longest whole chain, note the faults, and return them; the file is backed up.

    Raises ProjectError if no whole chain continues the one that git holds.
    """
    with registry_lock(LOCK):
        anchor, texts = read_git_lines(), read_log()[0]
        faults = [*find_chain_faults(texts), *find_contradictions(parse_lines(texts))]
        logs = [read_registry_lines(), texts, anchor]
        whole = [log for log in logs if log[: len(anchor)] == anchor and not find_break(log)]
        if not whole:
            way_out = f"see: git cat-file blob {REF}, and a backup"
            raise ProjectError(f"{LOG}: no copy holds; {way_out}")
        if faults:
            texts = max(whole, key=len)
            history.rename_old_log(LOG)
            words = "; ".join(fault[:200] for fault in faults)[:MAX_LENGTH]
            fact = Fact("repair", str(LOG), hash_text(words), words)
            texts = [*texts, make_line(fact, texts).text]
            for text in texts:
                append_line(LOG, text)
            copy_lines(texts)
    return faults


def note_decision(_decision: object) -> None:
    """Note a new decision.  A damaged log stops no decision: the reason is printed."""
    try:
        note_facts()
    except ProjectError as error:
        print(f"Not in the audit log: {error}", file=sys.stderr)


def main(
    add: Annotated[bool, typer.Option("--note", help="first note what is not noted yet")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="first restore a whole chain")] = False,
) -> None:
    """Verify the log.  Raise ProjectError that lists the faults."""
    if repair:
        faults = repair_log() or ["none"]
        print("\n  ".join(["Restored a whole   The faults were:", *faults]))
    for line in note_facts() if add or repair else ():
        print(f"{line.number:5}  {line.said}")
    raise_for_faults(f"{LOG}: does not hold", verify_log())
    texts = read_log()[0]
    head = hash_text(texts[-1])[:12] if texts else "none"
    print(f"{LOG}: {len(texts)} lines, head {head}: registry, journals and git agree")
