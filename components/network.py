"""The private network: isolated subnets without a route to the internet, and the endpoints that functions need."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch, ec2, vpc

from components.role import Grant, Role, RoleArgs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naming import Names

# What is called from inside the network; each is an endpoint in every zone, and costs as such.
ENDPOINTS = ("secretsmanager",)
# What a machine needs to be reached through Session Manager
# (https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-create-vpc.html).
SESSION_ENDPOINTS = ("ssm", "ssmmessages")


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Where the network lies.

    Attributes:
        names: The stack's names.
        cidr: Its address range; each zone takes a sixteenth, the one of its letter.
        zones: Availability zones, one subnet each; their names end with a letter of a to p.
        sessions: Whether machines inside can be reached through Session Manager.
        log_retention_days: Days that flow logs are kept.
        log_key_arn: The key that encrypts them.
    """

    names: Names
    cidr: str
    zones: Sequence[str]
    sessions: bool
    log_retention_days: int
    log_key_arn: pulumi.Input[str]


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
        for service in (*ENDPOINTS, *(SESSION_ENDPOINTS if args.sessions else ())):
            ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=network.id,
                service_name=f"com.amazonaws.{args.names.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[endpoints.id],
                policy=json.dumps(_own_account_only(args.names, service)),
                tags=tags(service),
                opts=child,
            )

        self._log_flows(name, args, network)

        self.vpc_id = network.id
        self.subnet_ids = [subnet.id for subnet in subnets]
        self.clients_group_id = clients.id
        self.register_outputs({"vpcId": self.vpc_id, "subnetIds": self.subnet_ids})

    def _log_flows(self, name: str, args: NetworkArgs, network: ec2.Vpc) -> None:
        """Log every connection that was made or refused, for whoever must find out afterwards."""
        group = f"/aws/vpc/{args.names.name('network')}"
        log = cloudwatch.LogGroup(
            name,
            name=group,
            retention_in_days=args.log_retention_days,
            kms_key_id=args.log_key_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        role = Role(
            f"{name}-flows",
            RoleArgs(
                names=args.names,
                thing="flow-logs",
                service="vpc-flow-logs.amazonaws.com",
                purpose="Writes the network's flow log",
                grants=(
                    Grant(
                        sid="WriteFlowLog",
                        actions=("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
                        resources=(args.names.arn("logs", f"log-group:{group}:*"),),
                    ),
                    # Supports no narrower resource.
                    Grant(sid="FindLogGroups", actions=("logs:DescribeLogGroups",), resources=("*",)),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        ec2.FlowLog(
            name,
            vpc_id=network.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=log.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=60,
            tags={"Name": args.names.name("flows")},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.granted]),
        )


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


def _own_account_only(names: Names, service: str) -> dict[str, object]:
    """An endpoint policy: nobody's credentials but this account's, and nobody's secrets but its own, pass through."""
    actions, resource = (
        (
            [
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ],
            names.arn("secretsmanager", "secret:*"),
        )
        if service == "secretsmanager"
        # An agent's own calls support no resource.
        else ([f"{service}:*"], "*")
    )
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": names.account_root},
                "Action": actions,
                "Resource": resource,
                "Condition": {"StringEquals": {"aws:PrincipalAccount": names.account}},
            }
        ],
    }
