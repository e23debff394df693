"""The pods of a cluster follow a rollout: its plan is written to them, and deleted at the end.

`rollout.cluster` names the environment; `ladder plan` connects to it.
"""

import subprocess
import sys

from mlops_ladder import ProjectError
from mlops_ladder.serving.rollout.decisions import Decision
from mlops_ladder.settings import Settings

PLAN = "-m", "mlops_ladder", "plan"


def check_cluster(begun: Decision, settings: Settings) -> None:
    """Raise ProjectError if the pods cannot begin this rollout, or write to another database."""
    if not begun.wanted.cluster or not begun.plan:
        return
    if settings.serving.prediction_log_url.startswith("sqlite"):
        raise ProjectError(
            f"serving.prediction_log_url: {settings.serving.prediction_log_url} is not the database"
            f" of the pods of {begun.wanted.cluster}; set their database here too"
        )
    run_plan_command("held", begun.wanted.cluster, begun.version, begun.plan.sha256)


def send_to_cluster(decision: Decision) -> None:
    """Write the plan of a decision to the pods, or delete it there.

    After a promotion the pods keep the last plan until their image has the new champion; from then
    on it has no effect, as it is valid for the old champion only.
    """
    place, plan = decision.wanted.cluster, decision.plan
    if place and plan:
        run_plan_command("bring", place, str(plan.step), stdin=plan.model_dump_json())
    elif place and decision.action == "abort":
        run_plan_command("bring", place, "none")
    elif place:
        print(f"{place} goes on with its last step.  Next: make stage promote")


def run_plan_command(*arguments: str, stdin: str = "") -> None:
    """Run `ladder plan` with these arguments.  Raise ProjectError if it fails."""
    command = [sys.executable, *PLAN, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProjectError(done.stderr.strip())
