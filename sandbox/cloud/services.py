"""Small mends around single services, so that what AWS would describe is described."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from sandbox.cloud.scope import region

if TYPE_CHECKING:
    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

_EC2: Final = "http://ec2.amazonaws.com/doc/2016-11-15/"
_EVERYTHING: Final = json.dumps(
    {"Statement": [{"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}]}, separators=(",", ":")
)


_OF_TOKENS: Final = ("authorizerId", "authorizerType", "identitySource", "jwtConfiguration", "name")
_BY_ID: Final = (
    # operation, parameter with ids, element that holds one
    ("DescribeSecurityGroupRules", "SecurityGroupRuleId", "securityGroupRuleId"),
    ("DescribeVpcEndpoints", "VpcEndpointId", "vpcEndpointId"),
)


def secrets_manager(module: Any) -> Wrapper:
    """Secrets Manager: a secret made without a value has no version; reading it is ResourceNotFoundException."""

    async def wrapper(inner: Handler, request: Request) -> Answer:
        answer = await inner(request)
        if request.target == "CreateSecret" and answer[0] == 200:
            asked = request.json()
            if asked.get("SecretString") is None and asked.get("SecretBinary") is None:
                module._secrets[asked["Name"]]["Versions"].clear()  # noqa: SLF001
                made = json.loads(answer[2])
                made.pop("VersionId", None)
                return answer[0], answer[1], json.dumps(made).encode()
        if request.target == "DescribeSecret" and answer[0] == 200:
            described = json.loads(answer[2])
            if any(tag.get("Key") == "aws:secretsmanager:owningService" for tag in described.get("Tags") or ()):
                return answer[0], answer[1], json.dumps({**described, "OwningService": "rds"}).encode()
        return answer

    return wrapper


def http_api(endpoint: str) -> Wrapper:
    """API Gateway: an HTTP API's endpoint is one that any client reaches; a stage outlives its access log settings.

    An authorizer of tokens has nothing of one that is a function.

    Args:
        endpoint: the sandbox's own, `http://127.0.0.1:PORT`.
    """

    def mended(item: dict[str, Any]) -> dict[str, Any]:
        if "apiEndpoint" in item and item.get("protocolType") == "HTTP":
            return {**item, "apiEndpoint": f"{endpoint}/_aws/execute-api/{item['apiId']}"}
        if item.get("authorizerType") == "JWT":
            return {name: item[name] for name in _OF_TOKENS if name in item}
        return item

    async def wrapper(inner: Handler, request: Request) -> Answer:
        if request.method == "DELETE" and request.path.endswith("/accesslogsettings"):
            # The emulator reads this as the deletion of the stage.
            stage = request.path.removesuffix("/accesslogsettings")
            emptied = dataclasses.replace(request, method="PATCH", path=stage, body=b'{"accessLogSettings": {}}')
            status, headers, body = await inner(emptied)
            return (204, headers, b"") if status == 200 else (status, headers, body)
        status, headers, body = await inner(request)
        if isinstance(body, bytes) and (b'"apiEndpoint"' in body or b'"authorizerType"' in body):
            body = json.dumps(json.loads(body, object_hook=mended)).encode()
        return status, headers, body

    return wrapper


def ec2(module: Any) -> Wrapper:
    """EC2: interface endpoints keep what they are given, a default group allows itself, what is gone is NotFound."""

    async def wrapper(inner: Handler, request: Request) -> Answer:
        pairs = [*((key, values[0]) for key, values in request.query.items()), *parse_qsl(request.body.decode())]
        form = dict(pairs)
        action = form.get("Action", "")
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        if action == "CreateVpc":
            await _allow_itself(inner, request, ET.fromstring(answer[2]).findtext(".//{*}vpcId") or "")  # noqa: S314
        elif action == "ModifyVpcEndpoint":
            _remember(module._vpc_endpoints[form["VpcEndpointId"]], form)  # noqa: SLF001
        elif action in ("CreateVpcEndpoint", "DescribeVpcEndpoints"):
            answer = answer[0], answer[1], _endpoints(answer[2], form, module)
        for reading, parameter, name in _BY_ID:
            if action == reading:
                missing = [one for one in _listed(form, parameter) if f"<{name}>{one}<" not in answer[2].decode()]
                if missing:
                    return _not_found(f"Invalid{parameter}.NotFound", missing[0])
        return answer

    return wrapper


async def _allow_itself(inner: Handler, request: Request, vpc: str) -> None:
    """Give a new network's default group the rule that AWS gives it: everything from its own members."""
    filters = {
        "Filter.1.Name": "vpc-id",
        "Filter.1.Value.1": vpc,
        "Filter.2.Name": "group-name",
        "Filter.2.Value.1": "default",
    }
    found = await inner(request.with_form({"Action": "DescribeSecurityGroups", **filters}))
    group = ET.fromstring(found[2]).findtext(".//{*}groupId") or ""  # noqa: S314 — see the import
    rule = {"IpPermissions.1.IpProtocol": "-1", "IpPermissions.1.Groups.1.GroupId": group}
    await inner(request.with_form({"Action": "AuthorizeSecurityGroupIngress", "GroupId": group, **rule}))


def _not_found(code: str, identifier: str) -> Answer:
    message = f"The ID '{identifier}' does not exist"
    errors = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    body = f"<Response>{errors}<RequestID>{uuid.uuid4()}</RequestID></Response>"
    return 400, {"Content-Type": "text/xml;charset=UTF-8"}, body.encode()


def _endpoints(body: bytes, form: dict[str, str], module: Any) -> bytes:
    """Complete the description of endpoints."""
    tree = ET.fromstring(body)  # noqa: S314 — see the import
    if form["Action"] == "CreateVpcEndpoint":
        _remember(module._vpc_endpoints[tree.findtext(".//{*}vpcEndpointId")], form)  # noqa: SLF001
    for element in list(tree.iter()):
        record = module._vpc_endpoints.get(element.findtext("{*}vpcEndpointId"))  # noqa: SLF001
        if record is not None:
            _describe(element, record, module)
    ET.register_namespace("", _EC2)
    return bytes(ET.tostring(tree, encoding="utf-8", xml_declaration=True))


def _listed(form: dict[str, str], name: str) -> list[str]:
    return [value for key, value in sorted(form.items()) if key.startswith(f"{name}.")]


def _remember(record: dict[str, Any], form: dict[str, str]) -> None:
    """Note what the emulator drops of an endpoint's creation or modification."""
    record.setdefault("CreationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()))
    if form.get("ResetPolicy") == "true" or "PolicyDocument" not in record:
        record["PolicyDocument"] = _EVERYTHING
    if form.get("PolicyDocument"):
        record["PolicyDocument"] = form["PolicyDocument"]
    if "PrivateDnsEnabled" in form:
        record["PrivateDnsEnabled"] = form["PrivateDnsEnabled"] == "true"
    groups = [
        *record.get("SecurityGroupIds", ()),
        *_listed(form, "SecurityGroupId"),
        *_listed(form, "AddSecurityGroupId"),
    ]
    leaving = _listed(form, "RemoveSecurityGroupId")
    record["SecurityGroupIds"] = [group for group in dict.fromkeys(groups) if group not in leaving]
    record["IpAddressType"] = form.get("IpAddressType") or record.get("IpAddressType") or "ipv4"
    record["DnsRecordIpType"] = form.get("DnsOptions.DnsRecordIpType") or record.get("DnsRecordIpType") or "ipv4"
    known = record.setdefault("_interfaces", {})
    record["_interfaces"] = {
        subnet: known.get(subnet) or f"eni-{uuid.uuid4().hex[:17]}" for subnet in record.get("SubnetIds", ())
    }


def _describe(element: ET.Element, record: dict[str, Any], module: Any) -> None:
    interface = record.get("VpcEndpointType") == "Interface"
    service = record["ServiceName"].rpartition(".")[2]
    _set(element, "policyDocument", record.get("PolicyDocument", _EVERYTHING))
    _set(element, "privateDnsEnabled", str(interface and record.get("PrivateDnsEnabled", interface)).lower())
    _set(element, "requesterManaged", "false")
    _set(element, "creationTimestamp", record.get("CreationTimestamp", ""))
    if not interface:
        return
    _set(element, "ipAddressType", record.get("IpAddressType", "ipv4"))
    _list(element, "dnsOptions", []).append(_leaf("dnsRecordIpType", record.get("DnsRecordIpType", "ipv4")))
    groups = module._security_groups  # noqa: SLF001
    named = [(group, (groups.get(group) or {}).get("GroupName", "")) for group in record.get("SecurityGroupIds", ())]
    _list(element, "groupSet", [{"groupId": group, "groupName": name} for group, name in named])
    interfaces = _list(element, "networkInterfaceIdSet", [])
    for name in record.get("_interfaces", {}).values():
        interfaces.append(_leaf("item", name))
    home, tail = region(), record["VpcEndpointId"].rpartition("-")[2]
    hosts = [f"{record['VpcEndpointId']}-{tail[:8]}.{service}.{home}.vpce.amazonaws.com"]
    if record.get("PrivateDnsEnabled", True):
        hosts.append(f"{service}.{home}.amazonaws.com")
    _list(element, "dnsEntrySet", [{"dnsName": host, "hostedZoneId": f"Z{tail[:13].upper()}"} for host in hosts])


def _leaf(name: str, text: str) -> ET.Element:
    element = ET.Element(f"{{{_EC2}}}{name}")
    element.text = text
    return element


def _set(element: ET.Element, name: str, text: str) -> None:
    for child in element.findall(f"{{*}}{name}"):
        element.remove(child)
    element.append(_leaf(name, text))


def _list(element: ET.Element, name: str, items: list[dict[str, str]]) -> ET.Element:
    for child in element.findall(f"{{*}}{name}"):
        element.remove(child)
    whole = ET.SubElement(element, f"{{{_EC2}}}{name}")
    for fields in items:
        item = ET.SubElement(whole, f"{{{_EC2}}}item")
        for key, value in fields.items():
            item.append(_leaf(key, value))
    return whole
