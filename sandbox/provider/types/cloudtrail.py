"""CloudTrail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

CARRIED = (
    "name",
    "s3BucketName",
    "s3KeyPrefix",
    "snsTopicName",
    "includeGlobalServiceEvents",
    "isMultiRegionTrail",
    "enableLogFileValidation",
    "cloudWatchLogsGroupArn",
    "cloudWatchLogsRoleArn",
    "kmsKeyId",
    "isOrganizationTrail",
)
SELECTORS = Call("put_event_selectors", {"TrailName": "{id}"}, ("eventSelectors", "advancedEventSelectors"), whole=True)
EVERYTHING = [{"ReadWriteType": "All", "IncludeManagementEvents": True}]
"""What a trail records that nobody has told what to."""


def _put_logging(context: Context) -> None:
    """A new trail does not log until it is told to."""
    operation = "start_logging" if context.inputs.get("enableLogging", True) else "stop_logging"
    context.call(operation, Name=context.id)


def _put_selectors(context: Context) -> None:
    params = context.parameters(SELECTORS)
    if not {"EventSelectors", "AdvancedEventSelectors"} & params.keys():
        params["EventSelectors"] = EVERYTHING
    context.call("put_event_selectors", **params)


def _put_tags(context: Context) -> None:
    """Removal takes whole tags here, not keys."""
    old, new = (values.get("tagsAll") or {} for values in (context.state, context.inputs))
    removed = [{"Key": key} for key in old if key not in new]
    added = [{"Key": key, "Value": value} for key, value in new.items() if old.get(key) != value]
    for operation, tags in (("remove_tags", removed), ("add_tags", added)):
        if tags:
            context.call(operation, ResourceId=context.id, TagsList=tags)


def _refine(context: Context, outputs: dict[str, Any]) -> None:
    if not context.found.get("HasCustomEventSelectors"):
        outputs.pop("eventSelectors", None)
        outputs.pop("advancedEventSelectors", None)


def _verify(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    faults = []
    if inputs.get("eventSelectors") and inputs.get("advancedEventSelectors"):
        faults.append(("eventSelectors", "give eventSelectors or advancedEventSelectors, not both"))
    if bool(inputs.get("cloudWatchLogsGroupArn")) != bool(inputs.get("cloudWatchLogsRoleArn")):
        faults.append(("cloudWatchLogsGroupArn", "a log group and the role that writes to it come together"))
    return faults


ENTRIES = (
    Resource(
        "aws:cloudtrail/trail:Trail",
        "cloudtrail",
        create=Call("create_trail", {}, CARRIED),
        id="TrailARN",
        reads=(
            Read(
                "get_trail",
                {"Name": "{id}"},
                "Trail",
                outputs={"arn": "TrailARN", "enableLogFileValidation": "LogFileValidationEnabled"},
            ),
            Read("get_trail_status", {"Name": "{id}"}, outputs={"enableLogging": "IsLogging"}, only=()),
            Read("get_event_selectors", {"TrailName": "{id}"}),
        ),
        update=(Call("update_trail", {"Name": "{id}"}, tuple(name for name in CARRIED if name != "name")),),
        settings=(
            Do(_put_selectors, ("eventSelectors", "advancedEventSelectors"), SELECTORS),
            Do(_put_tags, ("tagsAll",)),
            Do(_put_logging, ("enableLogging",)),
        ),
        delete=Call("delete_trail", {"Name": "{id}"}, ()),
        names={"cloudWatchLogsGroupArn": "CloudWatchLogsLogGroupArn"},
        name="name",
        replaces=("name",),
        arns=("kmsKeyId",),
        defaults={
            "enableLogFileValidation": False,
            "enableLogging": True,
            "includeGlobalServiceEvents": True,
            "isMultiRegionTrail": False,
            "isOrganizationTrail": False,
            "eventSelectors.includeManagementEvents": True,
            "eventSelectors.readWriteType": "All",
        },
        initial={"enableLogging": False, "tagsAll": {}},
        unsupported=("insightSelectors",),
        refine=_refine,
        verify=_verify,
        gone=("TrailNotFoundException",),
        tagging=Tagging(read=Read("list_tags", {"ResourceIdList": ["{arn}"]}, "ResourceTagList[0].TagsList")),
    ),
)
