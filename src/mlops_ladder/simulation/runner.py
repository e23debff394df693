"""The process in the temporary folder: trains the first champion, or runs scenarios in copies."""

import os
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import joblib

from mlops_ladder.pipeline import command
from mlops_ladder.plugins import get_implementations
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation.clock import Clock
from mlops_ladder.simulation.folder import copy_base_folder, declare_data, edit_toml, STORY, WORLD
from mlops_ladder.simulation.observations import count_days, Story, tell_story
from mlops_ladder.simulation.scenarios import SCENARIOS
from mlops_ladder.simulation.service import Service, open_inbox
from mlops_ladder.simulation.timeline import Days

STORE = "MLFLOW_TRACKING_URI"  # an absolute path: each folder has its own


def main() -> None:
    """Train the first champion, or run the named scenarios and save their stories.

    Timelines go to stdout, each with an empty line; output of the project goes to stderr.
    """
    base, out = Path.cwd(), sys.stdout
    # Import these first: a module that is imported during a training would see the real time.
    get_implementations("hand_to_rollout")
    with redirect_stdout(sys.stderr), Clock() as clock:
        for name in sys.argv[1:]:
            story = live_scenario(name, base, clock)
            joblib.dump(story, STORY)
            print(f"{format_timeline(story)}\n", file=out, flush=True)
        if not sys.argv[1:]:
            declare_data(load_settings())
            os.environ[STORE] = f"sqlite:///{base}/mlflow.db"
            command.main()


def live_scenario(name: str, base: Path, clock: Clock) -> Story:
    """Run a scenario from its first day to its last, in its own folder; return its story."""
    place = copy_base_folder(base, name)
    os.chdir(place)
    os.environ[STORE] = f"sqlite:///{place}/mlflow.db"
    clock.at(0)
    with ExitStack() as opened:
        address, texts = opened.enter_context(open_inbox(lambda: count_days(clock.now)))
        with edit_toml(Path("config/schedule.toml")) as document:
            document.setdefault("schedule", {})["webhook"] = address
        service = opened.enter_context(Service(load_settings()))
        days = Days(SCENARIOS[name], joblib.load(WORLD), service, clock)
        days.run()
        return tell_story(name, SCENARIOS[name], service, texts, days.refused)


def format_timeline(story: Story) -> str:
    """Return the events by day, and whether the result is as expected."""
    failed = len(story.about["failed"])
    end = f"{story.about['requests']:,} requests, {failed} failed; serves {story.seen['serves']}"
    verdict = ["NOT as expected" if story.wrong else "as expected", *story.wrong]
    events = [f"day {when:4.1f}  {text[:150]}" for when, text in story.events]
    lines = [f"{story.name}: {story.scenario.title}", *events, end, "\n    ".join(verdict)]
    return "\n  ".join(lines)
