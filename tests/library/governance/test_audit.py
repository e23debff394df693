"""The audit log: what happens is noted, and whatever is changed afterwards is found."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from library.registry.candidates import promoted

from mlops_ladder import ProjectError
from mlops_ladder.governance import audit
from mlops_ladder.governance.audit import hash_text, LOG, REF
from mlops_ladder.registry import promotion, versions
from mlops_ladder.tracking import runs

Change = Callable[[list[str]], list[str]]


def git(*arguments: str) -> str:
    """What git says in this folder."""
    known = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(["git", *known, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(name="decided", autouse=True)
def _decided(folder: Path, run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which two versions were promoted, with a registry of its own."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    git("init", "--quiet")
    git("add", "config.toml", "contract.toml")
    git("commit", "--quiet", "--message", "Start")
    for name in ("first", "second"):
        promoted(run, f"{name}-{versions.model_name()}")
    return folder


def kinds() -> list[str]:
    """What the lines of the log are about."""
    return [f"{it.kind} {it.about}" for it in audit.parse_lines(audit.read_log()[0])]


def test_decisions_and_configuration_are_noted_as_they_happen() -> None:
    """Nobody has asked for it, and all agrees: file, registry and git."""
    files = ["configuration config.toml", "configuration contract.toml"]
    assert kinds() == [*files, "decision 1", "decision 2"]
    assert audit.verify_log() == []
    assert audit.read_log()[0] == audit.read_registry_lines() == audit.read_git_lines()


def test_a_change_of_configuration_is_noted_with_its_commit() -> None:
    """It is missing until it is noted, by the next decision too; then it is as git has it."""
    with Path("config.toml").open("a", encoding="utf-8") as file:
        file.write("# another one\n")
    git("commit", "--all", "--quiet", "--message", "Another one")
    missing = "configuration config.toml: not noted; to do so: make audit NOTE=yes"
    assert audit.verify_log() == [missing]
    promotion.roll_back()
    assert kinds()[4:] == ["configuration config.toml", "decision 3"]
    line = audit.parse_lines(audit.read_log()[0])[4]
    assert (line.commit, line.digest) == tuple(git("rev-parse", "HEAD", "HEAD:config.toml").split())
    assert audit.verify_log() == []


def rechained(lines: list[str]) -> list[str]:
    """Another second line, and all after it computed anew: a chain that holds."""
    made = lines[:1]
    for text in lines[1:]:
        known = json.loads(text) | {"who": "nobody", "before": hash_text(made[-1])}
        made.append(json.dumps(known))
    return made


CHANGES: dict[str, tuple[Change, str]] = {
    "altered": (lambda it: [it[0], it[1].replace("contract", "another"), *it[2:]], f"{LOG}:2: is"),
    "removed": (lambda it: it[:1] + it[2:], f"{LOG}:2: says that it is line 3"),
    "inserted": (lambda it: [*it[:2], *it[1:]], f"{LOG}:3: says that it is line 2"),
    "swapped": (lambda it: [it[1], it[0], *it[2:]], f"{LOG}:1: says that it is line 2"),
    "the last altered": (lambda it: [*it[:-1], it[-1].replace("promote", "x")], f"{LOG}:4: is not"),
    "cut off": (lambda it: it[:-1], "lines 4 to 4 are missing"),
    "rechained": (rechained, f"{LOG}:2: is not what the registry holds, and 2 lines after it"),
    "no line": (lambda it: [*it[:3], "{}"], f"{LOG}:4: is no line of this log"),
}


def test_a_changed_log_is_found_and_the_line_named(command: Callable[..., int]) -> None:
    """`make audit` fails; but for a cut nothing is noted until it is repaired, which is noted."""
    before = audit.read_log()[0]
    for name, (change, said) in CHANGES.items():
        LOG.write_text("".join(f"{it}\n" for it in change(before)), encoding="utf-8")
        assert any(said in it for it in audit.verify_log()), name
        if name != "cut off":
            with pytest.raises(ProjectError, match="nothing is noted until make audit REPAIR=yes"):
                audit.note_facts()
    assert command("audit") == 1
    assert command("audit", "--repair") == 0
    assert audit.read_log()[0][:4] == before and kinds()[4:] == [f"repair {LOG}"]


def test_what_the_registry_lost_is_found_and_comes_back() -> None:
    """A decision that was taken out of the registry, and the lines that were."""
    client = versions.get_client()
    client.delete_registered_model_tag(versions.model_name(), versions.decision_tag(1))
    assert f"{LOG}:3: the registry holds no decision 1" in audit.verify_log()
    client.set_registered_model_tag(versions.model_name(), f"{audit.KEY}000002", "another line")
    assert any(f"{LOG}:2: is not what the registry holds" in it for it in audit.verify_log())
    audit.repair_log()
    assert audit.verify_log() == []
    assert audit.read_log()[0] == audit.read_registry_lines() == audit.read_git_lines()


def test_what_both_have_lost_is_known_to_git() -> None:
    """The end of the log is cut off in the file and in the registry."""
    lines = audit.read_log()[0]
    LOG.write_text("".join(f"{it}\n" for it in lines[:-1]), encoding="utf-8")
    versions.get_client().delete_registered_model_tag(versions.model_name(), f"{audit.KEY}000004")
    assert f"{LOG}: lines 4 to 4 are missing; {REF} holds them" in audit.verify_log()
    audit.repair_log()
    assert audit.read_log()[0][:4] == lines


def test_a_kill_while_a_line_is_written_is_made_good() -> None:
    """The piece of a line goes, and so does what only the file holds."""
    text = LOG.read_text(encoding="utf-8")
    LOG.write_text(text + '{"number": 5, "ti', encoding="utf-8")
    versions.get_client().delete_registered_model_tag(versions.model_name(), f"{audit.KEY}000004")
    assert any("is a piece of a line" in it for it in audit.verify_log())
    audit.note_facts()
    promotion.roll_back()
    assert LOG.read_text(encoding="utf-8").startswith(text)
    assert kinds()[-1] == "decision 3" and audit.verify_log() == []


def test_another_machine_gets_the_log_from_the_registry() -> None:
    """Without the file it is brought; a line that differs is not overwritten."""
    text = LOG.read_text(encoding="utf-8")
    LOG.unlink()
    audit.note_facts()
    assert LOG.read_text(encoding="utf-8") == text
