"""The stack, brought up by a real engine: shared tracking, backup, schedule, and who is told.

PostgreSQL, Prometheus, Alertmanager and Pushgateway are Debian's, in stand-ins for their images.  There is
no Grafana to be had: it is left out.
"""

import http.client
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from conftest import commit, fails, Generate, ok, on_full_disk, outside_make
from engines import beside, Engine, HOST, PYTHON_IMAGE
from moto.server import ThreadedMotoServer
from watchers import free_port, until

ASK = """
import json, sys, urllib.request
from mlops_ladder.model import training; from mlops_ladder.serving import load_test
from mlops_ladder.data.contract import read_contract
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
settings, contract = load_settings(), read_contract()
seen = training.train_model(read_data(settings), contract, settings).train.sample(600, random_state=1)
address, column, widths = sys.argv[1:]
most, shift = seen[column].max(), seen[column].std() * float(widths)
seen[column] = (seen[column] + shift).clip(upper=most)  # what the contract allows
for body in load_test.make_requests(seen, contract, 20):
    kind = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"http://{address}/predict", body, kind)).read()
"""
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
BASE = f"""
FROM {PYTHON_IMAGE}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \\
    postgresql prometheus prometheus-alertmanager prometheus-pushgateway wget \\
    && ln -s prometheus-alertmanager /usr/bin/alertmanager && rm -rf /var/lib/postgresql/*
RUN install -d -o nobody /prometheus /alertmanager /etc/prometheus \\
    && install -d -o postgres -m 3777 /var/lib/postgresql/data /var/run/postgresql
COPY start /
"""
START = r"""#!/bin/bash
# What the official image does: a new volume gets a cluster and what lies in /docker-entrypoint-initdb.d.
set -Eeo pipefail
export PGDATA=/var/lib/postgresql/data
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --auth-local=trust \
        --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl --wait start -o "-c listen_addresses="
    for file in /docker-entrypoint-initdb.d/*.sh; do . "$file"; done
    pg_ctl --wait stop
fi
exec postgres -c "listen_addresses=*"
"""
STANDING_IN = {
    "postgres:17": 'ENV PATH=/usr/lib/postgresql/15/bin:$PATH\nCMD ["bash", "/start"]',
    "prom/prometheus:v3.5.0": 'USER nobody\nENTRYPOINT ["prometheus", "--enable-feature=expand-external-labels"]',
    "prom/alertmanager:v0.28.1": "USER nobody",
    "prom/pushgateway:v1.11.1": 'USER nobody\nENTRYPOINT ["prometheus-pushgateway"]',
}
SERVICES = "alertmanager database prefect prometheus pushgateway tracking worker".split()


def composed(project: Path) -> list[str]:
    """The command that has Compose read every file of the stack."""
    found = [*sorted(project.glob("deploy/stack/*.yaml")), *project.glob("monitoring/compose.yaml")]
    return [beside("docker-compose"), *(word for path in found for word in ("--file", str(path)))]


@pytest.mark.slow
@pytest.mark.parametrize("deploy", ["compose", "kubernetes"])
def test_the_files_fit_together_and_each_may_be_left_out(
    generate: Generate, tmp_path: Path, deploy: str
) -> None:
    """Compose takes all of them, and the rest without tracking, schedule or monitoring."""
    project = tmp_path / "project"
    shutil.copytree(generate(maturity_level="3", deploy=deploy), project)
    (project / "deploy/stack/.env").touch()
    told = {"DATABASE_PASSWORD": "x", "MLFLOW_DATABASE_PASSWORD": "x", "MLFLOW_PASSWORD": "x"}
    told |= {"PREFECT_DATABASE_PASSWORD": "x", "MLFLOW_SECRET": "x", "PREFECT_PASSWORD": "x"}
    told |= {"GRAFANA_PASSWORD": "x", "ALERT_WEBHOOK": "x", "STACK_IMAGE": "x"}
    ok(*composed(project), "config", "--quiet", at=project, **told)
    assert "run: make secrets" in fails(
        *composed(project), "config", "--quiet", at=project, **told | {"MLFLOW_PASSWORD": ""}
    )
    for name in (
        "deploy/stack/tracking.yaml",
        "deploy/stack/schedule.yaml",
        "monitoring/compose.yaml",
    ):
        path = project / name
        if path.exists():
            path.rename(path.with_suffix(".off"))
            ok(*composed(project), "config", "--quiet", at=project, **told)
            path.with_suffix(".off").rename(path)


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://github.com/us/ours.git", "https://github.com/us/ours/blob/HEAD/"),
        ("https://me:secret@github.com/us/ours", "https://github.com/us/ours/blob/HEAD/"),
        ("git@github.com:us/ours.git", "https://github.com/us/ours/blob/HEAD/"),
        (
            "ssh://git@git.example.com:2222/us/ours.git",
            "https://git.example.com/us/ours/blob/HEAD/",
        ),
        ("/srv/ours.git", ""),
        ("../ours.git", ""),
        ("", ""),
    ],
)
def test_a_runbook_is_a_link_to_the_repository(tmp_path: Path, origin: str, address: str) -> None:
    """Made from git's `origin`, without the secret in it; a path on this machine gives none."""
    ok("git", "init", "--quiet", at=tmp_path)
    if origin:
        ok("git", "remote", "add", "origin", origin, at=tmp_path)
    asked = "from mlops_ladder.delivery import stack; print(stack.find_repository())"
    assert ok(sys.executable, "-B", "-c", asked, at=tmp_path).strip() == address


def test_secrets_are_made_once_and_guessable_ones_are_refused(
    generate: Generate, tmp_path: Path
) -> None:
    """They are random and for their owner alone; what stands there stays; a known one is no secret."""
    project = tmp_path / "project"
    shutil.copytree(generate(maturity_level="3"), project)
    run = [sys.executable, "-m", "mlops_ladder", "stack"]
    assert "MLFLOW_PASSWORD: not set" in fails(*run, "check", at=project)
    assert "To be set by you: ALERT_WEBHOOK" in ok(*run, "secrets", at=project)
    first = (project / "deploy/stack/.env").read_text(encoding="utf-8")
    assert (project / "deploy/stack/.env").stat().st_mode & 0o777 == 0o600
    ok(*run, "secrets", at=project)
    assert (project / "deploy/stack/.env").read_text(encoding="utf-8") == first
    (project / "deploy/stack/.env").write_text(
        "ALERT_WEBHOOK=http://127.0.0.1:1/a", encoding="utf-8"
    )
    ok(*run, "secrets", at=project)  # whoever wrote that line did not end it
    run_tool = "from mlops_ladder.delivery import stack; stack.main(['secrets'])"
    full = on_full_disk(run_tool, 100)
    text = (project / "deploy/stack/.env").read_text(encoding="utf-8")
    said = fails(sys.executable, "-B", "-c", full, at=project)
    assert "deploy/stack/.env: File too large; what was there is as it was" in said
    assert (project / "deploy/stack/.env").read_text(encoding="utf-8") == text
    assert not (project / "deploy/stack/.env.part").exists()
    lines = text.splitlines()
    assert lines[0] == "ALERT_WEBHOOK=http://127.0.0.1:1/a" and len(lines) > 4
    assert all(line.count("=") == 1 for line in lines)
    there = {"ALERT_WEBHOOK": "http://127.0.0.1:1/"}
    ok(*run, "check", at=project, **there)
    for weak in (
        "password1234",
        "admin",
        "aaaaaaaaaaaaaaaaaaaa",
        "change-me-change-me-1",
        "p@ss/w0rd:9812hjk2",
    ):
        weak_one = there | {"MLFLOW_PASSWORD": weak}
        assert "MLFLOW_PASSWORD: guessable" in fails(*run, "check", at=project, **weak_one)
        assert "ALERT" not in ok(*run, "check", at=project, **weak_one, DEVELOPMENT="yes")


@pytest.fixture(scope="module", name="stocked")
def _stocked(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The engine, with stand-ins for the images that the stack names."""
    start = tmp_path_factory.mktemp("stand-in") / "start"
    start.write_text(START, encoding="utf-8")
    engine.stand_in("stand-in:all", BASE, start=start)
    for tag, lines in STANDING_IN.items():
        engine.stand_in(tag, f"FROM stand-in:all\n{lines}\n")
    return engine


@pytest.fixture(scope="module", name="told")
def _told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of somebody whom containers can tell something, and what was told."""
    heard: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        """Takes what is posted."""

        def do_POST(self) -> None:
            """Keep it."""
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("0.0.0.0", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}/", heard
    server.shutdown()


class Stack:
    """A project with its stack, and its commands: as somebody whose server is the shared one."""

    def __init__(self, folder: Path, engine: Engine, webhook: str) -> None:
        self.folder, self.engine = folder, engine
        self.tracking, self.prefect = free_port(), free_port()
        self.environment = engine.environment | {
            "ALERT_WEBHOOK": webhook,
            "BUILD_OPTIONS": "--network host",
            "SCHEDULE_WEBHOOK": webhook,
            "TRACKING_PORT": str(self.tracking),
            "PREFECT_PORT": str(self.prefect),
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.tracking}",
            "MLFLOW_TRACKING_USERNAME": "pipeline",
            "FLIGHT_DELAYS_TUNING__TRIALS": "2",
        }

    def ok(self, *command: str, **environment: str) -> str:
        """What a command prints; it must end well."""
        return ok(*command, at=self.folder, **self.environment | environment)

    def fails(self, *command: str, **environment: str) -> str:
        """What a command prints; it must fail."""
        return fails(*command, at=self.folder, **self.environment | environment)

    def secret(self, name: str) -> str:
        """A secret of deploy/stack/.env."""
        lines = (self.folder / "deploy/stack/.env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)[name]

    def ask(self, port: int, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """The status and the JSON that a server answers, with a name and a password or without."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = "Basic " + b64encode(f"pipeline:{key}".encode()).decode()
        method = "GET" if body is None else "POST"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text

    def mlflow(self, path: str, body: Any = None) -> Any:
        """What the tracking server answers the pipeline."""
        key = self.secret("MLFLOW_PASSWORD")
        status, said = self.ask(self.tracking, f"/api/2.0/mlflow/{path}", body, key)
        assert status == 200, said
        return said

    def versions(self) -> list[dict[str, Any]]:
        """The versions of the model on the tracking server."""
        found: list[dict[str, Any]] = self.mlflow("model-versions/search").get("model_versions", [])
        return found

    def flow(self, path: str, body: Any = None) -> Any:
        """What the server of Prefect answers."""
        key = self.secret("PREFECT_PASSWORD")
        status, said = self.ask(self.prefect, f"/api/{path}", body, key)
        assert status in (200, 201), said
        return said

    def start_run(self, flow: str = "training") -> str:
        """Have the worker run the pipeline now, or look at the log; the id of the run."""
        name = f"deployments/name/scheduled-{flow}/flight_delays"
        made = self.flow(f"deployments/{self.flow(name)['id']}/create_flow_run", {})
        return str(made["id"])

    def state(self, run: str) -> str:
        """The state of a run."""
        return str(self.flow(f"flow_runs/{run}")["state"]["type"])

    def ended(self, run: str) -> str:
        """The state in which a run ends."""
        until(lambda: self.state(run) in ("COMPLETED", "FAILED", "CRASHED"), 240, "the run ends")
        return self.state(run)


@pytest.fixture(scope="module", name="stack")
def _stack(
    generate: Generate, stocked: Engine, told: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A project whose stack runs, but for Grafana; everything of it is gone at the end."""
    folder = tmp_path_factory.mktemp("stack") / "flight-delays"
    shutil.copytree(generate(maturity_level="3", python_version=VERSION), folder)
    path = folder / "monitoring/compose.yaml"
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    del known["services"]["grafana"], known["volumes"]["dashboards"]
    path.write_text(yaml.safe_dump(known), encoding="utf-8")
    commit(folder)
    stack = Stack(folder, stocked, told[0])
    stack.ok("make", "setup", "secrets")
    stack.environment["MLFLOW_TRACKING_PASSWORD"] = stack.secret("MLFLOW_PASSWORD")
    try:
        started = time.monotonic()
        stack.ok("make", "stack")
        print(f"up in {time.monotonic() - started:.0f} s")
        yield stack
    finally:
        destroy(stack)


def destroy(stack: Stack) -> None:
    """Remove every container of the engine, and every volume."""
    docker = stack.engine.docker
    if containers := docker("ps", "--all", "--quiet").split():
        docker("rm", "--force", "--volumes", *containers)
    if volumes := docker("volume", "ls", "--quiet").split():
        docker("volume", "rm", "--force", *volumes)


@pytest.mark.slow
def test_all_of_it_runs_with_few_rights(stack: Stack) -> None:
    """Each service is well, not root, reads only, has no capability, and listens here alone."""
    shown = [
        json.loads(stack.engine.docker("inspect", f"flight-delays-{name}-1"))[0]
        for name in SERVICES
    ]
    assert {it["State"]["Health"]["Status"] for it in shown} == {"healthy"}
    assert {it["HostConfig"]["ReadonlyRootfs"] for it in shown} == {True}
    assert {str(it["HostConfig"]["CapDrop"]) for it in shown} == {"['ALL']"}
    assert {it["Config"]["User"] for it in shown} <= {"10001", "postgres", "nobody"}
    ports = [port for it in shown for port in it["HostConfig"]["PortBindings"].values()]
    assert {at["HostIp"] for port in ports for at in port} == {"127.0.0.1"}


@pytest.mark.slow
def test_nobody_writes_or_reads_without_a_password(stack: Stack) -> None:
    """Anonymous writes, reads and uploads are 401, and with a wrong password; of Prefect as well."""
    made = "/api/2.0/mlflow/experiments/create"
    for key in ("", "password1234"):
        assert stack.ask(stack.tracking, made, {"name": "mine"}, key)[0] == 401
        assert stack.ask(stack.tracking, "/api/2.0/mlflow/experiments/search", {}, key)[0] == 401
        assert stack.ask(stack.tracking, "/api/2.0/mlflow-artifacts/artifacts", None, key)[0] == 401
        assert stack.ask(stack.prefect, "/api/flow_runs/filter", {}, key)[0] == 401
    assert (
        stack.ask(stack.tracking, made, {"name": "mine"}, stack.secret("MLFLOW_PASSWORD"))[0] == 200
    )
    said = stack.fails("make", "stack", MLFLOW_PASSWORD="password1234")
    assert "MLFLOW_PASSWORD: guessable" in said


@pytest.mark.slow
def test_the_champion_is_there_and_the_same_input_is_the_same_version(stack: Stack) -> None:
    """`make pipeline` registers on the server; so does the worker, which adds no version."""
    assert "Waits: version 1" in stack.ok("make", "pipeline")
    assert "nobody approves their own work" in stack.fails("make", "approve", "VERSION=1")
    other = {f"GIT_AUTHOR_{what}": f"{what}@other.example" for what in ("NAME", "EMAIL")}
    assert "v1 is champion" in stack.ok("make", "approve", "VERSION=1", **other)
    assert "All is as the gate left it" in stack.ok("make", "registry")
    (version,) = stack.versions()
    state = stack.ended(stack.start_run())
    said = stack.engine.docker("logs", "--tail", "30", "flight-delays-worker-1")
    assert state == "COMPLETED", said
    assert [it["version"] for it in stack.versions()] == [version["version"]], said
    assert "is this model already" in said
    here = stack.engine.docker("exec", "flight-delays-worker-1", "ls", ".", "config", "governance")
    here = here.split()
    wanted = {"behaviour.toml", "contracts", "privacy.toml", "slices.toml"}  # else it only reports
    assert wanted <= {*here}
    assert not (stack.folder / "mlflow.db").exists()


@pytest.mark.slow
def test_what_drifts_is_found_at_night_and_somebody_is_told(stack: Stack, told: Any) -> None:
    """The service logs, the worker looks, Prometheus learns of it, and the alert arrives."""
    address, column = f"127.0.0.1:{free_port()}", "wind_speed"
    stack.ok("make", "deploy", ADDRESS=address)
    python, ask = str(stack.folder / ".venv/bin/python"), ("-c", ASK, address, column)
    stack.ok(python, *ask, "0")
    time.sleep(1)  # until the log has them
    assert stack.ended(stack.start_run("watch")) == "COMPLETED", told[1][-1]
    stack.ok(python, *ask, "1")
    time.sleep(1)
    run = stack.start_run("watch")
    assert stack.ended(run) == "FAILED"
    heard = until(lambda: [it for it in told[1] if it.get("flow_run_id") == run], 30, "it is told")
    assert column in heard[0]["text"]

    def alerted() -> bool:
        sent = [alert["labels"] for it in told[1] for alert in it.get("alerts", ())]
        return column in {it["column"] for it in sent if it["alertname"] == "ColumnDrifted"}

    until(alerted, 120, "the alert arrives")
    for query, least in (("sum(serving_rows_total)", 1200), ("sum(drift_column_drifted)", 1)):
        status, said = stack.ask(9090, f"/api/v1/query?query={query}")
        assert status == 200 and float(said["data"]["result"][0]["value"][1]) >= least, said
    stack.ok("make", "undeploy")


@pytest.mark.slow
def test_a_killed_run_is_told(stack: Stack, told: Any) -> None:
    """SIGKILL to the process of a run: it is Crashed, and somebody hears of it."""
    run = stack.start_run()
    find = (
        "for p in /proc/[0-9]*; do grep -qz [s]pawn_main $p/cmdline && echo ${p#/proc/}; done; true"
    )
    inside = ("exec", "flight-delays-worker-1", "sh", "-c")
    until(lambda: stack.state(run) == "RUNNING", 60, "the run starts")
    process = stack.engine.docker(*inside, find).split()[-1]
    stack.engine.docker(*inside, f"kill -9 {process}")
    heard = until(lambda: [it for it in told[1] if it.get("flow_run_id") == run], 30, "it is told")
    assert heard[0]["state"] == "Crashed" and "SIGKILL" in heard[0]["text"]
    assert stack.state(run) == "CRASHED"


def test_what_comes_back_is_mounted_and_a_key_that_was_taken_away_is_not_among_it(
    generate: Generate, tmp_path: Path
) -> None:
    """Containers have mounted the folder of the champion: it stays the same one, keys and switch too."""
    project = tmp_path / "project"
    shutil.copytree(generate(maturity_level="3"), project)
    live = project / "models/serving"
    live.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        database.execute("create table kept (value)")
    for name, text in (("champion.json", "1"), ("keys.json", "[one]"), ("off", "")):
        (live / name).write_text(text, encoding="utf-8")
    run = [sys.executable, "-m", "mlops_ladder", "backup"]
    ok(*run, "make", at=project)
    (kept,) = (project / "backups").iterdir()
    mounted = live.stat().st_ino
    (live / "champion.json").write_text("2", encoding="utf-8")
    (live / "keys.json").write_text("[]", encoding="utf-8")
    (live / "off").unlink()
    ok(*run, "restore", str(kept), "--overwrite", at=project)
    assert live.stat().st_ino == mounted
    said = {path.name: path.read_text(encoding="utf-8") for path in live.iterdir()}
    assert said == {"champion.json": "1", "keys.json": "[]", "off": ""}
    (old,) = project.glob("models.old-*")
    assert (old / "serving/champion.json").read_text(encoding="utf-8") == "2"
    assert not (old / "serving/keys.json").exists()
    shutil.rmtree(project / "models")
    ok(*run, "restore", str(kept), "--overwrite", at=project)
    assert (live / "keys.json").read_text(encoding="utf-8") == "[one]"


@pytest.mark.slow
def test_a_run_begins_by_itself_at_its_time(generate: Generate, tmp_path: Path) -> None:
    """Without Docker too: nobody starts it, and its lines say what came of it."""
    project = tmp_path / "project"
    shutil.copytree(generate(maturity_level="3"), project)
    ok("make", "setup", at=project)
    wanted = {"FLIGHT_DELAYS_SCHEDULE__WATCH": "* * * * *", "FLIGHT_DELAYS_SCHEDULE__CRON": ""}
    said = tmp_path / "said.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [".venv/bin/ladder", "schedule"],
            cwd=project,
            env=outside_make() | wanted,
            stdout=file,
            stderr=file,
        )
    try:
        words = "there is no champion yet"
        until(lambda: words in said.read_text(encoding="utf-8"), 240, "a run begins")
    finally:
        process.terminate()  # Ctrl-C is ignored where the tests run in the background
        process.wait(60)
    assert "Traceback" not in said.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_restored_backup_answers(stack: Stack) -> None:
    """All volumes destroyed: what was damaged is refused, what is sound comes back, and is served."""
    (version,) = stack.versions()
    stack.ok("make", "backup")
    (kept,) = (stack.folder / "backups").iterdir()
    assert "database mlflow" in stack.fails("make", "recover", f"FROM={kept}")
    destroy(stack)
    spoilt = kept.with_name("spoilt")
    shutil.copytree(kept, spoilt)
    with (spoilt / "mlflow.dump").open("r+b") as file:
        file.seek(5000)
        file.write(b"spoilt")
    said = stack.fails("make", "recover", f"FROM={spoilt}")
    assert "nothing is changed" in said and "mlflow.dump" in said
    shutil.rmtree(stack.folder / "models")
    (stack.folder / "promotions.jsonl").unlink()
    stack.ok("make", "recover", f"FROM={kept}")
    stack.ok("make", "stack")
    assert [it["run_id"] for it in stack.versions()] == [version["run_id"]]
    assert (
        stack.mlflow(f"runs/get?run_id={version['run_id']}")["run"]["info"]["status"] == "FINISHED"
    )
    stack.ok("make", "publish", "registry", "predict")
    assert (stack.folder / "models/serving/champion.json").exists()


@pytest.fixture(name="bucket")
def _bucket() -> Iterator[tuple[Any, dict[str, str]]]:
    """A bucket of an emulator that containers reach, and what leads the stack to it."""
    server = ThreadedMotoServer("0.0.0.0", 0)
    server.start()
    port = server.get_host_and_port()[1]
    key = {"AWS_ACCESS_KEY_ID": "stack", "AWS_SECRET_ACCESS_KEY": "of the stack alone"}
    key |= {"AWS_DEFAULT_REGION": "eu-west-1", "MLFLOW_S3_ENDPOINT_URL": f"http://{HOST}:{port}"}
    named = {name.lower(): key[name] for name in [*key][:2]}
    client = boto3.client(
        "s3", "eu-west-1", endpoint_url=f"http://127.0.0.1:{port}", verify=False, **named
    )
    client.create_bucket(
        Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    try:
        yield client, key
    finally:
        server.stop()


@pytest.mark.slow
def test_artifacts_go_to_a_bucket_and_come_back_without_its_key(stack: Stack, bucket: Any) -> None:
    """With `ARTIFACTS=s3://…` a model lies in the bucket; who trains and serves has no key of it."""
    client, key = bucket
    destroy(stack)
    (stack.folder / "promotions.jsonl").unlink(missing_ok=True)
    shutil.rmtree(stack.folder / "models", ignore_errors=True)
    stack.ok("make", "stack", ARTIFACTS="s3://artifacts/team", **key)
    stack.ok("make", "pipeline")
    other = {f"GIT_AUTHOR_{what}": f"{what}@other.example" for what in ("NAME", "EMAIL")}
    stack.ok("make", "approve", "VERSION=1", **other)
    listed = client.list_objects_v2(Bucket="artifacts", Prefix="team/")["Contents"]
    kept = {it["Key"].rpartition("/")[2]: it["Key"] for it in listed}
    assert "MLmodel" in kept, sorted(kept)
    shutil.rmtree(stack.folder / "models")
    stack.ok("make", "publish")
    assert (stack.folder / "models/serving/champion.json").exists()
    client.delete_objects(
        Bucket="artifacts", Delete={"Objects": [{"Key": it["Key"]} for it in listed]}
    )
    shutil.rmtree(stack.folder / "models")
    assert "Traceback" not in stack.fails("make", "publish")
