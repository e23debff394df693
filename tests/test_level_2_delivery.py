"""Delivery, proved: images are built and run by a real engine, and each planted fault is kept out."""

import json
import shutil
import subprocess
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import commit, fails, Generate, ok
from delivered import ask, Delivered, example, POD_PORT, PORT, VERSION, within
from engines import beside, Engine, podman, running_engine

pytestmark = [pytest.mark.slow]

SERVICE = f"http://127.0.0.1:{PORT}"
NOT_SERVED = (
    "dvc evidently joblib mlflow optuna pandas pandera prefect pyarrow pytest scikit-learn uv"
)
UNREADY = 'def load_bundle(folder: Path) -> LoadedModel:\n    raise ProjectError("a planted fault")\n\n\ndef loaded('
CRASH = 'raise RuntimeError("a planted crash")\n\n\ndef main('


@pytest.fixture(scope="module", name="project")
def _project(
    generate: Generate, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivered]:
    """A project for Compose with an environment; its containers are gone at the end."""
    answers = {"maturity_level": "2", "project_name": "My Problem", "python_version": VERSION}
    folder = tmp_path_factory.mktemp("compose") / "my-problem"
    shutil.copytree(generate(**answers), folder)
    commit(folder)
    project = Delivered(folder, engine)
    project.ok("make", "setup")
    yield project
    project.ok("make", "undeploy")


@pytest.fixture(scope="module", name="image")
def _image(project: Delivered) -> str:
    """The image of the project as it was made."""
    project.ok("make", "image")
    return project.image


@pytest.fixture(name="served", scope="module")
def _served(project: Delivered, image: str) -> str:
    """The commit that is deployed, with a champion."""
    assert image
    project.publish(1)
    project.ok("make", "deploy")
    return project.commit


@contextmanager
def asked(seconds: float = 240) -> Iterator[Counter[str]]:
    """How often each answer came from the service while it was asked, 100 times a second.

    One client keeps its connection, and one opens another for each request.
    """
    answers: Counter[str] = Counter()
    over, until = threading.Event(), time.monotonic() + seconds
    body, kind = json.dumps(example()), {"Content-Type": "application/json"}

    def client(keep: bool) -> None:
        connection = HTTPConnection("127.0.0.1", PORT, timeout=20)
        while not over.wait(0.02) and time.monotonic() < until:
            try:
                connection.request("POST", "/predict", body, kind)
                answer = connection.getresponse()
                answer.read()
                answers[str(answer.status)] += 1
            except (OSError, HTTPException) as error:
                answers[repr(error)] += 1
                connection.close()
            if not keep:
                connection.close()
        connection.close()

    clients = [threading.Thread(target=client, args=(keep,)) for keep in (True, False)]
    for thread in clients:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in clients:
            thread.join()


def test_the_image_holds_only_what_serving_needs(project: Delivered, image: str) -> None:
    """Its packages are those of the lock for serving; nothing of training, and no tests."""
    code = (
        "import json, os; from importlib.metadata import distributions;"
        "print(json.dumps([sorted(d.name.lower().replace('_', '-') for d in distributions()),"
        " sorted(os.listdir('/app'))]))"
    )
    packages, files = project.inside(image, code)
    locked = tomllib.loads((project.folder / "uv.lock").read_text(encoding="utf-8"))["package"]
    assert set(packages) <= {package["name"] for package in locked}
    assert {"fastapi", "my-problem", "onnxruntime", "uvicorn"} <= set(packages)
    assert set(NOT_SERVED.split()) & set(packages) == set()
    assert files == [
        ".venv",
        "config",
        "config.toml",
        "contract.toml",
        "predictions",
        "pyproject.toml",
    ]


def test_the_image_is_small(project: Delivered, image: str) -> None:
    """It adds less than 260 MB to the image of Python."""
    form = "{{.Size}}"
    sizes = [
        int(project.engine.docker("image", "inspect", "--format", form, name))
        for name in (image, f"python:{VERSION}-slim")
    ]
    print(f"image {sizes[0] / 1e6:.0f} MB, of Python {sizes[1] / 1e6:.0f} MB")
    assert sizes[0] - sizes[1] < 260e6


def test_the_image_runs_as_a_user_without_rights(project: Delivered, image: str) -> None:
    """Its user is not root, and may write nowhere but into the log of predictions."""
    code = (
        "import json, os; places = ['/app', '/app/.venv', '/app/predictions', '/usr/local'];"
        "print(json.dumps([os.getuid(), [p for p in places if os.access(p, os.W_OK)]]))"
    )
    assert project.inside(image, code) == [10001, ["/app/predictions"]]


def test_an_image_is_built_once_and_from_the_commit(project: Delivered, image: str) -> None:
    """Another `make image` builds nothing, even where files have changed: and it says so."""
    form = "{{.Id}} {{.Created}}"
    before = project.engine.docker("image", "inspect", "--format", form, image)
    path = project.folder / "src/my_problem/problem.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n# changed\n", encoding="utf-8")
    try:
        said = project.ok("make", "image")
    finally:
        path.write_text(text, encoding="utf-8")
    assert "Not in the image, for it is not committed:  M src/my_problem/problem.py" in said
    assert project.engine.docker("image", "inspect", "--format", form, image) == before


def test_an_unknown_commit_is_refused(project: Delivered) -> None:
    """`make image COMMIT=nothing` says that there is no such commit."""
    assert "COMMIT=nothing: no such commit" in project.fails("make", "image", "COMMIT=nothing")


def test_without_a_champion_nothing_is_deployed(project: Delivered, image: str) -> None:
    """`make deploy` says what is missing, and what to run; no container is started."""
    assert image
    champion = project.folder / "models/serving/champion.json"
    assert not champion.exists()
    assert "no champion, so /ready would answer 503; run: make pipeline" in project.fails(
        "make", "deploy"
    )
    assert project.engine.docker("ps", "--quiet") == ""


def test_what_runs_is_the_commit(served: str) -> None:
    """After `make deploy` the service is ready, predicts, and names the commit."""
    assert ask("/ready")[0] == 200
    assert ask("/version")[1]["commit"] == served
    status, answer = ask("/predict", example())
    assert status == 200 and "prediction" in answer


def test_the_service_cannot_write_to_its_container(project: Delivered, served: str) -> None:
    """What runs is not root, has a read-only file system, and no capability."""
    assert served
    shown = json.loads(project.engine.docker("inspect", "my-problem-blue-1"))[0]
    assert shown["Config"]["User"] == "10001"
    assert shown["HostConfig"]["ReadonlyRootfs"] is True
    assert shown["HostConfig"]["CapDrop"] == ["ALL"]


def test_a_champion_is_followed_without_a_deployment(project: Delivered, served: str) -> None:
    """Another model that is published is served by the running container, and no request fails."""
    with asked() as answers:
        project.publish(2)
        assert within(30, lambda: ask("/version")[1]["version"] == "2")
    assert ask("/version")[1]["commit"] == served
    assert answers.keys() == {"200"} and answers["200"] > 20


def test_no_request_fails_while_the_traffic_moves(project: Delivered, served: str) -> None:
    """A deployment under load: every request is answered; the old one is gone, the new one serves."""
    project.change("README.md", "\nAnother commit.\n")
    with asked() as answers:
        project.ok("make", "deploy")
    print(dict(answers))
    assert answers.keys() == {"200"} and answers["200"] > 100
    assert ask("/version")[1]["commit"] == project.commit != served
    running = project.engine.docker("ps", "--format", "{{.Names}}").split()
    assert sorted(running) == ["my-problem-green-1", "my-problem-proxy-1"]


def test_an_earlier_commit_comes_back(project: Delivered, served: str) -> None:
    """`make deploy COMMIT=…` brings an image that is built already, without a build.

    Nobody has to say again at which address the service is.
    """
    latest = project.commit
    images = project.engine.docker("images", "--quiet", "--no-trunc", "my-problem")
    project.ok("make", "deploy", f"COMMIT={served}", ADDRESS="")
    assert ask("/version")[1]["commit"] == served
    assert set(project.engine.docker("images", "--quiet", "--no-trunc", "my-problem").split()) == (
        set(images.split())
    )
    project.ok("make", "deploy", f"COMMIT={latest}")


@pytest.mark.parametrize(
    ("module", "old", "fault", "told"),
    [
        ("export/runtime.py", "def load_bundle(", UNREADY, "a planted fault"),
        ("serving/command.py", "def main(", CRASH, "a planted crash"),
    ],
    ids=["unready", "crash"],
)
def test_an_image_that_is_not_ready_is_not_switched_to(
    project: Delivered, served: str, module: str, old: str, fault: str, told: str
) -> None:
    """It is refused with the end of its log; the old one serves all the time."""
    assert served
    before, good = ask("/version")[1], project.commit
    project.spoil(module, old, fault)
    with asked() as answers:
        said = project.fails("make", "deploy")
    project.ok("git", "reset", "--quiet", "--hard", good)
    assert "Not switched" in said and told in said and "goes on" in said
    assert ask("/version")[1] == before
    assert answers.keys() == {"200"}
    assert len(project.engine.docker("ps", "--quiet").split()) == 2


def test_an_image_of_another_commit_is_not_switched_to(project: Delivered, served: str) -> None:
    """An image with a name that is not its commit's is found out before it serves."""
    good, before = project.commit, ask("/version")[1]
    project.change("README.md", "\nNever built.\n")
    project.engine.docker("tag", f"my-problem:{served[:12]}", project.image)
    said = project.fails("make", "deploy")
    wanted = project.commit
    project.ok("git", "reset", "--quiet", "--hard", good)
    assert f"the commit is {served}, not {wanted}" in said
    assert ask("/version")[1] == before


def test_a_model_that_did_not_convert_is_served_with_its_libraries(
    project: Delivered, served: str
) -> None:
    """The small image refuses it, says what to do, and serves the model before; NATIVE=yes serves it."""
    assert served
    before = ask("/version")[1]
    project.publish(3, "native")
    assert within(30, lambda: "make image NATIVE=yes" in str(ask("/health")[1]["trouble"]))
    assert ask("/version")[1] == before
    assert "make image NATIVE=yes" in project.fails("make", "deploy")
    project.ok("make", "deploy", "NATIVE=yes")
    found = ask("/version")[1]
    assert (found["version"], found["runtime"], found["why"]) == ("3", "native", "planted")
    assert ask("/predict", example())[0] == 200
    project.publish(2)


def test_the_notes_say_what_changed_since_the_last_tag(project: Delivered) -> None:
    """`make notes` has a line for each commit since the tag before."""
    for number in (1, 2):
        project.ok("git", "tag", f"v{number}")
        project.change("README.md", f"\nAfter {number}.\n")
    lines = project.ok("make", "notes", "COMMIT=v2").splitlines()
    assert lines[0].startswith("## v2, 20")
    assert [line.rpartition(" (")[0] for line in lines[1:]] == ["- Change README.md"]


HADOLINT = {
    "no version": ("FROM ${PYTHON_IMAGE} AS build", "FROM python AS build", "DL3006"),
    "root": ("USER 10001", "USER root", "DL3002"),
    "a cache in the image": ("--no-cache-dir ", "", "DL3042"),
    "a shell's CMD": ('CMD ["ladder", "serve"]', "CMD my-problem serve", "DL3025"),
    "unquoted": ('"$@" --output', "$@ --output", "SC2068"),
}


@pytest.mark.parametrize("name", HADOLINT)
def test_a_fault_in_the_dockerfile_is_found(project: Delivered, name: str, tmp_path: Path) -> None:
    """hadolint finds nothing in the Dockerfile, and each planted fault."""
    text = (project.folder / "Dockerfile").read_text(encoding="utf-8")
    ok(beside("hadolint"), "Dockerfile", at=project.folder)
    old, new, code = HADOLINT[name]
    assert old in text
    (tmp_path / "Dockerfile").write_text(text.replace(old, new), encoding="utf-8")
    assert code in fails(beside("hadolint"), "Dockerfile", at=tmp_path)


@pytest.fixture(scope="module", name="cluster")
def _cluster(
    generate: Generate,
    engine: Engine,
    project: Delivered,
    served: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Delivered:
    """A project for Kubernetes with the champion of the other, and a kubectl that only writes down."""
    assert served
    answers = {"maturity_level": "2", "project_name": "My Problem", "python_version": VERSION}
    folder = tmp_path_factory.mktemp("kubernetes") / "my-problem"
    shutil.copytree(generate(**answers, deploy="kubernetes"), folder)
    commit(folder)
    shutil.copytree(project.folder / "models", folder / "models")
    stand_in = folder.parent / "bin" / "kubectl"
    stand_in.parent.mkdir()
    real = shutil.which("kubectl") or pytest.fail("kubectl: not installed")
    stand_in.write_text(
        f'#!/bin/sh\n[ "$1" = kustomize ] && exec {real} "$@"\necho "$@" >> "$CALLS"\n'
        '[ "$1" = apply ] && cat > "$CALLS.yaml"\n[ "$1 $2" != "rollout status" ] || exit "$ROLLED"\n',
        encoding="utf-8",
    )
    stand_in.chmod(0o755)
    made = Delivered(folder, engine)
    made.environment["PATH"] = f"{stand_in.parent}:{made.environment['PATH']}"
    return made


def manifests(cluster: Delivered) -> list[dict[str, Any]]:
    """What kustomize makes of the project's manifests."""
    return list(yaml.safe_load_all(cluster.ok("kubectl", "kustomize", "deploy/kubernetes/base")))


def test_the_manifests_are_valid_and_a_fault_is_found(cluster: Delivered, tmp_path: Path) -> None:
    """Strictly valid for Kubernetes; a key that it does not know is refused."""
    path = tmp_path / "all.yaml"
    check = [beside("kubernetes-validate"), "--strict", str(path)]
    path.write_text(yaml.safe_dump_all(manifests(cluster)), encoding="utf-8")
    ok(*check, at=tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("maxUnavailable", "maxUnavailble"), encoding="utf-8")
    assert "maxUnavailble" in fails(*check, at=tmp_path)


def test_a_rollout_has_the_commit_and_the_champion(cluster: Delivered, tmp_path: Path) -> None:
    """`make deploy` applies the manifests with one image that holds both."""
    calls = tmp_path / "calls"
    cluster.ok("make", "deploy", CALLS=str(calls), ROLLED="0")
    applied = list(yaml.safe_load_all((tmp_path / "calls.yaml").read_text(encoding="utf-8")))
    (pod,) = [it["spec"]["template"]["spec"] for it in applied if it["kind"] == "Deployment"]
    packed = f"{cluster.image}-model-2"
    assert [container["image"] for container in pod["containers"]] == [packed]
    pointer = cluster.inside(packed, "print(open('models/serving/champion.json').read())")
    assert pointer["version"] == "2"
    assert calls.read_text(encoding="utf-8").splitlines() == [
        "apply -f -",
        "rollout status deployment/my-problem --timeout=180s",
    ]


def test_a_rollout_that_does_not_become_ready_is_undone(cluster: Delivered, tmp_path: Path) -> None:
    """Where the new pods are not ready, `make deploy` shows their logs, goes back, and fails."""
    calls = tmp_path / "calls"
    assert "Not switched" in cluster.fails("make", "deploy", CALLS=str(calls), ROLLED="1")
    assert [line.split(" -")[0] for line in calls.read_text(encoding="utf-8").splitlines()] == [
        "apply",
        "rollout status deployment/my-problem",
        "logs",
        "rollout undo deployment/my-problem",
    ]


def test_the_deployment_runs(cluster: Delivered, tmp_path: Path) -> None:
    """Podman runs the pod as it stands in the manifests, without rights; it becomes ready."""
    packed = f"{cluster.image}-model-2"
    cluster.ok("make", "packed")
    (deployment,) = [it for it in manifests(cluster) if it["kind"] == "Deployment"]
    deployment["spec"]["replicas"] = 1
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = f"localhost/{packed}"
    container["ports"][0] |= {"hostIP": "127.0.0.1", "hostPort": POD_PORT}
    archive, pod = tmp_path / "image.tar", tmp_path / "pod.yaml"
    cluster.engine.docker("save", "--output", str(archive), packed)
    pod.write_text(yaml.safe_dump(deployment), encoding="utf-8")
    with podman(tmp_path) as client:
        client("load", "--quiet", "--input", str(archive))
        client("kube", "play", str(pod))
        assert within(60, lambda: ask("/ready", port=POD_PORT)[0] == 200)
        assert ask("/version", port=POD_PORT)[1]["commit"] == cluster.commit
        name = client("ps", "--format", "{{.Names}}", "--filter", f"ancestor=localhost/{packed}")
        assert client("exec", name, "id", "-u") == "10001"
        written = "import os; print(os.access('/app', os.W_OK), os.statvfs('/').f_flag & 1)"
        assert client("exec", name, "python", "-c", written) == "False 1"


def test_the_engine_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Debian's engine the tests fail, and name the command that installs it."""
    monkeypatch.setattr("engines.system_path", lambda: str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="apt-get install .*docker.io"):
        with running_engine(tmp_path):
            subprocess.run(["true"], check=True)
