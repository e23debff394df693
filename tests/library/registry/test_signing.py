"""Signatures: nothing serves that nobody has signed, where it has to be signed."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from library.registry.candidates import accepted, candidate

from mlops_ladder import ProjectError
from mlops_ladder.export import runtime
from mlops_ladder.project import get_project
from mlops_ladder.registry import promotion, publishing, signing, ssh_signatures, versions
from mlops_ladder.registry.versions import Version
from mlops_ladder.tracking import runs

SIGNER = "ada@example.com"


def key(name: str) -> str:
    """A new key."""
    asked = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name]
    subprocess.run(asked, check=True)
    return name


@pytest.fixture(name="version", autouse=True)
def _version(folder: Path, run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> Version:
    """An accepted version where everything has to be signed, by one signer."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__REQUIRED", "true")
    public = Path(f"{key('own')}.pub").read_text(encoding="utf-8")
    (folder / ".signers").write_text(f"{SIGNER} {public}", encoding="utf-8")
    name = f"signed-{versions.model_name()}"
    return promotion.register_version(candidate(run, name), name, accepted())


def test_an_unsigned_version_waits_until_it_is_signed(
    version: Version, command: Callable[..., int]
) -> None:
    """It is no champion, a stranger's key does not help, and `make sign` makes it champion."""
    assert versions.read_state().champion is None
    with pytest.raises(ProjectError, match="not signed: there is no signature"):
        promotion.promote_version(version, accepted())
    assert command("sign", "--version", version.number, "--key", key("stranger")) == 1
    assert versions.read_state().champion is None and signing.read_signature(version) == ""
    assert command("sign", "--version", version.number, "--key", "own") == 0
    champion = versions.read_state().champion
    assert champion and champion.version == version.number


def test_the_pipeline_signs_where_a_key_is_set(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in CI, which holds the key; the signature comes along wherever the bundle is brought."""
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__KEY", "own")
    promotion.promote_version(version, accepted())
    place = publishing.SERVING / version.number
    (place / signing.SIGNATURE).unlink()
    promotion.publish_champion()
    assert (place / signing.SIGNATURE).read_text(encoding="utf-8") == signing.read_signature(
        version
    )


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "no signature": lambda bundle, path: path.unlink(),
    "another bundle": lambda bundle, path: bundle.write_bytes(bundle.read_bytes() + b" "),
    "a stranger's": lambda bundle, path: path.write_text(
        ssh_signatures.sign_bytes(bundle.read_bytes(), key("stranger"), signing.KIND), "utf-8"
    ),
    "of an image": lambda bundle, path: path.write_text(
        ssh_signatures.sign_bytes(bundle.read_bytes(), "own", "image"), "utf-8"
    ),
    "no signers": lambda bundle, path: Path(".signers").unlink(),
}


def test_the_service_loads_nothing_unsigned(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is signed gets past; what is not is refused, unless nothing has to be signed."""
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__KEY", "own")
    promotion.promote_version(version, accepted())
    place = publishing.SERVING / version.number
    files = [place / signing.BUNDLE, place / signing.SIGNATURE, Path(".signers")]
    before = {path: path.read_bytes() for path in files}
    for change in CHANGES.values():
        signing.require_signature(place)
        change(*files[:2])
        with pytest.raises(ProjectError, match="bundle.json: not signed"):
            runtime.load_bundle(place)
        for path, content in before.items():
            path.write_bytes(content)
    (place / signing.SIGNATURE).unlink()
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__REQUIRED", "false")
    signing.require_signature(place)
