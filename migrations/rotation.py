"""The rotation function: gives one of the two database users a new password, in Secrets Manager's four steps.

Each user changes its own password with its current login, so this function needs no right that they do not have. Every
step has one effect, at its end, and finds out by itself whether that has happened: it can be repeated after whatever
broke off. Between setSecret and finishSecret the database wants the pending password while the secret still shows the
current one; whoever logs in meanwhile tries both (app/database.py, migrations/access.py).

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from migrations import logs, users
from migrations.access import Access, Credentials, Secrets, new_password, secrets_manager, set_password
from migrations.environment import RotationEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from migrations.access import Description

logger = logging.getLogger(__name__)


class RotationError(Exception):
    """A step that was refused or cannot be done; the message says which rule, and the remedy, and no secret."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One rotation of one secret, under way.

    Attributes:
        secret: The secret's ARN, as the event has it.
        role: The database user whose login it holds.
        version: The version that is to become current.
        current: The version that is.
    """

    secret: str
    role: str
    version: str
    current: str


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """The four steps.

    Attributes:
        environment: What the function was told.
        access: The way into the database.
        password: Makes a password that nobody can guess.
    """

    environment: RotationEnvironment
    access: Access
    password: Callable[[], str] = new_password

    def run(self, event: Mapping[str, Any]) -> None:
        """Do one step.

        Args:
            event: `{"Step": …, "SecretId": …, "ClientRequestToken": …}`.

        Raises:
            RotationError: The secret is none of ours, its rotation is not enabled, the version is not pending, the step
                is unknown, or the database accepts none of the passwords.
            AccessError: Secrets Manager or the database cannot be used.
        """
        steps = {
            "createSecret": self._create,
            "setSecret": self._set,
            "testSecret": self._test,
            "finishSecret": self._finish,
        }
        step, secret, version = (str(event.get(name, "")) for name in ("Step", "SecretId", "ClientRequestToken"))
        if step not in steps:
            raise RotationError(f"unknown step {step!r}; a rotation has {', '.join(steps)}")
        described = self.access.secrets.describe(secret)
        role = self._role_of(described, secret)
        if not described.rotating:
            raise RotationError(f"the rotation of {secret} is not enabled: enable it (RotateSecret), and try again")
        stages = described.stages.get(version, ())
        if "AWSCURRENT" in stages:
            logger.info("already rotated", extra={"step": step, "role": role})
            return
        if "AWSPENDING" not in stages:
            raise RotationError(
                f"version {version!r} of {secret} is not pending: only Secrets Manager begins a rotation (RotateSecret)"
            )
        current = next((each for each, found in described.stages.items() if "AWSCURRENT" in found), "")
        steps[step](Turn(secret=secret, role=role, version=version, current=current))
        logger.info("rotation", extra={"step": step, "role": role})

    def _create(self, turn: Turn) -> None:
        """Write a new password down, before anybody has to know it."""
        self._login(turn, "AWSCURRENT")
        if self.access.secrets.read(turn.secret, "AWSPENDING") is None:
            credentials = Credentials(username=turn.role, password=self.password())
            self.access.secrets.fill(turn.secret, credentials, pending=turn.version)

    def _set(self, turn: Turn) -> None:
        """Give the user the new password, unless it has it already."""
        pending = self._login(turn, "AWSPENDING")
        if self._refusal(pending) is None:
            return
        try:
            with self.access.connect(self._login(turn, "AWSCURRENT")) as connection:
                set_password(connection, "ALTER ROLE {} PASSWORD {}", pending)
        except psycopg.OperationalError as error:
            raise RotationError(
                f"{turn.role} can log in neither with its current nor with its pending password "
                f"({_one_line(error)}): an update of the stack runs the users step, which repairs it"
            ) from error

    def _test(self, turn: Turn) -> None:
        """Prove that the new password lets the user in."""
        refusal = self._refusal(self._login(turn, "AWSPENDING"))
        if refusal is not None:
            raise RotationError(f"{turn.role} cannot log in with its pending password: {refusal}")

    def _finish(self, turn: Turn) -> None:
        """Let everybody read the new password; not before the database wants it, in whatever order steps come."""
        self._test(turn)
        self.access.secrets.make_current(turn.secret, turn.version, instead_of=turn.current)

    def _role_of(self, described: Description, secret: str) -> str:
        owners = {self.environment.migrator_secret: users.MIGRATOR, self.environment.api_secret: users.API}
        for name in described.names & owners.keys():
            return owners[name]
        raise RotationError(f"the secret {secret} is none of {' and '.join(owners)}: this function rotates no other")

    def _login(self, turn: Turn, stage: str) -> Credentials:
        credentials = self.access.secrets.read(turn.secret, stage)
        if credentials is None:
            remedy = "run the users step first" if stage == "AWSCURRENT" else "createSecret comes first"
            raise RotationError(f"the secret {turn.secret} has no value at {stage}: {remedy}")
        if credentials.username != turn.role:
            raise RotationError(
                f"the secret {turn.secret} names the user {credentials.username} at {stage}; it has to be "
                f"{turn.role}'s own"
            )
        return credentials

    def _refusal(self, credentials: Credentials) -> str | None:
        """Why the database does not let somebody in; None when it does."""
        try:
            self.access.connect(credentials).close()
        except psycopg.OperationalError as error:
            return _one_line(error)
        return None


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Lambda's entry point.

    Args:
        event: `{"Step": …, "SecretId": …, "ClientRequestToken": …}`.
        context: Lambda's context object.

    Raises:
        RotationError: As `Rotation.run`.
        AccessError: As `Rotation.run`.
    """
    logs.configure(os.environ.get("LOG_LEVEL", "INFO"), str(getattr(context, "aws_request_id", "")))
    try:
        _rotation().run(event)
    except Exception:
        logger.exception("the rotation failed", extra={"step": str(event.get("Step"))})
        raise


@functools.cache
def _rotation() -> Rotation:
    environment = RotationEnvironment.read(os.environ)
    access = Access(parameters=environment.parameters("rotation"), secrets=Secrets(client=secrets_manager()))
    return Rotation(environment=environment, access=access)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
