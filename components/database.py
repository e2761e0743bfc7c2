"""The Postgres database, its key, and the secrets of its users."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2, kms, rds, secretsmanager

from components.network import admit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naming import Names

MAJOR = "18"
PORT = 5432
NAME = "products"
MASTER = "product_admin"


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """What the database is, and who may reach it.

    Attributes:
        names: The stack's names.
        vpc_id: Its network.
        subnet_ids: Isolated subnets, in two zones or more.
        clients_group_id: The one security group that is admitted.
        instance_class: RDS instance class.
        storage_gb: Allocated storage, GiB.
        backup_days: How far back a restore to a point in time reaches.
        multi_az: Whether a standby in another zone takes over.
        deletion_protection: Whether it refuses deletion, and leaves a final snapshot when it is deleted all the same.
    """

    names: Names
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    clients_group_id: pulumi.Input[str]
    instance_class: str
    storage_gb: int
    backup_days: int
    multi_az: bool
    deletion_protection: bool


class Database(pulumi.ComponentResource):
    """An encrypted Postgres that speaks TLS only; its credentials are in Secrets Manager and nowhere else.

    Attributes:
        host: The endpoint's address.
        key_arn: The key that encrypts storage and secrets.
        master_secret_arn: RDS's own secret of the master user.
        migrator_secret: Name of the secret of the user that owns the schema.
        api_secret: Name of the secret of the user that reads and writes rows.
    """

    host: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    master_secret_arn: pulumi.Output[str]
    migrator_secret: str
    api_secret: str

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.names

        key = kms.Key(
            name,
            description=f"Data of {names.name('database')}",
            enable_key_rotation=True,
            deletion_window_in_days=30 if args.deletion_protection else 7,
            policy=json.dumps(_key_policy(names)),
            # A final snapshot outlives the database; under a deleted key nobody could restore it.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.deletion_protection),
        )
        kms.Alias(name, name=f"alias/{names.name('database')}", target_key_id=key.key_id, opts=child)

        group = ec2.SecurityGroup(
            name,
            name=names.name("database"),
            description="The database",
            vpc_id=args.vpc_id,
            tags={"Name": names.name("database")},
            opts=child,
        )
        admit(name, source=args.clients_group_id, target=group.id, port=PORT, what="Postgres", opts=child)
        subnets = rds.SubnetGroup(
            name, name=names.name("database"), description="Isolated subnets", subnet_ids=args.subnet_ids, opts=child
        )
        parameters = rds.ParameterGroup(
            name,
            name=f"{names.name('database')}-{MAJOR}",
            family=f"postgres{MAJOR}",
            description="TLS only, slow statements logged",
            parameters=[
                # RDS refuses "immediate" for a static parameter, and reports "pending-reboot" for a value that is its
                # default: with the provider's default every preview would show a change. The group is there before
                # the instance first starts, so it holds from the first connection.
                rds.ParameterGroupParameterArgs(name="rds.force_ssl", value="1", apply_method="pending-reboot"),
                rds.ParameterGroupParameterArgs(name="log_min_duration_statement", value="1000"),
            ],
            opts=child,
        )
        instance = rds.Instance(
            name,
            identifier=names.name("database"),
            engine="postgres",
            engine_version=MAJOR,
            auto_minor_version_upgrade=True,
            instance_class=args.instance_class,
            allocated_storage=args.storage_gb,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key.arn,
            db_name=NAME,
            port=PORT,
            username=MASTER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key.key_id,
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=False,
            multi_az=args.multi_az,
            backup_retention_period=args.backup_days,
            copy_tags_to_snapshot=True,
            deletion_protection=args.deletion_protection,
            skip_final_snapshot=not args.deletion_protection,
            final_snapshot_identifier=_final_snapshot(names, key) if args.deletion_protection else None,
            delete_automated_backups=not args.deletion_protection,
            opts=pulumi.ResourceOptions(parent=self, protect=args.deletion_protection),
        )
        for user in ("migrator", "api"):
            # Without a value: the migrator fills it, so that no password is ever in Pulumi's state.
            secretsmanager.Secret(
                f"{name}-{user}",
                name=names.name(f"database-{user}"),
                description=f"Database user of the {user}",
                kms_key_id=key.arn,
                recovery_window_in_days=30 if args.deletion_protection else 0,
                opts=child,
            )

        self.host = instance.address
        self.key_arn = key.arn
        self.master_secret_arn = instance.master_user_secrets.apply(_secret_arn)
        self.migrator_secret = names.name("database-migrator")
        self.api_secret = names.name("database-api")
        self.register_outputs({"host": self.host})


def _final_snapshot(names: Names, key: kms.Key) -> pulumi.Output[str]:
    """Name the snapshot that deletion leaves, after its key: a fixed name would be taken when the stack goes again."""
    return key.key_id.apply(lambda key_id: f"{names.name('database')}-final-{key_id[:8]}")


def _secret_arn(secrets: Sequence[rds.outputs.InstanceMasterUserSecret]) -> str:
    """Take the ARN of the one secret that RDS manages."""
    arn = secrets[0].secret_arn
    if arn is None:
        raise ValueError("RDS manages no master secret for this instance: set manage_master_user_password")
    return arn


def _key_policy(names: Names) -> dict[str, object]:
    """Leave access to the key to IAM policies of its own account, as AWS's default key policy does."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AccountAdministers",
                "Effect": "Allow",
                "Principal": {"AWS": names.account_root},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
