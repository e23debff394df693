"""Inside of the throw-away folder: the first champion, then each scenario in a copy of its own."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import joblib

from .. import observers
from ..flows import training
from ..settings import load
from .clock import Clock
from .command import PAGE, WRONG
from .days import Days
from .folder import ERRORS, WORLD, change, declared, scenario_folder
from .page import page
from .scenarios import SCENARIOS
from .seen import Story, day, story
from .service import Service, told

STORE = "MLFLOW_TRACKING_URI"  # by its whole path: each folder has one of its own
Say = Callable[[str], None]


def main() -> None:
    """Live through the scenarios that are named; their page, and what was wrong, are files then."""
    base, names = Path.cwd(), sys.argv[1:]
    out = sys.stdout

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    observers("accepted")  # what is imported while a training runs would know the real time
    with ERRORS.open("a", encoding="utf-8") as log, redirect_stdout(log), Clock() as clock:
        settings = load()
        declared(settings)
        say(f"{settings.about.question}\nThe first champion learns ...")
        os.environ[STORE] = f"sqlite:///{base}/mlflow.db"
        training.main([])
        stories = [lived(name, base, clock, say) for name in names]
        os.chdir(base)
        world = joblib.load(WORLD)
        about = (
            f"Real rows of this project, drawn with seed {settings.seed}; the answers of a part"
            f" are made up where something changes.  {world.axis} is what shifts.  The parts that"
            " ran are those that run in production; the days are simulated."
        )
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(stories, about), encoding="utf-8")
    wrong = [f"{it.name}: {line}" for it in stories for line in it.wrong]
    (base / WRONG).write_text(json.dumps(wrong), encoding="utf-8")


def lived(name: str, base: Path, clock: Clock, say: Say) -> Story:
    """A scenario from its first day to its last, in its own folder; its timeline is said."""
    scenario = SCENARIOS[name]
    say(f"\n{name}: {scenario.title}")
    place = scenario_folder(base, name)
    os.chdir(place)
    os.environ[STORE] = f"sqlite:///{place}/mlflow.db"
    clock.at(0)
    with ExitStack() as opened:
        address, texts = opened.enter_context(told(lambda: day(clock.now)))
        change(Path("operations.toml"), {"schedule": {"webhook": address}})
        service = opened.enter_context(Service(load()))
        Days(scenario, joblib.load(WORLD), service, clock).run()
        found = story(name, scenario, service, texts)
    for when, text in found.events:
        say(f"  day {when:4.1f}  {text[:150]}")
    failed = len(service.failed)
    say(f"  {service.asked:,} requests, {failed} failed; serves {found.seen['serves']}")
    say("\n    ".join(["  NOT as expected" if found.wrong else "  as expected", *found.wrong]))
    return found
