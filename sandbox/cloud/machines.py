"""EC2 instances from launch templates, and flow logs: described in full; nothing runs in an instance.

The emulator keeps a few members of a launch template and runs an instance without looking at it.
"""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import ipaddress
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from sandbox.cloud import shapes
from sandbox.cloud.scope import region

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

    Record = dict[str, Any]

ALIAS: Final = "resolve:ssm:"
"""In front of an image's name where it is a parameter of Systems Manager."""
_IMAGE_OF_ARM: Final = ("al2023-ami-kernel-default-arm64", "ami-0a64c2023d4e5f607")
_PARAMETER: Final = "/aws/service/ami-amazon-linux-latest/"
_METADATA: Final = {
    # of an instance whose launch says nothing
    "HttpTokens": "optional",
    "HttpPutResponseHopLimit": 1,
    "HttpEndpoint": "enabled",
    "HttpProtocolIpv6": "disabled",
    "InstanceMetadataTags": "disabled",
}
_TEMPLATE_TAGS: Final = "aws:ec2launchtemplate:"
_RESERVED: Final = 4  # addresses at the beginning of a subnet, for AWS itself
_FORMAT: Final = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} "
    "${bytes} ${start} ${end} ${action} ${log-status}"
)


def ec2(module: Any, ssm: Any) -> Wrapper:
    """EC2, wrapped for launch templates, instances and flow logs.

    Args:
        module: the emulator's.
        ssm: the emulator's Systems Manager, which knows images by public parameters.
    """
    _know_the_image_for_arm(module, ssm)
    machines = Machines(module, ssm)

    async def wrapper(inner: Handler, request: Request) -> Answer:
        pairs = [*((key, values[0]) for key, values in request.query.items()), *parse_qsl(request.body.decode())]
        form = dict(pairs)
        special = machines.operations.get(form.get("Action", ""))
        return await (special(inner, request, form) if special else inner(request))

    return wrapper


def _know_the_image_for_arm(module: Any, ssm: Any) -> None:
    """Add the image of Amazon Linux for arm64 to the emulator's few, by the public parameter that names it."""
    name, image = _IMAGE_OF_ARM
    if _PARAMETER + name not in ssm._PUBLIC_AMI_PARAMETERS:
        ssm._PUBLIC_AMI_PARAMETERS[_PARAMETER + name] = image
        module._STUB_AMIS.append(
            (image, "al2023-ami-2023-arm64", "Amazon Linux 2023 AMI", "", "/dev/xvda", "137112412989", "amazon")
        )


class Machines:
    """The answers of EC2 that concern launch templates, instances and flow logs."""

    def __init__(self, module: Any, ssm: Any) -> None:
        """Describe them.

        Args:
            module: the emulator's EC2.
            ssm: the emulator's Systems Manager.
        """
        self._module = module
        self._ssm = ssm
        self.operations: dict[str, Callable[[Handler, Request, Mapping[str, str]], Awaitable[Answer]]] = {
            "CreateLaunchTemplate": self.create_template,
            "CreateLaunchTemplateVersion": self.create_version,
            "DescribeLaunchTemplateVersions": self.describe_versions,
            "RunInstances": self.run,
            "DescribeInstances": self.describe,
            "ModifyInstanceAttribute": self.modify,
            "TerminateInstances": self.terminate,
            "CreateFlowLogs": self.create_flow_logs,
            "DescribeFlowLogs": self.describe_flow_logs,
        }

    # -- launch templates ----------------------------------------------------------------------------------------------

    async def create_template(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """CreateLaunchTemplate, with all of its data."""
        answer = await inner(request)
        if answer[0] == 200:
            asked = shapes.read("CreateLaunchTemplate", form)
            template = template_of(self._module, {"LaunchTemplateName": asked["LaunchTemplateName"]})
            template["Versions"][0]["LaunchTemplateData"] = asked.get("LaunchTemplateData", {})
        return answer

    async def create_version(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """CreateLaunchTemplateVersion, with all of its data."""
        asked = shapes.read("CreateLaunchTemplateVersion", form)
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        template = template_of(self._module, asked)
        made, source = template["Versions"][-1], asked.get("SourceVersion")
        kept = _version(template, source).get("LaunchTemplateData", {}) if source else {}
        made["LaunchTemplateData"] = {**kept, **asked.get("LaunchTemplateData", {})}
        return shapes.answer("CreateLaunchTemplateVersion", {"LaunchTemplateVersion": _described_version(made)})

    async def describe_versions(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """DescribeLaunchTemplateVersions, of one template."""
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        asked = shapes.read("DescribeLaunchTemplateVersions", form)
        template = template_of(self._module, asked)
        if wanted := asked.get("Versions"):
            versions = [version for name in wanted if (version := _version(template, name))]
        else:
            versions = sorted(template["Versions"], key=lambda one: -int(one["VersionNumber"]))
        content = {"LaunchTemplateVersions": [_described_version(one) for one in versions]}
        return shapes.answer("DescribeLaunchTemplateVersions", content)

    # -- instances -----------------------------------------------------------------------------------------------------

    async def run(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """RunInstances: what the template says where the request does not, in the subnet that it names."""
        asked = shapes.read("RunInstances", form)
        named = asked.pop("LaunchTemplate", None)
        system: list[dict[str, str]] = []
        if named:
            template = template_of(self._module, named)
            version = _version(template, named.get("Version") or "$Default") if template else {}
            if not version:
                what = named.get("LaunchTemplateId") or named.get("LaunchTemplateName")
                message = f"The specified launch template, with template ID {what}, does not exist."
                return shapes.error("InvalidLaunchTemplateId.NotFound", message)
            asked = {**version["LaunchTemplateData"], **asked}
            system = [
                {"Key": f"{_TEMPLATE_TAGS}id", "Value": template["LaunchTemplateId"]},
                {"Key": f"{_TEMPLATE_TAGS}version", "Value": str(version["VersionNumber"])},
            ]
        place = self._place(asked)
        if isinstance(place, tuple):
            return place
        simple = {
            **{name: str(asked[name]) for name in ("InstanceType", "KeyName", "MinCount", "MaxCount") if name in asked},
            "ImageId": place["ImageId"],
            "SubnetId": place["SubnetId"],
            **{f"SecurityGroupId.{at}": group for at, group in enumerate(place["Groups"], 1)},
            **{f"IamInstanceProfile.{kind}": name for kind, name in asked.get("IamInstanceProfile", {}).items()},
        }
        answer = await inner(request.with_form({"Action": "RunInstances", **simple}))
        if answer[0] != 200:
            return answer
        made = [self._module._instances[one] for one in shapes.texts(answer, "instanceId")]
        for instance in made:
            self._complete(instance, asked, place, system)
        reservation = {**_reservation(made[0]), "Instances": [self._described(one) for one in made]}
        return shapes.answer("RunInstances", reservation)

    def _place(self, asked: Mapping[str, Any]) -> Record | Answer:
        """Return image, subnet, groups and whether there is a public address; or EC2's refusal."""
        interfaces = asked.get("NetworkInterfaces") or []
        if interfaces and (asked.get("SubnetId") or asked.get("SecurityGroupIds")):
            message = (
                "Network interfaces and an instance-level subnet ID or security groups may not be specified on the "
                "same request"
            )
            return shapes.error("InvalidParameterCombination", message)
        interface = interfaces[0] if interfaces else {}
        subnet = interface.get("SubnetId") or asked.get("SubnetId") or self._module._DEFAULT_SUBNET_ID
        record = self._module._subnets.get(subnet)
        if record is None:
            return shapes.error("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        groups = interface.get("Groups") or asked.get("SecurityGroupIds") or self._default_group(record["VpcId"])
        for group in groups:
            found = self._module._security_groups.get(group)
            if found is None:
                return shapes.error("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
            if found["VpcId"] != record["VpcId"]:
                message = f"Security group {group} and subnet {subnet} belong to different networks."
                return shapes.error("InvalidParameter", message)
        profile = asked.get("IamInstanceProfile") or {}
        _, refused = self._module._resolve_iam_instance_profile(profile.get("Arn", ""), profile.get("Name", ""))
        if refused:
            answer: Answer = refused
            return answer
        image = image_of(self._ssm, str(asked.get("ImageId", "")))
        if not image:
            given = asked.get("ImageId")
            return (
                shapes.error("InvalidParameterValue", f"The image ID '{given}' resolves to nothing")
                if given
                else shapes.error("MissingParameter", "The request must contain the parameter ImageId")
            )
        public = interface.get("AssociatePublicIpAddress", bool(record.get("MapPublicIpOnLaunch")))
        return {"ImageId": image, "SubnetId": subnet, "Subnet": record, "Groups": groups, "Public": public}

    def _default_group(self, vpc: str) -> list[str]:
        groups = self._module._security_groups.values()
        return [one["GroupId"] for one in groups if one["VpcId"] == vpc and one["GroupName"] == "default"]

    def _complete(
        self, instance: Record, asked: Mapping[str, Any], place: Record, system: list[dict[str, str]]
    ) -> None:
        """Make of the emulator's instance the one that was asked for."""
        subnet = place["Subnet"]
        address = self._free_address(subnet, instance["InstanceId"])
        host = address.replace(".", "-")
        zone = subnet["AvailabilityZone"]
        instance.update(
            PrivateIpAddress=address,
            PrivateDnsName=f"ip-{host}.{region()}.compute.internal",
            PublicIpAddress=instance["PublicIpAddress"] if place["Public"] else None,
            PublicDnsName=f"ec2-{host}.{region()}.compute.amazonaws.com" if place["Public"] else None,
            Placement={**instance["Placement"], **asked.get("Placement", {}), "AvailabilityZone": zone},
            Architecture="arm64" if _is_arm(instance["InstanceType"]) else "x86_64",
            Hypervisor="nitro" if _is_nitro(instance["InstanceType"]) else "xen",
            MetadataOptions={"State": "applied", **_METADATA, **asked.get("MetadataOptions", {})},
            EbsOptimized=bool(asked.get("EbsOptimized", False)),
        )
        if asked.get("Monitoring", {}).get("Enabled"):
            instance["Monitoring"] = {"State": "enabled"}
        self._disks(instance, asked, zone)
        self._interface(instance, asked, place)
        for specification in asked.get("TagSpecifications", []):
            named = {"instance": [instance["InstanceId"]], "volume": _volumes(instance)}
            for identifier in named.get(specification.get("ResourceType", ""), []):
                self._module._tags[identifier] = list(specification.get("Tags", []))
        if system:
            self._module._tags[instance["InstanceId"]] = [
                *(self._module._tags.get(instance["InstanceId"]) or []),
                *system,
            ]

    def _free_address(self, subnet: Record, instance: str) -> str:
        """Return the lowest address of a subnet that no other instance has."""
        taken = {
            one["PrivateIpAddress"]
            for one in self._module._instances.values()
            if one["SubnetId"] == subnet["SubnetId"] and one["InstanceId"] != instance
        }
        hosts = ipaddress.IPv4Network(subnet["CidrBlock"])
        return next(text for at in range(_RESERVED, hosts.num_addresses - 1) if (text := str(hosts[at])) not in taken)

    def _disks(self, instance: Record, asked: Mapping[str, Any], zone: str) -> None:
        """Give the root volume what was asked for it."""
        volume = self._module._volumes[_volumes(instance)[0]]
        volume["AvailabilityZone"] = zone
        for mapping in asked.get("BlockDeviceMappings", []):
            if mapping.get("DeviceName") != instance["RootDeviceName"]:
                continue
            disk = mapping.get("Ebs", {})
            names = {"VolumeSize": "Size", "KmsKeyId": "KmsKeyId", "Encrypted": "Encrypted", "Throughput": "Throughput"}
            names |= {"VolumeType": "VolumeType", "Iops": "Iops"}
            volume.update({names[name]: value for name, value in disk.items() if name in names})
            kept = disk.get("DeleteOnTermination", True)
            volume["Attachments"][0]["DeleteOnTermination"] = kept
            instance["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] = kept

    def _interface(self, instance: Record, asked: Mapping[str, Any], place: Record) -> None:
        """Make the instance's network interface."""
        given = (asked.get("NetworkInterfaces") or [{}])[0]
        identifier = f"eni-{uuid.uuid4().hex[:17]}"
        self._module._network_interfaces[identifier] = {
            "NetworkInterfaceId": identifier,
            "SubnetId": place["SubnetId"],
            "VpcId": place["Subnet"]["VpcId"],
            "AvailabilityZone": place["Subnet"]["AvailabilityZone"],
            "Description": given.get("Description", ""),
            "OwnerId": _account(),
            "Status": "in-use",
            "PrivateIpAddress": instance["PrivateIpAddress"],
            "InterfaceType": "interface",
            "SourceDestCheck": True,
            "MacAddress": f"0a:{':'.join(uuid.uuid4().hex[at : at + 2] for at in range(0, 10, 2))}",
            "Groups": instance["SecurityGroups"],
            "Attachment": {
                "AttachmentId": f"eni-attach-{uuid.uuid4().hex[:17]}",
                "InstanceId": instance["InstanceId"],
                "DeviceIndex": 0,
                "Status": "attached",
                "AttachTime": instance["LaunchTime"],
                "DeleteOnTermination": given.get("DeleteOnTermination", True),
            },
        }
        instance["_Interface"] = identifier

    async def describe(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """DescribeInstances: those that the emulator selects, in full."""
        del form
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        found = [self._module._instances[one] for one in shapes.texts(answer, "instanceId")]
        reservations = [{**_reservation(one), "Instances": [self._described(one)]} for one in found]
        return shapes.answer("DescribeInstances", {"Reservations": reservations})

    def _described(self, instance: Record) -> Record:
        """Return an instance by the members of EC2's own description; a terminated one has no network any more."""
        interface = self._module._network_interfaces.get(instance.get("_Interface", ""))
        described = {
            **{name: value for name, value in instance.items() if value not in ("", None)},
            "VirtualizationType": instance["Virtualization"],
            "Tags": self._module._tags.get(instance["InstanceId"]) or [],
            "NetworkInterfaces": [],
        }
        if instance["State"]["Name"] == "terminated":
            gone = ("SubnetId", "VpcId", "PrivateIpAddress", "PublicIpAddress", "SecurityGroups", "BlockDeviceMappings")
            return {name: value for name, value in described.items() if name not in gone}
        if interface:
            shown = {**interface, "PrivateIpAddresses": []}
            address = {"Primary": True, "PrivateIpAddress": interface["PrivateIpAddress"]}
            if instance.get("PublicIpAddress"):
                shown["Association"] = {"IpOwnerId": "amazon", "PublicIp": instance["PublicIpAddress"]}
                address["Association"] = shown["Association"]
            shown["PrivateIpAddresses"] = [address]
            described["NetworkInterfaces"] = [shown]
        return described

    async def modify(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """ModifyInstanceAttribute, of the groups; nothing else is played."""
        del inner, request
        asked = shapes.read("ModifyInstanceAttribute", form)
        instance = self._module._instances.get(asked["InstanceId"])
        if instance is None:
            message = f"The instance ID '{asked['InstanceId']}' does not exist"
            return shapes.error("InvalidInstanceID.NotFound", message)
        if set(asked) != {"InstanceId", "Groups"}:
            return shapes.error("UnsupportedOperation", "the sandbox plays a change of an instance's groups only")
        known = self._module._security_groups
        for group in asked["Groups"]:
            if group not in known:
                return shapes.error("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        groups = [{"GroupId": one, "GroupName": known[one]["GroupName"]} for one in asked["Groups"]]
        instance["SecurityGroups"] = groups
        if interface := self._module._network_interfaces.get(instance.get("_Interface", "")):
            interface["Groups"] = groups
        return shapes.answer("ModifyInstanceAttribute", {})

    async def terminate(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """TerminateInstances, with the interfaces and the volumes that go with them."""
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        for identifier in shapes.read("TerminateInstances", form)["InstanceIds"]:
            instance = self._module._instances[identifier]
            interface = self._module._network_interfaces.get(instance.pop("_Interface", ""))
            if interface and interface["Attachment"]["DeleteOnTermination"]:
                self._module._network_interfaces.pop(interface["NetworkInterfaceId"])
            for volume in _volumes(instance):
                record = self._module._volumes.get(volume)
                if record and record["Attachments"] and record["Attachments"][0]["DeleteOnTermination"]:
                    self._module._volumes.pop(volume)
                    self._module._tags.pop(volume, None)
                elif record:
                    record.update(State="available", Attachments=[])
        return answer

    # -- flow logs -----------------------------------------------------------------------------------------------------

    async def create_flow_logs(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """CreateFlowLogs, with role, format and interval; says which resources cannot have one."""
        asked = shapes.read("CreateFlowLogs", form)
        interval = asked.get("MaxAggregationInterval", 600)
        kind = asked.get("LogDestinationType", "cloud-watch-logs")
        if interval not in (60, 600):
            return shapes.error("InvalidParameter", f"Invalid aggregation interval {interval}; use 60 or 600")
        if kind == "cloud-watch-logs" and not asked.get("DeliverLogsPermissionArn"):
            message = "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs."
            return shapes.error("MissingParameter", message)
        destination = str(asked.get("LogDestination", "")).removesuffix(":*")
        group = asked.get("LogGroupName") or destination.partition(":log-group:")[2]
        if kind == "cloud-watch-logs" and not destination:
            destination = f"arn:aws:logs:{region()}:{request.account}:log-group:{group}"
        kept: Record = {
            "LogDestination": destination,
            "LogGroupName": group,
            "LogFormat": asked.get("LogFormat") or _FORMAT,
            "MaxAggregationInterval": interval,
            **{name: asked[name] for name in ("DeliverLogsPermissionArn", "DestinationOptions") if name in asked},
        }
        wanted = {**kept, "TrafficType": asked.get("TrafficType", "ALL")}
        faults = {resource: self._flow_fault(resource, wanted) for resource in asked.get("ResourceIds", [])}
        good = [resource for resource, fault in faults.items() if fault is None]
        unsuccessful = [{"ResourceId": resource, "Error": fault} for resource, fault in faults.items() if fault]
        made: list[str] = []
        if good:
            rest = {name: value for name, value in form.items() if not name.startswith("ResourceId.")}
            named = {f"ResourceId.{at}": one for at, one in enumerate(good, 1)}
            made = shapes.texts(await inner(request.with_form({**rest, **named})), "flowLogIdSet/{*}item")
            for identifier in made:
                self._module._flow_logs[identifier].update(kept)
                if tags := [tag for each in asked.get("TagSpecifications", []) for tag in each.get("Tags", [])]:
                    self._module._tags[identifier] = tags
        return shapes.answer("CreateFlowLogs", {"FlowLogIds": made, "Unsuccessful": unsuccessful})

    def _flow_fault(self, resource: str, wanted: Mapping[str, Any]) -> dict[str, str] | None:
        """Return the error of a resource that can have no such flow log."""
        known = {"vpc-": "_vpcs", "subnet-": "_subnets", "eni-": "_network_interfaces"}
        store = next((store for prefix, store in known.items() if resource.startswith(prefix)), "")
        if store and resource not in getattr(self._module, store):
            kind = {"_vpcs": "VpcId", "_subnets": "SubnetId"}.get(store, "NetworkInterfaceId")
            return {"Code": f"Invalid{kind}.NotFound", "Message": f"The ID '{resource}' does not exist"}
        compared = ("LogDestination", "TrafficType", "LogFormat", "MaxAggregationInterval")
        for record in self._module._flow_logs.values():
            if record["ResourceId"] == resource and all(record.get(name) == wanted[name] for name in compared):
                message = "There is an existing Flow Log with the same configuration and log destination."
                return {"Code": "FlowLogAlreadyExists", "Message": message}
        return None

    async def describe_flow_logs(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """DescribeFlowLogs: those that the emulator selects, in full; nothing is delivered, and no status says so."""
        del form
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        records = [self._module._flow_logs[one] for one in shapes.texts(answer, "flowLogId")]
        described = [{**one, "Tags": self._module._tags.get(one["FlowLogId"]) or []} for one in records]
        return shapes.answer("DescribeFlowLogs", {"FlowLogs": described})


def template_of(module: Any, named: Mapping[str, Any]) -> Record:
    """Return the launch template that is named by id or name; empty where there is none.

    Args:
        module: the emulator's EC2.
        named: has LaunchTemplateId or LaunchTemplateName.
    """
    for record in module._launch_templates.values():
        if any(named.get(name) == record[name] for name in ("LaunchTemplateId", "LaunchTemplateName")):
            found: Record = record
            return found
    return {}


def launch_data(module: Any, name: str, version: str) -> Record:
    """Return the data of a template's version; empty where there is none.

    Args:
        module: the emulator's EC2.
        name: the template's id or name.
        version: its number, `$Default` or `$Latest`.
    """
    template = template_of(module, {"LaunchTemplateId": name, "LaunchTemplateName": name})
    found: Record = _version(template, version).get("LaunchTemplateData", {}) if template else {}
    return found


def image_of(ssm: Any, given: str) -> str:
    """Return an image's id, also where a parameter of Systems Manager names it; empty where that is not there."""
    if not given.startswith(ALIAS):
        return given
    found, _ = ssm._select_parameter(given.removeprefix(ALIAS))
    return str((found or {}).get("Value", ""))


def owner_of(ec2: Any, image: str) -> str:
    """Return whose an image is, as `ec2:Owner` has it: an alias such as `amazon`, else an account; empty if unknown."""
    for known, *_, account, alias in ec2._STUB_AMIS:
        if known == image:
            return str(alias or account)
    return str((ec2._images.get(image) or {}).get("OwnerId") or "")


def _version(template: Record, name: str) -> Record:
    """Return a version by its number, `$Default` or `$Latest`; empty where there is none."""
    special = {"$Default": template["DefaultVersionNumber"], "$Latest": template["LatestVersionNumber"]}
    wanted = str(special.get(name, name))
    return next((one for one in template["Versions"] if str(one["VersionNumber"]) == wanted), {})


def _described_version(version: Record) -> Record:
    data = dict(version["LaunchTemplateData"])
    if "MetadataOptions" in data:
        data["MetadataOptions"] = {"State": "applied", **data["MetadataOptions"]}
    return {**version, "CreatedBy": f"arn:aws:iam::{_account()}:root", "LaunchTemplateData": data}


def _account() -> str:
    from ministack.core.responses import get_account_id

    return str(get_account_id())


def _reservation(instance: Record) -> Record:
    return {"ReservationId": f"r-{instance['InstanceId'].removeprefix('i-')}", "OwnerId": _account()}


def _volumes(instance: Record) -> list[str]:
    return [one["Ebs"]["VolumeId"] for one in instance["BlockDeviceMappings"]]


def _is_arm(kind: str) -> bool:
    """Tell whether a type is of a Graviton family: the letter after the generation's number says so."""
    family = kind.partition(".")[0].lstrip("abcdefghijklmnopqrstuvwxyz").lstrip("0123456789")
    return family.startswith("g") or kind.startswith("a1.")


def _is_nitro(kind: str) -> bool:
    return kind.partition(".")[0] not in ("t1", "t2", "m1", "m2", "m3", "m4", "c1", "c3", "c4", "r3", "r4")
