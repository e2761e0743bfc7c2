"""Signer."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("ResourceNotFoundException",)
PROFILE = Call(
    "put_signing_profile",
    {},
    ("name", "platformId", "signatureValidityPeriod", "signingMaterial", "signingParameters"),
)


def _put_profile(context: Context) -> Any:
    """Make a profile; behind a prefix, the rest of its name is made up here, as by the official provider."""
    parameters = context.parameters(PROFILE, tagged=True)
    if "profileName" not in parameters:
        parameters["profileName"] = context.inputs["namePrefix"] + uuid.uuid4().hex[:26]
    answer = context.call("put_signing_profile", **parameters)
    return {**answer, "profileName": parameters["profileName"]}


def _refine_profile(_context: Context, outputs: dict[str, Any]) -> None:
    outputs.setdefault("revocationRecords", [])


def _verify_profile(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    prefix = inputs.get("namePrefix")
    if isinstance(prefix, str) and len(prefix) > 64 - 26:
        return [("namePrefix", f"{prefix!r} has {len(prefix)} characters; allowed is at most 38")]
    return []


def _refine_job(context: Context, outputs: dict[str, Any]) -> None:
    outputs.setdefault("revocationRecords", [])
    signed = (context.found.get("signedObject") or {}).get("s3") or {}
    outputs["signedObjects"] = [{"s3s": [{"bucket": signed["bucketName"], "key": signed["key"]}]}] if signed else []
    outputs["jobId"] = context.id


ENTRIES = (
    Resource(
        "aws:signer/signingProfile:SigningProfile",
        "signer",
        create=Do(_put_profile, (*(PROFILE.carries or ()), "namePrefix"), PROFILE),
        id="profileName",
        reads=(
            Read(
                "get_signing_profile",
                {"profileName": "{id}"},
                "[@][?status!='Canceled'] | [0]",
                outputs={"version": "profileVersion", "versionArn": "profileVersionArn", "name": "profileName"},
            ),
        ),
        delete=Call("cancel_signing_profile", {"profileName": "{id}"}, ()),
        names={"name": "profileName"},
        name="name",
        named=lambda name: name.replace("-", "_"),
        replaces=(
            "name",
            "namePrefix",
            "platformId",
            "signatureValidityPeriod",
            "signingMaterial",
            "signingParameters",
        ),
        write_only=("namePrefix",),
        refine=_refine_profile,
        verify=_verify_profile,
        gone=GONE,
    ),
    Resource(
        "aws:signer/signingJob:SigningJob",
        "signer",
        create=Call("start_signing_job"),
        id="jobId",
        reads=(Read("describe_signing_job", {"jobId": "{id}"}),),
        delete=None,
        names={
            "source.s3.bucket": "bucketName",
            "destination.s3.bucket": "bucketName",
            "signedObjects": "",
        },
        replaces=("destination", "ignoreSigningJobFailure", "profileName", "source"),
        local=("ignoreSigningJobFailure",),
        defaults={"ignoreSigningJobFailure": False},
        refine=_refine_job,
        ready=Wait("status", ("Succeeded",), ("Failed",), "statusReason"),
        gone=GONE,
        tagging=Tagging(),
    ),
)
