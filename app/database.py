"""The way to the database: one connection, kept across invocations, that survives restarts and password rotations."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import psycopg

from app.domain import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Below the gateway's patience: a client gets a 503 that says what happened, not a timeout that does not.
CONNECT_TIMEOUT: Final = 3  # seconds
STATEMENT_TIMEOUT: Final = 3000  # milliseconds

# What says that the server, not the statement, is the trouble. QueryCanceled is the statement timeout.
OUTAGES: Final = (psycopg.OperationalError, psycopg.InterfaceError)


class SecretReader(Protocol):
    """The part of boto3's Secrets Manager client that is used here."""

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: N803 - the API's names
        """GetSecretValue."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A database login."""

    username: str
    password: str = field(repr=False)


@dataclass(kw_only=True)
class Database:
    """Runs reads on a connection that is opened when first needed and opened anew when it died.

    A rotation costs no request: whoever holds a connection keeps it, and a login that is refused is tried again with
    the secret as it is then, and with the pending one (the rotation sets a password before it makes it current).

    Attributes:
        parameters: libpq's connection parameters, without user and password.
        secret: ARN or name of the secret with the login.
        secrets: Makes a Secrets Manager client; called when first needed, for boto3 is slow to import.
        connect: `psycopg.connect`.
    """

    parameters: dict[str, str | int | None]
    secret: str
    secrets: Callable[[], SecretReader]
    connect: Callable[..., psycopg.Connection] = psycopg.connect
    _connection: psycopg.Connection | None = field(default=None, init=False, repr=False)
    _client: SecretReader | None = field(default=None, init=False, repr=False)

    def read(self, query: Callable[[psycopg.Connection], T]) -> T:
        """Run a query that changes nothing, again if the kept connection turns out to be dead.

        Args:
            query: Is called with an open connection in autocommit mode, at most twice.

        Raises:
            DatabaseUnavailableError: The database cannot be reached, refuses the login, or does not answer in time.
        """
        kept = self._connection
        try:
            if kept is not None:
                try:
                    return query(kept)
                except OUTAGES:
                    if not kept.closed:  # alive, and too slow: once more would only add load
                        raise
                    logger.info("the database connection died while it was idle; opening another")
                    self.close()
            return query(self._open())
        except OUTAGES as error:
            if self._connection is not None and self._connection.closed:
                self.close()
            raise DatabaseUnavailableError(_one_line(error)) from error

    def close(self) -> None:
        """Forget the connection; the next read opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _open(self) -> psycopg.Connection:
        refusal: psycopg.OperationalError | None = None
        tried: list[Credentials] = []
        for credentials in self._candidates():
            if credentials in tried:
                continue
            tried.append(credentials)
            try:
                connection = self.connect(
                    **self.parameters, user=credentials.username, password=credentials.password, autocommit=True
                )
            except psycopg.OperationalError as error:
                if not _is_refused_login(error):  # nobody answered: other credentials would not help
                    raise
                refusal = error
                logger.warning("the database refused the login; looking for a newer secret")
            else:
                _limit_statements(connection)
                self._connection = connection
                return connection
        raise refusal or DatabaseUnavailableError("there are no credentials to log in with")

    def _candidates(self) -> Iterator[Credentials]:
        yield self._credentials_at("AWSCURRENT")
        try:
            pending = self._credentials_at("AWSPENDING")
        except DatabaseUnavailableError:
            pass  # no rotation is under way
        else:
            yield pending
        yield self._credentials_at("AWSCURRENT")  # the rotation may have finished between the first two

    def _credentials_at(self, stage: str) -> Credentials:
        if self._client is None:
            self._client = self.secrets()
        try:
            answer = self._client.get_secret_value(SecretId=self.secret, VersionStage=stage)
            document = json.loads(answer["SecretString"])
            return Credentials(username=document["username"], password=document["password"])
        except (
            Exception
        ) as error:  # botocore's errors share no base with anything, and importing it costs the cold start
            # The error's text may quote the document, its class never does.
            raise DatabaseUnavailableError(
                f"the secret {self.secret} cannot be read: {type(error).__name__}"
            ) from error


def connection_parameters(*, host: str, port: int, name: str, ca: str, application: str) -> dict[str, str | int | None]:
    """Parameters of libpq for a connection that verifies the server and never hangs.

    Args:
        host: The server's name, which its certificate has to carry (or a socket's directory in tests).
        port: The server's port.
        name: The database's name.
        ca: Path of the file with the certificate authorities to trust.
        application: What the server shows in pg_stat_activity.
    """
    return {
        "host": host,
        "port": port,
        "dbname": name,
        "sslmode": "verify-full",
        "sslrootcert": ca,
        "application_name": application,
        "connect_timeout": CONNECT_TIMEOUT,
        "prepare_threshold": None,  # psycopg's, not libpq's: a prepared statement pins a session of RDS Proxy
        # A frozen function's connection can be dropped without a word; the first read after that must not hang.
        "keepalives_idle": 30,
        "tcp_user_timeout": 3000,
    }


def _limit_statements(connection: psycopg.Connection) -> None:
    # The role carries a statement_timeout (the migrator's users step), so this SET is the exception: RDS Proxy refuses
    # libpq's `options`, and pins a session that says SET to one database connection.
    if connection.execute("SELECT current_setting('statement_timeout')").fetchone() == ("0",):
        connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT:d}")


def ping(connection: psycopg.Connection) -> None:
    """Ask the server for the least that proves it answers."""
    connection.execute("SELECT 1")


def _is_refused_login(error: psycopg.OperationalError) -> bool:
    # libpq gives a failed connection no SQLSTATE; but when a password was asked for and sent, the server has answered.
    return error.pgconn is not None and bool(error.pgconn.used_password)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
