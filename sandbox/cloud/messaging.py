"""SNS and SQS: subscriptions that wait for a person, and the encryption that a queue has unless told otherwise."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from sandbox.cloud import patches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

_BY_A_PERSON: Final = ("email", "email-json")
_ARN: Final = re.compile(r"<SubscriptionArn>([^<]*)</SubscriptionArn>")
_LISTS: Final = ("ListSubscriptions", "ListSubscriptionsByTopic")
_REUSE_SECONDS: Final = "300"


def wrap() -> None:
    """Put the wrappers below around the emulator's two services."""
    sns_module, sqs_module = patches.modules("sns", "sqs")
    for name in ("_topics", "_refresh_subscription_counts", "_error"):
        patches.expect(sns_module, name)
    patches.expect(sqs_module, "_queues")
    patches.wrap_service("sns", sns(sns_module))
    patches.wrap_service("sqs", sqs(sqs_module))


def sns(module: Any) -> Wrapper:
    """SNS: a subscription by email waits for its confirmation, which nobody gives in a rehearsal.

    Args:
        module: the emulator's.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        form = _form(request)
        action = form.get("Action", "")
        if action == "Unsubscribe" and _pending(module, form.get("SubscriptionArn", "")):
            message = "Invalid parameter: SubscriptionArn Reason: Cannot unsubscribe a subscription that is pending "
            refused: Answer = module._error("InvalidParameter", f"{message}confirmation", 400)  # noqa: SLF001
            return refused
        before = {one["arn"] for one in _subscriptions(module)} if action == "Subscribe" else set()
        status, headers, body = await inner(request)
        if status != 200 or action not in ("Subscribe", *_LISTS):
            return status, headers, body
        text = body.decode() if isinstance(body, bytes) else str(body)
        if action == "Subscribe":
            made = _await_confirmation(module, form, before)
            if made is not None:
                shown = made if form.get("ReturnSubscriptionArn") == "true" else "pending confirmation"
                text = _ARN.sub(f"<SubscriptionArn>{shown}</SubscriptionArn>", text)
        else:
            text = _ARN.sub(lambda found: _listed(module, found), text)
        return status, headers, text.encode()

    return wrapper


def _subscriptions(module: Any) -> Iterator[dict[str, Any]]:
    for topic in module._topics.values():  # noqa: SLF001
        yield from topic["subscriptions"]


def _await_confirmation(module: Any, form: dict[str, str], before: set[str]) -> str | None:
    """Have a new subscription by email wait; return the ARN of what waits, also when it waited before."""
    for one in _subscriptions(module):
        asked = (form.get("TopicArn"), form.get("Protocol"), form.get("Endpoint", ""))
        if (one["topic_arn"], one["protocol"], one["endpoint"]) != asked:
            continue
        if one["arn"] not in before and one["protocol"] in _BY_A_PERSON:
            one |= {"confirmed": False, "token": uuid.uuid4().hex}
            one["attributes"] |= {"PendingConfirmation": "true", "ConfirmationWasAuthenticated": "false"}
            module._refresh_subscription_counts(module._topics[one["topic_arn"]])  # noqa: SLF001
        return None if one["confirmed"] else str(one["arn"])
    return None


def _pending(module: Any, arn: str) -> bool:
    return any(one["arn"] == arn and not one["confirmed"] for one in _subscriptions(module))


def _listed(module: Any, found: re.Match[str]) -> str:
    shown = "PendingConfirmation" if _pending(module, found[1]) else found[1]
    return f"<SubscriptionArn>{shown}</SubscriptionArn>"


def sqs(module: Any) -> Wrapper:
    """SQS: a queue is encrypted by SQS itself, or by the key that it is given, and says so.

    Args:
        module: the emulator's.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        answer = await inner(request)
        action = request.target or _form(request).get("Action", "")
        if answer[0] == 200 and action in ("CreateQueue", "SetQueueAttributes"):
            for queue in module._queues.values():  # noqa: SLF001
                _encrypt(queue["attributes"])
        return answer

    return wrapper


def _encrypt(attributes: dict[str, str]) -> None:
    if attributes.get("KmsMasterKeyId"):
        attributes["SqsManagedSseEnabled"] = "false"
        attributes.setdefault("KmsDataKeyReusePeriodSeconds", _REUSE_SECONDS)
    else:
        for name in ("KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"):
            attributes.pop(name, None)
        attributes.setdefault("SqsManagedSseEnabled", "true")


def _form(request: Request) -> dict[str, str]:
    """Return the parameters of a request in the query protocol; empty for other protocols."""
    if request.target:
        return {}
    return {
        **{key: values[0] for key, values in request.query.items()},
        **dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)),
    }
