"""A Lambda function with a role and a log group of its own."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch, lambda_

from components.role import Grant, Role, RoleArgs, use_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from components.artifacts import Artifacts
    from components.dead_letters import DeadLetters
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What all functions of a stack have in common.

    Attributes:
        names: The stack's names.
        artifacts: Code, layer, signatures.
        log_retention_days: Days that logs are kept.
        log_level: Least severe level that functions log.
        log_key_arn: The key that encrypts logs.
    """

    names: Names
    artifacts: Artifacts
    log_retention_days: int
    log_level: str
    log_key_arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where in the private network a function runs.

    Attributes:
        subnet_ids: The subnets.
        security_group_ids: As whose member it reaches others.
    """

    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_ids: Sequence[pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """What a function runs, with which rights.

    Attributes:
        runtime: What it shares with the stack's other functions.
        thing: The function's name within the stack, such as `migrator`.
        purpose: What it does, as people read it.
        handler: `module.function` inside the code zip.
        memory_mb: Memory in MB; CPU grows with it.
        timeout_seconds: Seconds after which an invocation is ended.
        concurrency: Invocations at a time, reserved for it and its limit.
        environment: Environment variables; never a credential.
        grants: What its role may do beyond running where it is placed, and logging.
        placement: Where in the private network; None runs it outside, where it reaches what is public.
        dead_letters: Where an asynchronous invocation goes that failed for good; None for a function that nobody
            invokes so.
        after: What must have happened before a version is published.
    """

    runtime: Runtime
    thing: str
    purpose: str
    handler: str
    memory_mb: int
    timeout_seconds: int
    concurrency: int
    environment: Mapping[str, pulumi.Input[str]]
    grants: Sequence[Grant]
    placement: Placement | None
    dead_letters: DeadLetters | None = None
    after: Sequence[pulumi.Resource] = ()


class Function(pulumi.ComponentResource):
    """A function that publishes an immutable version with every change of its code or configuration.

    Attributes:
        name: Physical name.
        arn: The function's ARN, without a version.
        version: The version that is published last.
        log_group: Name of its log group.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    version: pulumi.Output[str]
    log_group: pulumi.Output[str]

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Function", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names, artifacts = args.runtime.names, args.runtime.artifacts
        physical = names.name(args.thing)

        log = cloudwatch.LogGroup(
            name,
            name=names.log_group(args.thing),
            retention_in_days=args.runtime.log_retention_days,
            kms_key_id=args.runtime.log_key_arn,
            opts=child,
        )
        role = Role(
            name,
            RoleArgs(
                names=names,
                thing=args.thing,
                service="lambda.amazonaws.com",
                purpose=f"What {physical} may do",
                grants=(
                    *_baseline(names, args.thing),
                    *(_join_network(names) if args.placement else ()),
                    *(_bury(names) if args.dead_letters else ()),
                    *args.grants,
                ),
                own_account=False,
            ),
            opts=child,
        )
        function = lambda_.Function(
            name,
            name=physical,
            description=args.purpose,
            role=role.arn,
            runtime=artifacts.runtime,
            architectures=[artifacts.architecture],
            handler=args.handler,
            code=artifacts.archive,
            s3_bucket=artifacts.bucket,
            s3_key=artifacts.signed_code,
            code_signing_config_arn=artifacts.code_signing_arn,
            # The digest of the unsigned zip, which a release is known by.
            source_code_hash=_source_code_hash(artifacts.code),
            layers=[artifacts.layer_arn],
            memory_size=args.memory_mb,
            timeout=args.timeout_seconds,
            reserved_concurrent_executions=args.concurrency,
            environment=lambda_.FunctionEnvironmentArgs(variables=dict(args.environment)),
            vpc_config=lambda_.FunctionVpcConfigArgs(
                subnet_ids=args.placement.subnet_ids, security_group_ids=args.placement.security_group_ids
            )
            if args.placement
            else None,
            tracing_config=lambda_.FunctionTracingConfigArgs(mode="Active"),
            logging_config=lambda_.FunctionLoggingConfigArgs(log_format="Text", log_group=log.name),
            publish=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.granted, *args.after]),
        )
        if args.dead_letters:
            lambda_.FunctionEventInvokeConfig(
                name,
                function_name=function.name,
                maximum_retry_attempts=2,
                maximum_event_age_in_seconds=3600,
                destination_config=lambda_.FunctionEventInvokeConfigDestinationConfigArgs(
                    on_failure=lambda_.FunctionEventInvokeConfigDestinationConfigOnFailureArgs(
                        destination=args.dead_letters.arn
                    )
                ),
                opts=child,
            )

        self.name = function.name
        self.arn = function.arn
        self.version = function.version
        self.log_group = log.name
        self.register_outputs({"name": self.name, "version": self.version})


def _baseline(names: Names, thing: str) -> tuple[Grant, ...]:
    """What every function needs."""
    return (
        Grant(
            sid="WriteOwnLog",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=(names.arn("logs", f"log-group:{names.log_group(thing)}:*"),),
        ),
        Grant(
            sid="Trace",
            actions=("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
            resources=("*",),  # these two support no resource
        ),
    )


def _join_network(names: Names) -> tuple[Grant, ...]:
    """What a function inside the network needs.

    Lambda itself makes and removes the network interfaces, with the role's rights; it asks for every resource of the
    account (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions).
    """
    return (
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


def _bury(names: Names) -> tuple[Grant, ...]:
    """What Lambda needs, with the role's rights, to hand over an invocation that failed for good."""
    return (
        Grant(
            sid="HandOverFailedInvocations",
            actions=("sqs:SendMessage",),
            resources=(names.arn("sqs", names.name("dead-letters")),),
        ),
        use_key("operations", names, service="sqs", actions=("kms:Decrypt", "kms:GenerateDataKey")),
    )


def _source_code_hash(path: Path) -> str:
    return base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
