"""Lineage: each link of the chain is looked up where it leads, and a broken one is named."""

import json
from dataclasses import replace
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import pytest

from mlops_ladder.data import provenance
from mlops_ladder.governance import lineage
from mlops_ladder.registry import history
from mlops_ladder.registry.history import Entry
from mlops_ladder.settings import Settings
from mlops_ladder.tracking.runs import Run


@pytest.fixture(name="entry")
def _entry(run: Run) -> Entry:
    """A decision about the recorded run."""
    tags: dict[str, Any] = {"commit": run.tags["git.commit"], "who": "Ada"}
    return Entry(
        number=1,
        time=datetime(2026, 1, 2, tzinfo=UTC),
        action="promote",
        version="1",
        run_id=run.run_id,
        model_version=run.tags["model_version"],
        previous=None,
        data_sha256=run.tags["data.sha256"],
        bundle="",
        proof=history.hash_verdict({"accepted": True}),
        verdict={"accepted": True},
        **tags,
    )


def test_a_run_is_found_and_agrees_with_the_decision(run: Run, entry: Entry) -> None:
    """What the gate wrote down is what the run says."""
    found = lineage.find_finished_run(entry)
    assert found is not None and found.run_id == run.run_id
    assert lineage.compare_with_run(entry, found) == ""


@pytest.mark.parametrize(
    ("field", "tag"),
    [("commit", "git.commit"), ("data_sha256", "data.sha256"), ("model_version", "model_version")],
)
def test_a_run_that_says_something_else_is_named(
    run: Run, entry: Entry, field: str, tag: str
) -> None:
    """The commit, the data or the model of the run is not the one of the decision."""
    other = entry.model_copy(update={field: "other"})
    assert lineage.compare_with_run(other, run) == f"{tag}: not what the gate wrote down"


def test_a_run_that_is_gone_is_no_run(entry: Entry) -> None:
    """An id that MLflow does not know."""
    assert lineage.find_finished_run(entry.model_copy(update={"run_id": "0" * 32})) is None


def test_a_report_that_was_changed_breaks_the_chain(
    entry: Entry,
) -> None:
    """The verdict has the hash that was written down, or the link is broken."""
    assert lineage.link_gate(entry).broken == ""
    changed = entry.model_copy(update={"verdict": {"accepted": False}})
    assert "was changed" in lineage.link_gate(changed).broken
    assert "not there" in lineage.link_gate(entry.model_copy(update={"verdict": None})).broken


def test_a_commit_that_is_not_here_and_a_changed_tree_are_named(run: Run) -> None:
    """An unknown commit, and one with changes that nobody committed."""
    unknown = replace(run, tags=run.tags | {"git.commit": "0" * 40})
    assert "does not hold it" in lineage.link_commit(unknown).broken
    assert "holds another one, or none" in lineage.link_lock(unknown).broken
    here = provenance.run_git("rev-parse", "HEAD")
    if here is None:
        pytest.skip("no commit is here to look up")
    clean = replace(run, tags=run.tags | {"git.commit": here, "git.dirty": "false"})
    assert lineage.link_commit(clean).broken == ""
    dirty = replace(clean, tags=clean.tags | {"git.dirty": "true"})
    assert "not committed" in lineage.link_commit(dirty).broken


def test_data_are_those_that_are_here_or_nobody_can_tell(run: Run, settings: Settings) -> None:
    """The sha256 of the run is that of the files; other data without a commit break the chain."""
    assert lineage.link_data(run, settings).broken == ""
    tags = {"data.sha256": "0" * 64, "git.commit": "0" * 40}
    other = replace(run, tags=run.tags | tags)
    assert "no commit says" in lineage.link_data(other, settings).broken


def test_the_image_is_the_one_deployed_last_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three in production the last before the request; staging and refusals do not count."""
    monkeypatch.chdir(tmp_path)
    request = datetime(2026, 5, 2, 12, 0)
    assert "ran from this folder" in lineage.link_image(request).target
    told = {"who": "Ada", "environment": "production", "result": "deployed"}
    days = [
        (1, {}),
        (2, {}),
        (2, {"image": "sha256:staged", "environment": "staging"}),
        (2, {"image": "sha256:refused", "result": "refused"}),
        (3, {}),
    ]
    lines = [
        json.dumps({"time": f"2026-05-0{day}T00:00:00+00:00", "image": f"sha256:{day}"} | told | it)
        for day, it in days
    ]
    Path("deployments.jsonl").write_text("\n".join(lines[:1]), encoding="utf-8")
    assert lineage.link_image(request).target.startswith("sha256:1, in production since 2026-05-01")
    Path("deployments.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert lineage.link_image(request).target.startswith("sha256:2, in production since 2026-05-02")
    early = datetime(2026, 4, 30)
    assert "nothing was in production" in lineage.link_image(early).target
