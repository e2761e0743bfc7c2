"""CodeDeploy, for the compute platform Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

ARN = "arn:{partition}:codedeploy:{region}:{account}:"
APPLICATION = f"{ARN}application:{{name}}"
GROUP = f"{ARN}deploymentgroup:{{appName}}/{{deploymentGroupName}}"
SETTINGS = (
    "serviceRoleArn",
    "deploymentConfigName",
    "triggerConfigurations",
    "autoRollbackConfiguration",
    "deploymentStyle",
    "outdatedInstancesStrategy",
    "terminationHookEnabled",
)
IDENTITY = ("appName", "deploymentGroupName")
CREATE = Call("create_deployment_group", {}, (*IDENTITY, *SETTINGS), names={"appName": "applicationName"})
UPDATE = Call("update_deployment_group", {"applicationName": "{appName}"}, SETTINGS, whole=True)
OF_SERVERS = (
    "autoscalingGroups",
    "blueGreenDeploymentConfig",
    "ec2TagFilters",
    "ec2TagSets",
    "ecsService",
    "loadBalancerInfo",
    "onPremisesInstanceTagFilters",
)
TAGS = Tagging(
    Call("tag_resource", {"ResourceArn": "{arn}"}),
    Call("untag_resource", {"ResourceArn": "{arn}"}),
    Read("list_tags_for_resource", {"ResourceArn": "{arn}"}, "Tags"),
)


def _rename_application(context: Context) -> None:
    names = {"applicationName": context.state["name"], "newApplicationName": context.inputs["name"]}
    context.call("update_application", **names)
    context.state["arn"] = context.render(APPLICATION)  # by which it is tagged


def _alarms(context: Context) -> dict[str, Any]:
    """Return the alarm configuration as CodeDeploy takes it: alarms are objects there, and names in the SDK."""
    given = context.inputs.get("alarmConfiguration") or {}
    flags = {name: bool(given.get(name)) for name in ("enabled", "ignorePollAlarmFailure")}
    return {**flags, "alarms": [{"name": name} for name in given.get("alarms") or ()]}


def _create_group(context: Context) -> Any:
    parameters = context.parameters(CREATE, tagged=True)
    if "alarmConfiguration" in context.inputs:
        parameters["alarmConfiguration"] = _alarms(context)
    return context.call("create_deployment_group", **parameters)


def _update_group(context: Context) -> None:
    """Put all the settings: what is left out of an update stays as it was."""
    context.call(
        "update_deployment_group",
        **{
            "triggerConfigurations": [],
            "autoRollbackConfiguration": {"enabled": False, "events": []},
            **context.parameters(UPDATE),
            "alarmConfiguration": _alarms(context),
            "currentDeploymentGroupName": context.state["deploymentGroupName"],
            "newDeploymentGroupName": context.inputs["deploymentGroupName"],
        },
    )
    context.state["arn"] = context.render(GROUP)  # by which it is tagged


def _refine_application(context: Context, outputs: dict[str, Any]) -> None:
    context.id = outputs["applicationId"]  # an import names it by its name


def _refine_group(context: Context, outputs: dict[str, Any]) -> None:
    context.id = outputs["deploymentGroupId"]
    found = context.found.get("alarmConfiguration") or {}
    outputs["alarmConfiguration"] = {**found, "alarms": [alarm["name"] for alarm in found.get("alarms") or ()]}
    for name, listed in (("alarmConfiguration", "alarms"), ("autoRollbackConfiguration", "events")):
        read = outputs.get(name) or {}
        if name not in context.inputs and not read.get("enabled") and not read.get(listed):
            outputs.pop(name, None)  # CodeDeploy says of all groups that these are off


def _verify_config(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    routing = inputs.get("trafficRoutingConfig") or {}
    for kind, name in (("TimeBasedCanary", "timeBasedCanary"), ("TimeBasedLinear", "timeBasedLinear")):
        if (routing.get("type") == kind) != (name in routing):
            return [("trafficRoutingConfig", f"give {name} with the type {kind}, and with no other")]
    return []


ENTRIES = (
    Resource(
        "aws:codedeploy/application:Application",
        "codedeploy",
        create=Call("create_application", {}, ("name", "computePlatform"), names={"name": "applicationName"}),
        id="applicationId",
        imports="{name}",
        reads=(
            Read(
                "get_application",
                {"applicationName": "{name}"},
                "application",
                outputs={
                    "name": "applicationName",
                    "githubAccountName": "gitHubAccountName",
                    "linkedToGithub": "linkedToGitHub",
                },
            ),
        ),
        update=(Do(_rename_application, ("name",)),),
        delete=Call("delete_application", {"applicationName": "{name}"}, ()),
        name="name",
        replaces=("computePlatform",),
        defaults={"computePlatform": "Server"},
        outputs={"arn": APPLICATION},
        refine=_refine_application,
        gone=("ApplicationDoesNotExistException",),
        tagging=TAGS,
    ),
    Resource(
        "aws:codedeploy/deploymentConfig:DeploymentConfig",
        "codedeploy",
        create=Call("create_deployment_config"),
        id="{deploymentConfigName}",
        reads=(Read("get_deployment_config", {"deploymentConfigName": "{id}"}, "deploymentConfigInfo"),),
        delete=Call("delete_deployment_config", {"deploymentConfigName": "{id}"}, ()),
        names={
            "trafficRoutingConfig.timeBasedCanary.interval": "canaryInterval",
            "trafficRoutingConfig.timeBasedCanary.percentage": "canaryPercentage",
            "trafficRoutingConfig.timeBasedLinear.interval": "linearInterval",
            "trafficRoutingConfig.timeBasedLinear.percentage": "linearPercentage",
        },
        name="deploymentConfigName",
        replaces=(
            "deploymentConfigName",
            "computePlatform",
            "minimumHealthyHosts",
            "trafficRoutingConfig",
            "zonalConfig",
        ),
        defaults={"computePlatform": "Server", "trafficRoutingConfig.type": "AllAtOnce"},
        outputs={"arn": f"{ARN}deploymentconfig:{{deploymentConfigName}}"},
        verify=_verify_config,
        gone=("DeploymentConfigDoesNotExistException",),
    ),
    Resource(
        "aws:codedeploy/deploymentGroup:DeploymentGroup",
        "codedeploy",
        create=Do(_create_group, (*IDENTITY, *SETTINGS, "alarmConfiguration"), CREATE),
        id="deploymentGroupId",
        imports="{appName}:{deploymentGroupName}",
        reads=(
            Read(
                "get_deployment_group",
                {"applicationName": "{appName}", "deploymentGroupName": "{deploymentGroupName}"},
                "deploymentGroupInfo",
                outputs={"appName": "applicationName"},
            ),
        ),
        update=(Do(_update_group, ("deploymentGroupName", *SETTINGS, "alarmConfiguration"), UPDATE),),
        delete=Call(
            "delete_deployment_group",
            {"applicationName": "{appName}", "deploymentGroupName": "{deploymentGroupName}"},
            (),
        ),
        replaces=("appName",),
        sets=(
            "alarmConfiguration.alarms",
            "autoRollbackConfiguration.events",
            "triggerConfigurations",
            "triggerConfigurations.triggerEvents",
        ),
        defaults={
            "deploymentConfigName": "CodeDeployDefault.OneAtATime",
            "outdatedInstancesStrategy": "UPDATE",
            "terminationHookEnabled": False,
        },
        unsupported=OF_SERVERS,
        outputs={"arn": GROUP},
        refine=_refine_group,
        gone=("DeploymentGroupDoesNotExistException", "ApplicationDoesNotExistException"),
        tagging=TAGS,
    ),
)
