"""Logins: what Secrets Manager holds, and connections made with it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

logger = logging.getLogger(__name__)


class AccessError(Exception):
    """A secret that cannot be used, or a database that lets nobody in; says which and what to do."""


class SecretsManager(Protocol):
    """The part of boto3's Secrets Manager client that is used here."""

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: N803 - the API's names
        """GetSecretValue."""

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> dict[str, Any]:  # noqa: N803 - the API's names
        """PutSecretValue."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A database login."""

    username: str
    password: str = field(repr=False)


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

    def fill(self, secret: str, credentials: Credentials) -> None:
        """Write a login into a secret.

        Raises:
            AccessError: The secret cannot be written, for example because there is none.
        """
        document = {"username": credentials.username, "password": credentials.password}
        try:
            self.client.put_secret_value(SecretId=secret, SecretString=json.dumps(document))
        except Exception as error:
            raise AccessError(f"the secret {secret} cannot be written: {error}") from error

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


def _code(error: Exception) -> str:
    # botocore's ClientError by shape: importing botocore is slow, and a client's own exceptions hang on the client.
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str((response.get("Error") or {}).get("Code", ""))
