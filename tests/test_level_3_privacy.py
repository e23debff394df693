"""Level 3: what is banned reaches nothing, and who is forgotten is in no version that comes after."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import commit, fails, Generate, ok, plant
from databases import Postgres, postgres
from faults import Fault, FORGETTERS, PRIVATE

from mlops_ladder.maturity import CHECKS, grading, signs
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy

pytestmark = pytest.mark.slow
ID = "Zoë 7"
HEAD = "kunden_id;größe;farbe;antwort\r\n"
# Columns of data sets that many begin with: of these, a passenger's name alone is banned.
ORDINARY = """
    PassengerId Pclass Sex Age SibSp Parch Ticket Fare Cabin Embarked
    age workclass fnlwgt education education-num marital-status occupation relationship native-country
    own_telephone PhoneService MultipleLines InternetService customerID contact product_name file_name
    MedInc HouseAge AveRooms Latitude emails_sent business_number vehicle_name city zip_code username_length
""".split()
BANNED = [
    "Name",
    "e-mail",
    "customerEmail",
    "first_name",
    "Prénom",
    "顧客姓名",
    "SSN",
    "Phone Number",
    "Geburtsdatum",
]
ASKED = """
import json, sys
from mlops_ladder.data.contract import read_contract
from mlops_ladder.privacy.rules import read_rules
banned = read_rules(read_contract()).banned
print(json.dumps([name for name in json.loads(sys.argv[1]) if banned.find_rule(name)]))
"""
LOGGED = """
import sys
from datetime import UTC, datetime
from mlops_ladder.settings import load_settings
from mlops_ladder.serving.store import Store
store, line = Store(load_settings().serving.prediction_log_url), {"time": datetime.now(UTC), "model_version": "1", "latency_ms": 1}
inputs = ['[{"kunden_id": "Zoë 7"}, {"größe": 1}]', '[{"kunden_id": "Zoë 7"}]', '[{"größe": 2}]']
store.write([line | {"request_id": f"r{n}", "inputs": it, "rows": it.count("}"),
    "output": str([{"prediction": 0}] * it.count("}")).replace("'", '"')} for n, it in enumerate(inputs)])
"""


@pytest.fixture(name="project", scope="module")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed project of level 3 with an environment, a store, and own data that git ignores."""
    folder = tmp_path_factory.mktemp("private") / "project"
    shutil.copytree(generate(maturity_level="3"), folder)
    config, store = folder / ".dvc/config", tmp_path_factory.mktemp("store").as_posix()
    config.write_text(re.sub("url = .*", f"url = {store}", config.read_text("utf-8")), "utf-8")
    rows = [f"Zoë {n};{n % 9},5;{'rot' if n % 3 else 'grün'};{n % 2}\r\n" for n in range(300)]
    (folder / "data/own.csv").write_bytes("".join([HEAD, *rows]).encode("cp1252"))
    commit(folder)
    ok("make", "setup", at=folder)
    ok("make", "contract", "DATA=data/own.csv", "TARGET=antwort", at=folder)
    ok("make", "data-version", at=folder)
    commit(folder, "Own data")
    return folder


@pytest.fixture(name="database", scope="module")
def _database() -> Iterator[Postgres]:
    """A PostgreSQL server for the log."""
    with postgres() as server:
        server.start()
        yield server


def test_what_is_banned_at_first_leaves_ordinary_data_alone(project: Path) -> None:
    """In several languages, however it is written."""
    asked = json.dumps([*BANNED, *ORDINARY])
    assert json.loads(ok(".venv/bin/python", "-c", ASKED, asked, at=project)) == BANNED


def test_who_is_forgotten_is_in_no_version_that_comes_after(
    project: Path, database: Postgres
) -> None:
    """Gone from data and from the log on PostgreSQL; the next version is another; told when back."""
    path, log = project / "data/own.csv", {
        "FLIGHT_DELAYS_SERVING__PREDICTION_LOG_URL": database.url()
    }
    ok(".venv/bin/python", "-c", LOGGED, at=project, **log)
    before, pointer = path.read_bytes(), (project / "data/own.csv.dvc").read_text("utf-8")
    said = ok("make", "forget", f"ID={ID}", at=project, **log)
    assert "Removed 1 rows of 1 data files, and 2 rows of 2 logged requests" in said
    line = f"{ID};7,5;rot;1\r\n".encode("cp1252")
    assert path.read_bytes() == before.replace(line, b"") and before.count(line) == 1
    found = [(it["request_id"], it["inputs"]) for it in database.rows("predictions")]
    assert sorted(inputs for _, inputs in found) == ['[{"größe": 2}]', '[{"größe":1}]']
    assert ("r2", '[{"größe": 2}]') in found and "r0" not in dict(found)
    assert ".dvc/cache" in said and "the remote of .dvc/config: earlier versions" in said
    record = (project / "forgotten.jsonl").read_text(encoding="utf-8")
    assert "Zo" not in record and json.loads(record)["files"]["data/own.csv"]["rows"] == 1
    ok("make", "data-version", at=project)
    assert (project / "data/own.csv.dvc").read_text("utf-8") != pointer
    assert "forgotten.key" not in ok(
        "git", "status", "--porcelain", "--untracked-files", at=project
    )
    ok("git", "checkout", "--quiet", "HEAD", "data/own.csv.dvc", "data/sources.toml", at=project)
    ok("make", "restore", at=project)
    for command in ("privacy-checked", "train"):
        said = fails("make", command, at=project)
        assert "kunden_id: 1 of 300 rows hold an id that was forgotten" in said
        assert "(rows 8)" in said and ID not in said


def test_a_banned_column_fails_the_check_of_ci(generate: Generate, project: Path) -> None:
    """CI runs `make check`, which asks; the error names column, rule and the ways out."""
    contract = project / "contract.toml"
    before = contract.read_text(encoding="utf-8")
    plant(contract, "[columns.farbe]", "[columns.Vorname]", 1)
    said = fails("make", "privacy-checked", at=project)
    contract.write_text(before, encoding="utf-8")
    assert "Vorname: governance/privacy.toml bans 'vorname', and its role is feature" in said
    assert 'give it role = "personal" or "ignored"' in said and "[allowed]" in said
    assert "privacy --check" in ok("make", "--dry-run", "check", at=project)
    workflow = (generate(maturity_level="3") / ".github/workflows/ci.yml").read_text("utf-8")
    assert "run: make check\n" in workflow


def graded(project: Path) -> dict[str, str]:
    """The grade of each capability."""
    return {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}


@pytest.mark.drawn(2)
@pytest.mark.parametrize("fault", PRIVATE, ids=lambda it: it.name)
def test_what_privacy_promises_and_is_not_so_lowers_the_maturity(
    generate: Generate, tmp_path: Path, fault: Fault
) -> None:
    """`make maturity` finds it in the files, and lowers nothing else."""
    shutil.copytree(generate(maturity_level="3"), tmp_path / "project")
    commit(tmp_path / "project")
    before = graded(tmp_path / "project")
    fault.plant(tmp_path / "project")
    after = graded(tmp_path / "project")
    assert before["data.privacy"] == "present"
    assert {name for name in after if after[name] != before[name]} == {fault.lowers}


@pytest.fixture(name="copy", scope="module")
def _copy(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the project with its environment, as a deep run makes it."""
    signs.load_checks()
    made = Copy(Repository(project), tmp_path_factory.mktemp("copy"), 7)
    made.must("make", "setup")
    return made


@pytest.mark.drawn(1)
@pytest.mark.parametrize("fault", FORGETTERS, ids=lambda it: it.name)
def test_a_project_that_does_not_forget_is_found_out(copy: Copy, fault: Fault) -> None:
    """What a deep run plants is not caught, or what it tries does not work."""
    found: list[str] = []
    for check in CHECKS:
        if check.capability == fault.lowers and check.kind in ("trial", "fault") and not found:
            copy.reset()
            fault.plant(copy.root)
            found += check.find(copy)
    copy.reset()
    assert found
