"""Batch: part by part as in one go; a row that breaks the contract is numbered through files."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from mlops_ladder.batch import scoring as whole_batch
from mlops_ladder.batch.scoring import score_file
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.reading import read_chunks
from mlops_ladder.model.prediction import MODEL, save_model
from mlops_ladder.model.training import Trained
from mlops_ladder.plugins import get_hooks, get_implementations
from mlops_ladder.scaling import batch
from mlops_ladder.settings import Settings

SIZE = 40


@pytest.fixture(name="pattern")
def _pattern(
    folder: Path, frame: pd.DataFrame, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Two files of several parts, beside a model."""
    monkeypatch.setattr(batch, "ROWS", SIZE)
    save_model(trained.model, trained.contract, trained.version, folder / MODEL)
    nothing = {"load_batch_model": lambda: None, "open_batch_log": lambda **_: None}
    hooks = SimpleNamespace(**nothing, score_batch=get_hooks().score_batch)
    monkeypatch.setattr(whole_batch, "get_hooks", lambda: hooks)
    for name, some in (("a", frame.head(100)), ("b", frame.tail(100))):
        some.to_parquet(folder / f"{name}.parquet", row_group_size=SIZE)
    return "*.parquet"


def test_all_parts_are_what_the_whole_is(
    pattern: str, trained: Trained, settings: Settings
) -> None:
    """The same rows, in the same order."""
    saved = {"model": trained.model, "contract": trained.contract, "version": "v"}
    found = [it.answers for it in batch.score_parts(saved, pattern, settings) or ()]
    rows = read_chunks(pattern, settings.data, trained.contract)
    known = [it.answers for it in score_file(saved, rows, get_implementations("find_violations"))]
    whole = pd.concat(known, ignore_index=True)
    assert len(found) > 2
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), whole)


def test_a_row_that_breaks_the_contract_is_numbered_through_all_files(
    pattern: str,
    contract: Contract,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last row of the last part is the last of all; the others are answered."""
    name = next(iter(contract.inputs("number", "integer", "time")), "")
    if not name:
        pytest.skip("no column holds numbers or times")
    rows = pd.read_parquet("b.parquet").astype({name: "object"})
    count = len(pd.read_parquet("a.parquet")) + len(rows)
    rows.loc[rows.index[-1], name] = "nothing of the kind"
    rows.astype({name: "string"}).to_parquet("b.parquet", row_group_size=SIZE)
    assert command("predict", "--data", pattern, "--out", "found.csv") == 3
    assert f"1 of {count:,} rows break the contract" in capsys.readouterr().err
    assert pd.read_csv("found.rejected.csv")["row"].tolist() == [count]
    assert len(pd.read_csv("found.csv")) == count - 1
