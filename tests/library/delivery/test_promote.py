"""From staging to production: nobody tries an image in production."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlops_ladder.delivery import release

TRIED, SERVING = "sha256:tried", "sha256:serving"


class Refused(Exception):
    """As the places of promote.py raise it."""


class Places:
    """Staging and production in memory; in `unwell` ones no image passes its smoke test."""

    Refused = Refused

    def __init__(self, *unwell: str, **runs: str) -> None:
        self.unwell, self.runs = unwell, runs

    def pin_image(self, image: str) -> str:
        """The digest of an image."""
        return f"sha256:{image}"

    def find_running(self, environment: str) -> tuple[str, str]:
        """What runs there."""
        if environment not in self.runs:
            raise Refused(f"nothing runs in {environment}; run: make stage")
        return self.runs[environment], "commit"

    def check_running(self, environment: str, image: str, commit: str) -> None:
        """Nothing, or Refused."""
        assert commit == "commit" and self.runs[environment] == image
        if environment in self.unwell:
            raise Refused(f"{environment} does not predict\nThe end of its log")

    def bring_image(self, environment: str, image: str, commit: str) -> None:
        """Switch, and back where it does not answer."""
        before, self.runs = self.runs, self.runs | {environment: image}
        try:
            self.check_running(environment, image, commit)
        except Refused:
            self.runs = before
            raise


@pytest.fixture(name="tool")
def _tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module behind `ladder promote`, with a log of its own."""
    tool = release
    monkeypatch.setattr(tool, "LOG", tmp_path / "deployments.jsonl")
    monkeypatch.setattr(tool, "APPROVALS", tmp_path / "approval.toml")
    return tool


def noted(tool: Any) -> list[tuple[str, ...]]:
    """Where each attempt of the log went, with which image, and how it ended."""
    lines = [json.loads(line) for line in tool.LOG.read_text(encoding="utf-8").splitlines()]
    assert all(it["who"] and it["time"].endswith("+00:00") for it in lines)
    keys = ("environment", "image", "result", "why")
    return [tuple(it[key] for key in keys if key in it) for it in lines]


def test_production_gets_the_digest_that_staging_was_asked_with(tool: Any) -> None:
    """After `stage` and `promote` both run the image, and the log has both."""
    places = Places(production=SERVING)
    tool.perform(places, tool.stage, "tried", "commit")
    assert places.runs == {"staging": TRIED, "production": SERVING}
    tool.perform(places, tool.promote_image)
    assert places.runs == {"staging": TRIED, "production": TRIED}
    assert noted(tool) == [("staging", TRIED, "deployed"), ("production", TRIED, "deployed")]


@pytest.mark.parametrize("unwell", ["staging", "production"])
def test_an_image_that_fails_its_smoke_test_does_not_serve(tool: Any, unwell: str) -> None:
    """Production goes on as it was; the command fails, and the log has the reason in a line."""
    places = Places(unwell, staging=TRIED, production=SERVING)
    with pytest.raises(SystemExit, match=f"Not done: {unwell} does not predict"):
        tool.perform(places, tool.promote_image)
    assert places.runs == {"staging": TRIED, "production": SERVING}
    assert noted(tool) == [("production", TRIED, "refused", f"{unwell} does not predict")]


def test_a_model_that_nobody_has_approved_does_not_get_to_production(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make approved` is asked, where it is there; its words are the reason."""
    tool.APPROVALS.touch()
    monkeypatch.chdir(tmp_path)
    places, rule = Places(staging=TRIED, production=SERVING), tmp_path / "Makefile"
    rule.write_text("approved:\n\t@echo 'Error: nobody has' >&2; exit 1\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="^Not done: nobody has$"):
        tool.perform(places, tool.promote_image)
    assert places.runs["production"] == SERVING
    assert noted(tool) == [("production", TRIED, "refused", "nobody has")]
    rule.write_text("approved:\n\t@echo approved\n", encoding="utf-8")
    tool.perform(places, tool.promote_image)
    assert places.runs["production"] == TRIED


def test_nothing_is_promoted_that_staging_does_not_run(tool: Any) -> None:
    """Without staging there is nothing to promote, and nothing to note."""
    with pytest.raises(SystemExit, match="nothing runs in staging; run: make stage"):
        tool.perform(Places(production=SERVING), tool.promote_image)
    assert not tool.LOG.exists()


def test_what_cannot_be_noted_is_not_done(tool: Any) -> None:
    """Where the log cannot be written production is not touched."""
    tool.LOG.mkdir()
    places = Places(staging=TRIED, production=SERVING)
    with pytest.raises(SystemExit, match="Not done: .*deployments.jsonl"):
        tool.perform(places, tool.promote_image)
    assert places.runs["production"] == SERVING


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is played by /dev/full")
def test_where_the_disk_is_full_nothing_is_done(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room for a line is asked for before anything is done."""
    monkeypatch.setattr(tool, "LOG", Path("/dev/full"))
    done = []
    with pytest.raises(OSError), tool.log_deployment("production", TRIED, "commit"):
        done.append("brought")
    assert not done
