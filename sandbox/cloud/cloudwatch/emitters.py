"""What AWS's services measure of themselves: Lambda and HTTP APIs at every call, RDS and SQS every minute.

Calls are stamped when they end (AWS stamps an invocation when it begins): at a scale of 60 one that takes a second
would otherwise belong to a minute that alarms have already judged.
"""

# ruff: noqa: SLF001 — the emulator's records are what is measured

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import functions, patches, scope
from sandbox.cloud.cloudwatch import embedded
from sandbox.cloud.cloudwatch.store import Sample, metric
from sandbox.postgres import PostgresError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from sandbox.cloud.cloudwatch.service import CloudWatch
    from sandbox.cloud.databases import Fleet, Load
    from sandbox.cloud.rds import Rds
    from sandbox.cloud.scope import Answer

_log = logging.getLogger("sandbox.cloudwatch")

_GIB: Final = 1024**3
_MINUTE: Final = 60
_MOST_MISSED: Final = 60  # minutes that are measured at once, where the machine was slow or the clock is fast
_LOOK_AGAIN: Final = 2.0  # real seconds for which what a server said of itself is believed
_IDLE_PERCENT: Final = 2.0
_PERCENT_PER_SESSION: Final = 5.0


class Functions:
    """AWS/Lambda: docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics.html."""

    def __init__(self, cloudwatch: CloudWatch) -> None:
        """Measure every execution of a function from now on."""
        (self._lambda,) = patches.modules("lambda_svc")
        patches.expect(self._lambda, "_functions")
        self._cloudwatch = cloudwatch
        patches.measure_functions(self._executed)

    def _executed(self, config: Mapping[str, Any], result: Mapping[str, Any], seconds: float, concurrent: int) -> None:
        """Record an execution, in the function's own account and region."""
        for dimensions in self._dimensions(config):
            if result.get("throttle"):
                self._record("Throttles", 1, "Count", dimensions)
                continue
            self._record("Invocations", 1, "Count", dimensions)
            self._record("Errors", 1 if result.get("error") else 0, "Count", dimensions)
            self._record("Throttles", 0, "Count", dimensions)
            self._record("Duration", round(seconds * 1000, 2), "Milliseconds", dimensions)
            if "ExecutedVersion" not in dimensions:
                self._record("ConcurrentExecutions", concurrent, "Count", dimensions)

    def _record(self, name: str, value: float, unit: str, dimensions: Mapping[str, str]) -> None:
        self._cloudwatch.record("AWS/Lambda", name, value, unit, dimensions)

    def _dimensions(self, config: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        """Yield what an execution counts for: all functions, the function, what was invoked, the version that ran."""
        name = config["FunctionName"]
        arn = functions.invoked_arn.get() or config["FunctionArn"]
        qualifier = arn.partition(":function:")[2].partition(":")[2]
        resource = {"FunctionName": name, "Resource": f"{name}:{qualifier}" if qualifier else name}
        yield {}
        yield {"FunctionName": name}
        yield resource
        alias = ((self._lambda._functions.get(name) or {}).get("aliases") or {}).get(qualifier) or {}
        if (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
            yield {**resource, "ExecutedVersion": str(config.get("Version", ""))}


integration_seconds: contextvars.ContextVar[list[float] | None] = contextvars.ContextVar(
    "integration_seconds", default=None
)
"""A list that gets how long each integration within this context takes."""


class Gateways:
    """AWS/ApiGateway: docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html."""

    def __init__(self, cloudwatch: CloudWatch) -> None:
        """Measure every request to an HTTP API from now on."""
        (self._gateway,) = patches.modules("apigateway")
        for name in ("_stages", "_apis"):
            patches.expect(self._gateway, name)
        self._cloudwatch = cloudwatch
        self._match = patches.measure_gateway(self._request, self._integration)

    async def _request(
        self, api: str, stage: str, path: str, method: str, inner: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Serve a request, in the API's account and region, and record it."""
        spent: list[float] = []
        token, began = integration_seconds.set(spent), time.perf_counter()
        try:
            answer = await inner()
        finally:
            integration_seconds.reset(token)
        latency = time.perf_counter() - began
        found = (self._gateway._stages.get(api) or {}).get(stage)
        if found is None:
            return answer
        status = int(answer[0])
        for dimensions in self._dimensions(api, found, path, method):
            self._record("Count", 1, "Count", dimensions)
            self._record("4xx", 1 if 400 <= status < 500 else 0, "Count", dimensions)
            self._record("5xx", 1 if status >= 500 else 0, "Count", dimensions)
            self._record("Latency", round(latency * 1000, 2), "Milliseconds", dimensions)
            for seconds in spent:
                self._record("IntegrationLatency", round(seconds * 1000, 2), "Milliseconds", dimensions)
        return answer

    async def _integration(self, inner: Callable[[], Awaitable[Answer]]) -> Answer:
        began = time.perf_counter()
        try:
            return await inner()
        finally:
            spent = integration_seconds.get()
            if spent is not None:
                spent.append(time.perf_counter() - began)

    def _record(self, name: str, value: float, unit: str, dimensions: Mapping[str, str]) -> None:
        self._cloudwatch.record("AWS/ApiGateway", name, value, unit, dimensions)

    def _dimensions(self, api: str, stage: Mapping[str, Any], path: str, method: str) -> Iterator[dict[str, str]]:
        """Yield what a request counts for: the API, its stage, and the route where the stage wants to know."""
        name = stage["stageName"]
        yield {"ApiId": api}
        yield {"ApiId": api, "Stage": name}
        route = self._match(api, method, "/" + path.lstrip("/"))
        if not route:
            return
        key = route["routeKey"]
        settings = {**(stage.get("defaultRouteSettings") or {}), **((stage.get("routeSettings") or {}).get(key) or {})}
        if settings.get("detailedMetricsEnabled"):
            verb, _, resource = key.partition(" ")
            yield {"ApiId": api, "Stage": name, "Method": verb, "Resource": resource or verb}


class Logs:
    """Metrics that functions and others write to their logs."""

    def __init__(self, cloudwatch: CloudWatch) -> None:
        """Read every line that is logged from now on."""
        self._cloudwatch = cloudwatch
        patches.watch_logs(self._written)

    def _written(self, account: str, region: str, events: Iterable[Mapping[str, Any]]) -> None:
        clock = self._cloudwatch.clock
        for event in events:
            for one in embedded.measurements(str(event.get("message", ""))):
                sample = Sample()
                for value in one.values:
                    sample.add(value)
                when = one.moment if one.moment is not None else float(event["timestamp"]) / 1000
                of = metric(account, region, one.namespace, one.name, one.dimensions)
                self._cloudwatch.store.merge(of, clock.at(when), one.unit, sample, one.resolution)


class Minutes:
    """AWS/RDS and AWS/SQS, once a minute of the sandbox's time."""

    def __init__(self, cloudwatch: CloudWatch, rds: Rds, fleet: Fleet) -> None:
        """Measure databases, proxies and queues from now on.

        Args:
            cloudwatch: where to.
            rds: the proxies.
            fleet: the servers.
        """
        self._records, self._sqs = patches.modules("rds", "sqs")
        for module, name in ((self._records, "_instances"), (self._records, "_db_proxies"), (self._sqs, "_queues")):
            patches.expect(module, name)
        self._refresh = patches.expect(self._sqs, "_refresh_counts", "q")
        self._cloudwatch = cloudwatch
        self._rds = rds
        self._fleet = fleet
        self._done: int | None = None
        self._loads: dict[tuple[str, str], tuple[float, Load]] = {}
        cloudwatch.measure(self._measure)

    async def _measure(self) -> None:
        minute = int(self._cloudwatch.clock.now() // _MINUTE) * _MINUTE
        last, self._done = self._done, minute
        if last is None or minute == last:
            return
        measured = [*await self._databases(), *self._proxies(), *self._queues()]
        for account, region, namespace, name, value, unit, dimensions in measured:
            of = metric(account, region, namespace, name, dimensions)
            for start in range(max(last, minute - _MOST_MISSED * _MINUTE), minute, _MINUTE):
                self._cloudwatch.store.record(of, start, unit, value)

    async def _databases(self) -> list[tuple[Any, ...]]:
        found = []
        for (account, region, identifier), record in list(self._records._instances._data.items()):
            database = self._fleet.get(account, identifier)
            if database is None or database.state != "available":
                continue
            load = await self._load(account, identifier)
            if load is None:
                continue
            free = max(0.0, float(record.get("AllocatedStorage") or 0) * _GIB - load.bytes)
            busy = min(100.0, _IDLE_PERCENT + _PERCENT_PER_SESSION * load.active)
            sessions = database.sessions + self._proxied(account, region, identifier)
            for name, value, unit in (
                ("DatabaseConnections", float(sessions), "Count"),
                ("FreeStorageSpace", free, "Bytes"),
                ("CPUUtilization", busy, "Percent"),
            ):
                found.append((account, region, "AWS/RDS", name, value, unit, {"DBInstanceIdentifier": identifier}))
        return found

    async def _load(self, account: str, identifier: str) -> Load | None:
        """Return what a server says of itself; asking costs a process, so not more often than every two seconds."""
        known = self._loads.get((account, identifier))
        if known and time.monotonic() - known[0] < _LOOK_AGAIN:
            return known[1]
        database = self._fleet.get(account, identifier)
        with contextlib.suppress(PostgresError, OSError):
            if database is not None:
                load = await asyncio.to_thread(database.load)
                self._loads[account, identifier] = (time.monotonic(), load)
                return load
        return None

    def _proxied(self, account: str, region: str, identifier: str) -> int:
        """Return how many sessions of a database come through proxies."""
        return sum(
            count
            for owner, home, name, count in self._rds.proxies.connections()
            if (owner, home) == (account, region) and identifier in self._targets(owner, home, name)
        )

    def _targets(self, account: str, region: str, name: str) -> list[str]:
        record = self._records._db_proxies.get_scoped(account, region, name) or {}
        return [target["RdsResourceId"] for target in record.get("Targets", ())]

    def _proxies(self) -> Iterator[tuple[Any, ...]]:
        for account, region, name, clients in self._rds.proxies.connections():
            known = [
                one[1] for target in self._targets(account, region, name) if (one := self._loads.get((account, target)))
            ]
            if not known:
                continue
            record = self._records._db_proxies.get_scoped(account, region, name) or {}
            pool = (record.get("TargetGroup") or {}).get("ConnectionPoolConfig") or {}
            allowed = sum(load.most_sessions for load in known) * int(pool.get("MaxConnectionsPercent", 100)) // 100
            in_transaction = min(clients, sum(load.in_transaction for load in known))
            for metric_name, value in (
                ("ClientConnections", clients),
                ("DatabaseConnections", clients),
                ("DatabaseConnectionsCurrentlyInTransaction", in_transaction),
                ("MaxDatabaseConnectionsAllowed", allowed),
            ):
                yield account, region, "AWS/RDS", metric_name, float(value), "Count", {"ProxyName": name}

    def _queues(self) -> Iterator[tuple[Any, ...]]:
        for (account, region, _), queue in list(self._sqs._queues._data.items()):
            with scope.account(account, region):
                self._refresh(queue)
            for name, attribute in (
                ("ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessages"),
                ("ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesNotVisible"),
                ("ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesDelayed"),
            ):
                value = float(queue["attributes"][attribute])
                yield account, region, "AWS/SQS", name, value, "Count", {"QueueName": queue["name"]}
