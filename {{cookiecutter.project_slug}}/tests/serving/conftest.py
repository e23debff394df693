"""The service of this project, in a folder of its own that serves the trained model."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.export.bundle import export_bundle
from mlops_ladder.model.training import Trained
from mlops_ladder.project import get_project
from mlops_ladder.serving.app import create_service
from mlops_ladder.serving.load_test import make_requests


@pytest.fixture(name="exported", scope="session")
def _exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model as the pipeline would publish it."""
    folder = tmp_path_factory.mktemp("exported")
    export_bundle(trained, folder / "1")
    pointer = {"version": "1", "run_id": "run", "sha256": compute_sha256(folder / "1/bundle.json")}
    (folder / "champion.json").write_text(json.dumps(pointer), encoding="utf-8")
    return folder


@pytest.fixture(name="place")
def _place(exported: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a champion, and a log of its own."""
    shutil.copytree(exported, folder / "models/serving")
    prefix = f"{get_project().prefix}SERVING__"
    monkeypatch.setenv(f"{prefix}PREDICTION_LOG_URL", "sqlite:///predictions.db")
    monkeypatch.setenv(f"{prefix}HOST", "127.0.0.1")
    return folder


@pytest.fixture(name="client")
def _client(place: Path) -> Iterator[TestClient]:
    """A client of the service, which asks for no key."""
    assert place == Path.cwd()
    with TestClient(create_service(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(name="rows")
def _rows(trained: Trained) -> list[dict[str, Any]]:
    """Held-out rows as a client sends them."""
    (body,) = make_requests(trained.holdout.head(20), trained.contract, 20)
    found: list[dict[str, Any]] = json.loads(body)
    return found
