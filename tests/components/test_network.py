"""The network: nothing leads out of it, and inside it only what is named is let through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.network import Network, NetworkArgs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from naming import Names
    from tests.components.conftest import Deployment

VPC = "id of Vpc network"


@pytest.fixture
def network(deploy: Callable[..., Deployment], names: Names) -> Callable[..., Deployment]:
    def declare(cidr: str = "10.20.0.0/16", zones: Sequence[str] = ("eu-central-1a", "eu-central-1b")) -> Deployment:
        return deploy(lambda: Network("network", NetworkArgs(names=names, cidr=cidr, zones=zones)))

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
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:DescribeSecret",
                ],
                "Resource": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:*",
                "Condition": {"StringEquals": {"aws:PrincipalAccount": "111122223333"}},
            }
        ],
    } == policy


def test_names_follow_the_components_own(deploy: Callable[..., Deployment], names: Names) -> None:
    declared = deploy(lambda: Network("other", NetworkArgs(names=names, cidr="10.20.0.0/16", zones=["eu-central-1a"])))
    assert [] == [each.name for each in declared.resources if not each.name.startswith("other")]
    [network] = [each for each in declared.resources if each.type == "product-api:index:Network"]
    assert {"product-api:index:Network"} == {each.parent for each in declared.resources if each is not network}
