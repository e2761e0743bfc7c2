"""A function: its own role with exactly what it was granted, its own log, and a version of the zip that was built."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from components.function import Artifacts, Function, FunctionArgs, Grant, use_key
from tests.components.conftest import CODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment

BASELINE = [
    {
        "Sid": "WriteOwnLog",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": ["arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/product-api-dev-thing:*"],
    },
    {
        "Sid": "DescribeNetwork",
        "Effect": "Allow",
        "Action": ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"],
        "Resource": ["*"],
    },
    {
        "Sid": "JoinNetwork",
        "Effect": "Allow",
        "Action": [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:UnassignPrivateIpAddresses",
        ],
        "Resource": ["arn:aws:ec2:eu-central-1:111122223333:*/*"],
    },
]


@pytest.fixture
def function(deploy: Callable[..., Deployment], names: Names, artifacts: Artifacts) -> Callable[..., Deployment]:
    def declare(**changes: Any) -> Deployment:
        given: dict[str, Any] = {
            "thing": "thing",
            "handler": "package.module.handler",
            "memory_mb": 256,
            "timeout_seconds": 10,
            "environment": {"KEY": "value"},
            "grants": (),
            "subnet_ids": ["subnet a", "subnet b"],
            "security_group_id": "the clients",
            "log_retention_days": 14,
        }
        return deploy(lambda: Function("name", FunctionArgs(names=names, artifacts=artifacts, **(given | changes))))

    return declare


def test_it_publishes_the_zip_inside_the_network(function: Callable[..., Deployment], artifacts: Artifacts) -> None:
    declared = function().the("lambda/function:Function", "name")
    code = declared.inputs.pop("code")
    assert isinstance(code, pulumi.FileArchive)
    assert str(artifacts.code) == code.path
    assert {
        "name": "product-api-dev-thing",
        "role": "arn of Role name",
        "runtime": "python3.13",
        "architectures": ["arm64"],
        "handler": "package.module.handler",
        "sourceCodeHash": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
        "layers": ["arn of the layer"],
        "memorySize": 256,
        "timeout": 10,
        "environment": {"variables": {"KEY": "value"}},
        "vpcConfig": {"subnetIds": ["subnet a", "subnet b"], "securityGroupIds": ["the clients"]},
        "loggingConfig": {"logFormat": "Text", "logGroup": "/aws/lambda/product-api-dev-thing"},
        "publish": True,
    } == declared.inputs


def test_lambda_and_nobody_else_may_be_its_role(function: Callable[..., Deployment]) -> None:
    [role] = function().of("iam/role:Role").values()
    trust = json.loads(role.pop("assumeRolePolicy"))
    assert {"name": "product-api-dev-thing", "description": "What product-api-dev-thing may do"} == role
    assert {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    } == trust


def test_its_role_may_log_and_join_the_network_and_what_is_granted(
    function: Callable[..., Deployment], names: Names
) -> None:
    granted = (
        Grant(sid="Read", actions=("s3:GetObject",), resources=("arn:aws:s3:::bucket/*",)),
        use_key("data", names, actions=("kms:Decrypt",)),
    )
    [policy] = function(grants=granted).of("iam/rolePolicy:RolePolicy").values()
    document = json.loads(policy.pop("policy"))
    assert {"name": "grants", "role": "product-api-dev-thing"} == policy
    assert {
        "Version": "2012-10-17",
        "Statement": [
            *BASELINE,
            {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bucket/*"]},
            {
                "Sid": "UseKeyForSecrets",
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


def test_without_a_grant_there_is_no_more_than_that(function: Callable[..., Deployment]) -> None:
    [policy] = function().of("iam/rolePolicy:RolePolicy").values()
    assert BASELINE == json.loads(policy["policy"])["Statement"]


def test_its_log_is_kept_as_long_as_told(function: Callable[..., Deployment]) -> None:
    assert {"name": {"name": "/aws/lambda/product-api-dev-thing", "retentionInDays": 14}} == function().of(
        "cloudwatch/logGroup:LogGroup"
    )


def test_it_waits_for_its_rights_and_its_log(function: Callable[..., Deployment]) -> None:
    """A function that starts before its policy fails; one before its log group gets one without an end."""
    declared = function().the("lambda/function:Function", "name")
    assert {"Role name", "RolePolicy name", "LogGroup name"} == declared.after


def test_two_functions_share_no_role_and_no_log(
    deploy: Callable[..., Deployment], names: Names, artifacts: Artifacts
) -> None:
    def both() -> None:
        for thing in ("one", "two"):
            Function(
                thing,
                FunctionArgs(
                    names=names,
                    thing=thing,
                    artifacts=artifacts,
                    handler="a.b",
                    memory_mb=128,
                    timeout_seconds=1,
                    environment={},
                    grants=(),
                    subnet_ids=["subnet"],
                    security_group_id="group",
                    log_retention_days=1,
                ),
            )

    declared = deploy(both)
    assert {
        f"{kind} {thing}" for kind in ("Role", "RolePolicy", "LogGroup", "Function") for thing in ("one", "two")
    } == (declared.names)
    assert {"one": "arn of Role one", "two": "arn of Role two"} == {
        name: inputs["role"] for name, inputs in declared.of("lambda/function:Function").items()
    }
