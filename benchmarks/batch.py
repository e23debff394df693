# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3"]
# ///
"""Seconds and memory of a batch: `make predict`, a script, and `mlflow models predict`.

uv run --script benchmarks/batch.py [--rounds N] [--rows N] [--alone N]

All answer with the champion of one project.  `--alone` is a number of rows for `make predict` only.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from peers import environment, HERE, project_of, run

# The rows of the sample over and over, as Parquet in row groups and, up to a million, as CSV and as
# JSON: `mlflow models predict` takes no time from a CSV.
REPEATED = """
import sys
import pyarrow as pa, pyarrow.parquet as pq
from mlops_ladder.data.contract import read_contract
from mlops_ladder.data.reading import read_table
from mlops_ladder.settings import load_settings
contract = read_contract()
rows = read_table(load_settings().data.path, load_settings().data, contract)
table, left = pa.Table.from_pandas(rows, preserve_index=False), int(sys.argv[1])
with pq.ParquetWriter("rows.parquet", table.schema) as file:
    while left > 0:
        part = table.slice(0, left)
        file.write_table(part)
        left -= part.num_rows
if int(sys.argv[1]) <= 10**6:
    many = pq.read_table("rows.parquet").to_pandas()
    many.to_csv("rows.csv", index=False)
    text = many[contract.inputs()].to_json(orient="split", index=False)
    open("rows.json", "w").write('{"dataframe_split": ' + text + "}")
"""
MODEL = "models:/flight_delays@champion"
BY_HAND = f".venv/bin/python {HERE / 'batch_script.py'} {MODEL} rows.csv out.csv"
MLFLOW = f".venv/bin/mlflow models predict -m {MODEL} --env-manager local -t json"
PARTIES = {
    "mlops-ladder: checked, logged": ".venv/bin/ladder predict --data rows.csv --out out.csv",
    "a plain script, all at once": BY_HAND,
    "mlflow models predict": f"{MLFLOW} -i rows.json -o out.json",
}


def measure(project: Path, command: str) -> tuple[float, float]:
    """Return the seconds of a command, and the MiB of its largest process."""
    for name in ("out.csv", "out.json", "out.parquet", "predictions.db"):
        (project / name).unlink(missing_ok=True)
    here = environment() | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    here["PATH"] = f"{project}/.venv/bin:{here['PATH']}"
    begun = time.perf_counter()
    with subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=project, env=here, stdout=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command}: ended with {process.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def main() -> None:
    """Measure by turns, and print a table."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--alone", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        project = project_of(Path(name).resolve(), 2, "pipeline")
        repeat = (project / ".venv/bin/python", "-c", REPEATED)
        run(*repeat, str(asked.rows), at=project)
        turns = [
            {party: measure(project, command) for party, command in PARTIES.items()}
            for _ in range(asked.rounds)
        ]
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {asked.rows:,} rows\n")
        print("| party | median s | rows a second | MiB | ours / peer |\n|---|---:|---:|---:|---:|")
        for party in PARTIES:
            seconds = median(turn[party][0] for turn in turns)
            ratio = median(turn[next(iter(PARTIES))][0] / turn[party][0] for turn in turns)
            size = max(turn[party][1] for turn in turns)
            print(
                f"| {party} | {seconds:.1f} | {asked.rows / seconds:,.0f} |"
                f" {size:,.0f} | {ratio:.2f} |"
            )
        if asked.alone:
            run(*repeat, str(asked.alone), at=project)
            command = ".venv/bin/ladder predict --data rows.parquet --out out.parquet"
            seconds, size = measure(project, command)
            rate = asked.alone / seconds
            print(
                f"\n{asked.alone:,} rows: {seconds:.0f} s,"
                f" {rate:,.0f} rows a second, {size:,.0f} MiB"
            )


if __name__ == "__main__":
    main()
