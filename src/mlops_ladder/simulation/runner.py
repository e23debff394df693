"""Inside of the throw-away folder: the first champion, or a scenario in a copy of its own."""

import os
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import joblib

from mlops_ladder.pipeline import command
from mlops_ladder.plugins import get_implementations
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation.clock import Clock
from mlops_ladder.simulation.folder import change, declared, scenario_folder, STORY, WORLD
from mlops_ladder.simulation.observations import day, Story, story
from mlops_ladder.simulation.scenarios import SCENARIOS
from mlops_ladder.simulation.service import Service, told
from mlops_ladder.simulation.timeline import Days

STORE = "MLFLOW_TRACKING_URI"  # by its whole path: each folder has one of its own


def main() -> None:
    """Train the first champion; or live through the scenarios named, and keep their stories.

    Timelines are printed, each with an empty line; what the project prints goes to stderr.
    """
    base, out = Path.cwd(), sys.stdout
    # What is imported while a training runs would know the real time.
    get_implementations("hand_to_rollout")
    with redirect_stdout(sys.stderr), Clock() as clock:
        for name in sys.argv[1:]:
            found = lived(name, base, clock)
            joblib.dump(found, STORY)
            print(f"{timeline(found)}\n", file=out, flush=True)
        if not sys.argv[1:]:
            declared(load_settings())
            os.environ[STORE] = f"sqlite:///{base}/mlflow.db"
            command.main()


def lived(name: str, base: Path, clock: Clock) -> Story:
    """A scenario from its first day to its last, in its own folder."""
    place = scenario_folder(base, name)
    os.chdir(place)
    os.environ[STORE] = f"sqlite:///{place}/mlflow.db"
    clock.at(0)
    with ExitStack() as opened:
        address, texts = opened.enter_context(told(lambda: day(clock.now)))
        change(Path("config/schedule.toml"), {"schedule": {"webhook": address}})
        service = opened.enter_context(Service(load_settings()))
        days = Days(SCENARIOS[name], joblib.load(WORLD), service, clock)
        days.run()
        return story(name, SCENARIOS[name], service, texts, days.refused)


def timeline(found: Story) -> str:
    """What happened on which day, and whether it was as expected."""
    failed = len(found.about["failed"])
    end = f"{found.about['requests']:,} requests, {failed} failed; serves {found.seen['serves']}"
    verdict = ["NOT as expected" if found.wrong else "as expected", *found.wrong]
    events = [f"day {when:4.1f}  {text[:150]}" for when, text in found.events]
    lines = [f"{found.name}: {found.scenario.title}", *events, end, "\n    ".join(verdict)]
    return "\n  ".join(lines)
