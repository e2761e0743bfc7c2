"""The protocols of CloudWatch, read and written by the service's own model: RPC v2 CBOR, JSON 1.0, and Query.

What a request must be (required members, lengths, ranges, patterns, enumerations) is the model's too, and is told in
the words that the service uses.
"""

from __future__ import annotations

import datetime as dt
import functools
import gzip
import io
import json
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.cloud.scope import Answer, Request

_OPERATION: Final = re.compile(r"^/service/[^/]+/operation/(\w+)/?$")
_NAMESPACE: Final = "http://monitoring.amazonaws.com/doc/2010-08-01/"
_MOST_ERRORS: Final = 10
_LONGEST_BODY: Final = 1_000_000  # bytes, of PutMetricData once it is decompressed


class ServiceError(Exception):
    """What the service answers instead of a result.

    Attributes:
        code: as the service names it, e.g. "ValidationError".
        status: of HTTP.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class ValidationError(ServiceError):
    """A request that its model or the service's rules forbid."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationError", message)


@dataclass(frozen=True)
class Asked:
    """A request, read.

    Attributes:
        operation: its name; empty where it names none.
        protocol: "cbor", "json" or "query".
        parameters: by the model's names.
    """

    operation: str
    protocol: str
    parameters: dict[str, Any]


@functools.cache
def model() -> Any:
    """Return botocore's model of the service."""
    from botocore.session import get_session

    return get_session().get_service_model("cloudwatch")


def read(request: Request) -> Asked:
    """Read a request, and check it by the model.

    Raises:
        ServiceError: it is none of the service, or the model forbids it; see `protocol` for how to answer then.
    """
    spoken = protocol(request)
    body = _body(request)
    given: Any
    if spoken == "cbor":
        found = _OPERATION.match(request.path)
        name = found[1] if found else ""
        given = _cbor(body) if body else {}
    elif spoken == "json":
        name = request.target
        try:
            given = json.loads(body or b"{}")
        except ValueError as error:
            raise ServiceError("SerializationException", "the body is no JSON") from error
    else:
        form = {key: values[0] for key, values in request.query.items()}
        form |= dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        name = form.get("Action", "")
        given = form
    if name not in model().operation_names:
        raise ServiceError("InvalidAction", f"Could not find operation {name} for version 2010-08-01")
    shape = model().operation_model(name).input_shape
    if shape is None:
        return Asked(name, spoken, {})
    if spoken == "query":
        given = _from_form(shape, given)
    if not isinstance(given, dict):
        raise ServiceError("SerializationException", "Start of structure or map found where not expected.")
    parameters: dict[str, Any] = _converted(shape, given)
    if faults := [*_faults(shape, parameters, "")]:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected"
        raise ValidationError(f"{count}: {'; '.join(faults[:_MOST_ERRORS])}")
    return Asked(name, spoken, parameters)


def protocol(request: Request) -> str:
    """Return the protocol of a request: "cbor", "json" or "query"."""
    if "cbor" in request.headers.get("smithy-protocol", "") or "cbor" in request.headers.get("content-type", ""):
        return "cbor"
    return "json" if request.target else "query"


def answer(asked: Asked, result: Mapping[str, Any]) -> Answer:
    """Write a result by the model; members that are None are left out."""
    shape = model().operation_model(asked.operation).output_shape
    if asked.protocol == "cbor":
        return 200, _headers("cbor"), _to_cbor(shape, result)
    if asked.protocol == "json":
        return 200, _headers("json"), json.dumps(_plain(shape, result) if shape else {}).encode()
    root = ET.Element(f"{asked.operation}Response", xmlns=_NAMESPACE)
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{asked.operation}Result")
        _to_xml(ET.SubElement(root, wrapper), shape, result)
    ET.SubElement(ET.SubElement(root, "ResponseMetadata"), "RequestId").text = str(uuid.uuid4())
    return 200, _headers("query"), bytes(ET.tostring(root))


def refusal(spoken: str, error: ServiceError) -> Answer:
    """Write an error, in the protocol that was spoken."""
    sender = "Sender" if error.status < 500 else "Receiver"
    if spoken == "query":
        root = ET.Element("ErrorResponse", xmlns=_NAMESPACE)
        told = ET.SubElement(root, "Error")
        for name, text in (("Type", sender), ("Code", error.code), ("Message", str(error))):
            ET.SubElement(told, name).text = text
        ET.SubElement(root, "RequestId").text = str(uuid.uuid4())
        return error.status, _headers("query"), bytes(ET.tostring(root))
    # Shapes are told by their own names; the codes of the Query protocol, which clients raise, stand in a header.
    kind = f"com.amazonaws.cloudwatch.v2010_08_01#{_shapes().get(error.code, error.code)}"
    headers = {**_headers(spoken), "x-amzn-query-error": f"{error.code};{sender}"}
    content = {"__type": kind, "message": str(error)}
    return error.status, headers, _to_cbor(None, content) if spoken == "cbor" else json.dumps(content).encode()


@functools.cache
def _shapes() -> dict[str, str]:
    return {shape.metadata.get("error", {}).get("code", shape.name): shape.name for shape in model().error_shapes}


def _headers(spoken: str) -> dict[str, str]:
    if spoken == "cbor":
        return {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    return {"Content-Type": "application/x-amz-json-1.0" if spoken == "json" else "text/xml"}


def _body(request: Request) -> bytes:
    if request.headers.get("content-encoding", "") != "gzip":
        return request.body
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(request.body)) as unpacked:
            body = unpacked.read(_LONGEST_BODY + 1)
    except (OSError, EOFError) as error:
        raise ServiceError("SerializationException", "the body is not compressed by gzip") from error
    if len(body) > _LONGEST_BODY:
        raise ServiceError("RequestEntityTooLarge", "Request size exceeds the limit of 1 MB", 413)
    return body


def _cbor(body: bytes) -> Any:
    from botocore.parsers import RpcV2CBORParser

    try:
        return RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))
    except Exception as error:  # the parser raises whatever a malformed byte leads to
        raise ServiceError("SerializationException", "the body is no CBOR") from error


def _from_form(shape: Any, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of a form: `Tags.member.1.Key` is a member of the first of `Tags`."""
    root: dict[str, Any] = {}
    for path, value in form.items():
        parts = [part for part in path.split(".") if part != "member"]
        into = root
        for part in parts[:-1]:
            inner = into.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ServiceError("MalformedInput", f"{path} is given twice")
            into = inner
        into[parts[-1]] = value
    return {name: _listed(inner, root[name]) for name, inner in shape.members.items() if name in root}


def _listed(shape: Any, value: Any) -> Any:
    if shape.type_name == "list":
        items = value if isinstance(value, dict) else {}
        numbers = sorted((key for key in items if key.isdigit()), key=int)
        return [_listed(shape.member, items[number]) for number in numbers]
    if shape.type_name == "structure" and isinstance(value, dict):
        return {name: _listed(inner, value[name]) for name, inner in shape.members.items() if name in value}
    return value


def _converted(shape: Any, value: Any) -> Any:
    """Return a value as the model's type; timestamps are seconds since the epoch.

    Raises:
        ServiceError: it is of another type.
    """
    kind = shape.type_name
    try:
        if kind == "structure" and isinstance(value, dict):
            return {
                name: _converted(inner, value[name])
                for name, inner in shape.members.items()
                if value.get(name) is not None
            }
        if kind == "list" and isinstance(value, list):
            return [_converted(shape.member, one) for one in value]
        if kind == "map" and isinstance(value, dict):
            return {str(key): _converted(shape.value, one) for key, one in value.items()}
        if kind == "string" and isinstance(value, str):
            return value
        if kind == "boolean" and (isinstance(value, bool) or value in ("true", "false")):
            return value in (True, "true")
        if kind in ("integer", "long") and not isinstance(value, (bool, dict, list)) and float(value) == int(value):
            return int(value)
        if kind in ("double", "float") and not isinstance(value, (bool, dict, list)):
            return float(value)
        if kind == "timestamp" and not isinstance(value, (bool, dict, list)):
            return _moment(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ServiceError("MalformedInput", f"{value!r} is no {kind}") from error
    raise ServiceError("MalformedInput", f"{value!r} is no {kind}")


def _moment(value: Any) -> float:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value.strip())
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).timestamp()
    return float(value)


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield what the model forbids of a value, as the service says it."""
    limits, kind = shape.metadata, shape.type_name
    if kind == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield _fault(None, _below(path, name), "Member must not be null")
        for name, inner in value.items():
            yield from _faults(shape.members[name], inner, _below(path, name))
        return
    if kind == "list":
        for at, inner in enumerate(value, 1):
            yield from _faults(shape.member, inner, f"{path}.{at}.member")
    if kind == "map":
        return
    least, most, counted = limits.get("min"), limits.get("max"), kind in ("string", "list")
    size, what = (len(value), "length") if counted else (value, "value")
    if least is not None and size < least:
        yield _fault(value, path, f"Member must have {what} greater than or equal to {least}")
    if most is not None and size > most:
        yield _fault(value, path, f"Member must have {what} less than or equal to {most}")
    if kind == "string":
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield _fault(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
        pattern = limits.get("pattern")
        if pattern and not _matches(pattern, value):
            yield _fault(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # a pattern of another dialect, which only the service can judge
        return True


def _below(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _fault(value: Any, path: str, why: str) -> str:
    told = "null" if value is None else f"'{value}'"
    return f"Value {told} at '{path}' failed to satisfy constraint: {why}"


def _given(shape: Any, value: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, inner in shape.members.items():
        if value.get(name) is not None:
            yield name, inner, value[name]


def _plain(shape: Any, value: Any) -> Any:
    """Return a value with the members of the model alone, as JSON has it."""
    if shape.type_name == "structure":
        return {name: _plain(inner, one) for name, inner, one in _given(shape, value)}
    if shape.type_name == "list":
        return [_plain(shape.member, one) for one in value]
    return value


def _to_cbor(shape: Any, value: Mapping[str, Any]) -> bytes:
    from botocore.model import DenormalizedStructureBuilder
    from botocore.serialize import RpcV2CBORSerializer

    if shape is None:
        members = {name: {"type": "string"} for name in value}
        shape = DenormalizedStructureBuilder().with_members(members).build_model()
    written = bytearray()
    # mypy: the SDK is untyped here.
    RpcV2CBORSerializer()._serialize_data_item(written, _dated(shape, value), shape)  # noqa: SLF001
    return bytes(written)


def _dated(shape: Any, value: Any) -> Any:
    """Return a value with its timestamps as the serializer wants them."""
    if shape.type_name == "structure":
        return {name: _dated(inner, one) for name, inner, one in _given(shape, value)}
    if shape.type_name == "list":
        return [_dated(shape.member, one) for one in value]
    return dt.datetime.fromtimestamp(value, dt.UTC) if shape.type_name == "timestamp" else value


def _to_xml(element: ET.Element, shape: Any, value: Any) -> None:
    kind = shape.type_name
    if kind == "structure":
        for name, inner, one in _given(shape, value):
            _to_xml(ET.SubElement(element, name), inner, one)
    elif kind == "list":
        for one in value:
            _to_xml(ET.SubElement(element, "member"), shape.member, one)
    elif kind == "map":
        for key, one in value.items():
            entry = ET.SubElement(element, "entry")
            ET.SubElement(entry, "key").text = key
            _to_xml(ET.SubElement(entry, "value"), shape.value, one)
    elif kind == "timestamp":
        element.text = moment(value)
    else:
        element.text = str(value).lower() if isinstance(value, bool) else str(value)


def moment(seconds: float) -> str:
    """Return a moment as XML and the reasons of states tell it, to the millisecond."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
