"""Policies: what a plan of the infrastructure may not do is refused, by name."""

import io
import json
from typing import Any

import pytest

from mlops_ladder.delivery import policies

TAGS = {"project": "p", "environment": "staging", "managed-by": "terraform"}
DATABASE = {"publicly_accessible": False, "storage_encrypted": True}
DATABASE |= {"manage_master_user_password": True, "deletion_protection": True}
BESIDE = (
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
)

Facts = dict[str, Any]


@pytest.fixture(name="tool")
def _tool() -> Any:
    """The module behind `ladder policies`."""
    return policies


def planned(kind: str, after: Any, actions: tuple[str, ...] = ("create",), **more: Any) -> Facts:
    """A plan with one resource."""
    change = {"address": f"{kind}.it", "type": kind, "change": {"actions": actions, "after": after}}
    return {"resource_changes": [change], "configuration": {"root_module": more}}


def policy(**statement: Any) -> Facts:
    """A plan with a policy of one statement."""
    text = json.dumps({"Statement": {"Effect": "Allow", **statement}})
    return planned("aws_iam_role_policy", {"policy": text})


def bucket(*beside: str) -> Facts:
    """A plan with a bucket, and what stands beside it."""
    near = {"bucket": {"references": ["aws_s3_bucket.it"]}}
    found: list[Facts] = [
        {"address": "aws_s3_bucket.it", "type": "aws_s3_bucket", "mode": "managed"}
    ]
    found += [{"address": it, "type": it, "mode": "managed", "expressions": near} for it in beside]
    return planned("aws_s3_bucket", {"tags_all": TAGS}, resources=found)


def rule(**more: Any) -> Facts:
    """A plan with a port that somebody may reach."""
    return planned("aws_vpc_security_group_ingress_rule", {"from_port": 443, "to_port": 443} | more)


def trust(values: list[str]) -> Facts:
    """A plan that reads a policy: whose CI takes on a role."""
    condition = {"test": "StringEquals", "variable": "forge.example.com:sub", "values": values}
    statement = {"actions": ["sts:AssumeRoleWithWebIdentity"], "condition": [condition]}
    return planned("aws_iam_policy_document", {"statement": [statement]}, ("read",))


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (planned("aws_db_instance", DATABASE | {"publicly_accessible": True}), "internet reaches"),
        (planned("aws_db_instance", DATABASE | {"storage_encrypted": False}), "not encrypted"),
        (planned("aws_db_instance", {**DATABASE, "manage_master_user_password": None}), "state"),
        (planned("aws_kms_key", {"enable_key_rotation": True, "tags_all": {}}), "lacks the tags"),
        (planned("aws_db_instance", None, ("delete",)), "would be deleted"),
        (bucket(*BESIDE[1:]), "made public"),
        (bucket(*BESIDE[::2]), "not encrypted"),
        (planned("aws_s3_bucket_acl", {"acl": "public-read"}), "everybody reads"),
        (rule(cidr_ipv4="0.0.0.0/0", from_port=5432, to_port=5432), "5432 are open"),
        (rule(cidr_ipv6="::/0", from_port=0, to_port=65535), "open to the internet"),
        (rule(cidr_ipv4="0.0.0.0/0", from_port=None, to_port=None), "open to the internet"),
        (policy(Action="*", Resource="arn:x"), "name the actions"),
        (policy(Action=["s3:*"], Resource="arn:x"), "allows s3:*"),
        (policy(Action="s3:GetObject", Resource="*"), "name the resources"),
        (policy(Action="s3:GetObject", Resource="arn:x", Principal="*"), "to everybody"),
        (trust(["repo:organisation/*"]), "the subject in full"),
        (trust([]), "the subject in full"),
    ],
)
def test_a_plan_that_breaks_a_policy_is_refused(tool: Any, plan: Facts, told: str) -> None:
    """One breach, which says what is wrong."""
    (line,) = tool.find_breaches(plan)
    assert told in line


@pytest.mark.parametrize(
    "plan",
    [
        planned("aws_db_instance", DATABASE),
        bucket(*BESIDE),
        rule(cidr_ipv4="0.0.0.0/0"),
        rule(cidr_ipv4="10.0.0.0/8", from_port=5432, to_port=5432),
        policy(Action="s3:GetObject", Resource="arn:x"),
        policy(Action="ecr:GetAuthorizationToken", Resource="*"),
        policy(Effect="Deny", Action="*", Resource="*", Principal="*"),
        trust(["repo:organisation/name:environment:production"]),
    ],
)
def test_a_plan_that_keeps_the_policies_passes(tool: Any, plan: Facts) -> None:
    """What looks alike, and is meant so."""
    assert not tool.find_breaches(plan)


def test_what_holds_data_is_deleted_where_that_is_said(tool: Any) -> None:
    """LOSS=yes lets a plan delete, and do nothing else that is refused."""
    assert not tool.find_breaches(planned("aws_db_instance", None, ("delete",)), loss=True)
    assert tool.find_breaches(planned("aws_s3_bucket_acl", {"acl": "public-read"}), loss=True)


def test_production_is_protected(tool: Any) -> None:
    """What staging may do, production may not."""
    plan = planned("aws_db_instance", DATABASE | {"skip_final_snapshot": True})
    assert not tool.find_breaches(plan | {"variables": {"environment": {"value": "staging"}}})
    (line,) = tool.find_breaches(plan | {"variables": {"environment": {"value": "production"}}})
    assert "leave no snapshot" in line


def test_http_on_the_internet_is_refused(tool: Any) -> None:
    """In the network it may be; on the internet it may only lead to HTTPS."""
    for internal, act, count in (
        (True, "forward", 0),
        (False, "redirect", 0),
        (False, "forward", 1),
    ):
        plan = planned("aws_lb", {"internal": internal})
        listener = {"protocol": "HTTP", "default_action": [{"type": act}]}
        plan["resource_changes"] += planned("aws_lb_listener", listener)["resource_changes"]
        assert len(tool.find_breaches(plan)) == count


def test_what_is_no_plan_is_not_judged(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing passes because nothing came."""
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    with pytest.raises(SystemExit, match="no plan"):
        tool.main([])
