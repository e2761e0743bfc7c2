"""Buckets that guard what is in them, trails that write to them, and identity providers."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.cloud.harness import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud

LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


def bucket(cloud: Cloud, name: str, **options: Any) -> Any:
    """Make a bucket; return a client."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}, **options)
    return s3


def put_policy(s3: Any, name: str, *statements: dict[str, Any]) -> None:
    """Put a bucket's policy."""
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """Return code and status of an error."""
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_version_in_compliance_mode_cannot_be_deleted_by_anybody(cloud: Cloud) -> None:
    """Not even by the root with the permission to bypass; a delete without a version only marks."""
    s3 = bucket(cloud, "compliance", ObjectLockEnabledForBucket=True)
    made = s3.put_object(
        Bucket="compliance", Key="a", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=LATER
    )
    for bypass in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError) as error:
            s3.delete_object(Bucket="compliance", Key="a", VersionId=made["VersionId"], **bypass)
        assert refused(error) == ("AccessDenied", 403)
    with pytest.raises(ClientError) as error:
        s3.put_object_retention(
            Bucket="compliance",
            Key="a",
            Retention={"Mode": "COMPLIANCE", "RetainUntilDate": LATER - dt.timedelta(hours=1)},
            BypassGovernanceRetention=True,
        )
    assert refused(error) == ("AccessDenied", 403)
    assert s3.delete_object(Bucket="compliance", Key="a")["DeleteMarker"] is True
    read = s3.get_object(Bucket="compliance", Key="a", VersionId=made["VersionId"])
    assert read["Body"].read() == b"x"


def test_a_version_in_governance_mode_needs_the_bypass_and_its_permission(cloud: Cloud) -> None:
    """The default retention of the bucket is what every new object gets."""
    s3 = bucket(cloud, "governance", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket="governance", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    version = s3.put_object(Bucket="governance", Key="a", Body=b"x")["VersionId"]
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket="governance", Key="a", VersionId=version)
    assert refused(error) == ("AccessDenied", 403)
    may = {"Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"], "Resource": "arn:aws:s3:::governance/*"}
    writer = cloud.acting_as(cloud.role("deleter", may), "s3")
    with pytest.raises(ClientError) as error:
        writer.delete_object(Bucket="governance", Key="a", VersionId=version, BypassGovernanceRetention=True)
    assert refused(error) == ("AccessDenied", 403)
    s3.delete_object(Bucket="governance", Key="a", VersionId=version, BypassGovernanceRetention=True)


def test_versioning_of_a_locked_bucket_stays_on(cloud: Cloud) -> None:
    """Suspending it would let objects be overwritten."""
    s3 = bucket(cloud, "locked", ObjectLockEnabledForBucket=True)
    with pytest.raises(ClientError) as error:
        s3.put_bucket_versioning(Bucket="locked", VersioningConfiguration={"Status": "Suspended"})
    assert refused(error) == ("InvalidBucketState", 409)
    assert s3.get_bucket_versioning(Bucket="locked")["Status"] == "Enabled"


def test_a_conditional_write_is_made_once(cloud: Cloud) -> None:
    """`If-None-Match: *` when there is one already, and `If-Match` on an older one, are 412."""
    s3 = bucket(cloud, "ledger")
    first = s3.put_object(Bucket="ledger", Key="a", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="ledger", Key="a", Body=b"2", IfNoneMatch="*")
    assert refused(error) == ("PreconditionFailed", 412)
    s3.put_object(Bucket="ledger", Key="a", Body=b"2", IfMatch=first["ETag"])
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="ledger", Key="a", Body=b"3", IfMatch=first["ETag"])
    assert refused(error) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="ledger", Key="b", Body=b"3", IfMatch=first["ETag"])
    assert refused(error) == ("NoSuchKey", 404)


def test_a_buckets_policy_denies_roles_and_root_alike(cloud: Cloud) -> None:
    """But the root may always mend the policy; what it allows, it allows the roles that it names."""
    s3 = bucket(cloud, "guarded")
    role = cloud.role("guard-reader")
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": role},
        "Action": ["s3:PutObject", "s3:DeleteObject"],
        "Resource": "arn:aws:s3:::guarded/*",
    }
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::guarded/*"}
    put_policy(s3, "guarded", allow, deny)
    as_role = cloud.acting_as(role, "s3")
    as_role.put_object(Bucket="guarded", Key="a", Body=b"x")
    for client in (as_role, s3):
        with pytest.raises(ClientError) as error:
            client.delete_object(Bucket="guarded", Key="a")
        assert refused(error) == ("AccessDenied", 403)
    with pytest.raises(ClientError) as error:
        s3.delete_objects(Bucket="guarded", Delete={"Objects": [{"Key": "b"}, {"Key": "a"}]})
    assert refused(error) == ("AccessDenied", 403)
    put_policy(
        s3, "guarded", {**deny, "Action": "s3:*", "Resource": ["arn:aws:s3:::guarded", "arn:aws:s3:::guarded/*"]}
    )
    with pytest.raises(ClientError):
        s3.list_objects_v2(Bucket="guarded")
    s3.delete_bucket_policy(Bucket="guarded")
    s3.delete_object(Bucket="guarded", Key="a")


def test_a_policy_against_plain_http_lets_the_sandbox_in(cloud: Cloud) -> None:
    """Requests on loopback count as made over TLS: nearly every bucket denies others."""
    s3 = bucket(cloud, "tls-only")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    put_policy(s3, "tls-only", deny)
    role = cloud.role("tls-writer", {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::tls-only/*"})
    for client in (s3, cloud.acting_as(role, "s3")):
        client.put_object(Bucket="tls-only", Key="a", Body=b"x")
    put_policy(s3, "tls-only", {**deny, "Condition": {"Bool": {"aws:SecureTransport": "true"}}})
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="tls-only", Key="a", Body=b"x")
    assert refused(error) == ("AccessDenied", 403)


def test_lifecycle_rules_are_kept_whole(cloud: Cloud) -> None:
    """Members that nothing here acts on included."""
    s3 = bucket(cloud, "old")
    rule = {
        "ID": "versions",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    s3.put_bucket_lifecycle_configuration(
        Bucket="old",
        LifecycleConfiguration={"Rules": [rule]},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )
    read = s3.get_bucket_lifecycle_configuration(Bucket="old")
    assert read["Rules"] == [rule]
    assert read["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    s3.delete_bucket_lifecycle(Bucket="old")
    with pytest.raises(ClientError) as error:
        s3.get_bucket_lifecycle_configuration(Bucket="old")
    assert refused(error) == ("NoSuchLifecycleConfiguration", 404)


def test_a_trail_needs_a_bucket_that_lets_it_write(cloud: Cloud) -> None:
    """Without the bucket, and without its policy, CreateTrail is refused."""
    trails = cloud.client("cloudtrail")
    with pytest.raises(trails.exceptions.S3BucketDoesNotExistException):
        trails.create_trail(Name="trail", S3BucketName="trail-bucket")
    s3 = bucket(cloud, "trail-bucket")
    with pytest.raises(trails.exceptions.InsufficientS3BucketPolicyException):
        trails.create_trail(Name="trail", S3BucketName="trail-bucket")
    principal = {"Service": "cloudtrail.amazonaws.com"}
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/trail"
    look = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": "s3:GetBucketAcl",
        "Resource": "arn:aws:s3:::trail-bucket",
        "Condition": {"StringEquals": {"aws:SourceArn": arn}},
    }
    write = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::trail-bucket/AWSLogs/{ACCOUNT}/*",
        "Condition": {"StringEquals": {"aws:SourceArn": arn, "s3:x-amz-acl": "bucket-owner-full-control"}},
    }
    put_policy(s3, "trail-bucket", look, {**write, "Resource": "arn:aws:s3:::trail-bucket/other/*"})
    with pytest.raises(trails.exceptions.InsufficientS3BucketPolicyException):
        trails.create_trail(Name="trail", S3BucketName="trail-bucket")
    put_policy(s3, "trail-bucket", look, write)
    group = {"CloudWatchLogsLogGroupArn": "arn:group", "CloudWatchLogsRoleArn": "arn:role"}
    made = trails.create_trail(
        Name="trail", S3BucketName="trail-bucket", TagsList=[{"Key": "a", "Value": "b"}], **group
    )
    assert made["TrailARN"] == arn
    read = trails.get_trail(Name="trail")["Trail"]
    assert {name: read[name] for name in group} == group
    (tagged,) = trails.list_tags(ResourceIdList=[arn])["ResourceTagList"]
    assert tagged["TagsList"] == [{"Key": "a", "Value": "b"}]
    assert trails.get_trail_status(Name="trail")["IsLogging"] is False


def test_an_identity_providers_clients_thumbprints_and_tags_change(cloud: Cloud) -> None:
    """Without making it anew: roles trust its ARN."""
    iam = cloud.client("iam")
    arn = iam.create_open_id_connect_provider(Url="https://id.example.org", ClientIDList=["one"])[
        "OpenIDConnectProviderArn"
    ]
    which = {"OpenIDConnectProviderArn": arn}
    iam.add_client_id_to_open_id_connect_provider(ClientID="two", **which)
    iam.remove_client_id_from_open_id_connect_provider(ClientID="one", **which)
    iam.update_open_id_connect_provider_thumbprint(ThumbprintList=["a" * 40], **which)
    iam.tag_open_id_connect_provider(Tags=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}], **which)
    iam.untag_open_id_connect_provider(TagKeys=["c"], **which)
    read = iam.get_open_id_connect_provider(**which)
    assert (read["ClientIDList"], read["ThumbprintList"]) == (["two"], ["a" * 40])
    assert iam.list_open_id_connect_provider_tags(**which)["Tags"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=f"{arn}x", ClientID="two")


def test_a_bucket_can_demand_conditional_writes(cloud: Cloud) -> None:
    """`s3:if-none-match` and `s3:ObjectCreationOperation`, by which what is written once stays."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="written-once", CreateBucketConfiguration={"LocationConstraint": REGION})
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::written-once/*",
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket="written-once", Policy=policy)
    where = {"Bucket": "written-once", "Key": "record"}
    with pytest.raises(ClientError, match="explicit deny"):
        s3.put_object(**where, Body=b"first")
    s3.put_object(**where, Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(**where, Body=b"second", IfNoneMatch="*")
    upload = s3.create_multipart_upload(Bucket="written-once", Key="large")["UploadId"]
    part = s3.upload_part(Bucket="written-once", Key="large", UploadId=upload, PartNumber=1, Body=b"part")
    assert part["ETag"]
