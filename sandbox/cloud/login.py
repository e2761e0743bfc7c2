"""The OpenID Connect issuers that JWT authorizers name, played: no rehearsal reaches a real one.

Every https issuer has the sandbox's one key; `POST /_sandbox/token` hands out a token of any of them.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import jwt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATH: Final = "/_sandbox/token"
_LONGEST: Final = 86_400
_BODY: Final = '{"issuer": "https://…", "audience": "…", "subject": "…", "scopes": ["…"], "seconds": 300}'


class Login:
    """Issues tokens."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        """Find the key pair, or make one.

        Args:
            folder: where it is kept.
            now: the time, in seconds since the epoch.
        """
        self._key = jwt.SigningKey(folder)
        self._now = now

    @property
    def keys(self) -> list[dict[str, str]]:
        """What every played issuer's key set holds."""
        return [self._key.jwk]

    def token(self, issuer: str, audience: str, subject: str, scopes: list[str], seconds: float) -> str:
        """Return an access token.

        Args:
            issuer: whose.
            audience: whom it is for.
            subject: who it speaks of.
            scopes: what it opens.
            seconds: how long it is valid; less than none gives one that has expired.
        """
        now = int(self._now())
        claims = {"iss": issuer, "aud": audience, "sub": subject, "jti": str(uuid.uuid4())}
        claims |= {"scope": " ".join(scopes)} if scopes else {}
        issued = now + min(0, int(seconds)) - 1  # a token that has expired was issued before
        return self._key.sign({**claims, "iat": issued, "nbf": issued, "exp": now + int(seconds)})

    def control(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Answer a request for a token: status and content."""
        try:
            asked = json.loads(body)
            issuer, audience, subject = (str(asked[name]) for name in ("issuer", "audience", "subject"))
            scopes = [str(scope) for scope in asked.get("scopes") or ()]
            seconds = max(-_LONGEST, min(float(asked.get("seconds", 300)), _LONGEST))
        except (KeyError, TypeError, ValueError, AttributeError):
            return 400, {"error": f"the body must be {_BODY}"}
        return 200, {"value": self.token(issuer, audience, subject, scopes, seconds)}
