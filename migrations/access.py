"""Logins: what Secrets Manager holds, and connections made with it."""

from __future__ import annotations

import json
import logging
import secrets as randomness
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString, Protocol

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

logger = logging.getLogger(__name__)


class AccessError(Exception):
    """A secret that cannot be used, or a database that lets nobody in; says which and what to do."""


class SecretsManager(Protocol):
    """The part of boto3's Secrets Manager client that is used here."""

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: N803 - the API's names
        """GetSecretValue."""

    def put_secret_value(self, *, SecretId: str, SecretString: str, **more: Any) -> dict[str, Any]:  # noqa: N803 - as above
        """PutSecretValue."""

    def describe_secret(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803 - as above
        """DescribeSecret."""

    def update_secret_version_stage(
        self,
        *,
        SecretId: str,  # noqa: N803 - as above
        VersionStage: str,  # noqa: N803
        MoveToVersionId: str,  # noqa: N803
        RemoveFromVersionId: str,  # noqa: N803
    ) -> dict[str, Any]:
        """UpdateSecretVersionStage."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A database login."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What Secrets Manager tells of a secret without telling it.

    Attributes:
        names: Its name and its ARN.
        rotating: Whether its rotation is enabled.
        stages: The stages of each version that has any.
    """

    names: frozenset[str]
    rotating: bool
    stages: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Secrets that hold logins as `{"username", "password"}`.

    Attributes:
        client: Secrets Manager.
    """

    client: SecretsManager

    def read(self, secret: str, stage: str = "AWSCURRENT") -> Credentials | None:
        """The login that a secret holds; None where it holds none yet.

        Args:
            secret: ARN or name.
            stage: AWSCURRENT, or AWSPENDING for the one that a rotation is about to make current.

        Raises:
            AccessError: The secret cannot be read, or does not hold a login.
        """
        try:
            answer = self.client.get_secret_value(SecretId=secret, VersionStage=stage)
        except Exception as error:
            if _code(error) == "ResourceNotFoundException":
                return None  # no such version; a secret that does not exist shows when it is filled
            raise AccessError(f"the secret {secret} cannot be read: {error}") from error
        try:
            document = json.loads(answer["SecretString"])
            return Credentials(username=str(document["username"]), password=str(document["password"]))
        except (ValueError, KeyError, TypeError) as error:
            # Not the error's text: it may quote the document.
            remedy = 'it has to hold {"username": …, "password": …}'
            raise AccessError(f"the secret {secret} does not hold a login ({type(error).__name__}): {remedy}") from None

    def fill(self, secret: str, credentials: Credentials, *, pending: str | None = None) -> None:
        """Write a login into a secret.

        Args:
            secret: ARN or name.
            credentials: The login.
            pending: The version that it becomes, to wait for its turn; None makes it current at once.

        Raises:
            AccessError: The secret cannot be written, for example because there is none.
        """
        document = {"username": credentials.username, "password": credentials.password}
        version = {"ClientRequestToken": pending, "VersionStages": ["AWSPENDING"]} if pending else {}
        try:
            self.client.put_secret_value(SecretId=secret, SecretString=json.dumps(document), **version)
        except Exception as error:
            raise AccessError(f"the secret {secret} cannot be written: {error}") from error

    def describe(self, secret: str) -> Description:
        """What is known of a secret.

        Raises:
            AccessError: There is no such secret, or it may not be described.
        """
        try:
            answer = self.client.describe_secret(SecretId=secret)
        except Exception as error:
            raise AccessError(f"the secret {secret} cannot be described: {error}") from error
        versions: dict[str, list[str]] = answer.get("VersionIdsToStages") or {}
        return Description(
            names=frozenset((answer["Name"], answer["ARN"])),
            rotating=bool(answer.get("RotationEnabled")),
            stages={version: tuple(stages) for version, stages in versions.items()},
        )

    def make_current(self, secret: str, version: str, *, instead_of: str) -> None:
        """Let a version be the one that everybody reads.

        Raises:
            AccessError: It cannot be, for example because another one has become current meanwhile.
        """
        try:
            self.client.update_secret_version_stage(
                SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=version, RemoveFromVersionId=instead_of
            )
        except Exception as error:
            raise AccessError(f"version {version} of the secret {secret} cannot be made current: {error}") from error

    def candidates(self, secret: str) -> Iterator[Credentials]:
        """The logins worth trying, each once: the current one, a pending one, and the current one as it is by then."""
        tried: list[Credentials] = []
        for stage in ("AWSCURRENT", "AWSPENDING", "AWSCURRENT"):
            credentials = self.read(secret, stage)
            if credentials is not None and credentials not in tried:
                tried.append(credentials)
                yield credentials


@dataclass(frozen=True, kw_only=True)
class Access:
    """The way into one database.

    Attributes:
        parameters: libpq's connection parameters, without user and password.
        secrets: Where the logins are.
        driver: `psycopg.connect`.
    """

    parameters: Mapping[str, str | int]
    secrets: Secrets
    driver: Callable[..., psycopg.Connection] = psycopg.connect

    def connect(self, credentials: Credentials) -> psycopg.Connection:
        """Log in.

        Raises:
            psycopg.OperationalError: Nobody answers, or the login is refused.
        """
        return self.driver(**self.parameters, user=credentials.username, password=credentials.password)

    def log_in(self, secret: str) -> psycopg.Connection:
        """Log in with what a secret holds, now or as soon as its rotation is through.

        Raises:
            AccessError: The secret holds no login, the login is refused, or nobody answers.
        """
        failure: psycopg.OperationalError | None = None
        for credentials in self.secrets.candidates(secret):
            try:
                return self.connect(credentials)
            except psycopg.OperationalError as error:
                failure = error
        if failure is None:
            raise AccessError(f"the secret {secret} holds no login yet: run the users step first")
        reason = " ".join(str(failure).split())
        raise AccessError(f"the database cannot be entered with the secret {secret}: {reason}") from failure

    def accepts(self, secret: str, username: str) -> bool:
        """Whether the database lets in whom a secret names, by its current or its pending password."""
        for credentials in self.secrets.candidates(secret):
            try:
                if credentials.username == username:
                    self.connect(credentials).close()
                    return True
            except psycopg.OperationalError as error:
                logger.info("a login is refused", extra={"role": username, "reason": " ".join(str(error).split())})
        return False


def new_password() -> str:
    """A password that nobody can guess, of characters that need no quoting anywhere."""
    return randomness.token_urlsafe(32)


def set_password(connection: psycopg.Connection, statement: LiteralString, credentials: Credentials) -> None:
    """Give a role its password without telling it to the server, whose log could keep the statement.

    Args:
        connection: Of whoever may do that.
        statement: The statement, with a place for the role and one for the password.
        credentials: The role's new login.
    """
    name, password = credentials.username.encode(), credentials.password.encode()
    verifier = connection.pgconn.encrypt_password(password, name, b"scram-sha-256").decode()
    template = sql.SQL(statement)
    connection.execute(template.format(sql.Identifier(credentials.username), sql.Literal(verifier)))


def secrets_manager() -> SecretsManager:
    """A client of Secrets Manager that gives up before its function's time is up."""
    import boto3  # slow, and not needed by whoever brings a client
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
    client: SecretsManager = boto3.client("secretsmanager", config=config)
    return client


def _code(error: Exception) -> str:
    # botocore's ClientError by shape: importing botocore is slow, and a client's own exceptions hang on the client.
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str((response.get("Error") or {}).get("Code", ""))
