"""Snapshots: a commit names the bytes of the data, and they come back."""

import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

from library.fixture_project import ROOT
import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data import sources
from mlops_ladder.settings import Settings

OWN = "data/own rows.csv"
POINTER = f"{OWN}.dvc"


@pytest.fixture(name="snapshots", scope="module")
def _snapshots() -> Any:
    """The module behind `ladder data-version`."""
    return import_module("mlops_ladder.data.versioning")


def commit(folder: Path) -> None:
    """Commit all that git does not ignore, as somebody."""
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    for command in (["add", "--all"], ["commit", "--quiet", "-m", "As it is"]):
        subprocess.run(["git", *who, *command], cwd=folder, check=True)


@pytest.fixture(name="own", scope="module")
def _own(settings: Settings) -> Settings:
    """Settings that read a file of one's own."""
    plain = {"encoding": "utf-8", "separator": ",", "decimal": ".", "thousands": None}
    data = settings.data.model_copy(update={"path": OWN} | plain)
    return settings.model_copy(update={"data": data})


@pytest.fixture(name="made", scope="module")
def _made(
    snapshots: Any, own: Settings, frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A repository with a data file that git ignores and DVC has stored, all committed."""
    folder = tmp_path_factory.mktemp("snapshots") / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "data").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    store = folder.parent / "store"
    remote = f"[core]\n    remote = tests\n['remote \"tests\"']\n    url = {store.as_posix()}\n"
    (folder / ".dvc/config.local").write_text(remote, encoding="utf-8")
    frame.head(5).to_csv(folder / OWN, index=False)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    commit(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert snapshots.store_versions(own) == [OWN]
    commit(folder)
    return folder


@pytest.fixture(name="project")
def _project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `made` to work in."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def flip(path: Path) -> None:
    """Change one bit of a file, and leave it as read-only as it was."""
    mode, content = path.stat().st_mode, bytearray(path.read_bytes())
    content[-2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    os.chmod(path, mode)


def test_a_commit_names_the_bytes_of_the_data(snapshots: Any, project: Path, own: Settings) -> None:
    """Git holds the pointer and not the data, whose sha256 and way back are declared."""
    assert not snapshots.find_unversioned(own)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=project, capture_output=True, check=True)
    held = listed.stdout.decode().split("\0")
    assert (POINTER in held, OWN in held) == (True, False)
    source = sources.read_sources()["own rows"]
    assert source["files"][OWN]["sha256"] == sources.compute_sha256(project / OWN)
    assert source["restore"] == snapshots.RESTORE


@pytest.mark.parametrize("place", ["file", "cache"])
def test_one_flipped_byte_is_told(snapshots: Any, project: Path, own: Settings, place: str) -> None:
    """A flipped byte in the file, or in the copy that would bring it back, is told."""
    path = snapshots.cache_path(OWN) if place == "cache" else Path(OWN)
    flip(project / path)
    assert [line.split(":")[0] for line in snapshots.find_unversioned(own)] == [str(path)]


def test_lost_bytes_come_back_from_the_store(snapshots: Any, project: Path) -> None:
    """With the file lost and its copy damaged, the store gives the same bytes again."""
    before = (project / OWN).read_bytes()
    (project / OWN).unlink()
    flip(project / snapshots.cache_path(OWN))
    assert snapshots.restore_versions() == [OWN]
    assert (project / OWN).read_bytes() == before


def test_what_a_killed_restore_has_cut_comes_back(
    snapshots: Any, project: Path, own: Settings
) -> None:
    """The next one ends it, and until then a cut file gets no version; other rows stay."""
    path, begun = project / OWN, project / snapshots.RESTORE_MARKER
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:20])
    begun.parent.mkdir(parents=True, exist_ok=True)
    begun.write_text(OWN, encoding="utf-8")
    with pytest.raises(ProjectError, match="a restore was interrupted"):
        snapshots.store_versions(own)
    assert snapshots.restore_versions() == [OWN] and not begun.exists()
    assert path.read_bytes() == whole
    path.unlink()
    path.write_bytes(whole + b"more")
    begun.write_text(OWN, encoding="utf-8")
    with pytest.raises(ProjectError, match="unsaved files"):
        snapshots.restore_versions()
    assert path.read_bytes() == whole + b"more" and not begun.exists()


def test_a_pointer_that_is_not_committed_is_told(
    snapshots: Any, project: Path, own: Settings
) -> None:
    """A version that no commit names yet is told, with the command that commits it."""
    pointer = project / POINTER
    pointer.write_text(f"{pointer.read_text(encoding='utf-8')}desc: changed\n", encoding="utf-8")
    wanted = f"{POINTER}: not as committed; run: git add '{POINTER}' && git commit"
    assert snapshots.find_unversioned(own) == [wanted]


def test_data_without_a_version_are_told(snapshots: Any, project: Path, own: Settings) -> None:
    """A file that neither git nor DVC holds is told, with what to run."""
    (project / POINTER).unlink()
    commit(project)
    assert snapshots.find_unversioned(own) == [f"{OWN}: has no version; run `make data-version`"]


def test_git_holds_the_version_of_what_it_tracks(
    snapshots: Any, project: Path, own: Settings
) -> None:
    """A file in git needs no DVC; a change that is not committed is told."""
    (project / POINTER).unlink()
    subprocess.run(["git", "add", "--force", OWN], cwd=project, check=True)
    commit(project)
    assert not snapshots.find_unversioned(own) and not snapshots.store_versions(own)
    flip(project / OWN)
    assert [line.split(":")[0] for line in snapshots.find_unversioned(own)] == [OWN]


def test_without_a_repository_the_way_out_is_told(
    snapshots: Any, folder: Path, own: Settings
) -> None:
    """A version is what a commit names: without git, it is told how to begin."""
    (folder / "data").mkdir()
    (folder / OWN).write_text("x\n1\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="run: git init && git add . && git commit -m Start"):
        snapshots.store_versions(own)


def test_data_outside_of_the_project_are_refused(
    snapshots: Any, folder: Path, own: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No commit names what lies elsewhere: the file is named, and where to put it."""
    assert folder.exists()
    far = tmp_path_factory.mktemp("far") / "rows.csv"
    far.write_text("x\n1\n", encoding="utf-8")
    data = own.data.model_copy(update={"path": str(far)})
    with pytest.raises(ProjectError, match="copy it into data/ and run `make contract`"):
        snapshots.store_versions(own.model_copy(update={"data": data}))
