"""The simulation: its world is of the configured rows, its clock is the project's, it can fail."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, UTC
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from library.fixture_project import ROOT

from mlops_ladder import ProjectError
from mlops_ladder import settings as loaded
from mlops_ladder.data.contract import Column, Contract, read_contract
from mlops_ladder.model.training import prepare_training_rows
from mlops_ladder.project import get_project
from mlops_ladder.serving.rollout import deciding
from mlops_ladder.settings import Settings
from mlops_ladder.simulation import batches
from mlops_ladder.simulation import folder as folders
from mlops_ladder.simulation import timeline
from mlops_ladder.simulation import world as worlds
from mlops_ladder.simulation.clock import Clock, DAY, START
from mlops_ladder.simulation.observations import describe_feedback
from mlops_ladder.simulation.scenarios import find_surprises, list_scenarios, SCENARIOS
from mlops_ladder.simulation.service import Service
from mlops_ladder.simulation.world import MIDDLE, NEW, World


@pytest.fixture(name="world", scope="module")
def _world(frame: pd.DataFrame, contract: Contract, settings: Settings) -> World:
    """The world of the configured rows."""
    return worlds.build_world(prepare_training_rows(frame, contract, settings), contract, settings)


def drawn(world: World, new: float = 0, changed: int | None = None, seed: int = 1) -> pd.DataFrame:
    """A thousand rows of it."""
    return world.drawn(1_000, new, changed, np.random.default_rng(seed))


def share(world: World, rows: pd.DataFrame) -> float:
    """How many of these rows have the answer of what has changed."""
    return float((rows[world.contract.target] == world.other).mean())


def test_rows_are_those_of_the_project_and_a_seed_draws_them_again(world: World) -> None:
    """Nothing is invented but the answers of what has changed; kinds stay."""
    rows, inputs = drawn(world), world.contract.inputs()
    known = set(map(tuple, world.rows[inputs].astype(str).to_numpy()))
    assert set(map(tuple, rows[inputs].astype(str).to_numpy())) <= known
    assert (rows.dtypes == world.rows.dtypes).all()
    pd.testing.assert_frame_equal(rows, drawn(world))
    assert not rows.equals(drawn(world, seed=2))


def test_each_change_changes_what_it_says(world: World) -> None:
    """Nobody asks about the new part before it drifts; where the relation changes, answers do."""
    fresh = set(world.rows.loc[world.part == NEW, world.axis])
    assert not drawn(world)[world.axis].isin(fresh).any()
    assert share(world, drawn(world, 0.7)) > share(world, drawn(world)) + 0.1
    turned = drawn(world, changed=MIDDLE)
    assert share(world, turned) > share(world, drawn(world)) + 0.1
    pd.testing.assert_series_equal(turned[world.axis], drawn(world)[world.axis])
    lost = worlds.break_axis(drawn(world), world)[world.axis]
    assert lost.isna().all() or lost.nunique() == 1


def test_days_move_times_by_whole_weeks(world: World) -> None:
    """What a model sees of a time stays; the rows are of the week before."""
    rows = drawn(world)
    end = START.replace(tzinfo=None)
    moved = world.dated(rows, pd.Series(end, rows.index))
    for name in world.contract.names("time"):
        assert (moved[name].dt.dayofweek == rows[name].dt.dayofweek).all()
        assert (moved[name].dt.time == rows[name].dt.time).all()
    for name in world.contract.names("time")[:1]:
        assert moved[name].dropna().between(end - 7 * DAY, end).all()


def test_data_that_cannot_be_shifted_are_refused(settings: Settings) -> None:
    """Two values make no three parts."""
    columns = {"ja oder nein": Column(kind="integer", role="feature")}
    contract = Contract(columns=columns | {"y": Column(kind="category", role="target")})
    rows = pd.DataFrame({"ja oder nein": [0, 1] * 50, "y": ["a", "b"] * 50})
    with pytest.raises(ProjectError, match="values enough to shift; there are: ja oder nein"):
        worlds.build_world(rows, contract, settings)


def test_within_the_clock_the_project_is_told_its_time() -> None:
    """And afterwards the real one; what is made of a datetime is a plain one."""
    with Clock() as clock:
        clock.at(3)
        told = vars(deciding)["datetime"]
        assert told.now(UTC) == START + 3 * DAY
        assert type(told(2030, 1, 1)) is type(told.fromisoformat("2030-01-01")) is datetime
    assert vars(deciding)["datetime"] is datetime


def test_the_folder_has_rows_of_its_own_and_leads_nowhere(
    folder: Path, settings: Settings, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that name its own data and log; no variable of the user's gets in."""
    root = ROOT
    monkeypatch.chdir(root)
    folders.prepare_folder(folder, settings, contract, 7)
    monkeypatch.setenv(
        f"{get_project().prefix}SERVING__PREDICTION_LOG_URL", "postgresql://somewhere"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
    kept = folders.build_environment()
    assert "somewhere" not in "".join(kept.values())
    monkeypatch.delenv(f"{get_project().prefix}SERVING__PREDICTION_LOG_URL")
    monkeypatch.chdir(folder)
    own = loaded.load_settings()
    assert Path(own.data.path).parent == Path("data") and own.seed == 7
    assert own.serving.prediction_log_url == "sqlite:///predictions.db" and own.rollout.enabled
    folders.declare_data(own)
    assert not (root / folders.WORLD).exists()


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_not_as_expected_is_named(name: str) -> None:
    """Each of the things that are looked at fails a scenario, but for what may be either way."""
    scenario = SCENARIOS[name]
    assert find_surprises(scenario, scenario.expected) == []
    for key in scenario.expected.keys() - set(scenario.either):
        wrong = scenario.expected | {key: "something else"}
        assert find_surprises(scenario, wrong) == [
            f"{key}: something else, expected {scenario.expected[key]}"
        ]
    assert find_surprises(replace(scenario, either=()), {}) != []


def test_what_feedback_refuses_is_said(
    folder: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason why logged rows became no data ends a scenario that needs them."""
    assert folder.exists()

    def refuse(*_: object) -> None:
        raise ProjectError("when: are not read\n  as they were logged")

    scenario = replace(SCENARIOS["concept_drift"], causes=())
    with monkeypatch.context() as patch, Clock() as clock:
        patch.setattr(f"{timeline.__name__}.feedback.write_feedback", refuse)
        patch.setattr(timeline, "Outcomes", lambda _: nullcontext())
        patch.setattr(f"{timeline.__name__}.drift.check_drift", lambda *_: None)
        patch.setattr(f"{timeline.__name__}.quality.check_quality", lambda *_: None)
        lived = timeline.Days(scenario, world, cast(Service, None), clock)
        lived.look(8)
    assert lived.refused == [(8.9, "when: are not read as they were logged")]
    assert find_surprises(
        scenario, scenario.expected | {"feedback": describe_feedback(lived.refused)}
    ) == ["feedback: refused: when: are not read as they were logged, expected taken"]


@pytest.mark.parametrize(
    ("serve", "own"), [("api", set()), ("batch", {"batch_drift"}), ("both", {"batch_drift"})]
)
def test_a_project_has_the_scenarios_of_its_way_to_predict(serve: str, own: set[str]) -> None:
    """A service, batches, or both."""
    known = set(list_scenarios(serve))
    assert {name for name in known if SCENARIOS[name].batch} == own
    assert known - own == (set() if serve == "batch" else set(SCENARIOS) - {"batch_drift"})


def test_a_row_without_an_answer_is_a_failure(
    folder: Path, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six rows five are answered: the batch has failed; the day of its request is known."""
    (folder / "predictions").mkdir()
    answers = pd.DataFrame({"request_id": ["batch-1.1"] * 5, "row": range(1, 6), "prediction": 1})
    answers.to_csv(folder / "predictions/day-3-x.csv", index=False)
    monkeypatch.chdir(ROOT)
    source = settings.data.model_copy(update={"path": str(Path(settings.data.path).resolve())})
    own = settings.model_copy(update={"data": source})
    monkeypatch.setattr(f"{batches.__name__}.load_settings", lambda: own)
    contract = read_contract()
    monkeypatch.setattr(f"{batches.__name__}.read_contract", lambda: contract)
    monkeypatch.setattr(f"{batches.__name__}.score_arrivals", lambda _: (1, ""))
    monkeypatch.chdir(folder)
    (folder / "data").mkdir()
    with Clock() as clock:
        channel = batches.Batches(own, clock)
        keys = channel.answer(world.rows.head(6), 3)
    assert keys["row"].tolist() == [1, 2, 3, 4, 5] and channel.days == {"batch-1.1": 3}
    assert (channel.asked, channel.failed) == (1, 1)
    assert len(list((folder / "data/arrivals").glob("day-3.*"))) == 1


def test_a_wrong_name_is_refused(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the names that there are."""
    assert command("simulate", "--scenario", "sunshine") == 1
    said = capsys.readouterr().err
    assert "SCENARIO=sunshine: no such scenario; there are: no_drift, covariate_drift" in said
