"""The functions of pulumi-aws that the rehearsal answers: who and where one is, and policy documents."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandbox.provider.cloud import Cloud

SETS_OF_STATEMENTS = (
    ("Action", "actions"),
    ("NotAction", "notActions"),
    ("Resource", "resources"),
    ("NotResource", "notResources"),
)


class InvokeError(Exception):
    """The function cannot answer; the message names it, and what to do."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.property = name


def invoke(token: str, arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    """Answer a function.

    Args:
        token: such as `aws:index/getRegion:getRegion`.
        arguments: known values.
        cloud: the account.

    Raises:
        InvokeError: a function that is not emulated, or an argument that it refuses.
    """
    function = FUNCTIONS.get(token)
    if function is None:
        raise InvokeError(
            f"the function {token} is not emulated; there are {', '.join(sorted(FUNCTIONS))}; "
            "add it to sandbox/provider/invokes.py"
        )
    return function({name: value for name, value in arguments.items() if value is not None}, cloud)


def caller_identity(_arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    """`aws.get_caller_identity`."""
    identity = cloud.identity
    return {
        "accountId": identity["Account"],
        "arn": identity["Arn"],
        "userId": identity["UserId"],
        "id": identity["Account"],
    }


def region(arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    """`aws.get_region`, of the provider's region or the one that is asked for."""
    resolver = _endpoints()
    asked = arguments.get("region") or arguments.get("name")
    if arguments.get("endpoint"):
        hosts = {
            f"ec2.{name}.{_suffix(name)}": name for partition in resolver["partitions"] for name in partition["regions"]
        }
        asked = hosts.get(arguments["endpoint"])
        if asked is None:
            raise InvokeError(f"no region has the EC2 endpoint {arguments['endpoint']!r}", "endpoint")
    name = asked or cloud.region
    described = {
        key: one["description"] for partition in resolver["partitions"] for key, one in partition["regions"].items()
    }
    if name not in described:
        raise InvokeError(f"there is no region {name!r}", "region")
    return {
        "description": described[name],
        "endpoint": f"ec2.{name}.{_suffix(name)}",
        "id": name,
        "name": name,
        "region": name,
    }


def partition(_arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    """`aws.get_partition`."""
    suffix = _suffix(cloud.region)
    return {
        "partition": cloud.partition,
        "id": cloud.partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


def _endpoints() -> Any:
    from botocore import session

    return session.get_session().get_component("data_loader").load_data("endpoints")


def _suffix(name: str) -> str:
    for one in _endpoints()["partitions"]:
        if re.match(one["regionRegex"], name):
            return str(one["dnsSuffix"])
    return "amazonaws.com"


def availability_zones(arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    """`aws.get_availability_zones`: names in order, without local zones unless all are asked for."""
    where = arguments.get("region") or cloud.region
    filters = [{"Name": one["name"], "Values": sorted(one["values"])} for one in arguments.get("filters") or []]
    if arguments.get("state"):
        filters.append({"Name": "state", "Values": [arguments["state"]]})
    every = bool(arguments.get("allAvailabilityZones"))
    found = cloud.client("ec2", where).describe_availability_zones(AllAvailabilityZones=every, Filters=filters)[
        "AvailabilityZones"
    ]
    excluded = {*(arguments.get("excludeNames") or ()), *(arguments.get("excludeZoneIds") or ())}
    zones = [
        zone
        for zone in sorted(found, key=lambda zone: zone["ZoneName"])
        if not {zone["ZoneName"], zone.get("ZoneId")} & excluded
    ]
    return {
        **arguments,
        "region": where,
        "id": where,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
        "groupNames": sorted({zone["GroupName"] for zone in zones if zone.get("GroupName")}),
    }


def policy_document(arguments: Mapping[str, Any], _cloud: Cloud) -> dict[str, Any]:
    """`aws.iam.get_policy_document`: source documents, then the statements given, then overrides, merged by Sid.

    The text is the official provider's to the byte: its order of keys, its lists in falling order, one value where a
    list has one.
    """
    for legacy in ("sourceJson", "overrideJson"):
        if arguments.get(legacy):
            raise InvokeError(f"{legacy} is no longer used; give {legacy.removesuffix('Json')}PolicyDocuments", legacy)
    version = arguments.get("version", "2012-10-17")
    if version not in {"2008-10-17", "2012-10-17"}:
        raise InvokeError(f"{version!r} is not a policy version; expected 2008-10-17 or 2012-10-17", "version")
    merged: dict[str, Any] = {}
    statements: list[dict[str, Any]] = []
    seen: set[str] = set()
    for index, source in enumerate(arguments.get("sourcePolicyDocuments") or []):
        document = _parsed(source, "sourcePolicyDocuments", index)
        for statement in document["Statement"]:
            sid = statement.get("Sid")
            if sid and sid in seen:
                raise InvokeError(
                    f"source document {index} repeats the Sid {sid!r}; Sids must be unique", "sourcePolicyDocuments"
                )
            seen.add(sid or "")
        _merge(merged, statements, document)
    own: dict[str, Any] = {"Version": version, "Id": arguments.get("policyId"), "Statement": []}
    sids: set[str] = set()
    for index, given in enumerate(arguments.get("statements") or []):
        statement = _statement(given, version, index)
        sid = statement.get("Sid", "")
        if sid and sid in sids:
            raise InvokeError(f"statement {index} repeats the Sid {sid!r}; Sids must be unique", "statements")
        sids.add(sid)
        own["Statement"].append(statement)
    _merge(merged, statements, own)
    for index, source in enumerate(arguments.get("overridePolicyDocuments") or []):
        _merge(merged, statements, _parsed(source, "overridePolicyDocuments", index))
    document = {key: merged[key] for key in ("Version", "Id") if merged.get(key)}
    if statements:
        document["Statement"] = statements
    pretty = _go(json.dumps(document, indent=2, ensure_ascii=False))
    return {
        **arguments,
        "version": version,
        "json": pretty,
        "minifiedJson": _go(json.dumps(document, separators=(",", ":"), ensure_ascii=False)),
        "id": str(zlib.crc32(pretty.encode())),
    }


def _go(text: str) -> str:
    """JSON with the characters escaped that Go's encoder escapes."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _parsed(source: str, name: str, index: int) -> dict[str, Any]:
    try:
        document = json.loads(source)
    except ValueError as error:
        raise InvokeError(f"{name}[{index}] is not JSON: {error}", name) from error
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return {**document, "Statement": [_ordered(statement) for statement in statements]}


def _ordered(statement: Mapping[str, Any]) -> dict[str, Any]:
    """A parsed statement in the order, and with the spelling, in which it is written again."""
    ordered = {
        key: statement[key]
        for key in ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource")
        if statement.get(key)
    }
    for key in ("Principal", "NotPrincipal"):
        if statement.get(key):
            value = statement[key]
            pairs = [("*", ["*"])] if isinstance(value, str) else list(value.items())
            ordered[key] = _principals(pairs)
    if statement.get("Condition"):
        conditions = [
            (test, variable, values)
            for test, inner in statement["Condition"].items()
            for variable, values in inner.items()
        ]
        ordered["Condition"] = _conditions(conditions)
    return ordered


def _merge(merged: dict[str, Any], statements: list[dict[str, Any]], document: Mapping[str, Any]) -> None:
    if document.get("Id"):
        merged["Id"] = document["Id"]
    merged["Version"] = max(merged.get("Version", ""), document.get("Version") or "")
    for statement in document["Statement"]:
        sid = statement.get("Sid")
        place = next((at for at, other in enumerate(statements) if sid and other.get("Sid") == sid), None)
        if place is None:
            statements.append(statement)
        else:
            statements[place] = statement


def _statement(given: Mapping[str, Any], version: str, index: int) -> dict[str, Any]:
    statement: dict[str, Any] = {}
    if given.get("sid"):
        if not re.fullmatch(r"[a-zA-Z0-9]*", given["sid"]):
            raise InvokeError(f"the Sid {given['sid']!r} must be letters and digits", f"statements[{index}].sid")
        statement["Sid"] = given["sid"]
    effect = given.get("effect") or "Allow"
    if effect not in {"Allow", "Deny"}:
        raise InvokeError(f"the effect {effect!r} is neither Allow nor Deny", f"statements[{index}].effect")
    statement["Effect"] = effect
    for element, name in SETS_OF_STATEMENTS:
        if given.get(name):
            values = given[name] if element.endswith("Action") else [_variables(text, version) for text in given[name]]
            statement[element] = _falling(values)
    for element, name in (("Principal", "principals"), ("NotPrincipal", "notPrincipals")):
        if given.get(name):
            pairs = [
                (one["type"], _falling([_variables(text, version) for text in one["identifiers"]]))
                for one in given[name]
            ]
            statement[element] = _principals(pairs)
    if given.get("conditions"):
        statement["Condition"] = _conditions(
            (one["test"], one["variable"], [_variables(text, version) for text in one["values"]])
            for one in given["conditions"]
        )
    return statement


def _variables(text: str, version: str) -> str:
    """`&{aws:username}` is how a program writes a policy variable, so that nothing else interpolates it."""
    if version == "2008-10-17" and "&{" in text:
        raise InvokeError(f"found &{{ in {text!r}, which policy version 2008-10-17 does not know", "statements")
    return text.replace("&{", "${")


def _falling(values: Iterable[str]) -> str | list[str]:
    unique = sorted(set(values), reverse=True)
    return unique[0] if len(unique) == 1 else unique


def _principals(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0] == "*" and pairs[0][1] in ("*", ["*"]):
        return "*"
    collected: dict[str, Any] = {}
    for kind, identifiers in pairs:
        more = sorted(identifiers, reverse=True) if isinstance(identifiers, list) else identifiers
        if kind not in collected:
            collected[kind] = more
        else:
            before = collected[kind] if isinstance(collected[kind], list) else [collected[kind]]
            collected[kind] = before + (more if isinstance(more, list) else [more])
    return dict(sorted(collected.items()))


def _conditions(triples: Iterable[tuple[str, str, Any]]) -> dict[str, Any]:
    collected: dict[str, dict[str, list[str]]] = {}
    for test, variable, values in triples:
        items = values if isinstance(values, list) else [values]
        texts = [str(item).lower() if isinstance(item, bool) else item for item in items]
        collected.setdefault(test, {}).setdefault(variable, []).extend(texts)
    return {
        test: {variable: values[0] if len(values) == 1 else values for variable, values in sorted(inner.items())}
        for test, inner in sorted(collected.items())
    }


FUNCTIONS: dict[str, Callable[[Mapping[str, Any], Cloud], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
    "aws:index/getRegion:getRegion": region,
    "aws:index/getPartition:getPartition": partition,
    "aws:index/getAvailabilityZones:getAvailabilityZones": availability_zones,
    "aws:iam/getPolicyDocument:getPolicyDocument": policy_document,
}
