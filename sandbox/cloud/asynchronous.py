"""Lambda's asynchronous invocations: retries on the sandbox's clock, and where an event goes in the end.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html has the pauses,
…/invocation-async-retain-records.html the records. Destinations and dead-letter queues get them from the function's own
role, which must be allowed that: also when they are configured.
"""

# ruff: noqa: SLF001 — the emulator's records are what is read

from __future__ import annotations

import contextvars
import datetime as dt
import json
import logging
import re
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sandbox.cloud import functions, patches
from sandbox.cloud.delivery import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.delivery import Delivery
    from sandbox.cloud.iam.enforcement import Enforcer
    from sandbox.cloud.scope import Answer, Handler, Request

_log = logging.getLogger("sandbox.asynchronous")

_EVENT_CONFIG: Final = re.compile(r"^/2019-09-25/functions/([^/]+)/event-invoke-config/?$")
_FUNCTION: Final = re.compile(r"^/2015-03-31/functions(?:/([^/]+)/configuration)?/?$")
_RETRIES: Final = 2
_OLDEST: Final = 21_600  # seconds of AWS's
_PAUSES: Final = (60.0, 120.0)
_LONGEST_BACKOFF: Final = 300.0
_LONGEST_MESSAGE: Final = 1024  # bytes
_ACTIONS: Final = {
    "sqs": ("sqs:SendMessage", "SendMessage", "SQS"),
    "sns": ("sns:Publish", "Publish", "SNS"),
    "lambda": ("lambda:InvokeFunction", "InvokeFunction", "Lambda"),
    "events": ("events:PutEvents", "PutEvents", "EventBridge"),
}


class Asynchronous:
    """Lambda, wrapped; and what runs behind an invocation of type Event."""

    def __init__(self, clock: Clock, delivery: Delivery, enforcer: Enforcer) -> None:
        """Take over from the emulator.

        Args:
            clock: the sandbox's.
            delivery: takes records to destinations.
            enforcer: knows what a role may.
        """
        (self._module,) = patches.modules("lambda_svc")
        for name, parameters in (
            ("_execute_function", ("func", "event")),
            ("_functions", ()),
            ("_resolve_request_scoped_name_and_qualifier", ("name_or_arn",)),
            ("_event_invoke_config", ("func", "qualifier")),
        ):
            patches.expect(self._module, name, *parameters)
        self._clock = clock
        self._delivery = delivery
        self._enforcer = enforcer
        patches.invoke_asynchronously(self._start)

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Have a configuration updated in part, and refuse a destination that the function's role may not use."""
        path = unquote(request.path)
        if matched := _EVENT_CONFIG.match(path):
            if request.method not in ("PUT", "POST"):
                return await inner(request)
            return await self._configure(inner, request, matched[1])
        if (matched := _FUNCTION.match(path)) and request.method in ("POST", "PUT"):
            asked = request.json()
            name = self._module._resolve_request_scoped_name_and_qualifier(matched[1])[0] if matched[1] else None
            record = self._module._functions.get(name) if name else None
            role = asked.get("Role") or ((record or {}).get("config") or {}).get("Role")
            target = (asked.get("DeadLetterConfig") or {}).get("TargetArn")
            if role and target and (why := self._unusable(role, target, "provided")):
                return functions.error(400, "InvalidParameterValueException", why)
        return await inner(request)

    async def _configure(self, inner: Handler, request: Request, given: str) -> Answer:
        name, named = self._module._resolve_request_scoped_name_and_qualifier(given)
        qualifier = named or request.query.get("Qualifier", [""])[0]
        record = self._module._functions.get(name)
        asked = request.json()
        for kind in ("OnSuccess", "OnFailure"):
            target = ((asked.get("DestinationConfig") or {}).get(kind) or {}).get("Destination")
            if record and target and (why := self._unusable(record["config"]["Role"], target, "function's execution")):
                return functions.error(400, "InvalidParameterValueException", why)
        if request.method == "PUT":
            return await inner(request)
        held = self._module._event_invoke_config(record, qualifier) if record else None
        if held is None:
            message = f"The function {name} doesn't have an EventInvokeConfig"
            return functions.error(404, "ResourceNotFoundException", message)
        held |= {key: asked[key] for key in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds") if key in asked}
        held["DestinationConfig"] = {**held["DestinationConfig"], **(asked.get("DestinationConfig") or {})}
        held["LastModified"] = int(time.time())
        return 200, {"Content-Type": "application/json"}, json.dumps(held).encode()

    def _unusable(self, role: str, target: str, whose: str) -> str:
        """Tell why a destination cannot be one; an empty text where it can."""
        known = _ACTIONS.get(f"{target}:::".split(":")[2])
        if known is None or self._enforcer.role_may(role, known[0], target):
            return ""  # what is no destination at all, the emulator refuses
        if whose == "provided":
            return f"The provided execution role does not have permissions to call {known[1]} on {known[2]}"
        return f"The {whose} role does not have permissions to call {known[1]} on {target}"

    # -- an event's life -----------------------------------------------------------------------------------------------

    def _start(self, func: dict[str, Any], event: Any) -> None:
        """Begin with an event; a thread carries it to its end, within the context of the request."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, func, event), daemon=True, name="event").start()

    def _run(self, func: dict[str, Any], event: Any) -> None:
        config = func.get("config") or func
        arn = functions.invoked_arn.get() or config["FunctionArn"]
        parts = arn.split(":")
        qualifier = parts[7] if len(parts) > 7 else ""
        base = self._module._functions.get(config["FunctionName"]) or {}
        settings = self._module._event_invoke_config(base, qualifier) or {}
        if not settings and qualifier in ("", "$LATEST"):
            settings = self._module._event_invoke_config(base, "$LATEST" if not qualifier else "") or {}
        retries = settings.get("MaximumRetryAttempts", _RETRIES)
        oldest = self._clock.real(settings.get("MaximumEventAgeInSeconds", _OLDEST))
        began, invoked, throttled = time.monotonic(), 0, 0
        while True:
            result = self._module._execute_function(func, event)
            if result.get("throttle"):
                throttled += 1
                pause = self._clock.real(min(2.0 ** (throttled - 1), _LONGEST_BACKOFF))
            else:
                invoked += 1
                if not result.get("error"):
                    condition = "Success"
                    break
                if invoked > retries:
                    condition = "RetriesExhausted"
                    break
                pause = self._clock.real(_PAUSES[min(invoked, len(_PAUSES)) - 1])
            if time.monotonic() - began + pause > oldest:
                condition = "EventAgeExceeded"
                break
            time.sleep(pause)
        self._finish(config, arn if qualifier else f"{arn}:$LATEST", settings, event, result, condition, invoked)

    def _finish(
        self,
        config: Mapping[str, Any],
        arn: str,
        settings: Mapping[str, Any],
        event: Any,
        result: Mapping[str, Any],
        condition: str,
        invoked: int,
    ) -> None:
        """Send the record of an event that is done with to its destination, and a failed event to the dead letters."""
        failed = condition != "Success"
        kind = "OnFailure" if failed else "OnSuccess"
        request_id = str(uuid.uuid4())
        response = {"statusCode": 200, "executedVersion": config.get("Version", "$LATEST")}
        if failed and not result.get("throttle"):
            response["functionError"] = result.get("function_error") or "Unhandled"
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "requestContext": {
                "requestId": request_id,
                "functionArn": arn,
                "condition": condition,
                "approximateInvokeCount": invoked,
            },
            "requestPayload": event,
        }
        if not result.get("throttle"):
            record |= {"responseContext": response, "responsePayload": result.get("body")}
        target = ((settings.get("DestinationConfig") or {}).get(kind) or {}).get("Destination")
        if target:
            outcome = "Failure" if failed else "Success"
            detail = {"Source": "lambda", "DetailType": f"Lambda Function Invocation Result - {outcome}"}
            more = {**detail, "Resources": [arn, target]} if ":events:" in target else None
            self._deliver(config, target, json.dumps(record), more=more)
        buried = (config.get("DeadLetterConfig") or {}).get("TargetArn")
        if failed and buried:
            body = result.get("body")
            message = body.get("errorMessage") or body.get("message") if isinstance(body, dict) else str(body)
            attributes = {
                "RequestID": request_id,
                "ErrorCode": "429" if result.get("throttle") else "200",
                "ErrorMessage": str(message).encode()[:_LONGEST_MESSAGE].decode(errors="ignore"),
            }
            self._deliver(config, buried, json.dumps(event), attributes=attributes)

    def _deliver(self, config: Mapping[str, Any], target: str, payload: str, **options: Any) -> None:
        name = config["FunctionName"]
        try:
            self._delivery.deliver(target, payload, role=config["Role"], session=name, **options)
        except DeliveryError as error:
            _log.warning("%s: %s did not take the event: %s: %s", name, target, error.code, error)
