"""CodeDeploy's requests, held to the service's own model as botocore has it."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# The error for a member that is missing or empty.
_REQUIRED: Final = {
    "applicationName": "ApplicationNameRequiredException",
    "applicationNames": "ApplicationNameRequiredException",
    "newApplicationName": "ApplicationNameRequiredException",
    "deploymentGroupName": "DeploymentGroupNameRequiredException",
    "deploymentGroupNames": "DeploymentGroupNameRequiredException",
    "currentDeploymentGroupName": "DeploymentGroupNameRequiredException",
    "newDeploymentGroupName": "DeploymentGroupNameRequiredException",
    "deploymentConfigName": "DeploymentConfigNameRequiredException",
    "serviceRoleArn": "RoleRequiredException",
    "deploymentId": "DeploymentIdRequiredException",
    "deploymentIds": "DeploymentIdRequiredException",
    "targetId": "DeploymentTargetIdRequiredException",
    "targetIds": "DeploymentTargetIdRequiredException",
    "revision": "RevisionRequiredException",
    "ResourceArn": "ResourceArnRequiredException",
    "Tags": "TagRequiredException",
    "TagKeys": "TagRequiredException",
}
# The error for a value that the model does not allow, by the innermost of these members that it stands in.
_INVALID: Final = {
    "applicationName": "InvalidApplicationNameException",
    "applicationNames": "InvalidApplicationNameException",
    "newApplicationName": "InvalidApplicationNameException",
    "computePlatform": "InvalidComputePlatformException",
    "deploymentGroupName": "InvalidDeploymentGroupNameException",
    "deploymentGroupNames": "InvalidDeploymentGroupNameException",
    "currentDeploymentGroupName": "InvalidDeploymentGroupNameException",
    "newDeploymentGroupName": "InvalidDeploymentGroupNameException",
    "deploymentConfigName": "InvalidDeploymentConfigNameException",
    "deploymentStyle": "InvalidDeploymentStyleException",
    "includeOnlyStatuses": "InvalidDeploymentStatusException",
    "createTimeRange": "InvalidTimeRangeException",
    "autoRollbackConfiguration": "InvalidAutoRollbackConfigException",
    "alarmConfiguration": "InvalidAlarmConfigException",
    "overrideAlarmConfiguration": "InvalidAlarmConfigException",
    "triggerConfigurations": "InvalidTriggerConfigException",
    "trafficRoutingConfig": "InvalidTrafficRoutingConfigurationException",
    "minimumHealthyHosts": "InvalidMinimumHealthyHostValueException",
    "zonalConfig": "InvalidZonalDeploymentConfigurationException",
    "blueGreenDeploymentConfiguration": "InvalidBlueGreenDeploymentConfigurationException",
    "fileExistsBehavior": "InvalidFileExistsBehaviorException",
    "revision": "InvalidRevisionException",
    "status": "InvalidLifecycleEventHookExecutionStatusException",
    "ResourceArn": "InvalidArnException",
    "Tags": "InvalidTagsToAddException",
    "tags": "InvalidTagsToAddException",
}
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "timestamp": (int, float, str),
}


class ServiceError(Exception):
    """CodeDeploy refuses.

    Attributes:
        code: the name of the exception in the service's model.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@functools.cache
def service() -> Any:
    """Return botocore's model of the service."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("codedeploy", "service-2"))


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse a request that the operation's input does not allow.

    Raises:
        ServiceError: naming the first member that is missing or wrong.
    """
    shape = service().operation_model(operation).input_shape
    if shape is not None:
        _check(shape, request, ())


def _check(shape: Any, value: Any, path: tuple[str, ...]) -> None:
    kind = shape.type_name
    fits = isinstance(value, _TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)
    if not fits:
        where = ".".join(path) or "the request"
        raise ServiceError("SerializationException", f"{where} is no {kind}")
    if kind == "structure":
        for name in shape.required_members:
            if value.get(name) in (None, "", []):
                code = _REQUIRED.get(name, "InvalidInputException")
                raise ServiceError(code, f"{'.'.join((*path, name))} is required")
        for name, member in shape.members.items():
            if value.get(name) is not None:
                _check(member, value[name], (*path, name))
    elif kind == "list":
        for one in value:
            _check(shape.member, one, path)
    elif kind == "map":
        for key, one in value.items():
            _check(shape.key, key, path)
            _check(shape.value, one, path)
    elif kind == "string":
        _check_text(shape, value, path)


def _check_text(shape: Any, value: str, path: tuple[str, ...]) -> None:
    limits = shape.metadata
    allowed = limits.get("enum")
    pattern = limits.get("pattern")
    if allowed and value not in allowed:
        why = f"one of {', '.join(allowed)}"
    elif pattern and not re.fullmatch(pattern, value):
        why = f"of the form {pattern}"
    elif not limits.get("min", 0) <= len(value) <= limits.get("max", len(value)):
        why = f"{limits.get('min', 0)} to {limits.get('max')} characters long"
    else:
        return
    code = next((_INVALID[name] for name in reversed(path) if name in _INVALID), "InvalidInputException")
    raise ServiceError(code, f"{'.'.join(path)} is {value!r}, and must be {why}")
