"""The model card: rendered from a run and from `[about]` of `config.toml`, never by hand."""

import re
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.sources import read_sources
from mlops_ladder.markdown import escape_text, format_code, raise_for_differences, split_page
from mlops_ladder.model.evaluation import is_better
from mlops_ladder.model.prediction import METRICS
from mlops_ladder.plugins import get_hooks
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.tracking import runs

CARD = Path("MODEL_CARD.md")
PLOTS = Path("docs/model_card")
CHECK = typer.Option("--check", help="change nothing; fail if it is stale")
YOURS = "<!-- What stands below this line is yours; `make card` keeps it. -->"
NAMED = re.compile(r"run `([0-9a-f]{32})`")
UNSAID = "Not stated yet: write it into `[about]` of `config.toml`."
HEAD = """\
# Model card

For everyone who uses or judges the predictions of this model. `make card` writes it from the run of
the champion, or if there is none from the newest, and from `config.toml`; do not edit it by hand.
"""


def render_model_card(run: runs.Run, settings: Settings, contract: Contract) -> str:
    """The card of this run, without what stands below the line."""
    about = settings.about
    limits = "\n".join(f"- {limit}" for limit in about.limits)
    parts = [
        HEAD,
        f"**Question.** {about.question or UNSAID}\n",
        f"## Intended use\n\n{about.intended_use or UNSAID}\n",
        f"## Limits\n\n{limits or UNSAID}\n",
        f"## How good it is\n\n{scores(run, settings)}\n",
        f"## What it learns from\n\n{data(run, settings, contract)}\n",
        f"## How it was made\n\n{making(run)}\n",
    ]
    return "\n".join(parts).replace("<", "&lt;") + f"\n{YOURS}"


def scores(run: runs.Run, settings: Settings) -> str:
    """The metrics of the run with intervals and the baseline's, and which one decides."""
    found, chosen = run.metrics, settings.metric
    lines = ["| metric | held-out score | 95 % interval | baseline |", "|---|---|---|---|"]
    for name in METRICS[settings.problem]:
        if name in found:
            span = f"{found[f'{name}.low']:.4g} to {found[f'{name}.high']:.4g}"
            cells = f"{name} | {found[name]:.4g} | {span} | {found[f'baseline.{name}']:.4g}"
            lines.append(f"| {cells} |")
    if chosen in found:
        better = is_better(chosen, found[chosen], found[f"baseline.{chosen}"])
        verb = "beats" if better else "does not beat"
        lines.append(f"\nBy `{chosen}` the model {verb} the baseline.")
    rows = f"{found['rows.holdout']:,.0f} rows that training has not seen"
    pictures = [f"![{path.stem}]({path.as_posix()})" for path in sorted(PLOTS.glob("*.png"))]
    shown = "\n".join(pictures)
    return "\n".join(lines) + f" All scores are of {rows}.\n\n{shown}".rstrip()


def data(run: runs.Run, settings: Settings, contract: Contract) -> str:
    """Where the rows come from, how many there are, and what each column is used for."""
    path = settings.data.path
    rows, digest = f"{run.metrics['rows.train']:,.0f} rows", run.tags["data.sha256"]
    lines = [f"{rows} of {format_code(path)}, sha256 `{digest}`.\n"]
    for name, source in read_sources().items():
        if any(Path(file).match(path) for file in source["files"]):
            told = escape_text(f"{source['origin']}. Licence {source['licence']}.")
            lines.append(f"Source {format_code(name)}: {told}\n")
    for role in ("target", "time", "feature", "group", "id", "personal", "ignored"):
        if names := contract.names(role):
            lines.append(f"- {role}: {', '.join(map(format_code, names))}")
    return "\n".join(lines)


def making(run: runs.Run) -> str:
    """What it takes to make the model again."""
    tags = run.tags
    changed = {"true": ", with uncommitted changes", "false": ""}.get(tags["git.dirty"], "")
    lines = [
        f"- model version `{tags['model_version']}`",
        f"- run `{run.run_id}` of {run.started:%Y-%m-%d %H:%M} UTC",
        f"- commit `{tags['git.commit']}`{changed}",
        f"- lock `{tags['env.lock_sha256']}`",
        f"- seed {tags['seed']}",
    ]
    return "\n".join(lines)


def find_card_run() -> runs.Run | None:
    """The run that the card describes: the champion's, else the newest; None if there is none."""
    newest = runs.find_newest_run()
    found: runs.Run | None = get_hooks().find_described_run() if newest else None
    return found or newest


def compare_card(text: str, run: runs.Run | None, settings: Settings, contract: Contract) -> str:
    """Does the card say what this run says, which it has to describe?  In words where it does.

    Raises ProjectError that shows the lines that differ.
    """
    named = NAMED.search(text)
    if run is None:
        return f"{CARD}: there is no run here to compare it with"
    if named is None or named[1] != run.run_id:
        about = f"describes run {named[1]}" if named else "describes no run"
        raise ProjectError(f"{CARD}: {about}; it has to describe {run.run_id}; run `make card`")
    wanted, told = render_model_card(run, settings, contract), "(- card, + run); run `make card`"
    page, _ = split_page(CARD, text, YOURS)
    raise_for_differences(f"{CARD}: differs from its run {told}", page, wanted)
    return f"{CARD}: every number is that of run {run.run_id}"


def main(
    only_check: Annotated[bool, CHECK] = False,
) -> None:
    """Write the card of the champion, or with --check say whether it is still true."""
    settings, contract, run = load_settings(), read_contract(), find_card_run()
    text = CARD.read_text(encoding="utf-8") if CARD.exists() else f"{HEAD}\n{YOURS}\n"
    if only_check:
        print(compare_card(text, run, settings, contract))
        return
    if run is None:
        raise ProjectError("no run is recorded yet; run `make train`")
    _, below = split_page(CARD, text, YOURS)
    runs.download_plots(run, PLOTS)
    write_file_atomically(CARD, render_model_card(run, settings, contract) + below)
    print(f"Wrote {CARD} and {PLOTS}/ from run {run.run_id}.  Read it, then commit it.")
    if not (settings.about.intended_use and settings.about.limits):
        print("It lacks intended use or limits: write them into [about] of config.toml.")
