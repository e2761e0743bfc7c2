"""Lambda: invocations in isolated workers, aliases that split traffic, and the answers that the emulator gets wrong."""

from __future__ import annotations

import contextvars
import json
import random
import re
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sandbox.cloud import workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.cloud.scope import Answer, Handler, Request

_FUNCTION_PATH: Final = re.compile(r"^/\d{4}-\d{2}-\d{2}/functions(?:/([^/]+)(/.*)?)?/?$")
_QUALIFIED_ARN: Final = re.compile(r"^(arn:aws[a-z-]*:lambda:[^:]+:\d{12}:function:[^:]+)(?::(.+))?$")

_RESERVED: Final = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
}

invoked_arn: contextvars.ContextVar[str | None] = contextvars.ContextVar("invoked_arn", default=None)
"""The ARN by which a function was invoked, where the emulator loses it."""

failed: contextvars.ContextVar[list[bool] | None] = contextvars.ContextVar("failed", default=None)
"""A list that gets an entry when an invocation within this context ends in a function error."""

throttled: contextvars.ContextVar[list[bool] | None] = contextvars.ContextVar("throttled", default=None)
"""A list that gets an entry when an invocation within this context finds no concurrency left."""


def choose(alias: Mapping[str, Any], draw: Callable[[], float] = random.random) -> str:
    """Return the version that an invocation through an alias goes to.

    Args:
        alias: with `FunctionVersion`, and `RoutingConfig.AdditionalVersionWeights`: shares of the traffic, 0 to 1.
        draw: a number from 0 to below 1.
    """
    drawn = draw()
    for version, weight in ((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}).items():
        if drawn < weight:
            return str(version)
        drawn -= weight
    return str(alias["FunctionVersion"])


def execute(module: Any, pool: Any, func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """Run an invocation in a worker from the emulator's pool.

    Args:
        module: the emulator's Lambda module.
        pool: its pool of workers.
        func: the version's record: configuration and code.
        event: the payload.
        request_id: the invocation's id.

    Returns:
        `body`, `log`, `seconds` that the handler ran, and `error` for a function error.
    """
    config = func.get("config") or func
    if not func.get("code_zip"):
        return {
            "body": {"errorMessage": "the function has no code", "errorType": "Runtime.InvalidEntrypoint"},
            "error": True,
        }
    version = config.get("Version", "$LATEST")
    worker, _ = pool.acquire_worker(config["FunctionName"], config, func["code_zip"], qualifier=version)
    try:
        arn = invoked_arn.get() or config["FunctionArn"]
        trace = module._xray_trace_id_for_invocation(config)  # noqa: SLF001
        done = worker.invoke(event, request_id, arn=arn, trace=trace)
    finally:
        worker.last_used = time.time()
        pool.release_worker(worker)
    if "failure" in done:
        seen = failed.get()
        if seen is not None:
            seen.append(True)
        return {"body": done["failure"], "error": True, "log": done["log"], "seconds": done["seconds"]}
    return {"body": done["result"], "log": done["log"], "seconds": done["seconds"]}


def retire_idle(pool: Any, seconds: float) -> None:
    """End the workers that have been idle for so long, of every version: the pool itself keeps one of each for ever."""
    now = time.time()
    with pool._lock:  # noqa: SLF001 — the pool's own way of dropping them keeps the first
        idle = [
            worker
            for entries in pool._workers.values()  # noqa: SLF001
            for worker in entries
            if not worker.in_use and now - worker.last_used > seconds
        ]
        for key, entries in list(pool._workers.items()):  # noqa: SLF001
            pool._workers[key] = [worker for worker in entries if worker not in idle]  # noqa: SLF001
    _end(idle)


def end_all(pool: Any) -> None:
    """End every worker at once."""
    with pool._lock:  # noqa: SLF001
        all_workers = [worker for entries in pool._workers.values() for worker in entries]  # noqa: SLF001
        pool._workers.clear()  # noqa: SLF001
    _end(all_workers)


def _end(leaving: list[Any]) -> None:
    for worker in leaving:
        if worker._proc is not None:  # noqa: SLF001
            workers.kill(worker._proc)  # noqa: SLF001
    for worker in leaving:
        if worker._proc is not None:  # noqa: SLF001
            worker._proc.wait()  # noqa: SLF001
        worker._discard_tmpdir()  # noqa: SLF001


async def answer_as_aws(inner: Handler, request: Request) -> Answer:
    """Mend what the emulator accepts, and what it says of versions, aliases and policies.

    - a role that Lambda may not assume, reserved variables and an unknown network are refused;
    - an alias of a version that is not there is refused;
    - a version's configuration has the qualified ARN;
    - the policy of the function, of a version and of an alias are three different ones.
    """
    matched = _FUNCTION_PATH.match(request.path)
    if not matched:
        return await inner(request)
    if (request.method, matched[2] or "") in (("POST", ""), ("PUT", "/configuration")) and (why := _refused(request)):
        return error(400, "InvalidParameterValueException", why)
    if request.method in ("POST", "PUT") and (matched[2] or "").startswith("/aliases"):
        function = unquote(matched[1] or "").rpartition(":function:")[2].partition(":")[0]
        if missing := _missing_version(function, request.json()):
            return error(404, "ResourceNotFoundException", f"Function not found: {missing}")
    status, headers, body = await inner(request)
    if status >= 300 or not body or not isinstance(body, bytes) or (matched[2] or "").endswith("/invocations"):
        return status, headers, body
    try:
        answer = json.loads(body)
    except ValueError:
        return status, headers, body
    name, _, named = unquote(matched[1] or "").rpartition(":function:")[2].partition(":")
    qualifier = named or request.query.get("Qualifier", [""])[0]
    if (matched[2] or "") == "/policy" and request.method == "GET" and "Policy" in answer:
        return _policy(answer, name, qualifier) or (status, headers, body)
    for configuration in (answer, answer.get("Configuration"), *(answer.get("Versions") or ())):
        if isinstance(configuration, dict) and isinstance(configuration.get("FunctionArn"), str):
            _qualify(configuration, qualifier, listed="Versions" in answer)
    return status, headers, json.dumps(answer).encode()


def _refused(request: Request) -> str | None:
    """Tell why AWS would refuse a function's configuration that the emulator takes."""
    from ministack.core.iam_evaluator import _service_principal_matches
    from ministack.services import ec2, iam

    asked = request.json()
    if name := str(asked.get("Role") or "").rpartition("/")[2]:
        trust = (iam._roles.get(name) or {}).get("AssumeRolePolicyDocument") or {}  # noqa: SLF001
        document = json.loads(trust) if isinstance(trust, str) else trust
        statements = document.get("Statement", ())
        if name in iam._roles and not any(  # noqa: SLF001 — the emulator says itself that there is no such role
            statement.get("Effect") == "Allow"
            and _service_principal_matches(statement.get("Principal"), "lambda.amazonaws.com")
            for statement in (statements if isinstance(statements, list) else [statements])
        ):
            return "The role defined for the function cannot be assumed by Lambda."
    variables = (asked.get("Environment") or {}).get("Variables") or {}
    if reserved := sorted(_RESERVED & set(variables)):
        return (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}"
        )
    network = asked.get("VpcConfig") or {}
    for subnet in network.get("SubnetIds") or ():
        if ec2._subnets.get(subnet) is None:  # noqa: SLF001
            return _unknown("DescribeSubnets", "InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    for group in network.get("SecurityGroupIds") or ():
        if ec2._security_groups.get(group) is None:  # noqa: SLF001
            return _unknown("DescribeSecurityGroups", "InvalidGroup.NotFound", f"The group '{group}' does not exist")
    return None


def _missing_version(function: str, asked: Mapping[str, Any]) -> str | None:
    """Return the ARN of a version that an alias is to point at, and that is not there."""
    from ministack.services import lambda_svc

    record = lambda_svc._functions.get(function)  # noqa: SLF001
    if record is None:
        return None  # the emulator says itself that there is no such function
    weights = (asked.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    for version in (asked.get("FunctionVersion") or "$LATEST", *weights):
        if version != "$LATEST" and version not in record["versions"]:
            return f"{lambda_svc._func_arn(function)}:{version}"  # noqa: SLF001
    return None


def _unknown(operation: str, code: str, message: str) -> str:
    return f"Error occurred while {operation}. EC2 Error Code: {code}. EC2 Error Message: {message}"


def error(status: int, kind: str, message: str) -> Answer:
    """Return an error as Lambda answers it.

    Args:
        status: of HTTP.
        kind: AWS's name of it.
        message: what is said of it.
    """
    headers = {"Content-Type": "application/json", "x-amzn-errortype": kind}
    return status, headers, json.dumps({"Type": "User", "message": message}).encode()


def _qualify(configuration: dict[str, Any], qualifier: str, *, listed: bool) -> None:
    """Give a configuration the ARN that it was asked for by: AWS repeats the qualifier."""
    matched = _QUALIFIED_ARN.match(configuration["FunctionArn"])
    version = configuration.get("Version")
    if not matched or not version:
        return
    if listed or (not qualifier and version != "$LATEST"):
        qualifier = version
    configuration["FunctionArn"] = f"{matched[1]}:{qualifier}" if qualifier else matched[1]


def _policy(answer: dict[str, Any], name: str, qualifier: str) -> Answer | None:
    """Reduce a function's policy to the statements on what was asked for."""
    policy = json.loads(answer["Policy"])
    ending = f":function:{name}:{qualifier}" if qualifier else f":function:{name}"
    statements = [statement for statement in policy["Statement"] if str(statement["Resource"]).endswith(ending)]
    if not statements:
        return error(404, "ResourceNotFoundException", "The resource you requested does not exist.")
    text = json.dumps({**policy, "Statement": statements})
    return 200, {"Content-Type": "application/json"}, json.dumps({**answer, "Policy": text}).encode()
