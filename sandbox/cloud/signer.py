"""AWS Signer: zips for Lambda are really signed, profiles have tags, and one that was cancelled signs nothing more."""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sandbox.cloud import patches
from sandbox.cloud.scope import region
from sandbox.cloud.signatures import UnsignableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.scope import Answer, Handler, Request
    from sandbox.cloud.signatures import Signatures

PLATFORM: Final = "AWSLambda-SHA384-ECDSA"
_DISPLAYED: Final = {PLATFORM: "AWS Lambda"}
_TAGS: Final = "/tags/"


class Signer:
    """The service, wrapped."""

    def __init__(self, module: Any, signatures: Signatures) -> None:
        """Have the emulator's jobs sign for real.

        Args:
            module: the emulator's.
            signatures: makes them.
        """
        for name in ("_profiles", "_jobs", "_signature_expires_at", "_now", "_error"):
            patches.expect(module, name)
        self._module = module
        self._signatures = signatures
        self._reason = ""
        patches.sign_zips(PLATFORM, self._signed)

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Answer a request."""
        if request.path.startswith(_TAGS):
            return self._tags(request, unquote(request.path.removeprefix(_TAGS)))
        if (request.method, request.path) == ("POST", "/signing-jobs"):
            asked = request.json()
            profile = self._module._profiles.get(asked.get("profileName")) or {}
            if profile.get("status", "Active") != "Active":
                message = f"Profile {profile['profileName']} is not active: its status is {profile['status']}"
                refused: Answer = self._module._error(400, "ValidationException", message)
                return refused
            status, headers, body = await inner(request)
            job = self._module._jobs.get(json.loads(body).get("jobId")) if status == 200 else None
            if job and job["platformId"] == PLATFORM and job["status"] == "Failed":
                job["statusReason"] = self._reason
            return status, headers, body
        status, headers, body = await inner(request)
        if status == 200 and request.method == "GET" and b'"platformId"' in body:
            body = json.dumps(json.loads(body, object_hook=_displayed)).encode()
        return status, headers, body

    def _signed(self, profile: Mapping[str, Any], job: str, content: bytes) -> bytes | None:
        """Return the signed zip, or None for a job that fails."""
        expires = self._module._signature_expires_at(self._module._now(), profile.get("signatureValidityPeriod"))
        base = f"arn:aws:signer:{region()}:{profile['arn'].split(':')[4]}"
        try:
            return self._signatures.sign(
                content,
                profile_version_arn=profile["profileVersionArn"],
                job_arn=f"{base}:/signing-jobs/{job}",
                expires=expires,
            )
        except UnsignableError as error:
            self._reason = f"Signing failed: {error}"
            return None

    def _tags(self, request: Request, arn: str) -> Answer:
        profile = next((one for one in self._module._profiles.values() if one["arn"] == arn), None)
        answer: Answer
        if profile is None:
            answer = self._module._error(404, "NotFoundException", f"Resource {arn} not found.")
            return answer
        tags = dict(profile.get("tags") or {})
        if request.method == "POST":
            tags |= request.json().get("tags") or {}
        elif request.method == "DELETE":
            tags = {key: value for key, value in tags.items() if key not in request.query.get("tagKeys", ())}
        profile["tags"] = tags or None
        content = {"tags": tags} if request.method == "GET" else {}
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _displayed(item: dict[str, Any]) -> dict[str, Any]:
    name = _DISPLAYED.get(item.get("platformId", ""))
    return {**item, "platformDisplayName": name} if name else item
