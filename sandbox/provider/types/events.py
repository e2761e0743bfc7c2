"""EventBridge's rules, which the SDK keeps under CloudWatch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.resource import ResourceError
from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("ResourceNotFoundException",)
BUS = "{eventBusName}"
RULE = Call(
    "put_rule",
    {},
    ("name", "description", "eventBusName", "eventPattern", "roleArn", "scheduleExpression", "state"),
    whole=True,
)
TARGET = (
    "arn",
    "appsyncTarget",
    "batchTarget",
    "deadLetterConfig",
    "ecsTarget",
    "httpTarget",
    "input",
    "inputPath",
    "inputTransformer",
    "kinesisTarget",
    "redshiftTarget",
    "retryPolicy",
    "roleArn",
    "runCommandTargets",
    "sagemakerPipelineTarget",
    "sqsTarget",
    "targetId",
)
PLAYED = ("arn", "deadLetterConfig", "input", "inputPath", "inputTransformer", "retryPolicy", "roleArn", "targetId")


def _put_rule(context: Context) -> Any:
    """Put a rule whole: what is left out of PutRule is taken away."""
    parameters = context.parameters(RULE, tagged=context.creating)
    if "state" not in context.inputs:
        parameters["State"] = "DISABLED" if context.inputs.get("isEnabled") is False else "ENABLED"
    return context.call("put_rule", **parameters)


def _update_rule(context: Context) -> None:
    _put_rule(context)


def _delete_rule(context: Context) -> None:
    """Delete a rule, its targets first where the program says so."""
    where = {"Rule": context.scope("name"), "EventBusName": context.scope("eventBusName")}
    if context.state.get("forceDestroy"):
        found = context.call("list_targets_by_rule", **where)["Targets"]
        if found:
            context.call("remove_targets", **where, Ids=[one["Id"] for one in found])
    context.call("delete_rule", Name=where["Rule"], EventBusName=where["EventBusName"])


def _refine_rule(context: Context, outputs: dict[str, Any]) -> None:
    enabled = outputs.get("state") != "DISABLED"
    outputs["isEnabled"] = enabled
    # A program that leaves the state out means ENABLED; what shows is only another one.
    if "state" not in context.inputs and (enabled or "isEnabled" in context.inputs):
        outputs.pop("state", None)


def _verify_rule(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    faults = []
    if not {"eventPattern", "scheduleExpression"} & set(inputs):
        faults.append(("scheduleExpression", "give scheduleExpression, eventPattern or both"))
    if "isEnabled" in inputs and "state" in inputs:
        faults.append(("state", "give either state or isEnabled"))
    return faults


def _put_target(context: Context) -> None:
    inputs = context.inputs
    target: dict[str, Any] = {"Id": inputs["targetId"], "Arn": inputs["arn"]}
    for name, member in (("input", "Input"), ("inputPath", "InputPath"), ("roleArn", "RoleArn")):
        if inputs.get(name):
            target[member] = inputs[name]
    if transformer := inputs.get("inputTransformer"):
        target["InputTransformer"] = {"InputTemplate": transformer["inputTemplate"]}
        if transformer.get("inputPaths"):
            target["InputTransformer"]["InputPathsMap"] = transformer["inputPaths"]
    if (queue := inputs.get("deadLetterConfig") or {}).get("arn"):
        target["DeadLetterConfig"] = {"Arn": queue["arn"]}
    if policy := inputs.get("retryPolicy"):
        members = {
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            "maximumRetryAttempts": "MaximumRetryAttempts",
        }
        target["RetryPolicy"] = {member: policy[name] for name, member in members.items() if name in policy}
    answer = context.call("put_targets", Rule=inputs["rule"], EventBusName=inputs["eventBusName"], Targets=[target])
    for entry in answer.get("FailedEntries") or ():
        raise ResourceError(f"{context.entry.token}: {entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")


def _refine_target(context: Context, outputs: dict[str, Any]) -> None:
    found = context.found
    outputs["targetId"] = found["Id"]
    if "InputTransformer" in found:
        transformer = {"inputTemplate": found["InputTransformer"]["InputTemplate"]}
        if paths := found["InputTransformer"].get("InputPathsMap"):
            transformer["inputPaths"] = paths
        outputs["inputTransformer"] = transformer


def _verify_target(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    given = [name for name in ("input", "inputPath", "inputTransformer") if name in inputs]
    return [] if len(given) <= 1 else [("input", f"give one of input, inputPath, inputTransformer; got {given}")]


ENTRIES = (
    Resource(
        "aws:cloudwatch/eventRule:EventRule",
        "events",
        create=Do(_put_rule, (*(RULE.carries or ()), "isEnabled"), RULE),
        id="{name}",
        imports="{name}",
        reads=(Read("describe_rule", {"Name": "{name}", "EventBusName": BUS}, outputs={"arn": "Arn"}),),
        update=(
            Do(
                _update_rule,
                ("description", "eventPattern", "roleArn", "scheduleExpression", "state", "isEnabled"),
            ),
        ),
        delete=Do(_delete_rule),
        name="name",
        replaces=("name", "eventBusName"),
        documents=("eventPattern",),
        defaults={"eventBusName": "default", "forceDestroy": False},
        initial={"isEnabled": True},
        local=("forceDestroy",),
        unsupported=("namePrefix",),
        refine=_refine_rule,
        verify=_verify_rule,
        gone=GONE,
        tagging=Tagging(
            Call("tag_resource", {"ResourceARN": "{arn}"}),
            Call("untag_resource", {"ResourceARN": "{arn}"}),
            Read("list_tags_for_resource", {"ResourceARN": "{arn}"}, "Tags"),
        ),
    ),
    Resource(
        "aws:cloudwatch/eventTarget:EventTarget",
        "events",
        create=Do(_put_target, ("rule", "eventBusName", *PLAYED)),
        id="{rule}-{targetId}",
        imports="{rule}/{targetId}",
        reads=(
            Read(
                "list_targets_by_rule",
                {"Rule": "{rule}", "EventBusName": BUS},
                "Targets[?Id=='{targetId}'] | [0]",
                only=("arn", "deadLetterConfig", "input", "inputPath", "retryPolicy", "roleArn"),
            ),
        ),
        update=(Do(_put_target, PLAYED),),
        delete=Call("remove_targets", {"Rule": "{rule}", "EventBusName": BUS, "Ids": ["{targetId}"]}, ()),
        name="targetId",
        replaces=("rule", "targetId", "eventBusName"),
        documents=("input",),
        defaults={"eventBusName": "default", "forceDestroy": False},
        local=("forceDestroy",),
        unsupported=tuple(name for name in TARGET if name not in PLAYED),
        refine=_refine_target,
        verify=_verify_target,
        gone=GONE,
    ),
)
