"""The model card: rendered from a run and from `[about]` of `config.toml`, never by hand."""

import re
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import Contract, read_contract, Role
from mlops_ladder.data.sources import feeds_training, read_sources
from mlops_ladder.markdown import raise_for_differences, split_page
from mlops_ladder.model.evaluation import is_better
from mlops_ladder.model.prediction import METRICS
from mlops_ladder.plugins import get_hooks
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.templates import render_template
from mlops_ladder.tracking import runs

CARD = Path("MODEL_CARD.md")
PLOTS = Path("docs/model_card")
TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CHECK = typer.Option("--check", help="change nothing; fail if it is stale")
YOURS = "<!-- What stands below this line is yours; `make card` keeps it. -->"
DESCRIBED_RUN = re.compile(r"run `([0-9a-f]{32})`")
UNSTATED = "Not stated yet: write it into `[about]` of `config.toml`."
ROLES: tuple[Role, ...] = ("target", "time", "feature", "group", "id", "personal", "ignored")


def render_model_card(run: runs.Run, settings: Settings, contract: Contract) -> str:
    """Return the card of this run, without the part below the line."""
    metrics, name = run.metrics, settings.metric
    beats_baseline = name in metrics and is_better(name, metrics[name], metrics[f"baseline.{name}"])
    sources = {
        title: source
        for title, source in read_sources().items()
        if any(feeds_training(file, settings) for file in source["files"])
    }
    text = render_template(
        TEMPLATE,
        run=run,
        settings=settings,
        names=METRICS[settings.problem],
        beats_baseline=beats_baseline,
        plots=sorted(PLOTS.glob("*.png")),
        sources=sources,
        columns={role: contract.names(role) for role in ROLES},
        unstated=UNSTATED,
    )
    return text.replace("<", "&lt;") + YOURS


def find_card_run() -> runs.Run | None:
    """Return the run that the card describes: the champion's, else the newest; None without one."""
    newest = runs.find_newest_run()
    described: runs.Run | None = get_hooks().find_described_run() if newest else None
    return described or newest


def compare_card(text: str, run: runs.Run | None, settings: Settings, contract: Contract) -> str:
    """Return a line that says what the card was compared with.

    Args:
        text: the card.
        run: the run that it has to describe; without one, nothing is compared.
        settings: of the project.
        contract: of the project.

    Raises:
        ProjectError: the card describes another run, or differs from it; shows the lines.
    """
    described = DESCRIBED_RUN.search(text)
    if run is None:
        return f"{CARD}: there is no run here to compare it with"
    if described is None or described[1] != run.run_id:
        other = f"describes run {described[1]}" if described else "describes no run"
        raise ProjectError(f"{CARD}: {other}; it has to describe {run.run_id}; run `make card`")
    page, _ = split_page(CARD, text, YOURS)
    fault = f"{CARD}: differs from its run (- card, + run); run `make card`"
    raise_for_differences(fault, page, render_model_card(run, settings, contract))
    return f"{CARD}: every number is that of run {run.run_id}"


def main(only_check: Annotated[bool, CHECK] = False) -> None:
    """Write the card of the champion, or with --check compare it with its run."""
    settings, contract, run = load_settings(), read_contract(), find_card_run()
    text = CARD.read_text(encoding="utf-8") if CARD.exists() else f"{YOURS}\n"
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
