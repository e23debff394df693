"""Plan the infrastructure, judge the plan, and apply that very plan: nothing else is ever applied.

`ladder provision check` formats, validates and tests deploy/infra/ without an account;
`judge` plans both environments offline, from nothing, and judges these plans;
`plan`, `apply` and `destroy` act on ENVIRONMENT (staging) in the account that its file names.

`terraform show -json plan | ladder policies [--loss]` judges any plan.  It ends with 1, and a line
for each breach, where something would be open, unencrypted, allowed anything, without an owner, or
lost.  `--loss` lets a plan delete what holds data.  A scanner looks at the rest: make scan.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Facts = dict[str, Any]

WORLD = {"0.0.0.0/0", "::/0"}
OPEN = 443  # the only port that the internet may reach
GROUPS = ("aws_security_group", "aws_default_security_group")
RULES = ("aws_vpc_security_group_ingress_rule", "aws_security_group_rule")
WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken", "sts:GetCallerIdentity"}
TAGS = ("project", "environment", "managed-by")
BLOCKS = (
    "block_public_acls",
    "block_public_policy",
    "ignore_public_acls",
    "restrict_public_buckets",
)
BESIDE_BUCKET = {
    "aws_s3_bucket_public_access_block": "it could be made public",
    "aws_s3_bucket_server_side_encryption_configuration": "it is not encrypted with the key",
    "aws_s3_bucket_versioning": "what is deleted there is lost",
}
# What these attributes have to be, and why.
WANTED: dict[str, list[tuple[str, Any, str]]] = {
    "aws_db_instance": [
        ("publicly_accessible", False, "the internet reaches the database"),
        ("storage_encrypted", True, "its disk is not encrypted"),
        ("manage_master_user_password", True, "its password would be in the state"),
    ],
    "aws_ecr_repository": [("image_tag_mutability", "IMMUTABLE", "a tag may change its image")],
    "aws_kms_key": [("enable_key_rotation", True, "it is never renewed")],
    "aws_s3_bucket_public_access_block": [(name, True, "it opens the bucket") for name in BLOCKS],
}
PROTECTED = {
    "aws_db_instance": [
        ("deletion_protection", True, "production's data can be deleted"),
        ("skip_final_snapshot", False, "production's data leave no snapshot"),
    ],
    "aws_s3_bucket": [("force_destroy", False, "production's artifacts can be deleted")],
}
HOLDS_DATA = {"aws_db_instance", "aws_ecr_repository", "aws_kms_key", "aws_s3_bucket"}
INFRA = Path("deploy/infra")
ENVIRONMENTS = ("staging", "production")
EXAMPLE = {
    "account": "123456789012",
    "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/example",
    "image": f"registry.example.com/service@sha256:{'0' * 64}",
    "repository": "organisation/name",
}  # so that everything there can be is judged
# Nobody is asked: a plan from nothing needs no account.
OFFLINE = """provider "aws" {
  access_key                  = "offline"
  secret_key                  = "offline"
  allowed_account_ids         = []
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
"""


def listed(value: Any) -> list[Any]:
    """A list, whether one or several are given."""
    return value if isinstance(value, list) else [] if value is None else [value]


def changes(plan: Facts) -> list[Facts]:
    """What the plan makes, changes, reads or deletes."""
    return list(plan.get("resource_changes", []))


def afterwards(plan: Facts) -> Iterator[tuple[str, str, Facts]]:
    """Address, type and attributes of all that is there afterwards, data that were read too."""
    for it in changes(plan):
        if it["change"]["after"] is not None:
            yield it["address"], it["type"], it["change"]["after"]
    yield from read(plan.get("prior_state", {}).get("values", {}).get("root_module", {}))


def read(module: Facts) -> Iterator[tuple[str, str, Facts]]:
    """The data that a module has read already."""
    for it in module.get("resources", []):
        if it["mode"] == "data":
            yield it["address"], it["type"], it["values"]
    for inner in module.get("child_modules", []):
        yield from read(inner)


def attributes(plan: Facts) -> Iterator[str]:
    """Attributes that are not what they have to be."""
    production = plan.get("variables", {}).get("environment", {}).get("value") == "production"
    for address, kind, has in afterwards(plan):
        wanted = WANTED.get(kind, []) + (PROTECTED.get(kind, []) if production else [])
        for name, right, why in wanted:
            if has.get(name) != right:
                yield f"{address}: {name} = {json.dumps(has.get(name))}: {why}; set {right!r}"
        tags = has.get("tags_all")
        if isinstance(tags, dict) and (lost := [name for name in TAGS if not tags.get(name)]):
            yield f"{address}: lacks the tags {', '.join(lost)}: nobody knows whose it is"


def buckets(plan: Facts) -> Iterator[str]:
    """Buckets that lack what has to stand beside them, and what opens them."""
    yield from beside(plan["configuration"]["root_module"], "")
    for address, kind, has in afterwards(plan):
        if kind == "aws_s3_bucket_acl" and str(has.get("acl")).startswith("public"):
            yield f"{address}: acl = {has['acl']!r}: everybody reads the bucket; leave it out"


def beside(module: Facts, place: str) -> Iterator[str]:
    """The buckets of a module beside which something is missing."""
    found = module.get("resources", [])
    for bucket in (it["address"] for it in found if it["type"] == "aws_s3_bucket"):
        for kind, why in BESIDE_BUCKET.items():
            near = [it for it in found if it["type"] == kind and it["mode"] == "managed"]
            named = [it["expressions"].get("bucket", {}).get("references", []) for it in near]
            if not any(bucket in names for names in named):
                yield f"{place}{bucket}: no {kind}: {why}"
    for name, call in module.get("module_calls", {}).items():
        yield from beside(call["module"], f"{place}module.{name}.")


def doors(plan: Facts) -> Iterator[str]:
    """Ports that the internet reaches, but for HTTPS."""
    for address, kind, has in afterwards(plan):
        inside = kind in GROUPS and has.get("ingress") or []
        rules = [has] if kind in RULES and has.get("type") != "egress" else inside
        for rule in rules:
            names = ("cidr_ipv4", "cidr_ipv6", "cidr_blocks", "ipv6_cidr_blocks")
            sources = {source for name in names for source in listed(rule.get(name))}
            ports = (rule.get("from_port"), rule.get("to_port"))
            if sources & WORLD and ports != (OPEN, OPEN):
                yield f"{address}: ports {ports[0]} to {ports[1]} are open to the internet"
    balancers = [has for _, kind, has in afterwards(plan) if kind == "aws_lb"]
    public = any(has.get("internal") is False for has in balancers)
    for address, kind, has in afterwards(plan):
        acts = [it.get("type") for it in listed(has.get("default_action"))]
        plain = kind == "aws_lb_listener" and has.get("protocol") == "HTTP"
        if public and plain and acts != ["redirect"]:
            yield f"{address}: HTTP on the internet: keys could be read; set certificate_arn"


def statements(plan: Facts) -> Iterator[tuple[str, Facts]]:
    """Each statement of each policy, in the words of IAM, with the address that it stands at."""
    for address, kind, has in afterwards(plan):
        if kind == "aws_iam_policy_document":
            for it in has.get("statement") or []:
                yield address, spelled(it)
        for name in ("policy", "assume_role_policy"):
            text = has.get(name)
            if isinstance(text, str) and text.startswith("{"):
                for it in listed(json.loads(text).get("Statement")):
                    yield address, it


def spelled(statement: Facts) -> Facts:
    """A statement of Terraform's in the words of IAM; what is not known yet is left out."""
    conditions: Facts = {}
    for it in statement.get("condition") or []:
        conditions.setdefault(it.get("test"), {})[it.get("variable")] = it.get("values")
    allowed = {it.get("type"): it.get("identifiers") for it in statement.get("principals") or []}
    return {
        "Effect": statement.get("effect") or "Allow",
        "Action": statement.get("actions"),
        "Resource": statement.get("resources"),
        "Principal": allowed,
        "Condition": conditions,
    }


def rights(plan: Facts) -> Iterator[str]:
    """Statements that allow anything, or anybody."""
    for address, it in statements(plan):
        if it.get("Effect") != "Allow":
            continue
        actions, who = {*map(str, listed(it.get("Action")))}, it.get("Principal")
        wide = sorted(name for name in actions if name == "*" or name.endswith(":*"))
        if wide and not who:
            yield f"{address}: allows {', '.join(wide)}: name the actions that are needed"
        if not who and "*" in listed(it.get("Resource")) and (more := actions - WITHOUT_RESOURCE):
            yield f"{address}: allows {', '.join(sorted(more))} on *: name the resources"
        if who == "*" or isinstance(who, dict) and "*" in listed(who.get("AWS")):
            yield f"{address}: allows {', '.join(sorted(actions))} to everybody"
        if "sts:AssumeRoleWithWebIdentity" in actions and not narrow(it.get("Condition") or {}):
            yield f"{address}: other people's CI takes on this role: give the subject in full"


def narrow(condition: Facts) -> bool:
    """Does a condition name the subject of the token, without a wildcard?"""
    equal: Facts = condition.get("StringEquals") or {}
    named = [listed(value) for name, value in equal.items() if str(name).endswith(":sub")]
    return any(named) and not any("*" in str(it) for values in named for it in values)


def losses(plan: Facts) -> Iterator[str]:
    """What holds data and would be deleted, or made anew."""
    for it in changes(plan):
        if it["type"] in HOLDS_DATA and "delete" in it["change"]["actions"]:
            yield f"{it['address']}: would be deleted with what it holds; LOSS=yes lets it"


def breaches(plan: Facts, loss: bool = False) -> list[str]:
    """All that is wrong with a plan, sorted; what holds data may go where `loss` says so."""
    checks = [attributes, buckets, doors, rights, *([] if loss else [losses])]
    return sorted({line for check in checks for line in check(plan)})


def judge_main(arguments: list[str]) -> None:
    """Judge the plan that comes in."""
    text = sys.stdin.read()
    if not re.match(r'\s*\{.*"resource_changes"', text, re.DOTALL):
        sys.exit("no plan: terraform show -json FILE | ladder policies")
    if found := breaches(json.loads(text), "--loss" in arguments):
        sys.exit("\n".join([*found, f"Refused: {len(found)} breaches.  Nothing is made."]))
    print("The plan keeps every policy.")


def terraform(*arguments: str, at: Path = INFRA, quiet: bool = False) -> str:
    """What terraform prints, shown as it comes unless it is `quiet`; else the program ends."""
    command = ["terraform", f"-chdir={at}", *arguments]
    command += ["-no-color"] if quiet and arguments[0] in ("init", "plan") else []
    try:
        done = subprocess.run(command, capture_output=quiet, text=True, check=False)
    except FileNotFoundError:
        sys.exit("terraform: not installed; https://developer.hashicorp.com/terraform/install")
    if done.returncode:
        sys.exit(f"{done.stderr or ''}\nterraform {arguments[0]}: failed".strip())
    return done.stdout or ""


def shown(plan: Path, at: Path) -> Any:
    """A plan as policies read it."""
    return json.loads(terraform("show", "-json", str(plan), at=at, quiet=True))


def refuse(found: list[str], what: str) -> None:
    """End the program where a plan breaks a policy."""
    if found:
        sys.exit("\n".join([*found, f"Refused: {what} breaks policies.  Nothing is made."]))


def check() -> None:
    """Format, syntax, and the tests of deploy/infra/tests, in a copy: no state is touched."""
    terraform("fmt", "-check", "-recursive", "-diff")
    with tempfile.TemporaryDirectory() as folder:
        at = copied(Path(folder))
        for step in (["init", "-backend=false", "-input=false"], ["validate"], ["test"]):
            terraform(*step, at=at, quiet=step[0] == "init")


def copied(folder: Path) -> Path:
    """A copy of deploy/infra/ without a state of its own, and without a backend."""
    ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "backend.tf")
    return Path(shutil.copytree(INFRA, folder / "infra", ignore=ignored))


def judge() -> None:
    """Plan both environments from nothing, with all there can be, and judge them."""
    os.environ.pop("AWS_ENDPOINT_URL", None)
    with tempfile.TemporaryDirectory() as folder:
        at = copied(Path(folder))
        (at / "offline_override.tf").write_text(OFFLINE, encoding="utf-8")
        terraform("init", "-input=false", at=at, quiet=True)
        for name in ENVIRONMENTS:
            given = [f"-var-file=environments/{name}.tfvars", f"-out={name}.plan"]
            given += [f"-var={key}={value}" for key, value in EXAMPLE.items()]
            terraform("plan", "-input=false", *given, at=at, quiet=True)
            plan = shown(Path(f"{name}.plan"), at)
            refuse(breaches(plan), name)
            print(f"{name}: {len(plan['resource_changes'])} resources keep every policy")


def planned(environment: str, *options: str) -> Path:
    """A plan for an environment that keeps every policy; else the program ends."""
    if environment not in ENVIRONMENTS:
        sys.exit(f"ENVIRONMENT={environment}: not one of {', '.join(ENVIRONMENTS)}")
    if environment == "production" and not (INFRA / "backend.tf").exists():
        sys.exit(
            "deploy/infra/backend.tf: missing: production's state would be here alone;"
            " see docs/cloud.md"
        )
    own = INFRA / "environments" / f"{environment}.tfbackend"
    backend = [f"-backend-config={own.resolve()}", "-reconfigure"] if own.exists() else []
    terraform("init", "-input=false", *backend, quiet=True)
    if not backend:  # a state for each, side by side
        terraform("workspace", "select", "-or-create", environment, quiet=True)
    plan = Path("build", f"{environment}.plan").resolve()
    plan.parent.mkdir(exist_ok=True)
    given = [f"-var-file=environments/{environment}.tfvars", f"-out={plan}", *options]
    terraform("plan", "-input=false", *given)
    loss = os.environ.get("LOSS") == "yes"
    refuse(breaches(shown(plan, INFRA), loss), f"the plan for {environment}")
    print("The plan keeps every policy.")
    return plan


def main(arguments: list[str]) -> None:
    """What the command line asks for."""
    command = arguments[0] if arguments else "check"
    environment = os.environ.get("ENVIRONMENT") or "staging"
    if command in ("check", "judge"):
        {"check": check, "judge": judge}[command]()
    elif command in ("plan", "apply", "destroy"):
        plan = planned(environment, *(["-destroy"] if command == "destroy" else []))
        if command != "plan":
            terraform("apply", "-input=false", str(plan))
            plan.unlink()
    else:
        sys.exit(f"{command}: not one of check, judge, plan, apply, destroy")
