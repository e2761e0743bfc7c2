"""HTTP APIs where requests come in: throttling, JWT authorizers, access logs, and which endpoints are open.

What is checked of a token stands in
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html, the log's variables in
…/http-api-logging-variables.html.
"""

# ruff: noqa: SLF001 — the emulator's records are what is read

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import exchange, jwt, patches, scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.cloud.exchange import Exchange
    from sandbox.cloud.login import Login
    from sandbox.cloud.scope import Answer

_log = logging.getLogger("sandbox.gateway")

_VARIABLE: Final = re.compile(r"\$context\.(\w+(?:\.[\w-]+)*)")
_NOTHING: Final = "-"  # what the log has for a variable without a value


class _DeniedError(Exception):
    """A token is not accepted; the message is what the log says of it."""


@dataclass
class Bucket:
    """Tokens of one route, as the algorithm of that name has them."""

    rate: float
    burst: float
    left: float
    at: float

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Gateway:
    """Stands around the emulator's data plane."""

    def __init__(
        self,
        module: Any,
        login: Login,
        now: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over authorisation.

        Args:
            module: the emulator's.
            login: plays the issuers.
            now: the time, in seconds since the epoch.
            ticks: seconds that pass.
        """
        for name in (
            "_stages",
            "_match_route",
            "_extract_token_from_identity_source",
            "_resolve_jwks_url",
            "_fetch_jwks",
        ):
            patches.expect(module, name)
        self._module = module
        self._login = login
        self._now = now
        self._ticks = ticks
        self._buckets: dict[tuple[str, ...], Bucket] = {}
        self._streams: dict[tuple[str, str], str] = {}
        patches.serve_http_apis(self.execute, self.validate)

    async def execute(
        self, inner: Callable[..., Any], api_id: str, stage: str, path: str, method: str, headers: Any, *rest: Any
    ) -> Answer:
        """Serve a request, in the account and region of its API."""
        served = exchange.Exchange()
        entered = exchange.current.set(served)
        settings = self._module._stages.get(api_id, {}).get(stage) or {}
        route = self._module._match_route(api_id, method, "/" + path.lstrip("/")) if settings else None
        served.route = route["routeKey"] if route else ""
        try:
            if route and method != "OPTIONS" and not self._admits(api_id, settings, served.route):
                answer = _said(429, "Too Many Requests")
            else:
                answer = await inner(api_id, stage, path, method, headers, *rest)
        finally:
            exchange.current.reset(entered)
        status, answered, body = answer
        answered["apigw-requestid"] = served.id
        if log := settings.get("accessLogSettings"):
            request = {"method": method, "path": path, "stage": stage, "api": api_id}
            await self._note(log, _values(served, request, headers, status, body, self._now()))
        return status, answered, body

    def open(self, api_id: str) -> bool:
        """Tell whether the gateway's own endpoint of an API answers; with a domain of its own, it may be closed."""
        for (_, _, name), api in self._module._apis.all_items():
            if name == api_id:
                return not api.get("disableExecuteApiEndpoint")
        return True  # the emulator says that there is none

    # -- throttling ----------------------------------------------------------------------------------------------------

    def _admits(self, api_id: str, stage: Mapping[str, Any], route: str) -> bool:
        """Take a request off what the route has left; each has what the stage gives to all, unless it has its own."""
        settings = {
            **(stage.get("defaultRouteSettings") or {}),
            **((stage.get("routeSettings") or {}).get(route) or {}),
        }
        rate, burst = settings.get("throttlingRateLimit"), settings.get("throttlingBurstLimit")
        if rate is None or burst is None:
            return True  # the account's limits are far beyond a rehearsal
        key, now = (api_id, stage["stageName"], route), self._ticks()
        bucket = self._buckets.get(key)
        if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
            bucket = self._buckets[key] = Bucket(rate, burst, burst, now)
        return bucket.take(now)

    # -- tokens --------------------------------------------------------------------------------------------------------

    async def validate(
        self, route: Mapping[str, Any], authorizer: Mapping[str, Any], headers: Any, query: Any
    ) -> tuple[dict[str, Any] | None, list[str] | None, Answer | None]:
        """Decide about a request to a route with a JWT authorizer: claims and scopes, or the answer that refuses it."""
        served = exchange.current.get() or exchange.Exchange()
        token = self._module._extract_token_from_identity_source(authorizer.get("identitySource", []), headers, query)
        if not token:
            served.authorizer_error = "no token was found in the identity source"
            return None, None, _said(401, "Unauthorized", "Bearer")
        try:
            claims = await self._claims(token, authorizer.get("jwtConfiguration") or {})
        except _DeniedError as error:
            served.authorizer_error = str(error)
            said = f'Bearer scope="" error="invalid_token" error_description="{error}"'
            return None, None, _said(401, "Unauthorized", said)
        scopes, wanted = _scopes(claims), route.get("authorizationScopes") or []
        if wanted and not set(wanted) & set(scopes):
            served.authorizer_error = "the token has none of the route's scopes"
            said = f'Bearer scope="{" ".join(wanted)}" error="insufficient_scope"'
            return None, None, _said(403, "Forbidden", said)
        served.claims = claims
        return claims, scopes, None

    async def _claims(self, token: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a token says, everything but its scopes checked.

        Raises:
            _DeniedError: it is not valid here and now.
        """
        try:
            head, claims = jwt.read(token)
        except ValueError as error:
            raise _DeniedError("the token is malformed") from error
        issuer = configuration.get("issuer") or ""
        key = next((one for one in await self._keys(issuer) if one.get("kid") == head.get("kid")), None)
        if key is None:
            raise _DeniedError("the token is signed by no key of the issuer")
        if not jwt.verified(token, key, str(head.get("alg"))):
            raise _DeniedError("the token's signature is invalid")
        if claims.get("iss") != issuer:
            raise _DeniedError("the token has another issuer")
        audience = claims["aud"] if "aud" in claims else claims.get("client_id")
        audiences = audience if isinstance(audience, list) else [audience]
        if not set(configuration.get("audience") or ()) & {str(one) for one in audiences}:
            raise _DeniedError("the token has another audience")
        now = self._now()
        if not _moment(claims, "exp", now + 1) > now or "exp" not in claims:
            raise _DeniedError("the token has expired")
        for name in ("nbf", "iat"):
            if _moment(claims, name, now) > now:
                raise _DeniedError(f"the token's {name} is in the future")
        return claims

    async def _keys(self, issuer: str) -> list[dict[str, Any]]:
        """Return an issuer's keys: of one on loopback its own, of any other the played ones."""
        if issuer.startswith("https://"):
            return [dict(key) for key in self._login.keys]
        try:
            address = await self._module._resolve_jwks_url({"jwtConfiguration": {"issuer": issuer}})
            found = (await self._module._fetch_jwks(address)).get("keys")
        except (OSError, ValueError) as error:
            raise _DeniedError("the issuer's keys cannot be fetched") from error
        return found if isinstance(found, list) else []

    # -- the log -------------------------------------------------------------------------------------------------------

    async def _note(self, settings: Mapping[str, Any], values: Mapping[str, str]) -> None:
        """Write a request's line."""
        form = settings.get("format") or ""
        in_json = form.lstrip().startswith("{")

        def filled(found: re.Match[str]) -> str:
            value = values.get(found[1], _NOTHING)
            return json.dumps(value)[1:-1] if in_json else value

        group = str(settings.get("destinationArn")).partition(":log-group:")[2].removesuffix(":*")
        line = {"timestamp": int(self._now() * 1000), "message": _VARIABLE.sub(filled, form)}
        try:
            stream = await self._stream(group)
            await scope.call_json(
                "logs", "PutLogEvents", {"logGroupName": group, "logStreamName": stream, "logEvents": [line]}
            )
        except scope.InternalCallError as error:
            self._streams.pop((scope.account_id(), group), None)
            _log.warning("the access log cannot be written to %s: %s", group, error)

    async def _stream(self, group: str) -> str:
        """Return the group's stream for this process."""
        key = scope.account_id(), group
        if key not in self._streams:
            stream = uuid.uuid4().hex
            await scope.call_json("logs", "CreateLogStream", {"logGroupName": group, "logStreamName": stream})
            self._streams[key] = stream
        return self._streams[key]


def _moment(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _DeniedError(f"the token's {name} is no moment")
    return float(value)


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Return the scopes of a token, whichever claim has them."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        found |= set(value.split()) if isinstance(value, str) else {str(one) for one in value or ()}
    return sorted(found)


def _said(status: int, message: str, challenge: str = "") -> Answer:
    """Return the gateway's own answer."""
    served = exchange.current.get()
    if served is not None:
        served.error = message
    headers = {"Content-Type": "application/json", **({"www-authenticate": challenge} if challenge else {})}
    return status, headers, json.dumps({"message": message}, separators=(",", ":")).encode()


def _values(
    served: Exchange, request: Mapping[str, str], headers: Mapping[str, str], status: int, body: Any, now: float
) -> dict[str, str]:
    """Return the variables of the access log that have a value."""
    lower = {name.lower(): value for name, value in headers.items()}
    host = lower.get("host", "").partition(":")[0]
    values: dict[str, Any] = {
        "accountId": scope.account_id(),
        "apiId": request["api"],
        "authorizer.error": served.authorizer_error,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "error.message": served.error,
        "error.messageString": f'"{served.error}"' if served.error else "",
        "httpMethod": request["method"],
        "identity.sourceIp": "127.0.0.1",
        "identity.userAgent": lower.get("user-agent", ""),
        "path": request["path"] if request["stage"] == "$default" else f"/{request['stage']}{request['path']}",
        "protocol": "HTTP/1.1",
        "requestId": served.id,
        "extendedRequestId": served.id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now),
        "responseLatency": round((time.monotonic() - served.began) * 1000),
        "responseLength": len(body or b""),
        "dataProcessed": len(body or b"") + int(lower.get("content-length") or 0),
        "routeKey": served.route,
        "stage": request["stage"],
        "status": status,
        "integrationErrorMessage": served.integration_error,
        "integration.error": served.integration_error,
    }
    values |= {f"authorizer.claims.{name}": _text(value) for name, value in served.claims.items()}
    if served.integrated is not None:
        latency = round(served.integrated * 1000)
        values |= {"integrationLatency": latency, "integration.latency": latency}
        reached = not served.integration_error or served.integration_status
        values |= {"integrationStatus": 200, "integration.status": 200} if reached else {}
        values["integration.integrationStatus"] = served.integration_status or ""
    return {name: str(value) for name, value in values.items() if value != ""}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
