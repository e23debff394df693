"""The review of the features: what each one of the champion is worth, and what it costs.

A feature is worth the score that is lost without it.  A model learns anew without the feature, from
the same rows and with the same seed (leave one covariate out: Lei et al., Distribution-Free
Predictive Inference For Regression, 2018, section 6).  Where that takes too long the feature is
shuffled instead, and the model stays (Breiman, Random Forests, 2001, section 10): of two features
that say the same, neither then looks as spare as it is.

A feature that shows no value still costs: it has to be delivered, logged and watched.  The report
is a reason to ask: two features that say the same show no value each, and together they may.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import pandas as pd
import typer
from scipy.stats import t
from threadpoolctl import threadpool_limits

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.data.agreements import promises
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.reading import files
from mlops_ladder.data.sources import read_sources
from mlops_ladder.export.runtime import as_rows
from mlops_ladder.model.breakdown import bars
from mlops_ladder.model.prediction import LOWER_IS_BETTER, predict
from mlops_ladder.model.resampling import Draws, Measured, resampled
from mlops_ladder.model.training import build_baseline, fit, learnable, split, Trained
from mlops_ladder.monitoring.joining import artifact
from mlops_ladder.pipeline.tuning import changed
from mlops_ladder.problem import read_data
from mlops_ladder.registry import versions
from mlops_ladder.registry.history import Entry
from mlops_ladder.serving.rollout.experiment import aligned
from mlops_ladder.settings import load, Settings
from mlops_ladder.tracking import runs

REPEATS = 5  # pairs of models: how much the score hangs on the rows that were there to learn from
PASSES, PLACES = 20, (5, 14)  # the 6th and 15th of 20 in order hold their median with 96 %
BATCH = 1000  # rows that are answered in a pass
QUICK = 2000  # rows that a model learns from which is only timed
FOLDER = Path("reports/features")
ARTIFACT = "features/report.json"
SECONDS = 600.0
HEAD = """\
# Features of v{version}

For the person who decides which features the model has. `make features` writes it: {method}, judged by
`{metric}` on {rows:,} rows held out, with a 95 % interval; of 40 worthless features about one may look
valuable by chance. Model `{model_version}`, run `{run_id}`, data sha256 `{data_sha256}`{differs}.

![What each feature is worth]({picture})
"""
METHODS = {
    True: f"ablation ({REPEATS} pairs of models learn from drawn rows, with and without each)",
    False: f"permutation (each is shuffled {REPEATS} times, as learning anew takes too long)",
}
Report = dict[str, Any]


@dataclass(frozen=True)
class Worth:
    """What one feature is worth and costs.

    `value`: the score that is lost without it, above 0 where it helps; `milliseconds` that 1,000
    rows take longer with it; `size`: its bytes in a logged row; `missing`: its share without value.
    """

    name: str
    value: Measured
    milliseconds: Measured
    size: float
    missing: float

    @property
    def verdict(self) -> str:
        """Is it worth something, does it do harm, or can neither be told from nothing?"""
        if self.value.low > 0:
            return "valuable"
        return "harmful" if self.value.high < 0 else "no value shown"


def too_slow(whole: Trained, seconds: float) -> bool:
    """Would learning anew without each feature take longer than that?"""
    return whole.seconds * REPEATS * (len(whole.contract.inputs()) + 1) > seconds


def without(contract: Contract, name: str) -> Contract:
    """The contract in which the model does not see this column."""
    unseen = contract.columns[name].model_copy(update={"role": "ignored"})
    return contract.model_copy(update={"columns": contract.columns | {name: unseen}})


def learned(rows: pd.DataFrame, contract: Contract, settings: Settings) -> Any:
    """A model of these rows; where it may see nothing at all, one that ignores the features."""
    if contract.inputs():
        return fit(rows, rows.head(1), contract, settings).model
    return build_baseline(settings).fit(rows[[contract.target]], rows[contract.target])


def answers(model: Any, rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """What a model of this contract says of these rows."""
    return predict(model, rows[contract.inputs() or [contract.target]])


def drawn(rows: pd.DataFrame, contract: Contract, settings: Settings, place: int) -> pd.DataFrame:
    """As many rows, drawn with replacement; of a class as many as it has."""
    chosen: Any = rows.groupby(contract.target) if settings.problem == "classification" else rows
    found: pd.DataFrame = chosen.sample(frac=1, replace=True, random_state=settings.seed + place)
    return found


def review(whole: Trained, ablated: bool) -> Iterator[Worth]:
    """What each input of the model is worth, one after the other: learned anew, or shuffled."""
    contract, settings = whole.contract, whole.settings
    sets = [drawn(whole.train, contract, settings, place) for place in range(REPEATS)]
    quick = whole.train.sample(min(len(whole.train), QUICK), random_state=settings.seed)
    quick = quick if quick[contract.target].nunique() > 1 else whole.train
    with threadpool_limits(1):  # both models of a pair have the same machine
        models = [learned(rows, contract, settings) for rows in sets] if ablated else []
        full = [scored(whole, answers(it, whole.holdout, contract)) for it in models]
        full = full or [scored(whole, whole.predictions)] * REPEATS
        timed = learned(quick, contract, settings)
        for name in contract.inputs():
            less = without(contract, name)
            said = anew(whole, sets, less) if ablated else shuffled(whole, name)
            value = lost(full, [scored(whole, it) for it in said], settings.metric)
            slower = paired(whole, timed, learned(quick, less, settings), less)
            missing = float(whole.train[name].isna().mean())
            yield Worth(name, value, slower, logged_bytes(whole, name), missing)


def anew(whole: Trained, sets: list[pd.DataFrame], less: Contract) -> Iterator[pd.DataFrame]:
    """What models that see less say of the held-out rows, each learned from a set of rows."""
    for rows in sets:
        yield answers(learned(rows, less, whole.settings), whole.holdout, less)


def shuffled(whole: Trained, name: str) -> Iterator[pd.DataFrame]:
    """What the model says of the held-out rows with the values of a column in another order."""
    random = np.random.default_rng(whole.settings.seed)
    for _ in range(REPEATS):
        mixed = whole.holdout[name].sample(frac=1, random_state=random).array
        yield answers(whole.model, whole.holdout.assign(**{name: mixed}), whole.contract)


def scored(whole: Trained, said: pd.DataFrame) -> Draws:
    """The score of what was said of the held-out rows, and of draws of them: always the same."""
    settings = whole.settings
    return resampled(settings.metric, whole.truth, {"": said}, settings.seed)[""]


def lost(full: list[Draws], less: list[Draws], metric: str) -> Measured:
    """The mean loss of score over the pairs, with a 95 % interval.

    Both kinds of chance are in it, as independent ones: which rows were held out, by the paired
    bootstrap, and which were there to learn from, by the spread of the pairs (Student's t).
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    pairs = [more - fewer for more, fewer in zip(full, less, strict=True)]
    wholes = np.array([it.whole for it in pairs])
    mean = Draws(float(wholes.mean()), np.mean([it.drawn for it in pairs], axis=0), full[0].scale)
    held = mean.around(sign * mean.whole, sign)
    kept = t.ppf(0.975, len(pairs) - 1) * wholes.std(ddof=1) / len(pairs) ** 0.5
    low, high = (float(np.hypot(edge - held.value, kept)) for edge in (held.low, held.high))
    return Measured(held.value, held.value - low, held.value + high)


def paired(whole: Trained, more: Any, fewer: Any, less: Contract) -> Measured:
    """How much longer 1,000 rows take with a feature, in ms: the median of pairs of passes."""
    short = len(whole.holdout) < BATCH
    rows = whole.holdout.sample(BATCH, replace=short, random_state=whole.settings.seed)
    asked = ((more, whole.contract), (fewer, less))
    found = []
    for _ in range(PASSES):
        ends = [time.perf_counter()]
        for model, contract in asked:
            answers(model, rows, contract)
            ends.append(time.perf_counter())
        found.append(1000 * ((ends[1] - ends[0]) - (ends[2] - ends[1])))
    low, high = (sorted(found)[place] for place in PLACES)
    return Measured(float(np.median(found)), low, high)


def logged_bytes(whole: Trained, name: str) -> float:
    """How many bytes the column takes in a row of the prediction log, on average."""
    rows = as_rows(whole.holdout[[name]].head(BATCH))
    sizes = [len(orjson.dumps(row, default=str)) - 1 for row in rows]  # a brace, the other a comma
    return float(np.mean(sizes))


def champion() -> Entry:
    """The decision that made the champion.  ProjectError where there is none."""
    found = versions.held().champion
    if not found:
        raise ProjectError("no version is champion: it has no features yet; run `make pipeline`")
    return found


def again(entry: Entry, settings: Settings) -> Trained:
    """The champion made again: by its contract and parameters, from the data that are here.

    Raises ProjectError where its metric says nothing on the rows held out.
    """
    mlflow = runs.connect()
    place = mlflow.artifacts.download_artifacts(f"runs:/{entry.run_id}/contract.toml")
    contract = read_contract(Path(place))
    tags = mlflow.get_run(entry.run_id).data.tags
    settings = changed(settings, json.loads(tags.get("model.parameters", "{}")))
    rows = learnable(read_data(settings), contract, settings)
    found = fit(*split(rows, contract, settings), contract, settings)
    if not isfinite(found.scores[settings.metric]):
        rows_held = f"the {len(found.holdout):,} rows held out"
        way_out = "choose another in config.toml"
        raise ProjectError(f"metric = {settings.metric!r}: not defined on {rows_held}; {way_out}")
    return found


def owners(settings: Settings) -> Mapping[str, str]:
    """Who owns each column, by a contract that names it; "" is who owns the files."""
    used = {str(path) for path in files(settings.data.path)}
    named = [it["owner"] for it in read_sources().values() if used & set(it["files"])]
    known = {name: it.owner for it in promises().values() for name in it.columns}
    return known | {"": ", ".join(dict.fromkeys(named)) or "nobody is named"}


def reported(entry: Entry, whole: Trained, found: list[Worth], ablated: bool) -> Report:
    """All that was found, ready for JSON, the most valuable first."""
    known = owners(whole.settings)
    order = sorted(found, key=lambda it: -it.value.value)
    same = whole.version == entry.model_version
    return {
        "version": entry.version,
        "run_id": entry.run_id,
        "model_version": entry.model_version,
        "data_sha256": entry.data_sha256,
        "differs": "" if same else "; made again here from other data or code it is another model",
        "metric": whole.settings.metric,
        "rows": len(whole.holdout),
        "method": METHODS[ablated],
        "features": [
            asdict(it) | {"verdict": it.verdict, "owner": known.get(it.name, known[""])}
            for it in order
        ],
    }


def cells(it: Report) -> list[str]:
    """The cells of a feature: as text, what would end a cell of Markdown written otherwise."""
    value, slower = it["value"], it["milliseconds"]
    return [
        it["name"].replace("|", "&#124;"),
        it["verdict"],
        f"{value['value']:.4f} ({value['low']:.4f} to {value['high']:.4f})",
        f"{slower['value']:.2f} ({slower['low']:.2f} to {slower['high']:.2f})",
        f"{it['size']:.0f}",
        f"{it['missing']:.1%}",
        it["owner"].replace("|", "&#124;"),
    ]


def table(report: Report) -> list[list[str]]:
    """The table of all features, its head first."""
    head = ["feature", "verdict", f"{report['metric']} lost without it"]
    head += ["ms more for 1,000 rows", "bytes logged a row", "missing", "owner"]
    return [head, *map(cells, report["features"])]


def page(report: Report) -> str:
    """The report as Markdown."""
    head, *rows = table(report)
    lines = [head, ["---"] * len(head), *rows]
    picture = f"v{report['version']}.png"
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([HEAD.format(**report, picture=picture), *body, "", told(report), ""])


def told(report: Report) -> str:
    """Which features show no value, or do harm, in words."""
    by = {
        verdict: [f"`{it['name']}`" for it in report["features"] if it["verdict"] == verdict]
        for verdict in ("no value shown", "harmful")
    }
    lines = [
        f"Not to be told from nothing: {', '.join(by['no value shown']) or 'none'}.",
        f"Better without: {', '.join(by['harmful']) or 'none'}.",
        "A feature without value may share what it says with another: take out one at a time.",
    ]
    return "\n".join(lines)


def write(report: Report) -> Path:
    """Write page and picture, and have the run of the champion hold the report."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"v{report['version']}.md"
    values = {it["name"]: it["value"]["value"] for it in report["features"]}
    bars(pd.Series(values), f"{report['metric']} lost without it", path.with_suffix(".png"))
    write_whole(path, page(report))
    client = runs.connect().MlflowClient()
    client.log_text(report["run_id"], json.dumps(report, ensure_ascii=False), ARTIFACT)
    return path


def evidence(_: Settings) -> dict[str, Report] | None:
    """The report of the champion, as its run holds it; None where nobody has made one."""
    entry = versions.held().champion
    text = artifact(entry.run_id, ARTIFACT) if entry else None
    return {"features": dict(json.loads(text))} if text else None


def main(
    seconds: Annotated[float, typer.Option(help="how long learning anew may take")] = SECONDS,
) -> None:
    """Say what each feature of the champion is worth and costs, and write its report."""
    settings, entry = load(), champion()
    whole = again(entry, settings)
    ablated = not too_slow(whole, seconds)
    found = []
    for it in review(whole, ablated):
        found.append(it)
        print(f"{len(found)}/{len(whole.contract.inputs())} {it.name}: {it.verdict}", flush=True)
    report = reported(entry, whole, found, ablated)
    print(
        f"\n{METHODS[ablated]}\n\n{aligned(table(report))}\n\n{told(report)}\nWrote {write(report)}"
    )
