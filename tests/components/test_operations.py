"""What everything else writes to: the operations' key, the topics, the queue of failed invocations; and the budget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.budget import Budget, BudgetArgs
from components.dead_letters import DeadLetters, DeadLettersArgs
from components.key import Key, KeyArgs, operations_key
from components.notifications import Notifications, NotificationsArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment

ACCOUNT = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
ADMINISTERED: dict[str, Any] = {
    "Sid": "AccountAdministers",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": "kms:*",
    "Resource": "*",
}


def test_a_key_rotates_and_iam_alone_says_who_uses_it(deploy: Callable[..., Deployment], names: Names) -> None:
    declared = deploy(lambda: Key("key", KeyArgs(names=names, thing="thing", description="What it protects")))
    key = declared.the("kms/key:Key", "key")
    assert {"Version": "2012-10-17", "Statement": [ADMINISTERED]} == json.loads(key.inputs.pop("policy"))
    assert {
        "description": "What it protects",
        "enableKeyRotation": True,
        "deletionWindowInDays": 7,
    } == key.inputs
    assert {"key": {"name": "alias/product-api-dev-thing", "targetKeyId": "12345678-abcd"}} == declared.of(
        "kms/alias:Alias"
    )


def test_the_operations_key_admits_what_writes_in_its_own_name_and_only_for_us(
    deploy: Callable[..., Deployment], names: Names
) -> None:
    """CloudWatch Logs refuses a log group whose key does not, and an encrypted topic stays silent."""
    declared = deploy(lambda: Key("operations", operations_key(names)))
    policy = json.loads(declared.the("kms/key:Key", "operations").inputs["policy"])
    publish = ["kms:Decrypt", "kms:GenerateDataKey*"]

    def admitted(sid: str, service: str, actions: list[str], condition: dict[str, Any]) -> dict[str, Any]:
        return {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": actions,
            "Resource": "*",
            "Condition": condition,
        }

    assert [
        ADMINISTERED,
        admitted(
            "Logs",
            "logs.eu-central-1.amazonaws.com",
            ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-central-1:111122223333:log-group:*"}},
        ),
        admitted("Alarms", "cloudwatch.amazonaws.com", publish, ACCOUNT),
        admitted("Budgets", "budgets.amazonaws.com", publish, ACCOUNT),
    ] == policy["Statement"]


@pytest.fixture
def topics(deploy: Callable[..., Deployment], names: Names) -> Deployment:
    return deploy(
        lambda: Notifications(
            "notifications",
            NotificationsArgs(
                names=names,
                key_arn="the operations' key",
                warning=("team@example.com",),
                critical=("oncall@example.com", "https://alerts.example.com/hook"),
            ),
        )
    )


def test_topics_are_encrypted_and_take_messages_of_this_accounts_alarms_and_budgets(topics: Deployment) -> None:
    assert {
        f"notifications-{level}": {
            "name": f"product-api-dev-{level}",
            "displayName": f"product-api dev {level}",
            "kmsMasterKeyId": "the operations' key",
        }
        for level in ("warning", "critical")
    } == topics.of("sns/topic:Topic")
    for level in ("warning", "critical"):
        policy = topics.the("sns/topicPolicy:TopicPolicy", f"notifications-{level}").inputs
        assert f"arn of Topic notifications-{level}" == policy["arn"]
        assert [
            {
                "Sid": sid,
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sns:Publish",
                "Resource": f"arn:aws:sns:eu-central-1:111122223333:product-api-dev-{level}",
                "Condition": ACCOUNT,
            }
            for sid, service in (("Alarms", "cloudwatch.amazonaws.com"), ("Budgets", "budgets.amazonaws.com"))
        ] == json.loads(policy["policy"])["Statement"]


def test_each_recipient_hears_of_its_level_by_the_way_it_can(topics: Deployment) -> None:
    """After the policy: a topic that nobody may publish to yet would confirm nothing."""
    assert {
        ("arn of Topic notifications-warning", "email", "team@example.com", False),
        ("arn of Topic notifications-critical", "email", "oncall@example.com", False),
        ("arn of Topic notifications-critical", "https", "https://alerts.example.com/hook", False),
    } == {
        (each["topic"], each["protocol"], each["endpoint"], each["endpointAutoConfirms"])
        for each in topics.of("sns/topicSubscription:TopicSubscription").values()
    }
    subscription = topics.the("sns/topicSubscription:TopicSubscription", "notifications-warning-team@example.com")
    assert "TopicPolicy notifications-warning" in subscription.after


def test_failed_invocations_are_kept_encrypted_and_as_long_as_can_be(
    deploy: Callable[..., Deployment], names: Names
) -> None:
    declared = deploy(lambda: DeadLetters("letters", DeadLettersArgs(names=names, key_arn="the operations' key")))
    assert {"Queue letters"} == declared.names
    assert {
        "letters": {
            "name": "product-api-dev-dead-letters",
            "messageRetentionSeconds": 1209600,
            "kmsMasterKeyId": "the operations' key",
        }
    } == declared.of("sqs/queue:Queue")


def test_a_budget_warns_when_most_is_spent_and_when_it_will_not_last(
    deploy: Callable[..., Deployment], names: Names
) -> None:
    """Of what this stack's tag stands on, and nothing else in the account."""
    declared = deploy(lambda: Budget("budget", BudgetArgs(names=names, usd=50, topic_arn="the warnings")))

    def told(kind: str, percent: int) -> dict[str, Any]:
        return {
            "notificationType": kind,
            "comparisonOperator": "GREATER_THAN",
            "threshold": percent,
            "thresholdType": "PERCENTAGE",
            "subscriberSnsTopicArns": ["the warnings"],
        }

    assert {
        "budget": {
            "name": "product-api-dev-monthly",
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "50",
            "limitUnit": "USD",
            "costFilters": [{"name": "TagKeyValue", "values": ["user:stack$dev"]}],
            "notifications": [told("ACTUAL", 80), told("FORECASTED", 100)],
        }
    } == declared.of("budgets/budget:Budget")
