"""Topics and queues say of themselves what SNS and SQS say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.cloud.harness import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud


def test_a_subscription_by_email_waits_for_a_person(cloud: Cloud) -> None:
    """It has an ARN for who asks for it, is listed as pending, and cannot be ended."""
    sns = cloud.client("sns")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    asked = {"TopicArn": topic, "Protocol": "email", "Endpoint": "a@example.com"}
    assert sns.subscribe(**asked)["SubscriptionArn"] == "pending confirmation"
    arn = sns.subscribe(**asked, ReturnSubscriptionArn=True)["SubscriptionArn"]
    assert arn.startswith(f"{topic}:")
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (attributes["PendingConfirmation"], attributes["ConfirmationWasAuthenticated"]) == ("true", "false")
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsPending"] == "1"
    with pytest.raises(sns.exceptions.InvalidParameterException, match="pending confirmation"):
        sns.unsubscribe(SubscriptionArn=arn)


def test_a_subscription_of_a_function_or_a_queue_needs_nobody(cloud: Cloud) -> None:
    """Its ARN is known at once, and it can be ended."""
    sns = cloud.client("sns")
    topic = sns.create_topic(Name="machines")["TopicArn"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:anything"
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)["SubscriptionArn"]
    assert [
        one["SubscriptionArn"] for one in sns.list_subscriptions()["Subscriptions"] if one["TopicArn"] == topic
    ] == [arn]
    sns.unsubscribe(SubscriptionArn=arn)
    with pytest.raises(ClientError, match="NotFound"):
        sns.get_subscription_attributes(SubscriptionArn=arn)


def test_a_queue_is_encrypted_by_sqs_or_by_the_key_it_is_given(cloud: Cloud) -> None:
    """One of the two, never both; a key is used for five minutes unless told otherwise."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="plain")["QueueUrl"]

    def encryption() -> dict[str, str]:
        names = ["SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"]
        found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names).get("Attributes", {})
        return found

    assert encryption() == {"SqsManagedSseEnabled": "true"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "alias/own"})
    assert encryption() == {
        "SqsManagedSseEnabled": "false",
        "KmsMasterKeyId": "alias/own",
        "KmsDataKeyReusePeriodSeconds": "300",
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "", "SqsManagedSseEnabled": "true"})
    assert encryption() == {"SqsManagedSseEnabled": "true"}
    assert sqs.create_queue(QueueName="plain")["QueueUrl"] == url
