"""Costs: of 1,000 predictions and of a training, from measured times and the prices of an hour.

Two times are measured: that of answering requests (the prediction log), and that of a pipeline from
its first trial to its last record (MLflow).  The number of busy processors is not measured, nor
other work of the machine.  So each cost is an estimate.
"""

from datetime import datetime, timedelta, UTC
from pathlib import Path
from statistics import median
from typing import NamedTuple

from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.monitoring.settings import Costs
from mlops_ladder.templates import render_template
from mlops_ladder.tracking import runs

TEMPLATE = Path(__file__).with_name("costs.txt.j2")
DAYS = 30
HOUR = 3600


class ServedTraffic(NamedTuple):
    """The rows of a time, the seconds in which they were answered, and its hours."""

    rows: int
    busy: float
    hours: float


def measure_traffic(settings: Settings, now: datetime) -> ServedTraffic:
    """Return the traffic of the last 30 days, from its first request on.

    Raises ProjectError if there is none.
    """
    with Archive(settings.serving.prediction_log_url) as archive:
        traffic = archive.read_traffic(now - timedelta(days=DAYS))
    hours = max((now - traffic["time"].iloc[0]) / timedelta(hours=1), 1 / HOUR)
    return ServedTraffic(int(traffic["rows"].sum()), traffic["ms"].sum() / 1000, hours)


def measure_trainings(now: datetime) -> list[float]:
    """Return the seconds of each pipeline of the last 30 days."""
    mlflow = runs.connect_mlflow()
    since = int((now - timedelta(days=DAYS)).timestamp() * 1000)
    spans: dict[str, list[int]] = {}
    query = f"attributes.start_time >= {since} and attributes.status = 'FINISHED'"
    options = {"search_all_experiments": True, "output_format": "list", "max_results": 10_000}
    for run in mlflow.search_runs(filter_string=query, **options):
        if name := run.data.tags.get("prefect.flow_run_id"):
            spans.setdefault(name, []).extend([run.info.start_time, run.info.end_time])
    return [(max(span) - min(span)) / 1000 for span in spans.values()]


def format_costs(traffic: ServedTraffic, trainings: list[float], costs: Costs) -> str:
    """Return both costs for a person, with the measured times and the assumptions.

    Args:
        traffic: The rows that were served.
        trainings: The seconds of each training.
        costs: The prices.
    """
    facts = {"traffic": traffic, "trainings": trainings, "costs": costs, "days": DAYS}
    return render_template(TEMPLATE, middle=median(trainings or [0]), **facts)


def main() -> None:
    """Print what 1,000 predictions and a training cost, by the prices of config/costs.toml."""
    settings, now = load_settings(), datetime.now(UTC)
    traffic, trainings = measure_traffic(settings, now), measure_trainings(now)
    print(format_costs(traffic, trainings, settings.costs), end="")
