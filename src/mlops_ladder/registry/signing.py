"""Signed models: what is served was signed by somebody whom `.signers` names.

Signed is `bundle.json`, which holds the sha256 of every file of the bundle.  The signature is a tag
of the version in the registry, and a file beside the bundle wherever that is brought.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data import provenance
from mlops_ladder.registry import approval, gate, promotion, publishing, signatures, versions
from mlops_ladder.registry.signed import BUNDLE, FILE, KIND, verified
from mlops_ladder.registry.settings import Signing
from mlops_ladder.settings import load_settings

TAG = "signature"


def held(version: versions.Version) -> str:
    """The signature that the registry holds of a version; empty where there is none."""
    tags = versions.client().get_model_version(versions.model_name(), version.number).tags
    return str(tags.get(TAG, ""))


def key_of(wanted: Signing) -> str:
    """The key to sign with: that of the settings, else git's.  ProjectError where there is none."""
    key = wanted.key or provenance.git("config", "--type=path", "user.signingkey")
    if not key:
        raise ProjectError("no key to sign with; KEY=~/.ssh/id_ed25519 names one: docs/supply.md")
    return key


def sign(version: versions.Version, wanted: Signing) -> str:
    """Sign the bundle of a version: who has signed.

    Raises ProjectError where that signature would not count; the registry then holds none.
    """
    publishing.fetch(version)
    place = publishing.SERVING / version.number
    content = (place / BUNDLE).read_bytes()
    signature = signatures.sign(content, key_of(wanted), KIND)
    by = signatures.signer(content, signature, KIND, Path(wanted.signers))
    versions.client().set_model_version_tag(versions.model_name(), version.number, TAG, signature)
    write_file_atomically(place / FILE, signature)
    return by


def bring(version: versions.Version, place: Path) -> None:
    """Put the signature of a version beside its bundle, which was brought here."""
    if signature := held(version):
        write_file_atomically(place / FILE, signature)


def waits(version: versions.Version, _verdict: dict[str, Any]) -> list[str]:
    """Why a version may not become champion yet: it has to be signed, and is not.

    It is signed where the settings name a key, as those of CI do.
    """
    wanted = load_settings().signing
    if not wanted.required:
        return []
    try:
        if wanted.key and not held(version):
            sign(version, wanted)
        publishing.fetch(version)
        verified(publishing.SERVING / version.number, wanted)
    except ProjectError as error:
        return [str(error), f"to sign it: make sign VERSION={version.number}"]
    return []


def find_obstacles(version: versions.Version, verdict: gate.Verdict) -> list[str]:
    """For what else a version waits that is signed by now, a line each."""
    why = promotion.waits(version, verdict)
    return [f"v{version.number} still waits", *(f"  {it}" for it in why)] if why else []


def main(
    version: Annotated[str, typer.Option(help="which version")],
    key: Annotated[str, typer.Option(help="the private key (default: that of git)")] = "",
) -> None:
    """Sign a version that the gate has accepted; where it waited for that, it is champion then."""
    wanted = load_settings().signing
    entry = approval.judged(version)
    if key:
        wanted = wanted.model_copy(update={"key": key})
    print(f"v{version}: signed by {sign(versions.of(entry), wanted)}")
    promotion.promote_waiting(entry, find_obstacles)
