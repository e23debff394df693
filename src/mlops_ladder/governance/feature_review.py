"""The review of the features: what each one of the champion is worth, and what it costs.

A feature that shows no value still costs: it has to be delivered, logged and watched.  The report
is a reason to ask: two features that say the same show no value each, and together they may.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.data.agreements import promises
from mlops_ladder.data.contract import read_contract
from mlops_ladder.data.reading import files
from mlops_ladder.data.sources import read_sources
from mlops_ladder.governance.ablation import REPEATS, review, too_slow, Worth
from mlops_ladder.model.breakdown import bars
from mlops_ladder.model.training import fit, learnable, split, Trained
from mlops_ladder.monitoring.offline_scores import artifact
from mlops_ladder.pipeline.tuning import changed
from mlops_ladder.problem import read_data
from mlops_ladder.registry import versions
from mlops_ladder.registry.history import Entry
from mlops_ladder.settings import load, Settings
from mlops_ladder.tracking import runs

FOLDER = Path("reports/features")
ARTIFACT = "features/report.json"
SECONDS = 600.0
HEAD = """\
# Features of v{version}

For whoever decides which features the model has. `make features` writes it: {method}, judged by
`{metric}` on {rows:,} rows held out, with a 95 % interval; of 40 worthless features about one may look
valuable by chance. Model `{model_version}`, run `{run_id}`, data sha256 `{data_sha256}`{differs}.

![What each feature is worth]({picture})
"""
METHODS = {
    True: f"ablation ({REPEATS} pairs of models learn from drawn rows, with and without each)",
    False: f"permutation (each is shuffled {REPEATS} times, as learning anew takes too long)",
}
Report = dict[str, Any]


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
    return "\n".join(
        [
            HEAD.format(**report, picture=picture),
            *(f"| {' | '.join(line)} |" for line in lines),
            "",
            told(report),
            "",
        ]
    )


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


def shown(report: Report) -> str:
    """The table for a terminal."""
    lines = table(report)
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


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
    print(f"\n{METHODS[ablated]}\n\n{shown(report)}\n\n{told(report)}\nWrote {write(report)}")
