"""EventBridge Scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("ResourceNotFoundException",)
SCHEDULE = (
    "actionAfterCompletion",
    "description",
    "endDate",
    "flexibleTimeWindow",
    "groupName",
    "kmsKeyArn",
    "name",
    "scheduleExpression",
    "scheduleExpressionTimezone",
    "startDate",
    "state",
    "target",
)
NAMES = {
    "target.ecsParameters.capacityProviderStrategies": "CapacityProviderStrategy",
    "target.ecsParameters.networkConfiguration.subnets": "awsvpcConfiguration.Subnets",
    "target.ecsParameters.networkConfiguration.assignPublicIp": "awsvpcConfiguration.AssignPublicIp",
    "target.ecsParameters.networkConfiguration.securityGroups": "awsvpcConfiguration.SecurityGroups",
    "target.ecsParameters.placementStrategies": "PlacementStrategy",
    "target.sagemakerPipelineParameters.pipelineParameters": "PipelineParameterList",
}
CREATE = Call("create_schedule", {}, SCHEDULE)
UPDATE = Call("update_schedule", {}, SCHEDULE, whole=True)


def _update(context: Context) -> None:
    """All of it at once: what is left out of an update goes back to AWS's default."""
    context.call("update_schedule", **context.parameters(UPDATE))


def _refine(_context: Context, outputs: dict[str, Any]) -> None:
    target = outputs.get("target") or {}
    target.setdefault("retryPolicy", {"maximumEventAgeInSeconds": 86400, "maximumRetryAttempts": 185})


def _verify(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    window = inputs.get("flexibleTimeWindow") or {}
    minutes = window.get("maximumWindowInMinutes")
    if window.get("mode") == "FLEXIBLE" and minutes is None:
        return [("flexibleTimeWindow", "a FLEXIBLE window needs maximumWindowInMinutes, 1 to 1440")]
    if window.get("mode") == "OFF" and minutes:
        return [("flexibleTimeWindow", "a window that is OFF has no maximumWindowInMinutes")]
    return []


ENTRIES = (
    Resource(
        "aws:scheduler/schedule:Schedule",
        "scheduler",
        create=CREATE,
        id="{groupName}/{name}",
        reads=(Read("get_schedule", {"GroupName": "{groupName}", "Name": "{name}"}),),
        update=(Do(_update, tuple(name for name in SCHEDULE if name not in ("name", "groupName")), UPDATE),),
        delete=Call("delete_schedule", {"GroupName": "{groupName}", "Name": "{name}"}, ()),
        names=NAMES,
        name="name",
        replaces=("name", "groupName"),
        defaults={
            "actionAfterCompletion": "NONE",
            "groupName": "default",
            "scheduleExpressionTimezone": "UTC",
            "state": "ENABLED",
            "target.retryPolicy.maximumEventAgeInSeconds": 86400,
            "target.retryPolicy.maximumRetryAttempts": 185,
        },
        unsupported=("namePrefix",),
        refine=_refine,
        verify=_verify,
        gone=GONE,
        tagging=Tagging(),
    ),
    Resource(
        "aws:scheduler/scheduleGroup:ScheduleGroup",
        "scheduler",
        create=Call("create_schedule_group"),
        id="{name}",
        reads=(Read("get_schedule_group", {"Name": "{id}"}),),
        delete=Call("delete_schedule_group", {"Name": "{id}"}, ()),
        name="name",
        replaces=("name",),
        unsupported=("namePrefix",),
        gone=GONE,
        tagging=Tagging(
            Call("tag_resource", {"ResourceArn": "{arn}"}),
            Call("untag_resource", {"ResourceArn": "{arn}"}),
            Read("list_tags_for_resource", {"ResourceArn": "{arn}"}, "Tags"),
        ),
    ),
)
