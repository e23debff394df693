"""The bill of materials of the champion, as CycloneDX 1.6: libraries, model and data.

The libraries are those of the lock in the champion's commit, by `uv export`.  The data are the
files that the champion learned from.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data import provenance, sources
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.project import PYPROJECT
from mlops_ladder.registry import history, publishing, versions
from mlops_ladder.registry.signing import read_signature
from mlops_ladder.settings import load_settings, Settings

OUT = Path("reports/sbom.json")
EXPORT = ("export", "--quiet", "--frozen", "--offline", "--all-groups", "--format", "cyclonedx1.5")

Facts = dict[str, Any]


def read_committed(commit: str, path: Path) -> str:
    """Return a file of a commit.  Raise ProjectError if this repository does not hold it."""
    text = provenance.run_git("show", f"{commit}:./{path.as_posix()}")
    if text is None:
        fault = f"commit {commit[:12]} of the champion does not hold it; git fetch"
        raise ProjectError(f"{path}: {fault}")
    return text


def export_libraries(commit: str) -> Facts:
    """Return the bill of the libraries that the lock of a commit names, with their sha256."""
    with TemporaryDirectory() as folder:
        for path in (PYPROJECT, provenance.LOCK):
            Path(folder, path.name).write_text(read_committed(commit, path), encoding="utf-8")
        beside = Path(sys.executable).with_name("uv")
        uv = os.environ.get("UV") or shutil.which("uv") or str(beside)
        command = [uv, *EXPORT, "--python", sys.executable, "--directory", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProjectError(f"{provenance.LOCK}: uv cannot export it: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))


def list_properties(**values: object) -> list[Facts]:
    """Return further facts as CycloneDX writes them."""
    return [{"name": name, "value": str(value)} for name, value in values.items() if value]


def list_hashes(sha256: str) -> list[Facts]:
    """Return a sha256 as CycloneDX writes it."""
    return [{"alg": "SHA-256", "content": sha256}]


def read_declared_sources(entry: history.Entry, settings: Settings) -> Facts:
    """Return the declaration of the champion's data: the one here, or that of its commit."""
    try:
        if sources.compute_sha256(*list_data_files(settings.data.path)) == entry.data_sha256:
            return sources.read_sources()
    except ProjectError:  # the data are elsewhere, or were never declared
        pass
    return tomllib.loads(read_committed(entry.commit, sources.SOURCES))


def list_data(entry: history.Entry, settings: Settings) -> Iterator[Facts]:
    """Yield every declared file that the champion learned from, with licence and owner."""
    pattern = settings.data.path
    for name, source in read_declared_sources(entry, settings).items():
        owner = {"organization": {"name": source.get("owner") or sources.UNKNOWN}}
        for path, about in source.get("files", {}).items():
            if sources.feeds_training(path, settings) or path.startswith(pattern.rstrip("/") + "/"):
                properties = {"origin": source.get("origin"), "rows": about.get("rows")}
                yield {
                    "type": "data",
                    "bom-ref": f"data:{path}",
                    "name": path,
                    "hashes": list_hashes(about["sha256"]),
                    "licenses": [{"license": {"name": source.get("licence") or sources.UNKNOWN}}],
                    "data": [{"type": "dataset", "name": name, "governance": {"owners": [owner]}}],
                    "properties": list_properties(**properties),
                }


def describe_champion(entry: history.Entry, settings: Settings, datasets: list[str]) -> Facts:
    """Return the champion: its bundle by sha256, its scores, its data and its origin."""
    evidence = (versions.with_verdict(entry).verdict or {}).get("evidence", {})
    scores = evidence.get("scores", {}).get("candidate", {})
    metrics = [{"type": name, "value": str(value)} for name, value in scores.items()]
    references = [{"ref": ref} for ref in datasets]
    signature = read_signature(versions.version_from_entry(entry))
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": versions.model_name(),
        "version": entry.model_version,
        "hashes": list_hashes(entry.bundle),
        "modelCard": {
            "modelParameters": {"task": settings.problem, "datasets": references},
            "quantitativeAnalysis": {"performanceMetrics": metrics},
        },
        "properties": list_properties(
            registered=f"v{entry.version}",
            run=entry.run_id,
            commit=entry.commit,
            data_sha256=entry.data_sha256,
            gate_report_sha256=entry.proof,
            signature_sha256=history.hash_verdict(signature) if signature else "",
        ),
    }


def build_sbom(entry: history.Entry, settings: Settings) -> Facts:
    """Return the whole bill of a champion.  Raise ProjectError if its sources are not here."""
    bill = export_libraries(entry.commit)
    data = list(list_data(entry, settings))
    refs = [str(file["bom-ref"]) for file in data]
    bill["components"] += [describe_champion(entry, settings, refs), *data]
    project = {"type": "application", "bom-ref": "project", "name": versions.model_name()}
    own = bill["metadata"]["component"]["bom-ref"]
    for package in bill["dependencies"]:
        if package["ref"] == own:
            package |= {"ref": "project", "dependsOn": [*package.get("dependsOn", []), "model"]}
    bill["dependencies"].append({"ref": "model", "dependsOn": refs})
    contents = json.dumps(bill["components"], sort_keys=True)
    return bill | {
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, contents).urn,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": project | {"version": entry.commit[:12]},
        },
    }


def main() -> None:
    """Write the bill of materials of the champion."""
    entry = versions.require_champion()
    # It raises ProjectError if the bundle was changed.
    publishing.ensure_bundle(versions.version_from_entry(entry), entry.bundle)
    bill = build_sbom(entry, load_settings())
    write_file_atomically(OUT, json.dumps(bill, indent=1) + "\n")
    kinds = Counter(component["type"] for component in bill["components"])
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    print(f"{OUT}: of champion v{entry.version}: {counts}")
