"""Objectives: what is promised over 30 days, as Prometheus rules for the burn rate of its budget.

An error budget is what may fail in 30 days.  A burn rate of 1 spends it in just that time.  The
alerts follow The Site Reliability Workbook (Google, 2018), chapter 5, "Multiwindow, Multi-Burn-Rate
Alerts": a page if 2 % is gone within an hour (14.4) or 5 % within six (6), a ticket if 10 % is gone
within three days (1).  A window of a twelfth shows that it still goes on.
"""

from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import project, ProjectError, write_file_atomically
from mlops_ladder.serving.metrics import LATENCY_BOUNDS
from mlops_ladder.settings import load_settings
from mlops_ladder.templates import render_template
from mlops_ladder.monitoring.settings import Objectives

RULES = Path("monitoring/slo_rules.yml")
SHORT, LONG = ("5m", "30m", "1h"), ("6h", "3d", "30d")
TEMPLATE = Path(__file__).with_name("slo_rules.yml.j2")


def render_rules(settings: Objectives) -> str:
    """Return the text of the rules; each namespace is judged by itself."""
    edge = f"{settings.latency_ms / 1000:g}"
    return render_template(
        TEMPLATE,
        namespaces=f'namespace=~"{project.get_project().namespace}-(production|staging)"',
        shares=settings.model_dump(exclude={"latency_ms"}),
        edges=edge if "." in edge else f"{edge}|{edge}.0",  # as an older Prometheus writes it
        short=SHORT,
        long=LONG,
    )


def require_bucket(settings: Objectives) -> Objectives:
    """Return the settings.  Raise ProjectError if the service has no bucket of that latency."""
    edges = [1000 * seconds for seconds in LATENCY_BOUNDS]
    if settings.latency_ms not in edges:
        bounds = ", ".join(f"{edge:g}" for edge in edges)
        reason = "is no edge of the service's histogram; there are"
        raise ProjectError(f"objectives.latency_ms = {settings.latency_ms:g} {reason} {bounds}")
    return settings


def main(check: Annotated[bool, typer.Option("--check", help="only compare")] = False) -> None:
    """Write the rules of the objectives, or check that the written ones are up to date."""
    text = render_rules(require_bucket(load_settings().objectives))
    if not check:
        write_file_atomically(RULES, text)
        print(f"Wrote {RULES}.  Next: make alerts")
    elif RULES.exists() and RULES.read_text(encoding="utf-8") == text:
        print(f"{RULES}: as config/objectives.toml says")
    else:
        raise ProjectError(f"{RULES}: not those of config/objectives.toml; run: make objectives")
