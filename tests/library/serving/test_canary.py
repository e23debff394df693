"""Two models in one service: sticky, in the shadow or for a share; no client pays for it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from library.serving.published import make_reloader, loaded
from library.serving.referenced import KINDS, refer, REFERENCE, ROW

from mlops_ladder.export.runtime import BUNDLE, LoadedModel
from mlops_ladder.serving import fallback, metrics
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.assignment import hash_unit, is_in_share, PLAN, Plan
from mlops_ladder.serving.canary import follow_rollout, RolloutSelector
from mlops_ladder.serving.prediction_log import create_prediction_log
from mlops_ladder.settings import Settings

DRAWS = 10_000
ARMS = "select arm, shadow, failed, unit, step, output from arms order by id"


def planned(folder: Path, share: float, candidate: int = 2, **more: Any) -> None:
    """Plan to roll a model out beside champion 1."""
    digest = sha256((folder / str(candidate) / BUNDLE).read_bytes()).hexdigest()
    known = {"rollout": "trial", "step": 0, "share": share, "shadow": False, "champion": "1"}
    known |= {"version": str(candidate), "run_id": "run", "sha256": digest, "key_header": "X-Key"}
    text = Plan.model_validate(known | more).model_dump_json()
    (folder / PLAN).write_text(text, encoding="utf-8")


def failing(folder: Path) -> LoadedModel:
    """A model; number 2 answers its own example, and nobody after that."""
    model = loaded(folder)
    if folder.name != "2":
        return model
    left = [1]

    def scores(rows: list[dict[str, Any]]) -> Any:
        left[0] -= 1
        return model.scores(rows) if left[0] >= 0 else 1 / 0

    return LoadedModel(model.bundle, model.contract, scores)


@contextmanager
def service(
    settings: Settings, folder: Path, loading: Any = loaded
) -> Iterator[tuple[TestClient, FastAPI]]:
    """A service of champion 1 and whatever is planned, that looks for a plan when it is told."""
    serving = settings.serving.model_copy(
        update={"poll_seconds": 3600, "prediction_log_url": f"sqlite:///{folder}/log.db"}
    )
    off = settings.fallback.model_copy(update={"switch": str(folder / "off")})
    plans = settings.rollout.model_copy(update={"plans": folder})
    settings = settings.model_copy(update={"serving": serving, "fallback": off, "rollout": plans})
    choices: list[Any] = [
        RolloutSelector(folder, loading),
        fallback.FallbackSelector(settings, folder),
    ]
    seen: list[Any] = [create_prediction_log(settings), metrics.Metrics(settings)]
    app = create_app(settings, make_reloader(folder, KINDS), seen, selectors=choices)
    for joined in (follow_rollout, fallback.report_fallback, metrics.serve_metrics):
        joined(app, settings)
    with TestClient(app) as client:
        look(app)
        yield client, app


def look(app: FastAPI) -> None:
    """Have the service look for a plan now."""
    app.state.selectors[0].candidate.refresh()


def asked(client: TestClient, count: int, keyed: bool = True) -> dict[str, str]:
    """The model that answered, by the key that was sent."""
    found = {}
    for number in range(count):
        headers = {"X-Key": f"client {number}"} if keyed else {}
        answer = client.post("/predict", json=ROW, headers=headers)
        assert answer.status_code == 200
        found[f"client {number}"] = answer.json()["model_version"]
    return found


def noted(folder: Path) -> list[Any]:
    """What was noted of both arms, once the service has ended."""
    with sqlite3.connect(folder / "log.db") as log:
        return log.execute(ARMS).fetchall()


@pytest.fixture(name="both", autouse=True)
def _both(tmp_path: Path) -> None:
    """Model 2 is here beside champion 1."""
    refer(tmp_path, 2, REFERENCE)
    refer(tmp_path, 1, REFERENCE)


def test_the_same_key_has_the_same_arm_over_ten_thousand_draws() -> None:
    """Sticky, at any time and worker; a larger share only adds; shares are as they should be."""
    names = [hash_unit("trial", f"client {number}") for number in range(DRAWS)]
    assert names == [hash_unit("trial", f"client {number}") for number in range(DRAWS)]
    arms = {share: [is_in_share(name, share) for name in names] for share in (0.0, 0.05, 0.5, 1.0)}
    assert arms[0.05] == [is_in_share(name, 0.05) for name in names]
    assert all(later for early, later in zip(arms[0.05], arms[0.5], strict=True) if early)
    assert (sum(arms[0.0]), sum(arms[1.0])) == (0, DRAWS)
    for share, deviations in ((0.05, 87), (0.5, 200)):  # four standard deviations
        assert abs(sum(arms[share]) - share * DRAWS) < deviations


def test_another_rollout_draws_anew() -> None:
    """Who was in one trial is no more likely to be in the next one."""
    both = sum(
        is_in_share(hash_unit("one", str(key)), 0.5)
        and is_in_share(hash_unit("two", str(key)), 0.5)
        for key in range(DRAWS)
    )
    assert abs(both - DRAWS / 4) < 174  # four standard deviations


def test_a_share_is_answered_by_the_candidate_and_stays_so(
    settings: Settings, tmp_path: Path
) -> None:
    """Half of the keys, the same ones again; each is noted with its arm and no input."""
    planned(tmp_path, 0.5)
    with service(settings, tmp_path) as (client, app):
        first, second = asked(client, 60), asked(client, 60)
        told = client.get("/health").json()["observers"]["rollout"]
        shown = client.get("/metrics").text
    assert first == second and Counter(first.values()).keys() == {"model-1", "model-2"}
    count = Counter(first.values())
    assert told | {"candidate": 2 * count["model-2"], "percent": 50} == told
    series = 'serving_answers_total{model_version="model-2"}'
    assert f"{series} {2 * count['model-2']}.0" in shown
    rows = noted(tmp_path)
    assert Counter(row[0] for row in rows) == {
        "champion": 2 * count["model-1"],
        "candidate": 2 * count["model-2"],
    }
    assert len({row[3] for row in rows}) == 60 and not any(row[2] for row in rows)
    assert app.state.reloader.current.number == "1"


def test_without_a_key_requests_are_drawn_one_by_one(settings: Settings, tmp_path: Path) -> None:
    """Each request is a unit of its own."""
    planned(tmp_path, 0.5)
    with service(settings, tmp_path) as (client, _):
        asked(client, 40, keyed=False)
    rows = noted(tmp_path)
    assert len({row[3] for row in rows}) == 40 and {row[0] for row in rows} == {
        "champion",
        "candidate",
    }


def test_in_the_shadow_the_champion_answers_and_the_candidate_is_noted(
    settings: Settings, tmp_path: Path
) -> None:
    """Every client hears the champion; what the candidate says is noted, and served nowhere."""
    planned(tmp_path, 0, shadow=True)
    with service(settings, tmp_path) as (client, app):
        assert set(asked(client, 20).values()) == {"model-1"}
        notes = next(it for it in app.state.observers if it.name == "rollout")
        while notes.counts()["candidate"] < 20:
            pass  # its thread is at work
    rows = noted(tmp_path)
    shadow = [row for row in rows if row[1]]
    assert len(rows) == 40 and {row[0] for row in shadow} == {"candidate"}
    assert all('"second"' in row[5] for row in shadow)
    with sqlite3.connect(tmp_path / "log.db") as log:
        found = log.execute("select distinct model_version from predictions").fetchall()
    assert found == [("model-1",)]


def test_a_shadow_that_cannot_keep_up_is_left_behind(settings: Settings, tmp_path: Path) -> None:
    """What does not fit into its queue is dropped and counted; no client waits."""
    planned(tmp_path, 0, shadow=True)
    few = settings.rollout.model_copy(update={"capacity": 1})
    go, ready = Event(), [True]

    def stuck(folder: Path) -> LoadedModel:
        model = loaded(folder)

        def scores(rows: list[dict[str, Any]]) -> Any:
            assert folder.name != "2" or ready and ready.pop() or go.wait(60)
            return model.scores(rows)

        return LoadedModel(model.bundle, model.contract, scores)

    with service(settings.model_copy(update={"rollout": few}), tmp_path, stuck) as (client, app):
        asked(client, 30)
        told = next(it for it in app.state.observers if it.name == "rollout").counts()
        go.set()
    assert told["champion"] == 30 and told["candidate"] == 0 and told["dropped"] in (28, 29)


@pytest.mark.parametrize("shadow", [False, True], ids=["a share", "the shadow"])
def test_a_candidate_that_fails_costs_no_client_an_answer(
    settings: Settings, tmp_path: Path, shadow: bool
) -> None:
    """Where it raises, the champion answers, by its own name; it is noted as failed."""
    planned(tmp_path, 0 if shadow else 0.5, shadow=shadow)
    with service(settings, tmp_path, failing) as (client, app):
        assert set(asked(client, 30).values()) == {"model-1"}
        notes = next(it for it in app.state.observers if it.name == "rollout")
        while shadow and notes.counts()["candidate"] < 30:
            pass  # its thread is at work
    failed = {row[0]: row[2] for row in noted(tmp_path)}
    assert failed == {"champion": 0, "candidate": 1}


def test_a_candidate_that_cannot_be_loaded_is_noted_as_failed(
    settings: Settings, tmp_path: Path
) -> None:
    """Its share is answered by the champion, and counts against it."""
    refer(tmp_path, 7, REFERENCE)  # 7 cannot answer
    refer(tmp_path, 1, REFERENCE)
    planned(tmp_path, 0.5, candidate=7)
    with service(settings, tmp_path) as (client, _):
        assert set(asked(client, 30).values()) == {"model-1"}
    assert {row[0]: row[2] for row in noted(tmp_path)} == {"champion": 0, "candidate": 1}


def test_a_plan_holds_beside_its_champion_alone_and_ends_when_it_is_gone(
    settings: Settings, tmp_path: Path
) -> None:
    """Beside another champion, and without a plan, the champion answers all; nothing is noted."""
    planned(tmp_path, 0.999, champion="3")
    with service(settings, tmp_path) as (client, app):
        assert set(asked(client, 10).values()) == {"model-1"}
        planned(tmp_path, 0.999)
        look(app)
        assert "model-2" in asked(client, 10).values()
        (tmp_path / PLAN).unlink()
        look(app)
        assert set(asked(client, 10).values()) == {"model-1"}
        assert client.get("/health").json()["observers"]["rollout"] == {"version": 0}
    assert len(noted(tmp_path)) == 10


def test_a_plan_that_cannot_be_read_is_none(settings: Settings, tmp_path: Path) -> None:
    """A file that holds something else is followed by nobody."""
    (tmp_path / PLAN).write_text('{"share": 1}', encoding="utf-8")
    with service(settings, tmp_path) as (client, _):
        assert set(asked(client, 5).values()) == {"model-1"}


def test_a_stand_in_and_the_switch_stand_above_both(settings: Settings, tmp_path: Path) -> None:
    """Switched off, no model answers, neither champion nor candidate."""
    planned(tmp_path, 0.5)
    (tmp_path / "off").touch()
    with service(settings, tmp_path) as (client, _):
        assert set(asked(client, 20).values()) == {"fallback-model-1", "fallback-model-2"}
    assert all(row[2] for row in noted(tmp_path))
