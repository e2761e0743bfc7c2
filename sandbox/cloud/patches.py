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

from sandbox.cloud import access, accounts, exchange, functions, workers
from sandbox.cloud.scope import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cloud.cloudwatch.service import CloudWatch
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


def add_service(name: str, target: str, module: Any) -> None:
    """Serve, save and restore a service that the emulator lacks, as if it were a module of the emulator's own.

    Args:
        name: the service's, as requests are signed for it.
        target: prefix of its operations in `x-amz-target`.
        module: with `handle_request`, `get_state`, `load_persisted_state` and `reset`.

    Raises:
        EmulatorChangedError: the emulator has one of its own by now.
    """
    from ministack import app
    from ministack.core import router

    patterns = expect(router, "SERVICE_PATTERNS")
    expect(router, "detect_service", "method", "path", "headers", "query_params")
    handlers, modules_, states = (expect(app, each) for each in ("SERVICE_HANDLERS", "_loaded_modules", "_state_map"))
    if name in patterns or name in handlers:
        msg = f"the emulator has a service {name} of its own: compare it with the sandbox's, and keep one"
        raise EmulatorChangedError(msg)
    patterns[name] = {"target_prefixes": [target], "host_patterns": [rf"{name}\."]}
    handlers[name] = module.handle_request
    modules_[name] = module
    states[name] = name


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


def keep_metrics(cloudwatch: CloudWatch) -> None:
    """Have metrics kept, saved and loaded by `cloudwatch`; what the emulator's services measure goes there too."""
    from ministack.services import cloudwatch as module

    state = expect(module, "get_state")
    load = expect(module, "load_persisted_state", "data")
    expect(module, "record_metric", "namespace", "metric_name", "value", "unit", "dimensions")

    def resume(data: dict[str, Any]) -> None:
        load(data)
        if "sandbox" in data:
            cloudwatch.resume(data["sandbox"])

    def record(
        namespace: str, metric_name: str, value: float, unit: str = "None", dimensions: dict[str, str] | None = None
    ) -> None:
        cloudwatch.record(namespace, metric_name, value, unit, dimensions or {})

    module.get_state = lambda: {**state(), "sandbox": cloudwatch.state()}
    module.load_persisted_state = resume
    module.record_metric = record


def measure_functions(executed: Callable[[Any, Any, float, int], None]) -> None:
    """Have every execution told, instead of the emulator's own metrics, which know Invoke and no versions.

    Args:
        executed: gets the version's configuration, the result, the handler's seconds, and how many executions of the
            function there were at its start.
    """
    from ministack.services import lambda_svc

    execute = expect(lambda_svc, "_execute_function", "func", "event")
    elsewhere = expect(lambda_svc, "_function_config_scope_mismatch", "config")
    in_flight = expect(lambda_svc, "executions_in_flight")
    key = expect(lambda_svc, "_inflight_key", "config")
    expect(lambda_svc, "_emit_lambda_metrics", "function_name", "duration_ms", "error", "throttle")

    @functools.wraps(execute)
    def execute_measured(func: Any, event: Any) -> Any:
        config = func.get("config") or func
        if elsewhere(config):  # the emulator comes back here in the function's own account and region
            return execute(func, event)
        concurrent = in_flight()[1].get(key(config), 0) + 1
        began = time.perf_counter()
        result = execute(func, event)
        executed(config, result, result.get("seconds", time.perf_counter() - began), concurrent)
        return result

    lambda_svc._execute_function = execute_measured
    lambda_svc._emit_lambda_metrics = lambda *_, **__: None


def measure_gateway(
    request: Callable[[str, str, str, str, Callable[[], Any]], Any], integration: Callable[[Callable[[], Any]], Any]
) -> Callable[[str, str, str], Any]:
    """Have every request to an HTTP API, and every call of an integration within it, made by somebody who measures.

    Args:
        request: gets API, stage, path, method, and what serves the request.
        integration: gets what calls the integration.

    Returns:
        What finds the route of an API, a method and a path.
    """
    from ministack.services import apigateway

    handle = expect(apigateway, "_handle_execute_in_scope", "api_id", "stage", "path", "method")
    match: Callable[[str, str, str], Any] = expect(apigateway, "_match_route", "api_id", "method", "path")

    @functools.wraps(handle)
    async def handle_measured(api_id: str, stage: str, path: str, method: str, *rest: Any, **named: Any) -> Answer:
        answer: Answer = await request(
            api_id, stage, path, method, lambda: handle(api_id, stage, path, method, *rest, **named)
        )
        return answer

    def measured(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        async def call(*args: Any, **named: Any) -> Answer:
            answer: Answer = await integration(lambda: inner(*args, **named))
            return answer

        return call

    apigateway._handle_execute_in_scope = handle_measured
    for name in ("_invoke_lambda_proxy", "_invoke_http_proxy"):
        setattr(apigateway, name, measured(expect(apigateway, name, "integration")))
    return match


def watch_logs(written: Callable[[str, str, Any], None]) -> None:
    """Have everything told that is written to a log.

    Args:
        written: gets account, region and the events, each with `message` and `timestamp` (milliseconds).
    """
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import cloudwatch_logs

    append = expect(cloudwatch_logs, "_append_log_events", "stream", "events")

    @functools.wraps(append)
    def append_watched(stream: Any, events: Any) -> None:
        append(stream, events)
        written(str(get_account_id()), str(get_region()), events)

    cloudwatch_logs._append_log_events = append_watched


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

    json_field = expect(iam_actions, "_safe_json_field", "body", "field")

    @functools.wraps(json_field)
    def json_field_of_any(body: bytes, field: str) -> str:
        try:
            return str(json_field(body, field))
        except UnicodeDecodeError:  # CBOR, or compressed: the decision reads such a body by itself
            return ""

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

    iam_actions._safe_json_field = json_field_of_any
    iam_actions.extract_iam_action = functools.partial(enforcer.action, action)
    iam_actions.access_denied_response = functools.partial(enforcer.denied, denied)
    iam_evaluator.enforce = enforce_as_aws
    iam_evaluator._resolve_condition_key = condition_key_as_aws


def take_loopback_for_tls() -> None:
    """Count every request as made over TLS (`aws:SecureTransport`): plain HTTP on loopback is what stands for it."""
    from ministack import app

    pin = expect(app, "pin_request_origin", "source_ip", "secure_transport")
    app.pin_request_origin = lambda source_ip, _: pin(source_ip, True)


def tell_conditional_writes() -> None:
    """Give a write its conditional headers as condition keys, by which a bucket's policy demands them.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    from ministack.core import iam_actions

    inner = expect(iam_actions, "_s3_object_context", "iam_action", "query_params", "path", "headers")

    def context(iam_action: str, query_params: Any, path: str, headers: Any) -> dict[str, Any]:
        found: dict[str, Any] = inner(iam_action, query_params, path, headers)
        if iam_action == "s3:PutObject" and path.lstrip("/").partition("/")[2]:
            conditional = {f"s3:{name}": headers[name] for name in ("if-match", "if-none-match") if headers.get(name)}
            # The parts of an upload, and its begin, make no object: its completion does.
            makes = not ({"uploads", "partNumber"} & set(query_params or ()))
            return {**found, **conditional, "s3:objectcreationoperation": str(makes).lower()}
        return found

    iam_actions._s3_object_context = context


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


def block_public_access_of_accounts() -> None:
    """Serve the public access block of a whole account, and let it count beside those of buckets."""
    from ministack import app
    from ministack.core.responses import get_account_id
    from ministack.services import s3

    control = expect(app, "_handle_s3_control_request", "path", "method", "body", "query_params", "request_id")
    enforce = expect(app, "_enforce_data_plane", "service", "iam_action", "headers", "query_params", "request_id")
    blocked = expect(s3, "_public_access_blocked", "owner_account", "bucket_name", "setting")

    @functools.wraps(control)
    async def control_with_block(
        path: str, method: str, body: bytes, query_params: Any, request_id: str, headers: Any = None
    ) -> Any:
        action = accounts.BLOCK_ACTIONS.get(method) if path == accounts.BLOCK_PATH else None
        if action is None:
            return await control(path, method, body, query_params, request_id, headers)
        denied = enforce("s3", action, headers or {}, query_params, request_id)
        return denied or accounts.public_access_block(str(get_account_id()), method, body)

    @functools.wraps(blocked)
    def blocked_for_the_account(owner_account: str, bucket_name: str, setting: str) -> bool:
        return accounts.blocks_public_access(owner_account, setting) or blocked(owner_account, bucket_name, setting)

    app._handle_s3_control_request = control_with_block
    s3._public_access_blocked = blocked_for_the_account


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
