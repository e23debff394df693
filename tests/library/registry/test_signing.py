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
from mlops_ladder.registry import promotion, publishing, signatures, signed, signing, versions
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
    return promotion.register(candidate(run, name), name, accepted())


def test_an_unsigned_version_waits_until_it_is_signed(
    version: Version, command: Callable[..., int]
) -> None:
    """It is no champion, a stranger's key does not help, and `make sign` makes it champion."""
    assert versions.held().champion is None
    with pytest.raises(ProjectError, match="not signed: there is no signature"):
        promotion.promote(version, accepted())
    assert command("sign", "--version", version.number, "--key", key("stranger")) == 1
    assert versions.held().champion is None and signing.held(version) == ""
    assert command("sign", "--version", version.number, "--key", "own") == 0
    champion = versions.held().champion
    assert champion and champion.version == version.number


def test_the_pipeline_signs_where_a_key_is_set(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in CI, which holds the key; the signature comes along wherever the bundle is brought."""
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__KEY", "own")
    promotion.promote(version, accepted())
    place = publishing.SERVING / version.number
    (place / signed.FILE).unlink()
    promotion.publish()
    assert (place / signed.FILE).read_text(encoding="utf-8") == signing.held(version)


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "no signature": lambda bundle, path: path.unlink(),
    "another bundle": lambda bundle, path: bundle.write_bytes(bundle.read_bytes() + b" "),
    "a stranger's": lambda bundle, path: path.write_text(
        signatures.sign(bundle.read_bytes(), key("stranger"), signed.KIND), "utf-8"
    ),
    "of an image": lambda bundle, path: path.write_text(
        signatures.sign(bundle.read_bytes(), "own", "image"), "utf-8"
    ),
    "no signers": lambda bundle, path: Path(".signers").unlink(),
}


def test_the_service_loads_nothing_unsigned(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is signed gets past; what is not is refused, unless nothing has to be signed."""
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__KEY", "own")
    promotion.promote(version, accepted())
    place = publishing.SERVING / version.number
    files = [place / signed.BUNDLE, place / signed.FILE, Path(".signers")]
    before = {path: path.read_bytes() for path in files}
    for change in CHANGES.values():
        signed.loaded(place)
        change(*files[:2])
        with pytest.raises(ProjectError, match="bundle.json: not signed"):
            runtime.load(place)
        for path, content in before.items():
            path.write_bytes(content)
    (place / signed.FILE).unlink()
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__REQUIRED", "false")
    signed.loaded(place)
