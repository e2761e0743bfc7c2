"""AWS Backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("ResourceNotFoundException",)
TAGGING = Tagging(
    Call("tag_resource", {"ResourceArn": "{arn}"}),
    Call("untag_resource", {"ResourceArn": "{arn}"}),
    Read("list_tags", {"ResourceArn": "{arn}"}, "Tags"),
)
RETENTION = (1, 36500)


def _delete_vault(context: Context) -> None:
    """Delete a vault, emptied first where the program says so."""
    if context.state.get("forceDestroy"):
        client = context.cloud.client("backup", context.region)
        for page in client.get_paginator("list_recovery_points_by_backup_vault").paginate(BackupVaultName=context.id):
            for point in page["RecoveryPoints"]:
                context.call(
                    "delete_recovery_point", BackupVaultName=context.id, RecoveryPointArn=point["RecoveryPointArn"]
                )
    context.call("delete_backup_vault", BackupVaultName=context.id)


PLAN = Call("create_backup_plan", {}, ("name", "rules", "advancedBackupSettings"), into="BackupPlan")
PLAN_NAMES = {
    "name": "BackupPlanName",
    "rules.targetVaultName": "TargetBackupVaultName",
    "rules.schedule": "ScheduleExpression",
    "rules.startWindow": "StartWindowMinutes",
    "rules.completionWindow": "CompletionWindowMinutes",
    "rules.lifecycle.coldStorageAfter": "MoveToColdStorageAfterDays",
    "rules.lifecycle.deleteAfter": "DeleteAfterDays",
    "rules.copyActions.destinationVaultArn": "DestinationBackupVaultArn",
    "rules.copyActions.lifecycle.coldStorageAfter": "MoveToColdStorageAfterDays",
    "rules.copyActions.lifecycle.deleteAfter": "DeleteAfterDays",
    "rules.scanActions": "ScanActions",
}


def _create_plan(context: Context) -> Any:
    tags = context.inputs.get("tagsAll")
    tagged: dict[str, Any] = {"BackupPlanTags": tags} if tags else {}
    return context.call("create_backup_plan", **context.parameters(PLAN), **tagged)


def _update_plan(context: Context) -> None:
    context.call("update_backup_plan", BackupPlanId=context.id, **context.parameters(PLAN))


def _refine_selection(context: Context, outputs: dict[str, Any]) -> None:
    """What AWS answers as empty lists is what the program left out."""
    conditions = [
        {name: items for name, items in condition.items() if items} for condition in outputs.get("conditions") or []
    ]
    outputs["conditions"] = [condition for condition in conditions if condition]
    outputs["planId"] = context.state["planId"]


def _verify_plan(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = [rule.get("ruleName") for rule in inputs.get("rules") or []]
    twice = {name for name in names if isinstance(name, str) and names.count(name) > 1}
    return [("rules", f"two rules are called {name!r}; name each once") for name in sorted(twice)]


ENTRIES = (
    Resource(
        "aws:backup/vault:Vault",
        "backup",
        create=Call("create_backup_vault", {"BackupVaultTags": "{tagsAll}"}),
        id="{name}",
        reads=(
            Read(
                "describe_backup_vault",
                {"BackupVaultName": "{id}"},
                outputs={"recoveryPoints": "NumberOfRecoveryPoints"},
            ),
        ),
        delete=Do(_delete_vault),
        names={"name": "BackupVaultName", "kmsKeyArn": "EncryptionKeyArn", "arn": "BackupVaultArn"},
        name="name",
        replaces=("name", "kmsKeyArn"),
        defaults={"forceDestroy": False},
        local=("forceDestroy",),
        gone=GONE,
        tagging=TAGGING,
    ),
    Resource(
        "aws:backup/vaultLockConfiguration:VaultLockConfiguration",
        "backup",
        create=Call("put_backup_vault_lock_configuration"),
        id="{backupVaultName}",
        reads=(
            Read(
                "describe_backup_vault",
                {"BackupVaultName": "{backupVaultName}"},
                "[@][?Locked] | [0]",
                only=("backupVaultArn", "backupVaultName", "maxRetentionDays", "minRetentionDays"),
            ),
        ),
        delete=Call("delete_backup_vault_lock_configuration", {"BackupVaultName": "{id}"}, ()),
        replaces=("backupVaultName", "changeableForDays", "maxRetentionDays", "minRetentionDays"),
        ranges={"changeableForDays": (3, 36500), "maxRetentionDays": RETENTION, "minRetentionDays": RETENTION},
        write_only=("changeableForDays",),
        gone=GONE,
    ),
    Resource(
        "aws:backup/vaultPolicy:VaultPolicy",
        "backup",
        create=Call("put_backup_vault_access_policy"),
        id="{backupVaultName}",
        reads=(Read("get_backup_vault_access_policy", {"BackupVaultName": "{backupVaultName}"}),),
        update=(Call("put_backup_vault_access_policy", {}, ("backupVaultName", "policy"), whole=True),),
        delete=Call("delete_backup_vault_access_policy", {"BackupVaultName": "{id}"}, ()),
        replaces=("backupVaultName",),
        documents=("policy",),
        gone=GONE,
    ),
    Resource(
        "aws:backup/plan:Plan",
        "backup",
        create=Do(_create_plan, PLAN.carries or (), PLAN),
        id="BackupPlanId",
        reads=(
            Read(
                "get_backup_plan",
                {"BackupPlanId": "{id}"},
                outputs={"arn": "BackupPlanArn", "version": "VersionId"},
                only=(),
            ),
            Read(
                "get_backup_plan",
                {"BackupPlanId": "{id}"},
                "BackupPlan",
                only=("name", "rules", "advancedBackupSettings"),
            ),
        ),
        update=(Do(_update_plan, ("rules", "advancedBackupSettings"), PLAN),),
        delete=Call("delete_backup_plan", {"BackupPlanId": "{id}"}, ()),
        names=PLAN_NAMES,
        name="name",
        replaces=("name",),
        sets=("rules", "advancedBackupSettings"),
        defaults={
            "rules.completionWindow": 180,
            "rules.enableContinuousBackup": False,
            "rules.scheduleExpressionTimezone": "Etc/UTC",
            "rules.startWindow": 60,
        },
        recomputed={"version": ("rules", "advancedBackupSettings")},
        unsupported=("scanSettings",),
        verify=_verify_plan,
        gone=GONE,
        tagging=TAGGING,
    ),
    Resource(
        "aws:backup/selection:Selection",
        "backup",
        create=Call(
            "create_backup_selection",
            {"BackupPlanId": "{planId}"},
            ("conditions", "iamRoleArn", "name", "notResources", "resources", "selectionTags"),
            into="BackupSelection",
        ),
        id="SelectionId",
        imports="{planId}|{id}",
        reads=(Read("get_backup_selection", {"BackupPlanId": "{planId}", "SelectionId": "{id}"}, "BackupSelection"),),
        delete=Call("delete_backup_selection", {"BackupPlanId": "{planId}", "SelectionId": "{id}"}, ()),
        names={
            "name": "SelectionName",
            "selectionTags": "ListOfTags",
            "selectionTags.key": "ConditionKey",
            "selectionTags.type": "ConditionType",
            "selectionTags.value": "ConditionValue",
            "conditions.stringLikes": "StringLike",
            "conditions.stringNotLikes": "StringNotLike",
            **{
                f"conditions.{name}.{part}": f"Condition{part.capitalize()}"
                for name in ("stringEquals", "stringLikes", "stringNotEquals", "stringNotLikes")
                for part in ("key", "value")
            },
        },
        name="name",
        replaces=("conditions", "iamRoleArn", "name", "notResources", "planId", "resources", "selectionTags"),
        sets=("notResources", "resources", "selectionTags"),
        refine=_refine_selection,
        gone=GONE,
    ),
)
