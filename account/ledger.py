"""The ledger: approvals of releases and records of updates, written once and never changed.

`components/release_driver.py` has the keys: `entries/<stack>/…` and `approvals/<stack>/<code>/<who>.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from account.bucket import Bucket, BucketArgs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from account.bucket import Lock
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class LedgerArgs:
    """Who approves, and how long that is kept.

    Attributes:
        names: The account's names.
        approvers: Who can approve; each writes by a role of their own.
        lock: How long no record can be deleted.
    """

    names: Names
    approvers: Sequence[str]
    lock: Lock


class Ledger(pulumi.ComponentResource):
    """A bucket to which one can only append.

    Attributes:
        name: The bucket.
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: LedgerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Ledger", name, None, opts)
        bucket = Bucket(
            name,
            BucketArgs(
                names=args.names,
                purpose="ledger",
                description=f"Approvals and records of {args.names.project} in account {args.names.account}",
                statements=append_only(args.names, args.approvers),
                lock=args.lock,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = bucket.name
        self.register_outputs({"name": self.name})


def append_only(names: Names, approvers: Sequence[str]) -> tuple[dict[str, object], ...]:
    """Deny, whoever asks, what would change a record, and an approval by any role but the approver's own.

    The lock alone does not do: under it a version cannot be deleted, but a new one, or a marker that hides it, can be
    put above it.
    """
    objects = names.bucket_arn("ledger", "*")
    deny: dict[str, object] = {"Effect": "Deny", "Principal": "*"}
    roles = [names.iam(f"role/{names.approver_role(who)}") for who in approvers]
    return (
        {
            **deny,
            "Sid": "NeverDeleted",
            "Action": [
                "s3:BypassGovernanceRetention",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:PutObjectLegalHold",
                "s3:PutObjectRetention",
            ],
            "Resource": objects,
        },
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
        {
            **deny,
            "Sid": "NeverWrittenOver",
            "Action": "s3:PutObject",
            "Resource": objects,
            "Condition": {
                "Null": {"s3:if-none-match": "true"},
                "Bool": {"s3:ObjectCreationOperation": "true"},
            },
        },
        {
            **deny,
            "Sid": "ApprovedByApprovers",
            "Action": "s3:PutObject",
            "Resource": names.bucket_arn("ledger", "approvals/*"),
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": roles}},
        },
        *(
            {
                **deny,
                "Sid": f"ApprovedBy{who.capitalize()}",
                "Action": "s3:PutObject",
                "Resource": names.bucket_arn("ledger", f"approvals/*/{who}.json"),
                "Condition": {"ArnNotEquals": {"aws:PrincipalArn": role}},
            }
            for who, role in zip(approvers, roles, strict=True)
        ),
    )
