"""The private network: isolated subnets without a route to the internet, and the endpoints that functions need."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2, vpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naming import Names

# What the functions call inside the network; each is an endpoint in every zone, and costs as such.
ENDPOINTS = ("secretsmanager",)


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Where the network lies.

    Attributes:
        names: The stack's names.
        cidr: Its address range; each zone takes a sixteenth, the one of its letter.
        zones: Availability zones, one subnet each; their names end with a letter of a to p.
    """

    names: Names
    cidr: str
    zones: Sequence[str]


class Network(pulumi.ComponentResource):
    """A VPC whose subnets reach nothing but each other and the endpoints.

    Attributes:
        vpc_id: The VPC.
        subnet_ids: One subnet a zone.
        clients_group_id: The security group of what runs inside; it may reach the endpoints, and what else admits it.
    """

    vpc_id: pulumi.Output[str]
    subnet_ids: list[pulumi.Output[str]]
    clients_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def tags(thing: str) -> dict[str, str]:
            return {"Name": args.names.name(thing)}

        network = ec2.Vpc(
            name,
            cidr_block=args.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=tags("network"),
            opts=child,
        )
        # The group that AWS makes with every VPC admits its own members; without a rule it admits nobody.
        ec2.DefaultSecurityGroup(
            name, vpc_id=network.id, ingress=[], egress=[], tags=tags("default-unused"), opts=child
        )
        routes = ec2.RouteTable(name, vpc_id=network.id, routes=[], tags=tags("isolated"), opts=child)

        subnets = []
        for zone in args.zones:
            suffix = zone[-1]
            subnet = ec2.Subnet(
                f"{name}-{suffix}",
                vpc_id=network.id,
                availability_zone=zone,
                cidr_block=_block(args.cidr, zone),
                map_public_ip_on_launch=False,
                tags=tags(f"isolated-{suffix}"),
                opts=child,
            )
            ec2.RouteTableAssociation(f"{name}-{suffix}", subnet_id=subnet.id, route_table_id=routes.id, opts=child)
            subnets.append(subnet)

        clients = ec2.SecurityGroup(
            f"{name}-clients",
            name=args.names.name("clients"),
            description="Functions inside the network",
            vpc_id=network.id,
            tags=tags("clients"),
            opts=child,
        )
        endpoints = ec2.SecurityGroup(
            f"{name}-endpoints",
            name=args.names.name("endpoints"),
            description="Endpoints of AWS services",
            vpc_id=network.id,
            tags=tags("endpoints"),
            opts=child,
        )
        admit(f"{name}-endpoints", source=clients.id, target=endpoints.id, port=443, what="AWS services", opts=child)
        for service in ENDPOINTS:
            ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=network.id,
                service_name=f"com.amazonaws.{args.names.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[endpoints.id],
                policy=json.dumps(_own_account_only(args.names)),
                tags=tags(service),
                opts=child,
            )

        self.vpc_id = network.id
        self.subnet_ids = [subnet.id for subnet in subnets]
        self.clients_group_id = clients.id
        self.register_outputs({"vpcId": self.vpc_id, "subnetIds": self.subnet_ids})


def admit(
    name: str,
    *,
    source: pulumi.Input[str],
    target: pulumi.Input[str],
    port: int,
    what: str,
    opts: pulumi.ResourceOptions,
) -> None:
    """Let members of security group `source` open TCP connections to members of `target` on `port`."""
    vpc.SecurityGroupEgressRule(
        name,
        security_group_id=source,
        referenced_security_group_id=target,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        description=f"To {what}",
        opts=opts,
    )
    vpc.SecurityGroupIngressRule(
        name,
        security_group_id=target,
        referenced_security_group_id=source,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        description=f"{what} from the functions",
        opts=opts,
    )


def _block(cidr: str, zone: str) -> str:
    """Return a zone's sixteenth of the network: by its letter, so that no other zone coming or going moves it."""
    sixteenths = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=4))
    return str(sixteenths[ord(zone[-1]) - ord("a")])


def _own_account_only(names: Names) -> dict[str, object]:
    """An endpoint policy: nobody's credentials but this account's, and nobody's secrets but its own, pass through."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": names.account_root},
                "Action": [
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:DescribeSecret",
                ],
                "Resource": names.arn("secretsmanager", "secret:*"),
                "Condition": {"StringEquals": {"aws:PrincipalAccount": names.account}},
            }
        ],
    }
