"""The function that alone changes the database's schema and users, and the steps of an update that it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import lambda_

from components.database import NAME, PORT
from components.function import Artifacts, Function, FunctionArgs, Grant, use_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.database import Database
    from migrations.rendering import Plan
    from naming import Names

# Lambda's own limit; a plan that would take longer is another tool's job.
TIMEOUT_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class MigratorArgs:
    """What the migrator migrates, and to where.

    Attributes:
        names: The stack's names.
        artifacts: Code and layer.
        database: The database.
        database_ca: Path, inside the function, of the CA of the database's certificate.
        plan: The migrations of this release.
        subnet_ids: Where it runs.
        security_group_id: As which it reaches the database.
        log_retention_days: Days its log is kept.
        log_level: Least severe level it logs.
        seeding: Whether it may insert sample data.
    """

    names: Names
    artifacts: Artifacts
    database: Database
    database_ca: str
    plan: Plan
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    log_retention_days: int
    log_level: str
    seeding: bool


class Migrator(pulumi.ComponentResource):
    """Runs, within an update and in this order: users, migrate, verify.

    Whatever must not run before the schema is ready depends on `verified`.

    Attributes:
        function_name: The function, to invoke it for status and seed.
        verified: The last step.
    """

    function_name: pulumi.Output[str]
    verified: pulumi.Resource

    def __init__(self, name: str, args: MigratorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Migrator", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        environment: dict[str, pulumi.Input[str]] = {
            "ENVIRONMENT": args.names.stack,
            "DATABASE_HOST": args.database.host,
            "DATABASE_PORT": str(PORT),
            "DATABASE_NAME": NAME,
            "DATABASE_CA": args.database_ca,
            "MASTER_SECRET": args.database.master_secret_arn,
            "MIGRATOR_SECRET": args.database.migrator_secret,
            "API_SECRET": args.database.api_secret,
            "LOG_LEVEL": args.log_level,
        }
        if args.seeding:
            environment["SEEDING"] = "allowed"
        function = Function(
            name,
            FunctionArgs(
                names=args.names,
                thing="migrator",
                artifacts=args.artifacts,
                handler="migrations.entry.handler",
                memory_mb=512,
                timeout_seconds=TIMEOUT_SECONDS,
                environment=environment,
                grants=_grants(args.names),
                subnet_ids=args.subnet_ids,
                security_group_id=args.security_group_id,
                log_retention_days=args.log_retention_days,
            ),
            opts=child,
        )

        def step(action: str, payload: Mapping[str, object], after: Sequence[pulumi.Resource]) -> lambda_.Invocation:
            return lambda_.Invocation(
                f"{name}-{action}",
                function_name=function.name,
                input=json.dumps({"action": action, **payload}, sort_keys=True),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*after]),
            )

        plan = {"plan": args.plan.event()}
        users = step("users", {}, [args.database])
        migrated = step("migrate", plan, [users])
        self.verified = step("verify", plan, [migrated])
        self.function_name = function.name
        self.register_outputs({"functionName": self.function_name})


def _grants(names: Names) -> tuple[Grant, ...]:
    """The users step fills the two users' secrets and reads the master's, whose name RDS invents.

    That one is recognised by the tag that RDS puts on it, which nobody else can set
    (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html).
    """
    own = (names.secret("database-migrator"), names.secret("database-api"))
    return (
        Grant(
            sid="ManageUserSecrets",
            actions=("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"),
            resources=own,
        ),
        Grant(
            sid="ReadMasterSecret",
            actions=("secretsmanager:GetSecretValue",),
            resources=(names.arn("secretsmanager", "secret:rds!db-*"),),
            conditions={
                "StringEquals": {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": names.database("database")},
            },
        ),
        use_key("database", names, actions=("kms:Decrypt", "kms:GenerateDataKey")),
    )
