"""A customer key with an alias, by which permissions name it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import kms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from naming import Names


@dataclass(frozen=True, kw_only=True)
class KeyUser:
    """A service of AWS that uses a key in its own name, so that the key's policy must admit it.

    Attributes:
        sid: Names the statement in a diff.
        service: The service, such as `cloudwatch.amazonaws.com`.
        actions: KMS actions.
        conditions: For whom and for what.
    """

    sid: str
    service: str
    actions: Sequence[str]
    conditions: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class KeyArgs:
    """What a key protects, and which services use it.

    Attributes:
        names: The stack's names.
        thing: The key's name within the stack; its alias is `alias/product-api-<stack>-<thing>`.
        description: What it protects.
        users: Services that use it in their own name.
        outlives: Whether it stays when the stack goes, because what it encrypts does.
    """

    names: Names
    thing: str
    description: str
    users: Sequence[KeyUser] = ()
    outlives: bool = False


class Key(pulumi.ComponentResource):
    """A key that rotates every year; who may use it, IAM policies of the account say.

    Attributes:
        arn: The key's ARN.
        id: The key's id.
    """

    arn: pulumi.Output[str]
    id: pulumi.Output[str]

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Key", name, None, opts)
        key = kms.Key(
            name,
            description=args.description,
            enable_key_rotation=True,
            deletion_window_in_days=30 if args.outlives else 7,
            policy=json.dumps(_policy(args)),
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.outlives),
        )
        kms.Alias(
            name,
            name=f"alias/{args.names.name(args.thing)}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = key.arn
        self.id = key.key_id
        self.register_outputs({"arn": self.arn})


def operations_key(names: Names) -> KeyArgs:
    """The key of what a stack writes about itself: logs, notifications, dead letters."""
    own_account = {"StringEquals": {"aws:SourceAccount": names.account}}
    return KeyArgs(
        names=names,
        thing="operations",
        description=f"Logs, notifications and dead letters of {names.project} {names.stack}",
        users=(
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
            KeyUser(
                sid="Logs",
                service=f"logs.{names.region}.amazonaws.com",
                actions=("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"),
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}},
            ),
            # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
            *(
                KeyUser(
                    sid=sid,
                    service=f"{service}.amazonaws.com",
                    actions=("kms:Decrypt", "kms:GenerateDataKey*"),
                    conditions=own_account,
                )
                for sid, service in (("Alarms", "cloudwatch"), ("Budgets", "budgets"))
            ),
        ),
    )


def _policy(args: KeyArgs) -> dict[str, object]:
    """Leave access to IAM policies of the key's own account, as AWS's default key policy does, and admit services."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AccountAdministers",
                "Effect": "Allow",
                "Principal": {"AWS": args.names.account_root},
                "Action": "kms:*",
                "Resource": "*",
            },
            *(
                {
                    "Sid": user.sid,
                    "Effect": "Allow",
                    "Principal": {"Service": user.service},
                    "Action": list(user.actions),
                    "Resource": "*",
                    "Condition": {operator: dict(keys) for operator, keys in user.conditions.items()},
                }
                for user in args.users
            ),
        ],
    }
