"""The ways in, as a person walks them: the demo, plain cookiecutter, own data, a climb."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import commit, fails, Generate, LADDER, ok, plant, ROOT, run
from services import serving

pytestmark = pytest.mark.slow
FREE = (
    "import pathlib, sys; sys.path.append('dev'); import demo; demo.free(pathlib.Path(sys.argv[1]))"
)
OWN = """\
Kunden-Nr;Größe in cm;Stadt;Mitglied seit;Raucher;Prämie
"""


def own_data(path: Path, rows: int = 400) -> None:
    """A file as a spreadsheet in Germany writes it: semicolons, decimal commas, cp1252."""
    cities = ("Köln", "München", "Łódź".encode("cp1252", "ignore").decode("cp1252"), "Zürich")
    lines = [OWN]
    for row in range(rows):
        size, city, smoker = 150 + row * 37 % 50, cities[row % 4], ("ja", "nein")[row % 3 == 0]
        amount = f"{200 + size * 1.5 + 90 * (smoker == 'ja') + row % 7:.2f}".replace(".", ",")
        day = f"{1 + row % 28:02d}.{1 + row % 12:02d}.{2015 + row % 9}"
        target = amount if row % 50 else ""
        lines.append(f"K{row:05d};{size},5;{city if row % 11 else ''};{day};{smoker};{target}\n")
    path.write_text("".join(lines), encoding="cp1252")


def test_the_demo_runs_in_an_empty_clone_with_an_empty_home(tmp_path: Path, template: Path) -> None:
    """`make demo` trains two models, serves the better one, goes back, and ends with the loop.

    The second time it makes room, but not where somebody has changed what it made.
    """
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    ok("git", "clone", "--quiet", str(template), str(clone), at=tmp_path)
    cache = ok("uv", "cache", "dir", at=tmp_path).strip()
    printed = ok("make", "demo", at=clone, HOME=str(home), UV_CACHE_DIR=cache)
    assert len(re.findall(r"roc_auc 0\.6\d+, baseline 0\.5 on 3,000 rows; onnx", printed)) == 2
    served = re.findall(r'"model_version": "(\w+)"', printed)
    champions = re.findall(r"Champion: version \d, model (\w+)", printed)
    assert served == champions[::-1] and len(set(served)) == 2
    assert "rollout: promote v2" in printed and " requests, 0 failed; serves v2" in printed
    last = [line.split()[:2] for line in printed.splitlines()[-3:]]
    assert last == [["cd", "demo/flight-delays"], ["make", "serve"], ["make", "contract"]]
    readme = clone / "demo/flight-delays/README.md"
    before = readme.read_bytes()
    readme.write_text("mine", encoding="utf-8")
    refused = run("make", "demo", at=clone, HOME=str(home), UV_CACHE_DIR=cache)
    assert refused.returncode != 0 and "has changes of yours" in refused.stderr
    readme.write_bytes(before)
    for project in ("demo/flight-delays", "demo/level-4/flight-delays"):
        ok(".venv/bin/python", "-c", FREE, project, at=clone)
        assert not (clone / project).exists()


def test_plain_cookiecutter_by_uvx_makes_a_project(tmp_path: Path, template: Path) -> None:
    """`uvx cookiecutter <template> --no-input key=value` needs nothing else."""
    ok("uvx", "cookiecutter", str(template), "--no-input", "project_name=Churn", at=tmp_path)
    assert (tmp_path / "churn/src/churn/problem.py").exists()


def test_make_new_asks_and_makes_a_project_in_the_folder_named(tmp_path: Path) -> None:
    """`make new OUT=folder`, answered by the enter key, makes the default project there."""
    done = subprocess.run(
        ["make", "new", f"OUT={tmp_path}"],
        cwd=ROOT,
        input="\n" * 20,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "MLOps maturity level" in done.stdout
    assert (tmp_path / "flight-delays/.cruft.json").exists()


def begun(generate: Generate, folder: Path) -> Path:
    """A committed project of level 0 with a file of one's own, trained."""
    project = folder / "flight-delays"
    subprocess.run(["cp", "-R", str(generate(maturity_level="0")), str(project)], check=True)
    own_data(project / "data" / "prämien.csv")
    told = ok("make", "contract", "DATA=data/prämien.csv", "TARGET=Prämie", at=project)
    assert "read with encoding 'cp1252', separator ';', decimal ','" in told
    assert "Regression of Prämie; 8 rows without one are left out" in told
    ok("make", "train", "predict", at=project)
    commit(project)
    return project


def test_own_data_and_edits_survive_a_climb_and_everything_passes(
    generate: Generate, tmp_path: Path
) -> None:
    """From level 0 with a file of one's own to level 1: trained, checked, tested; and back."""
    project = begun(generate, tmp_path)
    config = (project / "config.toml").read_text(encoding="utf-8")

    assert "0 -> 1" in ok("make", "climb", "LEVEL=1", at=project, **WHO)
    assert (project / "config.toml").read_text(encoding="utf-8") == config
    ok("make", "data", "DECLARE=yes", at=project)
    assert "Recorded run" in ok("make", "train", at=project)
    ok("make", "card", "check", "test", at=project)
    commit(project, "The card")

    ok("git", "rm", "--quiet", "-r", "docs", at=project)
    commit(project, "Without pictures")
    done = run("make", "climb", "LEVEL=0", at=project, **WHO)
    assert done.returncode != 0
    assert "MODEL_CARD.md" in done.stderr and "git cherry-pick --abort" in done.stderr
    ok("git", "cherry-pick", "--abort", at=project)
    assert ok("git", "status", "--porcelain", at=project) == ""


def asked(city: str, size: float = 170.5) -> dict[str, Any]:
    """A row as a client sends it."""
    return {"Größe in cm": size, "Stadt": city, "Raucher": "ja", "Mitglied seit": "01.03.2024"}


def test_own_data_and_edits_are_gated_served_and_watched_and_come_back(
    generate: Generate, tmp_path: Path
) -> None:
    """From level 0 to 3 with edits of one's own: a champion, answers, all checks; and back to 1."""
    project, mine = begun(generate, tmp_path), "\n\n\n# Ours, and nothing else.\n"
    problem = project / "src/flight_delays/problem.py"
    problem.write_text(problem.read_text(encoding="utf-8").rstrip() + mine, encoding="utf-8")
    plant(project / "README.md", "## Start\n", "Ours.\n\n## Start\n")
    commit(project, "Edits")
    ok("make", "climb", "LEVEL=1", at=project, **WHO)
    assert "1 -> 2" in ok("make", "climb", "LEVEL=2", at=project, **WHO)
    ok("make", "data", "DECLARE=yes", at=project)
    assert "Champion: version 1" in ok("make", "pipeline", at=project)
    ok("make", "openapi", "card", at=project)
    commit(project, "What describes the data")
    with serving(project, path="/ready") as service:
        status, answer = service.ask("/predict", asked("Köln"))
        assert status == 200 and 500 < answer["prediction"] < 600  # 200 + 1.5 * 170.5 + 90
        status, answer = service.ask("/predict", asked("Köln") | {"Mitglied seit": "März"})
        assert (status, answer["detail"][0]["loc"]) == (422, ["body", "Mitglied seit"])

    assert "2 -> 3" in ok("make", "climb", "LEVEL=3", at=project, **WHO)
    ok("make", "publish", "check", "test", at=project)
    with serving(project, path="/ready") as service:
        rows = [asked("Köln", 150.5 + row * 37 % 50) for row in range(400)]
        assert service.ask("/predict", rows)[0] == 200
    assert "its bundle has no reference.parquet" in fails("make", "drift", at=project)
    told = ok("make", "pipeline", at=project)  # the same model, with what level 3 keeps beside it
    assert "Renewed" in told and "Champion: version 2" in told
    assert "Unchanged" in ok("make", "pipeline", at=project)
    with serving(project, path="/ready") as service:
        rows = [asked("Köln", 190.5 + row % 10) for row in range(400)]
        assert service.ask("/predict", rows)[0] == 200
    told = ok("make", "drift", at=project)
    assert re.search(r"drifted: .*\bGröße in cm\b", told)

    assert "3 -> 2" in climbed_down(project, 2)
    assert not list((project / "src/flight_delays/monitoring").glob("*.py"))
    assert "Unchanged" in ok("make", "pipeline", at=project)
    climbed_down(project, 1)
    assert problem.read_text(encoding="utf-8").endswith(mine)
    assert "Ours.\n\n## Start" in (project / "README.md").read_text(encoding="utf-8")
    assert not list((project / "src/flight_delays/serving").glob("*.py"))
    ok("make", "train", at=project)


def climbed_down(project: Path, level: int) -> str:
    """What a climb says; at level 1 it stops at the one file that is changed here and gone there."""
    told = run("make", "climb", f"LEVEL={level}", at=project, **WHO)
    printed = told.stdout + told.stderr
    assert (told.returncode == 0) == (level > 1), printed
    if level == 1:
        assert "docs/openapi.json" in printed and "src/" not in printed
        ok("git", "rm", "--quiet", "docs/openapi.json", at=project)
        ok("git", "-c", "core.editor=true", "cherry-pick", "--continue", at=project, **WHO)
    return printed


def test_a_fresh_project_of_level_4_keeps_its_own_checks(
    generate: Generate, tmp_path: Path
) -> None:
    """Its formatter, linter, types, documents and tests have nothing to say of it."""
    project = tmp_path / "flight-delays"
    subprocess.run(["cp", "-R", str(generate(maturity_level="4")), str(project)], check=True)
    commit(project)
    told = ok("make", "check", "test", at=project, SKIP="")
    assert re.search(r"^pylint\.+Passed$", told, re.MULTILINE)
    assert re.search(r"\d+ passed", told) and "failed" not in told
    assert ok("git", "status", "--porcelain", at=project) == ""


WHO = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


@pytest.mark.parametrize("level", ["7", "two", "-1"])
def test_a_level_that_does_not_exist_is_refused_in_a_line(
    generate: Generate, tmp_path: Path, level: str
) -> None:
    """`make climb` to no level names the level and those that there are."""
    project = tmp_path / "flight-delays"
    subprocess.run(["cp", "-R", str(generate(maturity_level="0")), str(project)], check=True)
    commit(project)
    done = run(LADDER, "climb", "--", level, at=project, **WHO)
    assert done.returncode == 1
    assert f"maturity_level: '{level}' is not one of 0, 1, 2, 3, 4" in done.stderr
