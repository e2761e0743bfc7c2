"""What CodeDeploy's operations do in one account and region; each has the name that boto3 gives it."""

# ruff: noqa: D102 — AWS documents its operations

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
import secrets
import string
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import acting
from sandbox.cloud.codedeploy import groups, revision, traffic
from sandbox.cloud.codedeploy.model import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Record = dict[str, Any]

PRINCIPAL: Final = "codedeploy.amazonaws.com"
ACTIVE: Final = ("Created", "Queued", "InProgress", "Baking", "Ready")
_ID: Final = re.compile(r"d-[A-Z0-9]{9}")
_PAGE: Final = 100
_BATCH: Final = 100
_BATCH_OF_DEPLOYMENTS: Final = 25
_MOST_TAGS: Final = 50
_LONGEST_TAG_KEY, _LONGEST_TAG_VALUE = 128, 256


@dataclass(kw_only=True)
class Region:
    """Everything of CodeDeploy in an account and region. The records are JSON, and saved as they are.

    Attributes:
        account: 12 digits.
        home: the region's name.
        begin: starts a deployment that was made.
        stop: stops one that is active, with what was said of its rollback.
        applications: by name: `info`, `tags`, `groups` (by name: `info`, `tags`).
        configs: those of the account, by name.
        deployments: by id, oldest first: `info`, `target`, `plan`, `hooks`.
    """

    account: str
    home: str
    begin: Callable[[Region, Record], None]
    stop: Callable[[str, bool | None], None]
    applications: dict[str, Record] = field(default_factory=dict)
    configs: dict[str, Record] = field(default_factory=dict)
    deployments: dict[str, Record] = field(default_factory=dict)

    # -- applications ------------------------------------------------------------------------------------------------

    def create_application(self, asked: Record) -> Record:
        name = asked["applicationName"]
        _for_lambda(asked.get("computePlatform", "Server"))
        if name in self.applications:
            raise ServiceError("ApplicationAlreadyExistsException", f"Application already exists: {name}")
        info = {
            "applicationId": str(uuid.uuid4()),
            "applicationName": name,
            "createTime": time.time(),
            "linkedToGitHub": False,
            "computePlatform": "Lambda",
        }
        self.applications[name] = {"info": info, "tags": _tagged({}, asked.get("tags") or []), "groups": {}}
        return {"applicationId": info["applicationId"]}

    def get_application(self, asked: Record) -> Record:
        return {"application": self._application(asked)["info"]}

    def batch_get_applications(self, asked: Record) -> Record:
        names = _batch(asked["applicationNames"])
        return {"applicationsInfo": [self._application({"applicationName": name})["info"] for name in names]}

    def list_applications(self, asked: Record) -> Record:
        return _page("applications", list(self.applications), asked)

    def update_application(self, asked: Record) -> Record:
        for name in ("applicationName", "newApplicationName"):
            if not asked.get(name):
                raise ServiceError("ApplicationNameRequiredException", f"{name} is required")
        application, new = self._application(asked), asked["newApplicationName"]
        if new in self.applications:
            raise ServiceError("ApplicationAlreadyExistsException", f"Application already exists: {new}")
        self.applications[new] = self.applications.pop(asked["applicationName"])
        application["info"]["applicationName"] = new
        for group in application["groups"].values():
            group["info"]["applicationName"] = new
        for deployment in self.deployments.values():
            if deployment["info"]["applicationName"] == asked["applicationName"]:
                deployment["info"]["applicationName"] = new
        return {}

    def delete_application(self, asked: Record) -> Record:
        self.applications.pop(asked["applicationName"], None)
        return {}

    # -- deployment configurations -----------------------------------------------------------------------------------

    def create_deployment_config(self, asked: Record) -> Record:
        name = asked["deploymentConfigName"]
        _for_lambda(asked.get("computePlatform", "Server"))
        if name.startswith(traffic.PREFIX):
            message = f"{name}: names that begin with {traffic.PREFIX} are AWS's own"
            raise ServiceError("InvalidDeploymentConfigNameException", message)
        if name in self.configs:
            raise ServiceError("DeploymentConfigAlreadyExistsException", f"Deployment config already exists: {name}")
        if asked.get("minimumHealthyHosts"):
            message = "a configuration for Lambda has no minimumHealthyHosts"
            raise ServiceError("InvalidMinimumHealthyHostValueException", message)
        if asked.get("zonalConfig"):
            message = "a configuration for Lambda has no zonalConfig"
            raise ServiceError("InvalidZonalDeploymentConfigurationException", message)
        traffic.check(asked.get("trafficRoutingConfig"))
        self.configs[name] = {
            "deploymentConfigId": str(uuid.uuid4()),
            "deploymentConfigName": name,
            "createTime": time.time(),
            "computePlatform": "Lambda",
            "trafficRoutingConfig": asked["trafficRoutingConfig"],
        }
        return {"deploymentConfigId": self.configs[name]["deploymentConfigId"]}

    def get_deployment_config(self, asked: Record) -> Record:
        return {"deploymentConfigInfo": self._config(asked["deploymentConfigName"])}

    def list_deployment_configs(self, asked: Record) -> Record:
        return _page("deploymentConfigsList", [*traffic.PREDEFINED, *self.configs], asked)

    def delete_deployment_config(self, asked: Record) -> Record:
        name = asked["deploymentConfigName"]
        if name.startswith(traffic.PREFIX):
            raise ServiceError("InvalidOperationException", f"{name} is AWS's own")
        users = [
            group["info"]["deploymentGroupName"]
            for application in self.applications.values()
            for group in application["groups"].values()
            if group["info"]["deploymentConfigName"] == name
        ]
        if users:
            raise ServiceError("DeploymentConfigInUseException", f"{name} is used by {', '.join(users)}")
        self.configs.pop(name, None)
        return {}

    # -- deployment groups -------------------------------------------------------------------------------------------

    def create_deployment_group(self, asked: Record) -> Record:
        application, name = self._application(asked), asked["deploymentGroupName"]
        if name in application["groups"]:
            raise ServiceError("DeploymentGroupAlreadyExistsException", f"Deployment group name already exists: {name}")
        if "deploymentStyle" not in asked:
            message = "For Lambda, deploymentStyle must be given: BLUE_GREEN, WITH_TRAFFIC_CONTROL"
            raise ServiceError("InvalidDeploymentStyleException", message)
        groups.check(asked)
        asked = {"deploymentConfigName": traffic.DEFAULT, **asked}
        self._config(asked["deploymentConfigName"])
        self._assumable(asked["serviceRoleArn"], asked["applicationName"], name)
        info = {
            "applicationName": asked["applicationName"],
            "deploymentGroupId": str(uuid.uuid4()),
            "deploymentGroupName": name,
            "computePlatform": "Lambda",
            **groups.described(asked),
        }
        application["groups"][name] = {"info": info, "tags": _tagged({}, asked.get("tags") or [])}
        return {"deploymentGroupId": info["deploymentGroupId"]}

    def get_deployment_group(self, asked: Record) -> Record:
        return {"deploymentGroupInfo": self._group(asked)["info"]}

    def batch_get_deployment_groups(self, asked: Record) -> Record:
        known = self._application(asked)["groups"]
        names = _batch(asked["deploymentGroupNames"])
        missing = [name for name in names if name not in known]
        said = {"errorMessage": f"No deployment group found for name: {', '.join(missing)}"} if missing else {}
        return {"deploymentGroupsInfo": [known[name]["info"] for name in names if name in known], **said}

    def list_deployment_groups(self, asked: Record) -> Record:
        known = self._application(asked)["groups"]
        return {"applicationName": asked["applicationName"], **_page("deploymentGroups", list(known), asked)}

    def update_deployment_group(self, asked: Record) -> Record:
        known = self._application(asked)["groups"]
        name = asked["currentDeploymentGroupName"]
        group = self._group({**asked, "deploymentGroupName": name})
        new = asked.get("newDeploymentGroupName") or name
        if new != name and new in known:
            raise ServiceError("DeploymentGroupAlreadyExistsException", f"Deployment group name already exists: {new}")
        groups.check(asked)
        if "deploymentConfigName" in asked:
            self._config(asked["deploymentConfigName"])
        if "serviceRoleArn" in asked:
            self._assumable(asked["serviceRoleArn"], asked["applicationName"], new)
        filled = groups.described(asked)
        group["info"].update({setting: filled[setting] for setting in groups.SETTINGS if setting in asked})
        group["info"]["deploymentGroupName"] = new
        known[new] = known.pop(name)
        for deployment in self._of_group(asked["applicationName"], name):
            deployment["info"]["deploymentGroupName"] = new
        return {"hooksNotCleanedUp": []}

    def delete_deployment_group(self, asked: Record) -> Record:
        application = self.applications.get(asked["applicationName"])
        if application:
            application["groups"].pop(asked["deploymentGroupName"], None)
        return {"hooksNotCleanedUp": []}

    # -- deployments -------------------------------------------------------------------------------------------------

    def create_deployment(self, asked: Record) -> Record:
        self._application(asked)
        if not asked.get("deploymentGroupName"):
            raise ServiceError("DeploymentGroupNameRequiredException", "deploymentGroupName is required")
        group = self._group(asked)["info"]
        _check_deployment(asked)
        config = asked.get("deploymentConfigName") or group["deploymentConfigName"]
        routing = self._config(config)["trafficRoutingConfig"]
        if active := self.active(group["applicationName"], group["deploymentGroupName"]):
            message = (
                f"The Deployment Group '{group['deploymentGroupName']}' already has an active Deployment '{active}'"
            )
            raise ServiceError("DeploymentLimitExceededException", message)
        rollback = asked.get("autoRollbackConfiguration") or group["autoRollbackConfiguration"]
        info = {
            **self._common(group, config),
            "revision": asked["revision"],
            "creator": "user",
            "autoRollbackConfiguration": rollback,
        }
        for name in ("description", "overrideAlarmConfiguration"):
            if name in asked:
                info[name] = asked[name]
        plan = {
            "routing": routing,
            "role": group["serviceRoleArn"],
            "alarms": asked.get("overrideAlarmConfiguration") or group["alarmConfiguration"],
            "triggers": group["triggerConfigurations"],
        }
        return {"deploymentId": self._begin(info, plan, group)}

    def roll_back(self, record: Record) -> Record | None:
        """Make and begin the deployment that takes another one back at once; None where its group is gone.

        Alarms do not stop it, and nothing validates it.

        Args:
            record: of a deployment that has ended, and got as far as to know its versions.
        """
        info, plan = record["info"], record["plan"]
        application = self.applications.get(info["applicationName"]) or {"groups": {}}
        known = application["groups"].get(info["deploymentGroupName"])
        if known is None:
            return None
        made = {
            **self._common(known["info"], info["deploymentConfigName"]),
            "revision": revision.swapped(revision.Shift(**plan["shift"])),
            "creator": "codeDeployRollback",
            "autoRollbackConfiguration": {"enabled": False, "events": []},
        }
        triggered, itself = info["deploymentId"], made["deploymentId"]
        made["rollbackInfo"] = {
            "rollbackTriggeringDeploymentId": triggered,
            "rollbackMessage": f"Deployment {itself} is triggered to roll back deployment {triggered}.",
        }
        info["rollbackInfo"] = {
            "rollbackDeploymentId": itself,
            "rollbackMessage": (
                f"Deployment {triggered} terminated. Automatic rollback is triggered with a DeploymentId {itself}."
            ),
        }
        plan = {"routing": {"type": "AllAtOnce"}, "role": plan["role"], "alarms": {}, "triggers": plan["triggers"]}
        self._begin(made, plan, known["info"])
        return self.deployments[itself]

    def get_deployment(self, asked: Record) -> Record:
        return {"deploymentInfo": self._deployment(asked["deploymentId"])["info"]}

    def batch_get_deployments(self, asked: Record) -> Record:
        identifiers = [_identified(one) for one in _batch(asked["deploymentIds"], _BATCH_OF_DEPLOYMENTS)]
        return {"deploymentsInfo": [self.deployments[one]["info"] for one in identifiers if one in self.deployments]}

    def list_deployments(self, asked: Record) -> Record:
        application, group = asked.get("applicationName"), asked.get("deploymentGroupName")
        if application and not group:
            raise ServiceError("DeploymentGroupNameRequiredException", "applicationName needs deploymentGroupName")
        if group and not application:
            raise ServiceError("ApplicationNameRequiredException", "deploymentGroupName needs applicationName")
        if application:
            self._group(asked)
        statuses = asked.get("includeOnlyStatuses") or ()
        created = asked.get("createTimeRange") or {}
        start, end = _moment(created.get("start"), 0), _moment(created.get("end"), float("inf"))
        if start > end:
            raise ServiceError("InvalidTimeRangeException", "createTimeRange ends before it starts")
        found = [
            identifier
            for identifier, record in self.deployments.items()
            if (not application or _of(record) == (application, group))
            and (not statuses or record["info"]["status"] in statuses)
            and start <= record["info"]["createTime"] <= end
        ]
        return _page("deployments", found[::-1], asked)

    def stop_deployment(self, asked: Record) -> Record:
        info = self._deployment(asked["deploymentId"])["info"]
        if info["status"] not in ACTIVE:
            message = f"Deployment {info['deploymentId']} is already completed: {info['status']}"
            raise ServiceError("DeploymentAlreadyCompletedException", message)
        self.stop(info["deploymentId"], asked.get("autoRollbackEnabled"))
        return {"status": "Pending", "statusMessage": "The stop operation is pending."}

    def list_deployment_targets(self, asked: Record) -> Record:
        target = self._target(asked)
        wanted = (asked.get("targetFilters") or {}).get("TargetStatus")
        fits = not wanted or target["lambdaTarget"]["status"] in wanted
        return _page("targetIds", [target["lambdaTarget"]["targetId"]] if fits else [], asked)

    def get_deployment_target(self, asked: Record) -> Record:
        target = self._target(asked)
        if asked["targetId"] != target["lambdaTarget"]["targetId"]:
            message = f"{asked['targetId']} is no target of {asked['deploymentId']}"
            raise ServiceError("DeploymentTargetDoesNotExistException", message)
        return {"deploymentTarget": target}

    def batch_get_deployment_targets(self, asked: Record) -> Record:
        if len(asked["targetIds"]) != 1:
            message = "A deployment to Lambda has one target"
            raise ServiceError("DeploymentTargetListSizeExceededException", message)
        found = self.get_deployment_target({**asked, "targetId": asked["targetIds"][0]})
        return {"deploymentTargets": [found["deploymentTarget"]]}

    def put_lifecycle_event_hook_execution_status(self, asked: Record) -> Record:
        if not asked.get("deploymentId"):
            raise ServiceError("DeploymentIdRequiredException", "deploymentId is required")
        record = self._deployment(asked["deploymentId"])
        if asked.get("status") not in ("Succeeded", "Failed"):
            message = f"status is {asked.get('status')}, and must be Succeeded or Failed"
            raise ServiceError("InvalidLifecycleEventHookExecutionStatusException", message)
        execution = asked.get("lifecycleEventHookExecutionId") or ""
        hook = record["hooks"].get(execution)
        if hook is None:
            message = f"{execution} is no execution of a hook of {asked['deploymentId']}"
            raise ServiceError("InvalidLifecycleEventHookExecutionIdException", message)
        if hook["status"] != "InProgress":
            message = f"{hook['event']} is already completed: {hook['status']}"
            raise ServiceError("LifecycleEventAlreadyCompletedException", message)
        hook["status"] = asked["status"]
        return {"lifecycleEventHookExecutionId": execution}

    # -- tags --------------------------------------------------------------------------------------------------------

    def tag_resource(self, asked: Record) -> Record:
        held = self._tags(asked["ResourceArn"])
        changed = _tagged(held, asked["Tags"])
        held.clear()
        held.update(changed)
        return {}

    def untag_resource(self, asked: Record) -> Record:
        held = self._tags(asked["ResourceArn"])
        for key in asked["TagKeys"]:
            held.pop(key, None)
        return {}

    def list_tags_for_resource(self, asked: Record) -> Record:
        held = self._tags(asked["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(held.items())]}

    def tags_of(self, resource: str) -> dict[str, str] | None:
        """Return the tags of what an ARN's last part names, as they are kept; None where there is no such thing."""
        kind, _, name = resource.partition(":")
        application, _, group = name.partition("/")
        found = self.applications.get(application)
        if found and kind == "deploymentgroup":
            found = found["groups"].get(group)
        tags: dict[str, str] | None = found["tags"] if found else None
        return tags

    def _tags(self, arn: str) -> dict[str, str]:
        parts = arn.split(":", 5)
        if len(parts) < 6 or parts[:2] != ["arn", "aws"] or parts[2] != "codedeploy":
            raise ServiceError("InvalidArnException", f"{arn} is no ARN of CodeDeploy")
        missing = {
            "application": "ApplicationDoesNotExistException",
            "deploymentgroup": "DeploymentGroupDoesNotExistException",
        }
        kind = parts[5].partition(":")[0]
        if kind not in missing or parts[3:5] != [self.home, self.account]:
            raise ServiceError("ArnNotSupportedException", f"{arn} can have no tags here")
        tags = self.tags_of(parts[5])
        if tags is None:
            raise ServiceError(missing[kind], f"{arn} does not exist")
        return tags

    # -- what the operations look up ---------------------------------------------------------------------------------

    def active(self, application: str, group: str) -> str | None:
        """Return the id of the deployment of a group that has not ended."""
        records = self._of_group(application, group)
        return next((one["info"]["deploymentId"] for one in records if one["info"]["status"] in ACTIVE), None)

    def ended(self, record: Record) -> None:
        """Note in its group that a deployment has ended."""
        info = record["info"]
        application = self.applications.get(info["applicationName"]) or {"groups": {}}
        group = application["groups"].get(info["deploymentGroupName"])
        if group is None:
            return
        last = {
            "deploymentId": info["deploymentId"],
            "status": info["status"],
            "createTime": info["createTime"],
            "endTime": info["completeTime"],
        }
        group["info"]["lastAttemptedDeployment"] = last
        if info["status"] == "Succeeded":
            group["info"] |= {"lastSuccessfulDeployment": last, "targetRevision": info["revision"]}

    def _of_group(self, application: str, group: str) -> list[Record]:
        return [record for record in self.deployments.values() if _of(record) == (application, group)]

    def _application(self, asked: Mapping[str, Any]) -> Record:
        name = asked.get("applicationName") or ""
        if name not in self.applications:
            raise ServiceError("ApplicationDoesNotExistException", f"No application found for name: {name}")
        return self.applications[name]

    def _group(self, asked: Mapping[str, Any]) -> Record:
        name = asked["deploymentGroupName"]
        group: Record | None = self._application(asked)["groups"].get(name)
        if group is None:
            raise ServiceError("DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {name}")
        return group

    def _config(self, name: str) -> Record:
        if name in self.configs:
            return self.configs[name]
        if name not in traffic.PREDEFINED:
            other = " (the sandbox has those for Lambda)" if name.startswith(traffic.PREFIX) else ""
            message = f"No Deployment Configuration found for name: {name}{other}"
            raise ServiceError("DeploymentConfigDoesNotExistException", message)
        return {
            "deploymentConfigId": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "deploymentConfigName": name,
            "createTime": dt.datetime(2017, 11, 27, tzinfo=dt.UTC).timestamp(),
            "computePlatform": "Lambda",
            "trafficRoutingConfig": traffic.PREDEFINED[name],
        }

    def _deployment(self, identifier: str) -> Record:
        record = self.deployments.get(_identified(identifier))
        if record is None:
            message = f"The deployment {identifier} could not be found"
            raise ServiceError("DeploymentDoesNotExistException", message)
        return record

    def _target(self, asked: Mapping[str, Any]) -> Record:
        record = self._deployment(asked["deploymentId"])
        if record["target"] is None:
            message = f"The deployment {asked['deploymentId']} has not started"
            raise ServiceError("DeploymentNotStartedException", message)
        return {"deploymentTargetType": "LambdaTarget", "lambdaTarget": record["target"]}

    def _assumable(self, role: str, application: str, group: str) -> None:
        source = f"arn:aws:codedeploy:{self.home}:{self.account}:deploymentgroup:{application}/{group}"
        if not acting.trusts(role, PRINCIPAL, self.account, source):
            message = f"AWS CodeDeploy does not have the permissions required to assume the role {role}."
            raise ServiceError("InvalidRoleException", message)

    def _common(self, group: Mapping[str, Any], config: str) -> Record:
        """Return what all new deployments of a group say."""
        return {
            "applicationName": group["applicationName"],
            "deploymentGroupName": group["deploymentGroupName"],
            "deploymentConfigName": config,
            "deploymentId": self._new_id(),
            "status": "Created",
            "createTime": time.time(),
            "ignoreApplicationStopFailures": False,
            "updateOutdatedInstancesOnly": False,
            "deploymentStyle": dict(groups.STYLE),
            "instanceTerminationWaitTimeStarted": False,
            "fileExistsBehavior": "DISALLOW",
            "deploymentStatusMessages": [],
            "computePlatform": "Lambda",
        }

    def _new_id(self) -> str:
        while True:
            made = "d-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(9))
            if made not in self.deployments:
                return made

    def _begin(self, info: Record, plan: Record, group: Mapping[str, Any]) -> str:
        if "targetRevision" in group:
            info["previousRevision"] = group["targetRevision"]
        record = {"info": info, "target": None, "plan": {"shift": None, "step": 0, **plan}, "hooks": {}}
        identifier: str = info["deploymentId"]
        self.deployments[identifier] = record
        self.begin(self, record)
        return identifier


def _check_deployment(asked: Mapping[str, Any]) -> None:
    """Refuse what only deployments to servers can be asked for.

    Raises:
        ServiceError: naming it.
    """
    if asked.get("deploymentMode") == "RESTART":
        raise ServiceError("InvalidInputException", "deploymentMode RESTART is for servers, not for Lambda")
    for name, code in (
        ("ignoreApplicationStopFailures", "InvalidIgnoreApplicationStopFailuresValueException"),
        ("updateOutdatedInstancesOnly", "InvalidUpdateOutdatedInstancesOnlyValueException"),
        ("targetInstances", "InvalidTargetInstancesException"),
    ):
        if asked.get(name):
            raise ServiceError(code, f"{name} is for servers, not for Lambda")
    if asked.get("fileExistsBehavior", "DISALLOW") != "DISALLOW":
        raise ServiceError("InvalidFileExistsBehaviorException", "fileExistsBehavior is for servers, not for Lambda")
    if not asked.get("revision"):
        raise ServiceError("RevisionRequiredException", "revision is required")
    revision.check(asked["revision"])
    groups.check_alarms(asked.get("overrideAlarmConfiguration"))
    groups.check_rollback(asked.get("autoRollbackConfiguration"))


def _for_lambda(platform: str) -> None:
    if platform != "Lambda":
        message = f"the sandbox plays CodeDeploy for Lambda, not for {platform}"
        raise ServiceError("InvalidComputePlatformException", message)


def _of(record: Mapping[str, Any]) -> tuple[str, str]:
    return record["info"]["applicationName"], record["info"]["deploymentGroupName"]


def _identified(identifier: str) -> str:
    if not _ID.fullmatch(identifier):
        raise ServiceError(
            "InvalidDeploymentIdException", f"Specified DeploymentId is not in the valid format: {identifier}"
        )
    return identifier


def _batch(names: Sequence[str], most: int = _BATCH) -> Sequence[str]:
    if len(names) > most:
        raise ServiceError("BatchLimitExceededException", f"{len(names)} are asked for, {most} are allowed")
    return names


def _page(member: str, items: Sequence[str], asked: Mapping[str, Any]) -> Record:
    """Return a page of a list, and the token of the next."""
    start = 0
    if token := asked.get("nextToken"):
        try:
            start = int(base64.b64decode(token, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ServiceError("InvalidNextTokenException", f"{token} is no token of this list") from error
    rest = {"nextToken": base64.b64encode(str(start + _PAGE).encode()).decode()} if len(items) > start + _PAGE else {}
    return {member: list(items[start : start + _PAGE]), **rest}


def _moment(given: Any, default: float) -> float:
    if given is None:
        return default
    if isinstance(given, str):
        try:
            return dt.datetime.fromisoformat(given).timestamp()
        except ValueError as error:
            raise ServiceError("InvalidTimeRangeException", f"{given} is no moment") from error
    return float(given)


def _tagged(held: Mapping[str, str], tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return tags with others added.

    Raises:
        ServiceError: they are not ones that AWS takes.
    """
    changed = dict(held)
    for tag in tags:
        key, value = str(tag.get("Key") or ""), str(tag.get("Value") or "")
        if not 0 < len(key) <= _LONGEST_TAG_KEY or key.lower().startswith("aws:") or len(value) > _LONGEST_TAG_VALUE:
            raise ServiceError("InvalidTagsToAddException", f"{key}={value} is no tag that can be given")
        changed[key] = value
    if len(changed) > _MOST_TAGS:
        raise ServiceError("InvalidTagsToAddException", f"a resource can have {_MOST_TAGS} tags")
    return changed
