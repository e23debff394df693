"""Causes: the events that drift, quality, new data or an alert give; None if nothing has happened.

The fingerprint of a cause covers the champion, the finding and the data: the same training again
would give the same model.
"""

from datetime import datetime, timedelta
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data import reading, sources
from mlops_ladder.data.remote import refresh_snapshot
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.monitoring.outcomes import Outcomes
from mlops_ladder.monitoring.quality import QUALITY
from mlops_ladder.monitoring.training_reference import read_reference
from mlops_ladder.pipeline.retraining.decision import Event, Kind, make_event
from mlops_ladder.registry import versions
from mlops_ladder.settings import Settings

MAX_REPORT_AGE = timedelta(days=2)


def hash_data(settings: Settings) -> str:
    """Return the sha256 of the data; "unknown" if they are in no file."""
    try:
        return sources.compute_sha256(*reading.list_data_files(settings.data.path))
    except ProjectError:
        return sources.UNKNOWN


def select_newest_report(rows: list[dict[str, Any]], kind: str, command: str) -> tuple[str, Any]:
    """Return the champion's model and the rows of the newest report on it.

    Raises ProjectError with the command that makes a report if there is none.
    """
    model = read_reference().version
    own = [row for row in rows if row["model_version"] == model]
    if not own:
        raise ProjectError(f"no report on {kind} of model {model} in two days; run: {command}")
    last = max(row["time"] for row in own)
    return model, [row for row in own if row["time"] == last]


def find_drift_event(settings: Settings, now: datetime) -> Event | None:
    """Return the drifted columns of the newest report as an event."""
    with Archive(settings.serving.prediction_log_url) as archive:
        rows = archive.read_verdicts(now - MAX_REPORT_AGE)
    model, report = select_newest_report(rows, "drift", "make drift")
    names = sorted(row["column"] for row in report if row["drifted"])
    cause = f"{', '.join(names)} drifted from the training data of model {model}"
    return make_event("drift", cause, model, *names, hash_data(settings)) if names else None


def find_quality_event(settings: Settings, now: datetime) -> Event | None:
    """Return the degraded scores of the newest report as an event."""
    with Outcomes(settings.serving.prediction_log_url) as history:
        rows = history.read_verdicts(now - MAX_REPORT_AGE, QUALITY)
    model, report = select_newest_report(rows, "the quality", "make quality")
    names = sorted(f"{row['name']}: {row['metric']}" for row in report if row["degraded"])
    cause = f"model {model} is worse than promised: {', '.join(names)}"
    return make_event("quality", cause, model, *names, hash_data(settings)) if names else None


def find_data_event(settings: Settings, _now: datetime) -> Event | None:
    """Return new data as an event.  Raise ProjectError if the data are in no file."""
    refresh_snapshot(settings.data.path)
    digest = hash_data(settings)
    if digest == sources.UNKNOWN:
        raise ProjectError(f"[data] path = {settings.data.path!r}: no file, so none is new")
    if any(entry.data_sha256 == digest for entry in versions.read_state().entries):
        return None
    return make_event("data", f"data {digest[:12]} are new: no version learned from them", digest)


def find_alert_event(settings: Settings, now: datetime, alert: dict[str, Any]) -> Event | None:
    """Return the event of a firing alert by `triggers.alerts`; alerts are sent repeatedly."""
    name = str(alert.get("labels", {}).get("alertname", ""))
    kind = settings.triggers.alerts.get(name)
    if kind is None or alert.get("status") != "firing":
        return None
    if kind != "alert":
        return find_event(settings, now, kind)
    model = read_reference().version
    return make_event("alert", f"{name} of model {model}", name, model, hash_data(settings))


def find_event(settings: Settings, now: datetime, kind: Kind) -> Event | None:
    """Return the event of this kind, if it has happened."""
    finders = {"drift": find_drift_event, "quality": find_quality_event, "data": find_data_event}
    return finders[kind](settings, now)
