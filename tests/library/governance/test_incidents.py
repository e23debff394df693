"""Incidents: written down, ended, and refused where they cannot be."""

import shutil
from collections.abc import Callable
from datetime import datetime, UTC
from pathlib import Path

from library.fixture_project import ROOT
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.governance import incidents
from mlops_ladder.governance.incidents import (
    end_incident,
    Incident,
    make_file_name,
    open_incident,
    read_incident,
)
from mlops_ladder.registry import versions

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TEMPLATE = ROOT / incidents.TEMPLATE


@pytest.fixture(name="here", autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with the template of a post-mortem, in which nothing serves."""
    (folder / "incidents").mkdir()
    shutil.copy(TEMPLATE, folder / incidents.TEMPLATE)
    monkeypatch.setattr(versions, "read_state", lambda: versions.RegistryState({}, {}, 0))
    return folder


def test_an_incident_is_a_post_mortem_with_its_facts_at_the_top() -> None:
    """Its name is the day and the title; it goes on until somebody says that it is over."""
    path = open_incident('Zu "spät": 遅延!', "high", NOW)
    assert path.name == "2026-01-31-zu-spät-遅延.md"
    found = read_incident(path)
    assert found == Incident(title='Zu "spät": 遅延!', severity="high", started=NOW, detected=NOW)
    assert found.hours is None
    page = path.read_text(encoding="utf-8")
    assert page.startswith("---\ntitle: ") and '\n# Zu "spät": 遅延!\n' in page
    marked = open_incident("<script>x</script>", "low", NOW).read_text("utf-8")
    assert "\n# ‹script›x‹/script›\n" in marked and "<" not in marked.partition("\n## ")[0]


def test_an_incident_that_is_over_has_lasted_so_long() -> None:
    """The file keeps its words; a second end is refused."""
    path = open_incident("Late", "low", NOW)
    later = NOW.replace(hour=15)
    assert end_incident(path.stem, "deploy", later) == path
    assert (read_incident(path).hours, read_incident(path).cause) == (3, "deploy")
    assert "# when harm began" in path.read_text(encoding="utf-8")
    with pytest.raises(ProjectError, match="late.md: restored = 2026-01-31 15:00.* already"):
        end_incident(path.stem, None, later)
    with pytest.raises(ProjectError, match=r"RESTORED=other: no such incident; .*2026-01-31-late"):
        end_incident("other", None, later)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("detected: 2026-01-31T12", "detected: 2026-01-31T11", "detected = .*11:00.*before star"),
        ("restored:", "restored: 2026-01-01", "restored = "),
        ("severity: low", "severity: awful", "severity = 'awful'"),
        ("cause: unknown", "cause: unknown\ncausse: x", "causse = 'x'"),
        ("title: ", "title: : ", "cannot be read"),
        ("---\ntitle", "title", "cannot be read: no facts"),
    ],
)
def test_an_incident_that_cannot_be_is_refused_by_file_and_value(
    old: str, new: str, told: str
) -> None:
    """Times out of order, other words, keys that are mistyped, no YAML, no facts."""
    path = open_incident("Late", "low", NOW)
    path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ProjectError, match=f"late.md: (?s:.*){told}"):
        incidents.read_incidents()


def test_a_second_one_of_the_same_name_and_a_title_without_a_letter_are_refused() -> None:
    """And nothing is written then."""
    open_incident("Late", "low", NOW)
    with pytest.raises(ProjectError, match="late.md: is there already"):
        open_incident("late?", "low", NOW)
    with pytest.raises(ProjectError, match="TITLE='!/': no letter or digit"):
        make_file_name("!/")
    assert (
        "/" not in make_file_name("a/../b")
        and len(make_file_name("x" * 500)) == incidents.NAME_LENGTH
    )


def test_the_command_opens_ends_and_lists(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says what comes next."""
    assert command("incident") == 0 and "No incident is written down" in capsys.readouterr().out
    assert command("incident", "--title", "Late", "--severity", "high") == 0
    name = next(it for it in Path("incidents").glob("*.md") if it != incidents.TEMPLATE).stem
    assert f"RESTORED={name}" in capsys.readouterr().out
    assert command("incident") == 0 and "goes on" in capsys.readouterr().out
    assert command("incident", "--restored", name, "--cause", "data") == 0
    capsys.readouterr()
    assert command("incident") == 0 and "0 min" in capsys.readouterr().out
