"""Of what became of predictions: log rows that were held out, and say what became of them."""

import json
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

from mlops_ladder.maturity.inside import given, part
from mlops_ladder.maturity.inside.asked import wrong as turned
from mlops_ladder.maturity.inside.served import champion, requests

FILE = Path("outcomes.csv")
PART = 50  # rows of a request


def logged(wrong: str, most: str) -> Any:
    """Have the champion answer rows held out, log it, and write a file of outcomes; how many.

    With `wrong` the outcomes are others than those that happened.
    """
    frame, contract, settings = given()
    training = part("model.training")
    held = training.split_holdout(
        training.prepare_training_rows(frame, contract, settings), contract, settings
    )[1]
    held = held.tail(int(most))
    answer(requests(frame.loc[held.index], contract), contract, settings)
    truth = held[contract.target]
    if wrong == "wrong":
        truth = turned(truth, settings.problem == "classification")
    names = [f"held-out-{at // PART * PART}" for at in range(len(held))]
    known = truth.to_frame().assign(
        request_id=names, row=[1 + at % PART for at in range(len(held))]
    )
    marks = {"sep": settings.data.separator, "decimal": settings.data.decimal}
    known.to_csv(FILE, index=False, encoding=settings.data.encoding, **marks)
    return len(held)


def answer(asked: list[dict[str, Any]], contract: Any, settings: Any) -> None:
    """Have the champion answer these rows, PART in a request, and log it as the service does."""
    model = champion()
    classes = model.bundle["classes"] or ()
    types = part("serving.schemas").Types.of(contract, classes, len(asked))
    store = part("serving.store").Store(settings.serving.prediction_log_url)
    for start in range(0, len(asked), PART):
        read = types.read(json.dumps(asked[start : start + PART]).encode())[0]
        store.write([record(f"held-out-{start}", read, model)])
    store.close()


def record(name: str, asked: list[dict[str, Any]], model: Any) -> dict[str, Any]:
    """A request as the service logs it."""
    served = part("serving.events").Served(
        name, datetime.now(UTC), 200, 0.001, model.version, asked, model.answers(asked)
    )
    return dict(part("serving.prediction_log").recorded(served))


def rows() -> int:
    """How many rows there are to learn from."""
    return len(given()[0])


def first_file() -> str:
    """The first file of the data."""
    return str(part("data.reading").files(part("settings").load_settings().data.path)[0])


def just_begun() -> str:
    """Write into the ledger that a run of another cause began, and ended, a minute ago."""
    decision, ledger = part("pipeline.retraining.decision"), part("pipeline.retraining.ledger")
    began = datetime.now(UTC) - timedelta(minutes=1)
    told: dict[str, Any] = {"event": decision.event("alert", "planted", "planted"), "by": "trial"}
    told |= {"decision": "run", "reason": "planted"}
    ledger.add(decision.Entry(id="planted", time=began, **told))
    ledger.end("planted", datetime.now(UTC), "completed", "")
    return "planted"
