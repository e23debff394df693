"""Approval: a second person has read the report of the gate, and says that a version may serve.

What is approved is the report, by its sha256: another report, or a changed one, is not approved.
The approval is a tag of the version in the registry, and a file of `approvals/` to commit.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from mlops_ladder import ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data import provenance
from mlops_ladder.registry import decisions, forge, history, promotion, versions
from mlops_ladder.registry.forge import Approved, Person, same, unsound, wrong
from mlops_ladder.registry.settings import Approval
from mlops_ladder.settings import get_settings_file, load_settings
from mlops_ladder.strict_model import read_toml
from mlops_ladder.tracking import runs

DEPLOYMENTS = Path("deployments.jsonl")
NEEDED = ("never", "shared", "always")
LOCAL = ("sqlite", "file", "")  # what the address of a registry begins with where nobody else is
DEPLOYED = re.compile(r'"environment": "production".*"result": "deployed"')


def rule() -> Approval:
    """What the settings ask for; the environment may ask for more than the file, never for less.

    So whoever takes the second person out is seen in git.
    """
    wanted = load_settings().approval
    path = get_settings_file("approval")
    written = Approval(**(read_toml(path).get("approval", {}) if path.exists() else {}))
    strict = {
        "needed": max(wanted.needed, written.needed, key=NEEDED.index),
        "way": wanted.way if written.way == "named" else written.way,
        "approvers": written.approvers or wanted.approvers,
    }
    return wanted.model_copy(update=strict)


def needed(wanted: Approval) -> bool:
    """Has somebody else to approve before a version becomes champion here?

    Where it is asked for in what is shared: in a registry that others use, and where production
    follows the champion of this folder.
    """
    if wanted.needed != "shared":
        return wanted.needed == "always"
    address = runs.connect_mlflow().get_registry_uri()
    return address.partition(":")[0] not in LOCAL or in_production()


def in_production() -> bool:
    """Has this folder brought anything to production?"""
    text = DEPLOYMENTS.read_text(encoding="utf-8") if DEPLOYMENTS.exists() else ""
    return bool(DEPLOYED.search(text))


FOLDER = Path("approvals")
TAG = "approval"
REQUEST = typer.Option("--request", help="only write the report to review")
MADE = "--format=%aN <%aE>%n%(trailers:key=Co-authored-by,valueonly)"


def waits(version: versions.Version, verdict: dict[str, Any]) -> list[str]:
    """Why a version may not become champion yet: nobody else has approved this report of the gate.

    Nothing where the settings ask for no approval.
    """
    return lacks(version, verdict) if needed(rule()) else []


def lacks(version: versions.Version, verdict: dict[str, Any]) -> list[str]:
    """Why nobody else has approved this report of the gate; nothing where somebody has."""
    made, found = authors(version), heard(version, verdict)
    if any(not faults for _, faults in found):
        return []
    told = f"somebody other than {' and '.join(map(str, made))} has to approve it"
    return [
        *(f"by {it.approver}: {why}" for it, faults in found for why in faults),
        f"{told}: make approve VERSION={version.number}",
    ]


def heard(version: versions.Version, verdict: dict[str, Any]) -> list[tuple[Approved, list[str]]]:
    """Each approval in the registry, with why it does not count."""
    proof, made, wanted = history.digest(verdict), authors(version), rule()
    return [(it, unsound(it, proof, made, wanted)) for it in held(version)]


def authors(version: versions.Version) -> list[Person]:
    """Who made a version: who registered it, and whose commit it was made from.

    Of a merge, that is who wrote what it brought; co-authors are authors.
    """
    tags = versions.client().get_model_version(versions.model_name(), version.number).tags
    commit = versions.origin(version)["commit"]
    by = provenance.git("show", "--no-patch", "--format=%aN <%aE>%n%cN <%cE>", commit) or ""
    by += "\n" + (provenance.git("log", "--no-merges", MADE, f"{commit}^..{commit}") or "")
    found = [Person.of(it) for it in (tags.get("author", ""), *by.splitlines()) if it]
    return [it for place, it in enumerate(found) if not any(same(it, of) for of in found[:place])]


def held(version: versions.Version) -> Iterator[Approved]:
    """The approvals in the registry, of this version and of others that are the same model."""
    query = f"name = '{versions.model_name()}'"
    for it in versions.client().search_model_versions(query, max_results=10_000):
        if it.tags.get("model_version") == version.model_version and TAG in it.tags:
            with suppress(ValidationError):
                yield Approved.model_validate_json(it.tags[TAG])


def path_of(number: str) -> Path:
    """The file that holds the report of a version, and its approval."""
    return FOLDER / f"v{number}.json"


def judged(number: str) -> history.Entry:
    """What the gate said of a version when it accepted it, with the whole verdict.

    Raises ProjectError where it did not, or where the report is not what it was.
    """
    with decisions.alone():
        entries = decisions.recover().entries
    found = [it for it in entries if it.version == number and it.action in ("accept", "promote")]
    if not found:
        numbers = {str(it.version) for it in entries if it.action in ("accept", "promote")}
        known = ", ".join(sorted(numbers, key=int)) or "none"
        raise ProjectError(f"VERSION={number}: the gate has accepted no such version; {known}")
    entry = versions.whole(found[-1])
    if entry.verdict is None or history.digest(entry.verdict) != entry.proof:
        raise ProjectError(f"v{number}: the report of the gate is not there, or was changed")
    return entry


def request(entry: history.Entry) -> Path:
    """The file with the report that is to be approved: written where it is not there yet."""
    path = path_of(str(entry.version))
    about = entry.model_dump(mode="json", include={"version", "run_id", "model_version", "proof"})
    made = [str(it) for it in authors(versions.of(entry))]
    text = json.dumps(about | {"authors": made, "report": entry.verdict}, indent=2) + "\n"
    if not path.exists() or json.loads(path.read_text("utf-8")).get("proof") != entry.proof:
        write_file_atomically(path, text)
    return path


def approve(entry: history.Entry, review: str = "") -> Approved:
    """Write down that whoever works here, or has reviewed, approves what the gate said.

    Raises ProjectError where that approval would not count; the registry then holds none.
    """
    wanted, version, path = rule(), versions.of(entry), request(entry)
    by, evidence, made = Person.of(versions.author()), "", authors(version)
    if review:
        (by, *_), evidence = forge.reviewed(review, version.number, entry.proof)
    said = Approved(
        version=version.number,
        model_version=version.model_version,
        proof=entry.proof,
        approver=str(by),
        authors=[str(it) for it in made],
        way="reviewed" if review else "signed" if wanted.way == "signed" else "named",
        evidence=evidence,
        time=datetime.now(UTC),
    )
    refuse(said, wrong(said, entry.proof, made, wanted))
    write(path, said)
    if said.way == "signed":
        commit = forge.signed(path, f"Approve v{said.version}")
        said = said.model_copy(update={"evidence": commit})
        refuse(said, unsound(said, entry.proof, made, wanted))
    text = said.model_dump_json()
    versions.client().set_model_version_tag(versions.model_name(), said.version, TAG, text)
    return said


def refuse(said: Approved, faults: list[str]) -> None:
    """Raises ProjectError that lists the faults, where there are any."""
    raise_for_faults(f"v{said.version}: not approved by {said.approver}", faults)


def write(path: Path, said: Approved) -> None:
    """Put the approval beside the report that it is of."""
    known = json.loads(path.read_text("utf-8")) | {"approval": said.model_dump(mode="json")}
    write_file_atomically(path, json.dumps(known, indent=2) + "\n")


def main(
    version: Annotated[str, typer.Option(help="which version")],
    review: Annotated[str, typer.Option(help="as pull request N was reviewed", metavar="N")] = "",
    open_request: Annotated[bool, REQUEST] = False,
) -> None:
    """Approve a version that the gate has accepted; where it waited, it is champion then."""
    entry = judged(version)
    if open_request:
        print(f"{request(entry)}: the report of the gate.  Next: commit it, and have it reviewed")
        return
    said = approve(entry, review)
    path = path_of(said.version)
    print(f"v{said.version}: approved by {said.approver}, {said.way}; in {path}, to be committed")
    promotion.promote_waiting(entry, promotion.diverted)


def approved_main() -> None:
    """Say whether somebody else has approved the champion, as production has to know.

    ProjectError that says why not, where the settings ask for it anywhere.
    """
    entry = versions.held().champion
    if rule().needed == "never":
        print("config/approval.toml asks for no approval")
        return
    if entry is None:
        raise ProjectError("no version is champion yet; run `make pipeline`")
    version, verdict = versions.of(entry), versions.accepting(entry).verdict or {}
    raise_for_faults(f"v{version.number}: not approved", lacks(version, verdict))
    print(f"v{version.number}: approved")
