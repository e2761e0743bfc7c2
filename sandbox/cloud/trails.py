"""CloudTrail: what the emulator drops of a new trail, and the permission of its bucket."""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.scope import region

if TYPE_CHECKING:
    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

_SERVICE: Final = "cloudtrail.amazonaws.com"
_KEPT: Final = ("CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn")


def cloudtrail(module: Any, s3: Any) -> Wrapper:
    """CloudTrail, wrapped: a trail keeps its tags and log group, and its bucket must let CloudTrail in.

    Args:
        module: the emulator's.
        s3: the emulator's S3.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        asked = request.json()
        known = module._find_visible_trail(asked.get("Name", ""))[2] if request.target == "UpdateTrail" else None
        if request.target in ("CreateTrail", "UpdateTrail"):
            bucket = asked.get("S3BucketName") or (known or {}).get("S3BucketName", "")
            arn = (known or {}).get("TrailARN") or module._trail_arn(asked.get("Name", ""))
            prefix = asked.get("S3KeyPrefix") or (known or {}).get("S3KeyPrefix", "")
            if (request.target == "CreateTrail" or known) and (refused := _refused(s3, request, arn, bucket, prefix)):
                return refused
        answer = await inner(request)
        if request.target == "CreateTrail" and answer[0] == 200:
            made = json.loads(answer[2])
            kept = {name: asked[name] for name in _KEPT if asked.get(name)}
            module._find_visible_trail(made["Name"])[2].update(kept)
            module._trail_tags[made["TrailARN"]] = {
                tag["Key"]: tag.get("Value", "") for tag in asked.get("TagsList") or ()
            }
            return answer[0], answer[1], json.dumps({**made, **kept}).encode()
        return answer

    return wrapper


def _refused(s3: Any, request: Request, arn: str, bucket: str, prefix: str) -> Answer | None:
    """Refuse a bucket that is not there, or that does not let CloudTrail look and write."""
    if bucket not in s3._buckets:
        return _error("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!")
    folder = f"{prefix}/AWSLogs" if prefix else "AWSLogs"
    needed: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("s3:GetBucketAcl", f"arn:aws:s3:::{bucket}", {}),
        (
            "s3:PutObject",
            f"arn:aws:s3:::{bucket}/{folder}/{request.account}/CloudTrail/",
            {"s3:x-amz-acl": "bucket-owner-full-control"},
        ),
    )
    from ministack.core import iam_evaluator

    for action, resource, context in needed:
        asking = iam_evaluator.EvalContext(
            principal_arn=_SERVICE,
            principal_type="Service",
            principal_account=request.account,
            action=action,
            resource_arn=resource,
            region=region(),
            secure_transport=True,
            service_context={**context, "aws:sourcearn": arn, "aws:sourceaccount": request.account},
        )
        policy = s3._bucket_policies.get(bucket)
        if iam_evaluator.evaluate_resource_policy(policy, asking, service=_SERVICE).decision != "Allow":
            return _error(
                "InsufficientS3BucketPolicyException", f"Incorrect S3 bucket policy is detected for bucket: {bucket}"
            )
    return None


def _error(code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "Message": message}).encode()
    return 400, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}, body
