"""Costs: of 1,000 predictions and of a training, from what was measured and what an hour costs.

What is measured: the time in which requests were answered, in the prediction log; how long the runs
of a pipeline last, from its first trial to its last record, in MLflow.  What is not: how many
processors that kept busy, and what a machine does beside it; so each cost is an estimate.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, UTC
from statistics import median

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.monitoring.settings import Costs
from mlops_ladder.tracking import runs

DAYS = 30
HOUR = 3600


@dataclass(frozen=True)
class Served:
    """What was asked in a time: rows, the seconds in which they were answered, and the hours."""

    rows: int
    busy: float
    hours: float

    def busy_cost(self, costs: Costs) -> float:
        """Of 1,000 predictions where machines stand for nothing else, and no longer."""
        return 1000 * self.busy / self.rows * costs.serving_hour / HOUR

    def whole_cost(self, costs: Costs) -> float:
        """Of 1,000 predictions with the hours in which the machines wait."""
        return 1000 * self.hours * costs.replicas * costs.serving_hour / self.rows


def served(settings: Settings, now: datetime) -> Served:
    """The last 30 days, from the first request in them.  ProjectError where there is none."""
    since = now - timedelta(days=DAYS)
    with Archive(settings.serving.prediction_log_url) as archive:
        asked = [(time, rows, ms) for time, _, rows, ms in archive.traffic(since)]
    if not asked:
        message = f"the prediction log: no request in {DAYS} days; run `make serve`, ask it"
        raise ProjectError(message)
    first = asked[0][0] if asked[0][0].tzinfo else asked[0][0].replace(tzinfo=UTC)
    hours = max((now - first).total_seconds() / HOUR, 1 / HOUR)
    return Served(sum(it[1] for it in asked), sum(it[2] for it in asked) / 1000, hours)


def trainings(now: datetime) -> list[float]:
    """The seconds of each pipeline of the last 30 days."""
    mlflow = runs.connect_mlflow()
    since = int((now - timedelta(days=DAYS)).timestamp() * 1000)
    spans: dict[str, list[int]] = {}
    found = mlflow.MlflowClient().search_runs(
        [it.experiment_id for it in mlflow.search_experiments()],
        filter_string=f"attributes.start_time >= {since} and attributes.status = 'FINISHED'",
        max_results=10_000,
    )
    for run in found:
        if name := run.data.tags.get("prefect.flow_run_id"):
            spans.setdefault(name, []).extend([run.info.start_time, run.info.end_time])
    return [(max(it) - min(it)) / 1000 for it in spans.values()]


def told(of_predictions: Served, of_trainings: list[float], costs: Costs) -> str:
    """Both costs for a person, with what they rest on."""
    it, hour = of_predictions, f"{costs.currency} an hour"
    lines = [
        priced("1,000 predictions, busy time alone", it.busy_cost(costs), costs),
        priced("1,000 predictions, waiting included", it.whole_cost(costs), costs),
        f"  measured: {it.rows:,} rows answered in {it.busy:.1f} s, in {it.hours:.1f} hours",
        f"  assumed: {costs.replicas} machine(s) all that time, {costs.serving_hour:g} {hour}",
    ]
    if not of_trainings:
        return "\n".join([*lines, f"a training: none in {DAYS} days; run: make pipeline"])
    middle, price = median(of_trainings), costs.training_hour / HOUR
    lines += [
        priced("a training", middle * price, costs),
        priced(f"all trainings of {DAYS} days", sum(of_trainings) * price, costs),
        f"  measured: {len(of_trainings)}, {middle:.0f} s each (median), from trial to record",
        f"  assumed: one machine, {costs.training_hour:g} {hour}; reading rows is not in it",
    ]
    return "\n".join(lines)


def priced(what: str, cost: float, costs: Costs) -> str:
    """A line of the bill."""
    return f"{what:36}{cost:14.6f} {costs.currency}"


def main() -> None:
    """Say what 1,000 predictions and a training cost, by the prices of config/costs.toml."""
    settings, now = load_settings(), datetime.now(UTC)
    print(told(served(settings, now), trainings(now), settings.costs))
    print("Prices: config/costs.toml")
