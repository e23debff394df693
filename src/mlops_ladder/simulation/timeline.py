"""The days of a scenario: requests, outcomes, reports, trainings and steps of a rollout."""

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.monitoring import drift, feedback, quality
from mlops_ladder.monitoring.outcomes import import_outcomes, Outcomes
from mlops_ladder.pipeline.retraining import causes, starting
from mlops_ladder.pipeline.retraining.decision import Kind
from mlops_ladder.registry.publishing import SERVING
from mlops_ladder.serving.rollout import deciding, decisions
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation.clock import Clock
from mlops_ladder.simulation.scenarios import Scenario, SCENARIOS
from mlops_ladder.simulation.service import Service
from mlops_ladder.simulation.world import break_axis, World

ROWS = 600  # on a day
CHANGE, LAST = 2, 18  # the day on which something changes, and the last one
LOOK = 8  # the day with a report on drift and quality, in the evening
EVENING = 0.9
DELAY = 1  # days until the outcome of a row is known
BY = "simulation"


class Days:
    """A scenario in this folder, day by day.

    `rows` holds the rows by day, and `keys` their names in the log; `refused`: when feedback was
    refused, and why.
    """

    def __init__(self, scenario: Scenario, world: World, service: Service, clock: Clock) -> None:
        self.scenario, self.world, self.service, self.clock = scenario, world, service, clock
        self.contract: Contract = read_contract()
        self.random = np.random.default_rng([load_settings().seed, 1])
        self.rows: dict[int, pd.DataFrame] = {}
        self.keys: dict[int, pd.DataFrame] = {}
        self.refused: list[tuple[float, str]] = []

    def run(self) -> None:
        """Run the days until a day after the last decision."""
        for day in range(1, LAST + 1):
            rolling = decisions.find_running() is not None
            self.traffic(day)
            self.evening(day)
            if day > LOOK and not rolling:
                break

    def traffic(self, day: int) -> None:
        """Draw the rows of a day with their outcomes, and have them answered."""
        self.clock.at(day)
        scenario = self.scenario if day >= CHANGE else SCENARIOS["no_drift"]
        rows = self.world.drawn(ROWS, scenario.new, scenario.changed, self.random)
        rows = self.world.dated(rows, pd.Series(self.clock.now.replace(tzinfo=None), rows.index))
        self.rows[day] = rows = break_axis(rows, self.world) if scenario.fault == "column" else rows
        self.keys[day] = self.service.answer(rows, day)

    def evening(self, day: int) -> None:
        """Import outcomes, step the rollout, and once a week report on drift and quality."""
        self.clock.at(day + EVENING)
        if day > DELAY:
            self.outcomes(day - DELAY)
        if decisions.find_running():
            deciding.step_rollout(load_settings())
        if day == LOOK or day in self.scenario.before:
            self.look(day)

    def outcomes(self, day: int) -> None:
        """Import the outcomes of a day; shuffled, if the scenario says so."""
        target = self.contract.target
        values = self.rows[day][target]
        if self.scenario.fault == "outcomes" and day >= CHANGE:
            values = pd.Series(self.random.permutation(values.to_numpy()), name=target)
        frame = self.keys[day].assign(**{target: values})
        with Outcomes(load_settings().serving.prediction_log_url) as archive:
            import_outcomes(frame, archive, self.contract, self.clock.now)

    def look(self, day: int) -> None:
        """Turn outcomes into data, report on drift and quality, and judge the findings."""
        try:
            with Outcomes(load_settings().serving.prediction_log_url) as archive:
                feedback.write_feedback(load_settings(), self.contract, archive)
        except ProjectError as error:  # rows that break the contract do not become data
            self.refused.append((day + EVENING, " ".join(str(error).split())))
        settings = load_settings()
        drift.check_drift(settings)
        report = quality.check_quality(settings, self.clock.now)
        for kind in self.scenario.causes if day == LOOK else ():
            if kind != "quality" or report.tests:
                self.judge(kind)

    def judge(self, kind: Kind) -> None:
        """Let the triggers decide whether a finding starts a training, and run it."""
        settings = load_settings()
        if (happened := causes.find_event(settings, self.clock.now, kind)) is None:
            return
        entry = starting.judge_event(happened, settings, self.clock.now, BY)
        if entry.decision != "run":
            return
        try:
            starting.run_training(entry.id, settings, lambda: self.clock.now)
        except ProjectError as error:  # its end is in the ledger
            print(error)
        if self.scenario.fault == "files" and (now := decisions.find_running()):
            for path in (SERVING / now.version).glob("model.*"):
                path.write_bytes(b"no model")
            self.service.restart()  # it cannot load the model
