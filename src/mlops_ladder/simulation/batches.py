"""The batches of the simulation: each day is a file, and what is new is scored as on schedule."""

from pathlib import Path

import pandas as pd
from fastapi import FastAPI

from mlops_ladder.batch.backfill import score_arrivals
from mlops_ladder.batch.runs import read_runs
from mlops_ladder.data.contract import read_contract
from mlops_ladder.data.datafile import write_rows_like
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.monitoring.outcomes import REQUEST, ROW
from mlops_ladder.registry.versions import list_versions
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation.service import HOURS, NOON, Service

ARRIVALS = Path("data/arrivals")


class Batches(Service):
    """Scores a file of rows each day, in place of requests; its server takes messages only.

    A batch fails if a row has no answer.
    """

    def create_app(self) -> FastAPI:
        """Return a service without predictions."""
        app = FastAPI()
        app.add_api_route("/ready", lambda: {"status": "ready"})
        return app

    def answer(self, rows: pd.DataFrame, day: int) -> pd.DataFrame:
        """Score the rows of a day as a new file; return the request and row of each answer."""
        settings, like = load_settings(), list_data_files(self.settings.data.path)[0]
        path = ARRIVALS / f"day-{day}{like.suffix}"
        path.parent.mkdir(exist_ok=True)
        write_rows_like(rows, like, path, settings.data, read_contract())
        self.clock.at(day + NOON + HOURS)
        score_arrivals(settings)
        answers = [pd.read_csv(out) for out in Path("predictions").glob(f"day-{day}-*.csv")]
        keys = pd.concat([frame[[REQUEST, ROW]] for frame in answers], ignore_index=True)
        self.asked, self.failed = self.asked + 1, self.failed + (len(keys) < len(rows))
        self.days |= dict.fromkeys(keys[REQUEST], day)
        return keys

    def read_version(self) -> str:
        """Return the number of the version that scored the last batch."""
        model = read_runs(self.settings)[-1].model_version
        numbers = {version.model_version: number for number, version in list_versions().items()}
        return str(numbers[model])
