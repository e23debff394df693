"""Level 3: metrics, dashboards and alerts, with a real Prometheus and a real Alertmanager."""

import hashlib
import json
import re
import shutil
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import commit, fails, Generate, ok, plant, PROJECT, ROOT
from databases import postgres
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from services import Service, serving
from watchers import free_port, needed, REPOSITORY, spoil, SPOILT, until, Watchers, watching

ALERTS = [
    rule["alert"]
    for group in yaml.safe_load((PROJECT / "monitoring/alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]

BOARDS = sorted(PROJECT.glob("monitoring/grafana/*.json"))


@pytest.fixture(name="rules")
def _rules(generate: Generate, tmp_path: Path) -> Path:
    """A copy of what a project of level 3 tells Prometheus and Alertmanager."""
    needed()
    shutil.copytree(generate(maturity_level="3") / "monitoring", tmp_path / "monitoring")
    return tmp_path / "monitoring"


def judged(rules: Path) -> tuple[str, ...]:
    """The command that tests the rules."""
    assert (rules / "alerts.yml").exists()
    return "promtool", "test", "rules", "alerts_test.yml"


def test_the_configuration_is_what_prometheus_and_alertmanager_take(rules: Path) -> None:
    """Their own tools find no fault."""
    ok("promtool", "check", "rules", "alerts.yml", at=rules)
    ok("promtool", "check", "config", "prometheus.yml", at=rules)
    plant(rules / "alertmanager.yml", "ALERT_WEBHOOK", "http://127.0.0.1:1/")
    ok("amtool", "check-config", "alertmanager.yml", at=rules)
    ok(*judged(rules), at=rules)


def test_an_address_gets_into_the_configuration_letter_by_letter(rules: Path) -> None:
    """Addresses of webhooks hold what sed takes for its own."""
    service = yaml.safe_load((rules / "compose.yaml").read_text("utf-8"))["services"][
        "alertmanager"
    ]
    (command,) = service["command"]
    script, _, _ = command.replace("$$", "$").partition("&& exec")
    script = script.replace("/etc/", f"{rules}/").replace("/tmp/alert", f"{rules}/new-alert")
    address = "https://example.com/a?b=1&sp=%2Ftriggers|x&sig=a~b\\c#d"
    ok("sh", "-c", script, at=rules, ALERT_WEBHOOK=address, RECEIVER_URL="", RECEIVER_KEY="")
    known = yaml.safe_load((rules / "new-alertmanager.yml").read_text("utf-8"))
    assert known["receivers"][0]["webhook_configs"][0]["url"] == address


@pytest.mark.slow
@pytest.mark.parametrize("alert", ALERTS)
@pytest.mark.parametrize("fault", SPOILT)
def test_a_rule_that_is_wrong_is_found(rules: Path, alert: str, fault: str) -> None:
    """The tests of the rules fail where one of them never fires, always does, or waits too long."""
    spoil(rules / "alerts.yml", alert, fault)
    fails(*judged(rules), at=rules)


def metrics(text: str) -> set[str]:
    """The metrics that a PromQL expression, or all of a file, asks for."""
    return set(re.findall(r"\b(?:serving|drift|batch)_[a-z_]+", text))


def panels(project: Path) -> Iterator[tuple[str, str, str]]:
    """Each query of each panel, with the dashboard and the title."""
    for path in sorted(project.glob("monitoring/grafana/*.json")):
        board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield path.stem, panel["title"], target["expr"]


@pytest.fixture(name="project", scope="module")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of level 3 with a champion, in an environment of its own."""
    folder = tmp_path_factory.mktemp("watched") / "project"
    shutil.copytree(generate(maturity_level="3"), folder)
    commit(folder)
    ok("make", "pipeline-smoke", at=folder)
    return folder


@pytest.fixture(name="port", scope="module")
def _port() -> str:
    """The port of the service, also of one that comes after another."""
    return str(free_port())


@pytest.fixture(name="watchers", scope="module")
def _watchers(
    project: Path, port: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watchers]:
    """What watches the service of the project, whether it runs or not."""
    with watching(project, int(port), tmp_path_factory.mktemp("watchers")) as found:
        yield found


@contextmanager
def asking(service: Service, body: Any) -> Iterator[None]:
    """Requests, again and again until the block ends, whatever is answered."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.05):
            with suppress(OSError):
                service.ask("/predict", body)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def later_rows(project: Path) -> list[dict[str, Any]]:
    """Rows of the last month of the sample, as a client would send them."""
    script = (
        "import json, pandas as pd; from mlops_ladder.data.contract import read_contract;"
        "names = read_contract().inputs();"
        "rows = pd.read_csv('data/sample/flights-2013-12.csv')[names];"
        "print(json.dumps(json.loads(rows.to_json(orient='records'))))"
    )
    found: list[dict[str, Any]] = json.loads(ok(".venv/bin/python", "-c", script, at=project))
    return found


def strange(row: dict[str, Any], project: Path) -> dict[str, Any]:
    """The row with a value that the contract allows and training has not seen."""
    text = (project / "contract.toml").read_text(encoding="utf-8")
    pointer = json.loads((project / "models/serving/champion.json").read_text(encoding="utf-8"))
    kept = project / "models/serving" / pointer["version"] / "reference.json"
    seen = json.loads(kept.read_text(encoding="utf-8"))["columns"]
    for name, column in tomllib.loads(text)["columns"].items():
        known = seen.get(name, {})
        if "values" in known and (more := set(column.get("categories", [])) - {*known["values"]}):
            return row | {name: min(more)}
        for place, edge in enumerate(("low", "high")):
            if edge in known and "range" in column and column["range"][place] != known[edge]:
                return row | {name: column["range"][place]}
    return pytest.fail("training has seen all that the contract allows")


def without_champion(project: Path) -> None:
    """Take back what was published."""
    (project / "models/serving/champion.json").unlink()


def aged(project: Path) -> None:
    """The champion as it would be 200 days after its training."""
    place = project / "models/serving"
    pointer = json.loads((place / "champion.json").read_text(encoding="utf-8"))
    folder = place / pointer["version"]
    bundle = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    known = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    known["trained_at"] -= 200 * 24 * 3600
    (folder / "reference.json").write_text(json.dumps(known), encoding="utf-8")
    bundle["files"]["reference.json"] = checksum(folder / "reference.json")
    (folder / "bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    pointer["sha256"] = checksum(folder / "bundle.json")
    (place / "champion.json").write_text(json.dumps(pointer), encoding="utf-8")


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def switched_off(project: Path) -> None:
    """Somebody has switched the model off."""
    ok("make", "off", at=project)


NO_FALLBACK = {"FLIGHT_DELAYS_FALLBACK__ENABLED": "false"}
MUCH = {  # so many rows that no machine answers them in time
    "FLIGHT_DELAYS_ACCESS__BODY_BYTES": "50000000",
    "FLIGHT_DELAYS_SERVING__MAX_ROWS_PER_REQUEST": "100000",
}
FAULTS: dict[str, tuple[Any, dict[str, str], Any]] = {
    # alert: what is done to the project, with which settings, what is asked
    "NoModel": (without_champion, NO_FALLBACK, None),
    "Failing": (without_champion, NO_FALLBACK, [{}]),
    "FallbackAnswers": (switched_off, {}, None),
    "ModelOld": (aged, {}, None),
    "LogDrops": (None, {"FLIGHT_DELAYS_SERVING__PREDICTION_LOG_QUEUE_SIZE": "1"}, "two"),
    "RefusedRows": (None, {}, [{}]),
    "StrangeRows": (None, {}, "strange"),
    "Slow": (None, MUCH, "many"),
}


def body(kind: Any, row: dict[str, Any], project: Path) -> Any:
    """What is asked for: the example of the service, or what becomes of it."""
    made = {
        None: lambda: row,
        "two": lambda: [row, row],
        "many": lambda: [row] * 45_000,
        "strange": lambda: strange(row, project),
    }
    return kind if isinstance(kind, list) else made[kind]()


@pytest.mark.slow
@pytest.mark.parametrize("alert", FAULTS)
def test_a_fault_reaches_who_is_told(
    project: Path, port: str, watchers: Watchers, tmp_path: Path, alert: str
) -> None:
    """A real fault, a real Prometheus, a real Alertmanager: the alert arrives at the webhook."""
    do, settings, kind = FAULTS[alert]
    kept = tmp_path / "serving"
    shutil.copytree(project / "models/serving", kept)
    settings |= {"FLIGHT_DELAYS_SERVING__PORT": port}
    try:
        row = example_row(project)
        if do:
            do(project)
        before = len(watchers.told.alerts)
        with serving(project, **settings) as service, asking(service, body(kind, row, project)):
            found = until(lambda: firing(watchers, alert, before), 60, f"{alert} is told")
        assert found["labels"]["owner"]
        assert found["annotations"]["runbook"].startswith(f"{REPOSITORY}docs/runbooks/")
    finally:
        shutil.rmtree(project / "models/serving")
        shutil.copytree(kept, project / "models/serving")


def example_row(project: Path) -> dict[str, Any]:
    """The row that the description of the API shows."""
    known = json.loads((project / "docs/openapi.json").read_text(encoding="utf-8"))
    shown = known["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    return dict(shown["examples"]["one"]["value"])


def firing(watchers: Watchers, alert: str, before: int) -> dict[str, Any] | None:
    """The alert, where it was told after so many others, and has not been resolved."""
    told = [it for it in watchers.told.alerts[before:] if it["labels"]["alertname"] == alert]
    return told[-1] if told and told[-1]["status"] == "firing" else None


@pytest.mark.slow
def test_a_service_in_order_alerts_nobody(project: Path, port: str, watchers: Watchers) -> None:
    """Requests that are answered as they should be: of the service and its model nobody is told."""
    settings = {"FLIGHT_DELAYS_SERVING__PORT": port}
    with serving(project, **settings) as service, asking(service, example_row(project)):
        until(lambda: watchers.ask('up{job="service"} == 1'), 20, "the service is seen")
        time.sleep(12)  # all that is asked about earlier tests is over: rates are of 10 seconds
        before = len(watchers.told.alerts)
        time.sleep(8)
        told = [it for it in watchers.told.alerts[before:] if it["status"] == "firing"]
        fires = watchers.ask('ALERTS{alertstate="firing"}')  # also what was told before
    names = {it["labels"]["alertname"] for it in told} | {it["metric"]["alertname"] for it in fires}
    assert names <= {"DriftUnknown", "ColumnDrifted"}


@pytest.mark.slow
def test_a_service_that_ends_is_told(project: Path, port: str, watchers: Watchers) -> None:
    """`ServiceDown` comes when nobody answers, not before, and is taken back when somebody does."""
    settings = {"FLIGHT_DELAYS_SERVING__PORT": port}
    with serving(project, **settings):
        until(lambda: watchers.ask('up{job="service"} == 1'), 20, "the service is seen")
        before = len(watchers.told.alerts)
    until(lambda: firing(watchers, "ServiceDown", before), 40, "ServiceDown is told")
    with serving(project, **settings):
        until(lambda: not firing(watchers, "ServiceDown", before), 40, "it is taken back")


@pytest.mark.slow
def test_a_column_that_drifts_is_told(project: Path, port: str, watchers: Watchers) -> None:
    """Rows of another month are logged; `make drift` finds them, and both alerts about drift come."""
    until(lambda: watchers.told.of("DriftUnknown"), 40, "nobody has looked for drift yet")
    rows = later_rows(project)
    settings = {"FLIGHT_DELAYS_SERVING__PORT": port}
    with serving(project, **settings) as service:
        for place in range(0, len(rows), 500):
            assert service.ask("/predict", rows[place : place + 500])[0] == 200
    ok("make", "drift", at=project, FLIGHT_DELAYS_DRIFT__PUSHGATEWAY=watchers.pushgateway)
    drifted = lambda: [alert["labels"]["column"] for alert in watchers.told.of("ColumnDrifted")]
    until(lambda: "temp" in drifted(), 40, "ColumnDrifted is told of temp")


@pytest.mark.slow
def test_a_log_in_postgresql_is_read_too(project: Path, port: str) -> None:
    """Drift, skew and the page to watch find what a real PostgreSQL server has kept."""
    settings = {"FLIGHT_DELAYS_SERVING__PORT": port}
    with postgres() as database:
        database.start()
        settings["FLIGHT_DELAYS_SERVING__PREDICTION_LOG_URL"] = database.url()
        with serving(project, **settings) as service:
            assert service.ask("/predict", later_rows(project)[:500])[0] == 200
        said = {
            task: ok("make", task, at=project, **settings) for task in ("drift", "skew", "watch")
        }
        kept = {row["column"] for row in database.rows("drift")}
    named = re.search(r"500 logged rows; drifted: (.*)\.  Next", said["drift"])
    assert named and "temp" in named[1].split(", ") and {"temp", "prediction"} <= kept
    assert re.search(r"^500 logged rows of v\d+ answered again", said["skew"], re.MULTILINE)
    assert "1 requests.  Next" in said["watch"]


@pytest.mark.slow
def test_every_panel_shows_something(project: Path, port: str, watchers: Watchers) -> None:
    """Each query of each dashboard is answered by the Prometheus that watched all this."""
    settings = {"FLIGHT_DELAYS_SERVING__PORT": port}
    scheduled = {"BATCH__SOURCE": "data/sample/*-12.csv", "BATCH__SETTLE_S": "0"}
    scheduled |= {"DRIFT__PUSHGATEWAY": watchers.pushgateway}
    ok(
        "make",
        "score",
        at=project,
        **{f"FLIGHT_DELAYS_{name}": scheduled[name] for name in scheduled},
    )
    with serving(project, **settings) as service, asking(service, example_row(project)):
        for board, title, query in panels(project):
            query = query.replace("$__rate_interval", "10s")
            query = query.replace("$namespace", "flight-delays-production")
            until(lambda q=query: watchers.ask(q), 20, f"{board}: {title}: {query}")


def unknown(board: Any, read: Any, place: str = "") -> Iterator[str]:
    """What of a dashboard is not there any more when Grafana's types have read it."""
    if isinstance(board, dict) and isinstance(read, dict):
        for name, value in board.items():
            yield from unknown(value, read.get(name), f"{place}.{name}")
    elif isinstance(board, list) and isinstance(read, list):
        for number, pair in enumerate(zip(board, read, strict=True)):
            yield from unknown(*pair, f"{place}[{number}]")
    elif board != read:
        yield place


@pytest.mark.parametrize("path", BOARDS, ids=lambda it: it.stem)
def test_a_dashboard_says_only_what_grafana_knows(path: Path) -> None:
    """Every word of it is one of Grafana's own types; of two that are misspelt both are found."""
    register_default_plugins()
    board = json.loads(path.read_text(encoding="utf-8"))
    for note in board.get("annotations", {}).get("list", []):
        note.pop("titleFormat", None)  # a word of Prometheus' queries for annotations

    def found() -> list[str]:
        return [*unknown(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board))))]

    assert found() == []
    board["panels"][0]["options"]["graphMood"] = board["panels"][0]["options"].pop("graphMode")
    board["panels"][-1]["fieldConfig"]["defaults"]["units"] = "s"
    last = len(board["panels"]) - 1
    assert found() == [
        ".panels[0].options.graphMood",
        f".panels[{last}].fieldConfig.defaults.units",
    ]


@pytest.mark.parametrize("path", BOARDS, ids=lambda it: it.stem)
def test_a_panel_is_legible(path: Path) -> None:
    """Each has a title of its own, words that explain it, a unit; lines have a legend; none overlap."""
    board = json.loads(path.read_text(encoding="utf-8"))
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles) and all(titles)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"], panel["title"]
            assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def test_no_alert_is_forgotten() -> None:
    """Every alert of the rules was driven by a real fault above."""
    others = {"ServiceDown", "ColumnDrifted", "DriftUnknown"}
    assert set(ALERTS) == set(FAULTS) | others


def test_what_is_asked_for_is_known() -> None:
    """Rules and dashboards ask for no metric of which the code does not speak."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").glob("**/*.py"))
    paths = (PROJECT / "monitoring").glob("*alerts.yml")
    asked = {name for path in paths for name in metrics(path.read_text(encoding="utf-8"))}
    for _, _, query in panels(PROJECT):
        asked |= metrics(query)
    bare = {re.sub(r"^serving_|_(bucket|total)$", "", re.sub(r"^serving_", "", it)) for it in asked}
    assert [name for name in sorted(bare) if name not in text] == []
