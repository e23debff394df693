"""The reference: what goes beside the model, without anything that the model does not see."""

import json
from io import BytesIO

import numpy as np
import pandas as pd

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.training_reference import (
    build_reference_files,
    FACTS,
    PREDICTIONS,
    ROWS,
    SAMPLE,
    summarize_column,
)


def test_it_holds_inputs_only(trained: Trained, contract: Contract) -> None:
    """At most 10,000 rows, and no column but the inputs; each of these has its facts."""
    found = build_reference_files(trained)
    rows = pd.read_parquet(BytesIO(found[ROWS]))
    assert list(rows) == contract.inputs()
    assert len(rows) == min(len(trained.train), SAMPLE)
    assert list(json.loads(found[FACTS])["columns"]) == contract.inputs()
    assert list(pd.read_parquet(BytesIO(found[PREDICTIONS]))) == ["prediction", "score"]


def test_it_repeats(trained: Trained) -> None:
    """Equal trainings have equal references, but for when they were made."""
    first, second = build_reference_files(trained), build_reference_files(trained)
    facts = [json.loads(it.pop(FACTS)) | {"trained_at": 0} for it in (first, second)]
    assert (first, facts[0]) == (second, facts[1])


def test_the_stand_in_answers_as_the_model_does(trained: Trained) -> None:
    """The fallback is a class with shares that add up, or the median; scores go up."""
    known = json.loads(build_reference_files(trained)[FACTS])
    said = known["fallback"]
    if "probability" in said:
        assert (
            sum(said["probability"].values()) == 1
            or abs(sum(said["probability"].values()) - 1) < 1e-9
        )
        assert said["probability"][str(said["prediction"])] == max(said["probability"].values())
    assert known["scores"] == sorted(known["scores"])


def test_edges_are_those_of_each_kind(contract: Contract) -> None:
    """Times are seconds, whole numbers whole, truths true or false; all say what is missing."""
    kinds = {
        kind: contract.columns[contract.target].model_copy(update={"kind": kind})
        for kind in ("number", "integer", "time", "boolean", "text")
    }
    assert summarize_column(pd.Series([1.5, np.nan]), kinds["number"]) == {
        "low": 1.5,
        "high": 1.5,
        "missing": 0.5,
    }
    assert summarize_column(pd.Series([3.0, 2.0]), kinds["integer"]) == {
        "low": 2,
        "high": 3,
        "missing": 0,
    }
    when = pd.Series([pd.Timestamp("1970-01-02"), pd.NaT])
    assert summarize_column(when, kinds["time"]) == {"low": 86400, "high": 86400, "missing": 0.5}
    assert summarize_column(pd.Series([1.0, 0.0, np.nan, 1.0]), kinds["boolean"]) == {
        "values": [False, True],
        "missing": 0.25,
    }
    words = pd.Series([f"é{number}" for number in range(201)])
    assert summarize_column(words, kinds["text"]) == {"missing": 0}
