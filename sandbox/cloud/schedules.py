"""EventBridge: schedules, and rules with a schedule expression, fire on the sandbox's clock, with AWS's permissions.

A schedule invokes its target as its own role, which must trust scheduler.amazonaws.com and be allowed to; the call goes
through the front door, signed with a session of that role. A rule's function must let events.amazonaws.com invoke it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import json
import logging
import math
import re
import time
import uuid
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import acting, patches, scope
from sandbox.cloud.delivery import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.delivery import Delivery
    from sandbox.cloud.scope import Answer, Handler, Request

_log = logging.getLogger("sandbox.schedules")

_PRINCIPAL: Final = "scheduler.amazonaws.com"
_SESSION: Final = "scheduler"
_AT: Final = re.compile(r"^at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)$")
_RATE: Final = re.compile(r"^rate\((\d+)\s+(minute|hour|day)s?\)$")
_UNITS: Final = {"minute": 60, "hour": 3600, "day": 86400}
_SLOWEST_SWEEP: Final = 0.5
_FASTEST_SWEEP: Final = 0.05
_JUST_MADE: Final = 60.0
_RETRIES: Final = 185
_EVENT_AGE: Final = 86400.0
_LONGEST_BACKOFF: Final = 600.0  # seconds of AWS's
_FINAL: Final = (
    "AccessDeniedException",
    "AccessDenied",
    "ResourceNotFoundException",
    "NotFound",
    "ValidationException",
)


class ExpressionError(ValueError):
    """Not a schedule expression; the message is AWS's."""


@dataclass(frozen=True)
class Expression:
    """A parsed schedule expression.

    Attributes:
        seconds: of a rate.
        once: the moment of an `at`.
        fields: of a cron, as the emulator parses them.
        zone: in which a cron is meant.
    """

    seconds: float = 0
    once: float | None = None
    fields: Any = None
    zone: dt.tzinfo = dt.UTC

    def after(self, moment: float) -> float | None:
        """Return the next occurrence after a moment, in seconds since the epoch; None where there is none."""
        if self.once is not None:
            return self.once if self.once > moment else None
        if self.seconds:
            return moment + self.seconds
        from ministack.services import eventbridge

        found = eventbridge._cron_next_fire(self.fields, dt.datetime.fromtimestamp(moment, self.zone))  # noqa: SLF001
        return None if found is None else float(found.timestamp())


def parse(text: str, zone: str = "UTC") -> Expression:
    """Read `rate(…)`, `cron(…)` or `at(…)`.

    Raises:
        ExpressionError: it is none, or the zone is unknown.
    """
    from ministack.services import eventbridge

    try:
        place = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise ExpressionError(f"Invalid Schedule Expression Timezone: {zone}.") from error
    text = text.strip()
    if (matched := _RATE.match(text)) and int(matched[1]) > 0:
        return Expression(seconds=int(matched[1]) * _UNITS[matched[2]])
    if matched := _AT.match(text):
        with contextlib.suppress(ValueError):
            return Expression(once=dt.datetime.fromisoformat(matched[1]).replace(tzinfo=place).timestamp())
    fields = eventbridge._parse_cron_fields(text)  # noqa: SLF001
    if fields is None:
        raise ExpressionError(f"Invalid Schedule Expression {text}.")
    return Expression(fields=fields, zone=place)


@dataclass
class _Plan:
    """When something fires next.

    Attributes:
        mark: what it was planned by; with another one it is planned anew.
        expression: of it.
        due: in the sandbox's time; None: never again.
    """

    mark: tuple[Any, ...]
    expression: Expression
    due: float | None

    def move_on(self, now: float) -> None:
        """Plan the next firing; what was missed while the machine slept is not made up for."""
        due = self.due or now
        if self.expression.once is not None:
            self.due = None
        elif self.expression.seconds:
            self.due = due + max(1, math.ceil((now - due) / self.expression.seconds)) * self.expression.seconds
        else:
            self.due = self.expression.after(max(due, now))


async def rules(inner: Handler, request: Request) -> Answer:
    """Have PutRule take away what it leaves out of an existing rule; the emulator keeps it."""
    if request.target != "PutRule":
        return await inner(request)
    whole = {"Description": "", "RoleArn": "", "State": "ENABLED", **request.json()}
    return await inner(dataclasses.replace(request, body=json.dumps(whole).encode()))


class Schedules:
    """Fires what is due, for as long as it runs."""

    def __init__(self, clock: Clock, delivery: Delivery) -> None:
        """Take over from the emulator's own tickers, which look every ten seconds and ask for no permission.

        Args:
            clock: the sandbox's.
            delivery: takes what is due to its target.
        """
        self._scheduler, self._events = patches.modules("scheduler", "eventbridge")
        patches.stop_own_schedules()
        for module, name in (
            (self._scheduler, "_schedules"),
            (self._scheduler, "_tags"),
            (self._events, "_rules"),
            (self._events, "_targets"),
            (self._events, "_invoke_target"),
            (self._events, "_parse_cron_fields"),
            (self._events, "_cron_next_fire"),
        ):
            patches.expect(module, name)
        self._clock = clock
        self._began = time.time()
        self._delivery = delivery
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        patches.wrap_service("scheduler", self)
        patches.wrap_service("events", rules)

    def start(self) -> None:
        """Begin to fire."""
        self._sweeper = asyncio.create_task(self._sweep_on())

    async def close(self) -> None:
        """Fire nothing more; deliveries under way are given up."""
        tasks = [task for task in (self._sweeper, *self._deliveries) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Refuse a schedule that AWS would refuse: an expression that is none, a role that is not the Scheduler's."""
        if request.path.startswith("/schedules/") and request.method in ("POST", "PUT"):
            asked = request.json()
            why = self._refused(asked, request.account, request.path.rpartition("/")[2])
            if why:
                headers = {"Content-Type": "application/json", "x-amzn-errortype": "ValidationException"}
                return 400, headers, json.dumps({"Message": why}).encode()
        return await inner(request)

    def _refused(self, asked: Mapping[str, Any], account: str, name: str) -> str | None:
        try:
            parse(str(asked.get("ScheduleExpression", "")), asked.get("ScheduleExpressionTimezone") or "UTC")
        except ExpressionError as error:
            return str(error)
        role = str((asked.get("Target") or {}).get("RoleArn", ""))
        arn = f"arn:aws:scheduler:{scope.region()}:{account}:schedule/{asked.get('GroupName') or 'default'}/{name}"
        if role and not trusts(role, account, arn):
            return "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        return None

    # -- when ---------------------------------------------------------------------------------------------------------

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(max(_FASTEST_SWEEP, min(_SLOWEST_SWEEP, self._clock.real(10))))
            try:
                self.sweep()
            except Exception:  # noqa: BLE001 — whatever one schedule does, the others go on
                _log.exception("a sweep of the schedules failed")

    def sweep(self) -> None:
        """Fire everything that is due."""
        now = self._clock.now()
        seen = set()
        for key, record, plan in (*self._planned_schedules(now), *self._planned_rules(now)):
            seen.add(key)
            if plan.due is None or now < plan.due:
                continue
            end = record.get("EndDate")
            if end is not None and plan.expression.once is None and plan.due > end:
                plan.due = None
                self._complete(key, record)
                continue
            due = plan.due
            plan.move_on(now)
            delivery = self._invoke(key, record, due) if key[0] == "schedule" else self._dispatch(key, record, due)
            task = asyncio.create_task(delivery)
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        self._plans = {key: plan for key, plan in self._plans.items() if key in seen}

    def _planned_schedules(self, now: float) -> Iterator[tuple[tuple[str, ...], dict[str, Any], _Plan]]:
        for (account, home, name), record in list(self._scheduler._schedules._data.items()):  # noqa: SLF001
            if record.get("State") != "ENABLED":
                continue
            key = ("schedule", account, home, name)
            mark = tuple(
                record.get(part)
                for part in ("ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate")
            )
            plan = self._plans.get(key)
            if plan is None or plan.mark != mark:
                try:
                    expression = parse(record["ScheduleExpression"], record.get("ScheduleExpressionTimezone") or "UTC")
                except ExpressionError:
                    continue
                plan = self._plans[key] = _Plan(mark, expression, self._first(record, expression, now))
            yield key, record, plan

    def _first(self, record: Mapping[str, Any], expression: Expression, now: float) -> float | None:
        """Return when a schedule first fires: a rate's at once, unless it was made before this process."""
        start = record.get("StartDate")
        new = float(record.get("LastModificationDate") or 0) >= self._began
        if expression.once is not None:
            return expression.once if expression.once > now - (_JUST_MADE if new else 0) else None
        if not expression.seconds:
            return expression.after(max(now, float(start or 0)))
        if start is not None:
            first = float(start)
            return first + max(0, math.ceil((now - first) / expression.seconds)) * expression.seconds
        return now if new else now + expression.seconds

    def _planned_rules(self, now: float) -> Iterator[tuple[tuple[str, ...], dict[str, Any], _Plan]]:
        for (account, home, name), record in list(self._events._rules._data.items()):  # noqa: SLF001
            text = record.get("ScheduleExpression")
            if record.get("State") != "ENABLED" or not text:
                continue
            key = ("rule", account, home, name)
            plan = self._plans.get(key)
            if plan is None or plan.mark != (text,):
                try:
                    expression = parse(text)
                except ExpressionError:
                    continue
                plan = self._plans[key] = _Plan((text,), expression, expression.after(now))
            yield key, record, plan

    def _complete(self, key: tuple[str, ...], record: Mapping[str, Any]) -> None:
        if record.get("ActionAfterCompletion") == "DELETE":
            self._scheduler._schedules._data.pop(key[1:], None)  # noqa: SLF001

    # -- what ---------------------------------------------------------------------------------------------------------

    async def _invoke(self, key: tuple[str, ...], record: dict[str, Any], due: float) -> None:
        """Invoke a schedule's target, as often as its retry policy lets us; then give up into the dead-letter queue."""
        _, account, home, _ = key
        target, execution = record["Target"], uuid.uuid4().hex
        policy = target.get("RetryPolicy") or {}
        most = policy.get("MaximumRetryAttempts", _RETRIES)
        oldest = self._clock.real(policy.get("MaximumEventAgeInSeconds", _EVENT_AGE))
        began, attempt = time.monotonic(), 0
        moment = dt.datetime.fromtimestamp(due, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with scope.account(account, home):
            while True:
                attempt += 1
                payload = _payload(record, account, home, moment, execution, attempt)
                try:
                    await self._call(target["Arn"], target, payload, account, record["Arn"])
                except DeliveryError as error:
                    pause = self._clock.real(min(2.0**attempt, _LONGEST_BACKOFF))
                    spent = "MaximumRetryAttempts" if attempt > most else ""
                    if not spent and time.monotonic() - began + pause > oldest:
                        spent = "MaximumEventAgeInSeconds"
                    if not spent and error.code not in _FINAL:
                        await asyncio.sleep(pause)
                        continue
                    _log.warning("%s: %s: %s", record["Arn"], error.code, error)
                    await self._bury(record, payload, error, moment, execution, attempt, spent)
                break
        if _AT.match(record["ScheduleExpression"]):
            self._complete(key, record)

    async def _call(self, arn: str, target: Mapping[str, Any], payload: str, account: str, schedule: str) -> None:
        """Call a target's service as the schedule's role.

        Raises:
            DeliveryError: the role cannot be assumed, or the service refused.
        """
        role = target["RoleArn"]
        if not trusts(role, account, schedule):
            message = f"{role} does not allow {_PRINCIPAL} to assume it"
            raise DeliveryError("AccessDeniedException", message)
        more = {**(target.get("SqsParameters") or {}), **(target.get("EventBridgeParameters") or {})}
        await asyncio.to_thread(self._delivery.deliver, arn, payload, role=role, session=_SESSION, more=more)

    async def _bury(
        self,
        record: Mapping[str, Any],
        payload: str,
        error: DeliveryError,
        moment: str,
        execution: str,
        attempts: int,
        spent: str,
    ) -> None:
        """Send what could not be delivered to the dead-letter queue, as the schedule's role."""
        target = record["Target"]
        arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not arn:
            return
        said = {
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": str(error),
            "EXECUTION_ID": execution,
            "EXHAUSTED_RETRY_CONDITION": spent,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(attempts - 1),
            "SCHEDULED_TIME": moment,
            "SCHEDULE_ARN": record["Arn"],
            "TARGET_ARN": target["Arn"],
        }
        attributes = {name: value for name, value in said.items() if value}
        deliver = functools.partial(self._delivery.deliver, arn, payload, attributes=attributes)
        try:
            await asyncio.to_thread(deliver, role=target["RoleArn"], session=_SESSION)
        except DeliveryError as failure:
            _log.warning("%s: its dead-letter queue refused: %s: %s", record["Arn"], failure.code, failure)

    async def _dispatch(self, key: tuple[str, ...], rule: dict[str, Any], due: float) -> None:
        """Send a rule's scheduled event to its targets, by the emulator's own way."""
        _, account, home, name = key
        event = {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.events",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "EventBusName": rule.get("EventBusName", "default"),
            "Time": due,
            "Resources": [rule["Arn"]],
            "Account": account,
            "Region": home,
        }
        with scope.account(account, home):
            for target in list(self._events._targets._data.get((account, home, name), ())):  # noqa: SLF001
                await asyncio.to_thread(self._events._invoke_target, target, event, rule)  # noqa: SLF001


def _payload(record: Mapping[str, Any], account: str, home: str, moment: str, execution: str, attempt: int) -> str:
    """Return what the target gets: the schedule's input with its context attributes, or the default event."""
    text = record["Target"].get("Input")
    if text is None:
        return json.dumps(
            {
                "version": "0",
                "id": execution,
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
                "account": account,
                "time": moment,
                "region": home,
                "resources": [record["Arn"]],
                "detail": "{}",
            }
        )
    known = {
        "<aws.scheduler.schedule-arn>": record["Arn"],
        "<aws.scheduler.scheduled-time>": moment,
        "<aws.scheduler.execution-id>": execution,
        "<aws.scheduler.attempt-number>": str(attempt),
    }
    for name, value in known.items():
        text = text.replace(name, value)
    return str(text)


def trusts(role: str, account: str, source: str) -> bool:
    """Tell whether the Scheduler may assume a role on behalf of a schedule.

    Args:
        role: its ARN.
        account: the schedule's.
        source: the schedule's ARN.
    """
    group = source.rpartition("/")[0].replace(":schedule/", ":schedule-group/")
    # AWS gives the group's ARN; its examples scope trust by either.
    return acting.trusts(role, _PRINCIPAL, account, group, source)
