"""Promotion, proved: staging, its smoke test, and then production with the same image, to the byte.

Compose runs on a real engine.  For Kubernetes the manifests are validated, scanned and compared, the
pod is run by Podman from a real registry, and kubectl is a stand-in: no cluster was there.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import kubectl, registry
from conftest import commit, fails, Generate, ok, plant
from delivered import ask, Delivered, example, POD_PORT, PORT, VERSION, within
from engines import beside, Engine, podman
from faults import Fault, PROMOTED, STAGED

from mlops_ladder.delivery.smoke import smoke_script
from mlops_ladder.maturity import grading
from mlops_ladder.maturity.repository import Repository

pytestmark = [pytest.mark.slow]

STAGING_PORT = 18612
RIGHTS = "import os; print(os.getuid(), os.access('/app', os.W_OK), os.statvfs('/').f_flag & 1)"
ROUTE = "/app/.venv/lib/python*/site-packages/mlops_ladder/serving/predict_route.py"
ANSWERS = {"maturity_level": "3", "project_name": "My Problem", "python_version": VERSION}
# Found by the scan, and wanted: a limit of CPU slows a pod down that could use a free core.
WANTED = "KSV-0011\n"


def alone(project: Path) -> None:
    """Have nobody to approve: the champion of these tests comes past gate and registry."""
    plant(project / "config/approval.toml", 'needed = "shared"', 'needed = "never"')


@pytest.fixture(scope="module", name="project")
def _project(
    generate: Generate, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivered]:
    """A project for Compose with a champion; its containers are gone at the end."""
    folder = tmp_path_factory.mktemp("compose") / "my-problem"
    shutil.copytree(generate(**ANSWERS), folder)
    alone(folder)
    commit(folder)
    made = Delivered(folder, engine)
    made.environment["STAGING_ADDRESS"] = f"127.0.0.1:{STAGING_PORT}"
    made.ok("make", "setup")
    made.publish(1)
    yield made
    made.ok("make", "undeploy", "unstage")


def another(project: Delivered, image: str, *change: str) -> None:
    """Give the project's commit an image that is another one with a change: nothing is built anew."""
    lines = [f"FROM {image}", "USER root", *change, "USER 10001"]
    lines += [f"ENV MY_PROBLEM_SERVING__COMMIT={project.commit}"]
    project.engine.stand_in(project.image, "\n".join(lines))


def notes(project: Delivered) -> list[dict[str, str]]:
    """The log of deployments."""
    path = project.folder / "deployments.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def containers(project: Delivered) -> dict[str, str]:
    """The image of each container of the service that runs."""
    form = "{{.Names}}"
    names = project.engine.docker("ps", "--format", form, "--filter", "name=(blue|green)").split()
    inspect = "{{.Image}}"
    return {it: project.engine.docker("inspect", "--format", inspect, it) for it in names}


def test_nothing_is_promoted_where_staging_runs_nothing(project: Delivered) -> None:
    """`make promote` says what to run; nothing is started and nothing noted."""
    assert "nothing runs in staging; run: make stage" in project.fails("make", "promote")
    assert containers(project) == {} and notes(project) == []


@pytest.fixture(name="deployed", scope="module")
def _deployed(project: Delivered) -> str:
    """The commit that went to staging, and from there to production."""
    project.ok("make", "deploy")
    return project.commit


def test_production_runs_the_very_image_that_staging_runs(
    project: Delivered, deployed: str
) -> None:
    """`make deploy` is staging, its smoke test, production; each is noted with the one digest."""
    assert [ask("/version", port=at)[1]["commit"] for at in (PORT, STAGING_PORT)] == [deployed] * 2
    running = containers(project)
    assert running.keys() == {"my-problem-blue-1", "my-problem-staging-blue-1"}
    (image,) = set(running.values())
    found = notes(project)
    assert [it["environment"] for it in found] == ["staging", "production"]
    for it in found:
        assert it.keys() == {"time", "who", "environment", "image", "commit", "result"}
        assert (it["image"], it["commit"], it["result"]) == (image, deployed, "deployed")
        assert it["time"].endswith("+00:00") and it["who"]


def test_an_image_that_does_not_predict_gets_no_further_than_staging(
    project: Delivered, deployed: str
) -> None:
    """`make deploy` ends at the smoke test of staging: production is not touched."""
    before = containers(project)
    good = project.image
    project.change("README.md", "\nIt does not predict.\n")
    another(project, good, f"RUN sed -i s/router.post/router.put/ {ROUTE}")
    said = project.fails("make", "deploy")
    project.ok("git", "reset", "--quiet", "--hard", deployed)
    assert "Not done" in said and "\nnothing goes on" not in said.lower()
    assert containers(project) == before
    assert [(it["environment"], it["result"]) for it in notes(project)[2:]] == [
        ("staging", "refused")
    ]


def test_the_smoke_test_is_asked_again_before_an_image_is_promoted(
    project: Delivered, deployed: str
) -> None:
    """What staging runs has to answer at that time: here it lets nobody in without a key."""
    before = containers(project)
    key = project.ok("make", "--silent", "key", "NAME=smoke").splitlines()[0]
    assert within(10, lambda: ask("/predict", example(), port=STAGING_PORT)[0] == 401)
    said = project.fails("make", "promote")
    assert "a valid key is needed" in said
    assert containers(project) == before
    project.ok("make", "promote", KEY=key)
    assert containers(project).keys() == {"my-problem-green-1", "my-problem-staging-blue-1"}
    (image,) = set(containers(project).values())
    assert ask("/version")[1]["commit"] == deployed
    last = [(it["result"], it["image"]) for it in notes(project)[-2:]]
    assert last == [("refused", image), ("deployed", image)]
    (project.folder / "models/serving/keys.json").unlink()


# ---- Kubernetes


@pytest.fixture(scope="module", name="cluster")
def _cluster(
    generate: Generate,
    engine: Engine,
    project: Delivered,
    deployed: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Delivered]:
    """A project for Kubernetes with champion, environment and image of the other, and a registry."""
    assert deployed
    folder = tmp_path_factory.mktemp("kubernetes") / "my-problem"
    shutil.copytree(generate(**ANSWERS, deploy="kubernetes"), folder)
    alone(folder)
    commit(folder)
    shutil.copytree(project.folder / "models", folder / "models")
    (folder / ".venv").symlink_to(project.folder / ".venv")
    os.utime(folder / ".venv/bin/.ready")
    made = Delivered(folder, engine)
    another(made, project.image)
    made.environment["PATH"] = f"{kubectl(folder.parent / 'bin')}:{made.environment['PATH']}"
    with registry(folder.parent / "registry") as address:
        made.environment["REGISTRY"] = address
        yield made


@pytest.fixture(name="state")
def _state(cluster: Delivered, tmp_path: Path) -> Path:
    """What the stand-in for a cluster holds; nothing at first."""
    (tmp_path / "state").mkdir()
    cluster.environment["KUBECTL_STATE"] = str(tmp_path / "state")
    (cluster.folder / "deployments.jsonl").unlink(missing_ok=True)
    return tmp_path / "state"


@pytest.fixture(name="overlays")
def _overlays(cluster: Delivered) -> Iterator[Path]:
    """The overlays, to plant faults in."""
    yield cluster.folder / "deploy/kubernetes/overlays"
    cluster.ok("git", "checkout", "--quiet", "deploy/kubernetes")


def rendered(cluster: Delivered, folder: Path) -> dict[str, Path]:
    """What kustomize makes of both overlays, with an image as it is put in."""
    found = {}
    for name in ("staging", "production"):
        text = cluster.ok("kubectl", "kustomize", f"deploy/kubernetes/overlays/{name}")
        found[name] = folder / f"{name}.yaml"
        text = text.replace("image: my-problem\n", f"image: my-problem@sha256:{'0' * 64}\n")
        found[name].write_text(text, encoding="utf-8")
    return found


def test_both_overlays_are_strictly_valid_and_a_fault_is_found(
    cluster: Delivered, overlays: Path, tmp_path: Path
) -> None:
    """Strictly valid for Kubernetes; a key that it does not know is refused."""
    check = [beside("kubernetes-validate"), "--strict"]
    for path in rendered(cluster, tmp_path).values():
        ok(*check, str(path), at=tmp_path)
    plant(overlays / "hardened/disruption.yaml", "maxUnavailable", "maxUnavailble")
    for path in rendered(cluster, tmp_path).values():
        assert "maxUnavailble" in fails(*check, str(path), at=tmp_path)


def test_a_policy_scan_finds_nothing_but_what_is_planted(
    cluster: Delivered, overlays: Path, tmp_path: Path
) -> None:
    """trivy has nothing to say against either overlay; it finds a pod that shares the host's network."""
    (tmp_path / "ignored").write_text(WANTED, encoding="utf-8")
    scan = [beside("trivy"), "config", "--quiet", "--skip-check-update", "--exit-code", "1"]
    scan += ["--ignorefile", "ignored", "--cache-dir", str(tmp_path / "cache"), "."]
    rendered(cluster, tmp_path)
    ok(*scan, at=tmp_path)
    plant(
        overlays / "hardened/deployment.yaml",
        "    spec:\n",
        "    spec:\n      hostNetwork: true\n",
        1,
    )
    rendered(cluster, tmp_path)
    said = fails(*scan, at=tmp_path)
    assert said.count("KSV-0009 (HIGH)") == 2


DIFFERENT = {
    "a writable root": (
        "- {op: replace, path: /spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem,"
        " value: false}",
        "containers/service/securityContext/readOnlyRootFilesystem: staging | production: True | False",
    ),
    "another image": (
        "- {op: replace, path: /spec/template/spec/containers/0/image, value: other}",
        "containers/service/image: staging | production: my-problem | other",
    ),
    "a variable of its own": (
        "- {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: OWN, value: x}}",
        "containers/service/env/OWN/name: staging | production: nothing | OWN",
    ),
    "open to everybody": (
        "- {op: replace, path: /spec/template/spec/containers/0/env/1/value, value: 'true'}",
        "env/MY_PROBLEM_ACCESS__OPEN/value: staging | production: false | true",
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_overlays_differ_only_in_what_they_may(
    cluster: Delivered, overlays: Path, name: str
) -> None:
    """Replicas and namespace differ; anything else that does is refused, and named."""
    said = cluster.ok("make", "overlays")
    assert "Deployment/my-problem/spec/replicas: 1 | 2\n" in said
    assert "Namespace/metadata/name: my-problem-staging | my-problem-production\n" in said
    change, told = DIFFERENT[name]
    patch = f"patches:\n  - target: {{kind: Deployment}}\n    patch: |-\n      {change}\n"
    with (overlays / "production/kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write(patch)
    assert told in cluster.fails("make", "overlays")
    assert told in cluster.fails("make", "promote")
    if name == "open to everybody":
        (overlays / "variables.txt").write_text("MY_PROBLEM_ACCESS__OPEN # a reason\n", "utf-8")
        cluster.ok("make", "overlays")


def calls(state: Path) -> list[str]:
    """What kubectl was asked for, what is long left out."""
    lines = (state / "calls").read_text(encoding="utf-8").splitlines()
    return [" ".join(line.split()[:3]).replace("my-problem-", "") for line in lines]


def image(state: Path, environment: str) -> str:
    """The image that is applied in an environment."""
    path = state / f"my-problem-{environment}.json"
    pod = json.loads(path.read_text(encoding="utf-8"))[-1]["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])


def test_one_digest_moves_through_the_cluster(cluster: Delivered, state: Path) -> None:
    """`make stage` applies the digest that the registry gave, `make promote` the one of staging."""
    assert "nothing runs in my-problem-staging" in cluster.fails("make", "promote")
    cluster.ok("make", "stage")
    assert not (state / "my-problem-production.json").exists()
    told = cluster.ok("make", "promote", KEY="a 'secret'")
    found = image(state, "staging")
    assert found.startswith(f"{cluster.environment['REGISTRY']}my-problem@sha256:")
    assert image(state, "production") == found and f"production runs {found}" in told
    assert [(it["environment"], it["image"], it["result"]) for it in notes(cluster)] == [
        ("staging", found, "deployed"),
        ("production", found, "deployed"),
    ]
    after = calls(state)[calls(state).index("production get deployment") :]
    assert after == [
        "production get deployment",
        "production apply -f",
        "production rollout status",
        "production get pods",
        "production exec --stdin",
        "production get deployment",
    ]
    assert "secret" not in (state / "calls").read_text(encoding="utf-8")
    script = (state / "my-problem-production.asked").read_text(encoding="utf-8")
    assert script.startswith("import os\nos.environ['KEY'] = \"a 'secret'\"\n")
    compile(script, "smoke", "exec")


def test_a_digest_that_fails_its_smoke_test_is_not_promoted(
    cluster: Delivered, state: Path
) -> None:
    """Where a pod of staging does not answer, production is not asked for anything."""
    cluster.ok("make", "stage")
    said = cluster.fails("make", "promote", FAIL="my-problem-staging/exec")
    assert "planted: exec fails in my-problem-staging" in said
    assert not [call for call in calls(state) if call.startswith("production")]
    last = notes(cluster)[-1]
    assert (last["environment"], last["result"], last["image"]) == (
        "production",
        "refused",
        image(state, "staging"),
    )


def test_what_does_not_answer_in_production_is_undone(cluster: Delivered, state: Path) -> None:
    """Whatever fails there, the image before comes back, and the refusal is noted."""
    cluster.ok("make", "deploy")
    before, good, built = image(state, "production"), cluster.commit, cluster.image
    cluster.change("README.md", "\nAnother commit.\n")
    another(cluster, built)
    cluster.ok("make", "stage")
    for what in ("rollout status", "exec", "apply"):
        said = cluster.fails("make", "promote", FAIL=f"my-problem-production/{what}")
        assert f"Not done: planted: {what} fails in my-problem-production" in said
        assert "production rollout undo" in calls(state)
        assert image(state, "production") == before != image(state, "staging")
        assert notes(cluster)[-1]["why"] == f"planted: {what} fails in my-problem-production"
        (state / "calls").unlink()
    cluster.ok("git", "reset", "--quiet", "--hard", good)


def test_without_a_registry_there_is_no_digest(cluster: Delivered, state: Path) -> None:
    """A tag is not staged: it may mean another image tomorrow."""
    said = cluster.fails("make", "stage", "REGISTRY=")
    assert "has no digest, for no registry has it; REGISTRY=host/ names one" in said
    assert not list(state.iterdir())


@pytest.fixture(name="pod")
def _pod(cluster: Delivered, state: Path) -> dict[str, Any]:
    """The Deployment that is applied in staging, as Podman takes it."""
    cluster.ok("make", "stage")
    (found,) = json.loads((state / "my-problem-staging.json").read_text(encoding="utf-8"))
    spec = found["spec"]["template"]["spec"]
    del found["metadata"]["namespace"], spec["topologySpreadConstraints"]
    spec["containers"][0]["ports"][0] |= {"hostIP": "127.0.0.1", "hostPort": POD_PORT}
    return dict(found)


def kept(pod: dict[str, Any], keys: str) -> list[dict[str, Any]]:
    """The Deployment with a file of keys: Debian's Podman mounts a ConfigMap, but no Secret."""
    volumes = pod["spec"]["template"]["spec"]["volumes"]
    (volume,) = [it for it in volumes if it["name"] == "keys"]
    volume["configMap"] = {"name": volume.pop("secret")["secretName"]}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "my-problem-keys"}}
    return [{**made, "data": {"keys.json": keys}}, pod]


def test_the_pod_runs_and_lets_nobody_in_without_a_key(
    cluster: Delivered, pod: dict[str, Any], tmp_path: Path
) -> None:
    """Podman runs the Deployment by its digest: no root, nothing to write to; no key, no start."""
    key = cluster.ok("make", "--silent", "key", "NAME=client").splitlines()[0]
    keys = (cluster.folder / "models/serving/keys.json").read_text(encoding="utf-8")
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    image = container["image"]
    given = [f"--env={it['name']}={it['value']}" for it in container["env"] if "value" in it]
    assert "keys.json holds no key" in cluster.fails("docker", "run", "--rm", *given, image)
    play, name = tmp_path / "pod.yaml", "my-problem-pod-0-service"
    with podman(tmp_path) as client:
        client("pull", "--quiet", "--tls-verify=false", image)
        play.write_text(yaml.safe_dump_all(kept(pod, keys)), encoding="utf-8")
        client("kube", "play", str(play))
        assert within(60, lambda: ask("/ready", port=POD_PORT)[0] == 200)
        assert ask("/version", port=POD_PORT)[1]["commit"] == cluster.commit
        assert client("exec", name, "python", "-c", RIGHTS) == "10001 False 1"
        assert ask("/predict", example(POD_PORT), port=POD_PORT)[0] == 401
        smoke = smoke_script().encode()
        inside = ["exec", "--interactive", "--env", f"KEY={key}", name, "python", "-"]
        answer = client(*inside, "http://127.0.0.1:8000", cluster.commit, stdin=smoke)
        assert "prediction" in json.loads(answer)


def graded(project: Path) -> dict[str, str]:
    """The grade of each capability."""
    return {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}


@pytest.mark.parametrize("fault", PROMOTED, ids=lambda it: it.name)
def test_a_way_past_staging_lowers_the_maturity(
    generate: Generate, tmp_path: Path, fault: Fault
) -> None:
    """`make maturity` finds it in the files or in the log, and lowers nothing else."""
    folder = tmp_path / "project"
    shutil.copytree(generate(maturity_level="3", deploy="kubernetes"), folder)
    commit(folder)
    (folder / "deployments.jsonl").write_text(STAGED, encoding="utf-8")
    before = graded(folder)
    fault.plant(folder)
    after = graded(folder)
    assert before["cd.promote"] == "present"
    assert {name for name in after if after[name] != before[name]} == {fault.lowers}
