"""EBS: what EC2 does with every disk of a region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.provider.table import Call, Do, Read, Resource

if TYPE_CHECKING:
    from sandbox.provider.resource import Context


def _put(context: Context) -> None:
    """Turn it on or off; it is one of each account and region, whose id says nothing."""
    enabled = context.inputs.get("enabled", True)
    context.call("enable_ebs_encryption_by_default" if enabled else "disable_ebs_encryption_by_default")
    context.id = context.id or "ebs-encryption-by-default"


ENTRIES = (
    Resource(
        "aws:ebs/encryptionByDefault:EncryptionByDefault",
        "ec2",
        create=Do(_put, ("enabled",)),
        id="{id}",
        reads=(Read("get_ebs_encryption_by_default", outputs={"enabled": "EbsEncryptionByDefault"}, only=()),),
        update=(Do(_put, ("enabled",)),),
        delete=Call("disable_ebs_encryption_by_default", {}, ()),
        defaults={"enabled": True},
    ),
)
