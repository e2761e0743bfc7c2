"""A function: its own role with exactly what it was granted, its own log, and a version of the zip that was built."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from components.function import Function, FunctionArgs, Runtime
from components.role import Grant
from tests.components.conftest import CODE, PLACEMENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from components.dead_letters import DeadLetters
    from tests.components.conftest import Deployment

BASELINE: list[dict[str, Any]] = [
    {
        "Sid": "WriteOwnLog",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": ["arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/product-api-dev-thing:*"],
    },
    {
        "Sid": "Trace",
        "Effect": "Allow",
        "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
        "Resource": ["*"],
    },
]
INSIDE: list[dict[str, Any]] = [
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
HANDING_OVER: list[dict[str, Any]] = [
    {
        "Sid": "HandOverFailedInvocations",
        "Effect": "Allow",
        "Action": ["sqs:SendMessage"],
        "Resource": ["arn:aws:sqs:eu-central-1:111122223333:product-api-dev-dead-letters"],
    },
    {
        "Sid": "UseKeyThroughSqs",
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": ["arn:aws:kms:eu-central-1:111122223333:key/*"],
        "Condition": {
            "StringEquals": {"kms:ViaService": "sqs.eu-central-1.amazonaws.com"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/product-api-dev-operations"},
        },
    },
]
COMMON = {each["Sid"] for each in (*BASELINE, *INSIDE, *HANDING_OVER)}


def own_statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a function's policy has beyond what functions have anyway."""
    return [each for each in json.loads(policy["policy"])["Statement"] if each["Sid"] not in COMMON]


@pytest.fixture
def function(deploy: Callable[..., Deployment], runtime_of: Callable[[], Runtime]) -> Callable[..., Deployment]:
    def declare(dead_letters: Callable[[], DeadLetters] | None = None, **changes: Any) -> Deployment:
        given: dict[str, Any] = {
            "thing": "thing",
            "purpose": "Does a thing",
            "handler": "package.module.handler",
            "memory_mb": 256,
            "timeout_seconds": 10,
            "concurrency": 5,
            "environment": {"KEY": "value"},
            "grants": (),
            "placement": PLACEMENT,
        }

        def program() -> None:
            queue = {"dead_letters": dead_letters()} if dead_letters else {}
            Function("name", FunctionArgs(runtime=runtime_of(), **(given | changes | queue)))

        return deploy(program)

    return declare


def test_it_publishes_the_zip_inside_the_network(function: Callable[..., Deployment], zips: tuple[Path, Path]) -> None:
    declared = function().the("lambda/function:Function", "name")
    code = declared.inputs.pop("code")
    assert isinstance(code, pulumi.FileArchive)
    assert str(zips[0]) == code.path
    assert {
        "name": "product-api-dev-thing",
        "description": "Does a thing",
        "role": "arn of Role name",
        "runtime": "python3.13",
        "architectures": ["arm64"],
        "handler": "package.module.handler",
        "sourceCodeHash": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
        "layers": ["arn of LayerVersion artifacts"],
        "memorySize": 256,
        "timeout": 10,
        "reservedConcurrentExecutions": 5,
        "environment": {"variables": {"KEY": "value"}},
        "vpcConfig": {"subnetIds": ["subnet a", "subnet b"], "securityGroupIds": ["the clients", "the database's"]},
        "tracingConfig": {"mode": "Active"},
        "loggingConfig": {"logFormat": "Text", "logGroup": "/aws/lambda/product-api-dev-thing"},
        "publish": True,
    } == declared.inputs


def test_one_outside_joins_no_network(function: Callable[..., Deployment]) -> None:
    declared = function(placement=None)
    assert "vpcConfig" not in declared.the("lambda/function:Function", "name").inputs
    [policy] = declared.of("iam/rolePolicy:RolePolicy").values()
    assert BASELINE == json.loads(policy["policy"])["Statement"]


def test_lambda_and_nobody_else_may_be_its_role(function: Callable[..., Deployment]) -> None:
    [role] = function().of("iam/role:Role").values()
    assert "What product-api-dev-thing may do" == role["description"]
    assert [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ] == json.loads(role["assumeRolePolicy"])["Statement"]


def test_its_role_may_log_and_join_the_network_and_what_is_granted(function: Callable[..., Deployment]) -> None:
    granted = Grant(sid="Read", actions=("s3:GetObject",), resources=("arn:aws:s3:::bucket/*",))
    [policy] = function(grants=(granted,)).of("iam/rolePolicy:RolePolicy").values()
    assert [
        *BASELINE,
        *INSIDE,
        {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bucket/*"]},
    ] == json.loads(policy["policy"])["Statement"]


def test_what_failed_for_good_is_kept(
    function: Callable[..., Deployment], dead_letters_of: Callable[[], DeadLetters]
) -> None:
    declared = function(dead_letters=dead_letters_of)
    assert {
        "name": {
            "functionName": "product-api-dev-thing",
            "maximumRetryAttempts": 2,
            "maximumEventAgeInSeconds": 3600,
            "destinationConfig": {"onFailure": {"destination": "arn of Queue dead-letters"}},
        }
    } == declared.of("lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    [policy] = declared.of("iam/rolePolicy:RolePolicy").values()
    assert [*BASELINE, *INSIDE, *HANDING_OVER] == json.loads(policy["policy"])["Statement"]
    assert {
        "dead-letters": {
            "name": "product-api-dev-dead-letters",
            "messageRetentionSeconds": 1209600,
            "kmsMasterKeyId": "the operations' key",
        }
    } == declared.of("sqs/queue:Queue")


def test_its_log_is_encrypted_and_kept_as_long_as_told(function: Callable[..., Deployment]) -> None:
    assert {
        "name": {
            "name": "/aws/lambda/product-api-dev-thing",
            "retentionInDays": 14,
            "kmsKeyId": "the log's key",
        }
    } == function().of("cloudwatch/logGroup:LogGroup")


def test_it_waits_for_its_rights_and_its_log(function: Callable[..., Deployment]) -> None:
    """A function that starts before its policy fails; one before its log group gets one without an end."""
    declared = function().the("lambda/function:Function", "name")
    assert {"Role name", "RolePolicy name", "LogGroup name", "LayerVersion artifacts"} == declared.after


def test_two_functions_share_no_role_and_no_log(
    deploy: Callable[..., Deployment], runtime_of: Callable[[], Runtime]
) -> None:
    def both() -> None:
        runtime = runtime_of()
        for thing in ("one", "two"):
            Function(
                thing,
                FunctionArgs(
                    runtime=runtime,
                    thing=thing,
                    purpose="",
                    handler="a.b",
                    memory_mb=128,
                    timeout_seconds=1,
                    concurrency=1,
                    environment={},
                    grants=(),
                    placement=None,
                ),
            )

    declared = deploy(both)
    assert {
        f"{kind} {thing}" for kind in ("Role", "RolePolicy", "LogGroup", "Function") for thing in ("one", "two")
    } | {"LayerVersion artifacts"} == declared.names
    assert {"one": "arn of Role one", "two": "arn of Role two"} == {
        name: inputs["role"] for name, inputs in declared.of("lambda/function:Function").items()
    }
