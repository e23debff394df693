"""`make maturity`: a level from evidence; what is missing, empty, copied or nonsense raises nothing."""

import ast
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, UTC
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    BUILT,
    commit,
    files,
    Generate,
    LADDER,
    MANIFEST,
    ok,
    plant,
    ROOT,
    run,
)
from faults import Fault, LEANING, RECORDS
from services import serving

from mlops_ladder.maturity import evidence, grading, page, report, Unknown
from mlops_ladder.maturity.database import read_mlflow_records
from mlops_ladder.maturity.forge import Forge
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy

JUDGED = {name: it for name, it in MANIFEST["capabilities"].items() if not it.get("planned")}
APPLY = [name for name, it in JUDGED.items() if it["if"] not in ("people", "cloud")]
HELD = [(level, name) for level in BUILT for name in APPLY if JUDGED[name]["level"] <= int(level)]
OPTIONS = [
    {},
    {"ci": "gitlab"},
    {"deploy": "kubernetes"},
    {"problem": "regression"},
    {"cloud": "aws"},
    {"serve": "api"},
    {"serve": "batch"},
]
DEFAULT_OR_ALL = OPTIONS[:1] + [pytest.param(it, marks=pytest.mark.slow) for it in OPTIONS[1:]]
NONSENSE = {
    "empty": "",
    "nonsense": "nothing of this kind\n" * 3,
    "another text": "MIT License\n\nPermission is hereby granted to nobody.\n",
}


def graded(project: Path) -> dict[str, str]:
    """The grade of each capability."""
    return {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}


@pytest.fixture(name="before", scope="session")
def _before(
    generate: Generate, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, str]]:
    """`before("1")`: the grades of a fresh project of level 1."""

    @cache
    def of(level: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("before")
        return graded(committed(generate(maturity_level=level), folder))

    return of


@pytest.fixture
def fresh(generate: Generate, tmp_path: Path) -> Path:
    """A committed project of level 2 that may be changed."""
    return committed(generate(maturity_level="2"), tmp_path)


def committed(project: Path, folder: Path) -> Path:
    """A copy of a project, as its first commit."""
    shutil.copytree(project, folder / "project", symlinks=True)
    commit(folder / "project")
    return folder / "project"


@pytest.mark.parametrize("options", DEFAULT_OR_ALL, ids=str)
@pytest.mark.parametrize("level", BUILT)
def test_a_fresh_project_is_equipped_for_its_level_and_has_practised_nothing(
    generate: Generate, tmp_path: Path, level: str, options: dict[str, str]
) -> None:
    """A fresh level-N project scores equipped N, practised 0."""
    project = committed(generate(maturity_level=level, **options), tmp_path)
    found = grading.assess(Repository(project))
    assert [(it.id, it.problems) for it in found.capabilities if it.problems] == []
    planned = [it["level"] for it in MANIFEST["capabilities"].values() if it.get("planned")]
    equipped = min([int(level), *(lowest - 1 for lowest in planned)])
    assert report.format_headline(found) == f"claimed {level} | equipped {equipped} | practised 0"
    assert report.get_exit_code(found) == 0


def fallen(grades: dict[str, str], name: str, grade: str) -> dict[str, str]:
    """The grades after one capability has fallen, and with it those that lean on its files."""
    leaning = {it for it in LEANING.get(name, ()) if grades[it] == "present"}
    return grades | dict.fromkeys(leaning, "declared") | {name: grade}


def own(name: str, project: Path) -> list[Path]:
    """The files that a capability owns."""
    return [project / path for path in Repository(project).own(name)]


def rewrite_rules(name: str, project: Path, change: Callable[[re.Match[str]], str]) -> int:
    """Rewrite the rules of a capability's targets in the Makefile; return how many there are."""
    path, targets = project / "Makefile", Repository(project).own_targets(name)
    rule = re.compile(rf"^({'|'.join(targets) or '$^'}):(?!=).*\n(?:\t.*\n)*", re.MULTILINE)
    text, count = rule.subn(change, path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    return count


def without_makefile(grades: dict[str, str], name: str) -> dict[str, str]:
    """The grades, in which the Makefile counts: without it a capability of targets alone is absent."""
    alone = {it for it in APPLY if all(path.startswith("make/") for path in JUDGED[it]["paths"])}
    gone = {it for it in alone if grades[it] == "present" and name == "repo.entrypoint"}
    return grades | dict.fromkeys(gone, "absent")


@pytest.mark.slow
@pytest.mark.drawn(16)
@pytest.mark.parametrize(("level", "name"), HELD)
def test_without_its_files_a_capability_is_absent_and_no_other_changes(
    generate: Generate, tmp_path: Path, before: Any, level: str, name: str
) -> None:
    """Each capability's files removed: that one is absent, those that lean on them are declared."""
    project = committed(generate(maturity_level=level), tmp_path)
    rules = rewrite_rules(name, project, lambda _: "")
    paths = own(name, project)
    for path in paths:
        path.unlink()
    assert (paths or rules) and graded(project) == without_makefile(
        fallen(before(level), name, "absent"), name
    )


@pytest.mark.slow
@pytest.mark.drawn(20)
@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize(("level", "name"), HELD)
def test_files_that_hold_nothing_raise_nothing(
    generate: Generate, tmp_path: Path, before: Any, level: str, name: str, kind: str
) -> None:
    """Empty, copied or nonsense files in the right places leave a capability at most declared."""
    project = committed(generate(maturity_level=level), tmp_path)
    recipe = "".join(f"\t@echo {line}\n" for line in NONSENSE[kind].splitlines())
    rewrite_rules(name, project, lambda rule: f"{rule[1]}:\n{recipe}")
    for path in own(name, project):
        path.write_text(NONSENSE[kind], encoding="utf-8")
    assert graded(project) == without_makefile(fallen(before(level), name, "declared"), name)


# ---- What was recorded


@pytest.fixture(name="recorded", scope="session")
def _recorded(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of level 2 whose pipeline has run; it has a card, and answered a request."""
    project = committed(generate(maturity_level="2"), tmp_path_factory.mktemp("recorded"))
    ok("make", "setup", "pipeline-smoke", "card", at=project)
    known = json.loads((project / "docs/openapi.json").read_text(encoding="utf-8"))
    body = known["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    with serving(project, path="/ready") as service:
        assert service.ask("/predict", body["examples"]["one"]["value"])[0] == 200
    commit(project, "The card")
    return project


@pytest.fixture(name="spoilt")
def _spoilt(recorded: Path, tmp_path: Path) -> Iterator[Path]:
    """The recorded project, to be spoilt: it is put back afterwards.

    It stays where it is, as its records name the place; the environment is moved, not copied.
    """
    kept = tmp_path / "kept"
    shutil.move(recorded, kept)
    shutil.copytree(kept, recorded, symlinks=True, ignore=shutil.ignore_patterns(".venv"))
    shutil.move(kept / ".venv", recorded / ".venv")
    yield recorded
    shutil.move(recorded / ".venv", kept / ".venv")
    shutil.rmtree(recorded)
    shutil.move(kept, recorded)


@pytest.mark.slow
def test_a_project_whose_pipeline_has_run_contradicts_itself_nowhere(recorded: Path) -> None:
    """Runs, registry, log, card and data agree: nothing is wrong, and nothing is practised yet."""
    found = grading.assess(Repository(recorded))
    assert [(it.id, it.problems) for it in found.capabilities if it.problems] == []
    assert report.format_headline(found) == "claimed 2 | equipped 2 | practised 0"
    assert "learned from the sample" in found.notes[0]
    checked = {promise for it in found.capabilities for promise in it.done}
    unknown = {it.id for it in found.capabilities if it.unknown}
    assert len(checked) >= 25 and unknown == set()


@pytest.mark.slow
def test_the_store_of_mlflow_is_read_as_its_own_client_reads_it(recorded: Path) -> None:
    """Runs, registry and the inputs of the newest model, by this Python alone: the same facts."""
    script = str(ROOT / "src/mlops_ladder/maturity/records.py")
    told = json.loads(ok(".venv/bin/python", "-P", script, at=recorded))
    read = json.loads(json.dumps(read_mlflow_records(recorded / "mlflow.db")))
    assert read == told and read["runs"] and read["registry"] and read["newest"]["inputs"]


@pytest.mark.slow
@pytest.mark.drawn(14)
@pytest.mark.parametrize("fault", RECORDS, ids=lambda it: it.name)
def test_a_planted_fault_lowers_exactly_what_it_should(spoilt: Path, fault: Fault) -> None:
    """Every planted fault lowers the expected capabilities, and no other."""
    before = graded(spoilt)
    fault.plant(spoilt)
    after = graded(spoilt)
    assert {name for name in after if after[name] != before[name]} == set(fault.lowers.split())


# ---- Practised


def used_since(project: Path, days: list[int]) -> None:
    """As if a team had trained on its own data, this many days ago each, and committed before it."""
    for ago in days:
        when = (datetime.now(UTC) - timedelta(days=ago)).isoformat()
        for name in ("src/flight_delays/problem.py", "data/sources.toml", "MODEL_CARD.md"):
            with (project / name).open("a", encoding="utf-8") as file:
                file.write("#\n" if name[-3:] != ".md" else "\nSeen.\n")
        ok("git", "add", "--all", at=project)
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        ok("git", "commit", "--quiet", "--message", "More", at=project, **dates)
        ok(".venv/bin/ladder", "train", at=project)
        script = (
            "import sqlite3, sys; c = sqlite3.connect('mlflow.db');"
            " c.execute('update runs set start_time = start_time - ? where start_time > ?',"
            f" ({ago} * 86400000, {(datetime.now(UTC) - timedelta(minutes=2)).timestamp()} * 1000));"
            " c.execute(\"update params set value = 'data/own.csv' where key = 'data.path'\");"
            " c.commit()"
        )
        ok(".venv/bin/python", "-c", script, at=project)


@pytest.mark.slow
def test_what_a_team_uses_on_its_own_data_is_practised(generate: Generate, tmp_path: Path) -> None:
    """Three commits, trainings, cards and declared data within days: level 1 is practised."""
    project = committed(generate(maturity_level="1"), tmp_path)
    ok("make", "setup", at=project)
    used_since(project, [9, 5])
    assert grading.assess(Repository(project)).practised == 0
    used_since(project, [2])
    assert grading.assess(Repository(project)).practised == 1


@pytest.mark.parametrize(
    ("days", "practised"),
    [
        ([9, 5, 2], True),
        ([89, 3, 3], True),
        ([5, 2], False),
        ([2, 2, 2], False),
        ([120, 91, 2], False),
        ([], False),
    ],
    ids=str,
)
def test_practised_is_three_times_on_two_days_within_90(days: list[int], practised: bool) -> None:
    """Less than that is a try, or the past."""
    now = datetime.now(UTC)
    assert grading.is_practised([now - timedelta(days=ago) for ago in days]) == practised


# ---- The forge

DAY = "2026-01-02T03:04:05Z"
THERE = {
    "github": {
        "/repos/ada/it": {"default_branch": "main"},
        "/repos/ada/it/actions/runs": {"workflow_runs": [{"created_at": DAY}]},
        "/repos/ada/it/rules/branches/main": [
            {"type": "deletion"},
            {"type": "pull_request", "parameters": {"required_approving_review_count": 1}},
        ],
        "/repos/ada/it/pulls": [{"merged_at": DAY}, {"merged_at": None}],
    },
    "gitlab": {
        "/projects/ada%2Fit": {"default_branch": "main"},
        "/projects/ada%2Fit/pipelines": [{"created_at": DAY}],
        "/projects/ada%2Fit/approval_rules": [{"approvals_required": 1}],
        "/projects/ada%2Fit/merge_requests": [{"merged_at": DAY}],
    },
}


@pytest.fixture(name="api")
def _api(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What an API answers, by path; anything else is 404."""
    answers: dict[str, Any] = {}

    class Answering(BaseHTTPRequestHandler):
        """Answers to those who bring the token."""

        def do_GET(self) -> None:
            """One request."""
            known = answers.get(self.path.split("?")[0])
            good = known is not None and self.headers["Authorization"] == "Bearer x"
            self.send_response(200 if good else 404)
            self.end_headers()
            self.wfile.write(json.dumps(known).encode() if good else b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("GITHUB_API_URL", "CI_API_V4_URL"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.setenv(name, "x")
    yield answers
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_the_forge_says_when_ci_passed_and_when_a_review_was_asked(
    fresh: Path, api: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Passed runs, and merges as long as a rule asks for an approval; unknown without a token."""
    ok("git", "remote", "add", "origin", f"git@{name}.com:ada/it.git", at=fresh)
    api |= THERE[name]
    times = [datetime.fromisoformat(DAY.replace("Z", "+00:00"))]
    asked = Forge(Repository(fresh))
    assert asked.passed() == times and asked.approved() == times
    rules = "/repos/ada/it/rules/branches/main" if name == "github" else None
    api[rules or "/projects/ada%2Fit/approval_rules"] = []
    assert asked.approved() == []
    api.clear()
    with pytest.raises(Unknown, match="404"):
        asked.passed()
    monkeypatch.delenv(f"{name.upper()}_TOKEN")
    with pytest.raises(Unknown, match="cannot be asked without"):
        Forge(Repository(fresh))


# ---- Claims and waivers

WAIVER = """
[[tool.mlops-ladder.waivers]]
id = "registry.gate"
reason = "A committee decides on every model"
by = "ada@example.com"
approved_by = "{second}"
until = {until}
"""


def test_a_claim_that_is_not_upheld_fails(fresh: Path) -> None:
    """The level of pyproject.toml is what counts: exit code 1 where a capability of it is missing."""
    rewrite_rules("pipeline.flow", fresh, lambda _: "")
    (fresh / "tests/code/test_pipeline.py").unlink()
    for path in (*fresh.glob("src/*/pipeline.py"), *fresh.glob("src/*/plugins.py")):
        path.unlink()
    done = tool(fresh)
    assert done.returncode == 1 and done.stdout.startswith("claimed 2 | equipped 1 |")
    plant(
        fresh / "pyproject.toml", "[tool.mlops-ladder]\nlevel = 2", "[tool.mlops-ladder]\nlevel = 1"
    )
    assert tool(fresh).returncode == 0


def tool(project: Path, *options: str) -> Any:
    """What the tool of a project says of it."""
    return run(LADDER, "maturity", *options, at=project)


@pytest.mark.parametrize(
    ("second", "days", "holds"),
    [
        ("grace@example.com", 30, True),
        ("ada@example.com", 30, False),
        ("grace@example.com", -1, False),
        ("grace@example.com", 500, False),
    ],
    ids=["two people", "one person", "expired", "for ever"],
)
def test_a_waiver_needs_a_second_person_and_an_end(
    fresh: Path, second: str, days: int, holds: bool
) -> None:
    """What is missing is answered for by two people, for a year at most; else nothing changes."""
    (fresh / "tests/model/test_gate.py").write_text("", encoding="utf-8")
    until = date.today() + timedelta(days=days)
    with (fresh / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(WAIVER.format(second=second, until=until))
    found = grading.assess(Repository(fresh))
    assert found.equipped == (2 if holds else 1)
    assert bool([note for note in found.notes if "does not hold" in note]) != holds


# ---- Elsewhere


FOREIGN = {
    "README.md": "# Ours\n\nA model of ours, what it is good for, who uses it, and how to train it again.\n\n```\nmake fit\n```\n",
    "Makefile": "fit:\n\tpython fit.py\n",
    ".gitignore": ".env\n",
    "fit.py": "import mlflow\n\n\ndef fit():\n    mlflow.autolog()\n",
    "tests/test_fit.py": "from fit import fit\n\n\ndef test_fit():\n    assert fit() is None\n",
    ".github/workflows/test.yml": "on: push\njobs:\n  test:\n    steps:\n      - run: pytest\n",
}


def foreign(folder: Path) -> Path:
    """A repository that we did not make."""
    for name, text in FOREIGN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    commit(folder)
    return folder


def test_a_repository_of_others_is_judged_and_left_as_it_was(tmp_path: Path) -> None:
    """What is there is seen, what cannot be seen is said to be unknown, and nothing is written."""
    project = foreign(tmp_path / "theirs")
    before = files(project)
    done = run(LADDER, "maturity", "--json", "--out", "-", str(project), at=tmp_path)
    grades = {it["id"]: it["grade"] for it in json.loads(done.stdout)["capabilities"]}
    wanted = {
        "repo.entrypoint": "present",
        "repo.hygiene": "present",
        "repo.vcs": "declared",
        "tracking.runs": "present",
        "ci.tests": "present",
        "env.lock": "absent",
        "registry.gate": "unknown",
    }
    assert wanted.items() <= grades.items() and done.returncode == 0
    assert files(project) == before and "?? " not in ok("git", "status", "--short", at=project)


@pytest.mark.parametrize(
    ("form", "name"),
    [("html", "maturity.html"), ("json", "maturity.json"), ("markdown", "maturity.md")],
)
def test_a_report_goes_to_a_file_or_to_standard_output(
    tmp_path: Path, form: str, name: str
) -> None:
    """The command prints where the file is; asked with `-` it prints the report, and writes none."""
    folder = str(foreign(tmp_path / "theirs"))
    shown = ok(LADDER, "maturity", f"--{form}", "--out", "-", folder, at=tmp_path)
    assert not (tmp_path / "reports").exists()
    told = ok(LADDER, "maturity", f"--{form}", folder, at=tmp_path)
    assert told.endswith(f"\n\nWritten to reports/{name}\n") and told.startswith("claimed nothing")
    assert (tmp_path / "reports" / name).read_text(encoding="utf-8") == shown


@pytest.mark.slow
def test_a_project_judges_itself_by_its_own_wheel(generate: Generate, tmp_path: Path) -> None:
    """It needs no consent to execute itself; a project that lies elsewhere has to be agreed to."""
    project = shutil.copytree(generate(maturity_level="0"), tmp_path / "own")
    commit(project)
    assert ok("make", "--silent", "setup", at=project)
    told = ok("make", "--silent", "maturity", at=project, UV_OFFLINE="1")
    assert told.startswith("claimed 0 | equipped 0 |")
    deep = ("maturity", "--deep", "--only", "repo.hygiene")
    own = str(project / ".venv/bin/ladder")
    assert "agree" not in run(own, *deep, at=project).stderr
    other = shutil.copytree(generate(maturity_level="0"), tmp_path / "other")
    assert "nobody is here to agree" in run(own, deep[0], str(other), *deep[1:], at=project).stderr


@pytest.mark.slow
def test_the_tool_is_run_from_the_template_by_uvx(template: Path, tmp_path: Path) -> None:
    """`uvx --from TEMPLATE mlops-ladder maturity FOLDER`, as the README says."""
    project = foreign(tmp_path / "theirs")
    said = run(
        "uvx", "--quiet", "--from", str(template), "mlops-ladder", "maturity", ".", at=project
    )
    assert said.stdout.startswith("claimed nothing | equipped 0 |") and said.returncode == 0


def test_what_is_not_there_is_an_error(tmp_path: Path, fresh: Path) -> None:
    """A folder, or a capability, that does not exist: named, with exit code 3."""
    done = tool(fresh, str(tmp_path / "nowhere"))
    assert done.returncode == 3 and "nowhere: no such folder" in done.stderr
    done = tool(fresh, "--explain", "registry.gat")
    assert done.returncode == 3 and "registry.gat: no such capability" in done.stderr


def test_a_command_that_does_not_end_is_unknown_with_its_last_words(
    tmp_path: Path, fresh: Path
) -> None:
    """Both of its streams are told, so that what it waits for can be looked for."""
    copy = Copy(Repository(fresh), tmp_path, 1)
    with pytest.raises(Unknown, match=r"no end after 1 s; last it said: half way \| waiting"):
        copy.run("sh", "-c", "echo half way; echo waiting >&2; sleep 60", timeout=1)
    with pytest.raises(Unknown, match="last it said: nothing"):
        copy.run("sleep", "60", timeout=0.1)


# ---- Reports


def test_the_same_is_said_in_every_form(fresh: Path) -> None:
    """Text, JSON, Markdown, a page and a badge name the levels; nothing else is written."""
    found, before = grading.assess(Repository(fresh)), files(fresh)
    line = "claimed 2 | equipped 2 | practised 0"
    assert report.render_text(found).startswith(line)
    assert f"### Maturity: {line}" in report.render_markdown(found)
    assert line in page.render_page(found) and page.render_page(found).count("<title>") == 1 + len(
        APPLY
    )
    assert "equipped 2 · practised 0" in page.render_badge(found)
    known = json.loads(report.render_json(found))
    assert (known["claimed"], known["equipped"], known["practised"]) == (2, 2, 0)
    assert len(known["capabilities"]) == len(APPLY) and files(fresh) == before


def test_at_most_five_actions_each_with_command_file_and_effort(fresh: Path) -> None:
    """What is broken comes first, the lowest level first."""
    for name in ("tests/model/test_gate.py", "uv.lock", "MODEL_CARD.md"):
        (fresh / name).write_text("", encoding="utf-8")
    lines = report.render_next_actions(grading.assess(Repository(fresh))).splitlines()
    assert [line.split(":")[0] for line in lines[1::2]] == [
        "1. env.lock",
        "2. doc.modelcard",
        "3. registry.gate",
    ]
    assert lines[2] == "    uv lock   (uv.lock; minutes)"


def test_words_of_others_are_not_markup(fresh: Path) -> None:
    """What a file holds is escaped where it gets into the page."""
    plant(fresh / "contract.toml", 'role = "target"', 'role = "<script>alert(1)</script>"')
    shown = page.render_page(grading.assess(Repository(fresh)))
    assert "<script>" not in shown and "&lt;script&gt;" in shown


# ---- Evidence


def test_evidence_of_another_state_is_not_used(fresh: Path) -> None:
    """A file of evidence that was copied, or is old, or of another commit, raises nothing."""
    (fresh / ".maturity").mkdir()
    (fresh / ".maturity/.gitignore").write_text("*\n", encoding="utf-8")
    bond = evidence.describe_state(Repository(fresh))
    now = datetime.now(UTC)
    names = sorted(name for name in JUDGED if JUDGED[name]["level"] <= 2)

    def shown(bond: dict[str, Any], when: datetime) -> set[str]:
        kept = {"time": when.isoformat(), "bond": bond, "exercised": names}
        (fresh / evidence.FILE).write_text(json.dumps(kept), encoding="utf-8")
        found = grading.assess(Repository(fresh))
        evidence.apply_evidence(Repository(fresh), found)
        return {it.grade for it in found.capabilities if it.id in names}

    assert shown(bond, now) == {"exercised"}
    assert shown(bond | {"commit": "0" * 40}, now) == {"present"}
    assert shown(bond | {"repository": ["0" * 40]}, now) == {"present"}
    assert shown(bond | {"data": "0" * 64}, now) == {"present"}
    assert shown(bond, now - timedelta(days=31)) == {"present"}
    assert shown(bond, now + timedelta(days=1)) == {"present"}


def part_of(node: ast.expr) -> str:
    """The module that `part("…")` names; nothing where the expression is another."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "part":
        return str(getattr(node.args[0], "value", ""))
    return ""


def test_what_is_asked_of_the_library_is_there() -> None:
    """A deep run asks the project's library by name: each name is a module's, or the grade is unknown."""
    lost = set()
    for path in (ROOT / "src/mlops_ladder/maturity/inside").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and (name := part_of(node.value)):
                if not hasattr(import_module(f"mlops_ladder.{name}"), node.attr):
                    lost.add(f"{path.name}: {name}.{node.attr}")
    assert lost == set()
