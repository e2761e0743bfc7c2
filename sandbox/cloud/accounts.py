"""Settings of a whole account: no public buckets, disks encrypted by default, the policy of its passwords."""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from sandbox.cloud import kept, scope, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

_BLOCKS: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_BLOCK: Final = "s3-account-block"
_EVERYWHERE: Final = "aws-global"
_CONTROL: Final = "http://awss3control.amazonaws.com/doc/2018-08-20/"
_SHORTEST_PASSWORD: Final = "6"  # noqa: S105 — a length
BLOCK_PATH: Final = "/v20180820/configuration/publicAccessBlock"
"""Where S3 Control has the block of a whole account."""

BLOCK_ACTIONS: Final = {
    "GET": "s3:GetAccountPublicAccessBlock",
    "PUT": "s3:PutAccountPublicAccessBlock",
    "DELETE": "s3:PutAccountPublicAccessBlock",
}


def public_access_block(account: str, method: str, body: bytes) -> Answer:
    """Answer a request about the public access block of an account."""
    with scope.account(account, _EVERYWHERE):
        return _public_access_block(method, body)


def _public_access_block(method: str, body: bytes) -> Answer:
    blocks = kept.store(_BLOCK)
    if method == "PUT":
        asked = {element.tag.rpartition("}")[2]: element.text for element in ET.fromstring(body).iter()}  # noqa: S314 — a client's own
        blocks["block"] = {name: (asked.get(name) or "").lower() == "true" for name in _BLOCKS}
        return 201, {}, b""
    if method == "DELETE":
        blocks.pop("block", None)
        return 204, {}, b""
    if "block" not in blocks:
        root = ET.Element("ErrorResponse")
        error = ET.SubElement(root, "Error")
        ET.SubElement(error, "Code").text = "NoSuchPublicAccessBlockConfiguration"
        ET.SubElement(error, "Message").text = "The public access block configuration was not found"
        return 404, {"Content-Type": "application/xml"}, bytes(ET.tostring(root, "utf-8", xml_declaration=True))
    root = ET.Element("PublicAccessBlockConfiguration", xmlns=_CONTROL)
    for name in _BLOCKS:
        ET.SubElement(root, name).text = str(blocks["block"][name]).lower()
    return 200, {"Content-Type": "application/xml"}, bytes(ET.tostring(root, "utf-8", xml_declaration=True))


def blocks_public_access(account: str, setting: str) -> bool:
    """Tell whether an account's own block has a setting on, whatever its buckets say."""
    with scope.account(account, _EVERYWHERE):
        return bool((kept.store(_BLOCK).get("block") or {}).get(setting))


def ec2(module: Any) -> Wrapper:
    """EC2, wrapped: disks are encrypted without being asked for, where the account wants that.

    Args:
        module: the emulator's.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        form = _form(request)
        action, settings = form.get("Action", ""), kept.store("ebs")
        if action in ("EnableEbsEncryptionByDefault", "DisableEbsEncryptionByDefault"):
            settings["encrypted"] = action.startswith("Enable")
        if action.endswith("EbsEncryptionByDefault"):
            return shapes.answer(action, {"EbsEncryptionByDefault": bool(settings.get("encrypted"))})
        if action not in ("CreateVolume", "RunInstances") or not settings.get("encrypted"):
            return await inner(request)
        if action == "CreateVolume":
            return await inner(request.with_form({**form, "Encrypted": "true"}))
        answer = await inner(request)
        for volume in shapes.texts(answer, "volumeId") if answer[0] == 200 else ():
            module._volumes[volume]["Encrypted"] = True
        return answer

    return wrapper


def iam() -> Wrapper:
    """IAM, wrapped: a password policy is put whole, and what is left out goes back to its default."""

    async def wrapper(inner: Handler, request: Request) -> Answer:
        form = _form(request)
        if form.get("Action") == "UpdateAccountPasswordPolicy":
            await inner(request.with_form({"Action": "DeleteAccountPasswordPolicy"}))
            whole = {"MinimumPasswordLength": _SHORTEST_PASSWORD, **form}
            return await inner(request.with_form(whole))
        return await inner(request)

    return wrapper


def _form(request: Request) -> Mapping[str, str]:
    return {**{name: values[0] for name, values in request.query.items()}, **dict(parse_qsl(request.body.decode()))}
