"""EC2: networks of aws.ec2 and aws.vpc, and the machines in them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sandbox.provider.resource import ResourceError
from sandbox.provider.table import Call, Do, Read, Resource, Tagging, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandbox.provider.resource import Context

PORTS = (-1, 65535)


def _tagged(kind: str) -> Tagging:
    return Tagging(
        Call("create_tags", {"Resources": ["{id}"]}), Call("delete_tags", {"Resources": ["{id}"]}), kind=kind
    )


def _arn(kind: str) -> str:
    return f"arn:{{partition}}:ec2:{{region}}:{{account}}:{kind}/{{id}}"


def _filters(**values: str) -> list[dict[str, Any]]:
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in values.items()]


def _attribute(operation: str, owner: str, name: str, member: str = "") -> Call:
    """One attribute of a VPC or a subnet; EC2 takes one a call."""
    return Call(operation, {owner: "{id}"}, (name,), names={name: member or f"{name}.Value"})


def _vpc_attribute(name: str) -> Read:
    member = name[0].upper() + name[1:]
    return Read(
        "describe_vpc_attribute", {"VpcId": "{id}", "Attribute": name}, outputs={name: f"{member}.Value"}, only=()
    )


def _lookup(operation: str, at: str, output: str, **filters: str) -> Read:
    """An output that is another resource's id."""
    return Read(operation, {"Filters": _filters(**filters)}, outputs={output: at}, only=())


VPC_ATTRIBUTES = ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics")
NAME_OPTIONS = "PrivateDnsNameOptionsOnLaunch."
SUBNET_ATTRIBUTES = {
    "mapPublicIpOnLaunch": "",
    "assignIpv6AddressOnCreation": "",
    "enableDns64": "",
    "enableResourceNameDnsARecordOnLaunch": "",
    "enableResourceNameDnsAaaaRecordOnLaunch": "EnableResourceNameDnsAAAARecordOnLaunch.Value",
    "privateDnsHostnameTypeOnLaunch": "PrivateDnsHostnameTypeOnLaunch",
}

# Routes

TARGETS = {
    "carrierGatewayId": "CarrierGatewayId",
    "coreNetworkArn": "CoreNetworkArn",
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "gatewayId": "GatewayId",
    "localGatewayId": "LocalGatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "transitGatewayId": "TransitGatewayId",
    "vpcEndpointId": "VpcEndpointId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
}
DESTINATIONS = {
    "cidrBlock": "DestinationCidrBlock",
    "ipv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}


def _members(route: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {member: route[name] for name, member in names.items() if route.get(name)}


def _put_routes(context: Context) -> None:
    if "routes" not in context.inputs:
        return
    old = [_members(route, DESTINATIONS | TARGETS) for route in context.state.get("routes") or []]
    new = [_members(route, DESTINATIONS | TARGETS) for route in context.inputs["routes"]]
    destinations = set(DESTINATIONS.values())
    for route in old:
        if route not in new:
            where = {member: value for member, value in route.items() if member in destinations}
            context.call("delete_route", RouteTableId=context.id, **where)
    for route in new:
        if route not in old:
            context.call("create_route", RouteTableId=context.id, **route)


def _put_propagation(context: Context) -> None:
    old, new = (set(values.get("propagatingVgws") or ()) for values in (context.state, context.inputs))
    for gateway in sorted(old - new):
        context.call("disable_vgw_route_propagation", RouteTableId=context.id, GatewayId=gateway)
    for gateway in sorted(new - old):
        context.call("enable_vgw_route_propagation", RouteTableId=context.id, GatewayId=gateway)


def _refine_routes(context: Context, outputs: dict[str, Any]) -> None:
    """The routes that a program could have written: not the local one, not an endpoint's, not a propagated one."""
    routes = []
    for route in context.found.get("Routes", []):
        gateway = route.get("GatewayId") or ""
        own = (
            gateway != "local"
            and not gateway.startswith("vpce-")
            and route.get("Origin") != "EnableVgwRoutePropagation"
        )
        if own:
            names = {**DESTINATIONS, **TARGETS}
            routes.append({name: route[member] for name, member in names.items() if route.get(member)})
    outputs["routes"] = routes


# Security groups

SOURCES = {
    "cidrBlocks": ("IpRanges", "CidrIp"),
    "ipv6CidrBlocks": ("Ipv6Ranges", "CidrIpv6"),
    "prefixListIds": ("PrefixListIds", "PrefixListId"),
    "securityGroups": ("UserIdGroupPairs", "GroupId"),
}
Atom = tuple[str, int, int, str, str, str]  # protocol, ports, kind of source, source, description


def _protocol(text: str) -> str:
    return {"all": "-1", "6": "tcp", "17": "udp", "1": "icmp"}.get(text.lower(), text.lower())


def _atoms(rules: Iterable[Mapping[str, Any]], own: str) -> dict[Atom, None]:
    """Rules as what EC2 has: one for each source; in order, so that a plan reads well."""
    atoms: dict[Atom, None] = {}
    for rule in rules:
        protocol = _protocol(str(rule["protocol"]))
        ports = (0, 0) if protocol == "-1" else (int(rule["fromPort"]), int(rule["toPort"]))
        sources = [(kind, source) for kind in SOURCES for source in rule.get(kind) or ()]
        if rule.get("self"):
            sources.append(("securityGroups", own))
        for kind, source in sources:
            atoms[(protocol, *ports, kind, source, rule.get("description") or "")] = None
    return atoms


def _permission(atom: Atom) -> dict[str, Any]:
    protocol, low, high, kind, source, description = atom
    member, key = SOURCES[kind]
    permission: dict[str, Any] = {
        "IpProtocol": protocol,
        member: [{key: source, **({"Description": description} if description else {})}],
    }
    return permission if protocol == "-1" else {**permission, "FromPort": low, "ToPort": high}


def _read_atoms(permissions: Iterable[Mapping[str, Any]]) -> dict[Atom, None]:
    atoms: dict[Atom, None] = {}
    for permission in permissions:
        protocol = _protocol(str(permission["IpProtocol"]))
        ports = (0, 0) if protocol == "-1" else (permission.get("FromPort", 0), permission.get("ToPort", 0))
        for kind, (member, key) in SOURCES.items():
            for source in permission.get(member) or ():
                atoms[(protocol, *ports, kind, source[key], source.get("Description") or "")] = None
    return atoms


def _rules(atoms: dict[Atom, None], given: Iterable[Mapping[str, Any]], own: str) -> list[dict[str, Any]]:
    """What EC2 has as rules: the program's own where all of one is there, the rest grouped by ports."""
    left = dict(atoms)
    rules = []
    for rule in given:
        parts = _atoms([rule], own)
        if parts and all(atom in left for atom in parts):
            rules.append(dict(rule))
            for atom in parts:
                del left[atom]
    groups: dict[tuple[Any, ...], list[Atom]] = defaultdict(list)
    for atom in left:
        groups[(*atom[:3], atom[5])].append(atom)
    for (protocol, low, high, description), members in groups.items():
        grouped: dict[str, Any] = {"protocol": protocol, "fromPort": low, "toPort": high}
        if description:
            grouped["description"] = description
        for _, _, _, kind, source, _ in members:
            if kind == "securityGroups" and source == own:
                grouped["self"] = True
            else:
                grouped.setdefault(kind, []).append(source)
        rules.append(grouped)
    return rules


def _put_rules(direction: str) -> Callable[[Context], None]:
    """Make the inline rules of one direction what the program says."""

    def run(context: Context) -> None:
        group = context.call("describe_security_groups", GroupIds=[context.id])["SecurityGroups"][0]
        member = "IpPermissions" if direction == "ingress" else "IpPermissionsEgress"
        has, wanted = _read_atoms(group.get(member, [])), _atoms(context.inputs.get(direction) or [], context.id)
        _change_rules(
            context,
            direction,
            [atom for atom in has if atom not in wanted],
            [atom for atom in wanted if atom not in has],
        )

    return run


def _change_rules(context: Context, direction: str, removed: list[Atom], added: list[Atom]) -> None:
    for verb, atoms in (("revoke", removed), ("authorize", added)):
        if atoms:
            operation = f"{verb}_security_group_{direction}"
            context.call(operation, GroupId=context.id, IpPermissions=[_permission(atom) for atom in atoms])


def _refine_rules(context: Context, outputs: dict[str, Any]) -> None:
    for direction, member in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
        given = context.inputs.get(direction) or []
        outputs[direction] = _rules(_read_atoms(context.found.get(member, [])), given, context.id)


def _without_the_open_egress(context: Context) -> None:
    """EC2 lets a new group speak to anyone; the official provider takes that away unless the program asks for it."""
    _put_rules("egress")(context)


def _adopt_default_group(context: Context) -> None:
    found = context.call(
        "describe_security_groups", Filters=_filters(group_name="default", vpc_id=context.inputs["vpcId"])
    )
    if not found["SecurityGroups"]:
        raise ResourceError(f"{context.entry.token}: the VPC {context.inputs['vpcId']} has no default security group")
    context.id = found["SecurityGroups"][0]["GroupId"]
    tags = context.inputs.get("tagsAll") or {}
    if tags:
        context.call(
            "create_tags", Resources=[context.id], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )
    _put_rules("ingress")(context)
    _put_rules("egress")(context)


def _revoke_all(context: Context) -> None:
    """Delete a group, its rules first where the program asks for that (two groups that name each other)."""
    if context.state.get("revokeRulesOnDelete"):
        context.inputs = {**context.inputs, "ingress": [], "egress": []}
        _put_rules("ingress")(context)
        _put_rules("egress")(context)
    context.call("delete_security_group", GroupId=context.id)


GROUP = Call(
    "create_security_group",
    {},
    ("name", "description", "vpcId"),
    names={"name": "GroupName", "description": "Description"},
)
NESTED_GROUP_SETS = tuple(f"{direction}.{kind}" for direction in ("ingress", "egress") for kind in SOURCES)
GROUP_READ = Read(
    "describe_security_groups",
    {"GroupIds": ["{id}"]},
    "SecurityGroups[0]",
    outputs={"name": "GroupName"},
    only=("description", "vpcId", "ownerId", "arn"),
)
GROUP_GONE = ("InvalidGroup.NotFound", "InvalidGroupId.Malformed")

# Single rules

RULE_MEMBERS = {
    "ipProtocol": "IpProtocol",
    "fromPort": "FromPort",
    "toPort": "ToPort",
    "cidrIpv4": "CidrIpv4",
    "cidrIpv6": "CidrIpv6",
    "prefixListId": "PrefixListId",
    "referencedSecurityGroupId": "ReferencedGroupId",
    "description": "Description",
}
RULE_SOURCES = {
    "cidrIpv4": ("IpRanges", "CidrIp"),
    "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "prefixListId": ("PrefixListIds", "PrefixListId"),
    "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
}


def _authorize(direction: str) -> Callable[[Context], Any]:
    def run(context: Context) -> Any:
        inputs = context.inputs
        permission: dict[str, Any] = {"IpProtocol": _protocol(inputs["ipProtocol"])}
        permission |= {
            member: inputs[name] for name, member in (("fromPort", "FromPort"), ("toPort", "ToPort")) if name in inputs
        }
        described = {"Description": inputs["description"]} if inputs.get("description") else {}
        for name, (member, key) in RULE_SOURCES.items():
            if inputs.get(name):
                permission[member] = [{key: inputs[name], **described}]
        params: dict[str, Any] = {"GroupId": inputs["securityGroupId"], "IpPermissions": [permission]}
        if inputs.get("tagsAll"):
            tags = [{"Key": key, "Value": value} for key, value in inputs["tagsAll"].items()]
            params["TagSpecifications"] = [{"ResourceType": "security-group-rule", "Tags": tags}]
        return context.call(f"authorize_security_group_{direction}", **params)

    return run


def _modify_rule(context: Context) -> None:
    rule = {member: context.inputs[name] for name, member in RULE_MEMBERS.items() if name in context.inputs}
    rule["IpProtocol"] = _protocol(rule["IpProtocol"])
    rule.setdefault("Description", "")
    context.call(
        "modify_security_group_rules",
        GroupId=context.inputs["securityGroupId"],
        SecurityGroupRules=[{"SecurityGroupRuleId": context.id, "SecurityGroupRule": rule}],
    )


def _refine_rule(context: Context, outputs: dict[str, Any]) -> None:
    outputs["securityGroupRuleId"] = context.id
    if outputs.get("ipProtocol") == "-1":
        for name in ("fromPort", "toPort"):  # all ports, whatever EC2 says of them
            outputs.pop(name, None)
            if name in context.inputs:
                outputs[name] = context.inputs[name]


def _verify_rule(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    faults = []
    given = [name for name in RULE_SOURCES if name in inputs]
    if len(given) != 1:
        faults.append(("cidrIpv4", f"give exactly one of {', '.join(RULE_SOURCES)}; got {', '.join(given) or 'none'}"))
    low, high = inputs.get("fromPort"), inputs.get("toPort")
    if isinstance(low, int) and isinstance(high, int) and low > high and inputs.get("ipProtocol") in {"tcp", "udp"}:
        faults.append(("toPort", f"{high} is below fromPort {low}"))
    return faults


def _rule(direction: str) -> Resource:
    name = f"SecurityGroup{direction.capitalize()}Rule"
    return Resource(
        f"aws:vpc/securityGroup{direction.capitalize()}Rule:{name}",
        "ec2",
        create=Do(_authorize(direction), (*RULE_MEMBERS, "securityGroupId")),
        id="SecurityGroupRules[0].SecurityGroupRuleId",
        reads=(
            Read(
                "describe_security_group_rules",
                {"SecurityGroupRuleIds": ["{id}"]},
                "SecurityGroupRules[0]",
                outputs={"referencedSecurityGroupId": "ReferencedGroupInfo.GroupId", "securityGroupId": "GroupId"},
            ),
        ),
        update=(Do(_modify_rule, tuple(RULE_MEMBERS)),),
        delete=Call(
            f"revoke_security_group_{direction}", {"GroupId": "{securityGroupId}", "SecurityGroupRuleIds": ["{id}"]}, ()
        ),
        replaces=("securityGroupId",),
        ranges={"fromPort": PORTS, "toPort": PORTS},
        outputs={"arn": _arn("security-group-rule")},
        refine=_refine_rule,
        verify=_verify_rule,
        gone=("InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound", "InvalidPermission.NotFound"),
        tagging=_tagged("security-group-rule"),
    )


# Endpoints

ENDPOINT_SETS = {
    "routeTableIds": "RouteTableIds",
    "subnetIds": "SubnetIds",
    "securityGroupIds": "SecurityGroupIds",
}


def _modify_endpoint(context: Context) -> None:
    params: dict[str, Any] = {}
    for name, member in ENDPOINT_SETS.items():
        if name in context.inputs and context.changed(name):
            old, new = set(context.state.get(name) or ()), set(context.inputs[name])
            params |= {f"Add{member}": sorted(new - old)} if new - old else {}
            params |= {f"Remove{member}": sorted(old - new)} if old - new else {}
    if context.changed("policy"):
        params |= (
            {"PolicyDocument": context.inputs["policy"]} if context.inputs.get("policy") else {"ResetPolicy": True}
        )
    for name, member in (("privateDnsEnabled", "PrivateDnsEnabled"), ("ipAddressType", "IpAddressType")):
        if name in context.inputs and context.changed(name):
            params[member] = context.inputs[name]
    if params:
        context.call("modify_vpc_endpoint", VpcEndpointId=context.id, **params)


def _verify_endpoint(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = ("serviceName", "resourceConfigurationArn", "serviceNetworkArn")
    given = [name for name in names if name in inputs]
    return (
        []
        if len(given) == 1
        else [("serviceName", f"give exactly one of {', '.join(names)}; got {', '.join(given) or 'none'}")]
    )


def _association(context: Context, outputs: dict[str, Any]) -> None:
    """An association is a part of its table's description."""
    outputs.setdefault("routeTableId", context.found.get("RouteTableId"))


# Flow logs

WATCHED = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}
FLOW_LOG = Call(
    "create_flow_logs",
    {},
    (
        "iamRoleArn",
        "destinationOptions",
        "logDestination",
        "logDestinationType",
        "logFormat",
        "maxAggregationInterval",
        "trafficType",
    ),
    names={"iamRoleArn": "DeliverLogsPermissionArn"},
)


def _create_flow_log(context: Context) -> Any:
    """Make a flow log; EC2 says what is wrong with the resource in an answer that is none of an error.

    Raises:
        ResourceError: EC2 could not make it.
    """
    ((name, kind),) = [(name, kind) for name, kind in WATCHED.items() if context.inputs.get(name)]
    params = {**context.parameters(FLOW_LOG, tagged=True), "ResourceIds": [context.inputs[name]], "ResourceType": kind}
    answer = context.call("create_flow_logs", **params)
    for fault in answer.get("Unsuccessful") or []:
        error = fault["Error"]
        raise ResourceError(
            f"{context.entry.token}: CreateFlowLogs failed for {fault['ResourceId']}: {error['Code']}: "
            f"{error['Message']}"
        )
    return answer


def _refine_flow_log(context: Context, outputs: dict[str, Any]) -> None:
    resource = str(context.found.get("ResourceId", ""))
    kinds = {"vpc-": "vpcId", "subnet-": "subnetId", "eni-": "eniId"}
    outputs |= {name: resource for prefix, name in kinds.items() if resource.startswith(prefix)}


def _verify_flow_log(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    given = [name for name in WATCHED if name in inputs]
    faults = []
    if len(given) != 1:
        faults.append(("vpcId", f"give exactly one of {', '.join(WATCHED)}; got {', '.join(given) or 'none'}"))
    if "trafficType" not in inputs:
        faults.append(("trafficType", "is needed for a VPC, a subnet or an interface: ACCEPT, REJECT or ALL"))
    return faults


# Launch templates and instances

TEMPLATE_DATA = (
    "blockDeviceMappings",
    "capacityReservationSpecification",
    "cpuOptions",
    "creditSpecification",
    "disableApiStop",
    "disableApiTermination",
    "ebsOptimized",
    "enclaveOptions",
    "hibernationOptions",
    "iamInstanceProfile",
    "imageId",
    "instanceInitiatedShutdownBehavior",
    "instanceMarketOptions",
    "instanceType",
    "kernelId",
    "keyName",
    "licenseSpecifications",
    "maintenanceOptions",
    "metadataOptions",
    "monitoring",
    "placement",
    "privateDnsNameOptions",
    "ramDiskId",
    "securityGroupNames",
    "userData",
    "vpcSecurityGroupIds",
)
TEMPLATE_NAMES = {
    "description": "VersionDescription",
    "securityGroupNames": "SecurityGroups",
    "vpcSecurityGroupIds": "SecurityGroupIds",
}
TEMPLATE = Call("create_launch_template", {}, TEMPLATE_DATA, into="LaunchTemplateData")
DESCRIBED = ("name", "description")


def _create_template(context: Context) -> Any:
    params = context.parameters(TEMPLATE, tagged=True)
    described = {"VersionDescription": context.inputs["description"]} if context.inputs.get("description") else {}
    params.setdefault("LaunchTemplateData", {})
    return context.call("create_launch_template", LaunchTemplateName=context.inputs["name"], **described, **params)


def _new_template_version(context: Context) -> None:
    """A changed template is a new version; it becomes the default where the program says so."""
    data = context.parameters(TEMPLATE).get("LaunchTemplateData", {})
    described = {"VersionDescription": context.inputs["description"]} if context.inputs.get("description") else {}
    made = context.call(
        "create_launch_template_version", LaunchTemplateId=context.id, LaunchTemplateData=data, **described
    )["LaunchTemplateVersion"]
    if context.inputs.get("updateDefaultVersion"):
        _set_default_version(context, made["VersionNumber"])


def _put_default_version(context: Context) -> None:
    if context.inputs.get("defaultVersion") is not None:
        _set_default_version(context, context.inputs["defaultVersion"])


def _set_default_version(context: Context, version: int) -> None:
    context.call("modify_launch_template", LaunchTemplateId=context.id, DefaultVersion=str(version))


INSTANCE = Call(
    "run_instances",
    {"MinCount": "1", "MaxCount": "1"},
    ("ami", "iamInstanceProfile", "instanceType", "keyName", "launchTemplate", "metadataOptions"),
    names={
        "ami": "ImageId",
        "iamInstanceProfile": "IamInstanceProfile.Name",
        "launchTemplate.id": "LaunchTemplateId",
        "launchTemplate.name": "LaunchTemplateName",
    },
)
WITHIN = ("associatePublicIpAddress", "subnetId", "vpcSecurityGroupIds")


def _run_instance(context: Context) -> Any:
    """Run one; a word about its public address makes EC2 want subnet and groups in the interface's own structure."""
    inputs, params = context.inputs, context.parameters(INSTANCE, tagged=True)
    params.get("LaunchTemplate", {}).setdefault("Version", "$Default")
    place = {"SubnetId": inputs.get("subnetId"), "Groups": inputs.get("vpcSecurityGroupIds")}
    given = {name: value for name, value in place.items() if value}
    if "associatePublicIpAddress" in inputs:
        interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": inputs["associatePublicIpAddress"], **given}
        params["NetworkInterfaces"] = [interface]
    else:
        params |= {{"Groups": "SecurityGroupIds"}.get(name, name): value for name, value in given.items()}
    return context.call("run_instances", **params)


def _refine_instance(context: Context, outputs: dict[str, Any]) -> None:
    found = context.found
    interface = (found.get("NetworkInterfaces") or [{}])[0]
    outputs["associatePublicIpAddress"] = "Association" in interface
    outputs["primaryNetworkInterfaceId"] = interface.get("NetworkInterfaceId", "")
    outputs["iamInstanceProfile"] = str(found.get("IamInstanceProfile", {}).get("Arn", "")).rpartition("/")[2]
    if template := _launched_from(context):
        outputs["launchTemplate"] = template


def _launched_from(context: Context) -> dict[str, str]:
    """The template that EC2's own tags name; its version in the program's word, as long as that means the same."""
    tags = {tag["Key"]: tag["Value"] for tag in context.found.get("Tags", [])}
    identifier, version = (tags.get(f"aws:ec2launchtemplate:{part}", "") for part in ("id", "version"))
    if not identifier:
        return {}
    given = context.inputs.get("launchTemplate") or {}
    (known,) = context.call("describe_launch_templates", LaunchTemplateIds=[identifier])["LaunchTemplates"]
    named = {"id": identifier, "name": known["LaunchTemplateName"]}
    word = str(given.get("version") or "$Default")
    meant = {"$Default": known["DefaultVersionNumber"], "$Latest": known["LatestVersionNumber"]}.get(word, word)
    kept = {name: value for name, value in named.items() if not given or name in given}
    # A version that a new default has left behind shows as what it is, a change.
    return {**kept, "version": word if str(meant) == version else version}


def _verify_instance(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    template = inputs.get("launchTemplate")
    if not template:
        missing = [name for name in ("ami", "instanceType") if name not in inputs]
        return [(name, "is needed where no launchTemplate says it") for name in missing]
    if ("id" in template) == ("name" in template):
        return [("launchTemplate", "give exactly one of id and name")]
    return []


ENTRIES = (
    Resource(
        "aws:ec2/vpc:Vpc",
        "ec2",
        create=Call("create_vpc", {}, ("cidrBlock", "instanceTenancy")),
        id="Vpc.VpcId",
        reads=(
            Read(
                "describe_vpcs",
                {"VpcIds": ["{id}"]},
                "Vpcs[0]",
                only=("cidrBlock", "instanceTenancy", "dhcpOptionsId", "ownerId"),
            ),
            *map(_vpc_attribute, VPC_ATTRIBUTES),
            _lookup(
                "describe_security_groups",
                "SecurityGroups[0].GroupId",
                "defaultSecurityGroupId",
                vpc_id="{id}",
                group_name="default",
            ),
            _lookup(
                "describe_network_acls",
                "NetworkAcls[0].NetworkAclId",
                "defaultNetworkAclId",
                vpc_id="{id}",
                default="true",
            ),
            Read(
                "describe_route_tables",
                {"Filters": [*_filters(vpc_id="{id}"), {"Name": "association.main", "Values": ["true"]}]},
                outputs={
                    "mainRouteTableId": "RouteTables[0].RouteTableId",
                    "defaultRouteTableId": "RouteTables[0].RouteTableId",
                },
                only=(),
            ),
        ),
        settings=tuple(_attribute("modify_vpc_attribute", "VpcId", name) for name in VPC_ATTRIBUTES),
        delete=Call("delete_vpc", {"VpcId": "{id}"}, ()),
        replaces=("cidrBlock",),
        defaults={"enableDnsSupport": True, "instanceTenancy": "default"},
        initial={"enableDnsSupport": True, "enableDnsHostnames": False, "enableNetworkAddressUsageMetrics": False},
        unsupported=(
            "assignGeneratedIpv6CidrBlock",
            "ipv4IpamPoolId",
            "ipv4NetmaskLength",
            "ipv6CidrBlock",
            "ipv6CidrBlockNetworkBorderGroup",
            "ipv6IpamPoolId",
            "ipv6NetmaskLength",
        ),
        outputs={"arn": _arn("vpc")},
        gone=("InvalidVpcID.NotFound",),
        tagging=_tagged("vpc"),
    ),
    Resource(
        "aws:ec2/subnet:Subnet",
        "ec2",
        create=Call(
            "create_subnet",
            {},
            ("vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId", "ipv6CidrBlock", "ipv6Native"),
        ),
        id="Subnet.SubnetId",
        reads=(
            Read(
                "describe_subnets",
                {"SubnetIds": ["{id}"]},
                "Subnets[0]",
                outputs={
                    "arn": "SubnetArn",
                    "ipv6CidrBlock": "Ipv6CidrBlockAssociationSet[0].Ipv6CidrBlock",
                    "ipv6CidrBlockAssociationId": "Ipv6CidrBlockAssociationSet[0].AssociationId",
                    "privateDnsHostnameTypeOnLaunch": f"{NAME_OPTIONS}HostnameType",
                    "enableResourceNameDnsARecordOnLaunch": f"{NAME_OPTIONS}EnableResourceNameDnsARecord",
                    "enableResourceNameDnsAaaaRecordOnLaunch": f"{NAME_OPTIONS}EnableResourceNameDnsAAAARecord",
                },
            ),
        ),
        settings=tuple(
            _attribute("modify_subnet_attribute", "SubnetId", name, member)
            for name, member in SUBNET_ATTRIBUTES.items()
        ),
        delete=Call("delete_subnet", {"SubnetId": "{id}"}, ()),
        replaces=("vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId", "ipv6CidrBlock", "ipv6Native"),
        defaults={
            "assignIpv6AddressOnCreation": False,
            "enableDns64": False,
            "enableResourceNameDnsARecordOnLaunch": False,
            "enableResourceNameDnsAaaaRecordOnLaunch": False,
            "ipv6Native": False,
            "mapPublicIpOnLaunch": False,
        },
        initial={
            "assignIpv6AddressOnCreation": False,
            "enableDns64": False,
            "enableResourceNameDnsARecordOnLaunch": False,
            "enableResourceNameDnsAaaaRecordOnLaunch": False,
            "mapPublicIpOnLaunch": False,
            "privateDnsHostnameTypeOnLaunch": "ip-name",
        },
        unsupported=(
            "customerOwnedIpv4Pool",
            "enableLniAtDeviceIndex",
            "ipv4IpamPoolId",
            "ipv4NetmaskLength",
            "ipv6IpamPoolId",
            "ipv6NetmaskLength",
            "mapCustomerOwnedIpOnLaunch",
            "outpostArn",
        ),
        outputs={},
        gone=("InvalidSubnetID.NotFound",),
        tagging=_tagged("subnet"),
    ),
    Resource(
        "aws:ec2/routeTable:RouteTable",
        "ec2",
        create=Call("create_route_table", {}, ("vpcId",)),
        id="RouteTable.RouteTableId",
        reads=(
            Read(
                "describe_route_tables",
                {"RouteTableIds": ["{id}"]},
                "RouteTables[0]",
                outputs={"propagatingVgws": "PropagatingVgws[].GatewayId"},
                only=("vpcId", "ownerId"),
            ),
        ),
        settings=(Do(_put_routes, ("routes",)), Do(_put_propagation, ("propagatingVgws",))),
        delete=Call("delete_route_table", {"RouteTableId": "{id}"}, ()),
        replaces=("vpcId",),
        sets=("routes", "propagatingVgws"),
        outputs={"arn": _arn("route-table")},
        refine=_refine_routes,
        gone=("InvalidRouteTableID.NotFound",),
        tagging=_tagged("route-table"),
    ),
    Resource(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "ec2",
        create=Call("associate_route_table"),
        id="AssociationId",
        reads=(
            Read(
                "describe_route_tables",
                {"Filters": [{"Name": "association.route-table-association-id", "Values": ["{id}"]}]},
                "RouteTables[].Associations[] | [?RouteTableAssociationId=='{id}'] | [0]",
                only=("routeTableId", "subnetId", "gatewayId"),
            ),
        ),
        delete=Call("disassociate_route_table", {"AssociationId": "{id}"}, ()),
        replaces=("subnetId", "gatewayId", "routeTableId"),  # a new table means a new association, and so a new id
        refine=_association,
        gone=("InvalidAssociationID.NotFound",),
    ),
    Resource(
        "aws:ec2/securityGroup:SecurityGroup",
        "ec2",
        create=GROUP,
        id="GroupId",
        reads=(GROUP_READ,),
        settings=(Do(_put_rules("ingress"), ("ingress",)), Do(_without_the_open_egress, ("egress", "name"))),
        delete=Do(_revoke_all),
        name="name",
        replaces=("name", "description", "vpcId"),
        sets=("ingress", "egress", *NESTED_GROUP_SETS),
        defaults={"description": "Managed by Pulumi", "revokeRulesOnDelete": False},
        ranges={f"{direction}.{port}": PORTS for direction in ("ingress", "egress") for port in ("fromPort", "toPort")},
        local=("revokeRulesOnDelete",),
        unsupported=("namePrefix",),
        outputs={"arn": _arn("security-group")},
        refine=_refine_rules,
        gone=GROUP_GONE,
        tagging=_tagged("security-group"),
    ),
    Resource(
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "ec2",
        create=Do(_adopt_default_group, ("vpcId", "ingress", "egress")),
        id="{id}",
        reads=(GROUP_READ,),
        update=(Do(_put_rules("ingress"), ("ingress",)), Do(_put_rules("egress"), ("egress",))),
        delete=None,  # EC2 keeps a VPC's default group as long as the VPC
        replaces=("vpcId",),
        sets=("ingress", "egress", *NESTED_GROUP_SETS),
        defaults={"revokeRulesOnDelete": False},
        ranges={f"{direction}.{port}": PORTS for direction in ("ingress", "egress") for port in ("fromPort", "toPort")},
        local=("revokeRulesOnDelete",),
        outputs={"arn": _arn("security-group")},
        refine=_refine_rules,
        gone=GROUP_GONE,
        tagging=_tagged("security-group"),
    ),
    _rule("ingress"),
    _rule("egress"),
    Resource(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "ec2",
        create=Call("create_vpc_endpoint"),
        id="VpcEndpoint.VpcEndpointId",
        reads=(
            Read(
                "describe_vpc_endpoints",
                {"VpcEndpointIds": ["{id}"]},
                "VpcEndpoints[?State!='deleted'] | [0]",
                outputs={"securityGroupIds": "Groups[].GroupId"},
            ),
            Read(
                "describe_prefix_lists",
                {"Filters": _filters(prefix_list_name="{serviceName}")},
                outputs={"prefixListId": "PrefixLists[0].PrefixListId", "cidrBlocks": "PrefixLists[0].Cidrs"},
                only=(),
            ),
        ),
        update=(Do(_modify_endpoint, (*ENDPOINT_SETS, "policy", "privateDnsEnabled", "ipAddressType")),),
        delete=Call("delete_vpc_endpoints", {"VpcEndpointIds": ["{id}"]}, ()),
        names={"policy": "PolicyDocument"},
        replaces=(
            "vpcId",
            "serviceName",
            "vpcEndpointType",
            "serviceRegion",
            "resourceConfigurationArn",
            "serviceNetworkArn",
        ),
        sets=tuple(ENDPOINT_SETS),
        documents=("policy",),
        defaults={"vpcEndpointType": "Gateway"},
        unsupported=("autoAccept", "dnsOptions", "subnetConfigurations"),
        outputs={"arn": _arn("vpc-endpoint")},
        verify=_verify_endpoint,
        gone=("InvalidVpcEndpointId.NotFound",),
        tagging=_tagged("vpc-endpoint"),
        ready=Wait(
            "State", ("available", "pendingAcceptance", "Available"), ("failed", "rejected"), "LastError.Message"
        ),
        awaited_gone=True,
    ),
    Resource(
        "aws:ec2/flowLog:FlowLog",
        "ec2",
        create=Do(_create_flow_log, (*WATCHED, *(FLOW_LOG.carries or ())), FLOW_LOG),
        id="FlowLogIds[0]",
        reads=(
            Read(
                "describe_flow_logs",
                {"FlowLogIds": ["{id}"]},
                "FlowLogs[0]",
                outputs={"iamRoleArn": "DeliverLogsPermissionArn"},
            ),
        ),
        delete=Call("delete_flow_logs", {"FlowLogIds": ["{id}"]}, ()),
        replaces=(*WATCHED, *(FLOW_LOG.carries or ())),
        defaults={"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600},
        allowed={"maxAggregationInterval": (60, 600)},
        unsupported=(
            "deliverCrossAccountRole",
            "regionalNatGatewayId",
            "tagFieldSpecifications",
            "transitGatewayAttachmentId",
            "transitGatewayId",
        ),
        outputs={"arn": _arn("vpc-flow-log")},
        refine=_refine_flow_log,
        verify=_verify_flow_log,
        gone=("InvalidFlowLogId.NotFound",),
        tagging=_tagged("vpc-flow-log"),
    ),
    Resource(
        "aws:ec2/launchTemplate:LaunchTemplate",
        "ec2",
        create=Do(_create_template, (*TEMPLATE_DATA, *DESCRIBED), TEMPLATE),
        id="LaunchTemplate.LaunchTemplateId",
        reads=(
            Read(
                "describe_launch_templates",
                {"LaunchTemplateIds": ["{id}"]},
                "LaunchTemplates[0]",
                outputs={
                    "name": "LaunchTemplateName",
                    "defaultVersion": "DefaultVersionNumber",
                    "latestVersion": "LatestVersionNumber",
                },
                only=(),
            ),
            Read(
                "describe_launch_template_versions",
                {"LaunchTemplateId": "{id}", "Versions": ["$Latest"]},
                "LaunchTemplateVersions[0]",
                outputs={"description": "VersionDescription"},
                only=(),
            ),
            Read(
                "describe_launch_template_versions",
                {"LaunchTemplateId": "{id}", "Versions": ["$Latest"]},
                "LaunchTemplateVersions[0].LaunchTemplateData",
                only=TEMPLATE_DATA,
            ),
        ),
        update=(
            Do(_new_template_version, (*TEMPLATE_DATA, "description"), TEMPLATE),
            Do(_put_default_version, ("defaultVersion",)),
        ),
        delete=Call("delete_launch_template", {"LaunchTemplateId": "{id}"}, ()),
        names=TEMPLATE_NAMES,
        name="name",
        replaces=("name",),
        sets=("vpcSecurityGroupIds",),
        local=("updateDefaultVersion",),
        unsupported=(
            "instanceRequirements",
            "namePrefix",
            "networkInterfaces",
            "networkPerformanceOptions",
            "secondaryInterfaces",
            "tagSpecifications",
        ),
        outputs={"arn": _arn("launch-template")},
        recomputed={"latestVersion": (*TEMPLATE_DATA, "description"), "defaultVersion": ("updateDefaultVersion",)},
        gone=("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateId.NotFoundException"),
        tagging=_tagged("launch-template"),
    ),
    Resource(
        "aws:ec2/instance:Instance",
        "ec2",
        create=Do(_run_instance, (*(INSTANCE.carries or ()), *WITHIN), INSTANCE),
        id="Instances[0].InstanceId",
        reads=(
            Read(
                "describe_instances",
                {"InstanceIds": ["{id}"]},
                "[Reservations[0].Instances[0]][?State.Name != 'terminated'] | [0]",
                outputs={
                    "ami": "ImageId",
                    "availabilityZone": "Placement.AvailabilityZone",
                    "instanceState": "State.Name",
                    "privateDns": "PrivateDnsName",
                    "privateIp": "PrivateIpAddress",
                    "publicDns": "PublicDnsName",
                    "publicIp": "PublicIpAddress",
                    "tenancy": "Placement.Tenancy",
                    "vpcSecurityGroupIds": "SecurityGroups[].GroupId",
                },
                only=("ebsOptimized", "instanceType", "keyName", "metadataOptions", "sourceDestCheck", "subnetId"),
            ),
        ),
        update=(
            Call(
                "modify_instance_attribute",
                {"InstanceId": "{id}"},
                ("vpcSecurityGroupIds",),
                names={"vpcSecurityGroupIds": "Groups"},
            ),
        ),
        delete=Call("terminate_instances", {"InstanceIds": ["{id}"]}, ()),
        replaces=(*(INSTANCE.carries or ()), "associatePublicIpAddress", "subnetId"),
        sets=("vpcSecurityGroupIds",),
        local=("forceDestroy", "getPasswordData", "userDataReplaceOnChange"),
        unsupported=(
            "availabilityZone",
            "capacityReservationSpecification",
            "cpuOptions",
            "creditSpecification",
            "disableApiStop",
            "disableApiTermination",
            "ebsBlockDevices",
            "ebsOptimized",
            "enablePrimaryIpv6",
            "enclaveOptions",
            "ephemeralBlockDevices",
            "hibernation",
            "hostId",
            "hostResourceGroupArn",
            "instanceInitiatedShutdownBehavior",
            "instanceMarketOptions",
            "ipv6AddressCount",
            "ipv6Addresses",
            "maintenanceOptions",
            "monitoring",
            "networkInterfaces",
            "placementGroup",
            "placementGroupId",
            "placementPartitionNumber",
            "primaryNetworkInterface",
            "privateDnsNameOptions",
            "privateIp",
            "rootBlockDevice",
            "secondaryNetworkInterfaces",
            "secondaryPrivateIps",
            "securityGroups",
            "sourceDestCheck",
            "tenancy",
            "userData",
            "userDataBase64",
            "volumeTags",
        ),
        defaults={"forceDestroy": False, "getPasswordData": False, "sourceDestCheck": True},
        outputs={"arn": _arn("instance")},
        refine=_refine_instance,
        verify=_verify_instance,
        gone=("InvalidInstanceID.NotFound",),
        tagging=_tagged("instance"),
        ready=Wait("State.Name", ("running",), ("shutting-down", "terminated", "stopped")),
        awaited_gone=True,
    ),
)
