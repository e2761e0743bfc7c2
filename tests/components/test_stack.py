"""The whole program: what holds across components, in every stack, and what one setting changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.routes import ROUTES, Route
from tests.support.configuration import STACKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.components.conftest import Declared, Deployment


@pytest.fixture(scope="module")
def seen() -> dict[str, Deployment]:
    """The stacks that were declared already, as they are; nobody here changes one."""
    return {}


@pytest.fixture(params=STACKS)
def stack(whole: Callable[..., Deployment], seen: dict[str, Deployment], request: pytest.FixtureRequest) -> Deployment:
    name: str = request.param
    return seen[name] if name in seen else seen.setdefault(name, whole(name))


@pytest.fixture
def prod(whole: Callable[..., Deployment], seen: dict[str, Deployment]) -> Deployment:
    return seen["prod"] if "prod" in seen else seen.setdefault("prod", whole("prod"))


def _documents(stack: Deployment) -> Iterator[tuple[str, str]]:
    for each in stack.resources:
        for key in ("policy", "assumeRolePolicy"):
            if key in each.inputs:
                yield f"{each.type} {each.name}", each.inputs[key]


def test_no_permission_mentions_what_only_the_cloud_would_know(stack: Deployment) -> None:
    """The mocks answer with ARNs and ids that begin so: a document that has one would be unknown in a preview."""
    documents = dict(_documents(stack))
    assert {
        "aws:iam/role:Role api",
        "aws:kms/key:Key operations",
        "aws:sns/topicPolicy:TopicPolicy notifications-critical",
    } <= (set(documents))
    assert [] == [name for name, text in documents.items() if "arn of " in text or "id of " in text]


def test_every_log_ends_and_is_encrypted_under_the_key_that_admits_logs(stack: Deployment) -> None:
    groups = stack.every("cloudwatch/logGroup:LogGroup")
    assert {"arn of Key operations"} == {each["kmsKeyId"] for each in groups}
    assert 1 == len({each["retentionInDays"] for each in groups})
    # Each service that writes a log by itself finds its group made: the name is its choice.
    prefixes = {"/aws/lambda", "/aws/vpc", "/aws/apigateway", "/aws/rds/instance", "/aws/rds/proxy"}
    assert prefixes == {prefix for prefix in prefixes for each in groups if each["name"].startswith(prefix)}


def test_every_function_writes_to_a_log_of_its_own(stack: Deployment) -> None:
    functions = stack.every("lambda/function:Function")
    groups = {each["name"] for each in stack.every("cloudwatch/logGroup:LogGroup")}
    logs = [each["loggingConfig"]["logGroup"] for each in functions]
    assert sorted(f"/aws/lambda/{each['name']}" for each in functions) == sorted(logs)
    assert set(logs) <= groups


def test_no_alarm_is_without_effect(stack: Deployment) -> None:
    """It tells a topic, or stands in the rule of one that does, or stops a deployment."""
    alarms = stack.every("cloudwatch/metricAlarm:MetricAlarm")
    composites = stack.every("cloudwatch/compositeAlarm:CompositeAlarm")
    [group] = stack.every("codedeploy/deploymentGroup:DeploymentGroup")
    bound = set(group.get("alarmConfiguration", {}).get("alarms", []))
    telling = {each["name"] for each in alarms if each.get("alarmActions")}
    named = {each["name"] for each in alarms for rule in composites if f'ALARM("{each["name"]}")' in rule["alarmRule"]}
    assert {each["name"] for each in alarms} == telling | named | bound
    assert set() == (telling & named) | (telling & bound) | (named & bound)
    assert all(each["alarmActions"] for each in composites)


def test_alarms_are_such_as_cloudwatch_takes(stack: Deployment) -> None:
    """At most ten metrics, periods in minutes, a day to look back over, or a week where periods are of an hour.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
    """
    for alarm in stack.every("cloudwatch/metricAlarm:MetricAlarm"):
        queries = alarm["metricQueries"]
        periods = {query["metric"]["period"] for query in queries if "metric" in query}
        assert len(queries) - 1 <= 10
        assert [True] == [query["returnData"] for query in queries if "expression" in query]
        assert all(period % 60 == 0 and 60 <= period <= 86400 for period in periods)
        looked_back = max(periods) * alarm["evaluationPeriods"]
        assert looked_back <= (7 * 86400 if min(periods) >= 3600 else 86400)
        assert 1 <= alarm["datapointsToAlarm"] <= alarm["evaluationPeriods"]
        assert len(alarm["alarmDescription"]) <= 1024
        ids = [query["id"] for query in queries]
        assert len(set(ids)) == len(ids)
    for composite in stack.every("cloudwatch/compositeAlarm:CompositeAlarm"):
        assert len(composite["alarmRule"]) <= 10240
    [group] = stack.every("codedeploy/deploymentGroup:DeploymentGroup")
    assert len(group.get("alarmConfiguration", {}).get("alarms", [])) <= 10


def test_the_gate_stands_before_all_that_touches_data_or_traffic(stack: Deployment) -> None:
    def gated(each: Declared) -> bool:
        return {"before_create gate", "before_update gate"} <= set(each.hooks)

    found = {f"{each.type.rpartition(':')[2]} {each.name}" for each in stack.resources if gated(each)}
    routes = {f"Route {name}" for name in stack.of("apigatewayv2/route:Route")}
    assert {
        "Instance database",
        "Snapshot migrator",
        *(f"Invocation migrator-{step}" for step in ("users", "migrate", "verify")),
        *routes,
        "Parameter release",
    } == found


def test_what_nobody_waits_for_has_somewhere_to_go_when_it_fails(stack: Deployment) -> None:
    """Whatever invokes by itself, the schedule and the rotation, does not wait for an answer."""
    configs = stack.of("lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    assert {"probe", "rotation"} == set(configs)
    assert {"arn of Queue dead-letters"} == {
        each["destinationConfig"]["onFailure"]["destination"] for each in configs.values()
    }


# Characters that a name may have: what services document, where their models do not say it.
LIMITS = {
    "aws:cloudfront/originAccessControl:OriginAccessControl": 64,
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": 128,
    "aws:apigatewayv2/api:Api": 128,
    "aws:backup/plan:Plan": 50,
    "aws:backup/selection:Selection": 50,
    "aws:backup/vault:Vault": 50,
    "aws:budgets/budget:Budget": 100,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": 255,
    "aws:cloudwatch/dashboard:Dashboard": 255,
    "aws:cloudwatch/logGroup:LogGroup": 512,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 255,
    "aws:codedeploy/application:Application": 100,
    "aws:codedeploy/deploymentConfig:DeploymentConfig": 100,
    "aws:codedeploy/deploymentGroup:DeploymentGroup": 100,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:iam/role:Role": 64,
    "aws:kms/alias:Alias": 256,
    "aws:lambda/function:Function": 64,
    "aws:lambda/layerVersion:LayerVersion": 140,
    "aws:rds/instance:Instance": 63,
    "aws:rds/parameterGroup:ParameterGroup": 255,
    "aws:rds/proxy:Proxy": 63,
    "aws:rds/snapshot:Snapshot": 255,
    "aws:rds/subnetGroup:SubnetGroup": 255,
    "aws:scheduler/schedule:Schedule": 64,
    "aws:secretsmanager/secret:Secret": 512,
    # The provider appends 26 characters of its own, and Signer takes 64.
    "aws:signer/signingProfile:SigningProfile": 64 - 26,
    "aws:sns/topic:Topic": 256,
    "aws:sqs/queue:Queue": 80,
    "aws:ssm/parameter:Parameter": 1011,
}
NAMES = (
    "alarmName",
    "dashboardName",
    "dbSnapshotIdentifier",
    "deploymentConfigName",
    "identifier",
    "layerName",
    "name",
    "namePrefix",
)


@pytest.mark.parametrize("of", ["dev", "prod"])
def test_the_longest_name_of_a_stack_fits_everywhere(whole: Callable[..., Deployment], of: str) -> None:
    """That is what settings allow at most; and a new kind of name must be looked up."""
    longest = "s" * 24
    stack = whole(of, called=longest)
    named = {
        (each.type, each.inputs[key])
        for each in stack.resources
        for key in NAMES
        if longest in str(each.inputs.get(key, ""))
    }
    assert set() == {type_ for type_, _ in named} - set(LIMITS)
    assert [] == [(type_, name) for type_, name in named if len(name) > LIMITS[type_]]


def test_memory_is_the_api_functions_alone(whole: Callable[..., Deployment]) -> None:
    assert {"Function api": {"memorySize"}} == whole("dev", functionMemoryMb=1024).changes(whole("dev"))


def test_a_warning_threshold_is_one_alarms_and_the_line_that_shows_it(
    whole: Callable[..., Deployment], prod: Deployment
) -> None:
    """With the words that name it: description, and the label of the graph."""
    assert {
        "MetricAlarm alarms-response-time-warning": {"threshold", "alarmDescription", "metricQueries"},
        "Dashboard dashboard": {"dashboardBody"},
    } == whole("prod", responseTimeWarningMs=800).changes(prod)


def test_a_critical_one_is_the_canarys_too(whole: Callable[..., Deployment], prod: Deployment) -> None:
    assert {
        "MetricAlarm alarms-response-time-critical": {"threshold", "alarmDescription", "metricQueries"},
        "MetricAlarm release-latency": {"threshold", "alarmDescription", "metricQueries"},
        "Dashboard dashboard": {"dashboardBody"},
    } == whole("prod", responseTimeCriticalMs=2000).changes(prod)


def test_a_new_route_is_a_route(whole: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch) -> None:
    before = whole("dev")
    new = Route(method="GET", path="/api/orders", handler="list_orders", public=True)
    monkeypatch.setattr("app.routes.ROUTES", (*ROUTES, new))
    assert {"Route api-get-api-orders": {"+"}} == whole("dev").changes(before)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"canaryMinutes": 5},
            {
                "DeploymentConfig release": {"deploymentConfigName", "trafficRoutingConfig"},
                "DeploymentGroup release": {"deploymentConfigName"},
            },
        ),
        ({"attempt": 2}, {"Snapshot migrator": {"dbSnapshotIdentifier"}, "Parameter release": {"description"}}),
        ({"functionProvisioned": 3}, {"ProvisionedConcurrencyConfig api": {"provisionedConcurrentExecutions"}}),
        ({"backupDays": 60}, {"Plan backup": {"rules"}}),
        ({"budgetUsd": 1500}, {"Budget budget": {"limitAmount"}}),
        ({"throttleRate": 80}, {"Stage api": {"defaultRouteSettings"}}),
        ({"approvers": ["lead", "product"]}, {}),
    ],
)
def test_one_setting_changes_what_it_says(
    whole: Callable[..., Deployment], prod: Deployment, changes: dict[str, Any], expected: dict[str, set[str]]
) -> None:
    assert expected == whole("prod", **changes).changes(prod)


def test_every_document_is_one_that_iam_reads(stack: Deployment) -> None:
    for name, text in _documents(stack):
        document = json.loads(text)
        assert "2012-10-17" == document["Version"], name
        sids = [statement["Sid"] for statement in document["Statement"] if "Sid" in statement]
        assert len(set(sids)) == len(sids), name
