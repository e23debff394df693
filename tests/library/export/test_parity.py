"""The exported model answers as the model does, or it is not used."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer

from mlops_ladder.data.columns import Row
from mlops_ladder.data.contract import Kind
from mlops_ladder.export.bundle import export_bundle, measure_parity, TOLERANCE
from mlops_ladder.export.onnx.converters import MINUTES_PER_WEEK, tabulate_minutes_of_week
from mlops_ladder.export.onnx.forest import Unconvertible
from mlops_ladder.export.runtime import frame_to_rows, load_bundle, Scorer
from mlops_ladder.model.training import build_baseline, Trained

OTHER_UNITS: dict[Kind, Callable[[Any], Any]] = {
    "number": lambda value: value * 1.01,
    "integer": lambda value: value * 1.01,
    "boolean": lambda value: not value,
    "category": lambda value: f"{value}!",
    "text": lambda value: f"{value}!",
    "time": lambda value: value + timedelta(hours=11),
}


@pytest.fixture(name="place", scope="module")
def _place(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `trained`; the tests that need ONNX are skipped where it is native."""
    place = tmp_path_factory.mktemp("bundle")
    bundle = export_bundle(trained, place)
    if bundle.runtime == "native":
        pytest.skip(f"this model is served natively: {bundle.why}")
    return place


def changed(scores: Scorer, name: str, change: Callable[[Any], Any]) -> Scorer:
    """Scores of rows of which one column is given in another unit."""

    def with_fault(rows: list[Row]) -> tuple[list[Any], np.ndarray | None]:
        return scores(
            [row if row[name] is None else row | {name: change(row[name])} for row in rows]
        )

    return with_fault


def test_the_export_answers_as_the_model_does(trained: Trained, place: Path) -> None:
    """Over the held-out rows and the edges of the contract, with no class that differs."""
    found = load_bundle(place).bundle["parity"]
    assert found["rows"] > len(trained.holdout)
    assert found["largest"] <= TOLERANCE and found["mismatched"] == 0


def test_a_unit_change_in_one_place_fails_the_parity(trained: Trained, place: Path) -> None:
    """One column of the service in another unit than the model's: a per cent more, hours later."""
    loaded = load_bundle(place)
    if len(trained.predictions.drop_duplicates()) < 10:
        pytest.skip("this model gives nearly all rows the same answer")
    columns = {name: trained.contract.columns[name] for name in trained.contract.inputs()}
    assert measure_parity(trained, loaded.scores).holds
    assert any(
        not measure_parity(trained, changed(loaded.scores, name, OTHER_UNITS[column.kind])).holds
        for name, column in columns.items()
    )


def test_equal_models_give_equal_bundles(trained: Trained, place: Path, tmp_path: Path) -> None:
    """Exported once more, each file has the same bytes."""
    export_bundle(trained, tmp_path)
    first, second = (
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (place, tmp_path)
    )
    assert first == second


def test_a_model_that_does_not_convert_is_served_natively(trained: Trained, tmp_path: Path) -> None:
    """The bundle then holds the model itself, says why, and answers as it does."""
    inputs, target = trained.contract.inputs(), trained.contract.target
    model = build_baseline(trained.settings).fit(trained.train[inputs], trained.train[target])
    bundle = export_bundle(replace(trained, model=model), tmp_path)
    assert bundle.runtime == "native" and "Dummy" in bundle.why
    answers = load_bundle(tmp_path).answers(frame_to_rows(trained.holdout[inputs].head(3)))
    expected = trained.baseline["prediction"].head(3).tolist()
    assert [answer["prediction"] for answer in answers] == expected


def calendar(part: Callable[[Any], Any]) -> FunctionTransformer:
    """A step that gives a part of each of two time columns."""

    def parts(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({name: part(frame[name].dt) for name in frame}, dtype="float64")

    known = pd.DataFrame({name: pd.to_datetime(["2020-01-01"]) for name in ("begin", "end")})
    return FunctionTransformer(parts).fit(known)


@pytest.mark.parametrize(
    "part",
    [lambda time: time.hour, lambda time: time.weekday > 4, lambda time: time.minute % 7],
    ids=["hour", "weekend", "minute"],
)
def test_any_function_of_the_minute_of_the_week_is_exported(part: Callable[[Any], Any]) -> None:
    """Each minute of the week has a row of the table; the last is that of a missing time."""
    table = tabulate_minutes_of_week(calendar(part))
    assert table.shape == (MINUTES_PER_WEEK + 1, 1)
    assert table[1500, 0] == float(part(pd.Series([pd.Timestamp("2024-01-02 01:00")]).dt)[0])


@pytest.mark.parametrize(
    "part",
    [
        lambda time: time.month,
        lambda time: time.hour + time.second / 3600,
        lambda time: time.weekday.where(time.strftime("%m-%d") != "12-25", 6),
    ],
    ids=["month", "seconds", "a holiday"],
)
def test_a_calendar_that_looks_at_more_is_not_exported(part: Callable[[Any], Any]) -> None:
    """It is refused, by name, so that the model is served natively: never with other answers."""
    with pytest.raises(Unconvertible, match="parts looks at more of a time"):
        tabulate_minutes_of_week(calendar(part))
