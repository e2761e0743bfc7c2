"""CloudWatch as its clients meet it: what is measured by itself, alarms that fire and tell, and what is refused."""

# ruff: noqa: S310 — all that is fetched is on loopback

from __future__ import annotations

import datetime as dt
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud, fetch, until, zipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MINUTE = 60
FAST = 60

HANDLER = """
import json, time

def handler(event, context):
    print(json.dumps({
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [{
            "Namespace": "app", "Dimensions": [["Version"]],
            "Metrics": [{"Name": "latency", "Unit": "Milliseconds"}]}]},
        "Version": context.function_version, "latency": [10, 20, 30],
    }))
    if FAILS:
        raise ValueError("this version always fails")
    return {"statusCode": 200, "body": "{}"}
"""


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud whose minutes take a second."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    running.pace(FAST)
    yield running
    running.stop()


def history(running: Cloud, name: str, kind: str = "StateUpdate", **options: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = running.client("cloudwatch").describe_alarm_history(
        AlarmName=name, HistoryItemType=kind, AlarmTypes=["MetricAlarm", "CompositeAlarm"], **options
    )["AlarmHistoryItems"]
    return items


def states(running: Cloud, name: str) -> list[str]:
    """Return the states that an alarm went into, the first one first."""
    found = history(running, name, ScanBy="TimestampAscending")
    return [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in found]


def queue(running: Cloud, name: str) -> tuple[str, str]:
    """Make a queue that topics may send to; return its URL and ARN."""
    sqs = running.client("sqs")
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    return url, arn


def received(running: Cloud, url: str) -> list[dict[str, Any]]:
    """Take the notifications out of a queue."""
    messages = running.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ())
    return [json.loads(message["Body"]) for message in messages]


def alarm(running: Cloud, name: str, **options: Any) -> None:
    """Put an alarm on the metric test/m: above 1 in one minute."""
    defaults = {
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    if "Metrics" not in options:
        defaults |= {"Namespace": "test", "MetricName": "m", "Statistic": "Sum", "Period": MINUTE}
    running.client("cloudwatch").put_metric_alarm(AlarmName=name, **{**defaults, **options})


def put(running: Cloud, name: str, value: float = 5.0, **options: Any) -> None:
    running.client("cloudwatch").put_metric_data(
        Namespace="test", MetricData=[{"MetricName": name, "Value": value, **options}]
    )


# -- a canary ---------------------------------------------------------------------------------------------------------


def share(name: str, version: str) -> list[dict[str, Any]]:
    """The queries of the release's own alarm: the share of a version's invocations that fail, in percent."""

    def of(identifier: str, metric: str) -> dict[str, Any]:
        dimensions = {"FunctionName": name, "Resource": f"{name}:live", "ExecutedVersion": version}
        return {
            "Id": identifier,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": metric,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
                },
                "Period": MINUTE,
                "Stat": "Sum",
            },
            "ReturnData": False,
        }

    formula = "IF(FILL(invocations, 0) > 0, 100 * FILL(errors, 0) / invocations, 0)"
    return [of("invocations", "Invocations"), of("errors", "Errors"), {"Id": "value", "Expression": formula}]


@pytest.fixture(scope="module")
def canary(fast: Cloud) -> str:
    """A function whose alias sends half of its traffic to a version that always fails, with an alarm for each version.

    Twelve requests were made. The alarm of the bad version tells a topic, and that a queue.
    """
    lam, sns, name = fast.client("lambda"), fast.client("sns"), "canary"
    fast.function(name, f"FAILS = False\n{HANDLER}", fast.role("canary"))
    good = lam.publish_version(FunctionName=name)["Version"]
    lam.update_function_code(FunctionName=name, ZipFile=zipped(index=f"FAILS = True\n{HANDLER}"))
    bad = lam.publish_version(FunctionName=name)["Version"]
    weights = {"AdditionalVersionWeights": {bad: 0.5}}
    lam.create_alias(FunctionName=name, Name="live", FunctionVersion=good, RoutingConfig=weights)
    topic = sns.create_topic(Name="critical")["TopicArn"]
    _, arn = queue(fast, "critical")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    for version, actions in ((good, []), (bad, [topic])):
        alarm(
            fast,
            f"canary-{version}",
            AlarmDescription="fails too often",
            Threshold=20.0,
            TreatMissingData="notBreaching",
            AlarmActions=actions,
            Metrics=share(name, version),
        )
    fast.client("cloudwatch").put_composite_alarm(
        AlarmName="canary", AlarmRule=f'ALARM("canary-{good}") OR ALARM("canary-{bad}")'
    )
    answered = [fast.invoke(name, Qualifier="live") for _ in range(12)]
    assert {True, False} == {"errorMessage" in answer for answer in answered}
    return name


def test_versions_behind_a_weighted_alias_are_measured_apart(fast: Cloud, canary: str) -> None:
    """And together for the alias, the function and the account."""
    alias = {"FunctionName": canary, "Resource": f"{canary}:live"}
    by_version = [
        {
            metric: fast.measured("AWS/Lambda", metric, {**alias, "ExecutedVersion": version})
            for metric in ("Invocations", "Errors")
        }
        for version in ("1", "2")
    ]
    assert by_version[0]["Errors"] == 0
    assert by_version[1]["Errors"] == by_version[1]["Invocations"]
    assert sum(one["Invocations"] or 0 for one in by_version) == 12
    wider: tuple[dict[str, str], ...] = (alias, {"FunctionName": canary})
    assert [12, 12] == [fast.measured("AWS/Lambda", "Invocations", dimensions) for dimensions in wider]
    assert (fast.measured("AWS/Lambda", "Invocations", {}) or 0) >= 12  # of the account, other tests' too
    assert fast.measured("AWS/Lambda", "Throttles", alias) == 0
    assert (fast.measured("AWS/Lambda", "Duration", alias, "p95") or 0) > 0


def test_an_alarm_judges_one_version_and_not_the_other(fast: Cloud, canary: str) -> None:
    """Metric math over the metrics of a version; described as it was given."""
    until(lambda: "ALARM" in states(fast, "canary-2"), "the alarm of the bad version never fired")
    until(lambda: "OK" in states(fast, "canary-1"), "the alarm of the good version was never judged")
    assert ["OK"] == states(fast, "canary-1")
    described = fast.client("cloudwatch").describe_alarms(AlarmNames=["canary-1"])["MetricAlarms"][0]
    assert share(canary, "1") == described["Metrics"]
    assert "Statistic" not in described


def test_an_alarm_tells_its_topic_what_happened(fast: Cloud, canary: str) -> None:
    """In CloudWatch's own JSON, through the topic's subscription; and that it did stands in its history."""
    until(lambda: "ALARM" in states(fast, "canary-2"), "the alarm never fired")
    url = fast.client("sqs").get_queue_url(QueueName="critical")["QueueUrl"]
    envelope = until(lambda: received(fast, url), "nothing was delivered")[0]
    assert envelope["Subject"] == 'ALARM: "canary-2" in EU (Frankfurt)'
    told = json.loads(envelope["Message"])
    assert ("canary-2", ACCOUNT, "ALARM", "fails too often") == (
        told["AlarmName"],
        told["AWSAccountId"],
        told["NewStateValue"],
        told["AlarmDescription"],
    )
    assert told["NewStateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [100.0 (")
    assert told["Trigger"]["Metrics"][2]["Id"] == "value"
    assert {"value": canary, "name": "FunctionName"} in told["Trigger"]["Metrics"][0]["MetricStat"]["Metric"][
        "Dimensions"
    ]
    assert history(fast, "canary-2", "Action")[0]["HistorySummary"].startswith(
        "Successfully executed action arn:aws:sns:"
    )


def test_a_composite_alarm_follows_the_alarms_below_it(fast: Cloud, canary: str) -> None:
    """And tells which of them it was."""
    del canary
    until(lambda: "ALARM" in states(fast, "canary"), "the composite alarm never fired")
    items = history(fast, "canary", ScanBy="TimestampAscending")
    fired = next(item for item in items if json.loads(item["HistoryData"])["newState"]["stateValue"] == "ALARM")
    reason = json.loads(fired["HistoryData"])["newState"]["stateReason"]
    assert reason.startswith(f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:canary-2 transitioned to ALARM at ")


def test_metrics_are_taken_from_log_lines(fast: Cloud, canary: str) -> None:
    """By the version that wrote them; three values a line."""
    counts = [fast.measured("app", "latency", {"Version": version}, "SampleCount") for version in ("1", "2")]
    assert sum(count or 0 for count in counts) == 36
    assert fast.measured("app", "latency", {"Version": "1"}, "Maximum") == 30
    assert canary


def test_alarms_of_a_state_are_told_to_other_parts_of_the_sandbox(fast: Cloud, canary: str) -> None:
    """By what DescribeAlarms answers: the filter by state is the truth that a deployment reads."""
    del canary
    client = fast.client("cloudwatch")
    until(
        lambda: client.describe_alarms(AlarmNamePrefix="canary-1", StateValue="OK")["MetricAlarms"],
        "the good version's alarm is not OK",
    )
    assert [] == client.describe_alarms(AlarmNamePrefix="canary-1", StateValue="ALARM")["MetricAlarms"]


# -- what else measures itself ----------------------------------------------------------------------------------------


def test_a_day_can_be_asked_for_however_fast_it_is(fast: Cloud, canary: str) -> None:
    """The newest datapoints are there; the future is empty."""
    now = dt.datetime.now(dt.UTC)
    of = {
        "Namespace": "AWS/Lambda",
        "MetricName": "Invocations",
        "Dimensions": [{"Name": "FunctionName", "Value": canary}],
    }
    (result,) = fast.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {"Id": "m", "MetricStat": {"Metric": of, "Period": MINUTE, "Stat": "Sum"}, "ReturnData": False},
            {"Id": "value", "Expression": "FILL(m, 0)"},
        ],
        StartTime=now - dt.timedelta(days=2),
        EndTime=now + dt.timedelta(hours=1),
    )["MetricDataResults"]
    assert sum(result["Values"]) == 12


def test_a_throttled_call_is_no_invocation(fast: Cloud) -> None:
    fast.function("reserved", f"FAILS = False\n{HANDLER}", fast.role("reserved"))
    client = fast.client("lambda")
    client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        client.invoke(FunctionName="reserved")
    assert fast.measured("AWS/Lambda", "Throttles", {"FunctionName": "reserved"}) == 1
    assert fast.measured("AWS/Lambda", "Invocations", {"FunctionName": "reserved"}) is None


def test_an_http_api_measures_its_requests(fast: Cloud) -> None:
    """By API and stage, and by route where the stage asks for it; a path that has no route is the caller's error."""
    gateway, lam = fast.client("apigatewayv2"), fast.client("lambda")
    arn = fast.function("served", f"FAILS = False\n{HANDLER}", fast.role("served"))
    api = gateway.create_api(Name="measured", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    gateway.create_route(ApiId=api, RouteKey="GET /products", Target=f"integrations/{integration}")
    gateway.create_stage(
        ApiId=api, StageName="$default", AutoDeploy=True, DefaultRouteSettings={"DetailedMetricsEnabled": True}
    )
    lam.add_permission(
        FunctionName="served",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*",
    )
    base = f"{fast.url}/_aws/execute-api/{api}"
    assert [200, 200, 404] == [fetch(f"{base}{path}")[0] for path in ("/products", "/products", "/nothing")]
    of_api, of_stage = {"ApiId": api}, {"ApiId": api, "Stage": "$default"}
    of_route = {**of_stage, "Method": "GET", "Resource": "/products"}
    counted = [
        [fast.measured("AWS/ApiGateway", metric, dimensions) for metric in ("Count", "4xx", "5xx")]
        for dimensions in (of_api, of_stage, of_route)
    ]
    assert [[3, 1, 0], [3, 1, 0], [2, 0, 0]] == counted
    assert fast.measured("AWS/ApiGateway", "IntegrationLatency", of_api, "SampleCount") == 2
    assert fast.measured("AWS/ApiGateway", "Latency", of_api, "SampleCount") == 3


def test_a_queue_measures_what_waits_in_it(fast: Cloud) -> None:
    """Every minute, and so does an alarm on it fire."""
    url, _ = queue(fast, "waiting")
    fast.client("sqs").send_message(QueueUrl=url, MessageBody="failed")
    alarm(
        fast,
        "waiting",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": "waiting"}],
        Statistic="Maximum",
        Threshold=0.0,
    )
    until(lambda: "ALARM" in states(fast, "waiting"), "the alarm never fired")


def test_a_database_measures_itself(fast: Cloud) -> None:
    """Its connections are those of its clients; what is free is what its data leaves."""
    instance = fast.database("measured", MasterUserPassword="a-long-password")
    of = {"DBInstanceIdentifier": "measured"}
    with fast.connection(instance, "a-long-password"), fast.connection(instance, "a-long-password"):
        until(
            lambda: fast.measured("AWS/RDS", "DatabaseConnections", of, "Maximum") == 2,
            "the connections are not counted",
        )
    free = fast.measured("AWS/RDS", "FreeStorageSpace", of, "Minimum") or 0
    assert 19 * 1024**3 < free < 20 * 1024**3
    assert fast.measured("AWS/RDS", "CPUUtilization", of, "Maximum") is not None


# -- actions that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["policy", "key", "absent"])
def test_an_action_that_cannot_be_taken_stands_in_the_history(fast: Cloud, case: str) -> None:
    """The topic's policy must let CloudWatch publish, and the key's must let it encrypt."""
    sns, name = fast.client("sns"), f"refused-{case}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    if case == "policy":
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "codedeploy.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    elif case == "key":
        key = fast.client("kms").create_key()["KeyMetadata"]["Arn"]
        sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=key)
    else:
        sns.delete_topic(TopicArn=topic)
    alarm(fast, name, MetricName=name, AlarmActions=[topic])
    fast.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="to see")
    item = history(fast, name, "Action")[0]
    why = {"policy": "not authorized to perform: SNS:Publish", "key": "encryption key", "absent": "does not exist"}[
        case
    ]
    assert item["HistorySummary"].startswith(f"Failed to execute action {topic}. Received error: ")
    assert why in item["HistorySummary"]
    assert json.loads(item["HistoryData"])["actionState"] == "Failed"


def test_a_key_that_admits_cloudwatch_lets_it_tell(fast: Cloud) -> None:
    """And an alarm whose actions are disabled changes without a word."""
    sns, name = fast.client("sns"), "encrypted"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": "*",
            },
        ],
    }
    key = fast.client("kms").create_key(Policy=json.dumps(policy))["KeyMetadata"]["KeyId"]
    topic = sns.create_topic(Name=name, Attributes={"KmsMasterKeyId": key})["TopicArn"]
    alarm(fast, name, MetricName=name, OKActions=[topic], AlarmActions=[topic])
    client = fast.client("cloudwatch")
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="to see")
    assert history(fast, name, "Action")[0]["HistorySummary"] == f"Successfully executed action {topic}"
    client.disable_alarm_actions(AlarmNames=[name])
    assert client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["ActionsEnabled"] is False
    client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="to see")
    assert len(history(fast, name, "Action")) == 1


# -- what a client asks -----------------------------------------------------------------------------------------------


def test_metric_data_comes_in_periods(cloud: Cloud) -> None:
    """Metrics and expressions over them, the newest first; an id that is not to be returned is not."""
    start = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0) - dt.timedelta(minutes=10)
    for minute, value in ((0, 1.0), (0, 3.0), (2, 5.0)):
        put(cloud, "data", value, Timestamp=start + dt.timedelta(minutes=minute), Unit="Count")
    stat = {"Metric": {"Namespace": "test", "MetricName": "data"}, "Period": 60, "Stat": "Average"}
    results = cloud.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {"Id": "m", "MetricStat": stat, "ReturnData": False},
            {"Id": "double", "Expression": "FILL(m, 0) * 2", "Label": "twice"},
            {"Id": "p", "MetricStat": {**stat, "Stat": "p50"}},
        ],
        StartTime=start,
        EndTime=start + dt.timedelta(minutes=3),
    )["MetricDataResults"]
    assert ["double", "p"] == [result["Id"] for result in results]
    assert ("twice", [10.0, 0.0, 4.0]) == (results[0]["Label"], results[0]["Values"])
    assert [start + dt.timedelta(minutes=2), start] == results[1]["Timestamps"]
    assert [5.0, 2.0] == results[1]["Values"]


def test_metrics_are_listed_by_what_they_are(cloud: Cloud) -> None:
    """A dimension may be asked for by its name alone."""
    for value in ("x", "y"):
        put(cloud, "listed", Dimensions=[{"Name": "One", "Value": value}])
    client = cloud.client("cloudwatch")

    def listed(**options: Any) -> list[str]:
        found = client.list_metrics(Namespace="test", MetricName="listed", **options)["Metrics"]
        return [metric["Dimensions"][0]["Value"] for metric in found]

    assert ["x", "y"] == listed()
    assert ["x", "y"] == listed(Dimensions=[{"Name": "One"}])
    assert ["y"] == listed(Dimensions=[{"Name": "One", "Value": "y"}])
    assert [] == listed(Dimensions=[{"Name": "Two"}])


def test_another_region_and_account_measure_for_themselves(cloud: Cloud) -> None:
    put(cloud, "here")
    assert [] == cloud.client("cloudwatch", "000000000002").list_metrics(MetricName="here")["Metrics"]


def test_many_values_arrive_compressed(cloud: Cloud) -> None:
    """The SDK compresses what is long."""
    data = [{"MetricName": "many", "Values": [float(one) for one in range(100)]} for _ in range(20)]
    cloud.client("cloudwatch").put_metric_data(Namespace="test", MetricData=data)
    assert cloud.measured("test", "many", {}, "SampleCount") == 2000


def test_alarms_are_described_page_by_page(cloud: Cloud) -> None:
    """By prefix and type; metric alarms alone, unless asked."""
    client = cloud.client("cloudwatch")
    for number in range(3):
        alarm(cloud, f"page-{number}")
    client.put_composite_alarm(AlarmName="page-all", AlarmRule="ALARM(page-0) AND NOT ALARM(page-1)")
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix="page-", PaginationConfig={"PageSize": 2})
    found = [[one["AlarmName"] for one in page["MetricAlarms"]] for page in pages]
    assert [["page-0", "page-1"], ["page-2"]] == found
    both = client.describe_alarms(AlarmNamePrefix="page-", AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    assert (1, 3) == (len(both["CompositeAlarms"]), len(both["MetricAlarms"]))
    children = client.describe_alarms(ChildrenOfAlarmName="page-all")["MetricAlarms"]
    assert ["page-0", "page-1"] == [one["AlarmName"] for one in children]


def test_a_changed_alarm_keeps_its_state(cloud: Cloud) -> None:
    """And loses what the change leaves out."""
    client = cloud.client("cloudwatch")
    alarm(cloud, "kept", AlarmDescription="before", TreatMissingData="ignore")
    client.set_alarm_state(AlarmName="kept", StateValue="ALARM", StateReason="to see")
    alarm(cloud, "kept", Threshold=9.0, TreatMissingData="ignore")
    described = client.describe_alarms(AlarmNames=["kept"])["MetricAlarms"][0]
    assert (9.0, "ALARM") == (described["Threshold"], described["StateValue"])
    assert "AlarmDescription" not in described


def test_tags_are_those_of_the_creation_until_they_are_changed(cloud: Cloud) -> None:
    client = cloud.client("cloudwatch")
    alarm(cloud, "tagged", Tags=[{"Key": "team", "Value": "a"}])
    alarm(cloud, "tagged", Tags=[{"Key": "team", "Value": "b"}])
    arn = client.describe_alarms(AlarmNames=["tagged"])["MetricAlarms"][0]["AlarmArn"]
    assert [{"Key": "team", "Value": "a"}] == client.list_tags_for_resource(ResourceARN=arn)["Tags"]
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "cost", "Value": "c"}])
    client.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert [{"Key": "cost", "Value": "c"}] == client.list_tags_for_resource(ResourceARN=arn)["Tags"]


def test_a_dashboard_is_what_was_put(cloud: Cloud) -> None:
    client, body = cloud.client("cloudwatch"), json.dumps({"widgets": []})
    client.put_dashboard(DashboardName="well", DashboardBody=body)
    assert body == client.get_dashboard(DashboardName="well")["DashboardBody"]
    assert ["well"] == [one["DashboardName"] for one in client.list_dashboards()["DashboardEntries"]]
    client.delete_dashboards(DashboardNames=["well"])
    assert [] == client.list_dashboards()["DashboardEntries"]


EXPRESSION = {"Id": "value", "Expression": "m + 1"}
METRIC = {
    "Id": "m",
    "MetricStat": {"Metric": {"Namespace": "test", "MetricName": "m"}, "Period": 60, "Stat": "Sum"},
    "ReturnData": False,
}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"Period": 45}, "multiple of 60"),
        ({"Period": 86400, "EvaluationPeriods": 8}, "604800"),
        ({"Period": 300, "EvaluationPeriods": 289}, "more than a day"),
        ({"DatapointsToAlarm": 2}, "less than or equal to EvaluationPeriods"),
        ({"TreatMissingData": "forget"}, "TreatMissingData must be one of"),
        ({"ExtendedStatistic": "p95"}, "either Statistic or ExtendedStatistic"),
        ({"Statistic": "Median"}, "Member must satisfy enum value set"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "must be one of"),
        ({"AlarmActions": ["nobody"]}, "Invalid arn syntax: nobody"),
        ({"Metrics": [METRIC, EXPRESSION, {**EXPRESSION, "Id": "other"}]}, "Exactly one element"),
        ({"Metrics": [EXPRESSION]}, "undefined variable 'm'"),
        ({"Metrics": [METRIC, {"Id": "value", "Expression": "WHATEVER(m)"}]}, "unknown function 'WHATEVER'"),
        ({"Metrics": [METRIC, {"Id": "value", "Expression": "METRICS()"}]}, "single time series"),
        ({"Metrics": [METRIC, {"Id": "Value", "Expression": "m"}]}, "lower case letter"),
        ({"Metrics": [METRIC, EXPRESSION], "Period": 60}, "together with Metrics"),
    ],
)
def test_an_alarm_that_cannot_be_is_refused(cloud: Cloud, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ClientError, match=why) as refused:
        alarm(cloud, "refused", **options)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_what_cannot_be_is_refused_by_its_name(cloud: Cloud) -> None:
    """As the service's model names its errors."""
    client = cloud.client("cloudwatch")
    alarm(cloud, "below")
    client.put_composite_alarm(AlarmName="above", AlarmRule="ALARM(below)")
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=15)
    cases: list[tuple[Callable[[], Any], str, str]] = [
        (lambda: client.delete_alarms(AlarmNames=["gone"]), "ResourceNotFound", "gone"),
        (lambda: client.delete_alarms(AlarmNames=["below"]), "ValidationError", "depending on it"),
        (lambda: client.get_dashboard(DashboardName="gone"), "ResourceNotFound", "gone"),
        (lambda: client.put_dashboard(DashboardName="x", DashboardBody="["), "InvalidParameterInput", "valid JSON"),
        (
            lambda: client.put_composite_alarm(AlarmName="x", AlarmRule="ALARM("),
            "ValidationError",
            "Error in AlarmRule",
        ),
        (lambda: client.put_composite_alarm(AlarmName="x", AlarmRule="OK(gone)"), "ValidationError", "do not exist"),
        (lambda: client.set_alarm_state(AlarmName="gone", StateValue="OK", StateReason=""), "ResourceNotFound", "gone"),
        (lambda: put(cloud, "m", Timestamp=long_ago), "InvalidParameterValue", "two weeks"),
        (lambda: put(cloud, "m", Values=[1.0]), "InvalidParameterCombination", "mutually exclusive"),
        (lambda: put(cloud, "m", float("nan")), "InvalidParameterValue", "invalid"),
        (
            lambda: client.put_metric_data(Namespace="AWS/Lambda", MetricData=[{"MetricName": "m", "Value": 1.0}]),
            "InvalidParameterValue",
            "AWS/Lambda",
        ),
        (lambda: client.describe_alarms(NextToken="x"), "InvalidNextToken", "invalid"),
        (
            lambda: client.put_metric_stream(
                Name="s", FirehoseArn="arn:aws:firehose:::x", RoleArn="arn:aws:iam:::r", OutputFormat="json"
            ),
            "InvalidAction",
            "does not play PutMetricStream",
        ),
    ]
    for ask, code, why in cases:
        with pytest.raises(ClientError, match=why) as refused:
            ask()
        assert code == refused.value.response["Error"]["Code"]


def signed(cloud: Cloud, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request of a protocol that this SDK does not choose."""
    request = AWSRequest("POST", cloud.url + path, data=body, headers=headers)  # type: ignore[no-untyped-call]
    SigV4Auth(Credentials(ACCOUNT, "any"), "monitoring", REGION).add_auth(request)  # type: ignore[no-untyped-call]
    sent = urllib.request.Request(cloud.url + path, body, dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=5) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_every_protocol_of_the_service_is_spoken(cloud: Cloud) -> None:
    """Query as older clients do, CBOR as newer ones; the SDK here chooses JSON."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = (
        b"Action=PutMetricAlarm&Version=2010-08-01&AlarmName=spoken&Namespace=test&MetricName=m&Statistic=Sum&Period=60"
        b"&EvaluationPeriods=1&Threshold=1&ComparisonOperator=GreaterThanThreshold"
        b"&Dimensions.member.1.Name=a&Dimensions.member.1.Value=b"
    )
    assert signed(cloud, "/", body, form)[0] == 200
    status, _, content = signed(cloud, "/", b"Action=DescribeAlarms&AlarmNames.member.1=spoken", form)
    assert status == 200
    assert b"<AlarmName>spoken</AlarmName>" in content
    assert b"<Dimensions><member><Name>a</Name><Value>b</Value></member></Dimensions>" in content
    status, _, content = signed(cloud, "/", b"Action=DeleteAlarms&AlarmNames.member.1=gone", form)
    assert (404, True) == (status, b"<Code>ResourceNotFound</Code>" in content)
    cbor = {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    path = "/service/GraniteServiceVersion20100801/operation/"
    names = b"\xa1\x6aAlarmNames\x81\x66spoken"
    status, headers, content = signed(cloud, f"{path}DescribeAlarms", names, cbor)
    assert (200, "rpc-v2-cbor") == (status, headers["smithy-protocol"])
    assert b"\x69AlarmName\x66spoken" in content
    assert signed(cloud, f"{path}DeleteAlarms", names, cbor)[0] == 200
    status, headers, _ = signed(cloud, f"{path}DeleteAlarms", names, cbor)
    assert (404, "ResourceNotFound;Sender") == (status, headers["x-amzn-query-error"])


# -- a restart --------------------------------------------------------------------------------------------------------


def test_alarms_and_metrics_outlive_the_process(other: Cloud) -> None:
    """With their states, tags and history, and where the sandbox's time was."""
    other.pace(FAST)
    client = other.client("cloudwatch")
    time.sleep(3)  # the sandbox is three minutes ahead of the machine now
    put(other, "m")
    alarm(other, "lasting", TreatMissingData="ignore", Tags=[{"Key": "team", "Value": "a"}])
    client.put_dashboard(DashboardName="well", DashboardBody='{"widgets": []}')
    until(lambda: "ALARM" in states(other, "lasting"), "the alarm never fired")
    before = client.describe_alarms()["MetricAlarms"]
    other.save("stamp")
    other.stop()
    other.start()
    assert before == client.describe_alarms()["MetricAlarms"]
    assert ["ALARM"] == states(other, "lasting")
    assert other.measured("test", "m", {}) == 5
    assert ["well"] == [one["DashboardName"] for one in client.list_dashboards()["DashboardEntries"]]
    arn = before[0]["AlarmArn"]
    assert [{"Key": "team", "Value": "a"}] == client.list_tags_for_resource(ResourceARN=arn)["Tags"]
