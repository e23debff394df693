"""Causes: what drift, quality, data or an alert give as an event; None where nothing has happened.

A cause is of the champion, of what was found of it, and of the data there are to learn from: the
same training again would give the same model.
"""

from datetime import datetime, timedelta
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data import reading, sources
from mlops_ladder.monitoring import training_reference
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.monitoring.quality import History
from mlops_ladder.pipeline.retraining.decision import Event, event, Kind
from mlops_ladder.registry import versions
from mlops_ladder.settings import Settings

FRESH = timedelta(days=2)  # older reports say nothing of now


def data_version(settings: Settings) -> str:
    """The sha256 of the data; "unknown" where they are in no file."""
    try:
        return sources.checksum(*reading.files(settings.data.path))
    except ProjectError:
        return sources.UNKNOWN


def newest(found: list[dict[str, Any]], version: str) -> list[dict[str, Any]]:
    """The rows of the newest report on a model."""
    known = [it for it in found if it["model_version"] == version]
    last = max((it["time"] for it in known), default=None)
    return [it for it in known if it["time"] == last]


def drift(settings: Settings, now: datetime) -> Event | None:
    """The columns that have drifted by the newest report.  ProjectError where there is none."""
    version = training_reference.read().version
    with Archive(settings.serving.prediction_log_url) as archive:
        report = newest(archive.verdicts(now - FRESH), version)
    if not report:
        raise ProjectError(f"no report on drift of model {version} in two days; run: make drift")
    names = sorted(it["column"] for it in report if it["drifted"])
    told = f"{', '.join(names)} drifted from what model {version} learned from"
    return event("drift", told, version, *names, data_version(settings)) if names else None


def quality(settings: Settings, now: datetime) -> Event | None:
    """What is worse than promised by the newest report.  ProjectError where there is none."""
    version = training_reference.read().version
    with History(settings.serving.prediction_log_url) as history:
        report = newest(history.reports(now - FRESH), version)
    if not report:
        raise ProjectError(f"no report on the quality of model {version} in two days: make quality")
    names = sorted(f"{it['name']}: {it['metric']}" for it in report if it["degraded"])
    told = f"model {version} is worse than promised: {', '.join(names)}"
    return event("quality", told, version, *names, data_version(settings)) if names else None


def data(settings: Settings, _now: datetime) -> Event | None:
    """Data of which no version was made.  ProjectError where they are in no file."""
    found = data_version(settings)
    if found == sources.UNKNOWN:
        raise ProjectError(f"[data] path = {settings.data.path!r}: no file, so none is new")
    if any(it.data_sha256 == found for it in versions.held().entries):
        return None
    return event("data", f"data {found[:12]} were not learned from yet", found)


def alert(settings: Settings, now: datetime, told: dict[str, Any]) -> Event | None:
    """What a firing alert means by `triggers.alerts`; it is told again and again, by several."""
    name = str(told.get("labels", {}).get("alertname", ""))
    kind = settings.triggers.alerts.get(name)
    if kind is None or told.get("status") != "firing":
        return None
    if kind != "alert":
        return of(settings, now, kind)
    version = training_reference.read().version
    return event("alert", f"{name} of model {version}", name, version, data_version(settings))


def of(settings: Settings, now: datetime, kind: Kind) -> Event | None:
    """What has happened of this kind."""
    known = {"drift": drift, "quality": quality, "data": data}
    return known[kind](settings, now)
