"""The way to the database: kept while it lives, opened anew when it died, without a request lost to a rotation."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from app.database import Database, connection_parameters, ping
from app.domain import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.http import Stack

CURRENT, PENDING = ("api-secret", "AWSCURRENT"), ("api-secret", "AWSPENDING")


@pytest.fixture(autouse=True)
def _password_put_back(stack: Stack) -> Iterator[None]:
    """Tests rotate the shared role's password."""
    before = dict(stack.world.secrets.secrets["api-secret"])
    password = stack.world.secrets.login("api-secret")["password"]
    stack.world.secrets.reads.clear()
    yield
    stack.world.secrets.secrets["api-secret"] = before
    stack.world.cluster.server.sql(f"ALTER ROLE product_api PASSWORD '{password}'")


def set_password(stack: Stack, password: str) -> None:
    """What a rotation does to the role."""
    stack.world.cluster.server.sql(f"ALTER ROLE product_api PASSWORD '{password}'")


def login(password: str) -> str:
    """A version of the secret."""
    return json.dumps({"username": "product_api", "password": password})


def test_a_connection_is_opened_once_and_the_secret_read_once(stack: Stack) -> None:
    """Across requests; nothing happens before the first."""
    database = stack.application.database
    assert stack.world.secrets.reads == []

    pids = {database.read(lambda c: c.info.backend_pid) for _ in range(5)}

    assert len(pids) == 1
    assert stack.world.secrets.reads == [CURRENT]


def test_a_connection_that_died_between_requests_costs_none_of_them(stack: Stack) -> None:
    """The server restarted while the function was frozen, say; the secret is read again with it."""
    assert stack.ask("GET", "/api/products")[0] == 200
    stack.end_sessions()

    assert stack.ask("GET", "/api/products")[0] == 200
    assert stack.world.secrets.reads == [CURRENT, CURRENT]


def test_a_rotation_costs_no_request_to_whoever_is_connected(stack: Stack) -> None:
    """A password is asked for at a login only."""
    stack.ask("GET", "/api/products")
    set_password(stack, "rotated")

    assert stack.ask("GET", "/api/products")[0] == 200


def test_a_rotation_under_way_is_answered_with_the_pending_secret(stack: Stack) -> None:
    """The role has its new password already, the secret's current version is still the old one."""
    stack.ask("GET", "/api/products")
    set_password(stack, "rotated")
    stack.world.secrets.secrets["api-secret"]["AWSPENDING"] = login("rotated")
    stack.end_sessions()

    assert stack.ask("GET", "/api/products")[0] == 200
    assert stack.world.secrets.reads == [CURRENT, CURRENT, PENDING]


def test_a_rotation_that_finishes_between_two_reads_is_noticed(stack: Stack) -> None:
    """The old version was read just before, and no pending one is left just after: the secret is read again."""
    versions = stack.world.secrets.secrets["api-secret"]
    set_password(stack, "rotated")
    opened: list[str] = []

    def connect(**parameters: object) -> psycopg.Connection:
        opened.append(str(parameters["password"]))
        if len(opened) == 1:
            versions["AWSCURRENT"] = login("rotated")
        return psycopg.connect(**parameters)  # type: ignore[arg-type]

    stack.application.database.connect = connect

    assert stack.ask("GET", "/api/products")[0] == 200
    assert opened[-1] == "rotated"
    assert stack.world.secrets.reads == [CURRENT, PENDING, CURRENT]


def test_a_login_that_stays_refused_is_an_outage_without_the_password(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """Each password is tried once."""
    set_password(stack, "another")
    password = stack.world.secrets.login("api-secret")["password"]

    with pytest.raises(DatabaseUnavailableError, match="password authentication failed") as error:
        stack.application.database.read(ping)

    assert password not in str(error.value) + caplog.text + repr(stack.application.database)


def test_where_nobody_answers_no_other_password_is_tried(stack: Stack) -> None:
    """It would only double the wait."""
    stack.application.database.parameters["host"] = "/nowhere"

    with pytest.raises(DatabaseUnavailableError):
        stack.application.database.read(ping)

    assert stack.world.secrets.reads == [CURRENT]


@pytest.mark.parametrize("content", ["not json 7q", '{"password": "7q"}', '["7q"]', '"7q"'])
def test_a_secret_that_holds_no_login_is_named_and_not_shown(stack: Stack, content: str) -> None:
    """The error goes to the logs."""
    stack.world.secrets.secrets["api-secret"] = {"AWSCURRENT": content}

    with pytest.raises(DatabaseUnavailableError, match="secret api-secret cannot be read") as error:
        stack.application.database.read(ping)

    assert "7q" not in str(error.value)


def test_a_statement_that_takes_too_long_is_an_outage_and_is_not_tried_again(stack: Stack) -> None:
    """The limit is the role's; a second try would only add load. The connection is kept."""
    database = stack.application.database
    database.read(lambda c: c.execute("SET statement_timeout = '50ms'"))
    tries: list[int] = []

    def slow(connection: psycopg.Connection) -> None:
        tries.append(connection.info.backend_pid)
        connection.execute("SELECT pg_sleep(5)")

    started = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="statement timeout"):
        database.read(slow)

    assert time.monotonic() - started < 2
    assert len(tries) == 1
    assert database.read(lambda c: c.info.backend_pid) == tries[0]


def test_a_role_without_a_limit_gets_one_from_the_session(stack: Stack) -> None:
    """Where the role has one nothing is set: a proxy would pin the session."""
    assert stack.application.database.read(lambda c: c.execute("SHOW statement_timeout").fetchone()) == ("3s",)
    source = "SELECT source FROM pg_settings WHERE name = 'statement_timeout'"
    assert stack.application.database.read(lambda c: c.execute(source).fetchone()) == ("user",)

    stack.world.cluster.server.sql("ALTER ROLE product_api RESET statement_timeout")
    try:
        stack.application.database.close()
        assert stack.application.database.read(lambda c: c.execute("SHOW statement_timeout").fetchone()) == ("3s",)
        assert stack.application.database.read(lambda c: c.execute(source).fetchone()) == ("session",)
    finally:
        stack.world.cluster.server.sql("ALTER ROLE product_api SET statement_timeout = '3s'")


def test_reads_leave_no_transaction_open(stack: Stack) -> None:
    """A frozen function with one open would hold back vacuum and index builds for hours."""
    stack.ask("GET", "/api/products")

    status = stack.application.database.read(lambda c: c.info.transaction_status)
    assert status is psycopg.pq.TransactionStatus.IDLE


def test_an_error_in_a_query_is_not_an_outage(stack: Stack) -> None:
    """A mistake of ours must not open the breaker, nor cost the connection."""
    database = stack.application.database
    pid = database.read(lambda c: c.info.backend_pid)

    with pytest.raises(psycopg.errors.UndefinedTable):
        database.read(lambda c: c.execute("SELECT * FROM nowhere"))

    assert database.read(lambda c: c.info.backend_pid) == pid


def test_the_server_is_verified_and_nothing_hangs() -> None:
    """What is told to libpq."""
    parameters = connection_parameters(host="h", port=1, name="n", ca="/ca.pem", application="a")

    assert (parameters["sslmode"], parameters["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert parameters["connect_timeout"] == 3
    assert "options" not in parameters  # RDS Proxy refuses them


def test_a_server_without_tls_is_refused(stack: Stack) -> None:
    """Not one byte of the password leaves, whatever the server wants."""
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        received: list[bytes] = []

        def refuse_tls() -> None:
            client, _ = server.accept()
            with client:
                received.append(client.recv(8))
                client.sendall(b"N")
                received.append(client.recv(100))

        thread = threading.Thread(target=refuse_tls)
        thread.start()
        parameters = connection_parameters(
            host="127.0.0.1", port=server.getsockname()[1], name="n", ca=__file__, application="a"
        )
        database = Database(parameters=parameters, secret="api-secret", secrets=lambda: stack.world.secrets)
        with pytest.raises(DatabaseUnavailableError, match="SSL"):
            database.read(ping)
        thread.join()

    assert received[-1] == b""
