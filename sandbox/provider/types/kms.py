"""KMS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource

if TYPE_CHECKING:
    from sandbox.provider.resource import Context

GONE = ("NotFoundException", "NotFound", "KMSInvalidStateException")


def _enabled(context: Context) -> None:
    operation = "disable_key" if context.inputs.get("isEnabled") is False else "enable_key"
    context.call(operation, KeyId=context.id)


def _alias_name(name: str) -> str:
    return name if name.startswith("alias/") else f"alias/{name}"


def _target_arn(context: Context, outputs: dict[str, Any]) -> None:
    key = str(outputs.get("targetKeyId", "")).rpartition("/")[2]
    outputs["targetKeyArn"] = context.render("arn:{partition}:kms:{region}:{account}:key/") + key


KEY_POLICY = Call(
    "put_key_policy", {"PolicyName": "default"}, ("keyId", "policy", "bypassPolicyLockoutSafetyCheck"), whole=True
)


def _reset_policy(context: Context) -> None:
    """A key always has a policy: what is left is the one that KMS gives a key that is made without."""
    statement = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{context.cloud.partition}:iam::{context.cloud.account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    document = json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": [statement]})
    context.call("put_key_policy", KeyId=context.id, PolicyName="default", Policy=document)


ENTRIES = (
    Resource(
        "aws:kms/key:Key",
        "kms",
        create=Call("create_key"),
        id="KeyMetadata.KeyId",
        reads=(
            Read(
                "describe_key",
                {"KeyId": "{id}"},
                "[KeyMetadata][?KeyState != 'PendingDeletion'] | [0]",
            ),
            Read("get_key_policy", {"KeyId": "{id}", "PolicyName": "default"}),
            Read(
                "get_key_rotation_status",
                {"KeyId": "{id}"},
                outputs={"enableKeyRotation": "KeyRotationEnabled", "rotationPeriodInDays": "RotationPeriodInDays"},
                only=(),
                unset=("UnsupportedOperationException",),
            ),
        ),
        update=(
            Call("update_key_description", {"KeyId": "{id}"}, ("description",)),
            Call(
                "put_key_policy",
                {"KeyId": "{id}", "PolicyName": "default"},
                ("policy", "bypassPolicyLockoutSafetyCheck"),
                whole=True,
            ),
        ),
        settings=(
            Call(
                "enable_key_rotation",
                {"KeyId": "{id}"},
                ("enableKeyRotation", "rotationPeriodInDays"),
                names={"enableKeyRotation": ""},
                clear=Call("disable_key_rotation", {"KeyId": "{id}"}, ()),
                whole=True,
            ),
            Do(_enabled, ("isEnabled",)),
        ),
        delete=Call("schedule_key_deletion", {"KeyId": "{id}", "PendingWindowInDays": "{deletionWindowInDays}"}, ()),
        names={
            "customerMasterKeySpec": "KeySpec",
            "isEnabled": "Enabled",
            "bypassPolicyLockoutSafetyCheck": "BypassPolicyLockoutSafetyCheck",
        },
        replaces=("customerMasterKeySpec", "keyUsage", "customKeyStoreId", "multiRegion", "xksKeyId"),
        documents=("policy",),
        defaults={
            "bypassPolicyLockoutSafetyCheck": False,
            "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "enableKeyRotation": False,
            "isEnabled": True,
            "keyUsage": "ENCRYPT_DECRYPT",
        },
        initial={"enableKeyRotation": False, "isEnabled": True},
        ranges={"deletionWindowInDays": (7, 30), "rotationPeriodInDays": (90, 2560)},
        local=("deletionWindowInDays",),
        write_only=("bypassPolicyLockoutSafetyCheck",),
        gone=GONE,
    ),
    Resource(
        "aws:kms/alias:Alias",
        "kms",
        create=Call("create_alias"),
        id="{name}",
        reads=(
            Read(
                "list_aliases",
                {},
                "Aliases[?AliasName=='{id}'] | [0]",
                outputs={"arn": "AliasArn", "name": "AliasName", "targetKeyId": "TargetKeyId"},
            ),
        ),
        update=(Call("update_alias", {"AliasName": "{id}"}, ("targetKeyId",)),),
        delete=Call("delete_alias", {"AliasName": "{id}"}, ()),
        names={"name": "AliasName"},
        name="name",
        named=_alias_name,
        replaces=("name",),
        arns=("targetKeyId",),
        unsupported=("namePrefix",),
        refine=_target_arn,
        gone=GONE,
    ),
    Resource(
        "aws:kms/keyPolicy:KeyPolicy",
        "kms",
        create=KEY_POLICY,
        id="{keyId}",
        imports="{keyId}",
        reads=(Read("get_key_policy", {"KeyId": "{keyId}", "PolicyName": "default"}, only=("policy",)),),
        update=(KEY_POLICY,),
        delete=Do(_reset_policy),
        replaces=("keyId",),
        documents=("policy",),
        defaults={"bypassPolicyLockoutSafetyCheck": False},
        write_only=("bypassPolicyLockoutSafetyCheck",),
        gone=GONE,
    ),
)
