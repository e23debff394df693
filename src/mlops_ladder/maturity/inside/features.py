"""Of the features: what is said of one that tells the answer, and of one that never changes?"""

from typing import Any

from mlops_ladder.maturity.inside import given, part

ROWS = 1500
CONSTANT, TELLING = "eine Spalte, die immer gleich ist", "τὸ τέλος"  # any name may be a column's
OWN = 2  # inputs of the project that are kept beside


def planted() -> Any:
    """The verdict on each of the two, beside some inputs of the project."""
    frame, contract, settings = given()
    training = part("model.training")
    rows = (
        training.prepare_training_rows(frame, contract, settings).tail(ROWS).reset_index(drop=True)
    )
    answers = rows[contract.target]
    codes = answers if settings.problem == "regression" else answers.factorize(sort=True)[0]
    swapped = rows.assign(told=codes)["told"].astype("float64")
    hidden = swapped.sample(frac=0.3, random_state=settings.seed)
    swapped[hidden.index] = hidden.sample(frac=1, random_state=settings.seed).array
    rows = rows.assign(**{CONSTANT: 1.0, TELLING: swapped})
    parts = training.split_holdout(rows, contract, settings)
    whole = training.fit_model(*parts, wider(contract), settings)
    verdicts = {
        it.name: it.verdict
        for it in part("governance.feature_review").review_features(whole, ablated=True)
    }
    return {"constant": verdicts[CONSTANT], "telling": verdicts[TELLING]}


def wider(contract: Any) -> Any:
    """The contract with both columns, and fewer inputs of its own."""
    column = part("data.contract").Column(kind="number", role="feature")
    unseen = contract.inputs()[OWN:]
    known = {
        name: it.model_copy(update={"role": "ignored"}) if name in unseen else it
        for name, it in contract.columns.items()
    }
    return contract.model_copy(update={"columns": known | {CONSTANT: column, TELLING: column}})
