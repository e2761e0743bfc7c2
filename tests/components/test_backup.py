"""Backups: every day, for as long as told, and where it is locked beyond anybody's reach."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from components.backup import Backup, BackupArgs
from components.database import BACKUP_WINDOW, MAINTENANCE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment

# After the key, for one that stays would take the name from the next stack.
VAULT = "product-api-dev-vault-1234ab"
ARN = "arn:aws:{}:eu-central-1:111122223333:{}".format


@pytest.fixture
def backup_of(deploy: Callable[..., Deployment], names: Names) -> Callable[..., Deployment]:
    def declare(**changes: Any) -> Deployment:
        given: dict[str, Any] = {"key_arn": "the database's key", "days": 35, "locked_days": 0} | changes
        key = "1234abcd-12ab-34cd-56ef-1234567890ab"
        return deploy(lambda: Backup("backup", BackupArgs(names=names, key_id=pulumi.Output.from_input(key), **given)))

    return declare


@pytest.fixture
def backup(backup_of: Callable[..., Deployment]) -> Deployment:
    return backup_of()


def test_the_database_is_backed_up_every_day_and_kept(backup_of: Callable[..., Deployment]) -> None:
    declared = backup_of(days=21)
    assert {
        "backup": {
            "name": "product-api-dev-backups",
            "rules": [
                {
                    "ruleName": "daily",
                    "targetVaultName": VAULT,
                    "schedule": "cron(0 2 * * ? *)",
                    "startWindow": 60,
                    "completionWindow": 240,
                    "lifecycle": {"deleteAfter": 21},
                }
            ],
        }
    } == declared.of("backup/plan:Plan")
    assert {
        "backup": {
            "name": "product-api-dev-database",
            "planId": "id of Plan backup",
            "iamRoleArn": "arn of Role backup",
            "resources": [ARN("rds", "db:product-api-dev-database")],
        }
    } == declared.of("backup/selection:Selection")
    assert "RolePolicy backup" in declared.the("backup/selection:Selection", "backup").after


def _minutes(time: str) -> int:
    """Minutes from the beginning of the day."""
    hours, minutes = time.split(":")[-2:]
    return int(timedelta(hours=int(hours), minutes=int(minutes)).total_seconds() // 60)


def test_it_begins_an_hour_and_more_away_from_the_databases_own_windows(backup: Deployment) -> None:
    """AWS Backup begins nothing within an hour of them, and says so only when it has failed."""
    [rule] = backup.of("backup/plan:Plan")["backup"]["rules"]
    _, hour, *_ = rule["schedule"].removeprefix("cron(").split()
    earliest = int(hour) * 60
    latest = earliest + rule["startWindow"]
    for window in (BACKUP_WINDOW, MAINTENANCE_WINDOW):
        begins, ends = (_minutes(time) for time in window.split("-"))
        assert ends + 60 <= earliest or latest + 60 <= begins


def test_an_unlocked_vault_goes_with_the_stack(backup: Deployment) -> None:
    assert {"backup": {"name": VAULT, "kmsKeyArn": "the database's key", "forceDestroy": True}} == backup.of(
        "backup/vault:Vault"
    )
    assert set() == backup.the("backup/vault:Vault", "backup").options
    assert {} == backup.of("backup/vaultLockConfiguration:VaultLockConfiguration")


def test_a_locked_one_stays_and_nobody_can_empty_it(backup_of: Callable[..., Deployment]) -> None:
    """`changeableForDays` is what makes the lock one that nobody can take off, AWS included."""
    declared = backup_of(locked_days=35, days=60)
    assert {"backup": {"backupVaultName": VAULT, "minRetentionDays": 35, "changeableForDays": 3}} == declared.of(
        "backup/vaultLockConfiguration:VaultLockConfiguration"
    )
    assert declared.of("backup/vault:Vault")["backup"]["forceDestroy"] is False
    for kind in ("backup/vault:Vault", "backup/vaultLockConfiguration:VaultLockConfiguration"):
        assert {"retain_on_delete"} == declared.the(kind, "backup").options


def test_keeping_backups_longer_does_not_touch_the_lock(backup_of: Callable[..., Deployment]) -> None:
    """It cannot be changed any more: an update that tried would fail for good."""
    kind = "backup/vaultLockConfiguration:VaultLockConfiguration"
    assert backup_of(locked_days=35).of(kind) == backup_of(locked_days=35, days=90).of(kind)


def test_its_role_reaches_this_database_its_snapshots_and_this_vault(backup: Deployment) -> None:
    policy = json.loads(backup.the("iam/rolePolicy:RolePolicy", "backup").inputs["policy"])
    alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/product-api-dev-database"}}
    database, snapshots = ARN("rds", "db:product-api-dev-database"), ARN("rds", "snapshot:awsbackup:*")
    assert {
        "SnapshotDatabase": ([database, snapshots], None),
        # Describing supports no single snapshot that is yet to be.
        "DescribeDatabase": ([ARN("rds", "db:*"), ARN("rds", "snapshot:*")], None),
        "ExpireSnapshots": ([snapshots], None),
        "PutIntoVault": ([ARN("backup", "backup-vault:product-api-dev-vault-??????")], None),
        "UseKeyOfDatabase": ([ARN("kms", "key/*")], alias),
        "LendKeyOfDatabase": ([ARN("kms", "key/*")], alias | {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
    } == {each["Sid"]: (each["Resource"], each.get("Condition")) for each in policy["Statement"]}
    granting = [each["Sid"] for each in policy["Statement"] if "kms:CreateGrant" in each["Action"]]
    assert ["LendKeyOfDatabase"] == granting
    [role] = backup.of("iam/role:Role").values()
    assert {"Service": "backup.amazonaws.com"} == json.loads(role["assumeRolePolicy"])["Statement"][0]["Principal"]
