"""The pods of a cluster follow a rollout; kubectl is a stand-in that tells what it was asked."""

import json
import os
import shutil
import sys
from dataclasses import replace
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import pytest
from library.fixture_project import ROOT

from mlops_ladder import project, ProjectError
from mlops_ladder.registry import publishing
from mlops_ladder.serving.assignment import Plan
from mlops_ladder.serving.rollout import cluster, decisions
from mlops_ladder.serving.rollout.decisions import Decision
from mlops_ladder.settings import Settings
from mlops_ladder.serving.settings import Rollout

HERE, OTHER = "a" * 64, "b" * 64
IMAGE = "registry/service@sha256:" + "0" * 64
PLAN = Plan(
    rollout="v2",
    step=1,
    share=0.25,
    shadow=False,
    champion="1",
    version="2",
    run_id="run",
    sha256=HERE,
    key_header="X-Key",
)
KUBECTL = """#!PYTHON
import json, os, sys
said = sys.argv[1:]
if said[0] == "kustomize":
    print("apiVersion: v1\\nkind: Namespace\\n---\\napiVersion: apps/v1\\nkind: Deployment\\nmetadata:")
    sys.exit(print("  name: service\\n  namespace: ours"))
if said[0] == "annotate":
    sys.exit(print("Namespace ours \\nDeployment service ours"))
assert said[:2] == ["--namespace", "ours"], said
spec = dict(containers=[dict(name="service", image="IMAGE")])
if said[2:4] == ["get", "deployment"]:
    sys.exit(print(json.dumps(dict(spec=dict(template=dict(spec=spec))))))
if said[2:4] == ["get", "pods"]:
    sys.exit(print(json.dumps(dict(items=[dict(metadata=dict(name="pod"), spec=spec)]))))
if said[2] == "exec":
    sys.exit(print(os.environ["HELD"], said[-1]))
with open("asked.jsonl", "a") as asked:
    asked.write(json.dumps([said[2:], sys.stdin.read() if said[2] == "apply" else ""]) + "\\n")
sys.exit(os.environ.get("FAIL"))
"""


@pytest.fixture(autouse=True)
def _kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in; its pod holds version 2."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    script = KUBECTL.replace("PYTHON", sys.executable).replace("IMAGE", IMAGE)
    program.write_text(script, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HELD", HERE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "deploy/kubernetes/overlays").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def decision(action: Any, plan: Plan | None = PLAN, place: Any = "production") -> Decision:
    """A decision on the rollout of version 2 in this environment."""
    return Decision(
        time=datetime.now(UTC),
        action=action,
        rollout="v2",
        version="2",
        champion="1",
        who="somebody",
        reasons=[],
        plan=plan,
        wanted=Rollout(cluster=place),
    )


def asked() -> list[Any]:
    """What kubectl was asked to change, and given."""
    path = Path("asked.jsonl")
    return [json.loads(it) for it in path.read_text("utf-8").splitlines()] if path.exists() else []


def test_a_plan_reaches_the_pods_and_is_taken_from_them() -> None:
    """The ConfigMap holds the very plan, and the pods are touched after it; then it is empty."""
    cluster.send_to_cluster(decision("advance"))
    (applied, given), (touched, _) = asked()
    made = json.loads(given)
    assert (applied[0], touched[:2]) == ("apply", ["annotate", "pods"])
    assert (made["kind"], made["metadata"]) == ("ConfigMap", {"name": "service-rollout"})
    assert Plan.model_validate_json(made["data"]["rollout.json"]) == PLAN
    assert touched[-1] == "rollout-step=1"
    cluster.send_to_cluster(decision("abort", None))
    assert json.loads(asked()[2][1])["data"] == {} and asked()[3][0][-1] == "rollout-step=none"


def test_who_names_no_cluster_asks_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is anything asked after a promotion: what is next is told."""
    cluster.send_to_cluster(decision("advance", place=""))
    cluster.send_to_cluster(decision("abort", None, place=""))
    cluster.send_to_cluster(decision("promote", None))
    assert not asked() and "Next: make stage promote" in capsys.readouterr().out


def test_a_rollout_begins_only_where_pods_hold_the_candidate(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the database of the pods is the one that is decided by."""
    shared = settings.serving.model_copy(
        update={"prediction_log_url": "postgresql+psycopg://host/log"}
    )
    there = settings.model_copy(update={"serving": shared})
    cluster.check_cluster(decision("start"), there)
    monkeypatch.setenv("HELD", OTHER)
    with pytest.raises(ProjectError, match="ours, pod: .*make stage promote CANDIDATE=2"):
        cluster.check_cluster(decision("start"), there)
    shared = settings.serving.model_copy(
        update={"prediction_log_url": "sqlite:///predictions/log.db"}
    )
    here = settings.model_copy(update={"serving": shared})
    with pytest.raises(
        ProjectError, match="serving.prediction_log_url: sqlite.*the pods of production"
    ):
        cluster.check_cluster(decision("start"), here)
    cluster.check_cluster(decision("start", place=""), here)


def test_what_does_not_reach_the_pods_is_not_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is not noted as carried out, so the next command tries again."""
    here = replace(project.read_project(Path()), deploy="kubernetes")
    monkeypatch.setattr(project, "read_project", lambda _: here)
    pointer = tmp_path / "rollout.json"
    monkeypatch.setattr(decisions, "POINTER", pointer)
    monkeypatch.setattr(publishing, "verify_bundle", lambda *_: [])
    monkeypatch.setenv("FAIL", "planted: no such host")
    with pytest.raises(ProjectError, match="planted: no such host"):
        decisions.apply_decision(decision("advance"))
    assert not pointer.exists()
    monkeypatch.delenv("FAIL")
    decisions.apply_decision(decision("advance"))
    assert Plan.model_validate_json(pointer.read_bytes()) == PLAN
    monkeypatch.setenv("FAIL", "planted: no such host")
    with pytest.raises(ProjectError, match="planted"):
        decisions.apply_decision(decision("abort", None))
    assert pointer.exists()


def test_a_pipeline_does_not_begin_one_in_pods() -> None:
    """Their image needs the candidate first."""
    with pytest.raises(ValueError, match="make stage promote CANDIDATE=n"):
        Rollout(cluster="production", enabled=True)
