"""What a plan of Terraform may not do: read before anything is made.

`terraform show -json plan | ladder policies [--loss]`.  Ends with 1, and a line for each
breach, where something would be open, unencrypted, allowed anything, without an owner, or lost.
`--loss` lets a plan delete what holds data.  A scanner looks at the rest: make scan.
"""

import json
import re
import sys
from collections.abc import Iterator
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
    public = any(
        kind == "aws_lb" and has.get("internal") is False for _, kind, has in afterwards(plan)
    )
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


def main(arguments: list[str]) -> None:
    """Judge the plan that comes in."""
    text = sys.stdin.read()
    if not re.match(r'\s*\{.*"resource_changes"', text, re.DOTALL):
        sys.exit("no plan: terraform show -json FILE | ladder policies")
    if found := breaches(json.loads(text), "--loss" in arguments):
        sys.exit("\n".join([*found, f"Refused: {len(found)} breaches.  Nothing is made."]))
    print("The plan keeps every policy.")
