"""The trail: who did what in the account, kept where nobody can change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudtrail

from account.bucket import Bucket, BucketArgs
from components.key import KeyUser

if TYPE_CHECKING:
    from account.bucket import Lock
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class TrailArgs:
    """What is recorded, beside every call that changes or reads how the account is set up.

    Attributes:
        names: The account's names.
        lock: How long no record can be deleted.
    """

    names: Names
    lock: Lock


class Trail(pulumi.ComponentResource):
    """Every region's calls, in a locked bucket, with digests by which a missing or changed file is found.

    Attributes:
        arn: The trail.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TrailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Trail", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.names
        arn = names.arn("cloudtrail", f"trail/{names.of_account('trail')}")
        bucket = Bucket(
            name,
            BucketArgs(
                names=names,
                purpose="trail",
                description=f"Who did what in account {names.account}",
                statements=_delivery(names, arn),
                key_users=_key_users(names, arn),
                lock=args.lock,
            ),
            opts=child,
        )
        trail = cloudtrail.Trail(
            name,
            name=names.of_account("trail"),
            s3_bucket_name=bucket.name,
            kms_key_id=bucket.key_arn,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            enable_logging=True,
            event_selectors=[
                cloudtrail.TrailEventSelectorArgs(
                    read_write_type="All",
                    include_management_events=True,
                    # Who wrote into the ledger, and who tried.
                    data_resources=[
                        cloudtrail.TrailEventSelectorDataResourceArgs(
                            type="AWS::S3::Object", values=[f"{names.bucket_arn('ledger')}/"]
                        )
                    ],
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(bucket.ready)),
        )
        self.arn = trail.arn
        self.register_outputs({"arn": self.arn})


def _delivery(names: Names, trail: str) -> tuple[dict[str, object], ...]:
    """Let CloudTrail deliver for this one trail: without the source, any account's trail could.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
    """
    service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    source = {"aws:SourceArn": trail}
    return (
        {
            **service,
            "Sid": "TrailLooks",
            "Action": "s3:GetBucketAcl",
            "Resource": names.bucket_arn("trail"),
            "Condition": {"StringEquals": source},
        },
        {
            **service,
            "Sid": "TrailDelivers",
            "Action": "s3:PutObject",
            "Resource": names.bucket_arn("trail", f"AWSLogs/{names.account}/*"),
            "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", **source}},
        },
    )


def _key_users(names: Names, trail: str) -> tuple[KeyUser, ...]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html ."""
    source = {"aws:SourceArn": trail}
    every = f"arn:{names.partition}:cloudtrail:*:{names.account}:trail/*"
    return (
        KeyUser(
            sid="TrailEncrypts",
            service="cloudtrail.amazonaws.com",
            actions=("kms:GenerateDataKey*",),
            conditions={
                "StringEquals": source,
                "StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": every},
            },
        ),
        KeyUser(
            sid="TrailLooks",
            service="cloudtrail.amazonaws.com",
            actions=("kms:DescribeKey",),
            conditions={"StringEquals": source},
        ),
    )
