"""Between Pulumi's properties and botocore's shapes: the same names in another spelling, mostly nested alike."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import functools
import json
import re
from typing import TYPE_CHECKING, Any

from sandbox.provider import schema, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botocore.model import OperationModel, ServiceModel, Shape

    from sandbox.provider.wire import Path


class UnmappedError(Exception):
    """A property has no member in the operation; the message is its path."""


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Botocore's model of a service, which needs neither credentials nor an endpoint."""
    return _session().get_service_model(service)


@functools.cache
def _session() -> Any:
    return botocore_session()


def botocore_session() -> Any:
    """A session of its own, which finds those service models already read that a warm parent process has read."""
    import boto3
    import botocore.session

    session = botocore.session.get_session()
    if boto3.DEFAULT_SESSION is not None:
        session.register_component("data_loader", boto3.DEFAULT_SESSION._session.get_component("data_loader"))  # noqa: SLF001
    return session


@functools.cache
def operation_model(service: str, operation: str) -> OperationModel:
    """The model of an operation by boto3's name of it.

    Raises:
        KeyError: the service has no such operation.
    """
    return service_model(service).operation_model(_operations(service)[operation])


@functools.cache
def _operations(service: str) -> Mapping[str, str]:
    from botocore import xform_name

    return {xform_name(name): name for name in service_model(service).operation_names}


@functools.cache
def normal(name: str) -> str:
    """A name without its spelling: `vpcId`, `VpcId` and `vpc-id` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find(names: Any, wanted: str) -> str | None:
    """The name among `names` that means the wanted one: the same but for spelling and number."""
    by_normal: dict[str, str] = {normal(name): name for name in names}
    key = normal(wanted)
    for candidate in (key, f"{key}s", key.removesuffix("s"), f"{key}list", key.removesuffix("s") + "es"):
        if candidate in by_normal:
            return by_normal[candidate]
    return None


def step_into(shape: Shape | None, member: str) -> tuple[str, Shape] | None:
    """The exact member of a structure that a name means, and its shape."""
    if shape is None or shape.type_name != "structure":
        return None
    name = member if member in shape.members else find(shape.members, member)
    return None if name is None else (name, shape.members[name])


def place(shape: Shape | None, path: str) -> tuple[tuple[str, ...], Shape] | None:
    """The exact members of a dotted path below a structure, and the shape at its end."""
    exact: list[str] = []
    for part in path.split(".") if path else ():
        found = step_into(shape, part)
        if found is None:
            return None
        exact.append(found[0])
        shape = found[1]
    return None if shape is None else (tuple(exact), shape)


def to_api(value: Any, shape: Shape, path: str, names: Mapping[str, str]) -> Any:
    """A property's value as an API member.

    Args:
        value: known, as checked.
        shape: of the member.
        path: of the property, without indexes: `vpcConfig.subnetIds`.
        names: property path → member, where spelling is not enough.

    Raises:
        UnmappedError: a nested property has no member.
    """
    match shape.type_name:
        case "structure":
            return _to_structure(value, shape, path, names)
        case "list":
            items = value if isinstance(value, list) else [value]
            return [to_api(item, shape.member, path, names) for item in items]
        case "map":
            return {key: to_api(item, shape.value, path, names) for key, item in value.items()}
        case "string":
            return str(value).lower() if isinstance(value, bool) else str(value)
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "blob":
            return value.encode() if isinstance(value, str) else value
    return value


def _to_structure(value: Any, shape: Shape, path: str, names: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(value, list):
        if {"Items", "Quantity"} <= set(shape.members):  # CloudFront's way to say a list
            return {"Items": to_api(value, shape.members["Items"], path, names), "Quantity": len(value)}
        value = value[0] if value else {}
    result: dict[str, Any] = {}
    for name, item in value.items():
        if item is None or name.startswith("__"):
            continue
        nested = f"{path}.{name}"
        target = names.get(nested, name)
        if not target:
            continue
        found = place(shape, target)
        if found is None:
            raise UnmappedError(nested)
        put(result, found[0], to_api(item, found[1], nested, names))
    return result


def put(target: dict[str, Any], members: tuple[str, ...], value: Any) -> None:
    """Set a member of nested structures, merging what several properties say of one."""
    for member in members[:-1]:
        target = target.setdefault(member, {})
    last = members[-1]
    if isinstance(value, dict) and isinstance(target.get(last), dict):
        target[last].update(value)
    else:
        target[last] = value


def from_api(value: Any, kind: schema.Type, path: str, names: Mapping[str, str]) -> Any:
    """An API value as a property of that type; None where it has none."""
    if value is None:
        return None
    match kind:
        case schema.Object():
            if isinstance(value, list):
                value = value[0] if value else None
            return _from_structure(value, kind, path, names) if isinstance(value, dict) else None
        case schema.ListOf():
            items = value.get("Items", [value]) if isinstance(value, dict) else value
            items = items if isinstance(items, list) else [items]
            return [from_api(item, kind.item, path, names) for item in items]
        case schema.MapOf():
            return (
                {key: from_api(item, kind.item, path, names) for key, item in value.items()}
                if isinstance(value, dict)
                else None
            )
        case schema.Scalar():
            return _from_scalar(value, kind.kind)
        case schema.OneOf():
            scalar = next((option for option in kind.options if isinstance(option, schema.Scalar)), None)
            return from_api(value, scalar or kind.options[0], path, names)
        case schema.Content():
            return None
    return value


def _from_structure(
    value: Mapping[str, Any], kind: schema.Object, path: str, names: Mapping[str, str]
) -> dict[str, Any]:
    result = {}
    for name, field in kind.fields.items():
        nested = f"{path}.{name}"
        item: Any = value
        for part in names.get(nested, name).split("."):
            found = find(item, part) if isinstance(item, dict) else None
            item = None if found is None else item[found]
        converted = from_api(item, field.type, nested, names)
        if converted is not None:
            result[name] = converted
    return result


def _from_scalar(value: Any, kind: str) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict | list):
        if kind == "string":  # IAM's documents arrive parsed
            return json.dumps(value, separators=(",", ":"))
        return None
    match kind:
        case "string":
            return str(value).lower() if isinstance(value, bool) else str(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() in {"true", "enabled"}
        case "integer" | "number" if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return float(value) if kind == "number" else int(value)
            return None
    return value


def validate(value: Any, shape: Shape, path: Path, names: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """What botocore's model forbids in a value: enums, ranges, lengths, patterns.

    Yields:
        (path, reason), the reason with the value and what is allowed.
    """
    if wire.has_unknown(value) and not isinstance(value, dict | list):
        return
    match value:
        case dict() if shape.type_name == "structure":
            for name, item in value.items():
                dotted = ".".join(str(part) for part in (*path, name) if isinstance(part, str))
                found = place(shape, names.get(dotted, name) or "\0")
                if found is not None:
                    yield from validate(item, found[1], (*path, name), names)
        case dict() if shape.type_name == "map":
            for key, item in value.items():
                yield from validate(item, shape.value, (*path, key), names)
        case list() if shape.type_name == "list":
            for index, item in enumerate(value):
                yield from validate(item, shape.member, (*path, index), names)
        case bool():
            return
        case int() | float() if shape.type_name in {"integer", "long", "float", "double"}:
            low, high = shape.metadata.get("min"), shape.metadata.get("max")
            if (low is not None and value < low) or (high is not None and value > high):
                yield path, f"{value} is out of range; allowed is {bounds(low, high)}"
        case str() if shape.type_name == "string":
            yield from ((path, reason) for reason in _string_faults(value, shape))


def bounds(low: float | None, high: float | None) -> str:
    """A range in words."""
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def _string_faults(value: str, shape: Any) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{value!r} is not allowed; expected one of {', '.join(shape.enum)}"
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and len(value) < low) or (high is not None and len(value) > high):
        yield f"{_short(value)} has {len(value)} characters; allowed is {bounds(low, high)}"
    matcher = _pattern(shape.metadata.get("pattern", ""))
    if matcher is not None and not matcher(value):
        yield f"{_short(value)} does not match {shape.metadata['pattern']}"


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:57] + "...")


@functools.cache
def _pattern(pattern: str) -> Callable[[str], Any] | None:
    """A pattern's match on a whole text, or None where it is another dialect's."""
    if not pattern:
        return None
    with contextlib.suppress(re.error):
        return re.compile(pattern, re.DOTALL).fullmatch
    return None


def shape_at(shape: Shape | None, expression: str) -> Shape | None:
    """The shape that a JMESPath selects in an answer of that shape, where it selects members.

    Raises:
        UnmappedError: it names a member that there is not.
    """
    return _walk(_compiled(expression).parsed, shape) if expression else shape


def search(expression: str, value: Any) -> Any:
    """What a JMESPath selects in an answer, or None."""
    return _compiled(expression).search(value)


@functools.cache
def _compiled(expression: str) -> Any:
    import jmespath  # type: ignore[import-untyped]  # botocore's own; it has no stubs

    return jmespath.compile(expression)


def _walk(node: Mapping[str, Any], shape: Shape | None) -> Shape | None:
    children = node["children"]
    match node["type"]:
        case "field":
            if shape is None or shape.type_name == "map":
                return None
            if shape.type_name != "structure" or node["value"] not in shape.members:
                raise UnmappedError(node["value"])
            return shape.members[node["value"]]
        case "subexpression" | "index_expression" | "pipe":
            for child in children:
                shape = _walk(child, shape)
            return shape
        case "index":
            return shape.member if shape is not None and shape.type_name == "list" else None
        case "projection" | "filter_projection":
            item = _member(_walk(children[0], shape))
            for condition in children[2:]:
                _walk(condition, item)
            return _Listed(_walk(children[1], item))
        case "flatten":
            outer = _walk(children[0], shape)
            inner = _member(outer)
            return inner if inner is not None and inner.type_name == "list" else outer
        case "comparator" | "and_expression" | "or_expression" | "not_expression":
            for child in children:
                _walk(child, shape)
            return None
        case "multi_select_list":
            return _Listed(_walk(children[0], shape))
        case "identity" | "current":
            return shape
    return None


def _member(shape: Any) -> Any:
    return shape.member if shape is not None and shape.type_name == "list" else None


class _Listed:
    """The list that a projection makes; just enough of a botocore shape to walk on."""

    type_name = "list"

    def __init__(self, member: Any) -> None:
        self.member = member
