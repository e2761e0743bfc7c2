"""What can be reached from where: before the update, after it, and the difference.

A way is who, whereto and how. Two members of security groups have a way between them when the rules of both sides let
the connection pass; a rule without its counterpart is told as such. What faces the internet (a route without
authorisation, a function's URL, a public database, an open policy) is a way for anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ops.review import grants
from ops.review.permissions import gather
from ops.review.preview import LATER, Resource, sources, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.review.preview import Preview

ANYBODY: Final = "anybody on the internet"
INTERNET: Final = "the internet"
_LATER: Final = "known after the update"


@dataclass(frozen=True, kw_only=True, order=True)
class Way:
    """One way from somewhere to something.

    Attributes:
        source: Who can take it.
        target: Where it leads.
        how: The protocol and port, the route, the action.
        behind: What answers there, where the target is only an address of it.
        guard: What still stands in it: `no authorisation`, `a token of …`.
        open: Whether anybody at all can take it.
        whole: Whether it can be taken; False where only one side has a rule for it.
        urns: The resources at its ends.
    """

    source: str
    target: str
    how: str = ""
    behind: str = ""
    guard: str = ""
    open: bool = False
    whole: bool = True
    urns: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        how = f" {self.how}" if self.how else ""
        guard = f" ({self.guard})" if self.guard else ""
        behind = f" of {self.behind}" if self.behind else ""
        return f"{self.source} → {self.target}{behind}{how}{guard}"


@dataclass(frozen=True, kw_only=True)
class Reachability:
    """The difference.

    Attributes:
        gained: Ways that open.
        lost: Ways that close.
        kept: Ways that stay.
        halves: Rules of security groups that lead nowhere after the update, for the other side has none.
    """

    gained: tuple[Way, ...]
    lost: tuple[Way, ...]
    kept: tuple[Way, ...]
    halves: tuple[Way, ...] = ()


def changes(preview: Preview, account: str) -> Reachability:
    """Compare the ways before and after.

    Args:
        preview: The preview.
        account: The stack's account: every other one is a stranger.
    """
    before, after = set(ways(preview.before, account)), set(ways(preview.after, account))

    def ordered(found: set[Way], *, whole: bool = True) -> tuple[Way, ...]:
        return tuple(sorted((way for way in found if way.whole == whole), key=lambda way: (not way.open, way)))

    return Reachability(
        gained=ordered(after - before),
        lost=ordered(before - after),
        kept=ordered(after & before),
        halves=ordered(after, whole=False),
    )


def ways(stack: Mapping[str, Resource], account: str) -> Iterator[Way]:
    """Every way that a stack opens."""
    yield from _networks(stack)
    yield from _routes(stack)
    yield from _http_apis(stack)
    yield from _quick(stack)
    yield from _rest_apis(stack)
    yield from _flags(stack)
    yield from _buckets(stack)
    yield from _policies(stack, account)


# --- security groups -------------------------------------------------------------------------------------------------

# Who is in a group: the type, and where it names its groups.
_MEMBERS: Final = {
    "lambda/function:Function": "vpcConfig.securityGroupIds",
    "rds/instance:Instance": "vpcSecurityGroupIds",
    "rds/cluster:Cluster": "vpcSecurityGroupIds",
    "rds/proxy:Proxy": "vpcSecurityGroupIds",
    "ec2/vpcEndpoint:VpcEndpoint": "securityGroupIds",
    "ec2/instance:Instance": "vpcSecurityGroupIds",
    "lb/loadBalancer:LoadBalancer": "securityGroups",
    "ecs/service:Service": "networkConfiguration.securityGroups",
    "elasticache/cluster:Cluster": "securityGroupIds",
}
_GROUP: Final = "ec2/securityGroup:SecurityGroup"


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """One rule of a security group.

    Attributes:
        group: The URN of the group, or the id of one that is not of this stack.
        inward: Whether it admits; else it lets out.
        peer: The URN of a group, an address range, or what else stands there.
        protocol: `tcp`, `udp`, `all` and so on.
        ports: First and last; None for all.
    """

    group: str
    inward: bool
    peer: str
    protocol: str
    ports: tuple[int, int] | None

    @property
    def how(self) -> str:
        if self.protocol == "all":
            return "any port"
        if self.protocol == _LATER or self.protocol.startswith("icmp"):
            return f"a port {_LATER}" if self.protocol == _LATER else self.protocol
        if self.ports is None:
            return f"any {self.protocol} port"
        first, last = self.ports
        return f"{self.protocol} {first}" if first == last else f"{self.protocol} {first} to {last}"

    def meets(self, other: _Rule) -> bool:
        """Whether a connection can pass both; what is not known yet may be anything."""
        if _LATER in (self.protocol, other.protocol):
            return True
        if "all" not in (self.protocol, other.protocol) and self.protocol != other.protocol:
            return False
        if self.ports is None or other.ports is None:
            return True
        return self.ports[0] <= other.ports[1] and other.ports[0] <= self.ports[1]


def _networks(stack: Mapping[str, Resource]) -> Iterator[Way]:
    rules = list(_rules(stack))
    isolated = _isolated(stack)
    members: dict[str, list[Resource]] = {}
    for kind, key in _MEMBERS.items():
        for resource in walk(stack, kind):
            for group in sources(resource, key, stack, _GROUP):
                members.setdefault(group.urn, []).append(resource)

    def ends(group: str) -> list[tuple[str, tuple[str, ...]]]:
        """The members of a group in words; the group itself where it has none, or is not of this stack."""
        if found := members.get(group):
            return [(_called(each), (each.urn,)) for each in found]
        if group in stack:
            return [(f"members of group {stack[group].label}", (group,))]
        return [(f"members of group {group}, which is not of this stack", ())]

    for rule in rules:
        is_group = rule.peer in stack or rule.peer.startswith("sg-")
        if not is_group:
            for name, urns in ends(rule.group):
                world = rule.peer in ("0.0.0.0/0", "::/0")
                peer = (ANYBODY if rule.inward else INTERNET) if world else rule.peer
                source, target = (peer, name) if rule.inward else (name, peer)
                guard = "its network has no gateway to the internet" if world and rule.group in isolated else ""
                yield Way(
                    source=source, target=target, how=rule.how, guard=guard, open=rule.inward and world, urns=urns
                )
            continue
        others = [
            other
            for other in rules
            if other.inward != rule.inward
            and (other.group, other.peer) == (rule.peer, rule.group)
            and rule.meets(other)
        ]
        # A group of somebody else has rules of its own, which nobody here knows.
        whole = bool(others) or rule.peer not in stack or rule.group not in stack
        if rule.inward or not whole:
            source, target = (rule.peer, rule.group) if rule.inward else (rule.group, rule.peer)
            missing = "" if whole else "the other side has no rule for it"
            for who, first in ends(source):
                for whom, second in ends(target):
                    yield Way(source=who, target=whom, how=rule.how, guard=missing, whole=whole, urns=(*first, *second))


def _isolated(stack: Mapping[str, Resource]) -> set[str]:
    """The security groups of networks of this stack that no gateway joins to the internet."""
    vpc = "ec2/vpc:Vpc"
    joined = {
        network.urn
        for kind in (
            "ec2/internetGateway:InternetGateway",
            "ec2/internetGatewayAttachment:InternetGatewayAttachment",
            "ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway",
        )
        for gateway in walk(stack, kind)
        for network in sources(gateway, "vpcId", stack, vpc)
    }
    return {
        each.urn
        for each in walk(stack, _GROUP)
        if (networks := sources(each, "vpcId", stack, vpc)) and not any(network.urn in joined for network in networks)
    }


def _called(resource: Resource) -> str:
    """A resource in words: `function product-api-dev-api`."""
    if resource.type == "aws:ec2/vpcEndpoint:VpcEndpoint":
        return f"AWS service {str(resource.inputs.get('serviceName', '')).rpartition('.')[2]} (by its private endpoint)"
    kind = {"rds/instance:Instance": "database", "rds/proxy:Proxy": "database proxy"}.get(resource.type[4:])
    return f"{kind or resource.kind} {resource.label}"


def _rules(stack: Mapping[str, Resource]) -> Iterator[_Rule]:
    for kind, inward in (
        ("vpc/securityGroupIngressRule:SecurityGroupIngressRule", True),
        ("vpc/securityGroupEgressRule:SecurityGroupEgressRule", False),
    ):
        for resource in walk(stack, kind):
            said = resource.inputs
            peers = [
                *_group_or_text(resource, "referencedSecurityGroupId", stack),
                *(_text(said[key]) for key in ("cidrIpv4", "cidrIpv6", "prefixListId") if said.get(key) is not None),
            ]
            for group in _group_or_text(resource, "securityGroupId", stack):
                for peer in peers:
                    yield _rule(group, peer, said, inward=inward, protocol=said.get("ipProtocol"))
    for resource in walk(stack, "ec2/securityGroupRule:SecurityGroupRule"):
        said = resource.inputs
        for group in _group_or_text(resource, "securityGroupId", stack):
            peers = [*_group_or_text(resource, "sourceSecurityGroupId", stack), *_ranges(said)]
            for peer in peers + ([group] if said.get("self") is True else []):
                yield _rule(group, peer, said, inward=said.get("type") == "ingress", protocol=said.get("protocol"))
    for kind in (_GROUP, "ec2/defaultSecurityGroup:DefaultSecurityGroup"):
        for resource in walk(stack, kind):
            for key, inward in (("ingress", True), ("egress", False)):
                for said in _list(resource.inputs.get(key)):
                    if not isinstance(said, dict):
                        yield _rule(resource.urn, _LATER, {}, inward=inward, protocol="-1")
                        continue
                    named = [
                        each.urn if isinstance(each, Resource) else each
                        for each in _inline_groups(resource, said, key, stack)
                    ]
                    for peer in [*named, *_ranges(said), *([resource.urn] if said.get("self") is True else [])]:
                        yield _rule(resource.urn, peer, said, inward=inward, protocol=said.get("protocol"))


def _inline_groups(
    resource: Resource, said: Mapping[str, Any], key: str, stack: Mapping[str, Resource]
) -> Iterator[Resource | str]:
    """The groups that a rule inside of a group names."""
    known = {each.id: each for each in walk(stack, _GROUP) if each.id}
    for text in _list(said.get("securityGroups")):
        if isinstance(text, str):
            yield known.get(text, text)
        else:
            yield from (
                stack[urn] for urn in resource.sources.get(key, ()) if urn in stack and _GROUP in stack[urn].type
            )


def _rule(group: str, peer: str, said: Mapping[str, Any], *, inward: bool, protocol: Any) -> _Rule:
    name = str(protocol).lower() if protocol is not LATER else _LATER
    name = {"-1": "all", "6": "tcp", "17": "udp", "1": "icmp"}.get(name, name)
    first, last = said.get("fromPort"), said.get("toPort")
    if LATER in (first, last):
        name = _LATER
    ports = (first, last) if isinstance(first, int | float) and isinstance(last, int | float) and first >= 0 else None
    return _Rule(
        group=group,
        inward=inward,
        peer=peer,
        protocol=name,
        ports=None if ports is None or name == "all" else (int(ports[0]), int(ports[1])),
    )


def _group_or_text(resource: Resource, key: str, stack: Mapping[str, Resource]) -> list[str]:
    """The URN of the group that a property names, or the property's text where the group is not of this stack."""
    said = resource.inputs.get(key)
    if said is None:
        return []
    found = [
        each.urn for each in sources(resource, key, stack, _GROUP, "ec2/defaultSecurityGroup:DefaultSecurityGroup")
    ]
    return found or [_text(said)]


def _ranges(said: Mapping[str, Any]) -> list[str]:
    return [_text(each) for key in ("cidrBlocks", "ipv6CidrBlocks", "prefixListIds") for each in _list(said.get(key))]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return f"an address {_LATER}" if value is LATER else str(value)


# --- routes ----------------------------------------------------------------------------------------------------------

_GATEWAYS: Final = {
    "gatewayId": "an internet gateway",
    "natGatewayId": "a NAT gateway",
    "egressOnlyGatewayId": "an egress-only gateway",
    "transitGatewayId": "a transit gateway",
    "vpcPeeringConnectionId": "a peering connection",
    "networkInterfaceId": "a network interface",
}


def _routes(stack: Mapping[str, Resource]) -> Iterator[Way]:
    """Routes that lead out of a network."""
    tables: list[tuple[Resource, Mapping[str, Any]]] = [
        (table, route)
        for kind in ("ec2/routeTable:RouteTable", "ec2/defaultRouteTable:DefaultRouteTable")
        for table in walk(stack, kind)
        for route in _list(table.inputs.get("routes"))
        if isinstance(route, dict)
    ]
    for route in walk(stack, "ec2/route:Route"):
        found = sources(route, "routeTableId", stack, "ec2/routeTable:RouteTable")
        tables += [(table, route.inputs) for table in found] or [(route, route.inputs)]
    for table, said in tables:
        where = _text(said.get("cidrBlock") or said.get("destinationCidrBlock") or said.get("ipv6CidrBlock") or "?")
        for key, what in _GATEWAYS.items():
            if said.get(key) in (None, "", "local"):
                continue
            world = where in ("0.0.0.0/0", "::/0")
            yield Way(
                source=f"subnets of route table {_tag(table)}",
                target=INTERNET if world else where,
                how=f"through {what}",
                # Behind an internet gateway the way leads inward as well, for whatever has a public address.
                guard="and back, to what has a public address" if world and key == "gatewayId" else "",
                urns=(table.urn,),
            )


def _tag(resource: Resource) -> str:
    tags = resource.inputs.get("tags")
    name = tags.get("Name") if isinstance(tags, dict) else None
    return name if isinstance(name, str) else resource.name


# --- APIs ------------------------------------------------------------------------------------------------------------


def _http_apis(stack: Mapping[str, Resource]) -> Iterator[Way]:
    """Routes of HTTP and WebSocket APIs."""
    for route in walk(stack, "apigatewayv2/route:Route"):
        apis = sources(route, "apiId", stack, "apigatewayv2/api:Api")
        if any(
            api.inputs.get("disableExecuteApiEndpoint") is True
            and not any(
                api in sources(mapping, "apiId", stack, "apigatewayv2/api:Api")
                for mapping in walk(stack, "apigatewayv2/apiMapping:ApiMapping")
            )
            for api in apis
        ):
            continue  # its own address is closed, and it has no other
        kind = route.inputs.get("authorizationType") or "NONE"
        who, guard = ANYBODY, "no authorisation"
        if kind is LATER:
            guard = f"authorisation {_LATER}"
        elif kind == "JWT":
            who, guard = "who has a token", _token(route, stack)
        elif kind == "AWS_IAM":
            who, guard = "who has credentials of AWS", "and the permission execute-api:Invoke"
        elif kind != "NONE":
            who, guard = "who passes the API's own authoriser", ""
        function = _function_behind(route, stack)
        yield Way(
            source=who,
            target=_text(route.inputs.get("routeKey")),
            behind=function,
            guard=guard,
            open=who == ANYBODY,
            urns=(route.urn,),
        )


def _quick(stack: Mapping[str, Resource]) -> Iterator[Way]:
    """APIs that are made with one route of their own."""
    for api in walk(stack, "apigatewayv2/api:Api"):
        if api.inputs.get("target") is not None and api.inputs.get("disableExecuteApiEndpoint") is not True:
            yield Way(
                source=ANYBODY,
                target=_text(api.inputs.get("routeKey") or "every path"),
                behind=f"API {api.label}",
                guard="no authorisation",
                open=True,
                urns=(api.urn,),
            )


def _token(route: Resource, stack: Mapping[str, Resource]) -> str:
    for authorizer in sources(route, "authorizerId", stack, "apigatewayv2/authorizer:Authorizer"):
        said = authorizer.inputs.get("jwtConfiguration")
        if isinstance(said, dict):
            audiences = " or ".join(_text(each) for each in _list(said.get("audiences")))
            scopes = _list(route.inputs.get("authorizationScopes"))
            needed = f", with scope {' or '.join(map(_text, scopes))}" if scopes else ""
            return f"issued by {_text(said.get('issuer'))} for {audiences or 'anybody'}{needed}"
    return "of an issuer that is not of this stack"


def _function_behind(route: Resource, stack: Mapping[str, Resource]) -> str:
    """What answers a route."""
    integrations = [
        each
        for each in (stack[urn] for urn in route.sources.get("target", ()) if urn in stack)
        if each.type == "aws:apigatewayv2/integration:Integration"
    ] or [
        each
        for each in walk(stack, "apigatewayv2/integration:Integration")
        if each.id and route.inputs.get("target") == f"integrations/{each.id}"
    ]
    for integration in integrations:
        kinds = ("lambda/alias:Alias", "lambda/function:Function")
        for found in sources(integration, "integrationUri", stack, *kinds):
            functions = sources(found, "functionName", stack, "lambda/function:Function") or [found]
            return f"function {functions[0].label}"
    return ""


def _rest_apis(stack: Mapping[str, Resource]) -> Iterator[Way]:
    """Methods of REST APIs."""
    for method in walk(stack, "apigateway/method:Method"):
        kind = method.inputs.get("authorization")
        paths = sources(method, "resourceId", stack, "apigateway/resource:Resource")
        path = paths[0].inputs.get("pathPart") if paths else ""
        anybody = kind == "NONE" and method.inputs.get("apiKeyRequired") is not True
        yield Way(
            source=ANYBODY if anybody else f"who passes the API's authorisation ({_text(kind)})",
            target=f"{_text(method.inputs.get('httpMethod'))} …/{_text(path)}",
            guard="no authorisation" if anybody else "",
            open=anybody,
            urns=(method.urn,),
        )


# --- flags -----------------------------------------------------------------------------------------------------------


def _flags(stack: Mapping[str, Resource]) -> Iterator[Way]:
    """What is public by a property of its own."""
    for url in walk(stack, "lambda/functionUrl:FunctionUrl"):
        functions = sources(url, "functionName", stack, "lambda/function:Function")
        name = f"function {functions[0].label if functions else _text(url.inputs.get('functionName'))}"
        anybody = url.inputs.get("authorizationType") == "NONE"
        yield Way(
            source=ANYBODY if anybody else "who has credentials of AWS",
            target=name,
            how="by its URL",
            guard="no authorisation" if anybody else "and the permission lambda:InvokeFunctionUrl",
            open=anybody,
            urns=(url.urn,),
        )
    for kind in ("rds/instance:Instance", "rds/clusterInstance:ClusterInstance", "redshift/cluster:Cluster"):
        for each in walk(stack, kind):
            if (flag := each.inputs.get("publiclyAccessible")) is True or flag is LATER:
                guard = "as far as its security groups let in" if flag is True else f"public or not: {_LATER}"
                yield Way(
                    source=ANYBODY,
                    target=f"database {each.label}",
                    how="by a public address",
                    guard=guard,
                    open=True,
                    urns=(each.urn,),
                )
    for each in walk(stack, "ec2/instance:Instance"):
        if each.inputs.get("associatePublicIpAddress") is True:
            yield Way(
                source=ANYBODY,
                target=_called(each),
                how="by a public address",
                guard="as far as its security groups let in",
                open=True,
                urns=(each.urn,),
            )
    for each in walk(stack, "ec2/subnet:Subnet"):
        if each.inputs.get("mapPublicIpOnLaunch") is True:
            yield Way(
                source=ANYBODY,
                target=f"what starts in subnet {_tag(each)}",
                how="by a public address",
                guard="as far as its security groups let in",
                open=True,
                urns=(each.urn,),
            )
    for each in walk(stack, "lb/loadBalancer:LoadBalancer"):
        if each.inputs.get("internal") is not True:
            yield Way(
                source=ANYBODY,
                target=_called(each),
                guard="as far as its security groups let in",
                open=True,
                urns=(each.urn,),
            )
    for each in walk(stack, "cloudfront/distribution:Distribution"):
        if each.inputs.get("enabled") is not False:
            yield Way(source=ANYBODY, target=_called(each), open=True, urns=(each.urn,))
    for each in walk(stack, "ec2/vpcEndpoint:VpcEndpoint"):
        if each.inputs.get("vpcEndpointType") in (None, "Gateway"):
            service = str(each.inputs.get("serviceName", "")).rpartition(".")[2]
            yield Way(
                source="subnets of its route tables",
                target=f"AWS service {service}",
                how="by a gateway endpoint",
                urns=(each.urn,),
            )


# --- policies --------------------------------------------------------------------------------------------------------

_CLOSED: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_BUCKETS: Final = ("s3/bucket:Bucket", "s3/bucketV2:BucketV2")


def _buckets(stack: Mapping[str, Resource]) -> Iterator[Way]:
    """Buckets that an access list opens, or that nothing keeps from being opened."""
    blocks: dict[str, Resource] = {}
    for each in walk(stack, "s3/bucketPublicAccessBlock:BucketPublicAccessBlock"):
        for bucket in sources(each, "bucket", stack, *_BUCKETS):
            blocks[bucket.urn] = each
    for kind in _BUCKETS:
        for bucket in walk(stack, kind):
            block = blocks.get(bucket.urn)
            missing = [flag for flag in _CLOSED if block is None or block.inputs.get(flag) is not True]
            if missing:
                off = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} off"
                what = "it has no public access block" if block is None else off
                yield Way(
                    source=ANYBODY,
                    target=f"bucket {bucket.label}",
                    how="if a policy or an access list says so",
                    guard=what,
                    urns=(bucket.urn,),
                )
    for kind in ("s3/bucketAcl:BucketAcl", "s3/bucketAclV2:BucketAclV2", *_BUCKETS):
        for each in walk(stack, kind):
            if str(each.inputs.get("acl")).startswith("public-"):
                buckets = sources(each, "bucket", stack, *_BUCKETS) or [each]
                yield Way(
                    source=ANYBODY,
                    target=f"bucket {buckets[0].label}",
                    how=f"by the access list {each.inputs['acl']}",
                    open=True,
                    urns=(buckets[0].urn,),
                )


def _policies(stack: Mapping[str, Resource], account: str) -> Iterator[Way]:
    """Who is let in from outside by a resource's own policy, or may act as a role: anybody, and other accounts."""
    for held in gather(stack).values():
        name = f"{held.holder.kind} {held.holder.name}"
        for line in grants.lines(atom for reading in (held.given, held.trust) for atom in reading.atoms if atom.allows):
            actions = ", ".join(line.actions)
            for principal in line.principals:
                stranger = re.match(r"AWS arn:[\w-]+:(?:iam|sts)::(\d{12}):(.*)", principal)
                anybody = principal == "*" or principal.startswith("all but ")
                if not anybody and (stranger is None or stranger[1] == account):
                    continue
                yield Way(
                    source=ANYBODY if anybody else _stranger(stranger[1], stranger[2]) if stranger else principal,
                    target=name,
                    how=f"to {actions}",
                    guard=f"only when {' and '.join(line.when)}" if line.when else "no condition" if anybody else "",
                    open=anybody and not line.when,
                    urns=(held.holder.urn,) if held.holder.urn else (),
                )


def _stranger(account: str, who: str) -> str:
    return f"account {account}" if who == "root" else f"{who} of account {account}"
