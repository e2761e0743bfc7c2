"""The function that alone changes the database's schema and users, and the steps of an update that it runs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import lambda_, rds

from components.database import NAME, PORT
from components.function import Function, FunctionArgs
from components.release_driver import refuse_taken_snapshot
from components.role import Grant, use_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.database import Database
    from components.function import Placement, Runtime
    from components.gate import Gate
    from components.release_driver import Cloud
    from migrations.rendering import Plan
    from naming import Names

# Lambda's own limit; a plan that would take longer is another tool's job.
TIMEOUT_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class MigratorArgs:
    """What the migrator migrates, and to where.

    Attributes:
        runtime: What it shares with the stack's other functions.
        placement: Where in the private network it runs; it connects to the database itself, for its session's locks.
        database: The database.
        database_ca: Path, inside the function, of the CA of the database's certificate.
        plan: The migrations of this release.
        seeding: Whether it may insert sample data.
        attempt: Number of this attempt at the release; another one takes another snapshot.
        keep_snapshots: Whether the snapshot before a migration stays when the next one takes its place.
        gate: What must be open before data is touched.
        cloud: Clients for the hook that looks whether the snapshot is a new one.
    """

    runtime: Runtime
    placement: Placement
    database: Database
    database_ca: str
    plan: Plan
    seeding: bool
    attempt: int
    keep_snapshots: bool
    gate: Gate
    cloud: Cloud


class Migrator(pulumi.ComponentResource):
    """Runs, within an update and in this order: snapshot, users, migrate, verify.

    Whatever must not run before the schema is ready depends on `verified`.

    Attributes:
        function_name: The function, to invoke it for status and seed.
        users: The step after which each user has a password.
        verified: The last step.
    """

    function_name: pulumi.Output[str]
    users: pulumi.Resource
    verified: pulumi.Resource

    def __init__(self, name: str, args: MigratorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Migrator", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.runtime.names
        environment: dict[str, pulumi.Input[str]] = {
            "ENVIRONMENT": names.stack,
            "DATABASE_HOST": args.database.host,
            "DATABASE_PORT": str(PORT),
            "DATABASE_NAME": NAME,
            "DATABASE_CA": args.database_ca,
            "MASTER_SECRET": args.database.master_secret_arn,
            "MIGRATOR_SECRET": names.name("database-migrator"),
            "API_SECRET": names.name("database-api"),
            "LOG_LEVEL": args.runtime.log_level,
        }
        if args.seeding:
            environment["SEEDING"] = "allowed"
        function = Function(
            name,
            FunctionArgs(
                runtime=args.runtime,
                thing="migrator",
                purpose="Changes the schema of the database, and its users",
                handler="migrations.entry.handler",
                memory_mb=512,
                timeout_seconds=TIMEOUT_SECONDS,
                # Never two at a time.
                concurrency=1,
                environment=environment,
                grants=_grants(names),
                placement=args.placement,
            ),
            opts=child,
        )

        def step(action: str, payload: Mapping[str, object], after: Sequence[pulumi.Resource]) -> lambda_.Invocation:
            return lambda_.Invocation(
                f"{name}-{action}",
                function_name=function.name,
                input=json.dumps({"action": action, **payload}, sort_keys=True),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*after], hooks=args.gate.binding),
            )

        fresh = pulumi.ResourceHook("snapshot", lambda hook: _refuse_taken(args, hook))
        snapshot = rds.Snapshot(
            name,
            db_instance_identifier=args.database.identifier,
            db_snapshot_identifier=_snapshot(args),
            opts=pulumi.ResourceOptions(
                parent=self,
                retain_on_delete=args.keep_snapshots,
                # Not the other way round: after a failed update the old one would wait for its deletion, and a release
                # that goes back to the old plan wants that very name.
                delete_before_replace=True,
                hooks=pulumi.ResourceHookBinding(
                    before_create=[args.gate.before, fresh],
                    before_update=[args.gate.before],
                    after_create=[args.gate.after],
                    after_update=[args.gate.after],
                ),
            ),
        )
        plan = {"plan": args.plan.event()}
        self.users = step("users", {}, [args.database, snapshot])
        migrated = step("migrate", plan, [self.users, snapshot])
        self.verified = step("verify", plan, [migrated])
        self.function_name = function.name
        self.register_outputs({"functionName": self.function_name})


async def _refuse_taken(args: MigratorArgs, hook: pulumi.ResourceHookArgs) -> None:
    name = str((hook.new_inputs or {})["dbSnapshotIdentifier"])
    await asyncio.to_thread(refuse_taken_snapshot, args.cloud, name, args.attempt)


def _snapshot(args: MigratorArgs) -> pulumi.Output[str]:
    """Name the snapshot after plan and attempt, and after the key it needs: one that stayed keeps its name."""
    physical = args.runtime.names.name("database")
    return args.database.key_id.apply(lambda key: f"{physical}-{args.plan.digest[:12]}-{args.attempt}-{key[:8]}")


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
        use_key("database", names, service="secretsmanager", actions=("kms:Decrypt", "kms:GenerateDataKey")),
    )
