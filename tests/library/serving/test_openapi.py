"""The description of the service that is kept in the repository."""

import json

from mlops_ladder.data.contract import Contract
from mlops_ladder.serving.command import describe_service, SNAPSHOT
from mlops_ladder.settings import Settings


def test_the_kept_description_is_that_of_the_contract(
    contract: Contract, settings: Settings
) -> None:
    """What clients were told is what the service takes; `make openapi` writes it anew."""
    kept = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    told = json.loads(json.dumps(describe_service(contract, settings)))
    assert kept == told, f"{SNAPSHOT} is not what contract.toml says now; run: make openapi"
