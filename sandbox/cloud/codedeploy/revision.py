"""Revisions: the AppSpec that says which alias moves from which version to which, and who validates it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.codedeploy.model import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOOKS: Final = ("BeforeAllowTraffic", "AfterAllowTraffic")
_MEMBERS: Final = {
    "AppSpecContent": ("appSpecContent", "content"),
    "String": ("string", "content"),
    "S3": ("s3Location", "bucket"),
}
_VERSION: Final = re.compile(r"[1-9]\d*")


class AppSpecError(ValueError):
    """No AppSpec for Lambda; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """What an AppSpec asks for.

    Attributes:
        function: name or ARN.
        alias: of the function.
        current: the version that the alias must point at.
        target: the version that it shall point at.
        hooks: validation functions by lifecycle event.
    """

    function: str
    alias: str
    current: str
    target: str
    hooks: Mapping[str, str] = field(default_factory=dict)


def check(revision: Mapping[str, Any]) -> None:
    """Refuse a RevisionLocation that Lambda deployments cannot have; its content is looked at when it is deployed.

    Raises:
        ServiceError: naming what is missing.
    """
    kind = revision.get("revisionType")
    if kind not in _MEMBERS:
        raise _invalid(f"revisionType is {kind}: deployments to Lambda take {', '.join(_MEMBERS)}")
    member, needed = _MEMBERS[kind]
    location = revision.get(member) or {}
    if not location.get(needed):
        raise _invalid(f"a revision of type {kind} needs {member}.{needed}")
    if kind == "S3":
        if not location.get("key"):
            raise _invalid("a revision in S3 needs s3Location.key")
        if location.get("bundleType") not in ("JSON", "YAML"):
            raise _invalid(f"bundleType is {location.get('bundleType')}: deployments to Lambda take JSON, YAML")
    elif (given := location.get("sha256")) and given != hashlib.sha256(location["content"].encode()).hexdigest():
        raise _invalid(f"{member}.sha256 is not the hash of the content")


def content(revision: Mapping[str, Any]) -> str | None:
    """Return the AppSpec that a revision carries itself; None where it is in S3."""
    carried = revision.get("appSpecContent") or revision.get("string")
    return str(carried["content"]) if carried else None


def swapped(shift: Shift) -> dict[str, Any]:
    """Return the revision that takes a shift back: the versions change places, and nothing validates it."""
    properties = {
        "Name": shift.function,
        "Alias": shift.alias,
        "CurrentVersion": shift.target,
        "TargetVersion": shift.current,
    }
    resources = [{"function": {"Type": "AWS::Lambda::Function", "Properties": properties}}]
    text = json.dumps({"version": 0.0, "Resources": resources})
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"revisionType": "AppSpecContent", "appSpecContent": {"content": text, "sha256": digest}}


def read(text: str) -> Shift:
    """Read an AppSpec, JSON or YAML.

    Raises:
        AppSpecError: it is none for one function of Lambda.
    """
    import yaml

    try:
        document = yaml.safe_load(text)  # JSON is YAML
    except yaml.YAMLError as error:
        raise AppSpecError(f"it is neither JSON nor YAML: {error}") from error
    if not isinstance(document, dict):
        raise AppSpecError("it is no object")
    if str(document.get("version")) not in ("0.0", "0"):
        raise AppSpecError(f"its version is {document.get('version')}, and must be 0.0")
    if unknown := set(document) - {"version", "Resources", "Hooks"}:
        raise AppSpecError(f"it has {', '.join(sorted(map(str, unknown)))}, which no AppSpec for Lambda has")
    properties = _properties(document.get("Resources"))
    return Shift(
        function=properties["Name"],
        alias=properties["Alias"],
        current=properties["CurrentVersion"],
        target=properties["TargetVersion"],
        hooks=_hooks(document.get("Hooks")),
    )


def _properties(resources: Any) -> dict[str, str]:
    entries = resources if isinstance(resources, list) else []
    if len(entries) != 1 or not isinstance(entries[0], dict) or len(entries[0]) != 1:
        raise AppSpecError("Resources must be a list of one function")
    ((_, resource),) = entries[0].items()
    if not isinstance(resource, dict) or resource.get("Type") != "AWS::Lambda::Function":
        raise AppSpecError("the Type of its resource must be AWS::Lambda::Function")
    given = resource.get("Properties")
    given = given if isinstance(given, dict) else {}
    found = {name: str(given.get(name, "")) for name in ("Name", "Alias", "CurrentVersion", "TargetVersion")}
    if missing := [name for name, value in found.items() if not value]:
        raise AppSpecError(f"its function has no {', '.join(missing)}")
    for name in ("CurrentVersion", "TargetVersion"):
        if not _VERSION.fullmatch(found[name]):
            raise AppSpecError(f"{name} is {found[name]}, which is no published version")
    if found["CurrentVersion"] == found["TargetVersion"]:
        raise AppSpecError("CurrentVersion and TargetVersion are the same")
    return found


def _hooks(listed: Any) -> dict[str, str]:
    hooks: dict[str, str] = {}
    for one in listed if isinstance(listed, list) else [] if listed is None else [listed]:
        if not isinstance(one, dict) or not all(isinstance(value, str) and value for value in one.values()):
            raise AppSpecError("Hooks must be a list of lifecycle event: function")
        for name, function in one.items():
            if name not in HOOKS:
                raise AppSpecError(f"it has a hook {name}: deployments to Lambda have {', '.join(HOOKS)}")
            if name in hooks:
                raise AppSpecError(f"it has two hooks {name}")
            hooks[name] = function
    return hooks


def _invalid(why: str) -> ServiceError:
    return ServiceError("InvalidRevisionException", why)
