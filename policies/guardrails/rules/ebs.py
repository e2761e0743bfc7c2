"""Rules on block storage, as a resource of its own and inside an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..rule import Example, Problem, Resource, Rule, Verdict
from ..unknown import Unknown, known
from .encryption import WHY, encrypted, on

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VOLUME = "aws:ebs/volume:Volume"
_INSTANCE = "aws:ec2/instance:Instance"
_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_REFERENCES = ("CIS AWS Foundations 5.1.1", "AWS FSBP EC2.3", "NIST 800-53 SC-28")


def _devices(resource: Resource) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The block devices that a resource declares itself; those of its image are the image's."""
    if resource.type == _INSTANCE:
        root = resource.read("rootBlockDevice")
        if root is not None:
            yield "rootBlockDevice", root
        for index, device in enumerate(resource.read("ebsBlockDevices") or ()):
            yield f"ebsBlockDevices[{index}]", known(device)
    else:
        for index, mapping in enumerate(resource.read("blockDeviceMappings") or ()):
            device = known(known(mapping).get("ebs"))
            if device is not None:
                yield f"blockDeviceMappings[{index}].ebs", device


def _check_devices(resource: Resource) -> Iterator[Problem]:
    for path, device in _devices(resource):
        switch = device.get("encrypted")
        if isinstance(switch, Unknown):
            yield Problem(path=f"{path}.encrypted", message="it is not known yet", verdict=Verdict.UNDECIDABLE)
        elif not on(switch):
            # The root device comes from an image, a device with a snapshot from that: both may be encrypted already.
            inherits = switch is None and (path == "rootBlockDevice" or device.get("snapshotId") is not None)
            yield Problem(
                path=f"{path}.encrypted",
                message=f"it is {'absent' if switch is None else 'off'}, so "
                + ("the image or snapshot decides" if inherits else "data is in the clear"),
                verdict=Verdict.UNDECIDABLE if inherits else Verdict.FAIL,
            )


RULES = (
    Rule(
        id="ebs-volume-encrypted",
        what="A volume is encrypted.",
        why=WHY,
        remedy="Set encrypted to true. A volume that exists is encrypted by copying its snapshot with a key.",
        types=frozenset({_VOLUME}),
        check=encrypted("encrypted", inherited_from=("snapshotId", "sourceVolumeId")),
        good=Example(type=_VOLUME, properties={"availabilityZone": "eu-central-1a", "size": 8, "encrypted": True}),
        bad=Example(type=_VOLUME, properties={"availabilityZone": "eu-central-1a", "size": 8}),
        references=_REFERENCES,
    ),
    Rule(
        id="ec2-block-device-encrypted",
        what="The block devices that an instance or a launch template declares are encrypted.",
        why=WHY,
        remedy="Set encrypted to true on each declared block device.",
        types=frozenset({_INSTANCE, _TEMPLATE}),
        check=_check_devices,
        good=Example(
            type=_INSTANCE,
            properties={"ebsBlockDevices": [{"deviceName": "/dev/sdf", "volumeSize": 8, "encrypted": True}]},
        ),
        bad=Example(type=_INSTANCE, properties={"ebsBlockDevices": [{"deviceName": "/dev/sdf", "volumeSize": 8}]}),
        references=_REFERENCES,
    ),
)
