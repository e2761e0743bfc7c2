"""A request read as an operation with its parameters, whatever the service's protocol."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The emulator's name of a service, and the prefix of its actions.
_PREFIXES: Final = {"monitoring": "cloudwatch", "tagging": "tag", "service-quotas": "servicequotas"}
# Services that tell an operation by method and path: the models that say which.
_REST: Final = {
    "lambda": ("lambda",),
    "apigateway": ("apigatewayv2", "apigateway"),
    "scheduler": ("scheduler",),
    "signer": ("signer",),
    "backup": ("backup",),
    "cloudfront": ("cloudfront",),
}
_CBOR: Final = re.compile(r"^/service/[^/]+/operation/(\w+)/?$")
_LABEL: Final = re.compile(r"\{(\w+)(\+?)\}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """What a request asks for.

    Attributes:
        service: the prefix of its actions, e.g. "cloudwatch".
        name: e.g. "CreateSubnet"; for API Gateway the HTTP method.
        parameters: by dotted path, lists from 1: {"Tags.1.Key": "team"}.
        region: that it is made in.
        account: that it is made in.
        path: of the request.
    """

    service: str
    name: str
    parameters: Mapping[str, str]
    region: str
    account: str
    path: str = "/"

    @property
    def action(self) -> str:
        """The IAM action of the operation's own name."""
        return f"{self.service}:{self.name}"

    def values(self, *paths: str) -> list[str]:
        """Return the values at paths, each of which may run through lists; names do not depend on case."""
        return [
            value
            for path in paths
            for name, value in self.parameters.items()
            if value and _pattern(path).fullmatch(name)
        ]

    def value(self, *paths: str) -> str:
        """Return the first value at paths, or an empty text."""
        return next(iter(self.values(*paths)), "")

    def tags(self, *prefixes: str) -> list[tuple[str, str]]:
        """Return the tags that the request sets, as key and value.

        Args:
            prefixes: where to look; everywhere that tags stand at the top when left out.
        """
        found: list[tuple[str, str]] = []
        for name, value in self.parameters.items():
            for prefix in prefixes or ("Tags", "Tag", "TagList"):
                listed = re.fullmatch(rf"({prefix}(?:\.\w+)?\.\d+)\.(?:Tag)?Key", name, re.IGNORECASE)
                if listed:
                    tag = self.value(*(f"={listed[1]}.{part}" for part in ("Value", "TagValue", "value")))
                    found.append((value, tag))
                elif mapped := re.fullmatch(rf"{prefix}\.(?!\d+\.|\w+\.\d+)(.+)", name, re.IGNORECASE):
                    found.append((mapped[1], value))
        return found


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    if path.startswith("="):
        return re.compile(re.escape(path[1:]))
    part = r"(?:(?:\.\w+)?\.\d+)?"
    return re.compile(rf"{part}\.".join(re.escape(name) for name in path.split(".")) + part, re.IGNORECASE)


def operation(
    service: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, Any],
    region: str,
    account: str,
) -> Operation | None:
    """Read a request; None where it names no operation.

    Args:
        service: the emulator's name of it.
        method: of the request.
        path: of the request, decoded.
        headers: of the request, lower case.
        body: of the request.
        query: parameters by name, values as lists or texts.
        region: of the request.
        account: of the request.
    """
    prefix = _PREFIXES.get(service, service)
    given = {name: value if isinstance(value, str) else str(value[0] if value else "") for name, value in query.items()}
    lists = {f"{name}.{at}": str(one) for name, value in query.items() if isinstance(value, list) and len(value) > 1
             for at, one in enumerate(value, 1)}  # fmt: skip
    form = _form(headers, body)
    content = {} if form else _content(headers, body)
    labels: dict[str, str] = {}
    if found := _CBOR.match(path):
        name = found[1]
    elif target := headers.get("x-amz-target", ""):
        name = target.rpartition(".")[2]
    elif action := form.get("Action") or given.get("Action"):
        name = action
    elif service in _REST:
        name, labels = _matched(service, method, path, given)
        if service == "apigateway" and method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            name = method
    else:
        return None
    if not name:
        return None
    parameters = {**dict(_flat(content)), **form, **given, **lists, **labels}
    return Operation(service=prefix, name=name, parameters=parameters, region=region, account=account, path=path)


def _form(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    if not body or not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _content(headers: Mapping[str, str], body: bytes) -> Any:
    if "cbor" in headers.get("content-type", ""):
        from botocore.parsers import RpcV2CBORParser

        try:
            # mypy: the SDK is untyped here.
            return RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))
        except Exception:  # noqa: BLE001 — the parser raises whatever a malformed byte leads to; the service refuses it
            return {}
    if body.lstrip()[:1] == b"<":
        try:
            return _of_xml(ET.fromstring(body))  # noqa: S314 — a client's own, as the service reads it
        except ET.ParseError:
            return {}
    try:
        return json.loads(body or b"{}")
    except ValueError:
        return {}


def _of_xml(element: ET.Element) -> Any:
    """Return an element's content as JSON would have it; lists are what CloudFront calls `Items`."""
    if not len(element):
        return element.text or ""
    if element.tag.rpartition("}")[2] == "Items":
        return [_of_xml(child) for child in element]
    return {child.tag.rpartition("}")[2]: _of_xml(child) for child in element}


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _flat(one, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(value, list):
        for at, one in enumerate(value, 1):
            yield from _flat(one, f"{prefix}.{at}")
    elif value is not None:
        yield prefix, str(value).lower() if isinstance(value, bool) else str(value)


def _matched(service: str, method: str, path: str, query: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the operation of a path and the values of its labels; the most literal route that fits."""
    for route_method, pattern, wanted, name in _routes(service):
        matched = pattern.fullmatch(path.rstrip("/") or "/") if route_method == method else None
        if matched and all(key in query and (not value or query[key] == value) for key, value in wanted.items()):
            return name, {label: unquote(value) for label, value in matched.groupdict().items()}
    return "", {}


@functools.cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], dict[str, str], str]]:
    import botocore

    routes = []
    for model in _REST[service]:
        folder = max((Path(botocore.__file__).parent / "data" / model).iterdir())
        with gzip.open(folder / "service-2.json.gz") as file:
            operations = json.load(file)["operations"]
        for name, described in operations.items():
            uri, _, wanted = described["http"]["requestUri"].partition("?")
            literal = _LABEL.sub("", uri)
            # A label's value may hold slashes once the path is decoded: ARNs do.
            pattern = "".join(
                re.escape(part) if at % 3 == 0 else f"(?P<{part}>.+?)" if at % 3 == 1 else ""
                for at, part in enumerate(_LABEL.split(uri.rstrip("/") or "/"))
            )
            pairs = dict(one.partition("=")[::2] for one in wanted.split("&") if one and "{" not in one)
            rank = (literal.count("/"), len(literal), len(pairs))
            routes.append((rank, (described["http"]["method"], re.compile(pattern), pairs, name)))
    return [route for _, route in sorted(routes, key=lambda one: one[0], reverse=True)]
