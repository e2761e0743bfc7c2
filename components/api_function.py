"""The function that answers the API, and the alias that says which version of it is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import lambda_

from components.database import NAME, PORT
from components.function import Function, FunctionArgs
from components.role import Grant, use_key

if TYPE_CHECKING:
    from components.database import Database
    from components.function import Placement, Runtime
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class ApiFunctionArgs:
    """What the API function runs with.

    Attributes:
        runtime: What it shares with the stack's other functions.
        placement: Where in the private network it runs; it connects to the proxy.
        database: The database.
        database_ca: Path, inside the function, of the CA of the database's certificate.
        memory_mb: Memory in MB.
        timeout_seconds: Seconds a request may take.
        concurrency: Requests at a time, reserved for it and its limit.
        provisioned: Instances of the live version that are kept initialised.
    """

    runtime: Runtime
    placement: Placement
    database: Database
    database_ca: str
    memory_mb: int
    timeout_seconds: int
    concurrency: int
    provisioned: int


class ApiFunction(pulumi.ComponentResource):
    """Published versions of the API function behind the alias `live`.

    Attributes:
        name: The function.
        version: The version published last.
        alias: What the gateway invokes.
        log_group: Name of its log group.
    """

    name: pulumi.Output[str]
    version: pulumi.Output[str]
    alias: lambda_.Alias
    log_group: pulumi.Output[str]

    def __init__(
        self, name: str, args: ApiFunctionArgs, after: pulumi.Resource, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Publish after `after`, which is the step that leaves the schema ready for this code."""
        super().__init__("product-api:index:ApiFunction", name, None, opts)
        names = args.runtime.names
        function = Function(
            name,
            FunctionArgs(
                runtime=args.runtime,
                thing="api",
                purpose="Answers the product API",
                handler="app.api.handler",
                memory_mb=args.memory_mb,
                timeout_seconds=args.timeout_seconds,
                concurrency=args.concurrency,
                environment={
                    "ENVIRONMENT": names.stack,
                    "DATABASE_HOST": args.database.proxy_host,
                    "DATABASE_PORT": str(PORT),
                    "DATABASE_NAME": NAME,
                    "DATABASE_SECRET": names.name("database-api"),
                    "DATABASE_CA": args.database_ca,
                    "LOG_LEVEL": args.runtime.log_level,
                },
                grants=_grants(names),
                placement=args.placement,
                # Not as an option of the component: children do not inherit it, and the graph would not show it.
                after=[after],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.alias = lambda_.Alias(
            name,
            name="live",
            description="The version that serves; releases and rollbacks move it",
            function_name=function.name,
            function_version=function.version,
            # It begins at the first version. From then on it is moved by what watches the move, and a move is no drift.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["functionVersion", "routingConfig"]),
        )
        if args.provisioned:
            lambda_.ProvisionedConcurrencyConfig(
                name,
                function_name=function.name,
                qualifier=self.alias.name,
                provisioned_concurrent_executions=args.provisioned,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.name = function.name
        self.version = function.version
        self.log_group = function.log_group
        self.register_outputs({"name": self.name, "version": self.version})


def _grants(names: Names) -> tuple[Grant, ...]:
    return (
        Grant(
            sid="ReadOwnSecret",
            actions=("secretsmanager:GetSecretValue",),
            resources=(names.secret("database-api"),),
        ),
        use_key("database", names, service="secretsmanager", actions=("kms:Decrypt",)),
    )
