"""Signed models: a bundle is signed, and verified before it is promoted or served.

The signed bytes are those of `bundle.json`, which holds the sha256 of every file of the bundle.
The signature is a tag of the version in the registry, and a file beside the downloaded bundle.
"""

# pylint: disable=import-outside-toplevel  # the service imports this module without those of training

from pathlib import Path
from typing import Annotated, Any, TYPE_CHECKING

import typer

from mlops_ladder import ProjectError, read_text_if_exists, write_file_atomically
from mlops_ladder.registry.settings import Signing
from mlops_ladder.registry.ssh_signatures import sign_bytes, verify_bytes
from mlops_ladder.settings import load_settings

if TYPE_CHECKING:
    from mlops_ladder.registry.versions import Version

BUNDLE, SIGNATURE = "bundle.json", "bundle.json.sig"
KIND, TAG = "model", "signature"


def verify_signed_bundle(folder: Path, settings: Signing) -> str:
    """Return the signer of a bundle.  Raise ProjectError without a valid signature."""
    content, signature = (folder / BUNDLE).read_bytes(), read_text_if_exists(folder / SIGNATURE)
    try:
        return verify_bytes(content, signature, KIND, Path(settings.signers))
    except ProjectError as error:
        raise ProjectError(f"{folder / BUNDLE}: not signed: {error}") from error


def require_signature(folder: Path) -> None:
    """Raise ProjectError if a bundle must be signed and is not (`before_bundle_load`)."""
    settings = load_settings().signing
    if settings.required:
        verify_signed_bundle(folder, settings)


def read_signature(version: "Version") -> str:
    """Return the signature of a version in the registry, or "" if there is none."""
    from mlops_ladder.registry import versions

    return versions.read_version_tags(version.number).get(TAG, "")


def sign_version(version: "Version", settings: Signing) -> str:
    """Sign the bundle of a version, with the configured key or git's; return the signer.

    Raises ProjectError if there is no key, or the signature would not count; the registry then
    holds none.
    """
    from mlops_ladder.data import provenance
    from mlops_ladder.registry import publishing, versions

    key = settings.key or provenance.run_git("config", "--type=path", "user.signingkey")
    if not key:
        raise ProjectError("no key to sign with; KEY=~/.ssh/id_ed25519 names one: docs/supply.md")
    publishing.ensure_bundle(version)
    folder = publishing.SERVING / version.number
    content = (folder / BUNDLE).read_bytes()
    signature = sign_bytes(content, key, KIND)
    signer = verify_bytes(content, signature, KIND, Path(settings.signers))
    versions.set_version_tag(version.number, TAG, signature)
    write_file_atomically(folder / SIGNATURE, signature)
    return signer


def write_signature(version: "Version", place: Path) -> None:
    """Write the signature of a version beside its bundle (`after_bundle_download`)."""
    if signature := read_signature(version):
        write_file_atomically(place / SIGNATURE, signature)


def find_unsigned(version: "Version", _verdict: dict[str, Any]) -> list[str]:
    """Return why a version may not become champion yet: it needs a signature and has none.

    If the settings name a key, as in CI, sign it now (`find_promotion_objections`).
    """
    from mlops_ladder.registry import publishing

    settings = load_settings().signing
    if not settings.required:
        return []
    try:
        if settings.key and not read_signature(version):
            sign_version(version, settings)
        publishing.ensure_bundle(version)
        verify_signed_bundle(publishing.SERVING / version.number, settings)
    except ProjectError as error:
        return [str(error), f"to sign it: make sign VERSION={version.number}"]
    return []


def main(
    version: Annotated[str, typer.Option(help="which version")],
    key: Annotated[str, typer.Option(help="the private key (default: that of git)")] = "",
) -> None:
    """Sign a version that the gate has accepted; if it waited for that, it becomes champion."""
    from mlops_ladder.registry import approval, promotion, versions

    settings = load_settings().signing
    entry = approval.find_accepted(version)
    settings = settings.model_copy(update={"key": key or settings.key})
    print(f"v{version}: signed by {sign_version(versions.version_from_entry(entry), settings)}")
    promotion.promote_waiting(entry)
