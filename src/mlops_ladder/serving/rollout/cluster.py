"""The pods of a cluster follow a rollout: they are given its plan, and it is taken from them.

`rollout.cluster` names the environment; `ladder plan` is what talks to it.
"""

import subprocess
import sys

from mlops_ladder import ProjectError
from mlops_ladder.serving.rollout.decisions import Decision
from mlops_ladder.settings import Settings

PLAN = "-m", "mlops_ladder", "plan"


def refuse(begun: Decision, settings: Settings) -> None:
    """Raises ProjectError where the pods cannot begin this rollout, or nobody would hear of it."""
    if not begun.wanted.cluster or not begun.plan:
        return
    if settings.serving.prediction_log_url.startswith("sqlite"):
        raise ProjectError(
            f"serving.prediction_log_url: {settings.serving.prediction_log_url} is not the database"
            f" of the pods of {begun.wanted.cluster}; set their database here too"
        )
    ask("held", begun.wanted.cluster, begun.version, begun.plan.sha256)


def bring(decision: Decision) -> None:
    """Have the pods do what was decided.

    What ends with a promotion is left to them until their image has the new champion: beside
    another champion a plan means nothing.
    """
    place = decision.wanted.cluster
    if place and decision.plan:
        ask("bring", place, str(decision.plan.step), stdin=decision.plan.model_dump_json())
    elif place and decision.action == "abort":
        ask("bring", place, "none")
    elif place:
        print(f"{place} goes on with its last step.  Next: make stage promote")


def ask(*arguments: str, stdin: str = "") -> None:
    """Have the tool do something.  ProjectError where it cannot."""
    command = [sys.executable, *PLAN, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProjectError(done.stderr.strip())
