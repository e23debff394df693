"""The command `scaleout`: the same work here and on workers, if it is the same, and how fast."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from mlops_ladder import ProjectError
from mlops_ladder.batch.scoring import Batch, ROWS
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.model.split import split_three_ways
from mlops_ladder.model.study import Study
from mlops_ladder.model.training import fit_model, prepare_training_rows, split_holdout
from mlops_ladder.monitoring.staleness import backtest
from mlops_ladder.pipeline.tuning import evaluate_params
from mlops_ladder.problem import read_data
from mlops_ladder.scaling.backends import create_executor
from mlops_ladder.scaling.batch import list_parts, score_on_workers
from mlops_ladder.settings import load_settings, Settings

FEW, KEPT = 1000, "rows.parquet"
MANY = 200_000  # rows of the batch
Work = dict[str, Callable[[Settings], Any]]


def list_work(settings: Settings, contract: Contract, folder: Path, many: int) -> Work:
    """Return the work: trials of a search, a backtest if rows have times, and a batch of rows."""
    frame, study = read_data(settings), Study(contract, settings)
    rows = prepare_training_rows(frame, contract, settings)
    part = split_three_ways(rows, contract, settings)
    tries = max(settings.scale.at_once, settings.scale.workers) if study.space else 1
    chosen = [study.start, *(study.ask() for _ in range(tries - 1))]
    trained = fit_model(*split_holdout(rows, contract, settings), contract, settings)
    saved = {"model": trained.model, "contract": contract, "version": trained.version}
    source = write_longer_table(frame, folder / KEPT, many)

    def trials(settings: Settings) -> list[str]:
        with create_executor(settings) as executor:
            arguments = part.train, part.validation, contract, settings
            return [str(score) for score, _ in executor.map(evaluate_params, chosen, *arguments)]

    def batch(settings: Settings) -> bytes:
        parts = score_on_workers(saved, list_parts([source]), settings)
        Batch().write(parts, str(folder / "found.csv"), contract)
        return (folder / "found.csv").read_bytes()

    work: Work = {f"{tries} trials of the search": trials}
    if contract.names("time"):
        work["backtest"] = lambda settings: str(backtest(rows, contract, settings))
    return work | {f"batch of {many:,} rows": batch}


def write_longer_table(frame: pd.DataFrame, path: Path, many: int) -> Path:
    """Write the rows again and again as a Parquet file, until there are `many`; return its path."""
    words = {name: "string" for name in frame.select_dtypes("object")}
    rows = frame.astype(words).reset_index(drop=True)
    again = rows.loc[[place % len(rows) for place in range(many)]]
    again.to_parquet(path, index=False, row_group_size=ROWS)
    return path


def with_scale(settings: Settings, **scale: Any) -> Settings:
    """Return the settings with these values in `[scale]`."""
    return settings.model_copy(update={"scale": settings.scale.model_copy(update=scale)})


def run_timed(work: Callable[[Settings], Any], settings: Settings) -> tuple[Any, float, float]:
    """Return the result of work, its duration, and the CPU seconds of this process."""
    started, busy = time.perf_counter(), time.process_time()
    result = work(settings)
    return result, time.perf_counter() - started, time.process_time() - busy


def compare_work(work: Work, settings: Settings) -> float:
    """Do each piece of work here, and then on the workers, which are warm; print a row of times.

    Returns the CPU seconds of the last piece here.  Raises ProjectError if a result differs.
    """
    alone, there = with_scale(settings, backend="local"), with_scale(settings, backend="dask")
    busy = 0.0
    with create_executor(there):
        list(work.values())[0](there)
        for name, function in work.items():
            result, seconds, busy = run_timed(function, alone)
            other, other_seconds, _ = run_timed(function, there)
            if result != other:
                fault = "the workers have come to something else than this process"
                raise ProjectError(f"{name}: {fault}")
            times = f"{seconds:8.2f} s{other_seconds:8.2f} s{seconds / other_seconds:8.2f}"
            print(f"{name:28}{times}  the same", flush=True)
    return busy


def main(
    workers: Annotated[int | None, typer.Option(help="default: config/scale.toml")] = None,
    rows: Annotated[int, typer.Option(help="of the batch")] = MANY,
) -> None:
    """Do the same work here and on workers.  Raise ProjectError if the results differ."""
    settings, contract = load_settings(), read_contract()
    if workers:
        settings = with_scale(settings, workers=workers, address="")
    many = max(rows, FEW)
    where = "workers" if settings.scale.address else f"{settings.scale.workers} workers"
    print(f"{'':28}{'here':>10}{where:>10}{'faster':>8}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        seconds = compare_work(list_work(settings, contract, Path(name), many), settings)
    print(f"One processor: {many / seconds:,.0f} rows of the batch in a second of its time")
