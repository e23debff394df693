"""The service of level 2, proved by using it: under load, through promotions, until SIGTERM."""

import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

import pytest
from conftest import commit, domain_tests, fails, Generate, kill_mutant, run, spoil
from databases import PASSWORD, Postgres, postgres
from services import asked, example, Service, serving

pytestmark = [pytest.mark.slow]

SCHEMATHESIS = "schemathesis==4.32.5"
WRITTEN = """\
                database.write(batch)
                self._written.add(batch)
"""
POPPED = """\
                for _ in batch:
                    self._queue.popleft()
"""
UNFINISHED = "        until = time.monotonic() + STOP_TIMEOUT_S\n"
PUBLISH = """
import hashlib, json, sys
from pathlib import Path
from mlops_ladder.data.contract import read_contract
from mlops_ladder.export.bundle import export_bundle
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
from mlops_ladder.model.training import train_model
folder = Path("models/serving")
for number, rate in (("1", 0.02), ("2", 0.3)):
    settings, contract = load_settings(model={"learning_rate": rate}), read_contract()
    made = export_bundle(train_model(read_data(settings).head(3000), contract, settings), folder / number)
    assert made.runtime == "onnx", made.why
"""


def publish(project: Path, number: str) -> None:
    """Move the pointer, as the registry does."""
    folder = project / "models/serving"
    bundle = (folder / number / "bundle.json").read_bytes()
    done = subprocess.run(["sha256sum"], input=bundle, capture_output=True, check=True)
    sha256 = done.stdout.decode().split()[0]
    pointer = {"version": number, "run_id": f"run-{number}", "sha256": sha256}
    unfinished = folder / "champion.part"
    unfinished.write_text(json.dumps(pointer), encoding="utf-8")
    unfinished.replace(folder / "champion.json")


@pytest.fixture(scope="module", name="project")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of level 2 with two models, of which the first is published."""
    made = generate(maturity_level="2", project_name="Flight Delays")
    project = tmp_path_factory.mktemp("serving") / made.name
    subprocess.run(["cp", "-R", str(made), str(project)], check=True)
    commit(project)
    for command in (["make", "setup"], [".venv/bin/python", "-c", PUBLISH]):
        done = run(*command, at=project)
        assert done.returncode == 0, done.stderr
    publish(project, "1")
    return project


@pytest.fixture(name="tree")
def _tree(project: Path) -> Iterator[Path]:
    """The project, brought back after the test to what is committed, with model 1 published."""
    yield project
    run("git", "reset", "--quiet", "--hard", at=project)
    for log in project.glob("predictions.db*"):
        log.unlink()
    publish(project, "1")


def test_make_serve_answers(project: Path) -> None:
    """The champion is served by one command."""
    with serving(project, "make", "serve") as service:
        assert service.ask("/predict", example(service))[0] == 200


def test_without_a_model_the_process_lives_and_serves_the_first(tree: Path) -> None:
    """`/ready` and `/predict` say 503 before the first publication, and 200 after it."""
    (tree / "models/serving/champion.json").unlink()
    with serving(tree) as service:
        row = example(service)
        assert service.ask("/ready")[0] == service.ask("/predict", row)[0] == 503
        assert service.ask("/health")[0] == 200
        publish(tree, "1")
        until = time.monotonic() + 30
        while service.ask("/ready")[0] == 503 and time.monotonic() < until:
            time.sleep(0.05)
        assert service.ask("/predict", row)[0] == 200


def test_a_tampered_model_is_not_served(tree: Path) -> None:
    """With one byte of the model changed the old one answers on, and `/health` says why."""
    path = tree / "models/serving/2/model.onnx"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with serving(tree) as service:
            publish(tree, "2")
            until = time.monotonic() + 30
            while not service.ask("/health")[1]["trouble"] and time.monotonic() < until:
                time.sleep(0.05)
            assert "sha256" in service.ask("/health")[1]["trouble"]
            assert service.ask("/version")[1]["version"] == "1"
            assert service.ask("/predict", example(service))[0] == 200
    finally:
        path.write_bytes(whole)


def promoted(project: Path, requests: int = 10_000, changes: int = 20) -> set[tuple[str, float]]:
    """Every pair of model and prediction that is answered to so many requests during changes.

    AssertionError where an answer is missing or is not 200.
    """
    with serving(project) as service, ThreadPoolExecutor(9) as pool:
        row, left = example(service), iter(range(requests))

        def ask() -> set[tuple[str, float]]:
            connection, seen = service.connect(), set()
            for _ in left:
                status, answer = asked(connection, "/predict", row)
                assert status == 200, answer
                seen.add((answer["model_version"], answer["probability"]["true"]))
            return seen

        asking = [pool.submit(ask) for _ in range(8)]
        for change in range(changes):
            publish(project, str(2 - change % 2))
            until = time.monotonic() + 30
            while service.ask("/version")[1]["version"] != str(2 - change % 2):
                assert time.monotonic() < until
        return set().union(*(asked_.result() for asked_ in asking))


def test_no_request_fails_while_models_change(tree: Path) -> None:
    """10,000 requests during 10 promotions and 10 rollbacks: all answered, by one of two models."""
    seen = promoted(tree)
    assert len(seen) == len(dict(seen)) == 2


def test_a_swap_in_two_steps_is_found(tree: Path) -> None:
    """A follower that gives the old model the new one's name for a moment does not go unnoticed."""
    spoil(
        tree,
        "serving/model_reloader.py",
        "self.current = self.load_model(pointer)",
        "new = self.load_model(pointer)\n"
        "                if self.current:\n"
        "                    self.current.model.bundle.update(new.model.bundle)\n"
        "                    __import__('time').sleep(0.1)\n"
        "                self.current = new",
    )
    assert len(promoted(tree, 4000)) > 2


def waits(service: Service, until: str) -> dict[str, int]:
    """What health says of the log as soon as it counts some of these."""
    for _ in range(600):
        counts: dict[str, int] = service.ask("/health")[1]["observers"]["log"]
        if counts[until]:
            return counts
        time.sleep(0.05)
    raise AssertionError(f"{until}: none in 30 s")


def unlogged(project: Path) -> tuple[int, set[str]]:
    """How many requests were answered until SIGTERM ended the service, and the ones not logged."""
    answered: set[str] = set()
    with serving(project) as service, ThreadPoolExecutor(8) as pool:
        row = example(service)

        def ask() -> None:
            connection = service.connect()
            with suppress(OSError, http.client.HTTPException):  # in the end it is gone
                while True:
                    status, answer = asked(connection, "/predict", row)
                    assert status == 200, answer
                    answered.add(answer["request_id"])

        for _ in range(8):
            pool.submit(ask)
        waits(service, "written")  # else all is written by one write, however late that begins
        time.sleep(1)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(60)
    with sqlite3.connect(project / "predictions.db") as store:
        known = store.execute(
            "select name from sqlite_master where name = 'predictions'"
        ).fetchall()
        found = store.execute("select request_id from predictions") if known else []
        logged = {number for (number,) in found}
    return len(answered), answered - logged


def test_sigterm_loses_no_answered_request(tree: Path) -> None:
    """Under load, until the end: every request that was answered is in the log."""
    answered, lost = unlogged(tree)
    assert answered > 100 and not lost


def test_a_log_that_does_not_finish_is_found(tree: Path) -> None:
    """A log that leaves what waits loses requests, and the proof above sees it."""
    spoil(tree, "serving/prediction_log.py", UNFINISHED, "        return\n" + UNFINISHED)
    spoil(tree, "serving/prediction_log.py", "PAUSE = 0.2", "PAUSE = 60")
    assert unlogged(tree)[1]


@pytest.fixture(name="server")
def _server() -> Iterator[Postgres]:
    """A PostgreSQL server that is not started yet."""
    with postgres() as server:
        yield server


def logging_to(url: str) -> dict[str, str]:
    """The environment of a service whose log is this database."""
    return {"FLIGHT_DELAYS_SERVING__PREDICTION_LOG_URL": url}


def predicted(service: Service, requests: int) -> dict[str, dict[str, Any]]:
    """By its id, what each of so many requests over eight connections was answered.

    No two rows are the same: `distance` counts.
    """
    row, left = example(service), iter(range(requests))

    def ask(_: int) -> dict[str, dict[str, Any]]:
        connection, seen = service.connect(), {}
        for number in left:
            given = row | {"distance": 80 + number}
            status, answer = asked(connection, "/predict", [given])
            assert status == 200, answer
            seen[answer["request_id"]] = answer | {"distance": 80 + number}
        return seen

    with ThreadPoolExecutor(8) as pool:
        return {number: it for seen in pool.map(ask, range(8)) for number, it in seen.items()}


def missing(server: Postgres, answered: dict[str, dict[str, Any]]) -> set[str]:
    """The requests that were answered and are not in the database."""
    return answered.keys() - {row["request_id"] for row in server.rows("predictions")}


def test_each_answer_is_a_row_in_postgresql(tree: Path, server: Postgres) -> None:
    """2,000 requests under load, then SIGTERM: 2,000 rows, each with what it was asked and told."""
    server.start()
    began = datetime.now(UTC) - timedelta(milliseconds=1)
    with serving(tree, **logging_to(server.url())) as service:
        inputs = example(service) | {
            "scheduled": "2024-01-01T07:00:00"
        }  # of New York, as validated
        answered = predicted(service, 2000)
    rows = server.rows("predictions")
    assert len(rows) == len(answered) == 2000 and not missing(server, answered)
    for row in rows:
        answer = answered[row["request_id"]]
        assert json.loads(row["inputs"]) == [inputs | {"distance": answer["distance"]}]
        told = row["output"].replace('"False":', '"false":').replace('"True":', '"true":')
        assert json.loads(told) == answer["predictions"]  # the log names classes as Python does
        assert (row["model_version"], row["rows"]) == (answer["model_version"], 1)
        assert began <= datetime.fromisoformat(row["time"]) <= datetime.now(UTC)
        assert 0 < row["latency_ms"] < 60_000


def test_what_is_not_validated_is_not_logged(tree: Path, server: Postgres) -> None:
    """Of a name that is given twice only the value that was checked is kept."""
    server.start()
    with serving(tree, **logging_to(server.url())) as service:
        text = json.dumps(example(service)).replace("{", '{"carrier": "a name", ', 1)
        connection = service.connect()
        connection.request("POST", "/predict", text, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
    (row,) = server.rows("predictions")
    assert "a name" not in row["inputs"] and json.loads(row["inputs"])[0]["carrier"] == "9E"


def early(project: Path, server: Postgres) -> set[str]:
    """The requests that are lost of those that were answered before the database was there."""
    with serving(project, **logging_to(server.url())) as service:
        answered = predicted(service, 300)
        counts = waits(service, "failed")
        assert (counts["written"], counts["waiting"], counts["dropped"]) == (0, 300, 0)
        server.start()
        waits(service, "written")
    return missing(server, answered)


def test_a_database_that_comes_late_gets_every_row(tree: Path, server: Postgres) -> None:
    """Without it the service answers, and health counts failures; then the rows are written."""
    assert not early(tree, server)


def restarted(project: Path, server: Postgres, mode: str) -> set[str]:
    """The requests that are lost when the database ends thus under load and comes again."""
    server.start()
    with serving(project, **logging_to(server.url())) as service, ThreadPoolExecutor(1) as pool:
        predicted(service, 1)
        waits(service, "written")
        asking = pool.submit(predicted, service, 4000)
        time.sleep(0.5)
        server.stop(mode)
        waits(service, "failed")
        server.start()
        answered = asking.result()
    return missing(server, answered)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_the_database_loses_nothing(tree: Path, server: Postgres, mode: str) -> None:
    """Stopped or crashed and started under load: every request that was answered is in it."""
    assert not restarted(tree, server, mode)


def test_a_batch_that_is_dropped_on_an_error_is_found(tree: Path, server: Postgres) -> None:
    """A log that takes requests from the queue before they are written loses some."""
    spoil(tree, "serving/prediction_log.py", WRITTEN + POPPED, POPPED + WRITTEN)
    assert restarted(tree, server, "fast")


def whispered(project: Path, url: str, told: Path) -> str:
    """What a service logs whose database is this one, after one request, until it has ended."""
    with serving(project, told=told, **logging_to(url)) as service:
        predicted(service, 1)
        waits(service, "failed")
    said = told.read_text(encoding="utf-8")
    assert "not written, to be tried again: " in said
    assert "lost: 1 answered requests could not be written" in said
    return said


def test_a_password_is_in_no_line_of_the_log(tree: Path, server: Postgres, tmp_path: Path) -> None:
    """Whether the database is down, refuses the password, or its URL cannot be read."""
    spoil(tree, "serving/prediction_log.py", "STOP_TIMEOUT_S = 5", "STOP_TIMEOUT_S = 0.1")
    down = server.url()
    server.start()
    urls = [
        server.url(password=f"another {PASSWORD}"),
        server.url().replace("%40", "@"),  # what follows would be the name of a host
        server.url("postgresql+nosuch"),
    ]
    said = [whispered(tree, url, tmp_path / f"{i}.txt") for i, url in enumerate(urls)]
    server.stop()
    said.append(whispered(tree, down, tmp_path / "down.txt"))
    no_url = logging_to(down.replace("://", "//"))
    said.append(fails(".venv/bin/ladder", "serve", at=tree, **no_url))
    assert "serving.prediction_log_url: no address of a database" in said[-1]
    assert not [word for word in ("s3cr3t", "word@", "another") if word in "".join(said)]
    assert "write one in a password as %40" in said[1]


def test_a_database_that_says_nothing_does_not_hold_up_the_end(tree: Path) -> None:
    """It takes a connection and never answers: SIGTERM ends the process all the same."""
    spoil(tree, "serving/prediction_log.py", "STOP_TIMEOUT_S = 5", "STOP_TIMEOUT_S = 0.5")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://log@127.0.0.1:{silent.getsockname()[1]}/postgres"
        with serving(tree, **logging_to(url)) as service:
            predicted(service, 1)
            time.sleep(1.5)  # the log has begun to connect
            ended = time.monotonic()
        assert time.monotonic() - ended < 10


def conforms(project: Path) -> subprocess.CompletedProcess[str]:
    """What Schemathesis says of the running service."""
    with serving(project) as service:
        return run(
            *("uvx", "--quiet", "--from", SCHEMATHESIS, "schemathesis", "run"),
            f"http://127.0.0.1:{service.port}/openapi.json",
            *("--checks", "all", "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "30", "--seed", "1", "--no-color", "--continue-on-failure"),
            at=project,
        )


def test_schemathesis_finds_nothing(tree: Path) -> None:
    """No 5xx, no undocumented answer, no broken row taken and no good one refused."""
    done = conforms(tree)
    assert done.returncode == 0 and "No issues found" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (
            "serving/predict_route.py",
            "Reply(orjson.dumps(violations), 422)",
            "Reply(orjson.dumps(violations), 418)",
        ),
        (
            "serving/schemas.py",
            "if not all(row.keys() <= self.names for row in rows):",
            "if False:",
        ),
    ],
    ids=["an answer that is not documented", "a column that is not refused"],
)
def test_schemathesis_finds_a_planted_fault(tree: Path, file: str, old: str, new: str) -> None:
    """An undocumented answer, or a request against the contract that is taken, is found."""
    spoil(tree, file, old, new)
    done = conforms(tree)
    assert done.returncode == 1, done.stdout


@pytest.mark.long
@pytest.mark.drawn(2)
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (
            "serving/schemas.py",
            "if not all(row.keys() <= self.names for row in rows):",
            "if False:",
        ),
        ("data/columns.py", "strict=True", "strict=False"),
        ("serving/model_reloader.py", "        read_verified(", "        ("),
        ("serving/model_reloader.py", "        model.answers(rows)  #", "        (rows)  #"),
        ("serving/predict_route.py", "Reply(orjson.dumps(violations), 422)", 'Reply(b"{}", 422)'),
        ("serving/predict_route.py", "            await waiting\n", "            pass\n"),
        ("serving/prediction_log.py", "self._dropped += 1", "self._dropped += 0"),
        ("serving/prediction_log.py", UNFINISHED, "        return\n" + UNFINISHED),
        ("serving/schemas.py", "            one | many,", "            one | many | None,"),
    ],
)
def test_the_tests_of_the_library_catch_a_fault(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    """Each of these faults in the service's code fails the tests of the library."""
    kill_mutant(tmp_path, file, old, new, *domain_tests(file), "serving")


def test_the_service_starts_without_heavy_libraries(project: Path) -> None:
    """Serving an ONNX model imports neither pandas nor scikit-learn, MLflow or Prefect."""
    code = (
        "import sys, mlops_ladder.serving.app as service; service.create_service()\n"
        "found = {'pandas', 'sklearn', 'scipy', 'mlflow', 'prefect'} & sys.modules.keys()\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = run(".venv/bin/python", "-c", code, at=project)
    assert done.returncode == 0, done.stderr
