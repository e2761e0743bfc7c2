"""The API function's handler: HTTP API events (payload format 2.0) in, HTTP answers out."""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote

from app import health, logs, products
from app.breaker import CircuitBreaker
from app.database import Database, SecretReader, connection_parameters, ping
from app.domain import Cursor, DatabaseUnavailableError, ListQuery, ProductKey
from app.environment import ApiEnvironment
from app.metrics import FUNCTION, VERSION, Measure, Meter, Unit
from app.problems import MethodNotAllowedError, RouteNotFoundError, problem_of
from app.routes import ROUTES, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

T = TypeVar("T")

logger = logging.getLogger(__name__)

# What 95% of responses have to be faster than; components/objectives.py counts the rest.
OBJECTIVE_MS: Final = 200

# Events that no request can be: the gateway's all have a requestContext, and whatever a client sends is inside them.
WARM: Final = {"warm": True}
CHECK: Final = {"check": True}
# Seconds that a warm-up keeps its instance. Lambda starts another one only for an invocation that finds none free, so n
# of them reach n instances only while they overlap: this is what lies between the first and the last of them to arrive.
HOLD: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A successful operation's outcome: a status and a JSON document."""

    status: HTTPStatus
    body: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a request.

    Attributes:
        route: The route that it took, None where it has none.
        response: Its answer in payload format 2.0.
    """

    route: Route | None
    response: dict[str, Any]

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return int(self.response["statusCode"])


@dataclass(frozen=True, kw_only=True)
class Application:
    """The API's operations over what they need; one lives as long as its function's process.

    Attributes:
        environment: What the function was told.
        database: The way to the products.
        breaker: Guards every use of the database.
        meter: Where requests are counted and measured.
        clock: Monotonic seconds.
        sleep: Waits for seconds.
    """

    environment: ApiEnvironment
    database: Database
    breaker: CircuitBreaker
    meter: Meter
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    @classmethod
    def start(cls, variables: Mapping[str, str]) -> Application:
        """Put an application together; connects to nothing yet.

        Args:
            variables: The process environment.

        Raises:
            EnvironmentVariableError: A variable is missing or wrong.
        """
        environment = ApiEnvironment.read(variables)
        parameters = connection_parameters(
            host=environment.database_host,
            port=environment.database_port,
            name=environment.database_name,
            ca=environment.database_ca,
            application=f"product-api-{environment.environment}",
        )
        return cls(
            environment=environment,
            database=Database(parameters=parameters, secret=environment.database_secret, secrets=_secrets_manager),
            breaker=CircuitBreaker(failures=DatabaseUnavailableError, clock=time.monotonic),
            meter=Meter.read(variables),
            clock=time.monotonic,
            sleep=time.sleep,
        )

    def respond(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request; whatever goes wrong becomes a problem document.

        Args:
            event: The request in payload format 2.0.
        """
        started = self.clock()
        outcome = self._outcome(event)
        # The route and not the path: what a client makes up is nothing to count by.
        _measure(
            self.meter,
            status=outcome.status,
            milliseconds=self._milliseconds_since(started),
            method=_method(event),
            route=outcome.route.key if outcome.route else None,
        )
        return outcome.response

    def check(self) -> dict[str, Any]:
        """Try what requests do, without a gateway: the health check, then the list of products.

        It counts as no request: what is asked during a canary, many times a minute, would hide what users get.

        Returns:
            Whether both answered 200, the milliseconds that the list took, and what the health check found.
        """
        health = self._outcome(_request("POST", "/health"))
        started = self.clock()
        listed = self._outcome(_request("GET", "/api/products"))
        latency = self._milliseconds_since(started)
        return {
            "healthy": health.status == listed.status == HTTPStatus.OK,
            "latencyMs": latency,
            "version": self.environment.aws_lambda_function_version,
            "checks": {
                "health": {"status": health.status},
                "products": {"status": listed.status, "latency_ms": latency},
                **json.loads(health.response["body"]).get("checks", {}),
            },
        }

    def warm(self) -> dict[str, Any]:
        """Do once what the first request would have to wait for: import boto3, read the secret, connect, run the SQL.

        Returns:
            What the check found; a database that cannot be reached leaves an instance no less warm.
        """
        started = self.clock()
        found = self.check()
        self.sleep(max(0.0, HOLD - (self.clock() - started)))
        return {"warm": True, **found}

    def health(self, parameters: dict[str, str], query: dict[str, str]) -> Answer:  # noqa: ARG002 - the operations' shape
        """Whether the API can serve requests; 503 where it cannot."""
        found = health.check(
            ping=lambda: self.database.read(ping),
            breaker=self.breaker,
            clock=self.clock,
            version=self.environment.aws_lambda_function_version,
            environment=self.environment.environment,
        )
        status = HTTPStatus.OK if found.healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status=status, body=json.dumps(found.document))

    def list_products(self, parameters: dict[str, str], query: dict[str, str]) -> Answer:  # noqa: ARG002 - as above
        """A page of products."""
        asked = ListQuery.model_validate(query)
        after = None if asked.cursor is None else Cursor.decode(asked.cursor)
        page = self._read(lambda connection: products.page(connection, limit=asked.limit, after=after))
        return Answer(status=HTTPStatus.OK, body=page.model_dump_json())

    def get_product(self, parameters: dict[str, str], query: dict[str, str]) -> Answer:  # noqa: ARG002 - as above
        """One product."""
        key = ProductKey.model_validate(parameters)
        return Answer(status=HTTPStatus.OK, body=self._read(lambda c: products.one(c, key.id)).model_dump_json())

    def _outcome(self, event: Mapping[str, Any]) -> Outcome:
        request_id = str((event.get("requestContext") or {}).get("requestId", ""))
        route = None
        try:
            route, parameters = _route(_method(event), _path(event))
            operation: Callable[[dict[str, str], dict[str, str]], Answer] = getattr(self, route.handler)
            answer = operation(parameters, dict(event.get("queryStringParameters") or {}))
            response: dict[str, Any] = {
                "statusCode": answer.status.value,
                "headers": {"content-type": "application/json", "cache-control": "no-store"},
                "body": answer.body,
                "isBase64Encoded": False,
            }
        except Exception as error:
            problem = problem_of(error)
            # The cause is for us: the client's answer does not carry it.
            if problem.status is HTTPStatus.INTERNAL_SERVER_ERROR:
                logger.exception("unhandled exception")
            elif problem.status is HTTPStatus.SERVICE_UNAVAILABLE:
                logger.error("the database is not available", extra={"cause": str(error)})  # noqa: TRY400 - known, no trace
            response = problem.response(request_id)
        response["headers"]["x-request-id"] = request_id
        return Outcome(route=route, response=response)

    def _milliseconds_since(self, started: float) -> float:
        return round((self.clock() - started) * 1000, 2)

    def _read(self, query: Callable[[psycopg.Connection], T]) -> T:
        return self.breaker.call(lambda: self.database.read(query))


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point.

    Args:
        event: The request in payload format 2.0, or `WARM` or `CHECK` from whoever may invoke the function itself.
        context: Lambda's context object.
    """
    request = str((event.get("requestContext") or {}).get("requestId", ""))
    meter = Meter.read(os.environ)
    logs.REQUEST.set(
        {
            "requestId": str(getattr(context, "aws_request_id", "")),
            "gatewayRequestId": request,
            "version": meter.version,
        }
    )
    try:
        application = _application()
    except Exception as error:
        # Only the environment can be wrong here. The caller gets no reason, the log has it with the variable's name.
        logs.configure("INFO")
        logger.exception("the function cannot start")
        if event in (WARM, CHECK):  # it is neither
            checks = {"environment": {"status": "unusable"}}
            return {"warm": False, "healthy": False, "latencyMs": 0.0, "version": meter.version, "checks": checks}
        response = problem_of(error).response(request)
        _measure(meter, status=response["statusCode"], milliseconds=0, method=None, route=None)
        return response
    if event == WARM:
        return application.warm()
    if event == CHECK:
        return application.check()
    return application.respond(event)


@functools.cache
def _application() -> Application:
    application = Application.start(os.environ)
    logs.configure(application.environment.log_level)
    return application


def _measure(meter: Meter, *, status: int, milliseconds: float, method: str | None, route: str | None) -> None:
    """Write the one line of a request: the log's, and the metrics' by function and by version.

    Zeros are written too: an alarm on a share knows a quiet minute from one that nobody has measured.
    """
    counted = {
        "Requests": True,
        "ServerErrors": status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        "SlowRequests": milliseconds > OBJECTIVE_MS,
        # Nothing else is answered so, be it the product's routes (app/problems.py) or the health check.
        "DatabaseFailures": status == HTTPStatus.SERVICE_UNAVAILABLE,
    }
    measures = {name: Measure(int(happened), Unit.COUNT) for name, happened in counted.items()}
    measures["Latency"] = Measure(milliseconds, Unit.MILLISECONDS)
    if (memory := meter.memory_used()) is not None:
        measures["MemoryUsed"] = memory
    by = ([FUNCTION], [FUNCTION, VERSION])
    meter.write("request", measures, by=by, status=status, method=method, route=route)


def _secrets_manager() -> SecretReader:
    import boto3  # slow, and not needed by whoever tests the routes
    from botocore.config import Config

    # The standard retries, but within the gateway's patience.
    config = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "max_attempts": 2})
    client: SecretReader = boto3.client("secretsmanager", config=config)
    return client


def _request(method: str, path: str) -> dict[str, Any]:
    """A request as the gateway hands it over, as far as it is looked at."""
    return {"rawPath": path, "requestContext": {"http": {"method": method}}}


def _method(event: Mapping[str, Any]) -> str:
    request = event.get("requestContext") or {}
    return str((request.get("http") or {}).get("method", "")).upper()


def _path(event: Mapping[str, Any]) -> str:
    path = unquote(str(event.get("rawPath", "")))
    stage = f"/{(event.get('requestContext') or {}).get('stage', '$default')}"
    if path == stage or path.startswith(f"{stage}/"):  # a stage other than $default is part of the path
        path = path[len(stage) :]
    return path or "/"


def _route(method: str, path: str) -> tuple[Route, dict[str, str]]:
    matches = [(route, found) for route in ROUTES if (found := route.match(path)) is not None]
    for route, parameters in matches:
        if route.method == method:
            return route, parameters
    if matches:
        raise MethodNotAllowedError(tuple(route.method for route, _ in matches))
    raise RouteNotFoundError
