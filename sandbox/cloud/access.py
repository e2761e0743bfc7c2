"""Who may invoke a function for whom, where the emulator differs; requests are decided in `iam`."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.scope import Answer

FORBIDDEN: Final = (
    "The IAM role configured on the integration or API Gateway doesn't have permissions to call the integration. "
    "Check the permissions and try again."
)
FAILED: Final = (
    "The Lambda function returned the following error: Unhandled. Check your Lambda function code and try again."
)


def principal_arn(caller: str) -> str:
    """Return the value of `aws:PrincipalArn`: of a session, AWS gives the role's ARN, its path included."""
    account, found, session = caller.partition(":assumed-role/")
    if not found:
        return caller
    from ministack.services import iam

    name = session.partition("/")[0]
    role = iam._roles.get(name) or {}  # noqa: SLF001
    return str(role.get("Arn") or f"{account.replace(':sts:', ':iam:')}:role/{name}")


def api_source_arn(
    region: Any, account: Any, api_id: str, stage: str, rest: tuple[Any, ...], named: Mapping[str, Any]
) -> str:
    """Return the ARN by which an HTTP API calls a function: of the route, not of the request's path.

    Args:
        region: of the API.
        account: of the API.
        api_id: of the API.
        stage: the stage's name.
        rest: the emulator's positional arguments after the method: headers, body, query, route key.
        named: its keyword arguments.
    """
    route = named.get("route_key") or (rest[3] if len(rest) > 3 else "$default")
    method, _, path = str(route).partition(" ")
    tail = f"*{path}" if method == "ANY" else f"{method}{path}"
    return f"arn:aws:execute-api:{region}:{account}:{api_id}/{stage}/{tail}"


def gateway_may_invoke(policy: Mapping[str, Any], name: str, qualifier: str, source: str) -> bool:
    """Tell whether a function's resource policy lets an HTTP API invoke it; `source` is from `api_source_arn`."""
    return service_may_invoke("apigateway.amazonaws.com", policy, name, qualifier, source)


def service_may_invoke(principal: str, policy: Mapping[str, Any], name: str, qualifier: str, source: str) -> bool:
    """Tell whether a function's resource policy lets a service invoke it.

    Args:
        principal: the service's, `events.amazonaws.com`.
        policy: the function's, of all its qualifiers.
        name: of the function.
        qualifier: the alias or version invoked; empty for the function itself.
        source: the ARN of what invokes.
    """
    ending = f":function:{name}:{qualifier}" if qualifier else f":function:{name}"
    for statement in policy.get("Statement", ()):
        given = statement.get("Principal")
        service = given.get("Service") if isinstance(given, dict) else given
        actions = statement.get("Action")
        conditions = {
            key.lower(): value
            for operator in (statement.get("Condition") or {}).values()
            for key, value in operator.items()
        }
        patterns = conditions.get("aws:sourcearn", "*")
        accounts = _listed(conditions["aws:sourceaccount"]) if "aws:sourceaccount" in conditions else None
        if (
            statement.get("Effect") == "Allow"
            and service in (principal, "*")
            and any(fnmatch.fnmatchcase("lambda:InvokeFunction", one) for one in _listed(actions))
            and str(statement.get("Resource", "")).endswith(ending)
            and any(fnmatch.fnmatchcase(source, one) for one in _listed(patterns))
            and (accounts is None or source.split(":")[4] in accounts)
        ):
            return True
    return False


def gateway_error(why: str) -> Answer:
    """Return an HTTP API's answer when its function fails or may not be invoked; the log gets the reason."""
    exchange.fail(why)
    return 500, {"Content-Type": "application/json"}, b'{"message":"Internal Server Error"}'


def gateway_throttled() -> Answer:
    """Return an HTTP API's answer when its function has no concurrency left."""
    exchange.fail("Lambda invocation failed with status: 429. Rate Exceeded.")
    return 503, {"Content-Type": "application/json"}, b'{"message":"Service Unavailable"}'


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]
