"""Daily backups in a vault of their own, which on production nobody can empty before its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import backup

from components.role import Grant, Role, RoleArgs

if TYPE_CHECKING:
    from naming import Names

# Days within which a lock can still be taken off; AWS's least. Afterwards nobody can, AWS included.
GRACE_DAYS = 3


@dataclass(frozen=True, kw_only=True)
class BackupArgs:
    """What is kept, and for how long.

    Attributes:
        names: The stack's names.
        key_arn: The key that encrypts recovery points.
        key_id: Its id, with which the vault's name ends.
        days: Days that each is kept.
        locked_days: Days within which nobody can delete one; 0 where the vault is not locked. It cannot be changed
            once the lock holds, so it is not `days`, which can.
    """

    names: Names
    key_arn: pulumi.Input[str]
    key_id: pulumi.Output[str]
    days: int
    locked_days: int


class Backup(pulumi.ComponentResource):
    """A vault, a plan and what it covers: the database."""

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Backup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.names
        vault = backup.Vault(
            name,
            # One that stayed keeps its name when the stack has gone; see docs/decisions/0007. AWS takes 50 characters.
            name=args.key_id.apply(lambda key: f"{names.name('vault')}-{key[:6]}"),
            kms_key_arn=args.key_arn,
            force_destroy=not args.locked_days,
            # A locked vault with recovery points in it cannot be deleted.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=bool(args.locked_days)),
        )
        if args.locked_days:
            backup.VaultLockConfiguration(
                name,
                backup_vault_name=vault.name,
                min_retention_days=args.locked_days,
                changeable_for_days=GRACE_DAYS,
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        role = Role(
            name,
            RoleArgs(
                names=names,
                thing="backup",
                service="backup.amazonaws.com",
                purpose="Makes the daily backups of the database",
                grants=_grants(names),
                own_account=False,
            ),
            opts=child,
        )
        plan = backup.Plan(
            name,
            name=names.name("backups"),
            rules=[
                backup.PlanRuleArgs(
                    rule_name="daily",
                    target_vault_name=vault.name,
                    # An hour and more away from the database's own windows: see `database`.
                    schedule="cron(0 2 * * ? *)",
                    start_window=60,
                    completion_window=240,
                    lifecycle=backup.PlanRuleLifecycleArgs(delete_after=args.days),
                )
            ],
            opts=child,
        )
        backup.Selection(
            name,
            name=names.name("database"),
            plan_id=plan.id,
            iam_role_arn=role.arn,
            resources=[names.database("database")],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.granted]),
        )
        self.register_outputs({"vault": vault.name})


def _grants(names: Names) -> tuple[Grant, ...]:
    """What AWS's own AWSBackupServiceRolePolicyForBackup allows for RDS, for this database only."""
    snapshots = names.arn("rds", "snapshot:awsbackup:*")
    of_database = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{names.name('database')}"}}
    return (
        Grant(
            sid="SnapshotDatabase",
            actions=("rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:ListTagsForResource"),
            resources=(names.database("database"), snapshots),
        ),
        Grant(
            sid="DescribeDatabase",
            actions=("rds:DescribeDBInstances", "rds:DescribeDBSnapshots"),
            resources=(names.arn("rds", "db:*"), names.arn("rds", "snapshot:*")),
        ),
        Grant(
            sid="ExpireSnapshots",
            actions=("rds:DeleteDBSnapshot", "rds:ModifyDBSnapshotAttribute"),
            resources=(snapshots,),
        ),
        Grant(
            sid="PutIntoVault",
            actions=("backup:CopyIntoBackupVault", "backup:DescribeBackupVault"),
            resources=(names.arn("backup", f"backup-vault:{names.name('vault')}-??????"),),
        ),
        Grant(
            sid="UseKeyOfDatabase",
            actions=("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"),
            resources=(names.arn("kms", "key/*"),),
            conditions=of_database,
        ),
        # RDS keeps the key at hand for as long as a snapshot lives; nobody else may be given it this way.
        Grant(
            sid="LendKeyOfDatabase",
            actions=("kms:CreateGrant",),
            resources=(names.arn("kms", "key/*"),),
            conditions={**of_database, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    )
