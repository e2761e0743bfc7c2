"""Secrets Manager's rotation: the four steps of a rotation function, asked for or due on the sandbox's clock.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html has the steps and the
event. How often AWS tries again is not documented; here it is five times, a minute apart.
"""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import access, patches, scope
from sandbox.cloud.schedules import ExpressionError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.scope import Answer, Handler, Request

    Record = dict[str, Any]

_log = logging.getLogger("sandbox.rotation")

_PRINCIPAL: Final = "secretsmanager.amazonaws.com"
_STEPS: Final = ("createSecret", "setSecret", "testSecret", "finishSecret")
_TRIES: Final = 5
_PAUSE: Final = 60.0  # seconds of AWS's
_DAY: Final = 86_400.0
_HOUR: Final = 3600.0
_SHORTEST: Final = 4 * _HOUR
_RATE: Final = re.compile(r"^rate\(\d+ (hour|day)s?\)$")
_SLOWEST_SWEEP: Final = 0.5
_FASTEST_SWEEP: Final = 0.05
_STATE: Final = "_rotation"
"""Of a secret's record: `next` and `until` (the window of the next rotation), `last`; in AWS's time."""


class _RefusedError(Exception):
    """Secrets Manager refuses: code and message."""


class _FailedError(Exception):
    """A step of a rotation failed; the message says how."""


def window(rules: Mapping[str, Any], base: float) -> tuple[float, float]:
    """Return when the next rotation may happen: from and until, in seconds since the epoch.

    Args:
        rules: a secret's `RotationRules`.
        base: when it was last rotated, or was set to be.

    Raises:
        ExpressionError: the schedule is none, or too tight.
    """
    text = rules.get("ScheduleExpression") or f"rate({rules.get('AutomaticallyAfterDays')} days)"
    expression = parse(text)
    if expression.once is not None or (expression.seconds and not _RATE.match(text)):
        raise ExpressionError(f"Invalid Schedule Expression {text}.")
    if 0 < expression.seconds < _SHORTEST:
        raise ExpressionError("The rotation schedule is too frequent: it may be every four hours at most.")
    hourly = bool(expression.seconds) and expression.seconds % _DAY != 0
    if expression.seconds and not hourly:
        start = (base + expression.seconds) // _DAY * _DAY
    else:
        found = expression.after(base)
        if found is None:
            raise ExpressionError(f"Invalid Schedule Expression {text}.")
        start = found
    if hours := str(rules.get("Duration") or "").removesuffix("h"):
        return start, start + int(hours) * _HOUR
    return start, start + _HOUR if hourly else (start // _DAY + 1) * _DAY - 1


class Rotation:
    """Secrets Manager, wrapped; and what rotates."""

    def __init__(self, clock: Clock) -> None:
        """Describe it; nothing is rotated yet.

        Args:
            clock: the sandbox's.
        """
        self._module, self._lambda = patches.modules("secretsmanager", "lambda_svc")
        for name in ("_secrets", "_resolve", "_find_stage_version", "_remove_stage_everywhere", "_add_stage"):
            patches.expect(self._module, name)
        patches.expect(self._lambda, "_invoke", "name", "event", "headers", "path_qualifier")
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tested: dict[str, str] = {}  # secret → the version that its function is tested with
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to rotate what is due."""
        self._sweeper = asyncio.create_task(self._sweep_on())

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [task for task in (self._sweeper, *self._running.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Answer a request."""
        asked = request.json()
        _, secret = self._module._resolve(asked.get("SecretId"))
        try:
            if secret is not None and not secret.get("DeletedDate"):
                if request.target == "RotateSecret":
                    return self._rotate(asked, secret)
                if request.target == "CancelRotateSecret":
                    return self._cancel(secret)
                if request.target == "GetSecretValue":
                    self._require_value(asked, secret)
        except _RefusedError as error:
            kind, message = error.args
            content = {"__type": kind, "Message": message, "message": message}
            return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode()
        current = self._module._find_stage_version(secret, "AWSCURRENT")[0] if secret else None
        answer = await inner(request)
        if secret is None or answer[0] != 200:
            return answer
        if request.target == "DescribeSecret":
            return answer[0], answer[1], json.dumps({**json.loads(answer[2]), **_dates(secret)}).encode()
        if (
            request.target in ("PutSecretValue", "UpdateSecret")
            and secret["ARN"] not in self._running
            and self._module._find_stage_version(secret, "AWSCURRENT")[0] != current
        ):
            self._plan(secret)  # a value that was put by hand counts as a rotation
        return answer

    def _require_value(self, asked: Mapping[str, Any], secret: Record) -> None:
        """Refuse a version without a value, and a stage that the version has not."""
        identifier, stage = asked.get("VersionId"), asked.get("VersionStage")
        if not identifier:
            identifier, _ = self._module._find_stage_version(secret, stage or "AWSCURRENT")
        version = secret["Versions"].get(identifier)
        if version is None:
            return
        if stage and stage not in version["Stages"]:
            message = "You provided a VersionStage that is not associated to the provided VersionId."
            raise _RefusedError("InvalidRequestException", message)
        if version.get("SecretString") is None and version.get("SecretBinary") is None:
            what = f"staging label: {stage}" if stage else f"VersionId: {identifier}"
            message = f"Secrets Manager can't find the specified secret value for {what}"
            raise _RefusedError("ResourceNotFoundException", message)

    # -- asked for -----------------------------------------------------------------------------------------------------

    def _rotate(self, asked: Mapping[str, Any], secret: Record) -> Answer:
        function = asked.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
        rules = asked.get("RotationRules") or secret.get("RotationRules") or {}
        if not function:
            message = "No Lambda rotation function ARN is associated with this secret."
            raise _RefusedError("InvalidRequestException", message)
        self._require_function(function, secret["ARN"])
        if rules.get("AutomaticallyAfterDays") and rules.get("ScheduleExpression"):
            message = "You can't specify both AutomaticallyAfterDays and ScheduleExpression."
            raise _RefusedError("InvalidParameterException", message)
        if rules:
            try:
                window(rules, self._clock.now())
            except ExpressionError as error:
                raise _RefusedError("InvalidParameterException", str(error)) from error
        self._end_test(secret)
        pending, _ = self._module._find_stage_version(secret, "AWSPENDING")
        current, held = self._module._find_stage_version(secret, "AWSCURRENT")
        if pending and pending != current:
            self._begin(secret, pending, _STEPS)
            message = "A previous rotation isn't complete. That rotation will be reattempted."
            raise _RefusedError("InvalidRequestException", message)
        secret |= {"RotationLambdaARN": function, "RotationRules": dict(rules), "RotationEnabled": True}
        self._plan(secret)
        token = asked.get("ClientRequestToken") or str(uuid.uuid4())
        if token not in secret["Versions"]:
            now = asked.get("RotateImmediately") is not False
            # A test works on the current value: nothing has made another one.
            value = held if held and not now else {}
            secret["Versions"][token] = {
                "SecretString": value.get("SecretString"),
                "SecretBinary": value.get("SecretBinary"),
                "CreatedDate": int(self._clock.now()),
                "Stages": [],
            }
            self._module._remove_stage_everywhere(secret, "AWSPENDING")
            self._module._add_stage(secret, token, "AWSPENDING")
            self._begin(secret, token, _STEPS if now else ("testSecret",))
        content = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token}
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode()

    def _require_function(self, arn: str, secret: str) -> None:
        """Refuse a function that is not there, or does not let Secrets Manager invoke it for this secret."""
        name, qualifier = _function(arn)
        record = self._lambda._functions.get(name)
        if record is None:
            message = f"Lambda function {arn} could not be found."
            raise _RefusedError("ResourceNotFoundException", message)
        if not access.service_may_invoke(_PRINCIPAL, record.get("policy") or {}, name, qualifier, secret):
            message = (
                "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants "
                f"access to the principal {_PRINCIPAL}."
            )
            raise _RefusedError("AccessDeniedException", message)

    def _end_test(self, secret: Record) -> None:
        """Give up the test of a configuration that is about to be another one."""
        token = self._tested.pop(secret["ARN"], None)
        if token is not None:
            if task := self._running.pop(secret["ARN"], None):
                task.cancel()
            secret["Versions"].pop(token, None)

    def _cancel(self, secret: Record) -> Answer:
        self._end_test(secret)
        if task := self._running.pop(secret["ARN"], None):
            task.cancel()
        secret["RotationEnabled"] = False
        secret.setdefault(_STATE, {}).pop("next", None)
        pending, _ = self._module._find_stage_version(secret, "AWSPENDING")
        content = {"ARN": secret["ARN"], "Name": secret["Name"], **({"VersionId": pending} if pending else {})}
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode()

    # -- done ----------------------------------------------------------------------------------------------------------

    def _plan(self, secret: Record) -> None:
        """Note when a secret is next rotated, from now on."""
        state = secret.setdefault(_STATE, {})
        state.pop("next", None)
        if secret.get("RotationEnabled") and secret.get("RotationRules"):
            state["next"], state["until"] = window(secret["RotationRules"], self._clock.now())

    def _begin(self, secret: Record, token: str, steps: tuple[str, ...]) -> None:
        arn = secret["ARN"]
        if arn in self._running:
            return
        if len(steps) == 1:
            self._tested[arn] = token
        task = asyncio.create_task(self._run(secret, token, steps))
        self._running[arn] = task
        task.add_done_callback(lambda _: self._running.pop(arn, None) if self._running.get(arn) is task else None)

    async def _run(self, secret: Record, token: str, steps: tuple[str, ...]) -> None:
        arn = secret["ARN"]
        home, account = arn.split(":")[3:5]
        with scope.account(account, home):
            for left in reversed(range(1 if len(steps) == 1 else _TRIES)):
                try:
                    for step in steps:
                        await self._step(secret, token, step)
                    if len(steps) > 1:
                        self._require_finished(secret, token)
                except _FailedError as error:
                    _log.warning("%s: %s", arn, error)
                    if left:
                        await asyncio.sleep(self._clock.real(_PAUSE))
                        continue
                else:
                    if len(steps) > 1:
                        secret.setdefault(_STATE, {})["last"] = self._clock.now()
                        self._plan(secret)
                break
            if len(steps) == 1:  # a test leaves nothing
                self._tested.pop(arn, None)
                secret["Versions"].pop(token, None)

    async def _step(self, secret: Record, token: str, step: str) -> None:
        """Have the rotation function do one step.

        Raises:
            _FailedError: it could not be invoked, or failed.
        """
        event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token}
        event["RotationToken"] = str(uuid.uuid4())
        function = secret["RotationLambdaARN"]
        try:
            self._require_function(function, secret["ARN"])
        except _RefusedError as error:
            raise _FailedError(f"{step}: {error.args[1]}") from error
        name, qualifier = _function(function)
        status, headers, body = await self._lambda._invoke(name, event, {}, qualifier or None)
        if status != 200 or "X-Amz-Function-Error" in headers:
            raise _FailedError(f"{step} failed in {name}: {body.decode(errors='replace')}")

    def _require_finished(self, secret: Record, token: str) -> None:
        if self._module._find_stage_version(secret, "AWSCURRENT")[0] != token:
            raise _FailedError("finishSecret has not made the new version AWSCURRENT")

    # -- due -----------------------------------------------------------------------------------------------------------

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(max(_FASTEST_SWEEP, min(_SLOWEST_SWEEP, self._clock.real(10))))
            now = self._clock.now()
            for (account, home, _), secret in list(self._module._secrets._data.items()):
                if not _due(secret, now) or secret["ARN"] in self._running:
                    continue
                with scope.account(account, home):
                    self._plan(secret)
                    try:
                        self._rotate({}, secret)
                    except _RefusedError as error:
                        _log.warning("%s is due: %s", secret["ARN"], error.args[1])


def _due(secret: Mapping[str, Any], now: float) -> bool:
    due = (secret.get(_STATE) or {}).get("next")
    return bool(due is not None and now >= due and not secret.get("DeletedDate"))


def _dates(secret: Mapping[str, Any]) -> dict[str, float]:
    """Return what DescribeSecret tells of rotations, in seconds since the epoch."""
    state = secret.get(_STATE) or {}
    found = {"LastRotatedDate": state.get("last"), "NextRotationDate": state.get("until") if "next" in state else None}
    return {name: value for name, value in found.items() if value is not None}


def _function(arn: str) -> tuple[str, str]:
    """Return the name and the qualifier of a function."""
    name, _, qualifier = arn.rpartition(":function:")[2].partition(":")
    return name, qualifier
