"""GitHub's identity provider, played: tokens that say which repository and environment a workflow's job runs for.

The key pair is the sandbox's own. A token is what Actions hands to a job that asks for one; STS (see `assume`) takes it
in exchange for credentials of a role that trusts the provider.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import jwt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST: Final = "token.actions.githubusercontent.com"
URL: Final = f"https://{HOST}"
AUDIENCE: Final = "sts.amazonaws.com"
_SUBJECT: Final = re.compile(r"repo:(?P<repository>[^:]+)(?::environment:(?P<environment>.+)|:ref:(?P<ref>.+)|:.+)?")


class TokenError(Exception):
    """A token that is not accepted, with the code that STS answers."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Issuer:
    """Signs tokens and tells whether one is its own."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        """Find the key pair, or make one.

        Args:
            folder: where it is kept.
            now: the time, in seconds since the epoch.
        """
        self._now = now
        self._key = jwt.SigningKey(folder)

    @property
    def configuration(self) -> dict[str, Any]:
        """What stands at the issuer's `/.well-known/openid-configuration`."""
        return {
            "issuer": URL,
            "jwks_uri": f"{URL}/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "repository", "environment"],
            "id_token_signing_alg_values_supported": [jwt.ALGORITHM],
            "scopes_supported": ["openid"],
        }

    @property
    def keys(self) -> dict[str, Any]:
        """What stands at the issuer's `/.well-known/jwks`."""
        return {"keys": [self._key.jwk]}

    def token(self, subject: str, *, audience: str = AUDIENCE, seconds: float = 300, **claims: str) -> str:
        """Return a token for a job.

        Args:
            subject: `repo:OWNER/NAME:environment:ENVIRONMENT`, say; what it names becomes claims too.
            audience: whom it is for.
            seconds: how long it is valid.
            claims: more claims, or other ones.
        """
        now = int(self._now())
        named = _SUBJECT.fullmatch(subject)
        found = {key: value for key, value in named.groupdict().items() if value} if named else {}
        if "repository" in found:
            found["repository_owner"] = found["repository"].partition("/")[0]
        body = {
            "jti": str(uuid.uuid4()),
            "sub": subject,
            "aud": audience,
            "ref": "refs/heads/main",
            "actor": "rehearsal",
            "workflow": "deploy",
            "event_name": "workflow_dispatch",
            **found,
            **claims,
            "iss": URL,
            "nbf": now - 5,
            "iat": now,
            "exp": now + int(seconds),
        }
        return self._key.sign(body)

    def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, its signature and times checked.

        Raises:
            TokenError: it is none of this issuer's, or not valid now.
        """
        head, body = read(token)
        if head.get("alg") != jwt.ALGORITHM or head.get("kid") != self._key.id:
            raise TokenError(
                "InvalidIdentityToken",
                "Couldn't retrieve verification key from your identity provider, please reference "
                "AssumeRoleWithWebIdentity documentation for requirements",
            )
        if not jwt.verified(token, self._key.jwk, jwt.ALGORITHM):
            raise TokenError("InvalidIdentityToken", "Token signature invalid")
        now = int(self._now())
        expires = body.get("exp")
        if not isinstance(expires, (int, float)):
            raise TokenError("InvalidIdentityToken", "Missing a required claim: exp")
        if now >= expires:
            raise TokenError(
                "ExpiredTokenException",
                f"Token expired: current date/time {now} must be before the expiration date/time {int(expires)}",
            )
        return body


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a token's head and claims, unchecked.

    Raises:
        TokenError: it is no token.
    """
    try:
        return jwt.read(token)
    except ValueError as error:
        raise TokenError(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        ) from error


def subjects(trust: Any) -> list[str]:
    """Return the subjects that a trust policy lets GitHub's tokens have, wildcards and all."""
    statements = trust.get("Statement") or () if isinstance(trust, dict) else ()
    found: list[str] = []
    for statement in [statements] if isinstance(statements, dict) else statements:
        if statement.get("Effect") != "Allow" or HOST not in json.dumps(statement.get("Principal")):
            continue
        for keys in (statement.get("Condition") or {}).values():
            for key, value in keys.items():
                if key.lower() == f"{HOST}:sub":
                    found += [value] if isinstance(value, str) else value
    return found
