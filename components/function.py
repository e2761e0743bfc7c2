"""A Lambda function with a role and a log group of its own."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from naming import Names


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One thing that a function may do; becomes a statement of its role's policy.

    Attributes:
        sid: Names the statement in a diff.
        actions: IAM actions.
        resources: ARNs, known at preview: see `naming`.
        conditions: IAM conditions, where the resource cannot be narrowed by its ARN.
    """

    sid: str
    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def statement(self) -> dict[str, object]:
        """Return the IAM statement."""
        statement: dict[str, object] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        if self.conditions:
            statement["Condition"] = {operator: dict(keys) for operator, keys in self.conditions.items()}
        return statement


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """The bytes that every function of a release runs.

    Attributes:
        code: The code zip.
        layer_arn: The dependencies' layer.
        runtime: Lambda runtime that the layer is built for.
        architecture: Instruction set that the layer is built for.
    """

    code: Path
    layer_arn: pulumi.Input[str]
    runtime: str
    architecture: str


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """What a function runs, with which rights.

    Attributes:
        names: The stack's names.
        thing: The function's name within the stack, such as `migrator`.
        artifacts: Code and layer.
        handler: `module.function` inside the code zip.
        memory_mb: Memory in MB; CPU grows with it.
        timeout_seconds: Seconds after which an invocation is ended.
        environment: Environment variables; never a credential.
        grants: What its role may do beyond running inside the network and logging.
        subnet_ids: Where it runs.
        security_group_id: As which it reaches others.
        log_retention_days: Days its log is kept.
        after: What must have happened before a version is published.
    """

    names: Names
    thing: str
    artifacts: Artifacts
    handler: str
    memory_mb: int
    timeout_seconds: int
    environment: Mapping[str, pulumi.Input[str]]
    grants: Sequence[Grant]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    log_retention_days: int
    after: Sequence[pulumi.Resource] = ()


class Function(pulumi.ComponentResource):
    """A function that publishes an immutable version with every change of its code or configuration.

    Attributes:
        name: Physical name.
        arn: The function's ARN, without a version.
        version: The version that is published last.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    version: pulumi.Output[str]

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Function", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical = args.names.name(args.thing)

        log = cloudwatch.LogGroup(
            name, name=args.names.log_group(args.thing), retention_in_days=args.log_retention_days, opts=child
        )
        role = iam.Role(
            name,
            name=physical,
            description=f"What {physical} may do",
            assume_role_policy=json.dumps(_TRUST),
            opts=child,
        )
        policy = iam.RolePolicy(
            name,
            name="grants",
            role=role.name,
            policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [grant.statement() for grant in (*_baseline(args.names, args.thing), *args.grants)],
                }
            ),
            opts=child,
        )
        function = lambda_.Function(
            name,
            name=physical,
            role=role.arn,
            runtime=args.artifacts.runtime,
            architectures=[args.artifacts.architecture],
            handler=args.handler,
            code=pulumi.FileArchive(str(args.artifacts.code)),
            # The digest of the zip itself, so that the diff of a release names the artifact.
            source_code_hash=_source_code_hash(args.artifacts.code),
            layers=[args.artifacts.layer_arn],
            memory_size=args.memory_mb,
            timeout=args.timeout_seconds,
            environment=lambda_.FunctionEnvironmentArgs(variables=dict(args.environment)),
            vpc_config=lambda_.FunctionVpcConfigArgs(
                subnet_ids=args.subnet_ids, security_group_ids=[args.security_group_id]
            ),
            logging_config=lambda_.FunctionLoggingConfigArgs(log_format="Text", log_group=log.name),
            publish=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy, *args.after]),
        )

        self.name = function.name
        self.arn = function.arn
        self.version = function.version
        self.register_outputs({"name": self.name, "version": self.version})


# Who may act as the role: Lambda. Which function gets it is decided by who may pass it.
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def _baseline(names: Names, thing: str) -> tuple[Grant, ...]:
    """What every function inside the network needs.

    Lambda itself makes and removes the network interfaces, with the role's rights; it asks for every resource of the
    account (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions).
    """
    return (
        Grant(
            sid="WriteOwnLog",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=(names.arn("logs", f"log-group:{names.log_group(thing)}:*"),),
        ),
        Grant(
            sid="DescribeNetwork",
            actions=("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
            resources=("*",),  # these two support no resource
        ),
        Grant(
            sid="JoinNetwork",
            actions=(
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:UnassignPrivateIpAddresses",
            ),
            resources=(names.arn("ec2", "*/*"),),
        ),
    )


def use_key(thing: str, names: Names, *, actions: Sequence[str]) -> Grant:
    """Grant the use of the stack's own key through Secrets Manager.

    KMS invents a key's id, so that its ARN is not known at preview; its alias is. The key can have several aliases,
    hence the set operator (https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html).
    """
    return Grant(
        sid="UseKeyForSecrets",
        actions=actions,
        resources=(names.arn("kms", "key/*"),),
        conditions={
            "StringEquals": {"kms:ViaService": f"secretsmanager.{names.region}.amazonaws.com"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{names.name(thing)}"},
        },
    )


def _source_code_hash(path: Path) -> str:
    return base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
