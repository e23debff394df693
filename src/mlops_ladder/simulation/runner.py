"""The process in a temporary folder: trains the first champion, or lives through a scenario."""

import sys
from contextlib import ExitStack
from pathlib import Path

import joblib

from mlops_ladder.pipeline import command
from mlops_ladder.plugins import get_implementations
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation.batches import Batches
from mlops_ladder.simulation.clock import Clock
from mlops_ladder.simulation.folder import declare_data, edit_toml, STORY, WORLD
from mlops_ladder.simulation.observations import tell_story
from mlops_ladder.simulation.scenarios import SCENARIOS
from mlops_ladder.simulation.service import Service
from mlops_ladder.simulation.timeline import Days


def main() -> None:
    """Train the first champion; or run the named scenario, and save its story."""
    # Import these first: a module that is imported during a training would see the real time.
    get_implementations("hand_to_rollout")
    with ExitStack() as opened:
        clock = opened.enter_context(Clock())
        if not sys.argv[1:]:
            declare_data(load_settings())
            command.main()
            return
        name = sys.argv[1]
        if (scenario := SCENARIOS[name]).batch:
            with edit_toml(Path("config/rollout.toml")) as document:
                document["rollout"] = {"enabled": False}
        kind = Batches if scenario.batch else Service
        service = opened.enter_context(kind(load_settings(), clock))
        with edit_toml(Path("config/schedule.toml")) as document:
            document.setdefault("schedule", {})["webhook"] = f"{service.url}/inbox"
        days = Days(scenario, joblib.load(WORLD), service, clock)
        days.run()
        joblib.dump(tell_story(name, scenario, service, days.refused), STORY)
