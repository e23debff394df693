"""The command `pipeline`: from the rows to a champion, step by step."""

from contextlib import suppress
from importlib import import_module
from typing import Any, TYPE_CHECKING

from mlops_ladder import project, ProjectError
from mlops_ladder.data.contract import read_contract
from mlops_ladder.pipeline import read_environment_tags, server
from mlops_ladder.registry import versions
from mlops_ladder.settings import load_settings

if TYPE_CHECKING:
    from mlops_ladder.pipeline.steps import Outcome

HEAVY = ("mlflow.sklearn", "optuna", "pandera.pandas", "skl2onnx")


def main() -> None:
    """Run the training pipeline.  Raise ProjectError, and register nothing, if a step fails."""
    settings, contract = load_settings(), read_contract()
    print(settings.about.question or f"Predicting {contract.target}", flush=True)
    wait_until_ready = server.start_server()
    try:
        flow = import_flow()
        warm_up()
        wait_until_ready()
        outcome = run_with_tags(flow)
    except KeyboardInterrupt as error:
        raise ProjectError("interrupted; run `make pipeline` again") from error
    print(format_outcome(outcome))


def run_with_tags(flow: Any) -> "Outcome":
    """Run the flow with tags that name its cause."""
    # pylint: disable-next=import-outside-toplevel  # Prefect reads its settings when it is imported
    from prefect import tags

    with tags(*(f"{name}: {value}" for name, value in read_environment_tags().items())):
        outcome: Outcome = flow()
    return outcome


def import_flow() -> Any:
    """Return the flow of the project's pipeline.py, while the server starts.

    Prefect reads its settings when it is imported, so the address of the server must be set before.
    """
    package = project.get_project().package
    try:
        return import_module(f"{package}.pipeline").training
    except ImportError as error:
        way_out = "not all is installed; run `make setup`"
        if error.name == f"{package}.pipeline":
            way_out = f"git checkout src/{package}/pipeline.py"
        raise ProjectError(f"{error}: {way_out}") from error


def warm_up() -> None:
    """Open MLflow's store and import what the steps use, while the server starts.

    An error here is ignored: the step that needs the same raises it again.
    """
    with suppress(Exception):
        versions.read_state()
        for name in HEAVY:
            import_module(name)


def format_outcome(outcome: "Outcome") -> str:
    """Return the verdict, its reasons, the version and the next command.

    Raises ProjectError if the first model is refused.
    """
    version = f"version {outcome.version.number}, model {outcome.version.model_version}"
    next_step = f"Next: make {project.get_project().predict_target}"
    champion = f"Champion: {version}.  {next_step}"
    reasons = "\n  ".join(outcome.verdict.reasons)
    if outcome.brought:
        files = ", ".join(outcome.brought)
        return f"Renewed: the champion is this model already, and has {files} now.\n{champion}"
    if outcome.unchanged:
        return f"Unchanged: the champion is this model already, {version}.  {next_step}"
    if outcome.waits:
        waits = "\n  ".join(outcome.waits)
        return f"Accepted:\n  {reasons}\nWaits: {version}\n  {waits}"
    if outcome.verdict.accepted:
        return f"Accepted:\n  {reasons}\n{champion}"
    if outcome.verdict.evidence["champion"]:
        return f"Refused:\n  {reasons}\nThe champion stays.  Candidate: {version}.  {next_step}"
    raise ProjectError(
        f"refused, and no version is champion: nothing can be served\n  {reasons}\n"
        "Use better data or another model, or change the requirements in config/gate.toml"
    )
