"""The tunnel: a machine that nobody can connect to, and that can do nothing but forward."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from components.tunnel import Tunnel, TunnelArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment


@pytest.fixture
def tunnel(deploy: Callable[..., Deployment], names: Names) -> Deployment:
    return deploy(
        lambda: Tunnel(
            "tunnel",
            TunnelArgs(
                names=names,
                subnet_id="subnet a",
                security_group_ids=["the clients", "the database's"],
                key_arn="the key",
            ),
        )
    )


def test_it_stands_in_an_isolated_subnet_without_an_address(tunnel: Deployment) -> None:
    assert {
        "tunnel": {
            "launchTemplate": {"id": "id of LaunchTemplate tunnel", "version": "$Default"},
            "subnetId": "subnet a",
            "vpcSecurityGroupIds": ["the clients", "the database's"],
            "associatePublicIpAddress": False,
            "tags": {"Name": "product-api-dev-tunnel"},
        }
    } == tunnel.of("ec2/instance:Instance")
    # No group of its own: nothing is admitted to it, and no key pair opens it.
    assert {
        "Role tunnel",
        "RolePolicy tunnel",
        "InstanceProfile tunnel",
        "LaunchTemplate tunnel",
        "Instance tunnel",
    } == (tunnel.names)


def test_its_disk_is_encrypted_and_its_credentials_ask_for_a_token(tunnel: Deployment) -> None:
    template = tunnel.the("ec2/launchTemplate:LaunchTemplate", "tunnel")
    assert {
        "name": "product-api-dev-tunnel",
        "description": "A machine that forwards a port to the database",
        "imageId": "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
        "instanceType": "t4g.nano",
        "iamInstanceProfile": {"arn": "arn of InstanceProfile tunnel"},
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "ebs": {"encrypted": "true", "kmsKeyId": "the key", "volumeSize": 8, "volumeType": "gp3"},
            }
        ],
        "updateDefaultVersion": True,
    } == template.inputs
    assert "RolePolicy tunnel" in template.after


def test_it_may_be_reached_through_session_manager_and_nothing_else(tunnel: Deployment) -> None:
    [policy] = tunnel.of("iam/rolePolicy:RolePolicy").values()
    [statement] = json.loads(policy["policy"])["Statement"]
    assert {
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    } == set(statement["Action"])
    [profile] = tunnel.of("iam/instanceProfile:InstanceProfile").values()
    assert {"name": "product-api-dev-tunnel", "role": "product-api-dev-tunnel"} == profile
