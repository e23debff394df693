"""Settings: arguments over the environment over the file, and nothing unknown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_ladder import ProjectError
from mlops_ladder.project import get_project
from mlops_ladder.settings import CONFIG, get_settings_file, load_settings

NO_NUMBER = "Input should be a valid integer, unable to parse string as an integer"
KNOWN = "known are min_gain, replace_uncompared, floors"


def test_arguments_win_over_the_environment_and_the_environment_over_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument wins over the environment, which wins over config.toml."""
    text = (folder / CONFIG).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("seed")]
    (folder / CONFIG).write_text("\n".join(["seed = 1", *lines]), encoding="utf-8")
    seeds = [load_settings().seed]
    monkeypatch.setenv(f"{get_project().prefix}SEED", "2")
    seeds += [load_settings().seed, load_settings(seed=3).seed]
    assert seeds == [1, 2, 3]


def test_an_unknown_key_is_refused_by_name(folder: Path) -> None:
    """A key that nobody reads is refused, and the known ones are listed."""
    text = (folder / CONFIG).read_text(encoding="utf-8")
    (folder / CONFIG).write_text(f"sede = 1\n{text}", encoding="utf-8")
    with pytest.raises(ProjectError, match="sede: unknown key; known are problem, metric, seed"):
        load_settings()


def test_an_unknown_variable_is_refused_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped variable of the environment is refused rather than ignored."""
    assert (folder / CONFIG).exists()
    monkeypatch.setenv(f"{get_project().prefix}SEDE", "1")
    with pytest.raises(ProjectError, match=f"{get_project().prefix}SEDE: no such setting"):
        load_settings()


KUBERNETES = {
    "SERVICE_HOST": "10.0.0.7",
    "SERVICE_PORT": "80",
    "SERVICE_PORT_HTTP": "80",
    "PORT": "tcp://10.0.0.7:80",
    "PORT_8000_TCP": "tcp://10.0.0.7:80",
    "PORT_8000_TCP_ADDR": "10.0.0.7",
    "CANARY_SERVICE_HOST": "10.0.0.8",
}


def test_what_kubernetes_tells_a_pod_is_no_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The addresses of services whose names begin as the project's; a port that is set is one."""
    assert (folder / CONFIG).exists()
    for name, given in KUBERNETES.items():
        monkeypatch.setenv(get_project().prefix + name, given)
    load_settings()
    for name in ("PORT", "SERVING_PORT"):
        monkeypatch.setenv(get_project().prefix + name, "9000")
        with pytest.raises(ProjectError, match=f"{get_project().prefix}{name}: no such setting"):
            load_settings()
        monkeypatch.delenv(get_project().prefix + name)


def test_a_wrong_value_is_blamed_on_what_holds_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that has the section, or the variable of the environment."""
    monkeypatch.setenv(f"{get_project().prefix}SEED", "x")
    gate = get_settings_file("gate")
    gate.parent.mkdir(exist_ok=True)
    gate.write_text("[gate]\nnonsense = 1\n", encoding="utf-8")
    assert folder == Path.cwd()
    with pytest.raises(ProjectError) as refused:
        load_settings()
    assert sorted(str(refused.value).split("\n  ")) == sorted(
        [
            f"{get_project().prefix}SEED: seed = 'x': {NO_NUMBER}",
            f"{gate}: gate.nonsense: unknown key; {KNOWN}",
        ]
    )
    gate.write_text("[broken\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=f"^{gate}: not valid TOML"):
        load_settings()


def test_a_file_that_is_not_toml_is_told_in_one_line(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken config.toml ends the command with a line that names the file."""
    (folder / CONFIG).write_text("problem = ", encoding="utf-8")
    status = command("train")
    told = capsys.readouterr().err
    assert (status, told.count("\n")) == (1, 1)
    assert told.startswith("Error: config.toml: not valid TOML")


def test_a_command_that_does_not_exist_is_refused(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown command is named, and the known ones are listed."""
    status = command("trian")
    told = capsys.readouterr().err
    assert status == 1
    assert told.startswith("Error: trian: no such command; commands: ")
    assert "train" in told


def test_what_is_in_the_way_is_named(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder where a file should be is told in a line, as a disk that is not ours would be."""
    (folder / CONFIG).unlink()
    (folder / CONFIG).mkdir()
    assert command("train") == 1
    assert capsys.readouterr().err == (
        "Error: config.toml: Is a directory; it is in the way, or not yours to change\n"
    )
