"""Questions about outcomes: log the hold-out with its outcomes, and record a recent run."""

import json
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

from mlops_ladder.maturity.inside import part, read_project, read_training_rows
from mlops_ladder.maturity.inside.gate import change_answers
from mlops_ladder.maturity.inside.served import load_champion, make_requests

FILE = Path("outcomes.csv")
REQUEST_ROWS = 50  # in each request


def log_holdout(wrong: str, most: str) -> Any:
    """Log the champion's answers to the hold-out, and write outcomes; return their number.

    If `wrong` is "wrong", the outcomes differ from the true ones.
    """
    frame = read_project()[0]
    rows, contract, settings = read_training_rows()
    holdout = part("model.training").split_holdout(rows, contract, settings)[1].tail(int(most))
    log_answers(make_requests(frame.loc[holdout.index], contract), contract, settings)
    truth = holdout[contract.target]
    if wrong == "wrong":
        truth = change_answers(truth, settings.problem == "classification")
    names = [f"held-out-{at // REQUEST_ROWS * REQUEST_ROWS}" for at in range(len(holdout))]
    table = truth.to_frame().assign(
        request_id=names, row=[1 + at % REQUEST_ROWS for at in range(len(holdout))]
    )
    marks = {"sep": settings.data.separator, "decimal": settings.data.decimal}
    table.to_csv(FILE, index=False, encoding=settings.data.encoding, **marks)
    return len(holdout)


def log_answers(rows: list[dict[str, Any]], contract: Any, settings: Any) -> None:
    """Write the champion's answers to these rows into the log, as the service does."""
    model = load_champion()
    classes = model.bundle["classes"] or ()
    types = part("serving.schemas").Types.from_contract(contract, classes, len(rows))
    store = part("serving.store").Store(settings.serving.prediction_log_url)
    for start in range(0, len(rows), REQUEST_ROWS):
        batch = types.parse_rows(json.dumps(rows[start : start + REQUEST_ROWS]).encode())[0]
        store.write([make_record(f"held-out-{start}", batch, model)])
    store.close()


def make_record(name: str, rows: list[dict[str, Any]], model: Any) -> dict[str, Any]:
    """Return a request as the service logs it."""
    served = part("serving.events").PredictionEvent(
        name, datetime.now(UTC), 200, 0.001, model.version, rows, model.answers(rows)
    )
    return dict(part("serving.prediction_log").describe_request(served))


def note_recent_run() -> str:
    """Write a run of another cause into the ledger, begun a minute ago, and completed."""
    decision, ledger = part("pipeline.retraining.decision"), part("pipeline.retraining.ledger")
    began = datetime.now(UTC) - timedelta(minutes=1)
    facts: dict[str, Any] = {"decision": "run", "reason": "planted", "by": "trial"}
    event = decision.make_event("alert", "planted", "planted")
    ledger.append_decision(decision.Entry(id="planted", time=began, event=event, **facts))
    ledger.append_end("planted", datetime.now(UTC), "completed", "")
    return "planted"
