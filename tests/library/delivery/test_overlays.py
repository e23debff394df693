"""Staging and production: production runs nothing that staging does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from library.fixture_project import ROOT

from mlops_ladder.delivery import on_kubernetes, overlays

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
    found = tool.find_overlay_differences(manifest(), manifest(**changes))
    assert way in found
    assert tool.may_differ(way, []) is may
    assert tool.may_differ(way, ["LEVEL"]) is (may or "LEVEL" in way)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl renders the overlays: not here")
def test_staging_and_production_differ_only_where_they_may(
    tool: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The overlays of this project."""
    tool.main()
    assert "Namespace/metadata/name" in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl renders the overlays: not here")
def test_an_image_is_put_in_by_its_digest_and_nothing_else_changes(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image of the service, and the commit as the cause of the change; no file is left behind."""
    shutil.copytree("deploy", tmp_path / "deploy")
    monkeypatch.chdir(tmp_path)
    image = f"127.0.0.1:5000/team/service@sha256:{'0' * 64}"
    overlay = on_kubernetes.Overlay("staging")
    before, after = (
        tool.flatten(list(yaml.safe_load_all(text)))
        for text in (
            on_kubernetes.run_tool("kubectl", "kustomize", overlay.folder),
            overlay.render_image(image, "1234567"),
        )
    )
    changed = {
        path.partition("/")[2]: after[path] for path in after if before.get(path) != after[path]
    }
    cause = f"{overlay.name}/metadata/annotations/{on_kubernetes.CAUSE}"
    place = f"{overlay.name}/spec/template/spec/containers/service/image"
    assert changed == {cause: "1234567", place: image} and before.keys() == after.keys()
    assert overlay.namespace == f"{overlay.name}-staging"
    assert not [path for path in on_kubernetes.OVERLAYS.iterdir() if path.name.startswith("tmp")]
