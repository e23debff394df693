"""Approval: what one person made another one approves, and it is that report and no other."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import pytest
from library.registry.candidates import accepted, candidate

from mlops_ladder import ProjectError
from mlops_ladder.data import provenance
from mlops_ladder.governance import lineage
from mlops_ladder.project import get_project
from mlops_ladder.registry import approval, decisions, history, promotion, versions
from mlops_ladder.registry.approval import (
    approve,
    find_accepted,
    find_approval_path,
    find_signature_fault,
)
from mlops_ladder.registry.people import Person
from mlops_ladder.registry.versions import Version
from mlops_ladder.settings import get_settings_file, load_settings
from mlops_ladder.tracking import runs

Become = Callable[[str, str], None]
STRANGER = {"author_association": "CONTRIBUTOR"}


@pytest.fixture(name="become", autouse=True)
def _become(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Become:
    """A repository where approval is needed; `become(name, address)` is who works there."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    monkeypatch.setenv(f"{get_project().prefix}APPROVAL__NEEDED", "always")
    monkeypatch.setenv(f"{get_project().prefix}APPROVAL__WAY", "named")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def become(name: str, email: str) -> None:
        for role in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{role}_NAME", name)
            monkeypatch.setenv(f"GIT_{role}_EMAIL", email)

    become("Ada", "ada@example.com")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return become


@pytest.fixture(name="version")
def _version(run: runs.Run) -> Version:
    """A version by Ada that the gate has accepted."""
    return promotion.register_version(candidate(run, "a"), "a", accepted())


def champion() -> str | None:
    """Which version is champion."""
    return versions.read_state().aliases.get("champion")


def test_an_accepted_version_waits_and_is_promoted_by_nobody(version: Version) -> None:
    """The decision is logged once, however often; the champion is who it was."""
    promotion.register_version(version.run_id, "a", accepted())
    assert [it.action for it in versions.read_state().entries] == ["accept"]
    with pytest.raises(ProjectError, match="v1: not approved\n  somebody other than Ada <ada@"):
        promotion.promote_version(version, accepted())
    assert (champion(), decisions.verify_registry(versions.read_state())) == (None, [])


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("Ada", "other@example.com"),
        ("ADA ", "other@example.com"),
        ("Countess", "Ada@Example.com"),
        ("Countess", "ada+work@example.com"),
    ],
)
def test_nobody_approves_what_they_made(
    version: Version, become: Become, command: Callable[..., int], name: str, email: str
) -> None:
    """By name or by address, in whatever case; the registry then holds no approval."""
    become(name, email)
    with pytest.raises(ProjectError, match="nobody approves their own work"):
        approve(find_accepted("1"))
    assert command("approve", "--version", "1") == 1
    assert not [*approval.read_approvals(version)] and champion() is None


def test_what_somebody_else_approves_is_champion(
    version: Version, become: Become, command: Callable[..., int]
) -> None:
    """The approval is in the registry and in a file; a rollback and a renewal need no other."""
    become("Bob", "bob@example.com")
    assert command("approve", "--version", version.number) == 0
    assert (champion(), decisions.verify_registry(versions.read_state())) == ("1", [])
    assert [it.action for it in versions.read_state().entries] == ["accept", "promote"]
    written = json.loads(find_approval_path("1").read_text(encoding="utf-8"))
    assert written["approval"]["approver"] == "Bob <bob@example.com>"
    assert (
        history.hash_verdict(written["report"]) == written["proof"] == written["approval"]["proof"]
    )
    assert command("approve", "--version", "1") == 0  # again: nothing else happens
    assert [it.action for it in versions.read_state().entries] == ["accept", "promote"]


def test_an_approval_of_another_report_does_not_count(version: Version, become: Become) -> None:
    """It is bound to the sha256 of what the gate said."""
    become("Bob", "bob@example.com")
    approve(find_accepted("1"))
    verdict = asdict(accepted())
    assert approval.find_unapproved(version, verdict) == []
    verdict["evidence"]["rows"] += 1
    told = approval.find_unapproved(version, verdict)
    assert told[0] == "by Bob <bob@example.com>: it is of another report of the gate"
    client = versions.get_client()
    forged = next(approval.read_approvals(version)).model_copy(
        update={"approver": "ada@example.com"}
    )
    client.set_model_version_tag(versions.model_name(), "1", approval.TAG, forged.model_dump_json())
    assert (
        "nobody approves their own work" in approval.find_unapproved(version, asdict(accepted()))[0]
    )
    client.set_model_version_tag(versions.model_name(), "1", approval.TAG, "nonsense")
    assert "somebody other than Ada" in approval.find_unapproved(version, asdict(accepted()))[0]


def test_only_those_who_may_approve(
    version: Version, become: Become, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the settings name approvers, others are refused."""
    monkeypatch.setenv(f"{get_project().prefix}APPROVAL__APPROVERS", '["cleo@example.com"]')
    become("Bob", "bob@example.com")
    with pytest.raises(ProjectError, match="Bob .*\n  is not among the approvers"):
        approve(find_accepted(version.number))
    become("Cleo", "cleo@example.com")
    assert approve(find_accepted(version.number)).approver == "Cleo <cleo@example.com>"


def test_what_the_gate_has_not_accepted_cannot_be_approved(version: Version) -> None:
    """The error names the version and those that there are."""
    with pytest.raises(ProjectError, match=f"VERSION=7: .* no such version; {version.number}"):
        find_accepted("7")


def test_alone_on_an_own_registry_nobody_waits(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`shared` asks where the registry has an address that others reach, or production is here."""
    monkeypatch.setenv(f"{get_project().prefix}APPROVAL__NEEDED", "shared")
    assert approval.find_unapproved(version, asdict(accepted())) == []
    shared = load_settings().approval
    for address, wanted in [("https://mlflow.example.com", True), ("sqlite:///a.db", False)]:
        mlflow = type("MLflow", (), {"get_registry_uri": lambda address=address: address})
        monkeypatch.setattr(runs, "connect_mlflow", lambda mlflow=mlflow: mlflow)
        assert approval.is_approval_needed(shared) == wanted
    deployed = {"environment": "production", "image": "sha256:1", "result": "deployed"}
    staged = deployed | {"environment": "staging"}
    refused = deployed | {"result": "refused"}
    for line, wanted in [(staged, False), (refused, False), (deployed, True)]:
        approval.DEPLOYMENTS.write_text(json.dumps(line) + "\n", encoding="utf-8")
        assert approval.is_approval_needed(shared) == wanted


def test_the_environment_asks_for_no_less_than_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable may put a second person in, and not take one out, nor accept a weaker word."""
    told = 'needed = "always"\nway = "signed"\napprovers = ["cleo@example.com"]\n'
    file = get_settings_file("approval")
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[approval]\n{told}", encoding="utf-8")
    variables = {"NEEDED": "never", "WAY": "named", "APPROVERS": '["ada@example.com"]'}
    for name, value in variables.items():
        monkeypatch.setenv(f"{get_project().prefix}APPROVAL__{name}", value)
    found = approval.read_policy()
    assert (found.needed, found.way, found.approvers) == ("always", "signed", ["cleo@example.com"])
    file.write_text('[approval]\nneeded = "never"\n', encoding="utf-8")
    monkeypatch.setenv(f"{get_project().prefix}APPROVAL__NEEDED", "always")
    assert approval.read_policy().needed == "always"


def test_of_a_merge_who_wrote_what_it_brought_is_an_author(
    version: Version, become: Become, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleo merges what Bob wrote with Dan, and Ada trains: none of the four approves."""

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)

    git("checkout", "-b", "trunk")
    git("commit", "--allow-empty", "-m", "First")
    git("checkout", "-b", "other")
    become("Bob", "bob@example.com")
    git("commit", "--allow-empty", "-m", "Second\n\nCo-authored-by: Dan <dan@example.com>")
    git("checkout", "trunk")
    become("Cleo", "cleo@example.com")
    git("merge", "--no-ff", "-m", "Third", "other")
    commit = provenance.run_git("rev-parse", "HEAD")
    monkeypatch.setattr(versions, "read_origin", lambda _: {"commit": commit})
    found = [it.name for it in approval.find_authors(version)]
    assert found == ["Ada", "Cleo", "Bob", "Dan"]


def test_production_and_a_trace_know_who_approved_also_after_a_rollback(
    run: runs.Run, version: Version, become: Become, command: Callable[..., int]
) -> None:
    """A rollback has no report of its own: it goes back to one that was approved."""
    assert command("approved") == 1  # no champion yet
    become("Bob", "bob@example.com")
    assert command("approve", "--version", version.number) == 0
    promotion.register_version(candidate(run, "b"), "b", accepted())
    become("Cleo", "cleo@example.com")
    assert (command("approve", "--version", "2"), command("approved")) == (0, 0)
    entry = promotion.roll_back()
    gate = versions.find_acceptance(entry)
    assert (entry.action, entry.version, champion()) == ("rollback", "1", "1")
    assert lineage.link_gate(gate).broken == "" and command("approved") == 0
    link = lineage.link_approver(gate)
    assert (link.target.split(",")[0], link.broken) == ("Bob <bob@example.com>", "")
    versions.get_client().delete_model_version_tag(versions.model_name(), "1", approval.TAG)
    assert "somebody other than Ada" in lineage.link_approver(gate).broken
    assert command("approved") == 1


def signer(folder: Path, monkeypatch: pytest.MonkeyPatch, email: str) -> None:
    """Have git sign with a new key, which is known to be of this address."""
    key = folder / f"{email}.key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    known = folder / "signers"
    with known.open("a", encoding="utf-8") as file:
        file.write(f"{email} {key.with_name(key.name + '.pub').read_text(encoding='utf-8')}")
    options = {
        "gpg.format": "ssh",
        "user.signingkey": str(key),
        "gpg.ssh.allowedSignersFile": str(known),
    }
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(options)))
    for place, (name, value) in enumerate(options.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{place}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{place}", value)


def test_a_signed_commit_approves_and_another_key_does_not(
    version: Version, become: Become, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit holds the report, and the signature is of who approves."""
    monkeypatch.setenv(f"{get_project().prefix}APPROVAL__WAY", "signed")
    become("Bob", "bob@example.com")
    with pytest.raises(ProjectError, match="not signed: "):
        approve(find_accepted("1"))
    signer(folder, monkeypatch, "eve@example.com")
    with pytest.raises(ProjectError, match="signed by .*eve@example.com, not by Bob"):
        approve(find_accepted("1"))
    assert not [*approval.read_approvals(version)]
    find_approval_path("1").unlink()
    signer(folder, monkeypatch, "bob@example.com")
    said = approve(find_accepted("1"))
    assert approval.find_unapproved(version, asdict(accepted())) == []
    assert find_signature_fault(said.evidence, said.approver, "0" * 64).endswith(
        "of another report"
    )
    for name in ("COUNT", "KEY_0"):  # git knows no signer any more
        monkeypatch.delenv(f"GIT_CONFIG_{name}")
    assert "does not verify" in find_signature_fault(said.evidence, said.approver, said.proof)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("Ada <ada@x.de>", "ada@x.de", True),
        ("Ada", "Bob <ada@x.de>", False),
        ("", "", False),
        ("Zoë  Núñez <z@x.de>", "zoë núñez <y@x.de>", True),
    ],
)
def test_people_are_known_by_name_or_address(one: str, other: str, wanted: bool) -> None:
    """An empty name is nobody's."""
    assert Person.parse(one).is_same(Person.parse(other)) == wanted
