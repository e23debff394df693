"""Questions about outcomes: log the hold-out with its outcomes, and a run that has just begun."""

import json
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

from mlops_ladder.maturity.inside import part, read_project, read_training_rows
from mlops_ladder.maturity.inside.gate import change_answers
from mlops_ladder.maturity.inside.served import load_champion, make_requests

FILE = Path("outcomes.csv")
REQUEST_ROWS = 50  # rows of a request


def log_holdout(wrong: str, most: str) -> Any:
    """Have the champion answer the hold-out, log it, and write outcomes; return how many.

    If `wrong` is "wrong", the outcomes are others than those that happened.
    """
    frame = read_project()[0]
    rows, contract, settings = read_training_rows()
    holdout = part("model.training").split_holdout(rows, contract, settings)[1].tail(int(most))
    log_answers(make_requests(frame.loc[holdout.index], contract), contract, settings)
    truth = holdout[contract.target]
    if wrong == "wrong":
        truth = change_answers(truth, settings.problem == "classification")
    names = [f"held-out-{at // REQUEST_ROWS * REQUEST_ROWS}" for at in range(len(holdout))]
    known = truth.to_frame().assign(
        request_id=names, row=[1 + at % REQUEST_ROWS for at in range(len(holdout))]
    )
    marks = {"sep": settings.data.separator, "decimal": settings.data.decimal}
    known.to_csv(FILE, index=False, encoding=settings.data.encoding, **marks)
    return len(holdout)


def log_answers(asked: list[dict[str, Any]], contract: Any, settings: Any) -> None:
    """Have the champion answer these rows, and log the answers as the service does."""
    model = load_champion()
    classes = model.bundle["classes"] or ()
    types = part("serving.schemas").Types.from_contract(contract, classes, len(asked))
    store = part("serving.store").Store(settings.serving.prediction_log_url)
    for start in range(0, len(asked), REQUEST_ROWS):
        read = types.parse_rows(json.dumps(asked[start : start + REQUEST_ROWS]).encode())[0]
        store.write([make_record(f"held-out-{start}", read, model)])
    store.close()


def make_record(name: str, asked: list[dict[str, Any]], model: Any) -> dict[str, Any]:
    """Return a request as the service logs it."""
    served = part("serving.events").PredictionEvent(
        name, datetime.now(UTC), 200, 0.001, model.version, asked, model.answers(asked)
    )
    return dict(part("serving.prediction_log").describe_request(served))


def note_recent_run() -> str:
    """Write into the ledger that a run of another cause began, and ended, a minute ago."""
    decision, ledger = part("pipeline.retraining.decision"), part("pipeline.retraining.ledger")
    began = datetime.now(UTC) - timedelta(minutes=1)
    facts: dict[str, Any] = {"decision": "run", "reason": "planted", "by": "trial"}
    event = decision.make_event("alert", "planted", "planted")
    ledger.append_decision(decision.Entry(id="planted", time=began, event=event, **facts))
    ledger.append_end("planted", datetime.now(UTC), "completed", "")
    return "planted"
