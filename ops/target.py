"""Which of the two targets a command acts on: the sandbox, unless AWS is asked for."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ops.console import CommandError, say, style
from ops.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from naming import Names
    from ops.rehearsal import Rehearsal

VARIABLE = "OPS_TARGET"
TARGETS = ("sandbox", "aws")


def chosen(env: Mapping[str, str], *, aws: bool = False) -> str:
    """Return the target: `aws` by flag or variable, else the sandbox.

    Raises:
        CommandError: the variable names no target.
    """
    target = "aws" if aws else env.get(VARIABLE) or "sandbox"
    if target not in TARGETS:
        raise CommandError(f"{VARIABLE} is {target!r}: set it to {' or '.join(TARGETS)}, or unset it", Exit.USAGE)
    return target


@dataclass(frozen=True, kw_only=True)
class Target:
    """A stack where a command meets it: in the sandbox, or on AWS.

    Attributes:
        names: The stack's names.
        settings: Its own settings.
        rehearsal: The stack in the sandbox; None on AWS.
        environment: By which AWS's clients find it: the sandbox's, or the caller's.
    """

    names: Names
    settings: Mapping[str, Any]
    rehearsal: Rehearsal | None
    environment: Mapping[str, str] = field(repr=False, default_factory=lambda: dict(os.environ))

    @property
    def aws(self) -> bool:
        """Whether this is AWS itself."""
        return self.rehearsal is None

    @property
    def kind(self) -> str:
        """`sandbox` or `aws`."""
        return "aws" if self.aws else "sandbox"

    @property
    def banner(self) -> str:
        """What a command on this target says first and last."""
        names = self.names
        played = "" if self.aws else " (played)"
        kind = "AWS" if self.aws else "sandbox"
        return f"target: {kind}, stack {names.stack}, account {names.account}{played}, {names.region}"

    @contextlib.contextmanager
    def announced(self) -> Iterator[None]:
        """Say the target before and after what a command does; loudly where it is production."""
        loud: dict[str, Any] = {"bold": True}
        text = self.banner
        if self.aws and self.names.stack == "prod":
            text, loud = f"*** PRODUCTION *** {text}", {"bold": True, "fg": "white", "bg": "red"}
        say(style(text, **loud))
        yield
        say(style(text, **loud))

    @cached_property
    def _session(self) -> Any:
        import boto3

        if self.aws:
            return boto3.Session(region_name=self.names.region)
        return boto3.Session(
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.names.region,
        )

    def client(self, service: str, credentials: Mapping[str, str] | None = None) -> Any:
        """Return a client of a service.

        Args:
            service: as boto3 names it.
            credentials: other than the target's own, by the names of their environment variables.
        """
        from botocore.config import Config

        options: dict[str, Any] = {"config": Config(retries={"mode": "standard", "max_attempts": 5})}
        if not self.aws:
            # A proxy of the environment is not for loopback.
            options["config"] = Config(proxies={}, retries={"max_attempts": 1})
            options["endpoint_url"] = self.environment["AWS_ENDPOINT_URL"]
        if credentials is not None:
            options["aws_access_key_id"] = credentials["AWS_ACCESS_KEY_ID"]
            options["aws_secret_access_key"] = credentials["AWS_SECRET_ACCESS_KEY"]
            options["aws_session_token"] = credentials.get("AWS_SESSION_TOKEN")
        return self._session.client(service, **options)

    def caller(self) -> str:
        """Return the ARN of whose credentials these are, which must be of the stack's account.

        Raises:
            CommandError: there are none, they are not valid, or another account's.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            identity = self.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            raise CommandError(
                f"AWS does not say who you are ({error}): sign in (aws sso login), or set AWS_PROFILE"
            ) from error
        if identity["Account"] != self.names.account:
            raise CommandError(
                f"these are credentials of account {identity['Account']} ({identity['Arn']}), and stack "
                f"{self.names.stack} lives in {self.names.account}: use that account's (AWS_PROFILE)"
            )
        return str(identity["Arn"])


def of(stack: str, *, aws: bool) -> Target:
    """Return a stack's target, as the flag or the variable choose it; starts nothing.

    Raises:
        CommandError: there is no such stack, or no such target.
    """
    from ops.rehearsal import Rehearsal, names_of, read_settings

    settings = read_settings(stack)
    if chosen(os.environ, aws=aws) == "aws":
        return Target(names=names_of(stack), settings=settings, rehearsal=None)
    rehearsal = Rehearsal.of(stack)
    return Target(names=names_of(stack), settings=settings, rehearsal=rehearsal, environment={})


def rehearsed(rehearsal: Rehearsal) -> Target:
    """Return the target of a stack in the sandbox, which must run."""
    from ops.rehearsal import names_of

    environment = rehearsal.sandbox.environment(os.environ)
    names = names_of(rehearsal.stack)
    return Target(names=names, settings=rehearsal.settings, rehearsal=rehearsal, environment=environment)


def running(stack: str, *, aws: bool) -> Target:
    """Return a stack's target as `ready` does; on AWS the credentials must be the stack's account's.

    Raises:
        CommandError: there is no such stack, or no such target; the credentials are another account's.
    """
    target = ready(stack, aws=aws)
    if target.aws:
        target.caller()
    return target


def ready(stack: str, *, aws: bool) -> Target:
    """Return a stack's target, the sandbox started where it is that.

    Raises:
        CommandError: there is no such stack, or no such target.
    """
    target = of(stack, aws=aws)
    if target.rehearsal is None:
        return target
    with target.rehearsal.sandbox.lock():
        target.rehearsal.sandbox.start()
    return rehearsed(target.rehearsal)


@dataclass(frozen=True, kw_only=True)
class Described:
    """A target as a command would meet it; `ops env show` prints it."""

    target: str
    stack: str
    account: str
    region: str
    state: str
    policy_pack: str
    endpoints: dict[str, str]
    running: dict[str, int]
