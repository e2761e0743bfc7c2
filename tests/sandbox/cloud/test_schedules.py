"""Schedules fire on the sandbox's clock, as their roles, and what cannot be delivered is buried where it is asked."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cloud.schedules import ExpressionError, parse
from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = """
def handler(event, context):
    print("NOTED " + __import__("json").dumps(event))
    return context.invoked_function_arn
"""
OFF = {"Mode": "OFF"}
BERLIN = dt.timezone(dt.timedelta(hours=1))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud where a minute takes a tenth of a second."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    body = json.dumps({"scale": 600}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{running.url}/_sandbox/clock", body, method="POST"), timeout=5)  # noqa: S310
    yield running
    running.stop()


def role(cloud: Cloud, name: str, *allowed: str, trusted: str = "scheduler.amazonaws.com") -> str:
    """Return a role that a service may assume and that may do something."""
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}
    trust["Condition"] = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    if allowed:
        statement = {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}
        iam.put_role_policy(
            RoleName=name,
            PolicyName="inline",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
    return arn


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> str:
    """A function that notes what it got in its log."""
    return cloud.function("noting", NOTE, cloud.role("noting", {"Action": "logs:*", "Resource": "*"}))


def noted(cloud: Cloud, name: str = "noting") -> list[dict[str, Any]]:
    """What the function has noted."""
    with contextlib.suppress(cloud.client("logs").exceptions.ResourceNotFoundException):
        events = cloud.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        texts = [event["message"].strip() for event in events]
        return [json.loads(text.partition("NOTED ")[2]) for text in texts if "NOTED " in text]
    return []


def until(found: Any, seconds: float = 20) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("nothing came")


def test_a_rate_invokes_its_function_again_and_again(cloud: Cloud, function: str) -> None:
    """The first time at once; with the input given, its context attributes filled in."""
    given = {"of": "rate", "schedule": "<aws.scheduler.schedule-arn>", "attempt": "<aws.scheduler.attempt-number>"}
    target = {"Arn": function, "RoleArn": role(cloud, "rate", "lambda:InvokeFunction"), "Input": json.dumps(given)}
    scheduler = cloud.client("scheduler")
    arn = scheduler.create_schedule(
        Name="often", ScheduleExpression="rate(10 minutes)", FlexibleTimeWindow=OFF, Target=target
    )["ScheduleArn"]
    events = until(lambda: len(seen := [one for one in noted(cloud) if one.get("of") == "rate"]) > 1 and seen)
    assert events[0] == {"of": "rate", "schedule": arn, "attempt": "1"}
    scheduler.update_schedule(
        Name="often", ScheduleExpression="rate(10 minutes)", FlexibleTimeWindow=OFF, Target=target, State="DISABLED"
    )
    time.sleep(1.5)
    count = len(noted(cloud))
    time.sleep(2.5)
    assert len(noted(cloud)) == count


def test_a_moment_comes_once_and_takes_its_schedule_with_it(cloud: Cloud, function: str) -> None:
    """Where the program asks for that; without an input, the function gets the Scheduler's own event."""
    scheduler = cloud.client("scheduler")
    target = {"Arn": function, "RoleArn": role(cloud, "moment", "lambda:InvokeFunction")}
    far = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    scheduler.create_schedule(
        Name="never", ScheduleExpression=f"at({far:%Y-%m-%dT%H:%M:%S})", FlexibleTimeWindow=OFF, Target=target
    )
    soon = time.time() + 600 * (time.time() - cloud_began(cloud)) + 1800
    moment = dt.datetime.fromtimestamp(soon, dt.UTC)
    arn = scheduler.create_schedule(
        Name="once",
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow=OFF,
        Target=target,
        ActionAfterCompletion="DELETE",
    )["ScheduleArn"]
    (event,) = until(lambda: [one for one in noted(cloud) if one.get("source") == "aws.scheduler"])
    assert event["resources"] == [arn]
    assert (event["detail-type"], event["detail"]) == ("Scheduled Event", "{}")
    left = until(lambda: [one["Name"] for one in scheduler.list_schedules()["Schedules"] if one["Name"] != "often"])
    until(lambda: "once" not in [one["Name"] for one in scheduler.list_schedules()["Schedules"]])
    assert "never" in left


def cloud_began(cloud: Cloud) -> float:
    """When the cloud's process began; its clock was made fast right after."""
    uptime: float = cloud.get("/_sandbox/health")["uptime"]
    return time.time() - uptime


def test_a_schedule_may_do_what_its_role_may(cloud: Cloud, function: str) -> None:
    """Otherwise its dead-letter queue gets the input, and why it was not delivered."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="undelivered")["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:undelivered"
    target = {
        "Arn": function,
        "RoleArn": role(cloud, "powerless", "sqs:SendMessage"),
        "Input": '{"of": "powerless"}',
        "DeadLetterConfig": {"Arn": queue},
    }
    cloud.client("scheduler").create_schedule(
        Name="powerless", ScheduleExpression="rate(30 days)", FlexibleTimeWindow=OFF, Target=target
    )
    (message,) = until(lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"))
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert message["Body"] == '{"of": "powerless"}'
    assert said["ERROR_CODE"] == "AccessDeniedException"
    assert "lambda:InvokeFunction" in said["ERROR_MESSAGE"]
    assert (said["TARGET_ARN"], said["RETRY_ATTEMPTS"]) == (function, "0")
    assert [one for one in noted(cloud) if one.get("of") == "powerless"] == []


def test_a_throttled_target_is_tried_again_as_often_as_asked(cloud: Cloud) -> None:
    """A queue that is not there is final; a function that is busy is not."""
    busy = cloud.function("busy", NOTE, cloud.role("busy"))
    cloud.client("lambda").put_function_concurrency(FunctionName="busy", ReservedConcurrentExecutions=0)
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="throttled")["QueueUrl"]
    target = {
        "Arn": f"{busy}:nowhere",
        "RoleArn": role(cloud, "retrying", "lambda:InvokeFunction", "sqs:SendMessage"),
        "Input": "{}",
        "RetryPolicy": {"MaximumRetryAttempts": 2},
        "DeadLetterConfig": {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:throttled"},
    }
    cloud.client("scheduler").create_schedule(
        Name="retrying", ScheduleExpression="rate(30 days)", FlexibleTimeWindow=OFF, Target=target
    )
    (message,) = until(lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"))
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("expression", "zone", "trusted", "message"),
    [
        ("rate(5 parsecs)", "UTC", "scheduler.amazonaws.com", "Invalid Schedule Expression"),
        ("rate(0 minutes)", "UTC", "scheduler.amazonaws.com", "Invalid Schedule Expression"),
        ("rate(5 minutes)", "Mars/Olympus", "scheduler.amazonaws.com", "Timezone"),
        ("rate(5 minutes)", "UTC", "lambda.amazonaws.com", "must allow AWS EventBridge Scheduler to assume the role"),
    ],
)
def test_a_schedule_that_could_never_work_is_refused(
    cloud: Cloud, function: str, expression: str, zone: str, trusted: str, message: str
) -> None:
    """An expression that is none, an unknown zone, a role of another service."""
    scheduler = cloud.client("scheduler")
    name = f"refused-{abs(hash((expression, zone, trusted)))}"
    with pytest.raises(scheduler.exceptions.ValidationException, match=message):
        scheduler.create_schedule(
            Name="refused",
            ScheduleExpression=expression,
            ScheduleExpressionTimezone=zone,
            FlexibleTimeWindow=OFF,
            Target={"Arn": function, "RoleArn": role(cloud, name, trusted=trusted)},
        )


def test_a_rule_needs_the_functions_own_permission(cloud: Cloud) -> None:
    """Of events.amazonaws.com, for that rule; then the function gets the scheduled event."""
    function = cloud.function("ruled", NOTE, cloud.role("ruled", {"Action": "logs:*", "Resource": "*"}))
    events = cloud.client("events")
    arn = events.put_rule(Name="hourly", ScheduleExpression="rate(10 minutes)")["RuleArn"]
    events.put_targets(Rule="hourly", Targets=[{"Id": "a", "Arn": function}])
    time.sleep(2.5)
    assert noted(cloud, "ruled") == []
    cloud.client("lambda").add_permission(
        FunctionName="ruled",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=arn,
    )
    event = until(lambda: noted(cloud, "ruled"))[0]
    assert (event["source"], event["detail-type"], event["resources"]) == ("aws.events", "Scheduled Event", [arn])
    events.disable_rule(Name="hourly")
    time.sleep(1.5)
    count = len(noted(cloud, "ruled"))
    time.sleep(2.5)
    assert len(noted(cloud, "ruled")) == count


def test_a_rule_keeps_nothing_that_a_new_put_leaves_out(cloud: Cloud) -> None:
    """As PutRule's reference says."""
    events = cloud.client("events")
    events.put_rule(Name="replaced", ScheduleExpression="rate(1 day)", Description="a", State="DISABLED")
    events.put_rule(Name="replaced", ScheduleExpression="rate(2 days)")
    found = events.describe_rule(Name="replaced")
    assert (found.get("Description"), found["State"]) == (None, "ENABLED")


def moment(*when: int, zone: dt.tzinfo = dt.UTC) -> float:
    """A moment in seconds since the epoch."""
    return dt.datetime(*when, tzinfo=zone).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("expression", "zone", "expected"),
    [
        ("rate(5 minutes)", "UTC", moment(2026, 1, 1, 12, 5)),
        ("rate(1 day)", "UTC", moment(2026, 1, 2, 12)),
        ("cron(30 12 * * ? *)", "UTC", moment(2026, 1, 1, 12, 30)),
        ("cron(0 8 ? * MON-FRI *)", "Europe/Berlin", moment(2026, 1, 2, 8, zone=BERLIN)),
        ("at(2026-01-01T13:30:00)", "Europe/Berlin", moment(2026, 1, 1, 13, 30, zone=BERLIN)),
        ("at(2026-01-01T11:59:59)", "UTC", None),
        ("cron(0 8 * * ? 2025)", "UTC", None),
    ],
)
def test_the_next_time_is_that_of_aws(expression: str, zone: str, expected: float | None) -> None:
    """In the schedule's zone; the noon of a first of January being now."""
    assert parse(expression, zone).after(moment(2026, 1, 1, 12)) == expected


@pytest.mark.parametrize("text", ["", "every day", "cron(* * * * *)", "cron(0 8 1 * MON *)", "at(tomorrow)"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    """With AWS's words."""
    with pytest.raises(ExpressionError, match="Invalid Schedule Expression"):
        parse(text)
