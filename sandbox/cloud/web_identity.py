"""GitHub's identity provider, played: tokens that say which repository and environment a workflow's job runs for.

The key pair is the sandbox's own. A token is what Actions hands to a job that asks for one; STS (see `assume`) takes it
in exchange for credentials of a role that trusts the provider.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST: Final = "token.actions.githubusercontent.com"
URL: Final = f"https://{HOST}"
AUDIENCE: Final = "sts.amazonaws.com"
_ALGORITHM: Final = "RS256"
_BITS: Final = 2048
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
        self._key = _key(folder)
        public = self._key.public_key().public_numbers()
        self._modulus = _encode(public.n.to_bytes(_BITS // 8, "big"))
        self._exponent = _encode(public.e.to_bytes(3, "big"))
        self._id = hashlib.sha256(self._modulus.encode()).hexdigest()[:32].upper()

    @property
    def configuration(self) -> dict[str, Any]:
        """What stands at the issuer's `/.well-known/openid-configuration`."""
        return {
            "issuer": URL,
            "jwks_uri": f"{URL}/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "repository", "environment"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
            "scopes_supported": ["openid"],
        }

    @property
    def keys(self) -> dict[str, Any]:
        """What stands at the issuer's `/.well-known/jwks`."""
        key = {"kty": "RSA", "alg": _ALGORITHM, "use": "sig", "kid": self._id, "n": self._modulus, "e": self._exponent}
        return {"keys": [key]}

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
        head = {"typ": "JWT", "alg": _ALGORITHM, "kid": self._id}
        signed = f"{_encode(json.dumps(head).encode())}.{_encode(json.dumps(body).encode())}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encode(signature)}"

    def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, its signature and times checked.

        Raises:
            TokenError: it is none of this issuer's, or not valid now.
        """
        head, body = read(token)
        if head.get("alg") != _ALGORITHM or head.get("kid") != self._id:
            raise TokenError(
                "InvalidIdentityToken",
                "Couldn't retrieve verification key from your identity provider, please reference "
                "AssumeRoleWithWebIdentity documentation for requirements",
            )
        signed, _, signature = token.rpartition(".")
        try:
            self._key.public_key().verify(_decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise TokenError("InvalidIdentityToken", "Token signature invalid") from error
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
        head, body, _ = token.split(".")
        found = json.loads(_decode(head)), json.loads(_decode(body))
    except (ValueError, binascii.Error) as error:
        raise TokenError(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        ) from error
    if not all(isinstance(part, dict) for part in found):
        raise TokenError("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
    return found


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


def _key(folder: Path) -> rsa.RSAPrivateKey:
    path = folder / "key.pem"
    if path.exists():
        read_key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(read_key, rsa.RSAPrivateKey):
            return read_key
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return key


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
