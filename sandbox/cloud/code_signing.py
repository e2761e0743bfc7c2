"""Lambda's code signing: configurations, and code and layers that are checked against them when they are deployed.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html has the four checks. Integrity is always
demanded; what the policy `Enforce` refuses, `Warn` lets through, said in the sandbox's log.
"""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import secrets
import string
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sandbox.cloud import functions, kept, patches
from sandbox.cloud.scope import region
from sandbox.cloud.signatures import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from sandbox.cloud.scope import Answer, Handler, Request
    from sandbox.cloud.signatures import Signature, Signatures

_log = logging.getLogger("sandbox.signing")

STORE: Final = "code-signing"
_CONFIGURATIONS: Final = re.compile(r"^/2020-04-22/code-signing-configs(?:/(.+?)(/functions)?)?/?$")
_OF_FUNCTION: Final = re.compile(r"^/2020-06-30/functions/([^/]+)/code-signing-config/?$")
_FUNCTIONS: Final = re.compile(r"^/2015-03-31/functions(?:/([^/]+)/(code|configuration))?/?$")
_LAYER: Final = re.compile(r"^/2018-10-31/layers/([^/]+)/versions/?$")
_TAGS: Final = re.compile(r"^/2017-03-31/tags/(.+:code-signing-config:.+?)/?$")
_ID: Final = string.ascii_lowercase + string.digits


class _RefusedError(Exception):
    """Lambda refuses: status, code and message."""


class CodeSigning:
    """Lambda, wrapped."""

    def __init__(self, signatures: Signatures, now: Callable[[], float] = time.time) -> None:
        """Describe it.

        Args:
            signatures: reads what Signer left on a zip.
            now: the time, in seconds since the epoch.
        """
        self._module, self._s3 = patches.modules("lambda_svc", "s3")
        for name in ("_functions", "_layers", "_find_layer_version", "_now_iso", "_resolve_request_scoped_name"):
            patches.expect(self._module, name)
        patches.expect(self._s3, "_get_object_data", "bucket_name", "key", "version_id")
        self._signatures = signatures
        self._now = now

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Answer a request."""
        path = unquote(request.path)
        try:
            if matched := _CONFIGURATIONS.match(path):
                return self._configuration(request, matched[1] or "", users=bool(matched[2]))
            if matched := _TAGS.match(path):
                return self._tags(request, matched[1])
            if matched := _OF_FUNCTION.match(path):
                return self._of_function(request, self._name(matched[1]))
            if (matched := _FUNCTIONS.match(path)) and request.method in ("POST", "PUT"):
                return await self._deployed(inner, request, matched[1], matched[2])
            if (matched := _LAYER.match(path)) and request.method == "POST":
                return await self._published(inner, request, matched[1])
        except _RefusedError as error:
            return functions.error(*error.args)
        return await inner(request)

    # -- configurations ------------------------------------------------------------------------------------------------

    @property
    def _held(self) -> MutableMapping[str, Any]:
        return kept.store(STORE)

    def _found(self, arn: str, kind: str = "ResourceNotFoundException") -> dict[str, Any]:
        record: dict[str, Any] | None = self._held.get(arn)
        if record is None:
            message = f"The code signing configuration cannot be found. Check that the provided configuration: {arn}"
            raise _RefusedError(404, kind, f"{message} is correct.")
        return record

    def _configuration(self, request: Request, arn: str, *, users: bool) -> Answer:
        asked = request.json()
        if not arn and request.method == "POST":
            return self._create(asked, request.account)
        if not arn:
            shown = [_shown(record) for record in self._held.values()]
            return _answer(200, {"CodeSigningConfigs": shown})
        record = self._found(arn)
        if users:
            return _answer(200, {"FunctionArns": list(self._users(arn))})
        if request.method == "DELETE":
            if held := list(self._users(arn)):
                message = f"Cannot delete the code signing configuration: {held[0]} uses it"
                raise _RefusedError(409, "ResourceConflictException", message)
            del self._held[arn]
            return 204, {}, b""
        if request.method == "PUT":
            _check(asked)
            record |= {name: asked[name] for name in ("Description", "AllowedPublishers") if name in asked}
            record["CodeSigningPolicies"] |= asked.get("CodeSigningPolicies") or {}
            record["LastModified"] = self._module._now_iso()
        return _answer(200, {"CodeSigningConfig": _shown(record)})

    def _create(self, asked: dict[str, Any], account: str) -> Answer:
        if not (asked.get("AllowedPublishers") or {}).get("SigningProfileVersionArns"):
            message = "Member must have length greater than or equal to 1: signingProfileVersionArns"
            raise _RefusedError(400, "InvalidParameterValueException", message)
        _check(asked)
        policies = {"UntrustedArtifactOnDeployment": "Warn", **(asked.get("CodeSigningPolicies") or {})}
        identifier = "csc-" + "".join(secrets.choice(_ID) for _ in range(17))
        arn = f"arn:aws:lambda:{region()}:{account}:code-signing-config:{identifier}"
        self._held[arn] = {
            "CodeSigningConfigId": identifier,
            "CodeSigningConfigArn": arn,
            "Description": asked.get("Description", ""),
            "AllowedPublishers": asked["AllowedPublishers"],
            "CodeSigningPolicies": policies,
            "LastModified": self._module._now_iso(),
            "Tags": dict(asked.get("Tags") or {}),
        }
        return _answer(201, {"CodeSigningConfig": _shown(self._held[arn])})

    def _users(self, arn: str) -> Iterator[str]:
        for record in self._module._functions.values():
            if record.get("code_signing_config_arn") == arn:
                yield record["config"]["FunctionArn"]

    def _tags(self, request: Request, arn: str) -> Answer:
        tags = self._found(arn)["Tags"]
        if request.method == "GET":
            return _answer(200, {"Tags": tags})
        if request.method == "POST":
            tags |= request.json().get("Tags") or {}
        for key in request.query.get("tagKeys", ()) if request.method == "DELETE" else ():
            tags.pop(key, None)
        return 204, {}, b""

    def _of_function(self, request: Request, name: str) -> Answer:
        record = self._module._functions.get(name)
        if record is None:
            arn = f"arn:aws:lambda:{region()}:{request.account}:function:{name}"
            raise _RefusedError(404, "ResourceNotFoundException", f"Function not found: {arn}")
        if request.method == "DELETE":
            record["code_signing_config_arn"] = ""
            return 204, {}, b""
        if request.method == "PUT":
            arn = str(request.json().get("CodeSigningConfigArn"))
            self._found(arn, "CodeSigningConfigNotFoundException")
            record["code_signing_config_arn"] = arn
        held = record.get("code_signing_config_arn")
        return _answer(200, {"FunctionName": name, **({"CodeSigningConfigArn": held} if held else {})})

    # -- deployments ---------------------------------------------------------------------------------------------------

    async def _deployed(self, inner: Handler, request: Request, name: str | None, part: str | None) -> Answer:
        """Check what a function is about to get; note who signed its code."""
        asked = request.json()
        name = self._name(name) if name else str(asked.get("FunctionName", "")).rpartition(":")[2]
        configuration = (
            (self._module._functions.get(name) or {}).get("code_signing_config_arn")
            if part
            else asked.get("CodeSigningConfigArn")
        )
        held = self._found(configuration, "CodeSigningConfigNotFoundException") if configuration else None
        signature = None
        if part != "configuration":
            content = self._content(asked if part else asked.get("Code") or {})
            signature = self._checked(content, held, name)
        for layer in asked.get("Layers") or () if part != "code" else ():
            self._checked(self._layer(layer), held, name)
        status, headers, body = await inner(request)
        if status in (200, 201) and part != "configuration":
            record = self._module._functions[name]
            answer = json.loads(body)
            published = record["versions"].get(answer.get("Version"))
            for one in (record["config"], *([published["config"]] if published else ()), answer):
                _note(one, signature)
            if not part:
                record["code_signing_config_arn"] = configuration or ""
            body = json.dumps(answer).encode()
        return status, headers, body

    async def _published(self, inner: Handler, request: Request, name: str) -> Answer:
        """Note who signed a layer; whether that is enough is asked when a function takes it."""
        content = self._content(request.json().get("Content") or {})
        try:
            signature = self._signatures.read(content or b"")
        except IntegrityError:
            signature = None
        status, headers, body = await inner(request)
        if status == 201:
            answer = json.loads(body)
            record = self._module._layers[name]["versions"][-1]
            for one in (record, answer):
                _note(one["Content"], signature)
            body = json.dumps(answer).encode()
        return status, headers, body

    def _checked(self, content: bytes | None, configuration: dict[str, Any] | None, name: str) -> Signature | None:
        """Return the signature of code or a layer, if the configuration lets it through."""
        if content is None:
            return None
        try:
            signature = self._signatures.read(content)
        except IntegrityError as error:
            if configuration is None:
                return None
            message = (
                f"Lambda cannot deploy the function. The code signature failed the integrity check for {name}: {error}."
            )
            raise _RefusedError(400, "InvalidCodeSignatureException", message) from error
        if configuration is None:
            return signature
        allowed = configuration["AllowedPublishers"]["SigningProfileVersionArns"]
        if signature and signature.profile_version_arn in allowed and self._now() < signature.expires:
            return signature
        if configuration["CodeSigningPolicies"]["UntrustedArtifactOnDeployment"] == "Enforce":
            message = (
                "Lambda cannot deploy the function. The function or layer might be signed using a signature that the "
                f"client is not configured to accept. Check the provided signature for {name}."
            )
            raise _RefusedError(400, "CodeVerificationFailedException", message)
        _log.warning("%s: code or a layer is not signed by an allowed profile; the policy is Warn", name)
        return signature

    def _content(self, code: dict[str, Any]) -> bytes | None:
        """Return the zip that a request gives or names; None for an image."""
        if given := code.get("ZipFile"):
            try:
                return base64.b64decode(given)
            except (binascii.Error, ValueError):
                return None  # the emulator says so
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if not (bucket and key):
            return None
        content: bytes | None = self._s3._get_object_data(bucket, key, version_id=code.get("S3ObjectVersion"))
        if content is None:
            kind, what = ("NoSuchKey", "key") if bucket in self._s3._buckets else ("NoSuchBucket", "bucket")
            message = (
                f"Error occurred while GetObject. S3 Error Code: {kind}. "
                f"S3 Error Message: The specified {what} does not exist."
            )
            raise _RefusedError(400, "InvalidParameterValueException", message)
        return content

    def _layer(self, arn: str) -> bytes | None:
        """Return a layer's content; None for one that the emulator will refuse, or whose content it has not."""
        parts = arn.split(":")
        if len(parts) != 8 or not parts[7].isdigit():
            return None
        found, _ = self._module._find_layer_version(parts[6], int(parts[7]), parts[4], parts[3])
        content: bytes | None = (found or {}).get("_zip_data")
        return content

    def _name(self, given: str) -> str:
        return str(self._module._resolve_request_scoped_name(given))


def _check(asked: dict[str, Any]) -> None:
    arns = (asked.get("AllowedPublishers") or {}).get("SigningProfileVersionArns") or ()
    for arn in arns:
        if not re.fullmatch(r"arn:aws[a-z-]*:signer:[^:]+:\d{12}:/signing-profiles/\w+/\w{10}", arn):
            message = f"{arn} is not the ARN of a signing profile's version"
            raise _RefusedError(400, "InvalidParameterValueException", message)


def _note(described: dict[str, Any], signature: Signature | None) -> None:
    for name in ("SigningProfileVersionArn", "SigningJobArn"):
        described.pop(name, None)
    if signature is not None:
        described |= {
            "SigningProfileVersionArn": signature.profile_version_arn,
            "SigningJobArn": signature.job_arn,
        }


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "Tags"}


def _answer(status: int, content: dict[str, Any]) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()
