"""Publishing: a folder for each bundle that is served, and a file that names the champion's.

`models/serving/VERSION/` holds the bundle of a version, and `models/serving/champion.json` names
the served one.  Both are replaced as a whole, so the service never reads half of one.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops_ladder import plugins, ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.export.runtime import BUNDLE, FILES, load_bundle, read_bundle
from mlops_ladder.registry import history, versions
from mlops_ladder.tracking import runs

SERVING = Path("models/serving")
POINTER = SERVING / "champion.json"


def ensure_bundle(version: versions.Version, sha256: str | None = None) -> str:
    """Download the bundle of a version if it is not here; return the sha256 of its `bundle.json`.

    Raises ProjectError if the run has no bundle, a damaged one, or one of another model.
    """
    folder = SERVING / version.number
    if not sha256 or verify_bundle(folder, sha256):
        install_bundle(version, folder, sha256)
    plugins.get_hooks().after_bundle_download(version=version, place=folder)
    return compute_sha256(folder / BUNDLE)


def install_bundle(version: versions.Version, folder: Path, sha256: str | None) -> None:
    """Download and verify the bundle of a version, then move it to this folder as a whole."""
    SERVING.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=SERVING) as unfinished:
        bundle = download_bundle(version.run_id, unfinished)
        faults = verify_bundle(bundle, sha256)
        if not faults and (model := read_bundle(bundle)["model_version"]) != version.model_version:
            faults = [f"{BUNDLE}: it is of model {model}, not of {version.model_version}"]
        raise_for_faults(f"v{version.number}: its bundle cannot be served", faults)
        shutil.rmtree(folder, ignore_errors=True)
        bundle.rename(folder)


def download_bundle(run_id: str, folder: str) -> Path:
    """Download the bundle of a run into this folder.  Raise ProjectError if it has none."""
    mlflow, source = runs.connect_mlflow(), {"run_id": run_id, "artifact_path": "serving"}
    try:
        return Path(mlflow.artifacts.download_artifacts(**source, dst_path=folder))
    except mlflow.exceptions.MlflowException as error:
        message = f"it has no bundle to serve ({error}); `make pipeline` records one"
        raise ProjectError(f"run {run_id}: {message}") from error


def find_missing_files(entry: history.Entry, run_id: str) -> list[str]:
    """Return the files beside the model that this run's bundle has and the entry's bundle lacks.

    For example after a climb to a level with larger bundles.  `contract.toml` is listed if the two
    contracts differ.
    """
    load_text = runs.connect_mlflow().artifacts.load_text
    names = [f"runs:/{name}/serving/{BUNDLE}" for name in (run_id, entry.run_id)]
    new, old = (json.loads(load_text(name)) for name in names)
    files = sorted(set(new["files"]) - set(old["files"]) - set(FILES.values()))
    differs = new["contract"]["columns"] != old["contract"]["columns"]
    return [*files, "contract.toml"] if differs else files


def verify_bundle(folder: Path, sha256: str | None = None) -> list[str]:
    """Return a line for each file of a bundle that is missing or changed."""
    if not (folder / BUNDLE).is_file():
        return [f"{folder / BUNDLE}: not here"]
    digests = {BUNDLE: sha256} if sha256 else {}
    if not sha256 or compute_sha256(folder / BUNDLE) == sha256:
        digests |= read_bundle(folder)["files"]
    hashes = {name: compute_sha256(folder / name) for name in digests if (folder / name).is_file()}
    wrong = {name: digest for name, digest in digests.items() if hashes.get(name) != digest}
    return [f"{folder / name}: changed or gone; its sha256 was {wrong[name]}" for name in wrong]


def render_pointer(entry: history.Entry) -> str:
    """Return the text of `champion.json` for the champion of this entry."""
    return json.dumps({"version": entry.version, "run_id": entry.run_id, "sha256": entry.bundle})


def publish_entry(entry: history.Entry) -> None:
    """Point the service at the champion of this entry; it follows without a restart.

    The bundles of this champion and of the previous one are kept, others deleted.
    """
    if not entry.version:
        POINTER.unlink(missing_ok=True)
        return
    ensure_bundle(versions.version_from_entry(entry), entry.bundle)
    write_file_atomically(POINTER, render_pointer(entry))
    for path in SERVING.iterdir():
        if path.is_dir() and path.name not in (entry.version, entry.previous):
            shutil.rmtree(path)


def load_champion() -> dict[str, Any]:
    """Return the model that `make predict` uses: the published champion, as the service has it.

    Raises ProjectError if no champion is published, or its bundle was changed.
    """
    if not POINTER.exists():
        way_out = "`make pipeline` makes one, `make publish` downloads that of the registry"
        raise ProjectError(f"{POINTER}: no champion is published here; {way_out}")
    try:
        pointer = json.loads(POINTER.read_text(encoding="utf-8"))
        folder, sha256 = SERVING / str(pointer["version"]), str(pointer["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{POINTER}: cannot be read: {error!r}; `make publish` again") from error
    if faults := verify_bundle(folder, sha256):
        way_out = "`make publish` downloads it again"
        raise_for_faults(f"v{folder.name}: its bundle cannot be used", [*faults, way_out])
    model = load_bundle(folder)
    return {"model": model, "contract": model.contract, "version": model.version}


def warn_of_changed_inputs(entry: history.Entry) -> None:
    """Print the inputs that the champion's contract and contract.toml describe differently."""
    old, new = Contract(**read_bundle(SERVING / str(entry.version))["contract"]), read_contract()
    inputs = sorted({*old.inputs(), *new.inputs()})
    if names := [name for name in inputs if old.columns.get(name) != new.columns.get(name)]:
        message = f"v{entry.version} and contract.toml describe these inputs differently"
        print(f"Tell the clients of the service: {message}: {', '.join(names)}")


def verify_pointer(moves: Sequence[history.Entry]) -> list[str]:
    """Return a line for each difference between what is served here and these decisions.

    It is no fault if nothing is published here, or an older champion because another machine has
    decided since.
    """
    if not POINTER.exists():
        return []
    pointer = POINTER.read_text(encoding="utf-8")
    served = [entry for entry in moves if entry.version and pointer == render_pointer(entry)]
    if not served:
        expected = render_pointer(moves[-1]) if moves and moves[-1].version else "no champion"
        return [f"{POINTER}: it says {pointer}; the gate decided: {expected}"]
    return verify_bundle(SERVING / str(served[-1].version), served[-1].bundle)


def describe_lag(entry: history.Entry | None) -> str:
    """Return the way out if this machine serves another champion than this entry's; else ""."""
    if not POINTER.exists() or entry and POINTER.read_text("utf-8") == render_pointer(entry):
        return ""
    return f"{POINTER}: another machine has decided since; to serve it here: make publish"
