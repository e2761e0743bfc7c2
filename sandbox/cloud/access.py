"""What AWS authorises and how it names it, where the emulator differs."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.cloud.scope import Answer

_LAMBDA: Final = re.compile(
    r"^/\d{4}-\d{2}-\d{2}/functions/(?P<name>[^/]+)(?:/(?P<part>[a-z-]+)(?:/(?P<item>[^/]+))?)?/?$"
)
_LAYER: Final = re.compile(r"^/\d{4}-\d{2}-\d{2}/layers/(?P<name>[^/]+)/versions(?:/(?P<version>\d+))?/?$")
_ALIAS_ACTIONS: Final = {"GET": "GetAlias", "PUT": "UpdateAlias", "DELETE": "DeleteAlias"}
_SECRET_READS: Final = ("secretsmanager:GetSecretValue",)
_SECRET_WRITES: Final = ("secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret")


def action(service: str, method: str, path: str) -> str | None:
    """Return the IAM action of a request that the emulator takes for another one."""
    if service != "lambda":
        return None
    if (matched := _LAMBDA.match(path)) and matched["part"] == "aliases" and matched["item"]:
        name = _ALIAS_ACTIONS.get(method)
        return f"lambda:{name}" if name else None
    if matched and matched["part"] == "concurrency":
        return {"DELETE": "lambda:DeleteFunctionConcurrency", "GET": "lambda:GetFunctionConcurrency"}.get(method)
    if matched := _LAYER.match(path):
        if matched["version"]:
            return {"GET": "lambda:GetLayerVersion", "DELETE": "lambda:DeleteLayerVersion"}.get(method)
        return {"GET": "lambda:ListLayerVersions", "POST": "lambda:PublishLayerVersion"}.get(method)
    return None


def resource(
    service: str, path: str, body: bytes, query: Mapping[str, Any], found: str, region: str, account: str
) -> str:
    """Return the ARN that a request is authorised on.

    Args:
        service: the emulator's name of it.
        path: of the request.
        body: of the request.
        query: parameters by name, values as lists.
        found: what the emulator would take.
        region: of the request.
        account: of the request.
    """
    if service == "lambda" and path.endswith("/functions") | path.endswith("/functions/"):
        name = _field(body, "FunctionName")
        return (
            f"arn:aws:lambda:{region}:{account}:function:{name}"
            if name and not name.startswith("arn:")
            else name or found
        )
    if service == "lambda" and (matched := _LAMBDA.match(path)):
        qualifier = (query.get("Qualifier") or [""])[0]
        name = unquote(matched["name"])
        bare = found if name.startswith("arn:") else f"arn:aws:lambda:{region}:{account}:function:{name}"
        if (
            matched["part"] in ("invocations", "policy", "provisioned-concurrency")
            and qualifier
            and bare.count(":") == 6
        ):
            return f"{bare}:{qualifier}"  # invoking an alias is allowed, or not, on the alias
        return bare
    if service == "lambda" and (matched := _LAYER.match(path)):
        version = f":{matched['version']}" if matched["version"] else ""
        return f"arn:aws:lambda:{region}:{account}:layer:{matched['name']}{version}"
    if service == "kms" and found == "*" and (alias := _field(body, "AliasName")):
        return f"arn:aws:kms:{region}:{account}:{alias}"
    return found


def principal_arn(caller: str) -> str:
    """Return the value of `aws:PrincipalArn`: of a session, AWS gives the role's ARN, its path included."""
    account, found, session = caller.partition(":assumed-role/")
    if not found:
        return caller
    from ministack.services import iam

    name = session.partition("/")[0]
    role = iam._roles.get(name) or {}  # noqa: SLF001
    return str(role.get("Arn") or f"{account.replace(':sts:', ':iam:')}:role/{name}")


def resource_keys(iam_action: str, arn: str) -> dict[str, Any]:
    """Return the condition keys that describe a resource: its tags by the service's own key, a KMS key's aliases."""
    service = iam_action.partition(":")[0]
    if service not in ("secretsmanager", "rds", "ec2", "ssm", "kms") or arn == "*":
        return {}
    from ministack.services.tagging import resource_tags

    tags = resource_tags(arn) or {}
    found: dict[str, Any] = {f"{key}:ResourceTag/{name}": tags[name] for name in tags for key in (service, "aws")}
    return {**found, "kms:ResourceAliases": _aliases(arn)} if service == "kms" else found


def implied(iam_action: str, arn: str, region: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield what else the caller must be allowed: the use of the customer key that a secret is encrypted with.

    Yields:
        Action, resource and condition keys.
    """
    if iam_action not in (*_SECRET_READS, *_SECRET_WRITES):
        return
    from ministack.services import kms, secretsmanager

    _, secret = secretsmanager._resolve(arn)  # noqa: SLF001 — where the emulator looks it up for its own check
    record = kms._resolve_key((secret or {}).get("KmsKeyId") or "")  # noqa: SLF001 — none for a key that AWS owns
    if record is None:
        return
    context = {
        "kms:ViaService": f"secretsmanager.{region}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": arn,
        "kms:ResourceAliases": _aliases(record["Arn"]),
    }
    needed = ("kms:Decrypt",) if iam_action in _SECRET_READS else ("kms:GenerateDataKey", "kms:Decrypt")
    for name in needed:
        yield name, record["Arn"], context


def _aliases(key: str) -> list[str]:
    """Return the names of a KMS key's aliases, e.g. "alias/data"."""
    from ministack.services import kms

    identifier = key.rpartition("/")[2]
    return [f"alias/{arn.partition(':alias/')[2]}" for arn, target in kms._aliases.items() if target == identifier]  # noqa: SLF001


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
    """Tell whether a function's resource policy lets an HTTP API invoke it.

    Args:
        policy: the function's, of all its qualifiers.
        name: of the function.
        qualifier: the alias or version invoked; empty for the function itself.
        source: the API's ARN, see `api_source_arn`.
    """
    ending = f":function:{name}:{qualifier}" if qualifier else f":function:{name}"
    for statement in policy.get("Statement", ()):
        principal = statement.get("Principal")
        service = principal.get("Service") if isinstance(principal, dict) else principal
        actions = statement.get("Action")
        conditions = {
            key.lower(): value
            for operator in (statement.get("Condition") or {}).values()
            for key, value in operator.items()
        }
        patterns = conditions.get("aws:sourcearn", "*")
        if (
            statement.get("Effect") == "Allow"
            and service in ("apigateway.amazonaws.com", "*")
            and any(fnmatch.fnmatchcase("lambda:InvokeFunction", one) for one in _listed(actions))
            and str(statement.get("Resource", "")).endswith(ending)
            and any(fnmatch.fnmatchcase(source, one) for one in _listed(patterns))
        ):
            return True
    return False


def gateway_error() -> Answer:
    """Return an HTTP API's answer when its function fails or may not be invoked."""
    return 500, {"Content-Type": "application/json"}, b'{"message":"Internal Server Error"}'


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _field(body: bytes, name: str) -> str:
    try:
        read = json.loads(body or b"{}")
    except ValueError:
        return ""
    return str(read.get(name) or "") if isinstance(read, dict) else ""
