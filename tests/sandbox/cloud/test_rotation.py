"""Secrets are rotated by their function in four steps, when asked and when due."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cloud.rotation import window
from sandbox.cloud.schedules import ExpressionError
from tests.sandbox.cloud.harness import ACCOUNT, Cloud
from tests.sandbox.cloud.test_functions import SIGNED_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROTATE = (
    SIGNED_CALL.replace("def handler", "def call")
    + """
def ask(target, **parameters):
    asked = {"service": "secretsmanager", "target": f"secretsmanager.{target}", "parameters": parameters}
    return call(asked, None)["body"]
def handler(event, context):
    print("EVENT " + json.dumps(event))
    secret, token = event["SecretId"], event["ClientRequestToken"]
    found = ask("GetSecretValue", SecretId=secret, VersionId=token, VersionStage="AWSPENDING")
    if event["Step"] == "createSecret" and found.get("__type") == "ResourceNotFoundException":
        ask("PutSecretValue", SecretId=secret, ClientRequestToken=token, SecretString="new " + token[:8],
            VersionStages=["AWSPENDING"])
    elif event["Step"] == "setSecret" and os.path.exists(os.environ["BROKEN"]):
        raise RuntimeError("the database is away")
    elif event["Step"] == "testSecret":
        assert found["SecretString"]
    elif event["Step"] == "finishSecret":
        current = ask("GetSecretValue", SecretId=secret)["VersionId"]
        ask("UpdateSecretVersionStage", SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token,
            RemoveFromVersionId=current)
"""
)
DAY = 86_400
MIDNIGHT = dt.datetime(2026, 3, 10, tzinfo=dt.UTC).timestamp()
NOON = MIDNIGHT + DAY / 2


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose existence makes the function fail."""
    return tmp_path_factory.mktemp("function") / "broken"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud where a minute takes a tenth of a second."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    body = json.dumps({"scale": 600}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{running.url}/_sandbox/clock", body, method="POST"), timeout=5)  # noqa: S310
    yield running
    running.stop()


@pytest.fixture(scope="module")
def function(cloud: Cloud, broken: Path) -> str:
    """A rotation function that Secrets Manager may invoke."""
    role = cloud.role("rotating", {"Action": ["secretsmanager:*", "logs:*"], "Resource": "*"})
    arn = cloud.function("rotating", ROTATE, role, Environment={"Variables": {"BROKEN": str(broken)}}, Timeout=30)
    admit(cloud, "rotating", ACCOUNT)
    return arn


def admit(cloud: Cloud, name: str, account: str) -> None:
    """Let Secrets Manager invoke a function, for an account."""
    cloud.client("lambda").add_permission(
        FunctionName=name,
        StatementId=f"rotation-{account}",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
        SourceAccount=account,
    )


def secret(cloud: Cloud, name: str) -> str:
    """Make a secret; return its ARN."""
    arn: str = cloud.client("secretsmanager").create_secret(Name=name, SecretString="old")["ARN"]
    return arn


def steps(cloud: Cloud, arn: str) -> list[dict[str, Any]]:
    """The events that the function got for a secret."""
    with contextlib.suppress(cloud.client("logs").exceptions.ResourceNotFoundException):
        events = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/rotating")["events"]
        texts = [event["message"].partition("EVENT ")[2] for event in events]
        return [event for text in texts if text and (event := json.loads(text))["SecretId"] == arn]
    return []


def until(found: Callable[[], Any], seconds: float = 40) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("nothing came")


def rotated(cloud: Cloud, arn: str) -> dict[str, Any]:
    """Wait for a rotation to be over; return the secret's description."""
    client = cloud.client("secretsmanager")
    until(lambda: "LastRotatedDate" in client.describe_secret(SecretId=arn))
    found: dict[str, Any] = client.describe_secret(SecretId=arn)
    return found


def test_a_rotation_takes_four_steps(cloud: Cloud, function: str) -> None:
    """Each with the event as documented; afterwards the new version is the current one."""
    arn, client = secret(cloud, "asked"), cloud.client("secretsmanager")
    old = client.get_secret_value(SecretId=arn)["VersionId"]
    token = client.rotate_secret(
        SecretId=arn, RotationLambdaARN=function, RotationRules={"AutomaticallyAfterDays": 30}
    )["VersionId"]
    found = rotated(cloud, arn)
    events = until(lambda: len(seen := steps(cloud, arn)) == 4 and seen)
    assert [event["Step"] for event in events] == ["createSecret", "setSecret", "testSecret", "finishSecret"]
    assert {(event["SecretId"], event["ClientRequestToken"]) for event in events} == {(arn, token)}
    assert set(events[0]) == {"Step", "SecretId", "ClientRequestToken", "RotationToken"}
    assert client.get_secret_value(SecretId=arn)["SecretString"] == f"new {token[:8]}"
    assert "AWSCURRENT" in found["VersionIdsToStages"][token]
    assert found["VersionIdsToStages"][old] == ["AWSPREVIOUS"]
    assert (found["RotationEnabled"], found["RotationLambdaARN"]) == (True, function)
    assert found["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert 30 <= (found["NextRotationDate"] - found["LastRotatedDate"]) / dt.timedelta(days=1) <= 31


def test_a_rotation_that_can_wait_is_tested_only(cloud: Cloud, function: str) -> None:
    """By the step testSecret, on a version that is gone afterwards."""
    arn, client = secret(cloud, "patient"), cloud.client("secretsmanager")
    client.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=function,
        RotationRules={"AutomaticallyAfterDays": 30},
        RotateImmediately=False,
    )
    until(lambda: steps(cloud, arn))
    found = until(lambda: len((one := client.describe_secret(SecretId=arn))["VersionIdsToStages"]) == 1 and one)
    assert [event["Step"] for event in steps(cloud, arn)] == ["testSecret"]
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "old"
    assert found["RotationEnabled"]
    assert "NextRotationDate" in found
    assert "LastRotatedDate" not in found


def test_a_function_must_admit_secrets_manager(cloud: Cloud, function: str) -> None:
    """For the secret's own account."""
    arn, client = secret(cloud, "refused"), cloud.client("secretsmanager")
    closed = cloud.function("closed", ROTATE, cloud.role("closed"))
    for admitted in ("", "000000000002"):
        if admitted:
            admit(cloud, "closed", admitted)
        with pytest.raises(client.exceptions.ClientError, match=r"AccessDenied.*secretsmanager\.amazonaws\.com"):
            client.rotate_secret(SecretId=arn, RotationLambdaARN=closed)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.rotate_secret(SecretId=arn, RotationLambdaARN=f"{function}-nowhere")
    with pytest.raises(client.exceptions.InvalidRequestException, match="No Lambda rotation function"):
        client.rotate_secret(SecretId=arn)
    assert client.describe_secret(SecretId=arn)["RotationEnabled"] is False


def test_a_rotation_that_fails_is_tried_again(cloud: Cloud, function: str, broken: Path) -> None:
    """From the first step on; meanwhile another one cannot begin, and the old value stays."""
    arn, client = secret(cloud, "failing"), cloud.client("secretsmanager")
    broken.touch()
    try:
        token = client.rotate_secret(SecretId=arn, RotationLambdaARN=function)["VersionId"]
        until(lambda: "setSecret" in [event["Step"] for event in steps(cloud, arn)])
        with pytest.raises(client.exceptions.InvalidRequestException, match="previous rotation isn't complete"):
            client.rotate_secret(SecretId=arn)
        assert client.get_secret_value(SecretId=arn)["SecretString"] == "old"
    finally:
        broken.unlink()
    with contextlib.suppress(client.exceptions.InvalidRequestException):
        client.rotate_secret(SecretId=arn)  # where the machine was so slow that all tries are spent
    rotated(cloud, arn)
    assert client.get_secret_value(SecretId=arn)["SecretString"] == f"new {token[:8]}"


def test_a_rotation_that_leaves_the_old_value_has_failed(cloud: Cloud) -> None:
    """Even when every step answers; the new version stays pending, and empty."""
    idle = cloud.function("idle", "def handler(event, context): return None", cloud.role("idle"))
    admit(cloud, "idle", ACCOUNT)
    arn, client = secret(cloud, "unfinished"), cloud.client("secretsmanager")
    token = client.rotate_secret(SecretId=arn, RotationLambdaARN=idle)["VersionId"]
    until(lambda: "finishSecret has not made the new version AWSCURRENT" in cloud.log())
    found = client.describe_secret(SecretId=arn)
    assert found["VersionIdsToStages"][token] == ["AWSPENDING"]
    assert "LastRotatedDate" not in found
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="can't find the specified secret value"):
        client.get_secret_value(SecretId=arn, VersionStage="AWSPENDING")


def test_a_rotation_comes_when_it_is_due(cloud: Cloud, function: str) -> None:
    """On the sandbox's clock; once it is cancelled, none comes."""
    arn, client = secret(cloud, "due"), cloud.client("secretsmanager")
    uptime: float = cloud.get("/_sandbox/health")["uptime"]
    soon = dt.datetime.fromtimestamp(time.time() + 600 * (uptime + 6), dt.UTC)
    client.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=function,
        RotationRules={"ScheduleExpression": f"cron({soon.minute} {soon.hour} {soon.day} {soon.month} ? *)"},
        RotateImmediately=False,
    )
    rotated(cloud, arn)
    assert client.get_secret_value(SecretId=arn)["SecretString"].startswith("new ")
    client.cancel_rotate_secret(SecretId=arn)
    found = client.describe_secret(SecretId=arn)
    assert (found["RotationEnabled"], "NextRotationDate" in found) == (False, False)


class TestWindows:
    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            ({"AutomaticallyAfterDays": 30}, (30 * DAY, 31 * DAY - 1)),
            ({"ScheduleExpression": "rate(10 days)", "Duration": "3h"}, (10 * DAY, 10 * DAY + 3 * 3600)),
            ({"ScheduleExpression": "rate(12 hours)"}, (DAY, DAY + 3600)),
            ({"ScheduleExpression": "cron(0 8 1 * ? *)"}, (22 * DAY + 8 * 3600, 23 * DAY - 1)),
        ],
    )
    def test_of(self, rules: dict[str, Any], expected: tuple[float, float]) -> None:
        start, end = window(rules, NOON)
        assert (start - MIDNIGHT, end - MIDNIGHT) == expected

    @pytest.mark.parametrize("text", ["rate(3 hours)", "rate(300 minutes)", "at(2026-03-12T00:00:00)", "sometimes"])
    def test_that_there_are_not(self, text: str) -> None:
        with pytest.raises(ExpressionError):
            window({"ScheduleExpression": text}, NOON)
