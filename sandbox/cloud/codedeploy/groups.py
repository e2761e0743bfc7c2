"""Deployment groups: what one for Lambda may have, and what it has unless told otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.codedeploy.model import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

STYLE: Final = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
SETTINGS: Final = (
    "deploymentConfigName",
    "serviceRoleArn",
    "triggerConfigurations",
    "alarmConfiguration",
    "autoRollbackConfiguration",
    "outdatedInstancesStrategy",
    "deploymentStyle",
)
"""What a request sets of a group, and an update replaces."""

_OF_OTHERS: Final = {
    # What only servers or containers have, and the error for a group for Lambda that is given it.
    "ec2TagFilters": "InvalidEC2TagException",
    "ec2TagSet": "InvalidEC2TagException",
    "onPremisesInstanceTagFilters": "InvalidTagException",
    "onPremisesTagSet": "InvalidTagException",
    "autoScalingGroups": "InvalidAutoScalingGroupException",
    "loadBalancerInfo": "InvalidLoadBalancerInfoException",
    "blueGreenDeploymentConfiguration": "InvalidBlueGreenDeploymentConfigurationException",
    "ecsServices": "InvalidECSServiceException",
    "terminationHookEnabled": "InvalidInputException",
}
_TOPIC: Final = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+")
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
_MOST_ALARMS: Final = 10
_MOST_TRIGGERS: Final = 10
_LONGEST_ALARM: Final = 255


def check(asked: Mapping[str, Any]) -> None:
    """Refuse settings that a deployment group for Lambda cannot have.

    Raises:
        ServiceError: naming the first.
    """
    for name, code in _OF_OTHERS.items():
        if asked.get(name):
            raise ServiceError(code, f"a deployment group for Lambda has no {name}")
    style = asked.get("deploymentStyle")
    if style is not None and style != STYLE:
        if not all(style.get(name) for name in STYLE):
            raise ServiceError("InvalidDeploymentStyleException", "Deployment type or deployment option cannot be null")
        message = "For Lambda, deploymentType must be BLUE_GREEN and deploymentOption WITH_TRAFFIC_CONTROL"
        raise ServiceError("InvalidDeploymentStyleException", message)
    if (role := asked.get("serviceRoleArn")) is not None and not _ROLE.fullmatch(role):
        raise ServiceError("InvalidRoleException", f"{role} is no ARN of a role")
    check_alarms(asked.get("alarmConfiguration"))
    check_rollback(asked.get("autoRollbackConfiguration"))
    _check_triggers(asked.get("triggerConfigurations") or [])


def check_alarms(configuration: Mapping[str, Any] | None) -> None:
    """Refuse an alarm configuration that names nothing, too much or one alarm twice.

    Raises:
        ServiceError: it does.
    """
    names = [alarm.get("name") or "" for alarm in (configuration or {}).get("alarms") or ()]
    if (configuration or {}).get("enabled") and not names:
        raise ServiceError("InvalidAlarmConfigException", "The alarm configuration is enabled and lists no alarm")
    if any(not 0 < len(name) <= _LONGEST_ALARM for name in names) or len(set(names)) < len(names):
        message = f"Alarms must have different names of 1 to {_LONGEST_ALARM} characters"
        raise ServiceError("InvalidAlarmConfigException", message)
    if len(names) > _MOST_ALARMS:
        raise ServiceError("AlarmsLimitExceededException", f"{len(names)} alarms are given, {_MOST_ALARMS} are allowed")


def check_rollback(configuration: Mapping[str, Any] | None) -> None:
    """Refuse a rollback that is enabled for nothing.

    Raises:
        ServiceError: it is.
    """
    if (configuration or {}).get("enabled") and not (configuration or {}).get("events"):
        message = "Automatic rollback is enabled and lists no event that triggers it"
        raise ServiceError("InvalidAutoRollbackConfigException", message)


def _check_triggers(triggers: list[Mapping[str, Any]]) -> None:
    if len(triggers) > _MOST_TRIGGERS:
        message = f"{len(triggers)} triggers are given, {_MOST_TRIGGERS} are allowed"
        raise ServiceError("TriggerTargetsLimitExceededException", message)
    names = [str(trigger.get("triggerName") or "") for trigger in triggers]
    if not all(names) or len(set(names)) < len(names):
        raise ServiceError("InvalidTriggerConfigException", "Triggers must have different names")
    for trigger in triggers:
        if not _TOPIC.fullmatch(trigger.get("triggerTargetArn") or ""):
            message = f"{trigger.get('triggerTargetArn')} is no ARN of an SNS topic"
            raise ServiceError("InvalidTriggerConfigException", message)
        if not trigger.get("triggerEvents"):
            raise ServiceError("InvalidTriggerConfigException", f"{trigger['triggerName']} lists no event")


def described(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a new group, with what CodeDeploy fills in."""
    alarms = asked.get("alarmConfiguration") or {}
    rollback = asked.get("autoRollbackConfiguration") or {}
    return {
        **{name: asked[name] for name in SETTINGS if name in asked},
        "ec2TagFilters": [],
        "onPremisesInstanceTagFilters": [],
        "autoScalingGroups": [],
        "triggerConfigurations": list(asked.get("triggerConfigurations") or []),
        "alarmConfiguration": {"enabled": False, "ignorePollAlarmFailure": False, "alarms": [], **alarms},
        "autoRollbackConfiguration": {"enabled": False, "events": [], **rollback},
        "outdatedInstancesStrategy": asked.get("outdatedInstancesStrategy") or "UPDATE",
        "deploymentStyle": dict(STYLE),
        "terminationHookEnabled": False,
    }
