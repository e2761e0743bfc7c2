"""Events of a deployment: an instance is made warm, or tries what requests do, before and beside all traffic."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from app import api, logs, products
from components.release_driver import Traffic
from tests.support.http import event
from tests.support.metrics import metrics_in

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping

    import psycopg

    from tests.support.http import Stack

WARM, CHECK = {"warm": True}, {"check": True}


@pytest.fixture(autouse=True)
def _served(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handler has this application."""
    monkeypatch.setattr(api.Application, "start", lambda _: stack.application)
    api._application.cache_clear()
    yield
    api._application.cache_clear()
    logs.REQUEST.set(None)


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is wrong, so that nothing can start."""
    monkeypatch.undo()
    monkeypatch.setattr(os, "environ", {"AWS_LAMBDA_FUNCTION_VERSION": "8"})


def unplug(stack: Stack) -> None:
    """Take the database away."""
    stack.application.database.parameters["host"] = "/nowhere"


def ask(given: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke the function, and get what Lambda would serialise."""
    answer: dict[str, Any] = json.loads(json.dumps(api.handler(given, None)))
    return answer


def test_a_check_says_what_it_found() -> None:
    """The clock stands still, so nothing took time."""
    assert ask(CHECK) == {
        "healthy": True,
        "latencyMs": 0.0,
        "version": "7",
        "checks": {
            "health": {"status": 200},
            "products": {"status": 200, "latency_ms": 0.0},
            "database": {"status": "ok", "latency_ms": 0.0},
            "circuit_breaker": {"status": "closed"},
        },
    }


def test_a_check_measures_the_list_of_products(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which has an objective; the health check before it has opened the connection."""
    whole = products.page

    def slow(connection: psycopg.Connection, **given: Any) -> Any:
        stack.clock.now += 0.125
        return whole(connection, **given)

    monkeypatch.setattr(products, "page", slow)

    assert ask(CHECK)["latencyMs"] == 125.0


def test_a_check_without_a_database_fails(stack: Stack) -> None:
    """And says of what."""
    unplug(stack)
    found = ask(CHECK)

    assert (found["healthy"], found["checks"]["database"]["status"]) == (False, "unavailable")
    assert (found["checks"]["health"], found["checks"]["products"]["status"]) == ({"status": 503}, 503)


def test_a_check_finds_a_list_that_is_broken_although_the_health_check_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A migration that this code was not written for, say."""
    monkeypatch.setattr(products, "FIRST_PAGE", "SELECT nothing FROM products")
    found = ask(CHECK)

    assert (found["healthy"], found["checks"]["health"]["status"], found["checks"]["products"]["status"]) == (
        False,
        200,
        500,
    )


def test_an_unhealthy_check_that_breaks_itself_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads a document, whatever happened."""
    monkeypatch.setattr(api, "ping", lambda _: dict[str, None]()["absent"])
    found = ask(CHECK)

    assert (found["healthy"], found["checks"]["health"]) == (False, {"status": 500})


def test_a_check_is_no_request(lines: io.StringIO) -> None:
    """It would dilute what the users of a canary get, and has no invocation through the alias to be a share of."""
    ask(CHECK)
    ask(WARM)

    assert metrics_in(lines.getvalue()) == []


def test_the_first_request_of_a_warm_instance_finds_everything_done(stack: Stack) -> None:
    """The secret is read and the connection open."""
    answer = ask(WARM)
    stack.world.secrets.reads.clear()
    warmed = stack.application.database._connection

    assert answer["warm"] is True
    assert stack.ask("GET", "/api/products")[0] == 200
    assert stack.world.secrets.reads == []
    assert stack.application.database._connection is warmed is not None


def test_a_warm_up_keeps_its_instance_for_a_moment_in_all(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that others at the same time reach other instances; one that took longer by itself waits no more."""
    began = stack.clock.now
    ask(WARM)
    assert stack.clock.now == began + api.HOLD

    def take_time(_: psycopg.Connection) -> None:
        stack.clock.now += 0.75 * api.HOLD

    monkeypatch.setattr(api, "ping", take_time)
    began = stack.clock.now
    ask(WARM)
    assert stack.clock.now == began + api.HOLD
    monkeypatch.setattr(api, "ping", lambda _: stack.clock.sleep(2 * api.HOLD))
    ask(WARM)
    assert stack.clock.now == began + 3 * api.HOLD


def test_an_instance_is_warm_without_a_database(stack: Stack) -> None:
    """It has imported all it can; that it is not well is for the check to say."""
    unplug(stack)
    answer = ask(WARM)

    assert (answer["warm"], answer["healthy"]) == (True, False)


@pytest.mark.usefixtures("_broken")
def test_what_cannot_start_is_neither_warm_nor_well() -> None:
    """In a document that the client can read."""
    for given in (WARM, CHECK):
        answer = ask(given)
        assert (answer["warm"], answer["healthy"], answer["version"]) == (False, False, "8")


@pytest.mark.parametrize(
    "forged",
    [
        event("GET", "/api/products", {"warm": "true"}) | {"body": '{"warm": true}'},
        event("GET", "/api/products", {"check": "true"}) | {"body": '{"check": true}', "headers": {"check": "true"}},
        event("GET", "/api/products") | WARM,
        {"requestContext": {}} | CHECK,
    ],
)
def test_no_request_is_taken_for_one(forged: dict[str, Any]) -> None:
    """Whatever a client sends is inside an event with a requestContext, which is the gateway's own."""
    assert "statusCode" in ask(forged)


def test_the_release_driver_understands_the_answers(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its side of the same contract."""
    said: list[str] = []
    traffic = Traffic(
        cloud=None,  # type: ignore[arg-type] - what invokes is replaced
        function="api",
        alias="live",
        application="api",
        group="live",
        warm=1,
        say=said.append,
        tick=said.append,
    )
    monkeypatch.setattr(Traffic, "_invoke", lambda _self, _version, given: ask(given))
    assert traffic._ill("7") is None
    assert said[-1] == "version 7 passes its check (0.0 ms)"

    unplug(stack)
    stack.application.database.close()
    ill = traffic._ill("7")
    assert ill is not None
    assert ill.startswith("its own check fails: ")
    assert "unavailable" in ill
