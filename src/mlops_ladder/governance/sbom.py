"""The bill of materials: the libraries, the model and the data that serve, as CycloneDX 1.6.

Libraries are those of the lock that the champion was trained with, data the files that it learned
from.
"""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import datetime, UTC
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data import provenance, sources
from mlops_ladder.data.reading import files
from mlops_ladder.registry import history, publishing, versions
from mlops_ladder.registry.signing import held
from mlops_ladder.settings import load_settings, Settings

OUT = Path("reports/sbom.json")
LOCK = provenance.LOCK

Facts = dict[str, Any]


def committed(commit: str, path: Path) -> str:
    """A file as a commit holds it.  ProjectError where this repository does not hold it."""
    command = ["git", "show", f"{commit}:{path.as_posix()}"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        message = f"{path}: commit {commit[:12]} of the champion does not hold it; git fetch"
        raise ProjectError(message)
    return done.stdout.decode()


def properties(**known: object) -> list[Facts]:
    """Further facts, as CycloneDX has them."""
    return [{"name": name, "value": str(value)} for name, value in known.items() if value]


def hashed(sha256: str) -> list[Facts]:
    """A sha256, as CycloneDX has it."""
    return [{"alg": "SHA-256", "content": sha256}]


def reference(package: Facts) -> str:
    """The name of a locked package that no other one has."""
    return f"pkg:pypi/{package['name']}@{package['version']}"


def library(package: Facts) -> Facts:
    """A locked package, with each file that may be installed of it and its sha256."""
    found = [*([package["sdist"]] if "sdist" in package else []), *package.get("wheels", [])]
    distributed = [
        {"type": "distribution", "url": it["url"], "hashes": hashed(it["hash"].partition(":")[2])}
        for it in found
        if it.get("url") and str(it.get("hash", "")).startswith("sha256:")
    ]
    about = {"type": "library", "name": package["name"], "version": package["version"]}
    about |= {"bom-ref": reference(package), "purl": reference(package)}
    return about | ({"externalReferences": distributed} if distributed else {})


def locked(lock: Facts) -> tuple[list[Facts], list[Facts]]:
    """The packages of a lock, and who of them depends on whom; the project itself is `project`."""
    own = {it["name"] for it in lock["package"] if not it.get("source", {}).get("registry")}
    others = [it for it in lock["package"] if it["name"] not in own and "version" in it]
    known: dict[str, list[str]] = {}
    for it in others:
        known.setdefault(it["name"], []).append(reference(it))
    needs = []
    for it in lock["package"]:
        groups = [it.get("dependencies", []), *it.get("dev-dependencies", {}).values()]
        names = {need["name"] for group in groups for need in group}
        wanted = sorted({ref for name in names for ref in known.get(name, [])})
        if it["name"] in own or it in others:
            ref = "project" if it["name"] in own else reference(it)
            needs.append({"ref": ref, "dependsOn": wanted})
    return [library(it) for it in others], needs


def learned_from(entry: history.Entry, settings: Settings) -> Facts:
    """What is declared of the data that the champion learned from: here, else in its commit."""
    try:
        if sources.checksum(*files(settings.data.path)) == entry.data_sha256:
            return sources.read_sources()
    except ProjectError:  # the data are elsewhere, or were never declared
        pass
    return tomllib.loads(committed(entry.commit, sources.SOURCES))


def data(entry: history.Entry, settings: Settings) -> Iterator[Facts]:
    """Every declared file that the champion learned from, with licence and owner."""
    pattern = settings.data.path
    for name, source in learned_from(entry, settings).items():
        for path, about in source.get("files", {}).items():
            if not (Path(path).match(pattern) or path.startswith(pattern.rstrip("/") + "/")):
                continue
            owner = {"organization": {"name": source.get("owner") or sources.UNKNOWN}}
            yield {
                "type": "data",
                "bom-ref": f"data:{path}",
                "name": path,
                "hashes": hashed(about["sha256"]),
                "licenses": [{"license": {"name": source.get("licence") or sources.UNKNOWN}}],
                "data": [{"type": "dataset", "name": name, "governance": {"owners": [owner]}}],
                "properties": properties(origin=source.get("origin"), rows=about.get("rows")),
            }


def model(entry: history.Entry, settings: Settings, learned: list[Facts]) -> Facts:
    """The champion: its bundle by sha256, its scores, what it learned from."""
    scores = (versions.whole(entry).verdict or {}).get("evidence", {}).get("scores", {})
    known = scores.get("candidate", {})
    measured = [{"type": name, "value": str(value)} for name, value in known.items()]
    parameters = {"task": settings.problem, "datasets": [{"ref": it["bom-ref"]} for it in learned]}
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": versions.model_name(),
        "version": entry.model_version,
        "hashes": hashed(entry.bundle),
        "modelCard": {
            "modelParameters": parameters,
            "quantitativeAnalysis": {"performanceMetrics": measured},
        },
        "properties": origin(entry),
    }


def origin(entry: history.Entry) -> list[Facts]:
    """Where the champion comes from, and whether somebody has signed it."""
    signature = held(versions.of(entry))
    return properties(
        registered=f"v{entry.version}",
        run=entry.run_id,
        commit=entry.commit,
        data_sha256=entry.data_sha256,
        gate_report_sha256=entry.proof,
        signature_sha256=history.digest(signature) if signature else "",
    )


def bill(entry: history.Entry, settings: Settings) -> Facts:
    """The whole bill of a champion.  ProjectError where what it was made from is not here."""
    lock = committed(entry.commit, LOCK)
    libraries, needs = locked(tomllib.loads(lock))
    learned = list(data(entry, settings))
    parts = [*libraries, model(entry, settings, learned), *learned]
    for need in needs:
        if need["ref"] == "project":
            need["dependsOn"].append("model")
    needs.append({"ref": "model", "dependsOn": [it["bom-ref"] for it in learned]})
    about = {"type": "application", "bom-ref": "project", "name": versions.model_name()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, json.dumps(parts, sort_keys=True)).urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": about | {"version": entry.commit[:12]},
        },
        "components": parts,
        "dependencies": needs,
    }


def main() -> None:
    """Write the bill of materials of the champion."""
    entry = versions.held().champion
    if not entry:
        raise ProjectError("no version is champion yet; run `make pipeline`")
    publishing.fetch(versions.of(entry), entry.bundle)  # it is what it was, or this is refused
    found = bill(entry, load_settings())
    write_file_atomically(OUT, json.dumps(found, indent=1) + "\n")
    kinds = [it["type"] for it in found["components"]]
    told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    print(f"{OUT}: of champion v{entry.version}: {told}")
