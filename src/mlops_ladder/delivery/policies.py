"""Judge a plan of Terraform by policies.toml.

`terraform show -json plan | ladder policies [--loss]` ends with 1, and a line for each breach, if
something would be open, unencrypted, allowed anything, without an owner, or lost.  `--loss` lets a
plan delete what holds data.  `make scan` checks the rest by a scanner.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pkgutil import get_data
from typing import Any

Facts = dict[str, Any]

RULES = tomllib.loads((get_data(__package__, "policies.toml") or b"").decode())
WORLD = {"0.0.0.0/0", "::/0"}
GROUPS = ("aws_security_group", "aws_default_security_group")
PORT_RULES = ("aws_vpc_security_group_ingress_rule", "aws_security_group_rule")
SOURCES = ("cidr_ipv4", "cidr_ipv6", "cidr_blocks", "ipv6_cidr_blocks")


def as_list(value: Any) -> list[Any]:
    """Return one or several values as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def list_resources(plan: Facts) -> Iterator[tuple[str, str, Facts]]:
    """Yield address, type and attributes of all that exists after the plan, with data it read."""
    for change in plan.get("resource_changes", []):
        if change["change"]["after"] is not None:
            yield change["address"], change["type"], change["change"]["after"]
    modules = [plan.get("prior_state", {}).get("values", {}).get("root_module", {})]
    for module in modules:
        modules += module.get("child_modules", [])
        for resource in module.get("resources", []):
            if resource["mode"] == "data":
                yield resource["address"], resource["type"], resource["values"]


def find_wrong_attributes(plan: Facts) -> Iterator[str]:
    """Yield the attributes that break a policy."""
    environment = plan.get("variables", {}).get("environment", {}).get("value")
    groups = ("attributes", "production") if environment == "production" else ("attributes",)
    for address, kind, attributes in list_resources(plan):
        rules = [item for group in groups for item in RULES[group].get(kind, {}).items()]
        for name, (right, why) in rules:
            if attributes.get(name) != right:
                value = json.dumps(attributes.get(name))
                yield f"{address}: {name} = {value}: {why}; set {right!r}"
        tags = attributes.get("tags_all")
        lost = [name for name in RULES["tags"] if isinstance(tags, dict) and not tags.get(name)]
        if lost:
            yield f"{address}: lacks the tags {', '.join(lost)}: nobody knows whose it is"


def find_open_buckets(plan: Facts) -> Iterator[str]:
    """Yield the buckets that lack a protection, and those that are public."""
    modules = [("", plan["configuration"]["root_module"])]
    for path, module in modules:
        calls = module.get("module_calls", {}).items()
        modules += [(f"{path}module.{name}.", call["module"]) for name, call in calls]
        for bucket, kind in find_unprotected_buckets(module.get("resources", [])):
            yield f"{path}{bucket}: no {kind}: {RULES['beside_bucket'][kind]}"
    for address, kind, attributes in list_resources(plan):
        if kind == "aws_s3_bucket_acl" and str(attributes.get("acl")).startswith("public"):
            acl = attributes["acl"]
            yield f"{address}: acl = {acl!r}: everybody reads the bucket; leave it out"


def find_unprotected_buckets(resources: list[Facts]) -> Iterator[tuple[str, str]]:
    """Yield the buckets among the resources of a module, each with a type that it lacks."""
    for bucket in (item["address"] for item in resources if item["type"] == "aws_s3_bucket"):
        for kind in RULES["beside_bucket"]:
            near = [item for item in resources if (item["type"], item["mode"]) == (kind, "managed")]
            names = [item["expressions"].get("bucket", {}).get("references", []) for item in near]
            if not any(bucket in references for references in names):
                yield bucket, kind


def find_open_ports(plan: Facts) -> Iterator[str]:
    """Yield the ports that the internet reaches, except HTTPS."""
    resources = list(list_resources(plan))
    is_public = any(kind == "aws_lb" and has.get("internal") is False for _, kind, has in resources)
    for address, kind, attributes in resources:
        rules = (attributes.get("ingress") or []) if kind in GROUPS else []
        if kind in PORT_RULES and attributes.get("type") != "egress":
            rules = [attributes]
        for rule in rules:
            sources = {source for name in SOURCES for source in as_list(rule.get(name))}
            first, last = rule.get("from_port"), rule.get("to_port")
            if sources & WORLD and not (first == last and first in RULES["open_ports"]):
                yield f"{address}: ports {first} to {last} are open to the internet"
        actions = [action.get("type") for action in as_list(attributes.get("default_action"))]
        is_plain = kind == "aws_lb_listener" and attributes.get("protocol") == "HTTP"
        if is_public and is_plain and actions != ["redirect"]:
            yield f"{address}: HTTP on the internet: keys could be read; set certificate_arn"


def list_statements(plan: Facts) -> Iterator[tuple[str, Facts]]:
    """Yield each statement of each policy as IAM writes it, with its address."""
    for address, kind, attributes in list_resources(plan):
        if kind == "aws_iam_policy_document":
            for statement in attributes.get("statement") or []:
                yield address, to_iam(statement)
        for name in ("policy", "assume_role_policy"):
            text = attributes.get(name)
            if isinstance(text, str) and text.startswith("{"):
                for statement in as_list(json.loads(text).get("Statement")):
                    yield address, statement


def to_iam(statement: Facts) -> Facts:
    """Return a statement of Terraform as IAM writes it, without values that are not known yet."""
    conditions: Facts = {}
    for condition in statement.get("condition") or []:
        variables = conditions.setdefault(condition.get("test"), {})
        variables[condition.get("variable")] = condition.get("values")
    principals = statement.get("principals") or []
    return {
        "Effect": statement.get("effect") or "Allow",
        "Action": statement.get("actions"),
        "Resource": statement.get("resources"),
        "Principal": {item.get("type"): item.get("identifiers") for item in principals},
        "Condition": conditions,
    }


def find_wide_rights(plan: Facts) -> Iterator[str]:
    """Yield the statements that allow anything, or anybody."""
    for address, statement in list_statements(plan):
        if statement.get("Effect") != "Allow":
            continue
        actions, who = {*map(str, as_list(statement.get("Action")))}, statement.get("Principal")
        wide = sorted(name for name in actions if name == "*" or name.endswith(":*"))
        if wide and not who:
            yield f"{address}: allows {', '.join(wide)}: name the actions that are needed"
        more = sorted(actions - set(RULES["without_resource"]))
        if not who and "*" in as_list(statement.get("Resource")) and more:
            yield f"{address}: allows {', '.join(more)} on *: name the resources"
        if who == "*" or isinstance(who, dict) and "*" in as_list(who.get("AWS")):
            yield f"{address}: allows {', '.join(sorted(actions))} to everybody"
        is_web = "sts:AssumeRoleWithWebIdentity" in actions
        if is_web and not names_subject(statement.get("Condition") or {}):
            yield f"{address}: other people's CI takes on this role: give the subject in full"


def names_subject(condition: Facts) -> bool:
    """Return whether a condition names the subject of the token, without a wildcard."""
    equal: Facts = condition.get("StringEquals") or {}
    named = [as_list(value) for name, value in equal.items() if str(name).endswith(":sub")]
    return any(named) and not any("*" in str(value) for values in named for value in values)


def find_losses(plan: Facts) -> Iterator[str]:
    """Yield the resources that hold data, and that the plan would delete or replace."""
    for change in plan.get("resource_changes", []):
        if change["type"] in RULES["hold_data"] and "delete" in change["change"]["actions"]:
            yield f"{change['address']}: would be deleted with what it holds; LOSS=yes lets it"


def find_breaches(plan: Facts, loss: bool = False) -> list[str]:
    """Return all breaches of a plan, sorted; `loss` lets it delete what holds data."""
    rules = [find_wrong_attributes, find_open_buckets, find_open_ports, find_wide_rights]
    rules += [] if loss else [find_losses]
    return sorted({line for rule in rules for line in rule(plan)})


def refuse_plan(breaches: list[str], name: str) -> None:
    """End the program if a plan breaks a policy."""
    if breaches:
        sys.exit("\n".join([*breaches, f"Refused: {name} breaks policies.  Nothing is made."]))


def main(arguments: list[str]) -> None:
    """Judge the plan of standard input."""
    text = sys.stdin.read()
    if not re.match(r'\s*\{.*"resource_changes"', text, re.DOTALL):
        sys.exit("no plan: terraform show -json FILE | ladder policies")
    refuse_plan(find_breaches(json.loads(text), "--loss" in arguments), "the plan")
    print("The plan keeps every policy.")
