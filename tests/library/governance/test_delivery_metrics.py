"""Delivery: DORA's four metrics of a history with known values."""

import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

import pytest

from mlops_ladder import ProjectError
from mlops_ladder.governance import delivery_metrics
from mlops_ladder.governance.delivery_metrics import (
    blame_changes,
    Change,
    list_aborted_rollouts,
    Measure,
    measure_delivery,
)
from mlops_ladder.governance.incidents import Incident
from mlops_ladder.registry.history import Entry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)
HOUR = timedelta(hours=1)
Commit = Callable[[datetime], str]


@pytest.fixture(name="commit")
def _commit(folder: Path) -> Commit:
    """`commit(time)` makes a commit of that time in a repository of its own, and gives its id."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")

    def git(*words: str, **more: str) -> str:
        command = ["git", "-C", str(folder), *who, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=more or None)
        return done.stdout.strip()

    def made(time: datetime) -> str:
        dates = {"GIT_COMMITTER_DATE": time.isoformat(), "GIT_AUTHOR_DATE": time.isoformat()}
        git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", "It", **dates)
        return git("rev-parse", "HEAD")

    git("init", "--quiet")
    return made


def entry(number: int, action: Any, version: str, previous: str | None, time: datetime) -> Entry:
    """A decision of the gate."""
    known: dict[str, Any] = {"run_id": "r", "model_version": version, "who": "Ada", "commit": "c"}
    known |= {"data_sha256": "d", "bundle": "b", "proof": "p", "previous": previous}
    return Entry(number=number, time=time, action=action, version=version, **known)


def incident(cause: Any, started: datetime, hours: float | None = None, version: str = "") -> Any:
    """An incident that lasts so long."""
    over = None if hours is None else started + hours * HOUR
    return Incident(
        title="It", cause=cause, version=version, started=started, detected=started, restored=over
    )


def told(found: list[Measure]) -> list[tuple[float | None, int]]:
    """The values with the number of observations, in the order of the four."""
    return [(None if it.value is None else round(it.value, 6), it.n) for it in found]


def test_the_four_are_what_happened(commit: Commit) -> None:
    """Four changes in four weeks; five commits, which waited 1, 5, 2, 3 and 4 hours."""
    made = []
    for place, waits in enumerate([(1,), (5, 2), (3,), (4,)]):
        time = NOW - (4 - place) * WEEK
        last = [commit(time - hours * HOUR) for hours in waits][-1]
        made.append(Change("image", f"image {place}", time, last))
    known = {
        Path("a.toml"): incident("deploy", NOW - 10 * HOUR, 1),
        Path("b.toml"): incident("data", NOW - WEEK, 2),
        Path("c.toml"): incident("unknown", NOW - WEEK, 9),
        Path("d.toml"): incident("unknown", NOW - HOUR),
    }
    found = measure_delivery(blame_changes(made, known), known.values(), NOW)
    assert told(found) == [(3, 5), (1, 4), (0.25, 4), (2, 3)]
    assert str(found[0]) == (
        "lead time               3 hours (median)                  "
        "n = 5 commits; 0 changes brought none"
    )


def test_of_few_nothing_is_said(commit: Commit) -> None:
    """A median of two is chance; and so is all that is older than the days that are asked for."""
    when = [NOW - timedelta(days=days) for days in (200, 20, 10)]
    made = [Change("image", "i", time, commit(time - HOUR)) for time in when]
    found = measure_delivery(made, [incident("data", NOW - WEEK, 1)], NOW)
    assert told(found) == [(None, 2), (None, 2), (None, 2), (None, 1)]
    assert "not enough data (3 are needed)" in str(found[0])
    assert told(measure_delivery([], [], NOW)) == [(None, 0)] * 4
    assert told(measure_delivery(made, [], NOW, days=365))[0] == (1, 3)


def test_a_change_without_a_new_commit_has_no_lead_time(commit: Commit) -> None:
    """Trained again, a commit that is not here, one that is younger than its change."""
    first = commit(NOW - 3 * WEEK)
    late = commit(NOW - HOUR)
    made = [
        Change("model", "v1", NOW - 3 * WEEK + HOUR, first),
        Change("model", "v2", NOW - 2 * WEEK, first),
        Change("model", "v3", NOW - WEEK, "0" * 40),
        Change("model", "v4", NOW - 2 * HOUR, late),
        Change("image", "i", NOW, first),
    ]
    hours, without = delivery_metrics.measure_lead_times(made, NOW - 4 * WEEK)
    assert (hours, without) == ([1, 3 * 7 * 24], 3)


def test_a_promotion_fails_that_a_rollback_keeps_down() -> None:
    """And does not where the rollback was taken back."""
    days = [NOW + timedelta(days=day) for day in range(5)]
    log = [
        entry(1, "promote", "1", None, days[0]),
        entry(2, "promote", "2", "1", days[1]),
        entry(3, "refuse", "3", "2", days[2]),
        entry(4, "rollback", "1", "2", days[3]),
    ]
    assert [(it.name, it.failed) for it in delivery_metrics.collect_promotions(log)] == [
        ("v1", ""),
        ("v2", "rolled back on 2026-03-04"),
    ]
    back = [*log, entry(5, "rollback", "2", "1", days[4])]
    assert not any(it.failed for it in delivery_metrics.collect_promotions(back) if it.name == "v2")


def test_a_rollout_is_a_change_once_clients_got_it() -> None:
    """Aborted in the shadow it has reached nobody."""

    def decision(rollout: str, action: str, share: float | None, shadow: bool = False) -> Any:
        plan = None if share is None else type("Plan", (), {"share": share, "shadow": shadow})
        known = {"rollout": rollout, "version": rollout, "action": action, "plan": plan}
        return type("Decision", (), known | {"time": NOW, "reasons": ["slow"]})

    steps = [
        decision("2", "start", 0.0, shadow=True),
        decision("2", "abort", None),
        decision("3", "start", 0.0, shadow=True),
        decision("3", "advance", 0.05),
        decision("3", "abort", None),
        decision("4", "start", 0.5),
        decision("4", "promote", None),
    ]
    found = list_aborted_rollouts(steps, [entry(1, "accept", "3", None, NOW)])
    assert found == [Change("model", "v3", NOW, "c", "aborted: slow")]


def test_an_incident_blames_the_change_that_it_names() -> None:
    """The promotion of its version, or the newest image before it; never a later one."""
    made = [
        Change("model", "v1", NOW, "c"),
        Change("image", "i1", NOW + HOUR, "c"),
        Change("model", "v2", NOW + 2 * HOUR, "c"),
        Change("image", "i2", NOW + 9 * HOUR, "c"),
    ]
    known = {
        Path("m.toml"): incident("model", NOW + 5 * HOUR, 1, version="1"),
        Path("d.toml"): incident("deploy", NOW + 5 * HOUR, 1),
        Path("x.toml"): incident("data", NOW + 5 * HOUR, 1),
    }
    failed = {it.name: it.failed for it in blame_changes(made, known)}
    assert failed == {"v1": "incident m", "i1": "incident d", "v2": "", "i2": ""}


def test_deployments_are_read_and_a_broken_line_is_named(folder: Path) -> None:
    """Staging and refusals are no changes; a time without a zone is UTC."""
    line = {"environment": "production", "result": "deployed", "image": "i", "commit": "c"}
    lines = [
        line | {"time": "2026-03-01T00:00:00"},
        line | {"time": "2026-03-01T00:00:00", "environment": "staging"},
        line | {"time": "2026-03-01T00:00:00", "result": "refused"},
    ]
    log = folder / "deployments.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert delivery_metrics.list_deployments() == [Change("image", "i", NOW, "c")]
    log.write_text(json.dumps(line | {"time": "yesterday"}), encoding="utf-8")
    with pytest.raises(ProjectError, match="deployments.jsonl: line 1 is no deployment"):
        delivery_metrics.list_deployments()


def test_the_command_tells_the_source_and_refuses_no_days(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing happened yet it says so."""
    assert not (folder / "promotions.jsonl").exists()
    assert command("delivery") == 0
    said = capsys.readouterr().out
    assert "No change has reached clients yet" in said and "https://dora.dev" in said
    assert command("delivery", "--days", "0") == 1
    assert "DAYS=0" in capsys.readouterr().err
