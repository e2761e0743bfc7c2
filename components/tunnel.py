"""The way into a development database: a small machine without an address, reached through Session Manager."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2, iam

from components.role import Grant, Role, RoleArgs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naming import Names

# AWS keeps this parameter at its newest image, with the agent in it
# (https://docs.aws.amazon.com/linux/al2023/ug/ec2.html).
IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"


@dataclass(frozen=True, kw_only=True)
class TunnelArgs:
    """Where the machine stands.

    Attributes:
        names: The stack's names.
        subnet_id: One of the isolated subnets.
        security_group_ids: As whose member it reaches the database and Session Manager's endpoints.
        key_arn: The key that encrypts its disk.
    """

    names: Names
    subnet_id: pulumi.Input[str]
    security_group_ids: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]


class Tunnel(pulumi.ComponentResource):
    """A machine that forwards a port; nobody can connect to it from anywhere, and who may start a session IAM says.

    Attributes:
        instance_id: The machine, for `ops db tunnel`.
    """

    instance_id: pulumi.Output[str]

    def __init__(self, name: str, args: TunnelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Tunnel", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical = args.names.name("tunnel")
        role = Role(
            name,
            RoleArgs(
                names=args.names,
                thing="tunnel",
                service="ec2.amazonaws.com",
                purpose="Lets Session Manager reach the tunnel",
                grants=_GRANTS,
                own_account=False,
            ),
            opts=child,
        )
        profile = iam.InstanceProfile(name, name=physical, role=role.name, opts=child)
        template = ec2.LaunchTemplate(
            name,
            name=physical,
            description="A machine that forwards a port to the database",
            image_id=IMAGE,
            instance_type="t4g.nano",
            iam_instance_profile=ec2.LaunchTemplateIamInstanceProfileArgs(arn=profile.arn),
            metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            block_device_mappings=[
                ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        encrypted="true", kms_key_id=args.key_arn, volume_size=8, volume_type="gp3"
                    ),
                )
            ],
            update_default_version=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.granted]),
        )
        instance = ec2.Instance(
            name,
            launch_template=ec2.InstanceLaunchTemplateArgs(id=template.id, version="$Default"),
            subnet_id=args.subnet_id,
            vpc_security_group_ids=args.security_group_ids,
            associate_public_ip_address=False,
            tags={"Name": physical},
            opts=child,
        )
        self.instance_id = instance.id
        self.register_outputs({"instanceId": self.instance_id})


# What Session Manager's agent calls; none of it supports a resource
# (https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html).
_GRANTS = (
    Grant(
        sid="BeReached",
        actions=(
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ),
        resources=("*",),
    ),
)
