"""Level 3, batches without a service: each row once, logged, watched, and the same answer everywhere."""

import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from conftest import commit, fails, Generate, ok, plant
from services import serving

pytestmark = [pytest.mark.slow]

QUARTER = ("FROM=2013-01-01", "TO=2013-04-01")
TRAINED = """
import pandas as pd
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import read_contract
from mlops_ladder.data.reading import read_table
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.registry import versions
from mlops_ladder.settings import load_settings
from mlops_ladder.tracking import runs

contract = read_contract()
rows = read_table("some.csv", load_settings().data, contract)
inputs = validate_and_cast(rows, contract, contract.inputs())
model = runs.connect_mlflow().sklearn.load_model("models:/flight_delays@champion")
predict_rows(model, inputs).to_json("trained.json", orient="records", double_precision=15)
"""


@pytest.fixture(name="project", scope="module")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of level 3 with a champion; each test begins without a log."""
    folder = tmp_path_factory.mktemp("batches") / "project"
    shutil.copytree(generate(maturity_level="3"), folder)
    commit(folder)
    ok("make", "pipeline-smoke", at=folder)
    return folder


@pytest.fixture(autouse=True)
def _fresh(project: Path) -> None:
    """No log and no answers of a test before."""
    for name in ("predictions.db", "predictions.db-wal", "predictions.db-shm", "models/batch.lock"):
        (project / name).unlink(missing_ok=True)
    shutil.rmtree(project / "predictions", ignore_errors=True)


def logged(project: Path) -> int:
    """How many rows the log has, and whether the table of runs says the same."""
    with sqlite3.connect(project / "predictions.db") as database:
        (rows,) = database.execute("select coalesce(sum(rows), 0) from predictions").fetchone()
        (said,) = database.execute(
            "select sum(rows - rejected) from batches where error = ''"
        ).fetchone()
    assert rows == (said or 0)
    return int(rows)


def ids(folder: Path) -> list[str]:
    """The ids of all answers that were written."""
    return [row for path in sorted(folder.glob("*.csv")) for row in pd.read_csv(path)["flight_id"]]


def wanted(project: Path) -> list[str]:
    """The ids of the first three months."""
    return [
        row
        for n in (1, 2, 3)
        for row in pd.read_csv(project / f"data/sample/flights-2013-0{n}.csv")["flight_id"]
    ]


def test_three_months_twice_give_each_row_once(project: Path) -> None:
    """A file a month; the second time, nothing is left."""
    said = ok("make", "backfill", *QUARTER, "BY=month", at=project)
    assert said.count("predictions by model") == 3
    assert "all of it is scored already" in ok("make", "backfill", *QUARTER, at=project)
    assert sorted(ids(project / "predictions")) == sorted(wanted(project))
    assert logged(project) == len(wanted(project))


def test_batch_service_and_training_give_the_same_answer(project: Path) -> None:
    """To the last digit between batch and service; the model itself within the promised difference."""
    rows = pd.read_csv(project / "data/sample/flights-2013-02.csv", dtype=str).head(40)
    rows.to_csv(project / "some.csv", index=False)
    ok("make", "predict", "DATA=some.csv", "OUT=predictions/some.csv", at=project)
    batch = pd.read_csv(project / "predictions/some.csv", float_precision="round_trip")
    ok(".venv/bin/python", "-c", TRAINED, at=project)
    trained = pd.read_json(project / "trained.json", orient="records")
    numbers = ["distance", "temp", "humid", "wind_speed", "precip", "pressure", "visib"]
    lines = [
        {name: float(value) if name in numbers else value for name, value in line.items()}
        for line in rows[["scheduled", "carrier", "origin", "dest", *numbers]].to_dict("records")
    ]
    kept = [
        {name: None if value != value else value for name, value in line.items()} for line in lines
    ]
    with serving(project) as service:
        status, answer = service.ask("/predict", kept)
    assert status == 200, answer
    for name in ("true", "false"):
        served = [line["probability"][name] for line in answer["predictions"]]
        assert served == batch[f"probability_{name.capitalize()}"].tolist()
        shares = trained[f"probability_{name.capitalize()}"].to_numpy()
        assert abs(shares - served).max() < 1e-6
    assert [line["prediction"] for line in answer["predictions"]] == batch["prediction"].tolist()


def test_what_batches_answered_is_watched_like_answers_of_a_service(project: Path) -> None:
    """Drift names the shifted column; a row is explained, traced and forgotten; no service ran."""
    shifted = pd.concat(
        pd.read_csv(path) for path in sorted((project / "data/sample").glob("*.csv"))
    )
    shifted.assign(temp=shifted["temp"] * 1.5).to_csv(project / "shifted.csv", index=False)
    ok("make", "predict", "DATA=shifted.csv", "OUT=predictions/shifted.csv", at=project)
    assert "drifted: temp" in ok("make", "drift", at=project)
    ok("make", "skew", at=project)
    answer = pd.read_csv(project / "predictions/shifted.csv").iloc[1500]
    name = answer["request_id"]
    said = ok("make", "explain", f"ID={name}", f"ROW={answer['row']}", at=project)
    assert str(answer["prediction"]).lower() in said.lower()
    assert "commit" in ok("make", "trace", f"PREDICTION={name}", at=project)


def test_a_schedule_scores_a_file_that_arrives(project: Path) -> None:
    """`make score` takes each new file once; half a file is refused whole, and says why."""
    (project / "in").mkdir(exist_ok=True)
    plant(project / "config/batch.toml", 'source = ""', 'source = "in/*.csv"')
    plant(project / "config/batch.toml", "settle_s = 60", "settle_s = 0")
    shutil.copy(project / "data/sample/flights-2013-04.csv", project / "in/april.csv")
    assert "1 new batches" in ok("make", "score", at=project)
    assert "0 new batches" in ok("make", "score", at=project)
    (project / "in/may.csv").write_text(
        "flight_id,scheduled\na,2013-05-01T06:00\n", encoding="utf-8"
    )
    assert "column is missing" in fails("make", "score", at=project)
    with sqlite3.connect(project / "predictions.db") as database:
        states = database.execute("select error = '' from batches order by time").fetchall()
    assert states == [(1,), (0,)]
    ok("git", "checkout", "config", at=project)
    shutil.rmtree(project / "in")
