"""The release: what stops a new version, who may move traffic, and what the pointer waits for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pulumi
import pytest
from pulumi_aws import ssm

from components import release as module
from components.api_function import ApiFunction, ApiFunctionArgs
from components.gate import Gate, GateArgs
from components.release import Release, ReleaseArgs, _shift
from components.release_driver import GateClosedError, RolledBackError, UnhealthyError
from tests.components.conftest import PLACEMENT, Book
from tests.support.metric_math import breaches

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database import Database
    from components.function import Runtime
    from components.notifications import Notifications
    from components.release_driver import Ledger
    from naming import Names
    from tests.components.conftest import Deployment

ARN = "arn:aws:{}:eu-central-1:111122223333:{}".format
CANARY = ("errors", "regression", "latency", "database")


@pytest.fixture
def release_of(
    deploy: Callable[..., Deployment],
    names: Names,
    runtime_of: Callable[[], Runtime],
    database_of: Callable[..., Database],
    notifications_of: Callable[[], Notifications],
) -> Callable[..., Deployment]:
    def declare(**changes: Any) -> Deployment:
        given: dict[str, Any] = {
            "shift": "canary",
            "canary_percent": 10,
            "canary_minutes": 5,
            "attempt": 1,
            "error_percent": 5,
            "latency_ms": 3000,
            "warm": 2,
            "cloud": None,
        } | changes

        def program() -> None:
            ledger = cast("Ledger", Book())
            function = ApiFunction(
                "api",
                ApiFunctionArgs(
                    runtime=runtime_of(),
                    placement=PLACEMENT,
                    database=database_of(),
                    database_ca="/opt/certs/rds-ca.pem",
                    memory_mb=512,
                    timeout_seconds=10,
                    concurrency=20,
                    provisioned=0,
                ),
                after=ssm.Parameter("schema", type="String", value="the last step"),
            )
            Release(
                "release",
                ReleaseArgs(
                    names=names,
                    function=function,
                    notifications=notifications_of(),
                    gate=Gate(GateArgs(ledger=ledger, approvers=())),
                    ledger=ledger,
                    **given,
                ),
                after=[ssm.Parameter("routes", type="String", value="the stage")],
            )

        return deploy(program)

    return declare


@pytest.fixture
def canary(release_of: Callable[..., Deployment]) -> Deployment:
    return release_of()


@pytest.fixture
def alarms(canary: Deployment) -> dict[str, dict[str, Any]]:
    return {thing: canary.the("cloudwatch/metricAlarm:MetricAlarm", f"release-{thing}").inputs for thing in CANARY}


def test_the_pointer_asks_the_gate_then_moves_traffic_then_changes(canary: Deployment) -> None:
    """Before it changes: what raises leaves the old version in the state, and the next update tries again."""
    pointer = canary.the("ssm/parameter:Parameter", "release")
    assert {
        "name": "/product-api/dev/live-version",
        "type": "String",
        "description": "The version that serves, attempt 1",
        "insecureValue": "7",
    } == pointer.inputs
    for change in ("create", "update"):
        assert [f"before_{change} gate", f"before_{change} shift", f"after_{change} ledger"] == [
            hook for hook in pointer.hooks if f"_{change} " in hook
        ]


def test_the_pointer_waits_for_all_that_a_new_version_needs(canary: Deployment) -> None:
    """Alarms that watch it, the group that stops it, the alias that it gets, and what routes to that."""
    assert {
        "DeploymentGroup release",
        "Alias api",
        "Parameter routes",
        *(f"MetricAlarm release-{thing}" for thing in CANARY),
    } <= canary.the("ssm/parameter:Parameter", "release").after


def test_another_attempt_is_a_change_of_the_pointer_and_of_nothing_else(
    release_of: Callable[..., Deployment], canary: Deployment
) -> None:
    again = release_of(attempt=2)
    assert "The version that serves, attempt 2" == again.the("ssm/parameter:Parameter", "release").inputs["description"]
    assert {"Parameter release": {"description"}} == again.changes(canary)


def test_the_group_is_bound_to_the_alarms_by_name_and_rolls_back_by_itself(canary: Deployment) -> None:
    group = canary.the("codedeploy/deploymentGroup:DeploymentGroup", "release")
    assert {
        "appName": "product-api-dev-api",
        "deploymentGroupName": "live",
        "deploymentConfigName": "product-api-dev-canary-10percent-5minutes",
        "serviceRoleArn": "arn of Role release-codedeploy",
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "alarmConfiguration": {"enabled": True, "alarms": [f"product-api-dev-canary-{thing}" for thing in CANARY]},
        "autoRollbackConfiguration": {
            "enabled": True,
            "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
        },
        "triggerConfigurations": [
            {
                "triggerName": "rollbacks",
                "triggerEvents": ["DeploymentFailure", "DeploymentStop", "DeploymentRollback"],
                "triggerTargetArn": "arn of Topic notifications-critical",
            }
        ],
    } == group.inputs
    assert "RolePolicy release-codedeploy" in group.after
    assert {"release": {"name": "product-api-dev-api", "computePlatform": "Lambda"}} == canary.of(
        "codedeploy/application:Application"
    )


def test_a_canary_gets_its_share_for_its_minutes_under_a_name_of_its_own(
    release_of: Callable[..., Deployment],
) -> None:
    """A configuration cannot be changed or deleted while a group uses it, so another one has another name."""

    def config(percent: int, minutes: int) -> dict[str, Any]:
        [found] = (
            release_of(canary_percent=percent, canary_minutes=minutes)
            .of("codedeploy/deploymentConfig:DeploymentConfig")
            .values()
        )
        return found

    assert {
        "deploymentConfigName": "product-api-dev-canary-10percent-5minutes",
        "computePlatform": "Lambda",
        "trafficRoutingConfig": {"type": "TimeBasedCanary", "timeBasedCanary": {"percentage": 10, "interval": 5}},
    } == config(10, 5)
    names = {config(percent, minutes)["deploymentConfigName"] for percent, minutes in ((10, 5), (10, 6), (11, 5))}
    assert 3 == len(names)


def test_all_at_once_needs_no_alarms_and_no_configuration_of_its_own(release_of: Callable[..., Deployment]) -> None:
    declared = release_of(shift="all-at-once")
    group = declared.the("codedeploy/deploymentGroup:DeploymentGroup", "release").inputs
    assert "CodeDeployDefault.LambdaAllAtOnce" == group["deploymentConfigName"]
    assert "alarmConfiguration" not in group
    assert {} == declared.of("codedeploy/deploymentConfig:DeploymentConfig")
    assert {} == declared.of("cloudwatch/metricAlarm:MetricAlarm")


def test_codedeploy_may_move_this_alias_read_these_alarms_and_tell_this_topic(canary: Deployment) -> None:
    function = ARN("lambda", "function:product-api-dev-api")
    assert [
        {
            "Sid": "MoveAlias",
            "Effect": "Allow",
            "Action": ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
            "Resource": [function, f"{function}:live"],
        },
        {
            "Sid": "ReadAlarms",
            "Effect": "Allow",
            "Action": ["cloudwatch:DescribeAlarms"],
            "Resource": [ARN("cloudwatch", "alarm:product-api-dev-canary-*")],
        },
        {
            "Sid": "Tell",
            "Effect": "Allow",
            "Action": ["sns:Publish"],
            "Resource": [ARN("sns", "product-api-dev-critical")],
        },
        {
            "Sid": "UseKeyThroughSns",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": [ARN("kms", "key/*")],
            "Condition": {
                "StringEquals": {"kms:ViaService": "sns.eu-central-1.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/product-api-dev-operations"},
            },
        },
    ] == json.loads(canary.the("iam/rolePolicy:RolePolicy", "release-codedeploy").inputs["policy"])["Statement"]


def test_alarms_judge_the_new_version_by_itself(alarms: dict[str, dict[str, Any]]) -> None:
    """30% errors on a tenth of the traffic are 3% over all: every metric but the comparison's names the version."""
    executed = {"FunctionName": "product-api-dev-api", "Resource": "product-api-dev-api:live", "ExecutedVersion": "7"}
    own = {"Function": "product-api-dev-api", "Version": "7"}
    assert {
        ("errors", "invocations"): ("AWS/Lambda", "Invocations", "Sum", executed),
        ("errors", "crashes"): ("AWS/Lambda", "Errors", "Sum", executed),
        ("errors", "errors"): ("product-api", "ServerErrors", "Sum", own),
        ("regression", "errors"): ("product-api", "ServerErrors", "Sum", own),
        ("regression", "requests"): ("product-api", "Requests", "Sum", own),
        ("regression", "all_errors"): ("product-api", "ServerErrors", "Sum", {"Function": "product-api-dev-api"}),
        ("regression", "all_requests"): ("product-api", "Requests", "Sum", {"Function": "product-api-dev-api"}),
        ("latency", "duration"): ("AWS/Lambda", "Duration", "p95", executed),
        ("database", "database"): ("product-api", "DatabaseFailures", "Sum", own),
        ("database", "requests"): ("product-api", "Requests", "Sum", own),
    } == {
        (thing, query["id"]): tuple(query["metric"][key] for key in ("namespace", "metricName", "stat", "dimensions"))
        for thing, alarm in alarms.items()
        for query in alarm["metricQueries"]
        if "metric" in query
    }


def test_a_version_that_fails_is_slow_or_has_no_database_is_taken_back(alarms: dict[str, dict[str, Any]]) -> None:
    """Requirements 68 to 70; the other side of each threshold passes. In the first bad minute: nobody waits for two."""
    assert [False, True] == [breaches(alarms["errors"], invocations=100, errors=bad) for bad in (5, 6)]
    assert breaches(alarms["errors"], invocations=100, errors=3, crashes=3)
    assert breaches(alarms["errors"], invocations=100, crashes=6)
    assert [False, True] == [breaches(alarms["latency"], duration=ms) for ms in (3000, 3001)]
    assert [False, True] == [breaches(alarms["database"], requests=100, database=bad) for bad in (5, 6)]
    assert {(1, 1)} == {(alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) for alarm in alarms.values()}


@pytest.mark.parametrize("thing", CANARY)
def test_a_version_without_traffic_is_not_taken_back(alarms: dict[str, dict[str, Any]], thing: str) -> None:
    metrics = [query["id"] for query in alarms[thing]["metricQueries"] if "metric" in query]
    assert not breaches(alarms[thing])
    assert not breaches(alarms[thing], **dict.fromkeys(metrics, 0))


def test_a_version_clearly_worse_than_the_one_beside_it_is_taken_back(alarms: dict[str, dict[str, Any]]) -> None:
    """From 0.1% to 4% is below every threshold, and still a regression; what both do is no difference."""
    regression = alarms["regression"]
    assert breaches(regression, requests=100, errors=4, all_requests=1000, all_errors=5)
    assert not breaches(regression, requests=100, errors=4, all_requests=1000, all_errors=40)


@pytest.mark.parametrize(
    ("requests", "errors", "all_requests"),
    [
        (21, 1, 1000),  # one error: 5 points, and chance
        (21, 2, 1000),
        (20, 4, 1000),  # too few of the new
        (100, 4, 120),  # too few of the old
        (1000, None, 10000),  # none at all, so that the metric does not exist
    ],
)
def test_few_requests_are_no_comparison(
    alarms: dict[str, dict[str, Any]], requests: int, errors: int | None, all_requests: int
) -> None:
    assert not breaches(
        alarms["regression"], requests=requests, errors=errors, all_requests=all_requests, all_errors=errors
    )


@dataclass
class Moves:
    """Stands for the driver: answers, or raises, and remembers what it was asked for."""

    outcome: str | Exception
    asked: list[str] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)

    def __call__(self, **given: Any) -> Moves:
        self.made = given
        return self

    def shift(self, version: str) -> str:
        self.asked.append(version)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def _run_hook(moves: Moves, book: Book, monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    monkeypatch.setattr(module, "Traffic", moves)
    args = cast("ReleaseArgs", SimpleNamespace(names=names, cloud="the cloud", warm=3, ledger=book))
    hook = pulumi.ResourceHookArgs(urn="the pointer", id="", name="release", type="", new_inputs={"insecureValue": "8"})
    asyncio.run(_shift(args, hook))


def test_the_hook_moves_this_alias_to_the_version_that_the_pointer_gets(
    monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    moves, book = Moves("d-1"), Book()
    _run_hook(moves, book, monkeypatch, names)
    assert ["8"] == moves.asked
    moves.made.pop("say")
    moves.made.pop("tick")
    assert {
        "cloud": "the cloud",
        "function": "product-api-dev-api",
        "alias": "live",
        "application": "product-api-dev-api",
        "group": "live",
        "warm": 3,
    } == moves.made
    assert [("live", {"resource": "the pointer", "version": "8", "how": "d-1"})] == book.entries


@pytest.mark.parametrize(
    ("error", "event"),
    [(RolledBackError("an alarm"), "rolled-back"), (UnhealthyError("its check fails"), "refused")],
)
def test_what_was_taken_back_is_recorded_and_fails_the_update(
    monkeypatch: pytest.MonkeyPatch, names: Names, error: Exception, event: str
) -> None:
    book = Book()
    with pytest.raises(type(error), match=f"^{event}: {error}$"):
        _run_hook(Moves(error), book, monkeypatch, names)
    assert [(event, {"resource": "the pointer", "version": "8", "why": str(error)})] == book.entries


def test_what_cannot_be_recorded_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    """What became of the traffic is not hidden by a ledger that is full."""
    book = Book()

    def refuse(*_: object, **__: object) -> None:
        raise GateClosedError("the ledger is not there")

    monkeypatch.setattr(book, "record", refuse)
    with pytest.raises(RolledBackError, match=r"^rolled-back: an alarm\. And it is not on record: the"):
        _run_hook(Moves(RolledBackError("an alarm")), book, monkeypatch, names)
