# mypy: disable-error-code="import-not-found"
# pylint: disable=import-error  # the project's environment has it
"""The peer that does the same work: the project's own steps as plain calls, without Prefect."""

from mlops_ladder.data.contract import read_contract
from mlops_ladder.pipeline import steps
from mlops_ladder.settings import load_settings

if __name__ == "__main__":
    SETTINGS, CONTRACT, TAGS = load_settings(), read_contract(), {"prefect.flow_run_id": "none"}
    FRAME, _ = steps.ingest(SETTINGS)
    ROWS, _ = steps.check(FRAME, CONTRACT, SETTINGS)
    PARTS, _ = steps.split(ROWS, CONTRACT, SETTINGS)
    BEST, _ = steps.tune(PARTS, CONTRACT, SETTINGS, TAGS)
    TRAINED, _ = steps.train(ROWS, CONTRACT, SETTINGS, BEST)
    RUN_ID, _ = steps.evaluate(TRAINED, PARTS, TAGS)
    VERDICT, _ = steps.gate(TRAINED, RUN_ID, TAGS)
    print(steps.register(TRAINED, RUN_ID, VERDICT)[1])
