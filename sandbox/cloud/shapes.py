"""EC2's query protocol by the service's own model: a form is read as an input, an answer is written as an output.

The emulator reads and writes a part of each structure by hand; what is lost there is neither described nor acted upon.
"""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.scope import Answer

_EC2: Final = "http://ec2.amazonaws.com/doc/2016-11-15/"


@functools.cache
def _model() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("ec2")


def read(operation: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Return what a form says, by the members of the operation's input."""
    found = _read(form, _model().operation_model(operation).input_shape, "")
    return found if isinstance(found, dict) else {}


def _read(form: Mapping[str, str], shape: Any, prefix: str) -> Any:
    """Return the value below a prefix, or None where there is none."""
    if not any(key == prefix or key.startswith(f"{prefix}." if prefix else "") for key in form):
        return None
    if shape.type_name == "structure":
        members = {}
        for name, member in shape.members.items():
            path = f"{prefix}.{_asked(name, member)}" if prefix else _asked(name, member)
            if (value := _read(form, member, path)) is not None:
                members[name] = value
        return members
    if shape.type_name == "list":
        items: list[Any] = []
        while (item := _read(form, shape.member, f"{prefix}.{len(items) + 1}")) is not None:
            items.append(item)
        return items
    return _typed(form[prefix], shape.type_name)


def _asked(name: str, member: Any) -> str:
    """Return a member's name in a request, as botocore's serializer has it."""
    if named := member.serialization.get("queryName"):
        return str(named)
    written = str(member.serialization.get("name", name))
    return written[0].upper() + written[1:]


def _typed(text: str, kind: str) -> Any:
    if kind == "boolean":
        return text.lower() == "true"
    return int(text) if kind in ("integer", "long") else text


def answer(operation: str, content: Mapping[str, Any]) -> Answer:
    """Return an operation's answer; members that its output does not have are left out."""
    ET.register_namespace("", _EC2)
    root = ET.Element(f"{{{_EC2}}}{operation}Response")
    shape = _model().operation_model(operation).output_shape
    if shape is None:
        ET.SubElement(root, f"{{{_EC2}}}return").text = "true"
    else:
        _write(root, content, shape)
    ET.SubElement(root, f"{{{_EC2}}}requestId").text = str(uuid.uuid4())
    return 200, {"Content-Type": "text/xml;charset=UTF-8"}, bytes(ET.tostring(root, "utf-8", xml_declaration=True))


def _write(parent: ET.Element, value: Any, shape: Any) -> None:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                child = ET.SubElement(parent, f"{{{_EC2}}}{member.serialization.get('name', name)}")
                _write(child, value[name], member)
    elif shape.type_name == "list":
        for item in value:
            _write(ET.SubElement(parent, f"{{{_EC2}}}item"), item, shape.member)
    else:
        parent.text = str(value).lower() if isinstance(value, bool) else str(value)


def texts(answer: Answer, path: str) -> list[str]:
    """Return the texts of an answer's elements of that name, or at that path below anywhere, in order."""
    tree = ET.fromstring(answer[2])  # noqa: S314 — the emulator's own answer
    return [element.text or "" for element in tree.iterfind(f".//{{*}}{path}")]


def error(code: str, message: str) -> Answer:
    """Return a refusal in EC2's form."""
    root = ET.Element("Response")
    fault = ET.SubElement(ET.SubElement(root, "Errors"), "Error")
    ET.SubElement(fault, "Code").text = code
    ET.SubElement(fault, "Message").text = message
    ET.SubElement(root, "RequestID").text = str(uuid.uuid4())
    return 400, {"Content-Type": "text/xml;charset=UTF-8"}, bytes(ET.tostring(root, "utf-8", xml_declaration=True))
