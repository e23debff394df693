"""Of privacy: rows with an id and words of the trial's own, and what reaches the service."""

import json
from typing import Any

from mlops_ladder.maturity.inside import given, part
from mlops_ladder.maturity.inside.rows import raw, write

MOST = 300  # rows: more show no more


def made(path: str, ids: str, words: str, odd: str) -> Any:
    """Write some of the configured rows with two more columns, one cell odd; an id of them."""
    _, _, settings = given()
    frame = raw(settings).head(MOST)
    frame[ids] = [f"trial-{number}-of-many" for number in range(len(frame))]
    frame[words] = ["ordinary"] * (len(frame) - 1) + [odd or "ordinary"]
    write(frame, settings, path)
    return frame[ids].iloc[len(frame) // 2]


def reaches(name: str) -> Any:
    """What a column reaches: the features, and the requests that the service takes, and so logs."""
    # pylint: disable-next=import-outside-toplevel  # of the project: the tool has none
    from pydantic import ValidationError

    contract = part("data.contract").read_contract()
    types = part("serving.schemas").Types.of(contract, (), 1)
    row = part("data.columns").example(contract)
    types.read(json.dumps(row).encode())
    try:
        types.read(json.dumps(row | {name: "somebody"}).encode())
        taken = ["the log"]
    except ValidationError:
        taken = []
    return taken + ["features"] * (name in contract.inputs())
