"""Publishing: what the service reads.  A folder for each version, and a file that names one.

`models/serving/VERSION/` holds the bundle of a version, `models/serving/champion.json` says which
one is served.  Both are replaced as a whole, so the service never sees half of one.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from . import ProjectError, observers, tracking, versions, write_whole
from .contract import Contract, read_contract
from .history import Entry
from .prediction import save_model
from .serving.runtime import FILES
from .sources import checksum
from .versions import Version, of

SERVING = Path("models/serving")
POINTER = SERVING / "champion.json"
BUNDLE = "bundle.json"


def fetch(version: Version, sha256: str | None = None) -> str:
    """Have the bundle of a version here, whole or not at all; the sha256 of its `bundle.json`.

    Raises ProjectError where the run has no bundle, one that is damaged, or one of another model.
    """
    place = SERVING / version.number
    if not sha256 or damage(place, sha256):
        bring(version, place, sha256)
    for tell in observers("fetched"):
        tell(version, place)
    return checksum(place / BUNDLE)


def bring(version: Version, place: Path, sha256: str | None) -> None:
    """Bring the bundle of a version to this place.  ProjectError where it cannot be served."""
    SERVING.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=SERVING) as unfinished:
        found = download(version.run_id, unfinished)
        wrong = damage(found, sha256)
        if not wrong and (model := read(found)["model_version"]) != version.model_version:
            wrong = [f"{BUNDLE}: it is of model {model}, not of {version.model_version}"]
        if wrong:
            told = "\n  ".join(wrong)
            raise ProjectError(f"v{version.number}: its bundle cannot be served\n  {told}")
        shutil.rmtree(place, ignore_errors=True)
        found.rename(place)


def download(run_id: str, folder: str) -> Path:
    """The bundle of a run, in this folder.  ProjectError where it has none."""
    mlflow = tracking.connect()
    try:
        found = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path="serving", dst_path=folder
        )
    except mlflow.exceptions.MlflowException as error:
        raise ProjectError(
            f"run {run_id}: it has no bundle to serve ({error}); `make pipeline` records one"
        ) from error
    return Path(found)


def lacking(entry: Entry, run_id: str) -> list[str]:
    """What goes with the model in the bundle of a run and not in the bundle of this entry's run.

    As after a climb to a level whose bundles hold more.
    """
    text = tracking.connect().artifacts.load_text
    new, old = (json.loads(text(f"runs:/{it}/serving/{BUNDLE}")) for it in (run_id, entry.run_id))
    return sorted(set(new["files"]) - set(old["files"]) - set(FILES.values()))


def read(folder: Path) -> dict[str, Any]:
    """What `bundle.json` in this folder says."""
    said: dict[str, Any] = json.loads((folder / BUNDLE).read_text(encoding="utf-8"))
    return said


def damage(folder: Path, sha256: str | None = None) -> list[str]:
    """What is wrong with a bundle: each file that is missing, or is not what it was."""
    if not (folder / BUNDLE).is_file():
        return [f"{folder / BUNDLE}: not here"]
    wanted = {BUNDLE: sha256} if sha256 else {}
    if not sha256 or checksum(folder / BUNDLE) == sha256:
        wanted |= read(folder)["files"]
    return [
        f"{folder / name}: changed, or not here; sha256 {digest} is wanted"
        for name, digest in wanted.items()
        if not (folder / name).is_file() or checksum(folder / name) != digest
    ]


def named(entry: Entry) -> str:
    """What `champion.json` says where this entry made the champion."""
    said = {"version": entry.version, "run_id": entry.run_id, "sha256": entry.bundle}
    return json.dumps(said)


def publish(entry: Entry) -> None:
    """Have the service serve what this entry made the champion; it follows without a restart.

    The bundles of this champion and of the previous one are kept, others removed.
    """
    if not entry.version:
        POINTER.unlink(missing_ok=True)
        return
    fetch(of(entry), entry.bundle)
    write_whole(POINTER, named(entry))
    for path in SERVING.iterdir():
        if path.is_dir() and path.name not in (entry.version, entry.previous):
            shutil.rmtree(path)


def bring_model(entry: Entry) -> None:
    """Have `make predict` use the model of this entry, as the service does.

    Where it wants other inputs than contract.toml says, as after a rollback, that is told.
    """
    mlflow, file = tracking.connect(), f"runs:/{entry.run_id}/contract.toml"
    contract = read_contract(Path(mlflow.artifacts.download_artifacts(file)))
    model = mlflow.sklearn.load_model(f"models:/{versions.NAME}/{entry.version}")
    save_model(model, contract, entry.model_version)
    if names := apart(contract, read_contract()):
        told = f"v{entry.version} wants these inputs otherwise than contract.toml says"
        print(f"Tell those who ask the service: {told}: {', '.join(names)}")


def apart(*contracts: Contract) -> list[str]:
    """The inputs that not all of these contracts describe alike."""
    columns = [{name: it.columns[name] for name in it.inputs()} for it in contracts]
    names = sorted({name for it in columns for name in it})
    return [name for name in names if any(it.get(name) != columns[0].get(name) for it in columns)]


def faults(entry: Entry | None) -> list[str]:
    """Where what is served here is not what this entry made the champion, in words.

    A machine on which nothing is published has no fault.
    """
    if not POINTER.exists():
        return []
    said = POINTER.read_text(encoding="utf-8")
    if entry is None or said != named(entry):
        wanted = named(entry) if entry else "there is no champion"
        return [f"{POINTER}: it says {said}; the gate decided: {wanted}"]
    return damage(SERVING / str(entry.version), entry.bundle)
