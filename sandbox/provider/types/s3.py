"""S3."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sandbox.provider import mapping
from sandbox.provider.resource import ResourceError
from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("404", "NoSuchBucket", "NotFound")
UNSET = ("NoSuchTagSet", "NoSuchTagSetError")
UNLOCKED = ("ObjectLockConfigurationNotFoundError",)
STORAGE_CLASSES = ("GLACIER", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR")
ZONES = {  # of the website endpoints, for alias records
    "eu-central-1": "Z21DNDUVLTQW6Q",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "eu-west-2": "Z3GKZC51ZF0DB4",
    "eu-west-3": "Z3R1K369G5AVDG",
    "eu-north-1": "Z3BAZG2TWCNX0D",
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
}


def _create_bucket(context: Context) -> Any:
    params = context.parameters(CREATE)
    if context.region != "us-east-1":
        params["CreateBucketConfiguration"] = {"LocationConstraint": context.region}
    return context.call("create_bucket", **params)


def _put_bucket_tags(context: Context) -> None:
    """S3 takes all the tags at once."""
    tags = context.inputs.get("tagsAll") or {}
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        context.call("put_bucket_tagging", Bucket=context.id, Tagging={"TagSet": pairs})
    else:
        context.call("delete_bucket_tagging", Bucket=context.id)


def _delete_bucket(context: Context) -> None:
    """Delete a bucket, emptied first where the program says so; what is locked for good stays, and so does the bucket.

    Raises:
        ResourceError: an object cannot be deleted.
    """
    if context.state.get("forceDestroy"):
        bypass: dict[str, Any] = {"BypassGovernanceRetention": True} if _locks(context) else {}
        client = context.cloud.client("s3", context.region)
        for page in client.get_paginator("list_object_versions").paginate(Bucket=context.id):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            if objects:
                wanted = {"Objects": objects, "Quiet": True}
                answer = context.call("delete_objects", Bucket=context.id, Delete=wanted, **bypass)
                for error in answer.get("Errors", []):
                    raise ResourceError(
                        f"{context.entry.token} {context.id!r}: DeleteObjects failed for {error['Key']!r}: "
                        f"{error['Code']}: {error['Message']}"
                    )
    context.call("delete_bucket", Bucket=context.id)


def _locks(context: Context) -> bool:
    """Whether object lock is enabled for the bucket."""
    from botocore.exceptions import ClientError

    try:
        context.call("get_object_lock_configuration", Bucket=context.id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in UNLOCKED:
            raise
        return False
    return True


def _refine_bucket(context: Context, outputs: dict[str, Any]) -> None:
    versioning = context.call("get_bucket_versioning", Bucket=context.id)
    outputs["versioning"] = {
        "enabled": versioning.get("Status") == "Enabled",
        "mfaDelete": versioning.get("MFADelete") == "Enabled",
    }
    outputs["objectLockEnabled"] = _locks(context)
    outputs["hostedZoneId"] = ZONES.get(context.region, "")
    outputs["bucketRegion"] = context.region


CREATE = Call(
    "create_bucket",
    {},
    ("bucket", "objectLockEnabled"),
    names={"bucket": "Bucket", "objectLockEnabled": "ObjectLockEnabledForBucket"},
)

PUT_OBJECT = Call(
    "put_object",
    {},
    (
        "bucket",
        "key",
        "acl",
        "bucketKeyEnabled",
        "cacheControl",
        "checksumAlgorithm",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "contentType",
        "kmsKeyId",
        "metadata",
        "objectLockLegalHoldStatus",
        "objectLockMode",
        "objectLockRetainUntilDate",
        "serverSideEncryption",
        "storageClass",
        "websiteRedirect",
    ),
    names={"kmsKeyId": "SSEKMSKeyId", "websiteRedirect": "WebsiteRedirectLocation", "acl": "ACL"},
    whole=True,
)
CONTENT = ("source", "content", "contentBase64", "sourceHash", "etag")
OBJECT_NAMES = {"kmsKeyId": "SSEKMSKeyId", "websiteRedirect": "WebsiteRedirectLocation", "etag": "ETag"}


def _put_object(context: Context) -> Any:
    params = context.parameters(PUT_OBJECT)
    inputs = context.inputs
    if "source" in inputs:
        params["Body"] = inputs["source"].content()
    elif "contentBase64" in inputs:
        params["Body"] = base64.b64decode(inputs["contentBase64"])
    else:
        params["Body"] = inputs.get("content", "").encode()
    if inputs.get("tagsAll"):
        params["Tagging"] = urlencode(inputs["tagsAll"])
    return context.call("put_object", **params)


def _put_object_tags(context: Context) -> None:
    tags = [{"Key": key, "Value": value} for key, value in (context.inputs.get("tagsAll") or {}).items()]
    if not context.creating:
        context.call(
            "put_object_tagging", Bucket=context.scope("bucket"), Key=context.scope("key"), Tagging={"TagSet": tags}
        )


def _delete_object(context: Context) -> None:
    """Delete an object with all its versions."""
    bucket, key = context.scope("bucket"), context.scope("key")
    found = context.call("list_object_versions", Bucket=bucket, Prefix=key)
    for one in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        if one["Key"] == key:
            context.call("delete_object", Bucket=bucket, Key=key, VersionId=one["VersionId"])


def _refine_object(_context: Context, outputs: dict[str, Any]) -> None:
    if "etag" in outputs:
        outputs["etag"] = outputs["etag"].strip('"')
    outputs.setdefault("storageClass", "STANDARD")
    outputs.setdefault("bucketKeyEnabled", False)


def _verify_object(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    given = [name for name in ("source", "content", "contentBase64") if name in inputs]
    return (
        []
        if len(given) <= 1
        else [("source", f"give one of source, content and contentBase64; got {', '.join(given)}")]
    )


def _put_versioning(context: Context) -> None:
    """Versioning that never was on cannot be put: AWS knows no call for it."""
    if context.inputs["versioningConfiguration"].get("status") != "Disabled":
        context.call("put_bucket_versioning", **context.parameters(VERSIONING))


def _suspend_versioning(context: Context) -> None:
    """Suspend it, unless it never was on, or object lock holds it on: then it is only forgotten, as the provider does.

    Raises:
        botocore.exceptions.ClientError: other than that.
    """
    from botocore.exceptions import ClientError

    if (context.state.get("versioningConfiguration") or {}).get("status") != "Enabled":
        return
    try:
        context.call(
            "put_bucket_versioning", Bucket=context.scope("bucket"), VersioningConfiguration={"Status": "Suspended"}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidBucketState":
            raise


def _verify_lock(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    retention = (inputs.get("rule") or {}).get("defaultRetention") if isinstance(inputs.get("rule"), dict) else None
    if isinstance(retention, dict):
        given = [name for name in ("days", "years") if name in retention]
        if len(given) != 1:
            return [("rule.defaultRetention", f"give one of days and years; got {' and '.join(given) or 'neither'}")]
        if "mode" not in retention:
            return [("rule.defaultRetention.mode", "missing; GOVERNANCE or COMPLIANCE")]
    return []


def _put_lifecycle(context: Context) -> Any:
    """Put all rules; one without a filter is one for every object, and tags are pairs in the API."""
    params = context.parameters(LIFECYCLE)
    params["LifecycleConfiguration"] = {"Rules": [_rule_to_api(rule) for rule in context.inputs.get("rules") or []]}
    return context.call("put_bucket_lifecycle_configuration", **params)


def _rule_to_api(rule: Mapping[str, Any]) -> dict[str, Any]:
    shape = mapping.operation_model("s3", "put_bucket_lifecycle_configuration").input_shape
    member = shape.members["LifecycleConfiguration"].members["Rules"].member
    given = {name: value for name, value in rule.items() if not name.startswith("__")}
    both = (given.get("filter") or {}).get("and")
    if both and both.get("tags"):
        pairs = [{"key": key, "value": value} for key, value in both["tags"].items()]
        given["filter"] = {**given["filter"], "and": {**both, "tags": pairs}}
    written: dict[str, Any] = mapping.to_api(given, member, "rules", {})
    if "filter" not in given and "prefix" not in given:
        written["Filter"] = {"Prefix": ""}
    return written


def _refine_lifecycle(context: Context, outputs: dict[str, Any]) -> None:
    """Tags of a filter are a map here."""
    found = context.found or {}
    for rule, read in zip(outputs.get("rules") or [], found.get("Rules") or [], strict=False):
        both = (read.get("Filter") or {}).get("And") or {}
        if both.get("Tags"):
            rule["filter"]["and"]["tags"] = {tag["Key"]: tag["Value"] for tag in both["Tags"]}


def _forget_lock(context: Context) -> None:
    """Object lock cannot be taken off a bucket; what the program can give back is the default retention."""
    context.call(
        "put_object_lock_configuration",
        Bucket=context.scope("bucket"),
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"},
    )


VERSIONING = Call(
    "put_bucket_versioning", {}, ("bucket", "expectedBucketOwner", "mfa", "versioningConfiguration"), whole=True
)
LIFECYCLE = Call(
    "put_bucket_lifecycle_configuration",
    {},
    ("bucket", "expectedBucketOwner", "transitionDefaultMinimumObjectSize"),
    whole=True,
)
OF_BUCKET = {"Bucket": "{bucket}", "ExpectedBucketOwner": "{expectedBucketOwner}"}

BLOCK = Call(
    "put_public_access_block",
    {"AccountId": "{account}"},
    ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"),
    into="PublicAccessBlockConfiguration",
)


def _put_account_block(context: Context) -> None:
    """All of it at once, as S3 takes it."""
    context.call("put_public_access_block", **context.parameters(BLOCK))


def _refine_account_block(context: Context, outputs: dict[str, Any]) -> None:
    outputs["accountId"] = context.cloud.account


ENTRIES = (
    Resource(
        "aws:s3/bucket:Bucket",
        "s3",
        aliases=("aws:s3/bucketV2:BucketV2",),
        create=Do(_create_bucket, ("bucket", "objectLockEnabled"), CREATE),
        id="{bucket}",
        reads=(Read("head_bucket", {"Bucket": "{id}"}, only=()),),
        settings=(Do(_put_bucket_tags, ("tagsAll",)),),
        delete=Do(_delete_bucket),
        name="bucket",
        named=str.lower,
        replaces=("bucket", "objectLockEnabled"),
        defaults={"forceDestroy": False},
        initial={"tagsAll": {}},
        local=("forceDestroy",),
        unsupported=(
            "accelerationStatus",
            "acl",
            "bucketNamespace",
            "bucketPrefix",
            "corsRules",
            "grants",
            "lifecycleRules",
            "logging",
            "loggings",
            "objectLockConfiguration",
            "policy",
            "replicationConfiguration",
            "requestPayer",
            "serverSideEncryptionConfiguration",
            "serverSideEncryptionConfigurations",
            "versioning",
            "versionings",
            "website",
            "websites",
        ),
        outputs={
            "arn": "arn:{partition}:s3:::{id}",
            "bucketDomainName": "{id}.s3.amazonaws.com",
            "bucketRegionalDomainName": "{id}.s3.{region}.amazonaws.com",
        },
        refine=_refine_bucket,
        gone=GONE,
        tagging=Tagging(read=Read("get_bucket_tagging", {"Bucket": "{id}"}, "TagSet", unset=UNSET)),
    ),
    Resource(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "s3",
        create=(
            put_block := Call(
                "put_public_access_block",
                {"Bucket": "{bucket}"},
                ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"),
                into="PublicAccessBlockConfiguration",
                whole=True,
            )
        ),
        id="{bucket}",
        reads=(Read("get_public_access_block", {"Bucket": "{bucket}"}, "PublicAccessBlockConfiguration"),),
        update=(put_block,),
        delete=Call("delete_public_access_block", {"Bucket": "{bucket}"}, ()),
        names={"bucket": ""},
        replaces=("bucket",),
        defaults={
            "blockPublicAcls": False,
            "blockPublicPolicy": False,
            "ignorePublicAcls": False,
            "restrictPublicBuckets": False,
        },
        local=("skipDestroy",),
        gone=(*GONE, "NoSuchPublicAccessBlockConfiguration"),
    ),
    Resource(
        "aws:s3/bucketVersioning:BucketVersioning",
        "s3",
        aliases=("aws:s3/bucketVersioningV2:BucketVersioningV2",),
        create=Do(_put_versioning, VERSIONING.carries or (), VERSIONING),
        id="{bucket}",
        reads=(
            Read(
                "get_bucket_versioning",
                OF_BUCKET,
                outputs={"versioningConfiguration": "{Status: Status || 'Disabled', MFADelete: MFADelete}"},
                only=(),
            ),
        ),
        update=(Do(_put_versioning, ("versioningConfiguration", "mfa")),),
        delete=Do(_suspend_versioning),
        replaces=("bucket", "expectedBucketOwner"),
        allowed={"versioningConfiguration.status": ("Enabled", "Suspended", "Disabled")},
        write_only=("mfa",),
        gone=GONE,
    ),
    Resource(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "s3",
        aliases=("aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",),
        create=(
            put_encryption := Call("put_bucket_encryption", {}, ("bucket", "expectedBucketOwner", "rules"), whole=True)
        ),
        id="{bucket}",
        reads=(Read("get_bucket_encryption", OF_BUCKET, "ServerSideEncryptionConfiguration"),),
        update=(put_encryption,),
        delete=Call("delete_bucket_encryption", OF_BUCKET, ()),
        names={"rules": "ServerSideEncryptionConfiguration.Rules"},
        replaces=("bucket", "expectedBucketOwner"),
        sets=("rules",),
        arns=("rules.applyServerSideEncryptionByDefault.kmsMasterKeyId",),
        gone=(*GONE, "ServerSideEncryptionConfigurationNotFoundError"),
    ),
    Resource(
        "aws:s3/bucketPolicy:BucketPolicy",
        "s3",
        create=(put_policy := Call("put_bucket_policy", {}, ("bucket", "policy"), whole=True)),
        id="{bucket}",
        reads=(Read("get_bucket_policy", {"Bucket": "{bucket}"}),),
        update=(put_policy,),
        delete=Call("delete_bucket_policy", {"Bucket": "{bucket}"}, ()),
        replaces=("bucket",),
        documents=("policy",),
        gone=(*GONE, "NoSuchBucketPolicy"),
    ),
    Resource(
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        "s3",
        aliases=("aws:s3/bucketObjectLockConfigurationV2:BucketObjectLockConfigurationV2",),
        create=(
            put_lock := Call(
                "put_object_lock_configuration",
                {},
                ("bucket", "expectedBucketOwner", "objectLockEnabled", "rule", "token"),
                names={
                    "objectLockEnabled": "ObjectLockConfiguration.ObjectLockEnabled",
                    "rule": "ObjectLockConfiguration.Rule",
                },
                whole=True,
            )
        ),
        id="{bucket}",
        reads=(Read("get_object_lock_configuration", OF_BUCKET, "ObjectLockConfiguration"),),
        update=(put_lock,),
        delete=Do(_forget_lock),
        replaces=("bucket", "expectedBucketOwner", "objectLockEnabled"),
        defaults={"objectLockEnabled": "Enabled"},
        write_only=("token",),
        verify=_verify_lock,
        gone=(*GONE, *UNLOCKED),
    ),
    Resource(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "s3",
        create=(
            put_ownership := Call(
                "put_bucket_ownership_controls", {}, ("bucket", "rule"), names={"rule": "OwnershipControls.Rules"}
            )
        ),
        id="{bucket}",
        reads=(
            Read("get_bucket_ownership_controls", {"Bucket": "{bucket}"}, outputs={"rule": "OwnershipControls.Rules"}),
        ),
        update=(put_ownership,),
        delete=Call("delete_bucket_ownership_controls", {"Bucket": "{bucket}"}, ()),
        replaces=("bucket",),
        gone=(*GONE, "OwnershipControlsNotFoundError"),
    ),
    Resource(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "s3",
        aliases=("aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2",),
        create=Do(_put_lifecycle, ("rules", *(LIFECYCLE.carries or ())), LIFECYCLE),
        id="{bucket}",
        reads=(Read("get_bucket_lifecycle_configuration", OF_BUCKET),),
        update=(Do(_put_lifecycle, ("rules", "transitionDefaultMinimumObjectSize"), LIFECYCLE),),
        delete=Call("delete_bucket_lifecycle", OF_BUCKET, ()),
        replaces=("bucket", "expectedBucketOwner"),
        allowed={"rules.status": ("Enabled", "Disabled"), "rules.transitions.storageClass": STORAGE_CLASSES},
        local=("timeouts",),
        refine=_refine_lifecycle,
        gone=(*GONE, "NoSuchLifecycleConfiguration"),
    ),
    Resource(
        "aws:s3/bucketLogging:BucketLogging",
        "s3",
        aliases=("aws:s3/bucketLoggingV2:BucketLoggingV2",),
        create=(
            put_logging := Call(
                "put_bucket_logging",
                {},
                (
                    "bucket",
                    "expectedBucketOwner",
                    "targetBucket",
                    "targetPrefix",
                    "targetGrants",
                    "targetObjectKeyFormat",
                ),
                names={
                    name: f"BucketLoggingStatus.LoggingEnabled.{name[0].upper()}{name[1:]}"
                    for name in ("targetBucket", "targetPrefix", "targetGrants", "targetObjectKeyFormat")
                },
                whole=True,
            )
        ),
        id="{bucket}",
        reads=(Read("get_bucket_logging", OF_BUCKET, "LoggingEnabled"),),
        update=(put_logging,),
        delete=Call("put_bucket_logging", {**OF_BUCKET, "BucketLoggingStatus": {}}, ()),
        replaces=("bucket", "expectedBucketOwner"),
        sets=("targetGrants",),
        gone=GONE,
    ),
    Resource(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "s3",
        create=Do(_put_object, (*(PUT_OBJECT.carries or ()), *CONTENT), PUT_OBJECT),
        id="{bucket}/{key}",
        reads=(Read("head_object", {"Bucket": "{bucket}", "Key": "{key}"}),),
        update=(Do(_put_object, (*(PUT_OBJECT.carries or ()), *CONTENT), PUT_OBJECT),),
        settings=(Do(_put_object_tags, ("tagsAll",)),),
        delete=Do(_delete_object),
        names=OBJECT_NAMES,
        name="key",
        exact=True,
        replaces=("bucket", "key"),
        defaults={"forceDestroy": False},
        local=("forceDestroy",),
        write_only=("acl", "checksumAlgorithm", "content", "contentBase64", "source", "sourceHash"),
        unsupported=("overrideProvider",),
        outputs={"arn": "arn:{partition}:s3:::{bucket}/{key}"},
        refine=_refine_object,
        verify=_verify_object,
        recomputed={"versionId": (*CONTENT,), "etag": (*CONTENT,)},
        gone=(*GONE, "NoSuchKey"),
        tagging=Tagging(read=Read("get_object_tagging", {"Bucket": "{bucket}", "Key": "{key}"}, "TagSet", unset=UNSET)),
    ),
    Resource(
        "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock",
        "s3control",
        create=Do(_put_account_block, BLOCK.carries or (), BLOCK),
        id="{account}",
        reads=(Read("get_public_access_block", {"AccountId": "{account}"}, "PublicAccessBlockConfiguration"),),
        update=(Do(_put_account_block, BLOCK.carries or (), BLOCK),),
        delete=Call("delete_public_access_block", {"AccountId": "{account}"}, ()),
        defaults=dict.fromkeys(BLOCK.carries or (), False),
        local=("accountId",),
        refine=_refine_account_block,
        gone=("NoSuchPublicAccessBlockConfiguration",),
    ),
)
