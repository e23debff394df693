"""Fallback: an answer if the model cannot give one, and a switch."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_ladder.settings import load_settings


@pytest.fixture(name="enabled", autouse=True)
def _enabled() -> None:
    if not load_settings().fallback.enabled:
        pytest.skip("fallback.enabled is false in config/fallback.toml")


def test_a_model_that_fails_is_stood_in_for(client: TestClient, rows: list[dict[str, Any]]) -> None:
    """The answer is marked, and names what stands in."""
    served: Any = client.app
    vars(served.state.reloader.current.model)["scores"] = lambda rows: 1 / 0
    answer = client.post("/predict", json=rows[0])
    assert (answer.status_code, answer.json()["fallback"]) == (200, True)


def test_the_switch_takes_the_model_out(place: Path, client: TestClient, rows: list[Any]) -> None:
    """While the file is there, no model answers."""
    (place / load_settings().fallback.switch).touch()
    served: Any = client.app
    for selector in served.state.selectors:
        vars(selector)["_due"] = 0.0  # look at once
    assert client.post("/predict", json=rows[0]).json()["fallback"] is True
