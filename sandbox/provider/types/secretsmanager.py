"""Secrets Manager."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("ResourceNotFoundException",)
ROTATION = ("secretId", "rotationLambdaArn", "rotationRules", "rotateImmediately")
VALUES = ("secretString", "secretStringWo", "secretBinary")


def _delete_secret(context: Context) -> None:
    """Delete at once where the program waits no day, otherwise leave the days to think again."""
    days = context.inputs.get("recoveryWindowInDays", context.state.get("recoveryWindowInDays", 30))
    window = {"ForceDeleteWithoutRecovery": True} if days == 0 else {"RecoveryWindowInDays": days}
    context.call("delete_secret", SecretId=context.id, **window)


def _verify_secret(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    days = inputs.get("recoveryWindowInDays")
    if isinstance(days, int) and days != 0 and not 7 <= days <= 30:
        return [("recoveryWindowInDays", f"{days} is out of range; allowed is 0, or 7 to 30")]
    return []


def _put_value(context: Context) -> Any:
    inputs = context.inputs
    params: dict[str, Any] = {"SecretId": inputs["secretId"]}
    if "secretBinary" in inputs:
        params["SecretBinary"] = base64.b64decode(inputs["secretBinary"])
    else:
        params["SecretString"] = inputs.get("secretString", inputs.get("secretStringWo", ""))
    if inputs.get("versionStages"):
        params["VersionStages"] = inputs["versionStages"]
    return context.call("put_secret_value", **params)


def _move_stages(context: Context) -> None:
    old, new = (set(values.get("versionStages") or ()) for values in (context.state, context.inputs))
    for stage in sorted(new - old):
        holder = _holder(context, stage)
        source = {"RemoveFromVersionId": holder} if holder else {}
        context.call(
            "update_secret_version_stage",
            SecretId=_secret(context),
            VersionStage=stage,
            MoveToVersionId=_version(context),
            **source,
        )
    for stage in sorted(old - new):
        _take_stage(context, stage)


def _delete_version(context: Context) -> None:
    """A version without a stage is forgotten; the current one stays until another takes its place."""
    versions = context.call("describe_secret", SecretId=_secret(context)).get("VersionIdsToStages", {})
    for stage in versions.get(_version(context), []):
        if stage != "AWSCURRENT":
            _take_stage(context, stage)


def _take_stage(context: Context, stage: str) -> None:
    context.call(
        "update_secret_version_stage",
        SecretId=_secret(context),
        VersionStage=stage,
        RemoveFromVersionId=_version(context),
    )


def _holder(context: Context, stage: str) -> str | None:
    versions = context.call("describe_secret", SecretId=_secret(context)).get("VersionIdsToStages", {})
    return next((version for version, stages in versions.items() if stage in stages), None)


def _secret(context: Context) -> str:
    return context.id.rpartition("|")[0]


def _version(context: Context) -> str:
    return context.id.rpartition("|")[2]


def _verify_version(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    given = [name for name in VALUES if name in inputs]
    return [] if len(given) <= 1 else [("secretString", f"give one of {', '.join(VALUES)}; got {', '.join(given)}")]


def _refine_rotation(context: Context, outputs: dict[str, Any]) -> None:
    rules = outputs.get("rotationRules") or {}
    outputs["rotationEnabled"] = bool(context.found.get("RotationEnabled"))
    if not outputs["rotationEnabled"]:  # a cancelled rotation keeps its function and rules, and does nothing with them
        outputs.pop("rotationLambdaArn", None)
        outputs.pop("rotationRules", None)
    elif rules.get("scheduleExpression"):
        rules.pop("automaticallyAfterDays", None)  # which AWS works out from it


def _verify_rotation(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    rules = inputs.get("rotationRules") or {}
    given = [name for name in ("automaticallyAfterDays", "scheduleExpression") if name in rules]
    if len(given) != 1:
        got = ", ".join(given) or "none"
        return [("rotationRules", f"give one of automaticallyAfterDays and scheduleExpression; got {got}")]
    return []


def _refine_version(context: Context, outputs: dict[str, Any]) -> None:
    outputs["hasSecretStringWo"] = "secretStringWo" in context.inputs
    outputs["secretArn"] = outputs["arn"]
    for name in ("secretString", "secretBinary"):
        if name not in context.inputs and ("secretStringWo" in context.inputs or name == "secretBinary"):
            outputs.pop(name, None)
    if "versionStages" not in context.inputs:
        outputs["versionStages"] = sorted(outputs.get("versionStages") or [])


ENTRIES = (
    Resource(
        "aws:secretsmanager/secret:Secret",
        "secretsmanager",
        create=Call("create_secret", {}, ("name", "description", "kmsKeyId", "forceOverwriteReplicaSecret", "type")),
        id="ARN",
        reads=(
            Read("describe_secret", {"SecretId": "{id}"}, "[@][?!DeletedDate] | [0]", outputs={"arn": "ARN"}),
            Read("get_resource_policy", {"SecretId": "{id}"}, outputs={"policy": "ResourcePolicy"}, only=()),
        ),
        update=(Call("update_secret", {"SecretId": "{id}"}, ("description", "kmsKeyId")),),
        settings=(
            Call(
                "put_resource_policy",
                {"SecretId": "{id}"},
                ("policy",),
                names={"policy": "ResourcePolicy"},
                clear=Call("delete_resource_policy", {"SecretId": "{id}"}, ()),
            ),
        ),
        delete=Do(_delete_secret),
        name="name",
        replaces=("name", "type"),
        documents=("policy",),
        arns=("kmsKeyId",),
        defaults={"forceOverwriteReplicaSecret": False, "recoveryWindowInDays": 30},
        local=("recoveryWindowInDays",),
        write_only=("forceOverwriteReplicaSecret",),
        unsupported=("namePrefix", "replicas"),
        verify=_verify_secret,
        gone=GONE,
    ),
    Resource(
        "aws:secretsmanager/secretVersion:SecretVersion",
        "secretsmanager",
        create=Do(_put_value, (*VALUES, "secretId", "versionStages", "secretStringWoVersion")),
        id="join('|', [ARN, VersionId])",
        imports="{secretId}|{versionId}",
        reads=(
            Read("get_secret_value", {"SecretId": "{secretId}", "VersionId": "{versionId}"}, outputs={"arn": "ARN"}),
        ),
        update=(Do(_move_stages, ("versionStages",)),),
        delete=Do(_delete_version),
        replaces=("secretId", "secretString", "secretBinary", "secretStringWoVersion"),
        sets=("versionStages",),
        write_only=("secretStringWo", "secretStringWoVersion"),
        refine=_refine_version,
        verify=_verify_version,
        gone=(*GONE, "InvalidRequestException"),
    ),
    Resource(
        "aws:secretsmanager/secretPolicy:SecretPolicy",
        "secretsmanager",
        create=Call("put_resource_policy"),
        id="{secretArn}",
        reads=(Read("get_resource_policy", {"SecretId": "{id}"}, "[@][?ResourcePolicy] | [0]"),),
        update=(Call("put_resource_policy", {}, ("secretArn", "policy", "blockPublicPolicy"), whole=True),),
        delete=Call("delete_resource_policy", {"SecretId": "{id}"}, ()),
        names={"secretArn": "SecretId", "policy": "ResourcePolicy"},
        replaces=("secretArn",),
        documents=("policy",),
        write_only=("blockPublicPolicy",),
        gone=GONE,
    ),
    Resource(
        "aws:secretsmanager/secretRotation:SecretRotation",
        "secretsmanager",
        create=Call("rotate_secret"),
        id="ARN",
        reads=(
            Read(
                "describe_secret",
                {"SecretId": "{id}"},
                "[@][?!DeletedDate] | [0]",
                outputs={"secretId": "ARN", "rotationLambdaArn": "RotationLambdaARN"},
            ),
        ),
        update=(
            Call(
                "rotate_secret", {}, ("secretId", "rotationLambdaArn", "rotationRules", "rotateImmediately"), whole=True
            ),
        ),
        delete=Call("cancel_rotate_secret", {"SecretId": "{id}"}, ()),
        replaces=("secretId",),
        arns=("secretId",),
        defaults={"rotateImmediately": True},
        write_only=("rotateImmediately",),
        unsupported=("externalSecretRotationMetadatas", "externalSecretRotationRoleArn", "rotationEnabled"),
        refine=_refine_rotation,
        verify=_verify_rotation,
        gone=GONE,
        tagging=Tagging(),
    ),
)
