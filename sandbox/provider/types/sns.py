"""SNS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging
from sandbox.provider.types.attributes import given, put_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("NotFound", "NotFoundException")
FEEDBACK = tuple(
    f"{target}{outcome}"
    for target in ("application", "firehose", "http", "lambda", "sqs")
    for outcome in ("FailureFeedbackRoleArn", "SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate")
)
TOPIC = {
    name: name[0].upper() + name[1:]
    for name in (
        *FEEDBACK,
        "archivePolicy",
        "contentBasedDeduplication",
        "deliveryPolicy",
        "displayName",
        "fifoThroughputScope",
        "fifoTopic",
        "kmsMasterKeyId",
        "policy",
        "signatureVersion",
        "tracingConfig",
    )
}
TOPIC_LATER = {name: attribute for name, attribute in TOPIC.items() if name != "fifoTopic"}
SUBSCRIPTION = {
    name: name[0].upper() + name[1:]
    for name in (
        "deliveryPolicy",
        "filterPolicy",
        "filterPolicyScope",
        "rawMessageDelivery",
        "redrivePolicy",
        "replayPolicy",
        "subscriptionRoleArn",
    )
}
SUBSCRIBE = Call("subscribe", {}, ("topic", "protocol", "endpoint"), names={"topic": "TopicArn"})
PROTOCOLS = ("application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs")


def _create_topic(context: Context) -> Any:
    name = Call("create_topic", {}, ("name",))
    return context.call("create_topic", **context.parameters(name, tagged=True), Attributes=given(context, TOPIC))


def _verify_topic(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    if inputs.get("fifoTopic") and isinstance(inputs.get("name"), str) and not inputs["name"].endswith(".fifo"):
        return [("name", f"{inputs['name']!r} is the name of a FIFO topic, which must end with .fifo")]
    return []


def _refine_topic(context: Context, outputs: dict[str, Any]) -> None:
    outputs["name"] = context.id.rpartition(":")[2]
    for name, default in (("contentBasedDeduplication", False), ("fifoTopic", False)):
        outputs.setdefault(name, default)


def _without_policy(context: Context) -> None:
    """A topic's policy cannot be deleted: what AWS makes a topic with is put back, as the official provider does."""
    topic = context.id
    account = topic.split(":")[4]
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [
            f"SNS:{action}"
            for action in (
                "GetTopicAttributes",
                "SetTopicAttributes",
                "AddPermission",
                "RemovePermission",
                "DeleteTopic",
                "Subscribe",
                "ListSubscriptionsByTopic",
                "Publish",
            )
        ],
        "Resource": topic,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    document = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
    context.call("set_topic_attributes", TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(document))


def _subscribe(context: Context) -> Any:
    """The ARN of a subscription that waits for its confirmation is known, too, when one asks for it."""
    return context.call(
        "subscribe",
        **context.parameters(SUBSCRIBE),
        Attributes=given(context, SUBSCRIPTION),
        ReturnSubscriptionArn=True,
    )


def _unsubscribe(context: Context) -> None:
    """One that was never confirmed cannot be ended; AWS forgets it by itself, and the official provider leaves it."""
    from botocore.exceptions import ClientError

    try:
        context.call("unsubscribe", SubscriptionArn=context.id)
    except ClientError as error:
        if "pending confirmation" not in str(error):
            raise


def _refine_subscription(_context: Context, outputs: dict[str, Any]) -> None:
    outputs.setdefault("rawMessageDelivery", False)
    if outputs.get("filterPolicy") and "filterPolicyScope" not in outputs:
        outputs["filterPolicyScope"] = "MessageAttributes"


def _verify_subscription(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    if inputs.get("protocol") == "firehose" and not inputs.get("subscriptionRoleArn"):
        return [("subscriptionRoleArn", "missing; a subscription of firehose needs it")]
    return []


ENTRIES = (
    Resource(
        "aws:sns/topic:Topic",
        "sns",
        create=Do(_create_topic, ("name", *TOPIC), Call("create_topic", {}, ("name",))),
        id="TopicArn",
        reads=(
            Read(
                "get_topic_attributes",
                {"TopicArn": "{id}"},
                "Attributes",
                outputs={
                    **TOPIC,
                    "arn": "TopicArn",
                    "owner": "Owner",
                    "beginningArchiveTime": "BeginningArchiveTime",
                },
                only=(),
            ),
        ),
        update=(Do(put_each("set_topic_attributes", "TopicArn", TOPIC_LATER), tuple(TOPIC_LATER)),),
        delete=Call("delete_topic", {"TopicArn": "{id}"}, ()),
        name="name",
        replaces=("name", "fifoTopic"),
        documents=("policy", "deliveryPolicy", "archivePolicy"),
        defaults={"contentBasedDeduplication": False, "fifoTopic": False},
        allowed={
            "fifoThroughputScope": ("Topic", "MessageGroup"),
            "signatureVersion": (1, 2),
            "tracingConfig": ("Active", "PassThrough"),
        },
        ranges={name: (0, 100) for name in FEEDBACK if name.endswith("SampleRate")},
        unsupported=("maximumMessageSize", "namePrefix"),
        refine=_refine_topic,
        verify=_verify_topic,
        gone=GONE,
        tagging=Tagging(
            Call("tag_resource", {"ResourceArn": "{id}"}),
            Call("untag_resource", {"ResourceArn": "{id}"}),
            Read("list_tags_for_resource", {"ResourceArn": "{id}"}, "Tags"),
        ),
    ),
    Resource(
        "aws:sns/topicPolicy:TopicPolicy",
        "sns",
        create=(
            put_policy := Call(
                "set_topic_attributes",
                {"AttributeName": "Policy"},
                ("arn", "policy"),
                names={"arn": "TopicArn", "policy": "AttributeValue"},
                whole=True,
            )
        ),
        id="{arn}",
        reads=(
            Read(
                "get_topic_attributes",
                {"TopicArn": "{id}"},
                "Attributes",
                outputs={"arn": "TopicArn", "policy": "Policy", "owner": "Owner"},
                only=(),
            ),
        ),
        update=(put_policy,),
        delete=Do(_without_policy),
        replaces=("arn",),
        documents=("policy",),
        gone=GONE,
    ),
    Resource(
        "aws:sns/topicSubscription:TopicSubscription",
        "sns",
        create=Do(_subscribe, ("topic", "protocol", "endpoint", *SUBSCRIPTION), SUBSCRIBE),
        id="SubscriptionArn",
        reads=(
            Read(
                "get_subscription_attributes",
                {"SubscriptionArn": "{id}"},
                "Attributes",
                outputs={
                    **SUBSCRIPTION,
                    "arn": "SubscriptionArn",
                    "confirmationWasAuthenticated": "ConfirmationWasAuthenticated",
                    "endpoint": "Endpoint",
                    "ownerId": "Owner",
                    "pendingConfirmation": "PendingConfirmation",
                    "protocol": "Protocol",
                    "topic": "TopicArn",
                },
                only=(),
            ),
        ),
        update=(Do(put_each("set_subscription_attributes", "SubscriptionArn", SUBSCRIPTION), tuple(SUBSCRIPTION)),),
        delete=Do(_unsubscribe),
        replaces=("endpoint", "protocol", "topic"),
        documents=("deliveryPolicy", "filterPolicy", "redrivePolicy", "replayPolicy"),
        defaults={"confirmationTimeoutInMinutes": 1, "endpointAutoConfirms": False, "rawMessageDelivery": False},
        allowed={"filterPolicyScope": ("MessageAttributes", "MessageBody"), "protocol": PROTOCOLS},
        local=("confirmationTimeoutInMinutes", "endpointAutoConfirms"),
        refine=_refine_subscription,
        verify=_verify_subscription,
        gone=GONE,
    ),
)
