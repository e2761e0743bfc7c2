"""CloudWatch and its Logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

RETENTIONS = (
    0,
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)

TAGS = Tagging(
    Call("tag_resource", {"ResourceARN": "{arn}"}),
    Call("untag_resource", {"ResourceARN": "{arn}"}),
    Read("list_tags_for_resource", {"ResourceARN": "{arn}"}, "Tags"),
)
ACTIONS = ("alarmActions", "insufficientDataActions", "okActions")
PLAIN = (
    "name",
    "actionsEnabled",
    *ACTIONS,
    "alarmDescription",
    "comparisonOperator",
    "datapointsToAlarm",
    "evaluateLowSampleCountPercentiles",
    "evaluationPeriods",
    "extendedStatistic",
    "metricName",
    "namespace",
    "period",
    "statistic",
    "threshold",
    "treatMissingData",
    "unit",
)
ALARM = Call(
    "put_metric_alarm",
    {},
    PLAIN,
    names={"name": "AlarmName", "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile"},
    whole=True,
)
OF_ONE_METRIC = ("dimensions", "extendedStatistic", "metricName", "namespace", "period", "statistic", "unit")
COMPOSITE = ("actionsEnabled", *ACTIONS, "alarmDescription", "alarmName", "alarmRule")
PUT_COMPOSITE = Call("put_composite_alarm", {}, COMPOSITE, whole=True)


def _listed(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def _mapped(dimensions: list[dict[str, str]]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in dimensions}


QUERY = {"accountId": "AccountId", "expression": "Expression", "id": "Id", "label": "Label", "period": "Period"}
STATISTIC = {"period": "Period", "stat": "Stat", "unit": "Unit"}
METRIC = {"metricName": "MetricName", "namespace": "Namespace"}


def _query(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query as the API has it: the metric's own part stands one level deeper there."""
    query: dict[str, Any] = {member: given[name] for name, member in QUERY.items() if given.get(name)}
    query["ReturnData"] = bool(given.get("returnData", False))
    if metric := given.get("metric"):
        of: dict[str, Any] = {member: metric[name] for name, member in METRIC.items() if metric.get(name)}
        if metric.get("dimensions"):
            of["Dimensions"] = _listed(metric["dimensions"])
        query["MetricStat"] = {member: metric[name] for name, member in STATISTIC.items() if metric.get(name)}
        query["MetricStat"]["Metric"] = of
    return query


def _asked(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query as a program gives it."""
    given: dict[str, Any] = {name: query[member] for name, member in QUERY.items() if member in query}
    given["returnData"] = query.get("ReturnData", True)
    if stat := query.get("MetricStat"):
        of = stat["Metric"]
        given["metric"] = {
            **{name: stat[member] for name, member in STATISTIC.items() if member in stat},
            **{name: of[member] for name, member in METRIC.items() if member in of},
            **({"dimensions": _mapped(of["Dimensions"])} if of.get("Dimensions") else {}),
        }
    return given


def _put_alarm(context: Context) -> Any:
    """Put an alarm whole: what is left out is taken away."""
    parameters = context.parameters(ALARM, tagged=context.creating)
    if dimensions := context.inputs.get("dimensions"):
        parameters["Dimensions"] = _listed(dimensions)
    if queries := context.inputs.get("metricQueries"):
        parameters["Metrics"] = [_query(query) for query in queries]
    return context.call("put_metric_alarm", **parameters)


def _refine_alarm(context: Context, outputs: dict[str, Any]) -> None:
    if dimensions := context.found.get("Dimensions"):
        outputs["dimensions"] = _mapped(dimensions)
    if queries := context.found.get("Metrics"):
        outputs["metricQueries"] = [_asked(query) for query in queries]


def _verify_alarm(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    if ("metricQueries" in inputs) == ("metricName" in inputs):
        return [("metricName", "give either this or metricQueries")]
    if "metricQueries" in inputs:
        return [(name, "of an alarm on metricQueries, it stands there") for name in OF_ONE_METRIC if name in inputs]
    faults = [(name, "an alarm on metricName needs it") for name in ("namespace", "period") if name not in inputs]
    if ("statistic" in inputs) == ("extendedStatistic" in inputs):
        faults.append(("statistic", "give either this or extendedStatistic"))
    return faults


ENTRIES = (
    Resource(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "cloudwatch",
        create=Do(_put_alarm, (*PLAIN, "dimensions", "metricQueries"), ALARM),
        id="{name}",
        reads=(
            Read(
                "describe_alarms",
                {"AlarmNames": ["{id}"], "AlarmTypes": ["MetricAlarm"]},
                "MetricAlarms[0]",
                outputs={
                    "name": "AlarmName",
                    "arn": "AlarmArn",
                    "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
                },
                only=tuple(name for name in PLAIN if name not in ("name", "evaluateLowSampleCountPercentiles")),
            ),
        ),
        update=(Do(_put_alarm, (*(name for name in PLAIN if name != "name"), "dimensions", "metricQueries")),),
        delete=Call("delete_alarms", {"AlarmNames": ["{id}"]}, ()),
        name="name",
        replaces=("name",),
        sets=ACTIONS,
        defaults={"actionsEnabled": True, "treatMissingData": "missing"},
        allowed={"treatMissingData": ("missing", "ignore", "breaching", "notBreaching")},
        ranges={"datapointsToAlarm": (1, 10080)},
        unsupported=(
            "evaluationCriteria",
            "evaluationInterval",
            "evaluationWindow",
            "thresholdMetricId",
            "warmUpConfiguration",
        ),
        refine=_refine_alarm,
        verify=_verify_alarm,
        gone=("ResourceNotFound",),
        tagging=TAGS,
    ),
    Resource(
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "cloudwatch",
        create=PUT_COMPOSITE,
        id="{alarmName}",
        reads=(
            Read(
                "describe_alarms",
                {"AlarmNames": ["{id}"], "AlarmTypes": ["CompositeAlarm"]},
                "CompositeAlarms[0]",
                outputs={"arn": "AlarmArn"},
            ),
        ),
        update=(
            Call(
                "put_composite_alarm",
                {"AlarmName": "{id}"},
                tuple(n for n in COMPOSITE if n != "alarmName"),
                whole=True,
            ),
        ),
        delete=Call("delete_alarms", {"AlarmNames": ["{id}"]}, ()),
        replaces=("alarmName", "actionsEnabled"),
        sets=ACTIONS,
        defaults={"actionsEnabled": True},
        unsupported=("actionsSuppressor",),
        gone=("ResourceNotFound",),
        tagging=TAGS,
    ),
    Resource(
        "aws:cloudwatch/dashboard:Dashboard",
        "cloudwatch",
        create=Call("put_dashboard"),
        id="{dashboardName}",
        reads=(
            Read(
                "get_dashboard",
                {"DashboardName": "{id}"},
                outputs={"dashboardArn": "DashboardArn"},
            ),
        ),
        update=(Call("put_dashboard", {"DashboardName": "{id}"}, ("dashboardBody",)),),
        delete=Call("delete_dashboards", {"DashboardNames": ["{id}"]}, ()),
        replaces=("dashboardName",),
        documents=("dashboardBody",),
        gone=("ResourceNotFound",),
    ),
    Resource(
        "aws:cloudwatch/logGroup:LogGroup",
        "logs",
        create=Call("create_log_group"),
        id="{name}",
        reads=(
            Read(
                "describe_log_groups",
                {"logGroupNamePrefix": "{id}"},
                "logGroups[?logGroupName=='{id}'] | [0]",
                outputs={"retentionInDays": "retentionInDays || `0`"},
            ),
        ),
        settings=(
            Call(
                "put_retention_policy",
                {"logGroupName": "{id}"},
                ("retentionInDays",),
                clear=Call("delete_retention_policy", {"logGroupName": "{id}"}, ()),
            ),
        ),
        update=(
            Call(
                "associate_kms_key",
                {"logGroupName": "{id}"},
                ("kmsKeyId",),
                clear=Call("disassociate_kms_key", {"logGroupName": "{id}"}, ()),
            ),
            Call("put_log_group_deletion_protection", {"logGroupIdentifier": "{id}"}, ("deletionProtectionEnabled",)),
        ),
        delete=Call("delete_log_group", {"logGroupName": "{id}"}, ()),
        names={"name": "logGroupName"},
        name="name",
        replaces=("name", "logGroupClass"),
        defaults={"retentionInDays": 0, "skipDestroy": False},
        initial={"retentionInDays": 0},
        allowed={"retentionInDays": RETENTIONS},
        local=("skipDestroy",),
        unsupported=("namePrefix",),
        outputs={"arn": "arn:{partition}:logs:{region}:{account}:log-group:{id}"},
        gone=("ResourceNotFoundException",),
    ),
)
