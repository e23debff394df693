"""The cloud, proved: deploy/infra/ is valid, its plans are judged, and an emulator takes it and gives it back.

Terraform and its provider for AWS are on few machines: where they are missing, what needs them is
skipped and says so, and the scanner still reads every file.  Nothing was ever applied to AWS itself.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import commit, Generate, ok, plant, run
from engines import beside
from faults import Fault, OPTIMIZED

from mlops_ladder.maturity import grading
from mlops_ladder.maturity.repository import Repository

pytestmark = [pytest.mark.slow]

MIRRORS = [*map(Path, os.environ.get("TF_MIRROR", "").split())]  # folders of providers
PROVIDER = "registry.terraform.io/hashicorp/aws"
CLI = 'disable_checkpoint = true\nprovider_installation {{ filesystem_mirror {{ path = "{}" }} }}\n'
IMAGE = f"registry.example.com/service@sha256:{'0' * 64}"
GIVEN = ["-input=false", "-no-color", "-var-file=environments/staging.tfvars"]
GIVEN += ["-var=account=123456789012", f"-var=image={IMAGE}", "-var=repository=organisation/name"]
# What the emulator does not keep, so that a second plan would set it anew: `description` of rules between
# groups, and two settings of a service.  Anything else that a second plan changes is a fault of ours.
FORGOTTEN = {"description", "availability_zone_rebalancing", "health_check_grace_period_seconds"}
# What is made in seconds.  A database, a load balancer and the life cycle of a bucket take the provider a
# minute each, whatever answers: `make test-all` makes them too.
QUICK = ["module.network", "module.deployer", "module.registry.aws_s3_bucket_policy.artifacts"]
QUICK += ["module.registry.aws_s3_bucket_server_side_encryption_configuration.artifacts"]
QUICK += [
    "module.registry.aws_ecr_lifecycle_policy.images",
    "module.service.aws_iam_role_policy.starter",
]
QUICK += ["module.service.aws_ecs_task_definition.service", "module.service.aws_ecs_cluster.this"]
# moto has no answer to one question, on tags; this one gives back what was set.
EMULATOR = """
import json, sys
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse as Asked
from moto.server import main


TAGS, register = {}, Asked.register_scalable_target

def registered(self):
    TAGS.update(self._get_param("Tags") or {})
    return register(self)

Asked.register_scalable_target = registered
Asked.list_tags_for_resource = lambda self: json.dumps({"Tags": TAGS})
main(["--port", sys.argv[1]])
"""
EMULATED = """
provider "aws" {
  s3_use_path_style = true
  max_retries       = 2
}
"""
VIOLATING = """
resource "aws_s3_bucket" "open" {
  bucket_prefix = "open-"
}

resource "aws_s3_bucket_acl" "open" {
  bucket = aws_s3_bucket.open.id
  acl    = "public-read"
}

data "aws_iam_policy_document" "all" {
  statement {
    actions   = ["s3:*"]
    resources = ["*", aws_s3_bucket.open.arn]
  }
}

resource "aws_iam_role_policy" "all" {
  role   = "anybody"
  policy = data.aws_iam_policy_document.all.json
}

resource "aws_vpc_security_group_ingress_rule" "open" {
  security_group_id = "sg-1"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432
}
"""
TOLD = (
    "aws_s3_bucket.open: no aws_s3_bucket_public_access_block",
    "aws_s3_bucket.open: no aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_acl.open: acl = 'public-read'",
    "aws_iam_policy_document.all: allows s3:*",
    "aws_vpc_security_group_ingress_rule.open: ports 5432 to 5432 are open",
)


@pytest.fixture(name="project")
def _project(generate: Generate, tmp_path: Path) -> Path:
    """A committed project of level 4 with a cloud."""
    folder = tmp_path / "project"
    shutil.copytree(generate(maturity_level="4", cloud="aws", deploy="kubernetes"), folder)
    commit(folder)
    return folder


@pytest.fixture(name="terraform")
def _terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform with a provider from this machine; skipped where either is missing."""
    mirror = next((it for it in MIRRORS if (it / PROVIDER).is_dir()), None)
    if not shutil.which("terraform") or not mirror:
        # Nothing may be fetched in a test, and Terraform itself comes from no registry of packages.
        pytest.skip(f"no terraform here, or TF_MIRROR names no folder that holds {PROVIDER}")
    (tmp_path / "cli.tfrc").write_text(CLI.format(mirror), encoding="utf-8")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "cli.tfrc"))
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def tool(project: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """How `ladder provision` ended."""
    return run(sys.executable, "-m", "mlops_ladder", "provision", command, at=project)


def test_without_a_cloud_there_is_no_infrastructure(generate: Generate) -> None:
    """The answer `cloud` decides, and the forge which workflow there is."""
    assert not (generate(maturity_level="4") / "deploy/infra").exists()
    for ci, there in (("github", ".github/workflows/infra.yml"), ("gitlab", ".gitlab/infra.yml")):
        project = generate(maturity_level="4", cloud="aws", ci=ci)
        found = {it for it in project.glob(".git*/**/infra.yml")}
        assert found == {project / there}
        assert f'forge   = "{ci}"' in (project / "deploy/infra/project.auto.tfvars").read_text(
            "utf-8"
        )


@pytest.mark.parametrize("fault", OPTIMIZED, ids=lambda it: it.name)
def test_a_fault_of_level_4_lowers_the_maturity(project: Path, fault: Fault) -> None:
    """`make maturity` finds it in the files, and lowers nothing else."""
    before, _ = graded(project), fault.plant(project)
    after = graded(project)
    assert before[fault.lowers] == "present"
    assert {name for name in after if after[name] != before[name]} == {fault.lowers}


def graded(project: Path) -> dict[str, str]:
    """The grade of each capability."""
    return {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}


def test_a_scanner_finds_nothing_but_what_is_planted(project: Path, tmp_path: Path) -> None:
    """Trivy reads every file, and says nothing but what is written down; it finds an open database."""
    command = f"{beside('trivy')} --cache-dir {tmp_path / 'cache'}"
    scan = ["make", "scan", f"TRIVY={command}", "TRIVY_SKIP_CHECK_UPDATE=true"]
    ok(*scan, at=project)
    plant(
        project / "deploy/infra/database/main.tf",
        "publicly_accessible    = false",
        "publicly_accessible = true",
    )
    done = run(*scan, at=project)
    assert done.returncode and "publicly_accessible = true" in done.stdout


def test_plans_are_judged_without_an_account(project: Path, terraform: None) -> None:
    """Valid, and both plans keep every policy; one that breaks them is refused by name.

    `make test-all` also runs the tests of deploy/infra/tests, another half minute.
    """
    assert terraform is None
    if os.environ.get("DRAW") == "all":
        done = tool(project, "check")
        assert done.returncode == 0 and "6 passed, 0 failed" in done.stdout, done.stderr
    done = tool(project, "judge")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["staging", "production"]
    (project / "deploy/infra/violating.tf").write_text(VIOLATING, encoding="utf-8")
    done = tool(project, "judge")
    assert done.returncode == 1 and "Nothing is made" in done.stderr
    assert [told for told in TOLD if told not in done.stderr] == []


@pytest.fixture(name="emulator")
def _emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An emulator of AWS, and the variables that lead Terraform to it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (tmp_path / "emulator.log").open("wb") as log:
        command = [sys.executable, "-c", EMULATOR, str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(port, process)
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulator")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")
            yield
        finally:
            process.terminate()
            process.wait(30)


def wait_for(port: int, process: "subprocess.Popen[bytes]", seconds: int = 60) -> None:
    """Return once it listens."""
    for _ in range(seconds * 10):
        assert process.poll() is None, "moto does not start; run: make setup"
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("moto does not listen")


def changed(infra: Path, options: list[str]) -> set[str]:
    """The attributes that a plan would set, of what is there; the address of what is not there."""
    ok("terraform", "plan", "-out=again", *GIVEN, *options, at=infra)
    plan = json.loads(ok("terraform", "show", "-json", "again", at=infra))
    found: set[str] = set()
    for it in plan["resource_changes"]:
        before, after = it["change"]["before"], it["change"]["after"]
        if it["mode"] == "managed" and it["change"]["actions"] != ["no-op"]:
            both = before and after
            found |= (
                {key for key in after if before.get(key) != after[key]} if both else {it["address"]}
            )
    return found


def test_an_emulator_takes_it_and_gives_it_back(
    project: Path, terraform: None, emulator: None
) -> None:
    """Applied, planned again without a difference but for what the emulator forgets, destroyed.

    `make test-all` applies all of it (four minutes, waiting), `make test` what is made in seconds.
    """
    assert terraform is emulator is None
    infra = project / "deploy/infra"
    (infra / "emulator_override.tf").write_text(EMULATED, encoding="utf-8")
    quick = os.environ.get("DRAW") != "all"
    options = ["-parallelism=30", *(f"-target={it}" for it in QUICK if quick)]
    ok("terraform", "init", "-input=false", at=infra)
    said = ok("terraform", "apply", "-auto-approve", *GIVEN, *options, at=infra)
    assert "Apply complete!" in said and " 0 added" not in said
    assert changed(infra, options) <= FORGOTTEN
    plant(infra / "registry/main.tf", "IMMUTABLE", "MUTABLE")
    assert "image_tag_mutability" in changed(infra, options)
    said = ok("terraform", "destroy", "-auto-approve", "-parallelism=30", *GIVEN, at=infra)
    assert "Destroy complete!" in said
    assert ok("terraform", "state", "list", at=infra) == ""
