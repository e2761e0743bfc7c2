"""A bucket of the account: private, encrypted under a key of its own, versioned, reached over TLS only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pulumi
from pulumi_aws import s3

from components.key import Key, KeyArgs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.key import KeyUser
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class Lock:
    """How long an object cannot be deleted, from when it was written.

    Attributes:
        mode: COMPLIANCE binds everybody, AWS included; GOVERNANCE all but who may bypass it.
        days: How long.
    """

    mode: Literal["COMPLIANCE", "GOVERNANCE"]
    days: int


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """What a bucket is for.

    Attributes:
        names: The account's names.
        purpose: What it keeps: `trail`, `ledger` or `artifacts`.
        description: The same, as people read it.
        statements: What its policy says beside "TLS only".
        key_users: Services that write into it in their own name.
        lock: How long objects cannot be deleted; None where they can.
    """

    names: Names
    purpose: str
    description: str
    statements: Sequence[Mapping[str, Any]] = ()
    key_users: Sequence[KeyUser] = ()
    lock: Lock | None = None


class Bucket(pulumi.ComponentResource):
    """A bucket with everything that a bucket needs to be safe; protected, for what is in it exists nowhere else.

    A locked one stays when the program's stack goes: it could not be emptied. Its key stays with it.

    Attributes:
        name: The bucket.
        key_arn: The key that encrypts it.
        ready: What must be there before anybody writes.
    """

    name: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    ready: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Bucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=args.lock is not None)
        key = Key(
            name,
            KeyArgs(
                names=args.names,
                thing=args.purpose,
                description=args.description,
                users=args.key_users,
                outlives=args.lock is not None,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        bucket = s3.Bucket(
            name,
            bucket=args.names.bucket(args.purpose),
            object_lock_enabled=args.lock is not None,
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(protect=True)),
        )
        versioning = s3.BucketVersioning(
            name,
            bucket=bucket.bucket,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        encryption = s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="aws:kms", kms_master_key_id=key.arn
                    ),
                    bucket_key_enabled=True,
                )
            ],
            opts=child,
        )
        private = s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        # No object is anybody's but the account's, whoever wrote it.
        owned = s3.BucketOwnershipControls(
            name,
            bucket=bucket.bucket,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        policy = s3.BucketPolicy(
            name,
            bucket=bucket.bucket,
            policy=json.dumps(_policy(args)),
            # S3 refuses two changes of a bucket's access at the same time.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[private, owned])),
        )
        self.ready = [encryption, policy]
        if args.lock:
            self.ready = [
                *self.ready,
                s3.BucketObjectLockConfiguration(
                    name,
                    bucket=bucket.bucket,
                    rule=s3.BucketObjectLockConfigurationRuleArgs(
                        default_retention=s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                            mode=args.lock.mode, days=args.lock.days
                        )
                    ),
                    opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[versioning])),
                ),
            ]
        self.name, self.key_arn = bucket.bucket, key.arn
        self.register_outputs({"name": self.name})


def _policy(args: BucketArgs) -> dict[str, object]:
    own, objects = args.names.bucket_arn(args.purpose), args.names.bucket_arn(args.purpose, "*")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [own, objects],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            *args.statements,
        ],
    }
