"""STS: roles assumed by those whom they trust, with what they trust them for.

AssumeRole and AssumeRoleWithWebIdentity are played here whole; the emulator keeps the sessions and answers the rest.
"""

# ruff: noqa: SLF001 — the emulator's sessions are what is made

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from sandbox.cloud import devices, web_identity
from sandbox.cloud.iam import account, policy
from sandbox.cloud.iam.conditions import lowered
from sandbox.cloud.iam.policy import Check, Principal
from sandbox.cloud.scope import region

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper
    from sandbox.cloud.web_identity import Issuer

_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_SHORTEST, _LONGEST, _USUAL, _CHAINED = 900, 43_200, 3_600, 3_600
# The claims of GitHub's tokens that IAM knows as condition keys, beside sub and aud.
_CLAIMS: Final = (
    "actor",
    "actor_id",
    "job_workflow_ref",
    "repository",
    "repository_id",
    "workflow",
    "ref",
    "environment",
    "enterprise_id",
)


class _RefusedError(Exception):
    """STS refuses: status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def sts(issuer: Issuer) -> Wrapper:
    """STS, wrapped.

    Args:
        issuer: whose tokens are taken for GitHub's.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        from ministack.services import iam

        given = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        form = {**given, **{name: values[0] for name, values in request.query.items()}}
        try:
            if form.get("Action") == "AssumeRole":
                content = _assume(form, request)
            elif form.get("Action") == "AssumeRoleWithWebIdentity":
                content = _assume_with_token(form, issuer)
            else:
                return await inner(request)
        except _RefusedError as error:
            refused: Answer = iam._error(error.status, error.code, escape(str(error)), ns="sts")
            return refused
        name = form["Action"]
        answer: Answer = iam._xml(200, f"{name}Response", f"<{name}Result>{content}</{name}Result>", ns="sts")
        return answer

    return wrapper


def _assume(form: Mapping[str, str], request: Request) -> str:
    from ministack.core import iam_evaluator as emulator
    from ministack.core.router import extract_access_key_id

    session_name = _session_name(form)
    access_key = extract_access_key_id(dict(request.headers), dict(request.query))
    credential = emulator.resolve_credential(access_key, request.account)
    if isinstance(credential, emulator.CredentialResolutionError):
        raise _RefusedError(403, "InvalidClientTokenId", credential.message)
    role_arn = form.get("RoleArn", "")
    found = account.trust(role_arn)
    who = account.principal(credential, {}) or Principal(arn=credential.principal_arn, account=credential.account_id)
    context = {
        **lowered(emulator._principal_keys(credential)),
        "aws:principalarn": who.role or who.arn,
        "aws:principalaccount": who.account,
        "aws:principaltype": credential.principal_type,
        "aws:multifactorauthpresent": str(_second_factor(form, credential)).lower(),
        "aws:requestedregion": region(),
        **_asked(form, session_name),
    }
    # Whether its own policies let the caller try was decided before this; here the role itself decides.
    for action in ("sts:AssumeRole", *(("sts:TagSession",) if _tags(form) else ())):
        check = Check(action=action, resource=role_arn, context=context)
        if found is None or not _trusts(found[0], who, check):
            message = f"User: {who.arn} is not authorized to perform: {action} on resource: {role_arn}"
            raise _RefusedError(403, "AccessDenied", message)
    assert found is not None  # noqa: S101 — refused above
    chained = credential.principal_type == "AssumedRole"
    seconds = _seconds(form, found[0])
    if chained and seconds > _CHAINED:
        message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        raise _RefusedError(400, "ValidationError", message)
    return _issue(form, found[0], session_name, seconds, source=credential)


def _second_factor(form: Mapping[str, str], credential: Any) -> bool:
    """Tell whether the caller has shown a second factor with this request.

    Raises:
        _RefusedError: a code that is none of the caller's device.
    """
    from ministack.services import iam

    serial, code = form.get("SerialNumber", ""), form.get("TokenCode", "")
    if not serial and not code:
        return False
    user = credential.principal_name if credential.principal_type == "User" else ""
    if not devices.present(iam, user, serial, code, time.time()):
        message = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
        raise _RefusedError(403, "AccessDenied", message)
    return True


def _assume_with_token(form: Mapping[str, str], issuer: Issuer) -> str:
    from ministack.services import iam

    session_name = _session_name(form)
    role_arn, token = form.get("RoleArn", ""), form.get("WebIdentityToken", "")
    if "ProviderId" in form:
        message = "The ProviderId parameter is for OAuth 2.0 access tokens only"
        raise _RefusedError(400, "ValidationError", message)
    try:
        _, unchecked = web_identity.read(token)
        issued_by = str(unchecked.get("iss", ""))
        host = issued_by.removeprefix("https://").rstrip("/")
        owner = (role_arn.split(":") + [""] * 5)[4]
        provider = f"arn:aws:iam::{owner}:oidc-provider/{host}"
        record = iam._oidc_providers.get_scoped(owner, None, provider) if owner else None
        if record is None:
            message = f"No OpenIDConnect provider found in your account for {issued_by}"
            raise web_identity.TokenError("InvalidIdentityToken", message)  # noqa: TRY301 — one place answers them all
        if host != web_identity.HOST:
            message = f"Couldn't retrieve verification key from your identity provider ({issued_by} is not played here)"
            raise web_identity.TokenError("IDPCommunicationError", message)  # noqa: TRY301
        claims = issuer.claims(token)
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else list(audience or ())
        if not set(audiences) & set(record.get("ClientIDList") or ()):
            raise web_identity.TokenError("InvalidIdentityToken", "Incorrect token audience")  # noqa: TRY301
    except web_identity.TokenError as error:
        raise _RefusedError(400, error.code, str(error)) from error
    found = account.trust(role_arn)
    context = {
        f"{host}:sub": claims.get("sub"),
        f"{host}:aud": audiences[0] if len(audiences) == 1 else audiences,
        **{f"{host}:{name}": str(claims[name]) for name in _CLAIMS if name in claims},
        "aws:federatedprovider": provider,
        "aws:requestedregion": region(),
        **_asked(form, session_name),
    }
    who = Principal(arn=str(claims.get("sub", "")), federated=provider)
    check = Check(action="sts:AssumeRoleWithWebIdentity", resource=role_arn, context=lowered(context))
    if found is None or not _trusts(found[0], who, check):
        raise _RefusedError(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    issued = _issue(form, found[0], session_name, _seconds(form, found[0]))
    return (
        f"{issued}<SubjectFromWebIdentityToken>{escape(str(claims.get('sub', '')))}</SubjectFromWebIdentityToken>"
        f"<Audience>{escape(audiences[0])}</Audience><Provider>{escape(provider)}</Provider>"
    )


def _trusts(role: Mapping[str, Any], who: Principal, check: Check) -> bool:
    """Tell whether a role's trust policy allows somebody, as far as that policy goes."""
    trust = account.document(role.get("AssumeRolePolicyDocument"))
    everything = policy.parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    # The identity's own side is left out here; its account may have decided that already, or be another one.
    free = dataclasses.replace(who, policies=[everything], boundary=None, session=None)
    return policy.decide(free, check, resource_policy=trust, owner=who.account, required=True).allowed


def _asked(form: Mapping[str, str], session_name: str) -> dict[str, Any]:
    """Return the condition keys that the request itself carries."""
    context: dict[str, Any] = {"sts:rolesessionname": session_name}
    if external := form.get("ExternalId"):
        context["sts:externalid"] = external
    tags = _tags(form)
    context.update({f"aws:requesttag/{key}".lower(): value for key, value in tags.items()})
    if tags:
        context["aws:tagkeys"] = list(tags)
    return context


def _tags(form: Mapping[str, str]) -> dict[str, str]:
    keys = {name: value for name, value in form.items() if re.fullmatch(r"Tags\.member\.\d+\.Key", name)}
    return {value: form.get(f"{name.removesuffix('Key')}Value", "") for name, value in keys.items()}


def _session_name(form: Mapping[str, str]) -> str:
    name = form.get("RoleSessionName", "")
    if not _SESSION_NAME.fullmatch(name):
        raise _RefusedError(
            400,
            "ValidationError",
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\w+=,.@-]* with a length of 2 to 64",
        )
    return name


def _seconds(form: Mapping[str, str], role: Mapping[str, Any]) -> int:
    given = form.get("DurationSeconds") or str(_USUAL)
    seconds = int(given) if given.isdigit() else 0
    if not _SHORTEST <= seconds <= _LONGEST:
        bound = f"greater than or equal to {_SHORTEST}" if seconds < _SHORTEST else f"less than or equal to {_LONGEST}"
        raise _RefusedError(
            400,
            "ValidationError",
            f"1 validation error detected: Value '{given}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value {bound}",
        )
    if seconds > int(role.get("MaxSessionDuration") or _USUAL):
        message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise _RefusedError(400, "ValidationError", message)
    return seconds


def _issue(
    form: Mapping[str, str], role: Mapping[str, Any], session_name: str, seconds: int, source: Any = None
) -> str:
    """Make credentials of a role; what they may is looked up at each request."""
    from ministack.services import iam
    from ministack.services import sts as emulated

    arn = role["Arn"]
    owner = arn.split(":")[4]
    limits, malformed = emulated._session_policies({name: [value] for name, value in form.items()}, owner)
    if malformed:
        text = malformed[2].decode()
        code = (re.findall(r"<Code>(.*?)</Code>", text) or ["MalformedPolicyDocument"])[0]
        raise _RefusedError(400, code, (re.findall(r"<Message>(.*?)</Message>", text, re.DOTALL) or [code])[0])
    assumed = f"arn:aws:sts::{owner}:assumed-role/{role['RoleName']}/{session_name}"
    identifier = f"{role['RoleId']}:{session_name}"
    key, secret, token = iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token()
    expires = time.time() + seconds
    record = {
        "Arn": assumed,
        "UserId": identifier,
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": expires,
        "AccountId": owner,
        "PrincipalType": "AssumedRole",
        "SessionTags": [{"Key": name, "Value": value} for name, value in _tags(form).items()],
        "SessionPolicies": limits if any(limits.values()) else None,
    }
    if source is not None:
        record |= {"SourceAccessKeyId": source.access_key_id, "SourcePrincipalArn": source.principal_arn}
    emulated.register_session(key, record)
    moment = dt.datetime.fromtimestamp(expires, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
        f"<SessionToken>{token}</SessionToken><Expiration>{moment}</Expiration></Credentials>"
        f"<AssumedRoleUser><AssumedRoleId>{identifier}</AssumedRoleId><Arn>{assumed}</Arn></AssumedRoleUser>"
        "<PackedPolicySize>0</PackedPolicySize>"
    )
