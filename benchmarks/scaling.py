# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3"]
# ///
"""What a batch of many rows takes in one process, on workers, and by a script by hand.

uv run --script benchmarks/scaling.py [--rounds N] [--rows N ...] [--workers N]
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired import by_turns, Party, table
from peers import environment, HERE, project_of, run

# The rows of the sample over and over, in row groups as a warehouse would write them.
REPEATED = """
import sys
import pandas as pd, pyarrow as pa, pyarrow.parquet as pq
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
rows = read_data(load_settings())
table = pa.Table.from_pandas(rows.astype({it: "string" for it in rows.select_dtypes("object")}))
left = int(sys.argv[2])
with pq.ParquetWriter(sys.argv[1], table.schema) as file:
    while left > 0:
        file.write_table(table.slice(0, left))
        left -= table.num_rows
"""


def ready(project: Path, rows: Path) -> Callable[[Path], object]:
    """A preparation: the rows stand in the project.  It stays in place: a copy is refused."""

    def prepared(folder: Path) -> None:
        for name in ("rows.parquet", "out.parquet"):
            (project / name).unlink(missing_ok=True)
        (project / "rows.parquet").symlink_to(rows)
        folder.mkdir()

    return prepared


def name_parties(project: Path, rows: Path, workers: int) -> list[Party]:
    """Return the parties: the project on workers, in one process, and a script by hand."""
    there, prepare = f"cd {project} &&", ready(project, rows)
    scale = f"FLIGHT_DELAYS_SCALE__BACKEND=dask FLIGHT_DELAYS_SCALE__WORKERS={workers}"
    predict = ".venv/bin/ladder predict --data rows.parquet --out out.parquet"
    script = f".venv/bin/python {HERE / 'batch_script.py'} models:/flight_delays@champion"
    by_hand = f"MLFLOW_TRACKING_URI=sqlite:///mlflow.db {script} rows.parquet out.parquet"
    return [
        Party(f"mlops-ladder, {workers} workers", f"{there} {scale} {predict}", prepare),
        Party("mlops-ladder, one process", f"{there} {predict}", prepare),
        Party("a script by hand: all at once, no checks", f"{there} {by_hand}", prepare),
    ]


def main() -> None:
    """Measure, and print a table for each number of rows."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load {load:.1f} at the start, {asked.rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        project = project_of(scratch, 4, "pipeline")
        for count in asked.rows:
            rows = scratch / f"{count}.parquet"
            run(project / ".venv/bin/python", "-c", REPEATED, rows, str(count), at=project)
            parties = name_parties(project, rows, asked.workers)
            timed = by_turns(parties, asked.rounds, scratch, environment())
            print(f"\n{count:,} rows\n\n{table(timed)}", flush=True)


if __name__ == "__main__":
    main()
