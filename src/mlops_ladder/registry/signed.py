"""Signed: was a bundle signed by somebody who may?

A service asks, so nothing of training is imported here.
"""

from pathlib import Path

from mlops_ladder import ProjectError
from mlops_ladder.registry import signatures
from mlops_ladder.registry.settings import Signing
from mlops_ladder.settings import load_settings

BUNDLE, FILE = "bundle.json", "bundle.json.sig"
KIND = "model"


def verified(folder: Path, wanted: Signing) -> str:
    """Who has signed the bundle in a folder.  ProjectError where nobody has who may."""
    path = folder / FILE
    signature = path.read_text(encoding="utf-8") if path.is_file() else ""
    content = (folder / BUNDLE).read_bytes()
    try:
        return signatures.signer(content, signature, KIND, Path(wanted.signers))
    except ProjectError as error:
        raise ProjectError(f"{folder / BUNDLE}: not signed: {error}") from error


def loaded(folder: Path) -> None:
    """Refuse, by ProjectError, to serve a bundle that nobody has signed, where one has to be."""
    wanted = load_settings().signing
    if wanted.required:
        verified(folder, wanted)
