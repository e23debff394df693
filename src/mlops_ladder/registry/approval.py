"""Approval: a second person has read the gate's report, and approves the version for service.

The report is approved by its sha256: another or a changed report is not approved.  The approval is
a tag of the version in the registry, and a file of `approvals/` to commit.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from mlops_ladder import ProjectError, raise_for_faults
from mlops_ladder import read_text_if_exists, write_file_atomically
from mlops_ladder.data import provenance
from mlops_ladder.registry import decisions, history, promotion, versions
from mlops_ladder.registry.people import Person
from mlops_ladder.registry.versions import Version
from mlops_ladder.registry.settings import Approval
from mlops_ladder.settings import get_settings_file, load_settings
from mlops_ladder.strict_model import read_toml, StrictModel
from mlops_ladder.tracking import runs

DEPLOYMENTS, FOLDER = Path("deployments.jsonl"), Path("approvals")
DEPLOYED = re.compile(r'"environment": "production".*"result": "deployed"')
NEEDED = ("never", "shared", "always")
LOCAL = ("sqlite", "file", "")  # schemes of a registry that nobody else reaches
TAG = "approval"
REQUEST = typer.Option("--request", help="only write the report to review")
AUTHORS = "--format=%aN <%aE>%n%(trailers:key=Co-authored-by,valueonly)"


class Approved(StrictModel):
    """An approval: its report, its approver, its way and its evidence.

    `proof` is the sha256 of the verdict; `evidence` the signed commit.
    """

    version: str
    model_version: str
    proof: str
    approver: str
    authors: list[str]
    way: Literal["named", "signed"]
    evidence: str
    time: datetime


def read_policy() -> Approval:
    """Return the settings; the environment may be stricter than the file, never weaker.

    So a change that removes the second person is seen in git.
    """
    settings, path = load_settings().approval, get_settings_file("approval")
    policy = Approval(**(read_toml(path).get("approval", {}) if path.exists() else {}))
    return Approval(
        needed=max(settings.needed, policy.needed, key=NEEDED.index),
        way=settings.way if policy.way == "named" else policy.way,
        approvers=policy.approvers or settings.approvers,
    )


def is_approval_needed(policy: Approval) -> bool:
    """Return whether a version needs an approval here before it becomes champion.

    `shared` asks for it if others use this registry, or this folder has deployed to production.
    """
    if policy.needed != "shared":
        return policy.needed == "always"
    address = runs.connect_mlflow().get_registry_uri()
    if address.partition(":")[0] not in LOCAL:
        return True
    return bool(DEPLOYED.search(read_text_if_exists(DEPLOYMENTS)))


def find_unapproved(version: Version, verdict: dict[str, Any]) -> list[str]:
    """Return why a version may not become champion yet: nobody else has approved this report.

    Returns nothing if the settings need no approval (`find_promotion_objections`).
    """
    return find_approval_faults(version, verdict) if is_approval_needed(read_policy()) else []


def find_approval_faults(version: Version, verdict: dict[str, Any]) -> list[str]:
    """Return why no approval of this report counts; nothing if one does."""
    authors, judged = find_authors(version), judge_approvals(version, verdict)
    if any(not faults for _, faults in judged):
        return []
    message = f"somebody other than {' and '.join(map(str, authors))} has to approve it"
    reasons = [f"by {approved.approver}: {why}" for approved, faults in judged for why in faults]
    return [*reasons, f"{message}: make approve VERSION={version.number}"]


def judge_approvals(version: Version, verdict: dict[str, Any]) -> list[tuple[Approved, list[str]]]:
    """Return each approval in the registry, with the reasons why it does not count."""
    against = history.hash_verdict(verdict), find_authors(version), read_policy()
    approvals = read_approvals(version)
    return [(approved, find_evidence_faults(approved, *against)) for approved in approvals]


def find_authors(version: Version) -> list[Person]:
    """Return the authors of a version: who registered it, and the authors of its commit.

    For a merge, also the authors of the merged commits; co-authors are authors.
    """
    author = versions.read_version_tags(version.number).get("author", "")
    commit = versions.read_origin(version)["commit"]
    own = provenance.run_git("show", "--no-patch", "--format=%aN <%aE>%n%cN <%cE>", commit) or ""
    merged = provenance.run_git("log", "--no-merges", AUTHORS, f"{commit}^..{commit}") or ""
    authors: list[Person] = []
    for name in filter(None, [author, *own.splitlines(), *merged.splitlines()]):
        if not (person := Person.parse(name)).is_among(authors):
            authors.append(person)
    return authors


def read_approvals(version: Version) -> Iterator[Approved]:
    """Read the approvals in the registry, for this version and others of the same model."""
    for record in versions.search_versions():
        if record.tags.get("model_version") == version.model_version and TAG in record.tags:
            with suppress(ValidationError):
                yield Approved.model_validate_json(record.tags[TAG])


def find_approval_path(number: str) -> Path:
    """Return the file for the report of a version, and its approval."""
    return FOLDER / f"v{number}.json"


def find_accepted(number: str) -> history.Entry:
    """Return the decision that accepted a version, with the whole verdict.

    Raises ProjectError if there is none, or the report was changed.
    """
    with decisions.registry_lock():
        entries = decisions.recover_decisions().entries
    accepted = {entry.version: entry for entry in entries if entry.action in ("accept", "promote")}
    if number not in accepted:
        numbers = ", ".join(sorted(map(str, accepted), key=int)) or "none"
        raise ProjectError(f"VERSION={number}: the gate has accepted no such version; {numbers}")
    entry = versions.with_verdict(accepted[number])
    if entry.verdict is None or history.hash_verdict(entry.verdict) != entry.proof:
        raise ProjectError(f"v{number}: the report of the gate is missing, or was changed")
    return entry


def write_request(entry: history.Entry) -> Path:
    """Write the file with the report to approve, unless it is there; return its path."""
    path = find_approval_path(str(entry.version))
    about = entry.model_dump(mode="json", include={"version", "run_id", "model_version", "proof"})
    authors = [str(author) for author in find_authors(versions.version_from_entry(entry))]
    text = json.dumps(about | {"authors": authors, "report": entry.verdict}, indent=2) + "\n"
    if not path.exists() or json.loads(path.read_text("utf-8")).get("proof") != entry.proof:
        write_file_atomically(path, text)
    return path


def approve(entry: history.Entry) -> Approved:
    """Write the approval of the present user to the registry and the file.

    Raises ProjectError if that approval would not count; the registry then holds none.
    """
    policy, version = read_policy(), versions.version_from_entry(entry)
    path, authors = write_request(entry), find_authors(version)
    approved = Approved(
        **entry.model_dump(include={"version", "model_version", "proof"}),
        approver=str(Person.parse(versions.get_author())),
        authors=[str(author) for author in authors],
        way=policy.way,
        evidence="",
        time=datetime.now(UTC),
    )
    title = f"v{approved.version}: not approved by {approved.approver}"
    raise_for_faults(title, find_policy_faults(approved, entry.proof, authors, policy))
    request = json.loads(path.read_text("utf-8")) | {"approval": approved.model_dump(mode="json")}
    write_file_atomically(path, json.dumps(request, indent=2) + "\n")
    if approved.way == "signed":
        commit = commit_signed(path, f"Approve v{approved.version}")
        approved = approved.model_copy(update={"evidence": commit})
        raise_for_faults(title, find_evidence_faults(approved, entry.proof, authors, policy))
    versions.set_version_tag(approved.version, TAG, approved.model_dump_json())
    return approved


def find_policy_faults(
    approved: Approved, proof: str, authors: list[Person], policy: Approval
) -> list[str]:
    """Return why an approval does not count, without a look at its evidence.

    Args:
        approved: The approval.
        proof: The sha256 of the gate's report.
        authors: The authors of the version.
        policy: The settings.
    """
    approver, faults = Person.parse(approved.approver), []
    if approved.proof != proof:
        faults.append("it is of another report of the gate")
    if approver.is_among(authors):
        faults.append("nobody approves their own work")
    if policy.approvers and not approver.is_among(map(Person.parse, policy.approvers)):
        faults.append("is not among the approvers of config/approval.toml")
    if policy.way not in ("named", approved.way):
        faults.append(f"approved as {approved.way}; config/approval.toml wants {policy.way}")
    return faults


def find_evidence_faults(
    approved: Approved, proof: str, authors: list[Person], policy: Approval
) -> list[str]:
    """Return why an approval does not count; verify its signed commit.

    The arguments are those of `find_policy_faults`.
    """
    faults = find_policy_faults(approved, proof, authors, policy)
    if not faults and approved.way == "signed":
        faults.append(find_signature_fault(approved.evidence, approved.approver, proof))
    return [fault for fault in faults if fault]


def commit_signed(path: Path, message: str) -> str:
    """Commit this file alone, signed; return the commit.  Raise ProjectError if git cannot sign."""
    for command in (["add", "--force"], ["commit", "-S", "-m", message]):
        arguments = ["git", *command, "--", str(path)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            output = (done.stderr or done.stdout).strip()
            raise ProjectError(f"{path}: not signed: {output}\nSee docs/approval.md: to sign")
    return str(provenance.run_git("rev-parse", "HEAD"))


def find_signature_fault(commit: str, approver: str, proof: str) -> str:
    """Return why a commit is no approval of a report by this person; "" if it is."""
    title = f"commit {commit[:12] or 'none'}"
    if not commit or provenance.run_git("cat-file", "-e", commit) is None:
        return f"{title} is not in this repository; git fetch"
    if provenance.run_git("verify-commit", commit) is None:
        return f"{title}: its signature does not verify (git verify-commit says why)"
    signer = Person.parse(str(provenance.run_git("show", "--no-patch", "--format=%GS", commit)))
    if not signer.is_same(Person.parse(approver)):
        return f"{title}: signed by {signer}, not by {approver}"
    line = f'"proof": "{proof}"'
    has_proof = provenance.run_git("grep", "--fixed-strings", line, commit, "--", str(FOLDER))
    return "" if has_proof else f"{title}: of another report"


def main(
    version: Annotated[str, typer.Option(help="which version")],
    open_request: Annotated[bool, REQUEST] = False,
) -> None:
    """Approve a version that the gate has accepted; if it waited for that, it becomes champion."""
    entry, path = find_accepted(version), find_approval_path(version)
    if open_request:
        write_request(entry)
        print(f"{path}: the report of the gate.  Next: commit it, and have it reviewed")
        return
    approved = approve(entry)
    print(f"v{version}: approved by {approved.approver}, {approved.way}; commit {path}")
    promotion.promote_waiting(entry)


def require_approved_champion() -> None:
    """Print whether somebody else has approved the champion; production asks before a deployment.

    Raises ProjectError with the reasons if nobody has, and the settings need it anywhere.
    """
    if read_policy().needed == "never":
        print("config/approval.toml needs no approval")
        return
    entry = versions.require_champion()
    version = versions.version_from_entry(entry)
    verdict = versions.find_acceptance(entry).verdict or {}
    raise_for_faults(f"v{version.number}: not approved", find_approval_faults(version, verdict))
    print(f"v{version.number}: approved")
