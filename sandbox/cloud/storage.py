"""S3 where the emulator differs: lifecycle rules kept whole, versioning that object lock holds, denials of the root."""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.scope import region

if TYPE_CHECKING:
    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

_MINIMUM: Final = "x-amz-transition-default-minimum-object-size"
_DEFAULT_MINIMUM: Final = "all_storage_classes_128K"
_RULES: Final = "_lifecycle_document"
_ROOT_MAY: Final = ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy")
"""What a bucket's policy cannot take from the root of its account: or nobody could ever mend it."""


def s3(module: Any) -> Wrapper:
    """S3, wrapped.

    Args:
        module: the emulator's.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        bucket, key = module._parse_bucket_key(request.path, dict(request.headers))
        if denied := _denied_to_root(module, request):
            return denied
        if not key and "versioning" in request.query and request.method == "PUT" and _held(module, bucket, request):
            message = (
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
            )
            refused: Answer = module._error("InvalidBucketState", message, 409, f"/{bucket}")
            return refused
        answer = await inner(request)
        if not key and "lifecycle" in request.query and answer[0] in (200, 204) and bucket in module._buckets:
            return _lifecycle(module._buckets[bucket], request, answer)
        return answer

    return wrapper


def _held(module: Any, bucket: str, request: Request) -> bool:
    """Whether object lock is on and the request would take versioning off."""
    return bool(module._bucket_object_lock.get(bucket)) and b"<Status>Suspended<" in request.body


def _lifecycle(record: dict[str, Any], request: Request, answer: Answer) -> Answer:
    """Answer with the rules as they were put: the emulator forgets members that it does not act on."""
    if request.method == "PUT":
        minimum = request.headers.get(_MINIMUM) or _DEFAULT_MINIMUM
        record[_RULES] = {"document": request.body.decode(), "minimum": minimum}
        return answer[0], {**answer[1], _MINIMUM: minimum}, answer[2]
    if request.method == "DELETE":
        record.pop(_RULES, None)
    elif request.method == "GET" and (kept := record.get(_RULES)):
        return answer[0], {**answer[1], _MINIMUM: kept["minimum"]}, kept["document"].encode()
    return answer


def _denied_to_root(module: Any, request: Request) -> Answer | None:
    """Refuse the account's root what the bucket's policy denies it: a denial holds for everybody."""
    from ministack.core import iam_actions, iam_evaluator

    headers, query = dict(request.headers), dict(request.query)
    account = request.account
    if module._request_access_key(request.method, request.path, headers, query, request.body) != account:
        return None  # somebody else, whom the emulator has checked
    action = iam_actions.extract_iam_action("s3", request.method, request.path, headers, request.body, query)
    if action is None or action in _ROOT_MAY:
        return None
    arn = iam_actions.extract_resource_arn(
        "s3", request.method, request.path, headers, request.body, query, region(), account
    )
    more = iam_actions.s3_additional_checks(request.method, request.path, headers, request.body, query)
    for one, resource in [(action, arn), *more]:
        policy = module.bucket_policy_for_arn(resource)
        if policy is None or not policy[0]:
            continue
        context = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:iam::{account}:root",
            principal_type="Root",
            principal_account=account,
            action=one,
            resource_arn=resource,
            region=region(),
            service_context=iam_actions.s3_service_context(one, query, request.path, headers),
        )
        if iam_evaluator.evaluate_resource_policy(policy[0], context).decision == "Deny":
            message = (
                f"User: arn:aws:iam::{account}:root is not authorized to perform: {one} on resource: "
                f'"{resource}" with an explicit deny in a resource-based policy'
            )
            refused: Answer = module._error("AccessDenied", message, 403, request.path)
            return refused
    return None
