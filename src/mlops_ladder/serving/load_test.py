"""Load: what the service carries, on rows of the configured data, against budgets."""

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.data.contract import read_contract
from mlops_ladder.problem import read_data
from mlops_ladder.serving.traffic import bodies, measured, readiness, Sent, service
from mlops_ladder.settings import load
from mlops_ladder.settings.operations import Load

REPORT, PICTURE = Path("reports/load.json"), Path("reports/load.png")


@dataclass(frozen=True)
class Budget:
    """What was measured, and the most that it may be."""

    name: str
    unit: str
    measured: float | None
    limit: float

    @property
    def broken(self) -> bool:
        """Is it more?  What could not be measured is not."""
        return self.measured is not None and self.measured > self.limit

    def __str__(self) -> str:
        found = "not measured" if self.measured is None else f"{self.measured:.4g} {self.unit}"
        verdict = "-" if self.measured is None else "BROKEN" if self.broken else "ok"
        return f"{self.name:10} {found:>16}   at most {self.limit:g} {self.unit:7} {verdict}"


def budgets(sent: Sequence[Sent], held: float | None, wanted: Load) -> list[Budget]:
    """What was measured, each beside its budget.  ProjectError where nothing was answered."""
    times = [seconds * 1000 for _, seconds, status in sent if status == 200]
    if not times:
        found = summary(sent)["statuses"] if sent else "none was sent"
        raise ProjectError(f"no request was answered (by status: {found}); see make serve")
    p95 = float(np.quantile(times, 0.95))
    errors = sum(status != 200 for *_, status in sent) / len(sent)
    return [
        Budget("p95", "ms", p95, wanted.p95_ms),
        Budget("errors", "share", errors, wanted.error_share),
        Budget("memory", "MiB", held, wanted.memory_mib),
    ]


def summary(sent: Sequence[Sent]) -> dict[str, Any]:
    """How many requests were answered how, how fast, and how many a second."""
    times = np.array([seconds for _, seconds, _ in sent]) * 1000
    statuses, counts = np.unique([status for *_, status in sent], return_counts=True)
    seconds = max(began + took for began, took, _ in sent) - sent[0][0]
    quantiles = {f"p{share}_ms": float(np.percentile(times, share)) for share in (50, 95, 99)}
    return {
        "requests": len(sent),
        "per_second": len(sent) / seconds,
        "statuses": {
            str(status): int(count) for status, count in zip(statuses, counts, strict=True)
        },
    } | quantiles


def draw(sent: Sequence[Sent], wanted: Load) -> None:
    """A picture of how long answers took, and how many came in each part of the time."""
    # pylint: disable=import-outside-toplevel  # 0.5 s
    from matplotlib.ticker import LogFormatter

    from mlops_ladder.model.figures import empty_figure

    figure = empty_figure(9, 3.5)
    left, right = figure.subplots(1, 2)
    times = np.sort([seconds * 1000 for _, seconds, _ in sent])
    left.plot(times, np.arange(1, len(times) + 1) / len(times))
    left.axvline(wanted.p95_ms, color="tab:red", linestyle="--", label="budget of p95")
    left.set(xlabel="milliseconds to the answer", ylabel="share of requests", xscale="log")
    left.xaxis.set(major_formatter=LogFormatter(), minor_formatter=LogFormatter())
    left.legend()
    ends = np.array([began + took for began, took, _ in sent]) - sent[0][0]
    counts, edges = np.histogram(ends, bins=20)
    right.stairs(counts / np.diff(edges), edges, fill=True)
    right.set(xlabel="seconds", ylabel="answers per second")
    figure.savefig(PICTURE)


def report(sent: Sequence[Sent], judged: Sequence[Budget], wanted: Load) -> None:
    """Print what was measured, and keep it as a file and as a picture."""
    found = summary(sent)
    said = found | {"load": wanted.model_dump(), "budgets": [asdict(budget) for budget in judged]}
    write_whole(REPORT, json.dumps(said, indent=2) + "\n")
    draw(sent, wanted)
    print(f"{found['requests']:,} requests, {found['per_second']:,.0f} a second", end=": ")
    print(", ".join(f"p{share} {found[f'p{share}_ms']:.2f} ms" for share in (50, 95, 99)))
    for budget in judged:
        print(budget)
    print(f"Wrote {REPORT} and {PICTURE}")


def memory(pid: int) -> float | None:
    """The most MiB that a process has held; None where this system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
    return int(peak) / 1024 if peak else None


def main(
    url: Annotated[
        str | None,
        typer.Option(help="of a running service (KEY in the environment: its key)"),
    ] = None,
) -> None:
    """Put load on a service; ProjectError where it breaks a budget of config/load.toml."""
    settings = load()
    wanted = settings.load
    if url and not (found := readiness(url))[0]:
        raise ProjectError(f"URL {url}: no service answers: {found[1]}")
    requests = bodies(read_data(settings), read_contract(), wanted.rows)
    with nullcontext((url, 0)) if url else service() as (address, process):
        sent = measured(address, requests, wanted, os.environ.get("KEY", ""))
        judged = budgets(sent, memory(process) if process else None, wanted)
    report(sent, judged, wanted)
    if broken := [budget.name for budget in judged if budget.broken]:
        raise ProjectError(f"over budget: {', '.join(broken)}; see {REPORT}, [load]")
