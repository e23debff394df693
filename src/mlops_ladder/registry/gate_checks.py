"""Further checks of the gate: what a candidate has to pass beyond its scores.

Plugins add them by the hook `list_gate_checks`.  Each is a function of the model, as MLflow loads
it, and of held-out rows.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
from threadpoolctl import threadpool_limits

from mlops_ladder.data.casting import cast_columns
from mlops_ladder.data.contract import Contract, raise_for_violations
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained
from mlops_ladder.plugins import get_hooks
from mlops_ladder.registry import versions
from mlops_ladder.registry.gate import CheckResult, to_json_safe
from mlops_ladder.tracking import runs

__all__ = ["CheckContext", "CheckResult", "GateCheck", "list_checks", "run_check", "run_checks"]
LOGGED = ("verdict", "reason", "evidence", "decides")  # of the result of each check


@dataclass(frozen=True)
class CheckContext:
    """The input of a check: a model, its held-out rows, and the champion's predictions for them.

    `trained.model` and `trained.predictions` are those of the artifact, not of the object in the
    memory of the training.  `champion` is None if no champion can predict these rows; `frame` holds
    all rows as they were read.
    """

    trained: Trained
    champion: pd.DataFrame | None = None
    frame: pd.DataFrame | None = None

    def column(self, name: str) -> pd.Series:
        """Return a column of the contract for the held-out rows, also one left out of training.

        Raises ProjectError if the rows lack it.
        """
        holdout = self.trained.holdout
        if name in holdout.columns:
            return holdout[name]
        rows = (holdout if self.frame is None else self.frame).loc[holdout.index]
        columns, breaches = cast_columns(rows, self.trained.contract, [name])
        raise_for_violations(breaches)
        return columns[name]


@dataclass(frozen=True)
class GateCheck:
    """A check and its name.  If it does not decide, its refusal is only reported."""

    name: str
    decides: bool
    run: Callable[[CheckContext], CheckResult]


def list_checks(contract: Contract) -> list[GateCheck]:
    """Return the checks of all plugins.  Raise ProjectError if a declaration does not fit."""
    lists = get_hooks().list_gate_checks(contract=contract)
    return [check for checks in lists for check in checks]


def run_checks(
    trained: Trained, run_id: str, champion: pd.DataFrame | None, frame: pd.DataFrame | None
) -> list[CheckResult]:
    """Run all checks on the model of a run, and log the results there.

    Args:
        trained: The model with its held-out rows.
        run_id: The run that has logged the model.
        champion: The champion's predictions for the held-out rows.
        frame: All rows as they were read.

    Returns:
        The results.  They are logged as `questions.json`, and as plots for the model card.
    """
    checks = list_checks(trained.contract)
    if not checks:
        return []
    context = CheckContext(load_logged(trained, run_id), champion, frame)
    results = {check.name: run_check(check, context) for check in checks}
    client, report = runs.connect_mlflow().MlflowClient(), {}
    for name, result in results.items():
        report[name] = to_json_safe({key: getattr(result, key) for key in LOGGED})
        if result.picture:
            client.log_figure(run_id, result.picture, f"plots/{name}.png")
    client.log_text(run_id, json.dumps(report, indent=2, ensure_ascii=False), "questions.json")
    return [replace(result, reason=f"{name}: {result.reason}") for name, result in results.items()]


def load_logged(trained: Trained, run_id: str) -> Trained:
    """Return the same training with the model that its run has logged, and its predictions."""
    address = f"models:/{versions.find_logged_model(run_id)}"
    model = runs.connect_mlflow().sklearn.load_model(address)
    rows = trained.holdout[trained.contract.inputs()]
    return replace(trained, model=model, predictions=predict_rows(model, rows))


def run_check(check: GateCheck, context: CheckContext) -> CheckResult:
    """Return the result of a check under its name; one that raises is a refusal."""
    try:
        with threadpool_limits(1):  # on few rows threads cost more than they bring
            result = check.run(context)
    except Exception as error:  # pylint: disable=broad-exception-caught  # a check is any code
        result = CheckResult("refused", f"cannot be answered: {type(error).__name__}: {error}")
    return replace(result, name=check.name, decides=check.decides)
