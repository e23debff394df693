"""Publishing: what the service reads.  A folder for each version, and a file that names one.

`models/serving/VERSION/` holds the bundle of a version, `models/serving/champion.json` says which
one is served.  Both are replaced as a whole, so the service never sees half of one.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops_ladder import plugins, ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.sources import checksum
from mlops_ladder.export.runtime import BUNDLE, FILES, load, read_bundle
from mlops_ladder.registry import history, versions
from mlops_ladder.tracking import runs

SERVING = Path("models/serving")
POINTER = SERVING / "champion.json"


def fetch(version: versions.Version, sha256: str | None = None) -> str:
    """Have the bundle of a version here, whole or not at all; the sha256 of its `bundle.json`.

    Raises ProjectError where the run has no bundle, one that is damaged, or one of another model.
    """
    place = SERVING / version.number
    if not sha256 or damage(place, sha256):
        bring(version, place, sha256)
    plugins.get_hooks().after_bundle_download(version=version, place=place)
    return checksum(place / BUNDLE)


def bring(version: versions.Version, place: Path, sha256: str | None) -> None:
    """Bring the bundle of a version to this place.  ProjectError where it cannot be served."""
    SERVING.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=SERVING) as unfinished:
        found = download(version.run_id, unfinished)
        wrong = damage(found, sha256)
        if not wrong and (model := read_bundle(found)["model_version"]) != version.model_version:
            wrong = [f"{BUNDLE}: it is of model {model}, not of {version.model_version}"]
        raise_for_faults(f"v{version.number}: its bundle cannot be served", wrong)
        shutil.rmtree(place, ignore_errors=True)
        found.rename(place)


def download(run_id: str, folder: str) -> Path:
    """The bundle of a run, in this folder.  ProjectError where it has none."""
    mlflow, place = runs.connect_mlflow(), {"run_id": run_id, "artifact_path": "serving"}
    try:
        return Path(mlflow.artifacts.download_artifacts(**place, dst_path=folder))
    except mlflow.exceptions.MlflowException as error:
        told = f"it has no bundle to serve ({error}); `make pipeline` records one"
        raise ProjectError(f"run {run_id}: {told}") from error


def lacking(entry: history.Entry, run_id: str) -> list[str]:
    """What goes with the model in the bundle of a run and not in the bundle of this entry's run.

    As after a climb to a level whose bundles hold more, or where the contract expects other values.
    """
    text = runs.connect_mlflow().artifacts.load_text
    new, old = (json.loads(text(f"runs:/{it}/serving/{BUNDLE}")) for it in (run_id, entry.run_id))
    more = sorted(set(new["files"]) - set(old["files"]) - set(FILES.values()))
    return more + ["contract.toml"] * (new["contract"]["columns"] != old["contract"]["columns"])


def damage(folder: Path, sha256: str | None = None) -> list[str]:
    """What is wrong with a bundle: each file that is missing, or is not what it was."""
    if not (folder / BUNDLE).is_file():
        return [f"{folder / BUNDLE}: not here"]
    wanted = {BUNDLE: sha256} if sha256 else {}
    if not sha256 or checksum(folder / BUNDLE) == sha256:
        wanted |= read_bundle(folder)["files"]
    known = {name: checksum(folder / name) for name in wanted if (folder / name).is_file()}
    wrong = [(name, digest) for name, digest in wanted.items() if known.get(name) != digest]
    return [f"{folder / name}: changed, or not here; sha256 {it} is wanted" for name, it in wrong]


def named(entry: history.Entry) -> str:
    """What `champion.json` says where this entry made the champion."""
    return json.dumps({"version": entry.version, "run_id": entry.run_id, "sha256": entry.bundle})


def publish(entry: history.Entry) -> None:
    """Have the service serve what this entry made the champion; it follows without a restart.

    The bundles of this champion and of the previous one are kept, others removed.
    """
    if not entry.version:
        POINTER.unlink(missing_ok=True)
        return
    fetch(versions.of(entry), entry.bundle)
    write_file_atomically(POINTER, named(entry))
    for path in SERVING.iterdir():
        if path.is_dir() and path.name not in (entry.version, entry.previous):
            shutil.rmtree(path)


def champion() -> dict[str, Any]:
    """What `make predict` answers with: the champion that is published here, as the service has it.

    Raises ProjectError where there is none, or where its bundle is not what was published.
    """
    if not POINTER.exists():
        way_out = "`make pipeline` makes one, `make publish` brings that of the registry"
        raise ProjectError(f"{POINTER}: no champion is published here; {way_out}")
    try:
        said = json.loads(POINTER.read_text(encoding="utf-8"))
        place, sha256 = SERVING / str(said["version"]), str(said["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{POINTER}: cannot be read: {error!r}; `make publish` again") from error
    if wrong := damage(place, sha256):
        told = "\n  ".join([*wrong, "`make publish` brings it again"])
        raise ProjectError(f"v{place.name}: its bundle cannot be used\n  {told}")
    model = load(place)
    return {"model": model, "contract": model.contract, "version": model.version}


def warn_of_inputs(entry: history.Entry) -> None:
    """Say where the champion wants other inputs than contract.toml has, as after a rollback."""
    contract = Contract(**read_bundle(SERVING / str(entry.version))["contract"])
    if names := apart(contract, read_contract()):
        told = f"v{entry.version} wants these inputs otherwise than contract.toml says"
        print(f"Tell those who ask the service: {told}: {', '.join(names)}")


def apart(*contracts: Contract) -> list[str]:
    """The inputs that not all of these contracts describe alike."""
    columns = [{name: it.columns[name] for name in it.inputs()} for it in contracts]
    names = sorted({name for it in columns for name in it})
    return [name for name in names if any(it.get(name) != columns[0].get(name) for it in columns)]


def faults(moves: Sequence[history.Entry]) -> list[str]:
    """Where what is served here is not what one of these decisions made the champion, in words.

    A machine on which nothing is published has no fault.  Neither has one that serves an older
    champion, as another machine has decided since.
    """
    if not POINTER.exists():
        return []
    said = POINTER.read_text(encoding="utf-8")
    served = [entry for entry in moves if entry.version and said == named(entry)]
    if not served:
        wanted = named(moves[-1]) if moves and moves[-1].version else "there is no champion"
        return [f"{POINTER}: it says {said}; the gate decided: {wanted}"]
    return damage(SERVING / str(served[-1].version), served[-1].bundle)


def behind(entry: history.Entry | None) -> str:
    """What to do if this machine serves another champion than this entry's; else nothing."""
    if not POINTER.exists() or entry and POINTER.read_text(encoding="utf-8") == named(entry):
        return ""
    return f"{POINTER}: another machine has decided since; to serve it here: make publish"
