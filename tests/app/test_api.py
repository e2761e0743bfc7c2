"""The API from a gateway's event to its answer, on a real database."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from app import api, logs, products
from app.domain import DatabaseUnavailableError
from tests.support.http import event
from tests.support.metrics import metrics_in

if TYPE_CHECKING:
    import io

    import psycopg

    from tests.support.http import Stack


class Context:
    """Lambda's context, as far as it is looked at."""

    aws_request_id = "invocation-1"


def pages(stack: Stack, limit: int) -> list[list[dict[str, Any]]]:
    """All pages of the list."""
    found: list[list[dict[str, Any]]] = []
    cursor: str | None = None
    while True:
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        status, page = stack.ask("GET", "/api/products", query)
        assert status == 200
        found.append(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return found
        assert len(found) < 100, "the list does not end"


def test_the_list_shows_the_newest_first_twenty_unless_told(stack: Stack) -> None:
    """With a token for what follows."""
    status, page = stack.ask("GET", "/api/products")

    assert (status, len(page["items"])) == (200, 20)
    created = [item["created_at"] for item in page["items"]]
    assert created == sorted(created, reverse=True)
    assert set(page["items"][0]) == {"id", "sku", "name", "description", "price", "currency", "created_at"}
    assert isinstance(page["items"][0]["price"], str)


@pytest.mark.parametrize("limit", [1, 7, 16, 24, 47, 48, 49, 100])
def test_pages_together_are_the_whole_list(stack: Stack, limit: int) -> None:
    """Nothing twice, nothing left out, no empty page at the end."""
    found = pages(stack, limit)

    identifiers = [item["id"] for page in found for item in page]
    everything = stack.world.ask("SELECT id FROM products ORDER BY created_at DESC, id DESC")
    assert identifiers == [row[0] for row in everything]
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert found[-1]


def test_products_of_the_same_moment_are_neither_repeated_nor_left_out(stack: Stack) -> None:
    """The identifier decides among them."""
    with stack.world.log_in("migrator-secret") as connection, connection.transaction(force_rollback=True):
        connection.execute("UPDATE products SET created_at = '2026-01-01 00:00:00.123456+00'")
        stack.application.database._connection = connection
        identifiers = [item["id"] for page in pages(stack, 10) for item in page]
        stack.application.database._connection = None

    assert identifiers == sorted(identifiers, reverse=True)
    assert len(identifiers) == 48


def test_a_product_inserted_while_somebody_pages_shifts_nothing(stack: Stack) -> None:
    """As it would with page numbers."""
    _, first = stack.ask("GET", "/api/products", {"limit": "10"})
    stack.world.do("INSERT INTO products (sku, name, price, currency) VALUES ('NEW', 'new', 1, 'EUR')")
    try:
        _, second = stack.ask("GET", "/api/products", {"limit": "10", "cursor": first["next_cursor"]})
    finally:
        stack.world.do("DELETE FROM products WHERE sku = 'NEW'")

    shown = [item["id"] for item in (*first["items"], *second["items"])]
    assert len(set(shown)) == 20


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "1,2"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"cursor": "made-up"}, "cursor"),
        ({"cursor": "x" * 10_000}, "cursor"),
        ({"cursor": "'; DROP TABLE products; --"}, "cursor"),
        ({"page": "2"}, "page"),
    ],
)
def test_a_wrong_parameter_is_named_in_a_problem_document(stack: Stack, query: dict[str, str], parameter: str) -> None:
    """RFC 9457, with the request's id."""
    response = stack.application.respond(event("GET", "/api/products", query))

    document = json.loads(response["body"])
    assert response["statusCode"] == document["status"] == 400
    assert response["headers"]["content-type"] == "application/problem+json"
    assert [error["parameter"] for error in document["errors"]] == [parameter]
    assert document["request_id"] == response["headers"]["x-request-id"] == "request-1"
    assert document["title"] == "Bad Request"


def test_a_product_is_found_by_its_id(stack: Stack) -> None:
    """The same document as in the list."""
    _, page = stack.ask("GET", "/api/products", {"limit": "1"})

    assert stack.ask("GET", f"/api/products/{page['items'][0]['id']}") == (200, page["items"][0])


def test_a_product_that_is_not_there_is_a_404(stack: Stack) -> None:
    """With a sentence for the client's developer."""
    status, document = stack.ask("GET", "/api/products/999999")

    assert (status, document["detail"]) == (404, "no product has the id 999999")


@pytest.mark.parametrize("identifier", ["abc", "0", "-1", "1.5", "9223372036854775808", "%31x", "%00"])
def test_what_cannot_be_an_id_is_a_400(stack: Stack, identifier: str) -> None:
    """Before the database is asked."""
    assert stack.ask("GET", f"/api/products/{identifier}")[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/api/products/1/2", 404, None),
        ("DELETE", "/api/products", 405, "GET"),
        ("PUT", "/health", 405, "POST, GET"),
        ("", "", 404, None),
    ],
)
def test_what_has_no_route_is_a_404_or_a_405(
    stack: Stack, method: str, path: str, status: int, allow: str | None
) -> None:
    """A 405 says what the path answers to."""
    response = stack.application.respond(event(method, path))

    assert (response["statusCode"], response["headers"].get("allow")) == (status, allow)


def test_a_stage_in_the_path_is_taken_off(stack: Stack) -> None:
    """And only a whole segment: /api does not begin with the stage ap."""
    assert stack.application.respond(event("GET", "/dev/health", stage="dev"))["statusCode"] == 200
    assert stack.application.respond(event("GET", "/dev/health/", stage="dev"))["statusCode"] == 404
    assert stack.application.respond(event("GET", "/api/products", stage="api"))["statusCode"] == 404
    assert stack.application.respond(event("GET", "/api/products", stage="ap"))["statusCode"] == 200


def test_an_event_that_is_none_is_answered_all_the_same(stack: Stack) -> None:
    """Somebody invokes the function by hand."""
    assert stack.application.respond({})["statusCode"] == 404


def test_an_unhandled_exception_is_a_500_that_gives_nothing_away(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has it, with its trace."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret recipe")

    monkeypatch.setattr(products, "page", broken)
    response = stack.application.respond(event("GET", "/api/products"))

    assert response["statusCode"] == 500
    assert "recipe" not in response["body"]
    assert "RuntimeError: the secret recipe" in caplog.text


def test_an_outage_is_a_503_that_says_when_to_come_back(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    """At first each request finds out for itself, then the breaker answers, and after a while one finds out again."""
    stack.application.database.close()
    host = stack.application.database.parameters["host"]
    stack.application.database.parameters["host"] = "/nowhere"
    answers = [stack.application.respond(event("GET", "/api/products")) for _ in range(4)]

    assert [answer["statusCode"] for answer in answers] == [503] * 4
    assert [answer["headers"]["retry-after"] for answer in answers] == ["1", "1", "1", "10"]
    assert "/nowhere" not in answers[0]["body"]
    assert "the database is not available" in caplog.text

    stack.application.database.parameters["host"] = host
    assert stack.ask("GET", "/api/products")[0] == 503
    stack.clock.now += 10
    assert stack.ask("GET", "/api/products")[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_health_shows_version_environment_and_checks(stack: Stack, method: str) -> None:
    """The clock stands still here, so no time passes."""
    expected = {
        "status": "ok",
        "version": "7",
        "environment": "test",
        "checks": {"database": {"status": "ok", "latency_ms": 0.0}, "circuit_breaker": {"status": "closed"}},
    }

    assert stack.ask(method, "/health") == (200, expected)


def test_health_is_a_503_when_the_database_cannot_be_reached(stack: Stack) -> None:
    """First by asking it, then by the breaker; well again when the breaker has closed."""
    host = stack.application.database.parameters["host"]
    stack.application.database.parameters["host"] = "/nowhere"
    statuses = [stack.ask("POST", "/health") for _ in range(4)]

    assert [status for status, _ in statuses] == [503] * 4
    checks = [document["checks"] for _, document in statuses]
    assert [check["database"]["status"] for check in checks] == ["unavailable"] * 3 + ["not_tried"]
    assert [check["circuit_breaker"]["status"] for check in checks] == ["closed"] * 2 + ["open"] * 2
    assert {document["status"] for _, document in statuses} == {"unavailable"}

    stack.application.database.parameters["host"] = host
    stack.clock.now += 10
    assert stack.ask("POST", "/health")[0] == 200


def test_health_measures_the_database(stack: Stack) -> None:
    """In milliseconds."""

    def slow(connection: psycopg.Connection) -> None:
        connection.execute("SELECT 1")
        stack.clock.now += 0.25

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "ping", slow)
        _, document = stack.ask("GET", "/health")

    assert document["checks"]["database"]["latency_ms"] == 250.0


def test_the_handler_logs_json_with_both_request_ids(
    stack: Stack, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway's, which the client has, and the invocation's, which Lambda's own lines have."""
    monkeypatch.setattr(api.Application, "start", lambda _: stack.application)
    monkeypatch.setattr(products, "one", lambda *_: dict[str, None]()["absent"])
    response = api.handler(event("GET", "/api/products/1"), Context())

    failure, request = [json.loads(line) for line in lines.getvalue().splitlines()]
    for line in (failure, request):
        ids = (line["requestId"], line["gatewayRequestId"], line["version"])
        assert ids == ("invocation-1", "request-1", "$LATEST")
    assert (failure["level"], failure["message"]) == ("ERROR", "unhandled exception")
    assert "KeyError: 'absent'" in failure["exception"]
    assert (request["route"], request["status"], request["Latency"]) == ("GET /api/products/{id}", 500, 0.0)
    assert response["statusCode"] == 500


def test_a_wrong_environment_is_logged_by_name_and_told_to_nobody(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 500, so that the deployment's health check fails."""
    monkeypatch.setattr(os, "environ", {"ENVIRONMENT": "test", "DATABASE_PORT": "x"})
    response = api.handler(event("GET", "/health"), Context())

    assert response["statusCode"] == 500
    assert "DATABASE" not in response["body"]
    assert "DATABASE_HOST: Field required" in json.loads(lines.getvalue().splitlines()[0])["exception"]
    [counted] = metrics_in(lines.getvalue())
    assert counted["ServerErrors", (("Function", "local"),)] == (1, "Count")


def counted(stack: Stack, lines: io.StringIO, method: str, path: str) -> dict[str, float]:
    """What one request counts for the function, having checked that it counts as much for the version."""
    logs.configure("INFO")
    lines.truncate(lines.seek(0))
    stack.application.respond(event(method, path))
    [taken] = metrics_in(lines.getvalue())
    by_function = {name: value for (name, by), (value, _) in taken.items() if by == (("Function", "api"),)}
    by_version = {name: value for (name, by), (value, _) in taken.items() if by[1:] == (("Version", "7"),)}
    assert by_function == by_version
    return by_function


NOTHING = {"Requests": 1, "ServerErrors": 0, "SlowRequests": 0, "DatabaseFailures": 0, "Latency": 0.0, "MemoryUsed": 50}


def test_a_request_is_counted_once_whatever_its_answer(stack: Stack, lines: io.StringIO) -> None:
    """Zeros are told too; what the client did wrong is no error of the server's."""
    assert counted(stack, lines, "GET", "/api/products") == NOTHING
    assert counted(stack, lines, "GET", "/health") == NOTHING
    assert counted(stack, lines, "GET", "/nowhere") == NOTHING


def test_an_error_of_the_servers_is_counted(stack: Stack, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is no failure of the database's."""
    monkeypatch.setattr(products, "page", lambda *_, **__: dict[str, None]()["absent"])

    assert counted(stack, lines, "GET", "/api/products") == NOTHING | {"ServerErrors": 1}


@pytest.mark.parametrize("path", ["/api/products", "/health"])
def test_a_request_that_could_not_use_the_database_is_counted(stack: Stack, lines: io.StringIO, path: str) -> None:
    """Also when it did not try, because the breaker is open."""
    stack.application.database.parameters["host"] = "/nowhere"
    failed = NOTHING | {"ServerErrors": 1, "DatabaseFailures": 1}

    assert [counted(stack, lines, "GET", path) for _ in range(4)] == [failed] * 4


@pytest.mark.parametrize(("seconds", "slow"), [(0.2, 0), (0.2001, 1)])
def test_a_request_slower_than_the_objective_is_counted(
    stack: Stack, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch, seconds: float, slow: int
) -> None:
    """200 milliseconds are still fast enough."""

    def take_time(_: psycopg.Connection) -> None:
        stack.clock.now += seconds

    monkeypatch.setattr(api, "ping", take_time)
    stack.clock.now = 0

    found = counted(stack, lines, "GET", "/health")
    assert (found["SlowRequests"], found["Latency"]) == (slow, round(seconds * 1000, 2))


def test_the_environment_is_read_once(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per cold start; and the breaker guards what the environment describes."""
    variables = {
        "ENVIRONMENT": "test",
        "DATABASE_HOST": "/nowhere",
        "DATABASE_PORT": "1",
        "DATABASE_NAME": "n",
        "DATABASE_SECRET": "s",
        "DATABASE_CA": __file__,
        "LOG_LEVEL": "ERROR",
    }
    monkeypatch.setattr(os, "environ", variables)
    first = api._application()
    variables["ENVIRONMENT"] = "other"

    assert api._application() is first
    assert first.environment.environment == "test"
    assert first.breaker.failures is DatabaseUnavailableError
    assert logging.getLogger().level == logging.ERROR
    assert lines.getvalue() == ""
