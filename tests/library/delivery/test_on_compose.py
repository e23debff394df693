"""A service that other machines reach is not brought there with its door open."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlops_ladder.delivery import compose

ACCESS = "[access]\nkey_file = 'keys.json'\nopen = {}\n"


@pytest.fixture(name="tool")
def _tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The places of Compose, in a folder whose settings let everybody ask."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PUBLIC", raising=False)
    Path("config").mkdir()
    Path("config/access.toml").write_text(ACCESS.format("true"), encoding="utf-8")
    return compose


def brought(tool: Any, monkeypatch: pytest.MonkeyPatch, **port: str) -> list[Any]:
    """What is deployed where the service listens at this port, and at one of the machine itself."""
    ports = [{"host_ip": "127.0.0.1"}, port]
    known, found = json.dumps({"services": {"proxy": {"ports": ports}}}), list[Any]()
    monkeypatch.setattr(tool, "compose", lambda *_: known)
    monkeypatch.setattr(tool, "keep_address", lambda: None)
    monkeypatch.setattr(tool, "switch", lambda *image: found.append(image))
    tool.bring_image("production", "image", "commit")
    return found


@pytest.mark.parametrize("port", [{}, {"host_ip": "0.0.0.0"}, {"host_ip": "::"}], ids=str)
def test_an_open_door_is_not_put_where_others_reach_it(
    tool: Any, monkeypatch: pytest.MonkeyPatch, port: dict[str, str]
) -> None:
    """It says what would be open, and both ways out; either of them is taken."""
    with pytest.raises(tool.Refused, match="production would listen at .*make key .*PUBLIC=yes"):
        brought(tool, monkeypatch, **port)
    monkeypatch.setenv("PUBLIC", "yes")
    assert brought(tool, monkeypatch, **port) == [("image", "commit")]
    monkeypatch.delenv("PUBLIC")
    Path("keys.json").touch()
    assert brought(tool, monkeypatch, **port) == [("image", "commit")]


def test_a_service_of_this_machine_or_one_that_asks_for_keys_may_come(
    tool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default address is a loopback; with `open = false` the service guards itself."""
    assert brought(tool, monkeypatch, host_ip="127.0.0.1")
    Path("config/access.toml").write_text(ACCESS.format("false"), encoding="utf-8")
    assert brought(tool, monkeypatch, host_ip="0.0.0.0")
