"""Staging and production: production runs nothing that staging does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from library.fixture_project import ROOT

from mlops_ladder.delivery import overlays

WAY = "Deployment/service/spec/template/spec/containers/service"


@pytest.fixture(name="tool")
def _tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module behind `ladder overlays`, in the project."""
    monkeypatch.chdir(ROOT)
    return overlays


def manifest(**changes: Any) -> list[dict[str, Any]]:
    """A Deployment whose container has these fields."""
    container = {"name": "service", "env": [{"name": "LEVEL", "value": "1"}], "resources": {}}
    pod = {"containers": [{"name": "sidecar"}, container | changes]}
    spec = {"replicas": 1, "template": {"spec": pod}}
    return [{"kind": "Deployment", "metadata": {"name": "service"}, "spec": spec}]


@pytest.mark.parametrize(
    ("changes", "way", "may"),
    [
        ({"resources": {"limits": {"memory": "1Gi"}}}, f"{WAY}/resources/limits/memory", True),
        ({"image": "other"}, f"{WAY}/image", False),
        ({"env": [{"name": "LEVEL", "value": "2"}]}, f"{WAY}/env/LEVEL/value", False),
        ({"stdin": {}}, f"{WAY}/stdin", False),
    ],
    ids=["resources", "image", "variable", "empty"],
)
def test_what_may_differ_is_told_from_what_may_not(
    tool: Any, changes: dict[str, Any], way: str, may: bool
) -> None:
    """A difference is found by the way to it; a variable may differ where it is named."""
    found = tool.differences(manifest(), manifest(**changes))
    assert way in found
    assert tool.allowed(way, []) is may
    assert tool.allowed(way, ["LEVEL"]) is (may or "LEVEL" in way)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl renders the overlays: not here")
def test_staging_and_production_differ_only_where_they_may(
    tool: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The overlays of this project."""
    tool.main([])
    assert "Namespace/metadata/name" in capsys.readouterr().out
