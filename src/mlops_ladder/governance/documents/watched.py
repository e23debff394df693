"""Evidence of what is watched: the newest reports on drift and on the live quality."""

from datetime import datetime, timedelta, UTC

from mlops_ladder.governance.documents.evidence import Facts
from mlops_ladder.monitoring.archive import Archive, NoLog
from mlops_ladder.monitoring.quality import History
from mlops_ladder.settings import Settings

YEAR = timedelta(days=365)


def drift(settings: Settings) -> Facts | None:
    """The newest report on drift; None where there is none, or nothing was served."""
    try:
        with Archive(settings.serving.log) as archive:
            return newest("drift", archive.verdicts(datetime.now(UTC) - YEAR))
    except NoLog:
        return None


def quality(settings: Settings) -> Facts | None:
    """The newest report on the live quality; None where there is none, or nothing was served."""
    try:
        with History(settings.serving.log) as archive:
            return newest("quality", archive.reports(datetime.now(UTC) - YEAR))
    except NoLog:
        return None


def newest(name: str, found: list[Facts]) -> Facts | None:
    """Those of the last time that somebody looked, under the name of their file."""
    last = [it for it in found if it["time"] == found[-1]["time"]]
    return {name: {"found": last}} if last else None
