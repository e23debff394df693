"""The release workflow: linted, with few rights, and what it publishes is the library."""

import shutil
import tarfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from conftest import ok, plant, python, ROOT, run

WORKFLOW = ".github/workflows/release.yml"
PROGRAMS = Path(python()).parent
LINTERS = {
    "actionlint": ["actionlint", WORKFLOW],
    "zizmor": ["zizmor", "--offline", "--persona=pedantic", WORKFLOW],
    "schema": ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW],
}


def lint(linter: str, folder: Path) -> int:
    """Return the exit status of a linter that looks at the workflow in a folder."""
    program, *words = LINTERS[linter]
    path = f"{PROGRAMS}:/usr/bin:/bin"  # actionlint asks shellcheck
    return run(str(PROGRAMS / program), *words, at=folder, PATH=path).returncode


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_accepts_the_release_workflow(linter: str) -> None:
    """actionlint with shellcheck, zizmor, and the schema."""
    assert lint(linter, ROOT) == 0


@pytest.mark.parametrize(
    ("linter", "old", "new"),
    [
        ("actionlint", "needs: build", "needs: biuld"),
        ("actionlint", '"build/dist/mlops_ladder-${GITHUB_REF_NAME#v}.tar.gz"', "$GITHUB_REF_NAME"),
        ("zizmor", "        with: {persist-credentials: false}\n", ""),
        ("zizmor", "ed0c53931b1dc9bd32cbe73a98c7f6766f8a527e # v1.13.0", "release/v1"),
        ("zizmor", "enable-cache: false", "enable-cache: true"),
        ("zizmor", "permissions: {}\n", "permissions: write-all\n"),
        ("zizmor", "${GITHUB_REF_NAME#v}", "${{ github.ref_name }}"),
        ("schema", "timeout-minutes: 10", "timeout-minuts: 10"),
    ],
)
def test_a_linter_finds_a_fault_in_the_release_workflow(
    tmp_path: Path, linter: str, old: str, new: str
) -> None:
    """The same linters fail if a fault is planted."""
    (tmp_path / WORKFLOW).parent.mkdir(parents=True)
    shutil.copy(ROOT / WORKFLOW, tmp_path / WORKFLOW)
    plant(tmp_path / WORKFLOW, old, new)
    assert lint(linter, tmp_path) != 0


def test_only_the_job_that_publishes_may_ask_for_an_identity() -> None:
    """It runs after the build, in an environment that can ask for a review; only a tag starts it."""
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / WORKFLOW).read_text(encoding="utf-8"))
    rights = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert rights == {"build": {"contents": "read"}, "publish": {"id-token": "write"}}
    assert (workflow["permissions"], workflow[True]) == ({}, {"push": {"tags": ["v*"]}})
    publish = workflow["jobs"]["publish"]
    assert (publish["needs"], publish["environment"]) == ("build", "pypi")


@pytest.mark.slow
def test_what_is_published_is_the_library_under_a_version_that_an_index_takes(
    tmp_path: Path, template: Path
) -> None:
    """`make dist`: the wheel holds the files of the project's wheel; the source builds it again."""
    copy = shutil.copytree(template, tmp_path / "template", symlinks=True)
    uv = shutil.which("uv") or str(PROGRAMS / "uv")
    (copy / ".venv/bin").mkdir(parents=True)
    (copy / ".venv/bin/.ready").touch()  # nothing that is installed is needed
    ok("make", "dist", f"UV={uv}", at=copy)
    (wheel,), (source,) = ((copy / "build/dist").glob(name) for name in ("*.whl", "*.tar.gz"))
    (brought,) = copy.glob("*/wheels/*.whl")
    names = (brought.name.partition("-")[2], wheel.name.partition("-")[2])
    assert names[1] == names[0].replace("+ladder", "") != names[0]
    package = [
        {
            name: archive.read(name)
            for name in archive.namelist()
            if name.startswith("mlops_ladder/")
        }
        for archive in (ZipFile(brought), ZipFile(wheel))
    ]
    assert package[0] == package[1] and len(package[0]) > 100
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (unpacked,) = (tmp_path / "source").iterdir()
    assert (unpacked / "LICENSE").is_file()
    ok(uv, "build", "--quiet", "--wheel", "--out-dir", "again", ".", at=unpacked)
    (again,) = (unpacked / "again").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
