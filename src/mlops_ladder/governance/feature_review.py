"""The review of the features: the value and the cost of each feature of the champion.

The value of a feature is the score that is lost without it.  A model learns anew without the
feature, from the same rows and with the same seed (leave one covariate out: Lei et al.,
Distribution-Free Predictive Inference For Regression, 2018, section 6).

A feature without value still costs: it has to be delivered, logged and watched.  Two features that
say the same show no value each, and together they may, so the report is only a reason to ask.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
from scipy.stats import t
from threadpoolctl import threadpool_limits

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.agreements import read_agreements
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import read_sources
from mlops_ladder.export.runtime import frame_to_rows
from mlops_ladder.model.breakdown import draw_breakdown
from mlops_ladder.model.prediction import LOWER_IS_BETTER, predict_rows
from mlops_ladder.model.resampling import bootstrap_scores, Draws, Estimate
from mlops_ladder.model.training import (
    build_baseline,
    fit_model,
    prepare_training_rows,
    split_holdout,
    Trained,
)
from mlops_ladder.monitoring.quality import read_run_text
from mlops_ladder.pipeline.tuning import with_params
from mlops_ladder.problem import read_data
from mlops_ladder.registry import versions
from mlops_ladder.registry.history import Entry
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.templates import render_template
from mlops_ladder.tracking import runs

REPEATS = 5  # pairs of models, for the share of chance in the rows that they learn from
PASSES, PLACES = 20, (5, 14)  # the 6th and 15th of 20 in order hold their median with 96 %
BATCH = 1000  # rows that are answered in a pass
FOLDER = Path("reports/features")
TEMPLATE = Path(__file__).with_name("features.md.j2")
ARTIFACT = "features/report.json"
METHOD = f"ablation ({REPEATS} pairs of models learn from drawn rows, with and without each)"
Report = dict[str, Any]


@dataclass(frozen=True)
class Worth:
    """The value and the cost of one feature.

    `value`: the score that is lost without it, above 0 if it helps; `milliseconds` that 1,000 rows
    take longer with it; `size`: its bytes in a logged row; `missing`: its share without value.
    """

    name: str
    value: Estimate
    milliseconds: Estimate
    size: float
    missing: float

    @property
    def verdict(self) -> str:
        """Valuable, harmful, or neither: no value shown."""
        if self.value.low > 0:
            return "valuable"
        return "harmful" if self.value.high < 0 else "no value shown"


def ignore_column(contract: Contract, name: str) -> Contract:
    """Return the contract of a model that does not see this column."""
    unseen = contract.columns[name].model_copy(update={"role": "ignored"})
    return contract.model_copy(update={"columns": contract.columns | {name: unseen}})


def fit_or_baseline(rows: pd.DataFrame, contract: Contract, settings: Settings) -> Any:
    """Return a model of these rows; without any input, a baseline that ignores the features."""
    if contract.inputs():
        return fit_model(rows, rows.head(1), contract, settings).model
    return build_baseline(settings).fit(rows[[contract.target]], rows[contract.target])


def predict_inputs(model: Any, rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Return the answers of a model that sees the inputs of this contract."""
    return predict_rows(model, rows[contract.inputs() or [contract.target]])


def draw_samples(whole: Trained) -> list[pd.DataFrame]:
    """Return bootstrap samples of the training rows; each class keeps its number of rows."""
    is_classifier = whole.settings.problem == "classification"
    groups: Any = whole.train.groupby(whole.contract.target) if is_classifier else whole.train
    seeds = range(whole.settings.seed, whole.settings.seed + REPEATS)
    return [groups.sample(frac=1, replace=True, random_state=seed) for seed in seeds]


def review_features(whole: Trained) -> Iterator[Worth]:
    """Yield the worth of each input of the model."""
    contract, settings = whole.contract, whole.settings
    with threadpool_limits(1):  # both models of a pair have the same machine
        full, more = score_anew(whole, contract)
        for name in contract.inputs():
            less = ignore_column(contract, name)
            scores, fewer = score_anew(whole, less)
            value = estimate_loss(full, scores, settings.metric)
            slower = measure_latency(whole, more, fewer, less)
            missing = float(whole.train[name].isna().mean())
            yield Worth(name, value, slower, measure_logged_bytes(whole, name), missing)


def score_anew(whole: Trained, contract: Contract) -> tuple[list[Draws], Any]:
    """Return the held-out scores of models of samples, by this contract, and the last model.

    Each score comes with draws of the held-out rows, the same ones for every model.
    """
    settings, scores, model = whole.settings, [], None
    for rows in draw_samples(whole):
        model = fit_or_baseline(rows, contract, settings)
        answers = {"": predict_inputs(model, whole.holdout, contract)}
        scores.append(bootstrap_scores(settings.metric, whole.truth, answers, settings.seed)[""])
    return scores, model


def estimate_loss(full: list[Draws], less: list[Draws], metric: str) -> Estimate:
    """Return the mean loss of score over the pairs, with a 95 % interval.

    The interval covers two independent kinds of chance.  That of the held-out rows comes from the
    paired bootstrap, that of the training rows from the spread of the pairs (Student's t).
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    pairs = [more - fewer for more, fewer in zip(full, less, strict=True)]
    wholes = np.array([pair.whole for pair in pairs])
    draws = np.mean([pair.drawn for pair in pairs], axis=0)
    mean = Draws(float(wholes.mean()), draws, full[0].scale)
    loss = mean.interval(sign * mean.whole, sign)
    spread = t.ppf(0.975, len(pairs) - 1) * wholes.std(ddof=1) / len(pairs) ** 0.5
    low, high = (float(np.hypot(edge - loss.value, spread)) for edge in (loss.low, loss.high))
    return Estimate(loss.value, loss.value - low, loss.value + high)


def measure_latency(whole: Trained, more: Any, fewer: Any, less: Contract) -> Estimate:
    """Return the milliseconds that a feature adds to 1,000 rows: the median of pairs of passes.

    Args:
        whole: Its held-out rows are answered.
        more: A model with the feature.
        fewer: A model without it.
        less: The contract without it.
    """
    is_short = len(whole.holdout) < BATCH
    rows = whole.holdout.sample(BATCH, replace=is_short, random_state=whole.settings.seed)
    differences = []
    for _ in range(PASSES):
        start = time.perf_counter()
        predict_inputs(more, rows, whole.contract)
        middle = time.perf_counter()
        predict_inputs(fewer, rows, less)
        differences.append(1000 * (2 * middle - start - time.perf_counter()))
    low, high = (sorted(differences)[place] for place in PLACES)
    return Estimate(float(np.median(differences)), low, high)


def measure_logged_bytes(whole: Trained, name: str) -> float:
    """Return the mean number of bytes of the column in a row of the prediction log."""
    rows = frame_to_rows(whole.holdout[[name]].head(BATCH))
    # One of the two braces stands for the comma.
    return float(np.mean([len(orjson.dumps(row, default=str)) - 1 for row in rows]))


def refit_champion(entry: Entry, settings: Settings) -> Trained:
    """Return the champion, trained again by its contract and parameters from the data here.

    Raises ProjectError if its metric is not defined on the held-out rows.
    """
    mlflow = runs.connect_mlflow()
    path = mlflow.artifacts.download_artifacts(f"runs:/{entry.run_id}/contract.toml")
    contract = read_contract(Path(path))
    tags = mlflow.get_run(entry.run_id).data.tags
    settings = with_params(settings, json.loads(tags.get("model.parameters", "{}")))
    rows = prepare_training_rows(read_data(settings), contract, settings)
    whole = fit_model(*split_holdout(rows, contract, settings), contract, settings)
    if not isfinite(whole.scores[settings.metric]):
        where = f"not defined on the {len(whole.holdout):,} rows held out"
        raise ProjectError(f"metric = {settings.metric!r}: {where}; choose another in config.toml")
    return whole


def find_column_owners(settings: Settings) -> Mapping[str, str]:
    """Return the owner of each column that a contract names; "" is the owner of the files."""
    used = {str(path) for path in list_data_files(settings.data.path)}
    names = [source["owner"] for source in read_sources().values() if used & set(source["files"])]
    owners = {name: entry.owner for entry in read_agreements().values() for name in entry.columns}
    return owners | {"": ", ".join(dict.fromkeys(names)) or "nobody is named"}


def build_report(entry: Entry, whole: Trained, worths: list[Worth]) -> Report:
    """Return the report as JSON can hold it, the most valuable feature first."""
    owners = find_column_owners(whole.settings)
    is_same = whole.version == entry.model_version
    changed_words = "; made again here from other data or code it is another model"
    return {
        "version": entry.version,
        "run_id": entry.run_id,
        "model_version": entry.model_version,
        "data_sha256": entry.data_sha256,
        "differs": "" if is_same else changed_words,
        "metric": whole.settings.metric,
        "rows": len(whole.holdout),
        "method": METHOD,
        "features": [
            asdict(worth) | {"verdict": worth.verdict, "owner": owners.get(worth.name, owners[""])}
            for worth in sorted(worths, key=lambda worth: -worth.value.value)
        ],
    }


def render_report(report: Report) -> str:
    """Return the report as Markdown."""
    return render_template(TEMPLATE, **report)


def write_report(report: Report) -> Path:
    """Write page and picture, and log the report to the run of the champion."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"v{report['version']}.md"
    values = {feature["name"]: feature["value"]["value"] for feature in report["features"]}
    title = f"{report['metric']} lost without it"
    draw_breakdown(pd.Series(values), title, path.with_suffix(".png"))
    write_file_atomically(path, render_report(report))
    client = runs.connect_mlflow().MlflowClient()
    client.log_text(report["run_id"], json.dumps(report, ensure_ascii=False), ARTIFACT)
    return path


def collect_feature_evidence(_: Settings) -> dict[str, Report] | None:
    """Return the report that the champion's run holds; None if there is none."""
    entry = versions.read_state().champion
    text = read_run_text(entry.run_id, ARTIFACT) if entry else None
    return {"features": dict(json.loads(text))} if text else None


def main() -> None:
    """Print the value and cost of each feature of the champion, and write the report."""
    entry = versions.require_champion()
    whole, worths = refit_champion(entry, load_settings()), []
    count = len(whole.contract.inputs())
    print(f"{REPEATS * (count + 1)} models learn, {whole.seconds:.1f} s each")
    for worth in review_features(whole):
        worths.append(worth)
        print(f"{len(worths)}/{count} {worth.name}: {worth.verdict}", flush=True)
    report = build_report(entry, whole, worths)
    print(f"\n{render_report(report)}\nWrote {write_report(report)}")
