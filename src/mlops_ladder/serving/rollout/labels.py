"""Labels for a rollout: the outcomes of logged requests that are known by now."""

import json
from datetime import datetime
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.outcomes import OUTCOMES, Outcomes
from mlops_ladder.settings import Settings


def known(settings: Settings, since: datetime) -> dict[str, list[Any]]:
    """What was true of the rows of each request, as far as it became known since this time.

    None for a row that is not known; without what a prediction has influenced.
    """
    try:
        with Outcomes(settings.serving.log) as archive:
            found = archive.labelled(OUTCOMES.c.known_at >= since)
    except ProjectError:  # there is no log yet: nobody was asked
        return {}
    truths: dict[str, list[Any]] = {}
    for it in found:
        rows = truths.setdefault(it.request_id, [])
        rows.extend([None] * (it.row - len(rows)))
        rows[it.row - 1] = json.loads(it.value)
    return truths
