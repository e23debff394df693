"""A batch: rows in, predictions out, one for each row that keeps the contract."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.batch.sinks import name_rejected, open_sink, refuse_overwriting
from mlops_ladder.data.casting import cast_columns, RowCheck
from mlops_ladder.data.contract import Contract, merge_violations, raise_for_violations, Violation
from mlops_ladder.data.reading import read_chunks
from mlops_ladder.data.remote import is_remote
from mlops_ladder.model.prediction import load_model, predict_rows
from mlops_ladder.plugins import get_hooks, get_implementations
from mlops_ladder.settings import load_settings, Settings

OUTPUT = "predictions.csv"
PROGRESS_S = 10
ROWS = 50_000  # at a time: a file may be larger than memory
VERBS = {"are": "is", "break": "breaks", "hold": "holds"}
Saved = dict[str, Any]
Frames = Iterable[pd.DataFrame]
Say = Callable[[Violation, Any], str]


class Rejected(ProjectError):
    """Some rows break the contract; the others are answered."""

    status = 3


@dataclass(frozen=True)
class Scored:
    """The result of `rows` rows: answers, rejected rows with their reasons, and all violations.

    `known` counts the values of each input that are not missing.  `inputs` are those of the
    answered rows, cast.
    """

    rows: int
    known: pd.Series
    breaches: list[Violation]
    answers: pd.DataFrame
    rejected: pd.DataFrame
    inputs: pd.DataFrame


@dataclass(frozen=True)
class Job:
    """A batch to score: its source, where the answers go, the model, and the settings."""

    source: str
    out: str
    saved: Saved
    settings: Settings


class Batch:
    """All rows of a batch, part by part: how many, and which of them are rejected."""

    def __init__(self) -> None:
        self.rows = 0
        self.rejected: list[pd.DataFrame] = []
        self.breaches: list[Violation] = []
        self._known = pd.Series(dtype="float64")

    @property
    def refused(self) -> int:
        """Return the number of rejected rows."""
        return sum(map(len, self.rejected))

    def answers(self, parts: Iterable[Scored]) -> Iterator[pd.DataFrame]:
        """Yield the answers of the parts.

        Raises ProjectError at the end if more than single rows are wrong: a column is missing or
        wrong as a whole, too many values are missing, or no row is left.
        """
        for part in parts:
            self.rows += part.rows
            self._known = self._known.add(part.known, fill_value=0)
            self.breaches = merge_violations([*self.breaches, *part.breaches])
            self.rejected += [part.rejected] if len(part.rejected) else []
            if len(part.answers):
                yield part.answers
        breaches = self.breaches = [breach.with_total(self.rows) for breach in self.breaches]
        if not self.rows or self.refused != self.rows:
            known = dict[Any, float](self._known)
            breaches = [one for one in breaches if one.is_expectation or one.is_of_column(known)]
        raise_for_violations(breaches)

    def write(self, parts: Iterable[Scored], out: str, contract: Contract) -> pd.DataFrame:
        """Write answers and rejected rows; return the first answers."""
        first, due = pd.DataFrame(), time.monotonic() + PROGRESS_S
        with open_sink(out, contract) as sink:
            for frame in self.answers(parts):
                sink.write(frame)
                first = first if len(first) else frame
                if time.monotonic() > due:
                    print(f"{self.rows:,} rows scored ...", file=sys.stderr, flush=True)
                    due += PROGRESS_S
            for frame in self.rejected:
                sink.reject(frame)
            sink.commit()
        return first


def score_file(saved: Saved, frames: Frames, checks: Iterable[RowCheck] = ()) -> Iterator[Scored]:
    """Yield the result of each frame: ids, times, predictions and the model's version.

    With checks, `outside` names the inputs of a row that lie outside of the expectations.
    """
    checks = list(checks)
    yield from (score_frame(saved, frame, checks) for frame in frames)


def score_frame(saved: Saved, frame: pd.DataFrame, checks: list[RowCheck]) -> Scored:
    """Return the result of the rows of a frame, whose index numbers them from 0."""
    contract: Contract = saved["contract"]
    inputs, reasons = contract.inputs(), pd.Series("", frame.index, dtype="str")
    rows, breaches = cast_columns(frame, contract, inputs)
    note(reasons, frame, breaches, reason)
    if lacking := not all(breach.total for breach in breaches):  # a column is not there
        rows = rows.iloc[:0]
    elif breaches:
        rows, _ = cast_columns(frame[reasons == ""], contract, inputs)
    faults = [breach for check in checks for breach in check(rows, contract)] if len(rows) else []
    refused = [fault for fault in faults if fault.is_refused and fault.max_share is None]
    note(reasons, rows, refused, reason)
    outside = pd.Series("", rows.index, dtype="str")
    expected = [fault for fault in faults if fault.is_expectation]
    note(outside, rows, expected, lambda breach, _: breach.column)
    rejected = reasons[reasons != ""]
    rows = rows[reasons[rows.index] == ""]
    answers = rows[[]] if lacking or rows.empty else predict_cast_rows(saved, frame, rows)
    if checks and len(answers):
        answers.insert(answers.shape[1] - 1, "outside", outside[rows.index])
    table = pd.DataFrame({"row": rejected.index + 1, "reason": rejected.to_numpy()})
    breaches += faults
    known = frame.reindex(columns=inputs).notna().sum()
    return Scored(len(frame), known, breaches, answers, table, rows)


def predict_cast_rows(saved: Saved, frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return ids and times of the cast rows, the predictions, and the model's version."""
    names = [name for name in saved["contract"].names("id", "time") if name in frame]
    columns = [frame.loc[rows.index, names], predict_rows(saved["model"], rows)]
    return pd.concat(columns, axis=1).assign(model_version=saved["version"])


def note(words: pd.Series, frame: pd.DataFrame, breaches: Iterable[Violation], say: Say) -> None:
    """Add a word about each breach to the rows that it names."""
    for breach in breaches:
        if breach.mask is not None:
            values = frame.loc[breach.mask, breach.column]
            more = [say(breach, value) for value in values]
            before = words[values.index]
            words[values.index] = before.where(before == "", before + "; ") + more


def reason(breach: Violation, value: Any) -> str:
    """Return why a row is rejected, with its value."""
    verb, _, rest = breach.rule.partition(" ")
    shown = f": {getattr(value, 'item', lambda: value)()!r}" if breach.example else ""
    return f"{breach.column} {VERBS.get(verb, verb)} {rest}{shown}"


def score_to(
    job: Job, parts: Iterable[Scored], describe: Callable[[], dict[str, Any]] = dict
) -> None:
    """Write the answers, and log them if this project has a log.

    Args:
        job: Where the answers go; rejected rows go beside them.
        parts: The scored rows.
        describe: Returns more about the batch, at its end, for the log.

    Raises:
        Rejected: Some rows break the contract; the answers of the others are written.
        ProjectError: More than single rows are wrong, or the log cannot be reached; then nothing is
            written.
    """
    batch = Batch()
    with get_hooks().open_batch_log(job=job) or nullcontext() as log:
        recorded = log.record(parts) if log else parts
        first = batch.write(recorded, job.out, job.saved["contract"])
        if log:
            log.finish(batch.rows, batch.refused, **describe())
    rows = batch.rows - batch.refused
    print(f"{rows:,} predictions by model {job.saved['version']} written to {job.out}")
    print(first.head(3).to_string(index=False))
    if batch.rejected:
        text = f"{batch.refused:,} of {batch.rows:,} rows break the contract and are not answered"
        text += f"; {name_rejected(job.out)} says which and why"
        lines = [str(breach) for breach in batch.breaches if breach.is_refused]
        raise Rejected("\n  ".join([text, *lines]))


def main(arguments: list[str]) -> None:
    """Predict for each row of a file, a table or a bucket, of any length.

    Raises Rejected, with the answers of the others written, if some rows break the contract.
    """
    parser = argparse.ArgumentParser(prog="predict", description="Predict for each row.")
    parser.add_argument("--data", help="file, pattern, table or bucket (default: config.toml)")
    parser.add_argument("--out", help=f"file, table or object to write (default: {OUTPUT})")
    options = parser.parse_args(arguments)
    settings, saved = load_settings(), get_hooks().load_batch_model() or load_model()
    pattern, out = options.data or settings.data.path, options.out or OUTPUT
    refuse_overwriting(pattern, out, name_rejected(out))
    scored = None  # a table or a bucket is read as it arrives, here
    if not is_remote(pattern):
        scored = get_hooks().score_batch(saved=saved, pattern=pattern, settings=settings)
    if scored is None:
        frames = read_chunks(pattern, settings.data, saved["contract"], ROWS)
        scored = score_file(saved, frames, get_implementations("find_violations"))
    score_to(Job(pattern, out, saved, settings), scored)
