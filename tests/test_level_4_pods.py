"""Level 4 in pods: two models in one image, and the plan of a rollout that a ConfigMap brings."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import kubectl, registry
from conftest import commit, Generate, plant
from delivered import ask, Delivered, example, VERSION, within
from engines import Engine, podman

pytestmark = pytest.mark.slow
PORT, REGISTRY = 18631, "127.0.0.1:18632"
ANSWERS = {"maturity_level": "4", "project_name": "My Problem", "python_version": VERSION}
SMALL = {"MY_PROBLEM_TUNING__TRIALS": "1"}
WORSE = {"MY_PROBLEM_MODEL": json.dumps({"max_iter": 1, "max_leaf_nodes": 2})}
BETTER = {"MY_PROBLEM_MODEL": json.dumps({"max_iter": 40})}


@pytest.fixture(scope="module", name="cluster")
def _cluster(
    generate: Generate, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivered]:
    """A project whose registry holds two versions, the second one the champion."""
    folder = tmp_path_factory.mktemp("pods")
    project = folder / "my-problem"
    shutil.copytree(generate(**ANSWERS, deploy="kubernetes"), project)
    plant(project / "config/approval.toml", 'needed = "shared"', 'needed = "never"')
    commit(project)
    made = Delivered(project, engine)
    (folder / "state").mkdir()
    made.environment["PATH"] = f"{kubectl(folder / 'bin')}:{made.environment['PATH']}"
    made.environment["KUBECTL_STATE"] = str(folder / "state")
    made.ok("make", "setup", "pipeline", **SMALL, **WORSE)
    made.ok("make", "pipeline", **SMALL, **BETTER)
    with registry(folder / "registry", REGISTRY) as address:
        made.environment["REGISTRY"] = address
        yield made


def version(key: str) -> str:
    """Which model answers whoever sends this key."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=20)
    headers = {"Content-Type": "application/json", "X-Key": key}
    connection.request("POST", "/predict", json.dumps(example(PORT)), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    assert answer.status == 200, body
    return str(body["model_version"])


def test_a_pod_with_both_models_follows_the_plan_that_it_mounts(
    cluster: Delivered, tmp_path: Path
) -> None:
    """Half of the keys get the candidate, each the same one again; without a plan none does."""
    serving = cluster.folder / "models/serving"
    assert json.loads((serving / "champion.json").read_text(encoding="utf-8"))["version"] == "2"
    shutil.rmtree(serving / "1")
    cluster.ok("make", "stage", "CANDIDATE=1")
    state = Path(cluster.environment["KUBECTL_STATE"])
    (deployment,) = json.loads((state / "my-problem-staging.json").read_text(encoding="utf-8"))
    spec = deployment["spec"]["template"]["spec"]
    del deployment["metadata"]["namespace"], spec["topologySpreadConstraints"]
    container = spec["containers"][0]
    container["ports"][0] |= {"hostIP": "127.0.0.1", "hostPort": PORT}
    # Who needs a key is proved at level 3; Debian's Podman mounts no Secret.
    container["env"] = [it for it in container["env"] if "_ACCESS__" not in it["name"]]
    for mounted in (container["volumeMounts"], spec["volumes"]):
        mounted[:] = [it for it in mounted if it["name"] != "keys"]
    plan = planned(cluster)
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "my-problem-rollout"}}
    with podman(tmp_path) as client:
        client("pull", "--quiet", "--tls-verify=false", container["image"])
        counted: dict[str, Counter[str]] = {}
        for name, data in (("planned", {"rollout.json": json.dumps(plan)}), ("empty", {})):
            play = tmp_path / f"{name}.yaml"
            play.write_text(yaml.safe_dump_all([{**kept, "data": data}, deployment]), "utf-8")
            client("kube", "play", str(play))
            assert within(60, lambda: ask("/ready", port=PORT)[0] == 200)
            found = {str(key): version(str(key)) for key in range(60)}
            assert found == {key: version(key) for key in found}
            counted[name] = Counter(found.values())
            client("pod", "rm", "--force", "--all")
            client("volume", "rm", "--force", "--all")  # else the next one is given this plan
    assert counted["empty"] == {learned(serving, "2"): 60}
    assert counted["planned"].keys() == {learned(serving, "1"), learned(serving, "2")}
    assert 15 <= counted["planned"][learned(serving, "1")] <= 45  # four standard deviations


def planned(cluster: Delivered) -> dict[str, Any]:
    """A plan that gives half of the clients version 1."""
    sha256 = cluster.ok("sha256sum", "models/serving/1/bundle.json").split()[0]
    known = {"rollout": "trial", "step": 1, "share": 0.5, "shadow": False, "champion": "2"}
    return known | {"version": "1", "run_id": "", "sha256": sha256, "key_header": "X-Key"}


def learned(serving: Path, number: str) -> str:
    """The model version in the bundle of this version of the registry."""
    path = serving / number / "bundle.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["model_version"])
