"""The network: nothing leads out of it, and inside it only what is named is let through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.network import Network, NetworkArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment

VPC = "id of Vpc network"


@pytest.fixture
def network(deploy: Callable[..., Deployment], names: Names) -> Callable[..., Deployment]:
    def declare(name: str = "network", **changes: Any) -> Deployment:
        given: dict[str, Any] = {
            "cidr": "10.20.0.0/16",
            "zones": ("eu-central-1a", "eu-central-1b"),
            "sessions": False,
            "log_retention_days": 14,
            "log_key_arn": "the log's key",
        }
        return deploy(lambda: Network(name, NetworkArgs(names=names, **(given | changes))))

    return declare


def test_nothing_leads_to_the_internet(network: Callable[..., Deployment]) -> None:
    """No gateway of any kind, no peering, no route: this is everything there is."""
    declared = network()
    assert {
        "Vpc network",
        "DefaultSecurityGroup network",
        "RouteTable network",
        "Subnet network-a",
        "Subnet network-b",
        "RouteTableAssociation network-a",
        "RouteTableAssociation network-b",
        "SecurityGroup network-clients",
        "SecurityGroup network-endpoints",
        "SecurityGroupEgressRule network-endpoints",
        "SecurityGroupIngressRule network-endpoints",
        "VpcEndpoint network-secretsmanager",
        "FlowLog network",
        "LogGroup network",
        "Role network-flows",
        "RolePolicy network-flows",
    } == declared.names
    assert {"network": {"vpcId": VPC, "routes": [], "tags": {"Name": "product-api-dev-isolated"}}} == declared.of(
        "ec2/routeTable:RouteTable"
    )


def test_private_names_resolve(network: Callable[..., Deployment]) -> None:
    assert {
        "network": {
            "cidrBlock": "10.20.0.0/16",
            "enableDnsHostnames": True,
            "enableDnsSupport": True,
            "tags": {"Name": "product-api-dev-network"},
        }
    } == network().of("ec2/vpc:Vpc")


def test_the_default_group_admits_nobody(network: Callable[..., Deployment]) -> None:
    assert {
        "network": {"vpcId": VPC, "ingress": [], "egress": [], "tags": {"Name": "product-api-dev-default-unused"}}
    } == network().of("ec2/defaultSecurityGroup:DefaultSecurityGroup")


def test_each_zone_has_one_subnet_without_public_addresses(network: Callable[..., Deployment]) -> None:
    declared = network()

    def subnet(letter: str, block: str) -> dict[str, Any]:
        return {
            "vpcId": VPC,
            "availabilityZone": f"eu-central-1{letter}",
            "cidrBlock": block,
            "mapPublicIpOnLaunch": False,
            "tags": {"Name": f"product-api-dev-isolated-{letter}"},
        }

    assert {
        "network-a": subnet("a", "10.20.0.0/20"),
        "network-b": subnet("b", "10.20.16.0/20"),
    } == declared.of("ec2/subnet:Subnet")
    assert {
        f"network-{letter}": {"subnetId": f"id of Subnet network-{letter}", "routeTableId": "id of RouteTable network"}
        for letter in "ab"
    } == declared.of("ec2/routeTableAssociation:RouteTableAssociation")


def test_a_zone_keeps_its_addresses_whatever_others_come_or_go(network: Callable[..., Deployment]) -> None:
    """A subnet whose range changes is replaced, and the database with it."""
    declared = network(cidr="10.20.0.0/20", zones=("eu-central-1c", "eu-central-1b"))
    assert {"network-b": "10.20.1.0/24", "network-c": "10.20.2.0/24"} == {
        name: subnet["cidrBlock"] for name, subnet in declared.of("ec2/subnet:Subnet").items()
    }


def test_functions_reach_the_endpoints_by_https_and_nothing_else(network: Callable[..., Deployment]) -> None:
    declared = network()
    clients, endpoints = (f"id of SecurityGroup network-{side}" for side in ("clients", "endpoints"))
    https = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
    assert {
        "network-endpoints": {
            **https,
            "securityGroupId": clients,
            "referencedSecurityGroupId": endpoints,
            "description": "To AWS services",
        }
    } == declared.of("vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert {
        "network-endpoints": {
            **https,
            "securityGroupId": endpoints,
            "referencedSecurityGroupId": clients,
            "description": "AWS services from the functions",
        }
    } == declared.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    groups = declared.of("ec2/securityGroup:SecurityGroup")
    assert {
        "network-clients": {
            "name": "product-api-dev-clients",
            "description": "Functions inside the network",
            "vpcId": VPC,
            "tags": {"Name": "product-api-dev-clients"},
        },
        "network-endpoints": {
            "name": "product-api-dev-endpoints",
            "description": "Endpoints of AWS services",
            "vpcId": VPC,
            "tags": {"Name": "product-api-dev-endpoints"},
        },
    } == groups


def test_the_endpoint_stands_in_every_zone_under_the_services_own_name(network: Callable[..., Deployment]) -> None:
    [endpoint] = network().of("ec2/vpcEndpoint:VpcEndpoint").values()
    policy = json.loads(endpoint.pop("policy"))
    assert {
        "vpcId": VPC,
        "serviceName": "com.amazonaws.eu-central-1.secretsmanager",
        "vpcEndpointType": "Interface",
        "privateDnsEnabled": True,
        "subnetIds": ["id of Subnet network-a", "id of Subnet network-b"],
        "securityGroupIds": ["id of SecurityGroup network-endpoints"],
        "tags": {"Name": "product-api-dev-secretsmanager"},
    } == endpoint
    assert {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                "Action": [
                    "secretsmanager:DescribeSecret",
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:UpdateSecretVersionStage",
                ],
                "Resource": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:*",
                "Condition": {"StringEquals": {"aws:PrincipalAccount": "111122223333"}},
            }
        ],
    } == policy


def test_every_connection_is_logged_made_or_refused(network: Callable[..., Deployment]) -> None:
    declared = network()
    assert {
        "network": {
            "vpcId": VPC,
            "trafficType": "ALL",
            "logDestinationType": "cloud-watch-logs",
            "logDestination": "arn of LogGroup network",
            "iamRoleArn": "arn of Role network-flows",
            "maxAggregationInterval": 60,
            "tags": {"Name": "product-api-dev-flows"},
        }
    } == declared.of("ec2/flowLog:FlowLog")
    assert {
        "network": {
            "name": "/aws/vpc/product-api-dev-network",
            "retentionInDays": 14,
            "kmsKeyId": "the log's key",
        }
    } == declared.of("cloudwatch/logGroup:LogGroup")
    policy = json.loads(declared.the("iam/rolePolicy:RolePolicy", "network-flows").inputs["policy"])
    assert [
        ("WriteFlowLog", ["arn:aws:logs:eu-central-1:111122223333:log-group:/aws/vpc/product-api-dev-network:*"]),
        ("FindLogGroups", ["*"]),
    ] == [(each["Sid"], each["Resource"]) for each in policy["Statement"]]
    assert "RolePolicy network-flows" in declared.the("ec2/flowLog:FlowLog", "network").after


def test_machines_inside_are_reached_through_endpoints_where_asked(network: Callable[..., Deployment]) -> None:
    endpoints = network(sessions=True).of("ec2/vpcEndpoint:VpcEndpoint")
    assert {"secretsmanager", "ssm", "ssmmessages"} == {
        each["serviceName"].removeprefix("com.amazonaws.eu-central-1.") for each in endpoints.values()
    }


def test_names_follow_the_components_own(network: Callable[..., Deployment]) -> None:
    declared = network("other")
    assert [] == [each.name for each in declared.resources if not each.name.startswith("other")]
    top = [each.type for each in declared.resources if not each.parent.startswith("product-api:")]
    assert ["product-api:index:Network"] == top
