"""Roles: who may act as one, what it may do, and the boundary above it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.role import Grant, Role, RoleArgs, use_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment


@pytest.fixture
def role(deploy: Callable[..., Deployment], names: Names) -> Callable[..., Deployment]:
    def declare(**changes: Any) -> Deployment:
        given: dict[str, Any] = {
            "thing": "thing",
            "service": "backup.amazonaws.com",
            "purpose": "Does a thing",
            "grants": (),
        }
        return deploy(lambda: Role("name", RoleArgs(names=names, **(given | changes))))

    return declare


@pytest.mark.parametrize(
    ("own_account", "condition"),
    [(True, {"Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}}}), (False, {})],
)
def test_one_service_may_be_it_and_only_for_this_account_where_it_says_so(
    role: Callable[..., Deployment], condition: dict[str, Any], *, own_account: bool
) -> None:
    [declared] = role(own_account=own_account).of("iam/role:Role").values()
    trust = json.loads(declared.pop("assumeRolePolicy"))
    assert {
        "name": "product-api-dev-thing",
        "description": "Does a thing",
        "permissionsBoundary": "arn:aws:iam::111122223333:policy/product-api-function-boundary",
    } == declared
    assert {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "backup.amazonaws.com"},
                "Action": "sts:AssumeRole",
                **condition,
            }
        ],
    } == trust


def test_it_may_do_what_is_granted_and_nothing_else(role: Callable[..., Deployment], names: Names) -> None:
    granted = (
        Grant(sid="Read", actions=("s3:GetObject",), resources=("arn:aws:s3:::bucket/*",)),
        use_key("data", names, service="secretsmanager", actions=("kms:Decrypt",)),
    )
    [policy] = role(grants=granted).of("iam/rolePolicy:RolePolicy").values()
    document = json.loads(policy.pop("policy"))
    assert {"name": "grants", "role": "product-api-dev-thing"} == policy
    assert {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bucket/*"]},
            {
                "Sid": "UseKeyThroughSecretsmanager",
                "Effect": "Allow",
                "Action": ["kms:Decrypt"],
                "Resource": ["arn:aws:kms:eu-central-1:111122223333:key/*"],
                "Condition": {
                    "StringEquals": {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"},
                    "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/product-api-dev-data"},
                },
            },
        ],
    } == document
