"""The function that answers the API, and the alias that says which version of it is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import lambda_

from components.database import NAME, PORT
from components.function import Artifacts, Function, FunctionArgs, Grant, use_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database import Database
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class ApiFunctionArgs:
    """What the API function runs with.

    Attributes:
        names: The stack's names.
        artifacts: Code and layer.
        database: The database.
        database_ca: Path, inside the function, of the CA of the database's certificate.
        memory_mb: Memory in MB.
        timeout_seconds: Seconds a request may take.
        subnet_ids: Where it runs.
        security_group_id: As which it reaches the database.
        log_retention_days: Days its log is kept.
        log_level: Least severe level it logs.
    """

    names: Names
    artifacts: Artifacts
    database: Database
    database_ca: str
    memory_mb: int
    timeout_seconds: int
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    log_retention_days: int
    log_level: str


class ApiFunction(pulumi.ComponentResource):
    """Published versions of the API function behind the alias `live`.

    Attributes:
        name: The function.
        version: The version published last.
        alias: What the gateway invokes.
    """

    name: pulumi.Output[str]
    version: pulumi.Output[str]
    alias: lambda_.Alias

    def __init__(
        self, name: str, args: ApiFunctionArgs, after: pulumi.Resource, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Publish after `after`, which is the step that leaves the schema ready for this code."""
        super().__init__("product-api:index:ApiFunction", name, None, opts)
        function = Function(
            name,
            FunctionArgs(
                names=args.names,
                thing="api",
                artifacts=args.artifacts,
                handler="app.api.handler",
                memory_mb=args.memory_mb,
                timeout_seconds=args.timeout_seconds,
                environment={
                    "ENVIRONMENT": args.names.stack,
                    "DATABASE_HOST": args.database.host,
                    "DATABASE_PORT": str(PORT),
                    "DATABASE_NAME": NAME,
                    "DATABASE_SECRET": args.database.api_secret,
                    "DATABASE_CA": args.database_ca,
                    "LOG_LEVEL": args.log_level,
                },
                grants=_grants(args.names),
                subnet_ids=args.subnet_ids,
                security_group_id=args.security_group_id,
                log_retention_days=args.log_retention_days,
                # Not as an option of the component: children do not inherit it, and the graph would not show it.
                after=[after],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.alias = lambda_.Alias(
            name,
            name="live",
            description="The version that serves",
            function_name=function.name,
            function_version=function.version,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = function.name
        self.version = function.version
        self.register_outputs({"name": self.name, "version": self.version})


def _grants(names: Names) -> tuple[Grant, ...]:
    return (
        Grant(
            sid="ReadOwnSecret",
            actions=("secretsmanager:GetSecretValue",),
            resources=(names.secret("database-api"),),
        ),
        use_key("database", names, actions=("kms:Decrypt",)),
    )
