"""The function that changes the passwords of the database's users, and when it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import lambda_, secretsmanager

from components.database import NAME, PORT
from components.function import Function, FunctionArgs
from components.role import Grant, use_key

if TYPE_CHECKING:
    from components.database import Database
    from components.dead_letters import DeadLetters
    from components.function import Placement, Runtime
    from naming import Names

EVERY_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class RotationArgs:
    """Whose passwords are changed.

    Attributes:
        runtime: What it shares with the stack's other functions.
        placement: Where in the private network it runs.
        database: The database, and its users' secrets.
        database_ca: Path, inside the function, of the CA of the database's certificate.
        dead_letters: Where a rotation goes that failed for good.
    """

    runtime: Runtime
    placement: Placement
    database: Database
    database_ca: str
    dead_letters: DeadLetters


class Rotation(pulumi.ComponentResource):
    """New passwords every thirty days, one user each; the app reads its secret again when a login fails.

    Attributes:
        function_name: The function.
    """

    function_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: RotationArgs, after: pulumi.Resource, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Begin after `after`, which is the step that gives each user its first password."""
        super().__init__("product-api:index:Rotation", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.runtime.names
        function = Function(
            name,
            FunctionArgs(
                runtime=args.runtime,
                thing="rotation",
                purpose="Changes the passwords of the database's users",
                handler="migrations.rotation.handler",
                memory_mb=256,
                timeout_seconds=60,
                concurrency=1,
                environment={
                    "ENVIRONMENT": names.stack,
                    "DATABASE_HOST": args.database.host,
                    "DATABASE_PORT": str(PORT),
                    "DATABASE_NAME": NAME,
                    "DATABASE_CA": args.database_ca,
                    "MIGRATOR_SECRET": names.name("database-migrator"),
                    "API_SECRET": names.name("database-api"),
                    "LOG_LEVEL": args.runtime.log_level,
                },
                grants=_grants(names),
                placement=args.placement,
                dead_letters=args.dead_letters,
            ),
            opts=child,
        )
        permission = lambda_.Permission(
            name,
            statement_id="secrets-manager",
            action="lambda:InvokeFunction",
            principal="secretsmanager.amazonaws.com",
            function=function.name,
            source_account=names.account,
            # Lambda refuses a second statement of the same id.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        for user, secret in (("migrator", args.database.migrator_secret), ("api", args.database.api_secret)):
            secretsmanager.SecretRotation(
                f"{name}-{user}",
                secret_id=secret.id,
                rotation_lambda_arn=function.arn,
                rotation_rules=secretsmanager.SecretRotationRotationRulesArgs(automatically_after_days=EVERY_DAYS),
                rotate_immediately=False,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[permission, after]),
            )
        self.function_name = function.name
        self.register_outputs({"functionName": self.function_name})


def _grants(names: Names) -> tuple[Grant, ...]:
    return (
        Grant(
            sid="RotateUserSecrets",
            actions=(
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ),
            resources=(names.secret("database-migrator"), names.secret("database-api")),
        ),
        use_key("database", names, service="secretsmanager", actions=("kms:Decrypt", "kms:GenerateDataKey")),
    )
