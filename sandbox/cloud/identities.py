"""What the sandbox answers about identities at its own paths: GitHub's tokens, and what was decided about whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from sandbox.cloud import web_identity
from sandbox.cloud.iam import account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.iam.enforcement import Enforcer
    from sandbox.cloud.web_identity import Issuer

PATHS: Final = ("/_sandbox/decisions", "/_sandbox/denials", "/_sandbox/github/")
_TOKEN: Final = ("POST", "/_sandbox/github/token")
_LONGEST: Final = 86_400


def control(
    request: tuple[str, str], query: bytes, body: bytes, enforcer: Enforcer, issuer: Issuer
) -> tuple[int, dict[str, Any]]:
    """Answer a request to one of `PATHS`: status and content.

    Args:
        request: method and path.
        query: the query string.
        body: of the request.
        enforcer: whose decisions are told.
        issuer: whose tokens are handed out.
    """
    given = {name: values[0] for name, values in parse_qs(query.decode()).items()}
    principal = given.get("principal", "")
    if request == ("GET", "/_sandbox/decisions"):
        return 200, {"decisions": enforcer.log.entries(principal)}
    if request == ("GET", "/_sandbox/denials"):
        return 200, {"denials": enforcer.log.entries(principal, denied=True)}
    if request == ("DELETE", "/_sandbox/decisions"):
        enforcer.log.clear()
        return 200, {"decisions": []}
    if request == ("GET", "/_sandbox/github/.well-known/openid-configuration"):
        return 200, issuer.configuration
    if request == ("GET", "/_sandbox/github/.well-known/jwks"):
        return 200, issuer.keys
    if request == _TOKEN:
        try:
            asked = json.loads(body)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return 400, {"error": 'the body must be {"subject": "repo:OWNER/NAME:…"} or {"role": "arn:aws:iam::…"}'}
        return _token(asked, issuer)
    return 404, {"error": f"no such request: {request[0]} {request[1]}"}


def _token(asked: Mapping[str, Any], issuer: Issuer) -> tuple[int, dict[str, Any]]:
    """Return a token for a subject, or for the job that a role is there for: the one that its trust policy names."""
    subject, role = str(asked.get("subject") or ""), str(asked.get("role") or "")
    if role and not subject:
        found = account.trust(role)
        if found is None:
            return 404, {"error": f"there is no role {role}"}
        trusted = web_identity.subjects(_json(found[0].get("AssumeRolePolicyDocument")))
        if not trusted:
            return 409, {"error": f"{role} does not trust {web_identity.URL} with any subject"}
        subject = trusted[0].replace("*", "ref:refs/heads/main" if trusted[0].endswith(":*") else "any")
    if not subject:
        return 400, {"error": "the body names neither a subject nor a role"}
    audience = str(asked.get("audience") or web_identity.AUDIENCE)
    seconds = min(float(asked.get("seconds") or 300), _LONGEST)
    return 200, {"value": issuer.token(subject, audience=audience, seconds=seconds), "subject": subject}


def _json(document: Any) -> Any:
    try:
        return json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return None
