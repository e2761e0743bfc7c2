"""What an alarm tells SNS when its state changes, and whether SNS lets CloudWatch tell it."""

from __future__ import annotations

import datetime as dt
import functools
import json
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import scope

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICE: Final = "cloudwatch.amazonaws.com"
_KEY_ACTIONS: Final = ("kms:Decrypt", "kms:GenerateDataKey")


class ActionError(RuntimeError):
    """An action that could not be taken; the message stands in the alarm's history."""


def publish(arn: str, alarm: Mapping[str, Any], message: str) -> None:
    """Publish to a topic as CloudWatch does: by the topic's policy, and by the policy of the key that encrypts it.

    Args:
        arn: of the action.
        alarm: whose action it is.
        message: the notification.

    Raises:
        ActionError: it is no topic, or CloudWatch may not publish to it.
    """
    from ministack.services import sns

    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "sns":
        raise ActionError(f"the sandbox plays no actions but those of SNS topics: {arn}")
    _, _, _, region, owner, _ = parts
    home, account = alarm["AlarmArn"].split(":")[3:5]
    topic = sns._topic_by_arn_any_scope(arn)  # noqa: SLF001
    if topic is None or region != home:
        raise ActionError(f"Topic does not exist: {arn}")
    with scope.account(owner, region):
        if not sns.topic_policy_allows(arn, _SERVICE, alarm["AlarmArn"], account):
            raise ActionError(
                f"CloudWatch Alarms is not authorized to perform: SNS:Publish on resource: {arn} because no "
                "resource-based policy allows the SNS:Publish action"
            )
        key = topic.get("attributes", {}).get("KmsMasterKeyId")
        if key and not _may_use(key, alarm["AlarmArn"], account):
            raise ActionError("CloudWatch Alarms does not have authorization to access the SNS topic encryption key.")
        subject = f'{alarm["StateValue"]}: "{alarm["AlarmName"]}" in {region_name(home)}'
        try:
            sns.publish_internal(arn, message, subject[:100])
        except sns.SnsPublishError as error:
            raise ActionError(str(error)) from error


def _may_use(key: str, alarm: str, account: str) -> bool:
    """Tell whether the policy of a key lets CloudWatch use it; AWS's own key for SNS does not."""
    from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
    from ministack.services import kms

    record = kms._resolve_key(key)  # noqa: SLF001
    if not record:
        return False
    policy = record.get("Policy")
    document = json.loads(policy) if isinstance(policy, str) else policy or {}
    return all(
        evaluate_resource_policy(
            document,
            EvalContext(
                principal_arn=_SERVICE,
                principal_type="Service",
                principal_account="",
                action=action,
                resource_arn=record["Arn"],
                region=scope.region(),
                service_context={"aws:sourceaccount": account, "aws:sourcearn": alarm},
            ),
            service=_SERVICE,
        ).decision
        == "Allow"
        for action in _KEY_ACTIONS
    )


@functools.cache
def region_name(region: str) -> str:
    """Return a region's name as notifications tell it, e.g. "EU (Frankfurt)"."""
    from botocore.session import get_session

    for partition in get_session().get_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            told: str = partition["regions"][region]["description"]
            return told.replace("Europe (", "EU (")
    return region


def message(alarm: Mapping[str, Any], before: str, changed: float, children: list[dict[str, Any]] | None = None) -> str:
    """Return the notification of a state.

    Args:
        alarm: as DescribeAlarms tells it.
        before: the state that it was in.
        changed: when that ended, in the machine's time.
        children: the alarms that made a composite alarm change; None for a metric alarm.
    """
    home, account = alarm["AlarmArn"].split(":")[3:5]
    told: dict[str, Any] = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription"),
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": moment(alarm["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": alarm["StateValue"],
        "NewStateReason": alarm["StateReason"],
        "StateChangeTime": moment(changed),
        "Region": region_name(home),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": before,
        "OKActions": alarm["OKActions"],
        "AlarmActions": alarm["AlarmActions"],
        "InsufficientDataActions": alarm["InsufficientDataActions"],
    }
    if children is None:
        told["Trigger"] = _trigger(alarm)
    else:
        told |= {"AlarmRule": alarm["AlarmRule"], "TriggeringChildren": children}
    return json.dumps(told)


def moment(seconds: float) -> str:
    """Return a moment as CloudWatch's own JSON tells it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def _trigger(alarm: Mapping[str, Any]) -> dict[str, Any]:
    judged = {
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm["EvaluationPeriods"],
        "DatapointsToAlarm": alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]),
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": alarm["Threshold"],
        "TreatMissingData": alarm.get("TreatMissingData", "missing"),
        "EvaluateLowSampleCountPercentile": alarm.get("EvaluateLowSampleCountPercentile", ""),
    }
    if "Metrics" in alarm:
        return {**judged, "Metrics": [_query(query) for query in alarm["Metrics"]]}
    extended = alarm.get("ExtendedStatistic")
    return {
        "MetricName": alarm["MetricName"],
        "Namespace": alarm["Namespace"],
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        **({"ExtendedStatistic": extended} if extended else {"Statistic": _loud(alarm["Statistic"])}),
        "Unit": alarm.get("Unit"),
        "Dimensions": _dimensions(alarm.get("Dimensions", ())),
        **judged,
    }


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    told = {**query, "ReturnData": query.get("ReturnData", True)}
    if "MetricStat" in query:
        of = query["MetricStat"]["Metric"]
        told["MetricStat"] = {
            **query["MetricStat"],
            "Metric": {**of, "Dimensions": _dimensions(of.get("Dimensions", ()))},
        }
    return told


def _dimensions(given: Any) -> list[dict[str, str]]:
    return [{"value": one["Value"], "name": one["Name"]} for one in given]


def _loud(statistic: str) -> str:
    return {"SampleCount": "SAMPLE_COUNT"}.get(statistic, statistic.upper())
