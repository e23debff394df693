"""The bill of materials: what is locked, what was learned from, and what came out of it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from library.registry.candidates import promoted

from mlops_ladder import ProjectError
from mlops_ladder.data import provenance
from mlops_ladder.data.sources import SOURCES
from mlops_ladder.governance import sbom
from mlops_ladder.project import PYPROJECT
from mlops_ladder.registry import versions
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

PROJECT = """
[project]
name = "project"
version = "0.1"
requires-python = ">=3.11"
dependencies = ["one"]

[dependency-groups]
dev = ["two"]

[tool.mlops-ladder]
package = "flight_delays"
level = 4
"""
LOCK = """
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "one"
version = "1.0"
source = { registry = "https://example.com/simple" }
dependencies = [{ name = "two" }]
sdist = { url = "https://example.com/one-1.0.tar.gz", hash = "sha256:%s", size = 1 }

[[package]]
name = "project"
version = "0.1"
source = { virtual = "." }
dependencies = [{ name = "one" }]

[package.dev-dependencies]
dev = [{ name = "two" }]

[package.metadata]
requires-dist = [{ name = "one" }]

[package.metadata.requires-dev]
dev = [{ name = "two" }]

[[package]]
name = "two"
version = "2.0"
source = { registry = "https://example.com/simple" }
sdist = { url = "https://example.com/two-2.0.tar.gz", hash = "sha256:%s", size = 1 }
""" % (
    "1" * 64,
    "4" * 64,
)
DECLARED = """
[own]
origin = "somewhere"
licence = "CC0-1.0"
owner = "Ada"
files = { "rows/a.csv" = { sha256 = "%s", rows = 3 } }
""" % ("2" * 64)


@pytest.fixture(name="made", autouse=True)
def _made(folder: Path, run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit with a lock and declared data, and a champion that says it was made from it."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    (folder / provenance.LOCK).write_text(LOCK, encoding="utf-8")
    (folder / PYPROJECT).write_text(PROJECT, encoding="utf-8")
    (folder / SOURCES).parent.mkdir()
    (folder / SOURCES).write_text(DECLARED, encoding="utf-8")
    known = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for asked in (["init"], ["add", "."], [*known, "commit", "--message", "Start"]):
        subprocess.run(["git", *asked], check=True, capture_output=True)
    commit = provenance.run_git("rev-parse", "HEAD")
    monkeypatch.setattr(
        versions, "read_origin", lambda _: {"commit": str(commit), "data_sha256": "3" * 64}
    )
    promoted(run, f"model-{versions.model_name()}")
    return folder


def test_libraries_model_and_data_are_named_with_their_digests(settings: Settings) -> None:
    """Each depends on what it was made from."""
    champion = versions.read_state().champion
    assert champion
    rows = settings.model_copy(
        update={"data": settings.data.model_copy(update={"path": "rows/*.csv"})}
    )
    found = sbom.build_sbom(champion, rows)
    parts = {it["bom-ref"]: it for it in found["components"]}
    # Of another index than the public one, uv adds `?repository_url=`.
    by_url = {it["purl"].partition("?")[0]: ref for ref, it in parts.items() if "purl" in it}
    one, two = by_url["pkg:pypi/one@1.0"], by_url["pkg:pypi/two@2.0"]
    assert list(parts) == [one, two, "model", "data:rows/a.csv"]
    assert parts[one]["externalReferences"][0]["hashes"] == sbom.list_hashes("1" * 64)
    assert parts["model"]["hashes"] == sbom.list_hashes(champion.bundle)
    assert parts["data:rows/a.csv"]["hashes"] == sbom.list_hashes("2" * 64)
    assert parts["data:rows/a.csv"]["licenses"] == [{"license": {"name": "CC0-1.0"}}]
    needs = {it["ref"]: it.get("dependsOn", []) for it in found["dependencies"]}
    assert needs == {
        "project": [one, two, "model"],
        one: [two],
        two: [],
        "model": ["data:rows/a.csv"],
    }


def test_without_the_commit_there_is_no_bill(made: Path, command: Callable[..., int]) -> None:
    """What the champion was made from cannot be told; nothing is written."""
    (made / ".git").rename(made / "git")
    with pytest.raises(ProjectError, match="commit .* of the champion does not hold it"):
        sbom.read_committed("0" * 40, provenance.LOCK)
    assert command("sbom") == 1
    assert not sbom.OUT.exists()
