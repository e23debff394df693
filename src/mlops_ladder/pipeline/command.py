"""The command `pipeline`: from the rows to a champion, step by step."""

from contextlib import suppress
from importlib import import_module
from typing import Any, TYPE_CHECKING

from mlops_ladder import project, ProjectError
from mlops_ladder.data.contract import read_contract
from mlops_ladder.pipeline import given_tags, server
from mlops_ladder.registry import versions
from mlops_ladder.settings import load_settings

if TYPE_CHECKING:
    from mlops_ladder.pipeline.steps import Outcome

HEAVY = ("mlflow.sklearn", "optuna", "pandera.pandas", "skl2onnx")


def main() -> None:
    """Run the training pipeline; ProjectError, and nothing registered, where a step fails."""
    settings, contract = load_settings(), read_contract()
    print(settings.about.question or f"Predicting {contract.target}", flush=True)
    ready = server.start()
    try:
        training = project_flow()
        prepare()
        ready()
        outcome = tagged(training)
    except KeyboardInterrupt as error:
        raise ProjectError("interrupted; run `make pipeline` again") from error
    print(told(outcome))


def tagged(training: Any) -> "Outcome":
    """The flow, with tags that say who or what has started it."""
    from prefect import tags  # pylint: disable=import-outside-toplevel  # as in `project_flow`

    with tags(*(f"{name}: {it}" for name, it in given_tags().items())):
        outcome: Outcome = training()
    return outcome


def project_flow() -> Any:
    """Return the flow of the project's pipeline.py; its imports take seconds: the server starts.

    Prefect reads its settings when it is imported: the server's address must stand by then.
    """
    package = project.get_project().package
    try:
        return import_module(f"{package}.pipeline").training
    except ImportError as error:
        way = "not all is installed; run `make setup`"
        if error.name == f"{package}.pipeline":
            way = f"git checkout src/{package}/pipeline.py"
        raise ProjectError(f"{error}: {way}") from error


def prepare() -> None:
    """Do now what the steps would spend seconds on: open MLflow's store, import what they use.

    The first start of a server takes longer still, and the steps need it.  What fails here fails
    again in the step that needs it, which says so.
    """
    with suppress(Exception):
        versions.held()
        for name in HEAVY:
            import_module(name)


def told(outcome: "Outcome") -> str:
    """The verdict, its reasons, the version, and what comes next.

    Raises ProjectError where the first model is refused.
    """
    version = f"version {outcome.version.number}, model {outcome.version.model_version}"
    if outcome.brought:
        files = ", ".join(outcome.brought)
        said = f"Renewed: the champion is this model already, and has {files} now."
        return f"{said}\nChampion: {version}.  Next: make serve"
    if outcome.unchanged:
        return f"Unchanged: the champion is this model already, {version}.  Next: make serve"
    reasons = "\n  ".join(outcome.verdict.reasons)
    if outcome.waits:
        waits = "\n  ".join(outcome.waits)
        return f"Accepted:\n  {reasons}\nWaits: {version}\n  {waits}"
    if outcome.verdict.accepted:
        return f"Accepted:\n  {reasons}\nChampion: {version}.  Next: make serve"
    if outcome.verdict.evidence["champion"]:
        stays = "The champion stays.  Candidate"
        return f"Refused:\n  {reasons}\n{stays}: {version}.  Next: make serve"
    raise ProjectError(
        f"refused, and no version is champion: nothing can be served\n  {reasons}\n"
        "Bring better data or another model, or change what the gate asks for in config/gate.toml"
    )
