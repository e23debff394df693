"""The chain: lines each of which holds the sha256 of the line before, and where they are kept.

In `audit.jsonl`, in the registry, and in git as `refs/audit/log`: who changes one line has to
change all lines after it, in all three places.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, UTC
from os import environ
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_ladder import project
from mlops_ladder.data import provenance
from mlops_ladder.governance.audit.facts import digest, Fact
from mlops_ladder.registry import versions

LOG = Path("audit.jsonl")
REF = "refs/audit/log"
KEY = "audit."  # what the tags of the registry begin with that hold the lines
FIRST = "0" * 64


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
        return cls(
            **vars(fact),
            number=len(before) + 1,
            time=datetime.now(UTC),
            who=versions.author(),
            environment=sorted(
                name for name in environ if name.startswith(project.current().prefix)
            ),
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
