"""Asynchronous invocations are retried and handed over as AWS does, and concurrency has its limits."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILING = """
def handler(event, context):
    if event.get("fail"): raise ValueError("asked to fail")
    return {"done": event}
"""
WAITING = """
import pathlib, time
def handler(event, context):
    if "begun" in event:
        pathlib.Path(event["begun"]).touch()
        while not pathlib.Path(event["end"]).exists(): time.sleep(0.01)
    return "waited"
"""
ANYTHING = {"Action": "*", "Resource": "*"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud where a minute takes a tenth of a second."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    body = json.dumps({"scale": 600}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{running.url}/_sandbox/clock", body, method="POST"), timeout=5)  # noqa: S310
    yield running
    running.stop()


@pytest.fixture(scope="module")
def role(cloud: Cloud) -> str:
    """A role that may do everything."""
    return cloud.role("able", ANYTHING)


def queue(cloud: Cloud, name: str) -> str:
    """Make a queue; return its ARN."""
    cloud.client("sqs").create_queue(QueueName=name)
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def received(cloud: Cloud, name: str, seconds: float = 20) -> dict[str, Any]:
    """Wait for a queue's one message."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", ()):
            return dict(message)
        time.sleep(0.05)
    raise AssertionError(f"nothing came to {name}: {cloud.log()}")


def send(cloud: Cloud, name: str, event: Any, **options: Any) -> None:
    """Invoke asynchronously."""
    answer = cloud.client("lambda").invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **options
    )
    assert answer["StatusCode"] == 202


def destinations(**arns: str) -> dict[str, Any]:
    """A destination config."""
    return {kind: {"Destination": arn} for kind, arn in arns.items()}


def test_a_failed_event_goes_where_it_is_sent_after_two_retries(cloud: Cloud, role: str) -> None:
    """The record to the destination, the event itself to the dead-letter queue."""
    dead = {"TargetArn": queue(cloud, "dead")}
    arn = cloud.function("failing", FAILING, role, DeadLetterConfig=dead)
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName="failing", DestinationConfig=destinations(OnFailure=queue(cloud, "failures"))
    )
    send(cloud, "failing", {"fail": True})
    record = json.loads(received(cloud, "failures")["Body"])
    context = record["requestContext"]
    assert (record["version"], record["requestPayload"]) == ("1.0", {"fail": True})
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 3)
    assert context["functionArn"] == f"{arn}:$LATEST"
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorMessage"] == "asked to fail"
    message = received(cloud, "dead")
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert json.loads(message["Body"]) == {"fail": True}
    assert (said["ErrorCode"], said["ErrorMessage"], said["RequestID"]) == (
        "200",
        "asked to fail",
        context["requestId"],
    )


def test_a_success_has_a_destination_of_its_own(cloud: Cloud, role: str) -> None:
    """Here another function, which is invoked with the record, and whose success goes to a topic's queue."""
    first, second = (cloud.function(name, FAILING, role) for name in ("first", "second"))
    client, sns = cloud.client("lambda"), cloud.client("sns")
    topic = sns.create_topic(Name="successes")["TopicArn"]
    successes = queue(cloud, "successes")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": successes}
    cloud.client("sqs").set_queue_attributes(
        QueueUrl=cloud.client("sqs").get_queue_url(QueueName="successes")["QueueUrl"],
        Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})},
    )
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=successes)
    client.put_function_event_invoke_config(
        FunctionName="first", DestinationConfig=destinations(OnSuccess=second), MaximumRetryAttempts=0
    )
    client.put_function_event_invoke_config(FunctionName="second", DestinationConfig=destinations(OnSuccess=topic))
    send(cloud, "first", {"a": 1})
    notified = json.loads(received(cloud, "successes")["Body"])
    inner = json.loads(notified["Message"])["requestPayload"]
    assert inner["requestContext"]["functionArn"] == f"{first}:$LATEST"
    assert (inner["requestContext"]["condition"], inner["responsePayload"]) == ("Success", {"done": {"a": 1}})


def test_an_alias_has_settings_of_its_own(cloud: Cloud, role: str) -> None:
    """Those of the function are not its."""
    cloud.function("aliased", FAILING, role)
    client = cloud.client("lambda")
    client.publish_version(FunctionName="aliased")
    alias = client.create_alias(FunctionName="aliased", Name="live", FunctionVersion="1")["AliasArn"]
    own, other = queue(cloud, "of-the-alias"), queue(cloud, "of-the-function")
    client.put_function_event_invoke_config(FunctionName="aliased", DestinationConfig=destinations(OnFailure=other))
    client.put_function_event_invoke_config(
        FunctionName="aliased",
        Qualifier="live",
        DestinationConfig=destinations(OnFailure=own),
        MaximumRetryAttempts=0,
    )
    send(cloud, "aliased", {"fail": 1}, Qualifier="live")
    record = json.loads(received(cloud, "of-the-alias")["Body"])
    assert record["requestContext"]["functionArn"] == alias
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responseContext"]["executedVersion"] == "1"
    url = cloud.client("sqs").get_queue_url(QueueName="of-the-function")["QueueUrl"]
    assert "Messages" not in cloud.client("sqs").receive_message(QueueUrl=url)


def test_a_throttled_event_waits_until_it_is_too_old(cloud: Cloud, role: str) -> None:
    """It is no failure of the function, which never saw it."""
    cloud.function("closed", FAILING, role)
    client = cloud.client("lambda")
    client.put_function_concurrency(FunctionName="closed", ReservedConcurrentExecutions=0)
    client.put_function_event_invoke_config(
        FunctionName="closed",
        MaximumEventAgeInSeconds=60,
        DestinationConfig=destinations(OnFailure=queue(cloud, "too-old")),
    )
    with pytest.raises(client.exceptions.TooManyRequestsException) as refused:
        client.invoke(FunctionName="closed")
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    send(cloud, "closed", {"a": 1})
    record = json.loads(received(cloud, "too-old")["Body"])
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responsePayload" not in record


def test_a_destination_is_the_functions_own_business(cloud: Cloud) -> None:
    """Its role must be allowed it: when it is configured, and when something is delivered."""
    own = cloud.role("unable")
    arn = cloud.function("unable", FAILING, own)
    client, iam = cloud.client("lambda"), cloud.client("iam")
    target = queue(cloud, "unreachable")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=f"SendMessage on {target}"):
        client.put_function_event_invoke_config(FunctionName="unable", DestinationConfig=destinations(OnFailure=target))
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="SendMessage on SQS"):
        client.update_function_configuration(FunctionName=arn, DeadLetterConfig={"TargetArn": target})
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": target}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="unable", PolicyName="inline", PolicyDocument=document)
    client.put_function_event_invoke_config(
        FunctionName="unable", DestinationConfig=destinations(OnFailure=target), MaximumRetryAttempts=0
    )
    iam.delete_role_policy(RoleName="unable", PolicyName="inline")
    send(cloud, "unable", {"fail": True})
    deadline = time.monotonic() + 20
    while "did not take the event" not in cloud.log():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_settings_are_changed_in_part(cloud: Cloud, role: str) -> None:
    """By an update; a put replaces them all."""
    cloud.function("settings", FAILING, role)
    client = cloud.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.update_function_event_invoke_config(FunctionName="settings", MaximumRetryAttempts=1)
    client.put_function_event_invoke_config(FunctionName="settings", MaximumEventAgeInSeconds=100)
    changed = client.update_function_event_invoke_config(FunctionName="settings", MaximumRetryAttempts=1)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (1, 100)


def test_versions_share_what_their_function_reserves(cloud: Cloud, role: str, tmp_path: Path) -> None:
    """An alias is no way around it."""
    cloud.function("waiting", WAITING, role, Timeout=60)
    client = cloud.client("lambda")
    client.publish_version(FunctionName="waiting")
    client.put_function_concurrency(FunctionName="waiting", ReservedConcurrentExecutions=1)
    begun, end = tmp_path / "begun", tmp_path / "end"
    event = {"begun": str(begun), "end": str(end)}
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(cloud.invoke("waiting", event)))
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not begun.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(client.exceptions.TooManyRequestsException):
            cloud.invoke("waiting", {}, Qualifier="1")
    finally:
        end.touch()
        thread.join()
    assert answers == ["waited"]
    assert cloud.invoke("waiting", {}, Qualifier="1") == "waited"


def test_provisioned_concurrency_is_of_versions_and_within_what_is_reserved(cloud: Cloud, role: str) -> None:
    """Begun when it is asked for, there when one looks again."""
    cloud.function("provisioned", FAILING, role)
    client = cloud.client("lambda")
    client.publish_version(FunctionName="provisioned")
    client.put_function_concurrency(FunctionName="provisioned", ReservedConcurrentExecutions=2)
    refused = client.exceptions.InvalidParameterValueException
    put = client.put_provisioned_concurrency_config
    client.create_alias(FunctionName="provisioned", Name="next", FunctionVersion="$LATEST")
    for qualifier in ("$LATEST", "next"):
        with pytest.raises(refused, match="unpublished"):
            put(FunctionName="provisioned", Qualifier=qualifier, ProvisionedConcurrentExecutions=1)
    with pytest.raises(refused, match="should not be greater"):
        put(FunctionName="provisioned", Qualifier="1", ProvisionedConcurrentExecutions=3)
    begun = put(FunctionName="provisioned", Qualifier="1", ProvisionedConcurrentExecutions=2)
    assert (begun["Status"], begun["AllocatedProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 0)
    found = client.get_provisioned_concurrency_config(FunctionName="provisioned", Qualifier="1")
    assert (found["Status"], found["AvailableProvisionedConcurrentExecutions"]) == ("READY", 2)
    (listed,) = client.list_provisioned_concurrency_configs(FunctionName="provisioned")["ProvisionedConcurrencyConfigs"]
    assert listed["FunctionArn"].endswith(":provisioned:1")
    with pytest.raises(refused, match="should not be lower"):
        client.put_function_concurrency(FunctionName="provisioned", ReservedConcurrentExecutions=1)
    with pytest.raises(refused, match="UnreservedConcurrentExecution"):
        client.put_function_concurrency(FunctionName="provisioned", ReservedConcurrentExecutions=950)
