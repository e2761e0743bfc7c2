"""Everything that is changed inside the emulator, and nothing else is.

What can be mended around a service's handler is mended there (`rds`, `functions`, `services`). What stands here had
no such place. Each change names what it replaces and fails on start when that is not there in the shape it had in the
pinned version.
"""

# ruff: noqa: SLF001 — this is where the emulator's inside is touched

from __future__ import annotations

import functools
import inspect
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sandbox.cloud import access, exchange, functions, workers
from sandbox.cloud.scope import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cloud.iam.enforcement import Enforcer
    from sandbox.cloud.layers import Layers
    from sandbox.cloud.scope import Answer, Wrapper

PINNED: Final = "1.5.33"


class EmulatorChangedError(RuntimeError):
    """The emulator is not the one that this package was written around."""


def check_version() -> None:
    """Refuse another version before anything of it runs.

    Raises:
        EmulatorChangedError: naming both versions.
    """
    found = version("ministack")
    if found != PINNED:
        msg = f"ministack {found} is installed, the sandbox is written around {PINNED}: reinstall (make setup)"
        raise EmulatorChangedError(msg)


def expect(owner: Any, name: str, *parameters: str) -> Any:
    """Return an attribute that is about to be replaced or used, if it is what was expected.

    Args:
        owner: a module or class of the emulator.
        name: the attribute.
        parameters: the first parameters of a function, in order.

    Raises:
        EmulatorChangedError: naming what is not as it was.
    """
    found = getattr(owner, name, None)
    where = f"{getattr(owner, '__name__', owner)}.{name}"
    if found is None:
        msg = f"the emulator has no {where}"
        raise EmulatorChangedError(msg)
    if parameters and tuple(inspect.signature(found).parameters)[: len(parameters)] != parameters:
        msg = f"the emulator's {where} takes {tuple(inspect.signature(found).parameters)}, not {parameters}"
        raise EmulatorChangedError(msg)
    return found


def wrap_service(name: str, wrapper: Wrapper) -> None:
    """Put a wrapper around a service's handler, which runs after authentication and authorisation."""
    from ministack import app

    handlers = expect(app, "SERVICE_HANDLERS")
    inner = handlers[name]

    async def handler(method: str, path: str, headers: Any, body: bytes, query: Any) -> Answer:
        async def forward(request: Request) -> Answer:
            answer: Answer = await inner(
                request.method, request.path, dict(request.headers), request.body, dict(request.query)
            )
            return answer

        return await wrapper(forward, Request(method=method, path=path, headers=headers, body=body, query=query))

    handlers[name] = handler


def run_functions_isolated(layers: Layers, endpoint: str) -> None:
    """Run Python functions in `workers.Worker`: the emulator's own see its packages and inherit its environment."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    expect(lambda_runtime, "acquire_worker", "func_name", "config", "code_zip", "qualifier")
    expect(lambda_runtime, "release_worker", "worker")
    for name in ("_workers", "_lock", "kill_workers"):
        expect(lambda_runtime, name)
    of_emulator = expect(lambda_runtime, "_worker_class_for", "config")
    expect(lambda_svc, "_xray_trace_id_for_invocation", "config")
    warm = expect(lambda_svc, "_execute_function_warm", "func", "event", "request_id")
    workers.Worker.layers = layers
    workers.Worker.endpoint = endpoint
    workers.Worker.credentials = staticmethod(expect(lambda_runtime, "execution_credentials", "config"))
    workers.Worker.layer_content = staticmethod(expect(lambda_svc, "_resolve_layer_zip", "attachment"))

    def is_python(config: dict[str, Any]) -> bool:
        return str(config.get("Runtime", "")).startswith("python")

    def execute(func: dict[str, Any], event: Any, request_id: str) -> Any:
        if not is_python(func.get("config") or func):
            return warm(func, event, request_id)
        return functions.execute(lambda_svc, lambda_runtime, func, event, request_id)

    lambda_runtime._worker_class_for = lambda config: workers.Worker if is_python(config) else of_emulator(config)
    lambda_svc._execute_function_warm = execute


def honour_alias_weights() -> None:
    """Let an alias split its invocations: by Invoke, and through an HTTP API."""
    from ministack.services import apigateway, lambda_svc

    invoke = expect(lambda_svc, "_invoke", "name", "event", "headers", "path_qualifier", "query_params")
    proxy = expect(apigateway, "_invoke_lambda_proxy", "integration", "api_id", "stage", "path", "method")
    expect(apigateway, "_extract_lambda_ref_from_integration_uri", "uri")
    expect(lambda_svc, "_get_func_record_for_ref", "function_ref")
    records = expect(lambda_svc, "_functions")
    function_arn = expect(lambda_svc, "_func_arn", "name")
    throttle = expect(lambda_svc, "_throttle_response", "reason_code", "msg")

    def throttle_noted(reason_code: str, msg: str, *rest: Any) -> Any:
        seen = functions.throttled.get()
        if seen is not None:
            seen.append(True)
        return throttle(reason_code, msg, *rest)

    @functools.wraps(invoke)
    async def invoke_weighted(
        name: str, event: Any, headers: Any, path_qualifier: str | None = None, query_params: Any = None
    ) -> Answer:
        qualifier = path_qualifier or ((query_params or {}).get("Qualifier") or [None])[0]
        alias = (records.get(name) or {}).get("aliases", {}).get(qualifier)
        if not (alias and alias.get("RoutingConfig")):
            answer: Answer = await invoke(name, event, headers, path_qualifier, query_params)
            return answer
        token = functions.invoked_arn.set(f"{function_arn(name)}:{qualifier}")
        try:
            answer = await invoke(name, event, headers, functions.choose(alias), {})
        finally:
            functions.invoked_arn.reset(token)
        return answer

    @functools.wraps(proxy)
    async def proxy_weighted(
        integration: Any, api_id: str, stage: str, path: str, method: str, *rest: Any, **named: Any
    ) -> Answer:
        reference = apigateway._extract_lambda_ref_from_integration_uri(integration.get("integrationUri", ""))
        name, _, qualifier = unquote(reference).rpartition(":function:")[2].partition(":")
        record = records.get(name) or {}
        source = access.api_source_arn(
            named.get("owner_region"), named.get("owner_account_id"), api_id, stage, rest, named
        )
        if record and not access.gateway_may_invoke(record.get("policy") or {}, name, qualifier, source):
            return access.gateway_error(access.FORBIDDEN)
        alias = record.get("aliases", {}).get(qualifier)
        if alias:
            base = function_arn(name)
            integration = {**integration, "integrationUri": f"{base}:{functions.choose(alias)}"}
            token = functions.invoked_arn.set(f"{base}:{qualifier}")
        else:
            token = functions.invoked_arn.set(None)
        outcome: list[bool] = []
        refused: list[bool] = []
        watching, watched = functions.failed.set(outcome), functions.throttled.set(refused)
        began = time.monotonic()
        try:
            answer: Answer = await proxy(integration, api_id, stage, path, method, *rest, **named)
        finally:
            functions.throttled.reset(watched)
            functions.failed.reset(watching)
            functions.invoked_arn.reset(token)
        if served := exchange.current.get():
            served.integrated = time.monotonic() - began
            served.integration_status = 0 if outcome or refused else answer[0]
        if refused:
            return access.gateway_throttled()
        return access.gateway_error(access.FAILED) if outcome else answer

    lambda_svc._invoke = invoke_weighted
    lambda_svc._throttle_response = throttle_noted
    apigateway._invoke_lambda_proxy = proxy_weighted


def invoke_asynchronously(deliver: Callable[[Any, Any], None]) -> None:
    """Have asynchronous invocations go through `deliver`, which takes the version's record and the event.

    The emulator's own retries within seconds, ignores aliases' settings, takes a throttle for a success, and hands
    failures over past every permission.
    """
    from ministack.services import lambda_svc

    expect(lambda_svc, "invoke_async_with_retry", "func", "event")
    lambda_svc.invoke_async_with_retry = deliver


def reserve_concurrency_for_versions() -> None:
    """Count a function's versions against its reserved concurrency; the emulator does so for `$LATEST` only."""
    from ministack.services import lambda_svc

    reserved = expect(lambda_svc, "_reserved_concurrency", "func", "config")
    records = expect(lambda_svc, "_functions")

    def of_function(func: Any, config: Any) -> Any:
        return reserved(records.get(config.get("FunctionName")) or func, config)

    lambda_svc._reserved_concurrency = of_function


def serve_http_apis(execute: Callable[..., Any], validate: Callable[..., Any]) -> None:
    """Have HTTP APIs served by `execute`, which gets the emulator's own way first, and tokens judged by `validate`.

    The emulator neither throttles nor logs, takes any token of the issuer's keys for RS256, and gives function and
    caller different ids of one request.
    """
    from ministack.services import apigateway

    inner = expect(apigateway, "_handle_execute_in_scope", "api_id", "stage", "path", "method", "headers", "body")
    expect(apigateway, "_validate_jwt_authorizer", "route", "authorizer", "headers", "query_params")
    new_id = expect(apigateway, "new_uuid")

    def request_id() -> Any:
        served = exchange.current.get()
        return served.id if served else new_id()

    apigateway._handle_execute_in_scope = functools.partial(execute, inner)
    apigateway._validate_jwt_authorizer = validate
    apigateway.new_uuid = request_id


def authorise_as_aws(enforcer: Enforcer) -> None:
    """Have requests named, decided and denied by `iam.enforcement`, not by the emulator."""
    from ministack.core import iam_actions, iam_evaluator

    action = expect(iam_actions, "extract_iam_action", "service", "method", "path", "headers", "body", "query_params")
    denied = expect(iam_actions, "access_denied_response", "service", "action", "principal_arn", "request_id")
    enforce = expect(
        iam_evaluator, "enforce", "access_key_id", "iam_action", "service", "region", "resource_arn", "service_context"
    )
    condition_key = expect(iam_evaluator, "_resolve_condition_key", "key", "ctx")
    for name in ("authenticate", "resolve_credential", "_principal_keys", "_resource_policy"):
        expect(iam_evaluator, name)

    @functools.wraps(condition_key)
    def condition_key_as_aws(key: str, ctx: Any) -> Any:
        found = condition_key(key, ctx)
        return access.principal_arn(found) if key.lower() == "aws:principalarn" else found

    @functools.wraps(enforce)
    def enforce_as_aws(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        return enforcer.enforce(enforce, access_key_id, iam_action, service, region, resource_arn, service_context)

    iam_actions.extract_iam_action = functools.partial(enforcer.action, action)
    iam_actions.access_denied_response = functools.partial(enforcer.denied, denied)
    iam_evaluator.enforce = enforce_as_aws
    iam_evaluator._resolve_condition_key = condition_key_as_aws


def take_loopback_for_tls() -> None:
    """Count every request as made over TLS (`aws:SecureTransport`): plain HTTP on loopback is what stands for it."""
    from ministack import app

    pin = expect(app, "pin_request_origin", "source_ip", "secure_transport")
    app.pin_request_origin = lambda source_ip, _: pin(source_ip, True)


def stop_own_schedules() -> None:
    """Keep the emulator from firing schedules and rules by itself: `schedules` does, on the sandbox's clock."""
    from ministack.services import eventbridge, scheduler

    for module in (eventbridge, scheduler):
        expect(module, "start_scheduler")
        module.start_scheduler = lambda: None


def require_functions_to_let_rules_invoke() -> None:
    """Check, as EventBridge does, that a function's own policy lets the rule invoke it."""
    from ministack.services import eventbridge, lambda_svc

    invoke = expect(eventbridge, "_invoke_target", "target", "event", "rule", "view")
    records = expect(lambda_svc, "_functions")

    @functools.wraps(invoke)
    def invoke_permitted(target: Any, event: Any, rule: Any, view: Any = None) -> Any:
        arn = str(target.get("Arn", ""))
        if ":function:" in arn:
            name, _, qualifier = arn.rpartition(":function:")[2].partition(":")
            policy = (records.get(name) or {}).get("policy") or {}
            if not access.service_may_invoke("events.amazonaws.com", policy, name, qualifier, rule["Arn"]):
                return None
        return invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_permitted


def sign_zips(platform: str, sign: Callable[[Any, str, bytes], bytes | None]) -> None:
    """Have Signer's jobs of a platform write what `sign` returns; the emulator writes a receipt in place of the object.

    Args:
        platform: its id.
        sign: takes the profile's record, the job's id and the unsigned object; None fails the job.
    """
    from ministack.services import signer

    name_object = expect(signer, "_signed_key", "prefix", "job_id", "platform_id", "src_key")
    find_key = expect(signer, "_signing_key", "profile")
    make_object = expect(signer, "_iot_signed_object", "key", "data", "src_bucket", "src_key", "version_id")
    current: list[str] = []  # a job is started and done without a pause, so there is one at a time

    def named(prefix: str, job_id: str, platform_id: str, src_key: str) -> Any:
        current[:] = [job_id]
        return name_object(prefix, job_id, platform_id, src_key)

    def key_of(profile: Any) -> Any:
        return profile if profile.get("platformId") == platform else find_key(profile)

    def made(key: Any, data: bytes, *where: Any) -> Any:
        return sign(key, current[0], data) if isinstance(key, dict) else make_object(key, data, *where)

    signer._signed_key = named
    signer._signing_key = key_of
    signer._iot_signed_object = made


def modules(*names: str) -> list[Any]:
    """Load service modules the way the emulator does, so that it saves their state."""
    from ministack import app

    load: Callable[[str], Any] = expect(app, "_get_module", "name")
    return [load(name) for name in names]
