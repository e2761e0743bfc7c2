"""A stack in the sandbox: its account, its settings as the rehearsal uses them, the engine that runs it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from naming import Names
from ops.console import CommandError, say
from ops.exit_codes import Exit
from sandbox import session
from sandbox.engine import bootstrap
from sandbox.session import Sandbox, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.console import Step

ROOT = Path(__file__).parents[1]
PROJECT = "product-api"
POLICIES = ROOT / "policies"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Pulumi program of this checkout.

    Attributes:
        project: Its name in Pulumi.yaml, and the namespace of its settings.
        directory: Where it is.
    """

    project: str
    directory: Path

    @property
    def stacks(self) -> list[str]:
        """The stacks that have settings."""
        files = self.directory.glob("Pulumi.*.yaml")
        return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in files)

    def settings_file(self, stack: str) -> Path:
        """A stack's own settings."""
        return self.directory / f"Pulumi.{stack}.yaml"

    def settings(self, stack: str) -> dict[str, Any]:
        """Read a stack's own settings, as far as a command must know them before the engine runs.

        Raises:
            CommandError: there is no such stack, or it names no account or region.
        """
        path = self.settings_file(stack)
        if not re.fullmatch(r"[\w.-]+", stack):
            raise CommandError(f"{stack!r} is no stack's name: give one of {', '.join(self.stacks)}", Exit.USAGE)
        try:
            settings: dict[str, Any] = yaml.safe_load(path.read_text())["config"]
        except FileNotFoundError as error:
            raise CommandError(
                f"there is no stack {stack!r}: give one of {', '.join(self.stacks)}, or write {path.name}", Exit.USAGE
            ) from error
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise CommandError(f"{path.name} is not readable as a stack's settings: {error}", Exit.USAGE) from error
        for key in (f"{self.project}:account", "aws:region"):
            if not settings.get(key):
                raise CommandError(f"{path.name} has no {key}: add it under config", Exit.USAGE)
        return settings


PRODUCT = Program(project=PROJECT, directory=ROOT)
# What exists once per account: its stacks are the accounts.
ACCOUNT = Program(project=f"{PROJECT}-account", directory=ROOT / "account")
PROGRAMS = (PRODUCT, ACCOUNT)


def stacks() -> list[str]:
    """The stacks of the product API that have settings in this checkout."""
    return PRODUCT.stacks


def read_settings(stack: str) -> dict[str, Any]:
    """Read the settings of a stack of the product API; see `Program.settings`."""
    return PRODUCT.settings(stack)


def names_of(stack: str) -> Names:
    """Return the names of a stack of the product API.

    Raises:
        CommandError: there is no such stack.
    """
    settings = read_settings(stack)
    account, region = str(settings[f"{PROJECT}:account"]), str(settings["aws:region"])
    return Names(project=PROJECT, stack=stack, region=region, account=account)


def account_stack(account: str) -> str:
    """Return the stack of `account/` that is an account's own.

    Raises:
        CommandError: no settings name the account.
    """
    for stack in ACCOUNT.stacks:
        if str(ACCOUNT.settings(stack)[f"{ACCOUNT.project}:account"]) == account:
            return stack
    raise CommandError(
        f"no settings in account/ name account {account}: write account/Pulumi.<name>.yaml for it", Exit.USAGE
    )


def setting(stack: str, key: str) -> Any:
    """A setting of this project: the stack's own value, else the default of Pulumi.yaml."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return read_settings(stack).get(f"{PROJECT}:{key}", declared[key].get("default"))


def project_setting(stack: str, key: str) -> str:
    """The same as text."""
    return str(setting(stack, key))


def selected_stack(env: Mapping[str, str], program: Program = PRODUCT) -> str | None:
    """The stack that `ops pulumi -- stack select` chose in the sandbox, or None."""
    directory = session.directory(env)
    # The engine names the file after the project and the path of its Pulumi.yaml.
    settings = config_directory(directory, program) / "Pulumi.yaml"
    digest = hashlib.sha1(str(settings).encode(), usedforsecurity=False).hexdigest()
    try:
        workspace = json.loads(
            (directory / "pulumi" / "workspaces" / f"{program.project}-{digest}-workspace.json").read_text()
        )
    except (OSError, ValueError):
        return None
    return str(workspace.get("stack") or "").split("/")[-1] or None


def config_directory(sandbox: Path, program: Program) -> Path:
    """Where a sandbox keeps the settings of a program's stacks as the rehearsal uses them."""
    return sandbox / "config" / program.directory.relative_to(ROOT)


def engine(say: Callable[[str], None] = say) -> bootstrap.Engine:
    """Return the engine, obtaining it when it is not there.

    Raises:
        CommandError: it cannot be had.
    """
    try:
        return bootstrap.obtain(dict(os.environ), say)
    except bootstrap.EngineUnavailableError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(
            f"the engine cannot be put into {bootstrap.cache_directory(dict(os.environ))} ({error.strerror}): "
            "free some room, or set PRODUCT_API_CACHE to another directory"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """One stack of a program of ours in the sandbox.

    Attributes:
        stack: The stack.
        settings: Its own settings.
        sandbox: Where it lives.
        program: Whose stack it is.
        acting: As whom a command acts: the role that deploys the stack, the one that previews any, or the account's
            root. For what an account has once it is always the root.
    """

    stack: str
    settings: dict[str, Any]
    sandbox: Sandbox = field(repr=False)
    program: Program = PRODUCT
    acting: Literal["deploy", "preview", "root"] = "deploy"

    @classmethod
    def of(
        cls,
        stack: str,
        *,
        program: Program = PRODUCT,
        endpoint: str | None = None,
        say: Callable[[str], None] = say,
    ) -> Rehearsal:
        """Read a stack's settings and find the engine; starts nothing.

        Raises:
            CommandError: there is no such stack, or no engine.
        """
        settings = program.settings(stack)
        sandbox = Sandbox(
            directory=session.directory(os.environ),
            account=str(settings[f"{program.project}:account"]),
            region=str(settings["aws:region"]),
            engine=engine(say).path,
            endpoint=endpoint,
            say=say,
        )
        return cls(stack=stack, settings=settings, sandbox=sandbox, program=program)

    @property
    def account(self) -> Rehearsal:
        """What this stack's account has once, in the same sandbox.

        Raises:
            CommandError: `account/` has no settings for the account.
        """
        stack = account_stack(self.sandbox.account)
        return Rehearsal(stack=stack, settings=ACCOUNT.settings(stack), sandbox=self.sandbox, program=ACCOUNT)

    @property
    def config_file(self) -> Path:
        """The stack's settings as the rehearsal uses them: a copy, for the secrets provider writes into it."""
        return config_directory(self.sandbox.directory, self.program) / f"Pulumi.{self.stack}.yaml"

    @property
    def state_file(self) -> Path:
        """What Pulumi knows of the stack, in the sandbox's own backend."""
        return self.sandbox.state / ".pulumi" / "stacks" / self.program.project / f"{self.stack}.json"

    @property
    def exists(self) -> bool:
        """Whether the stack has been made in the sandbox."""
        return self.state_file.exists()

    @property
    def role(self) -> str | None:
        """The role that a command acts as; None for the account's root.

        An emulator that is not ours hands out no tokens: there it is the root too.
        """
        if self.program is ACCOUNT or self.acting == "root" or self.sandbox.endpoint is not None:
            return None
        names = names_of(self.stack)
        return names.deploy_role if self.acting == "deploy" else names.preview_role

    @property
    def guarded(self) -> bool:
        """Whether what holds the stack's data is beyond the role that deploys it; see `account/permissions.py`.

        Raises:
            CommandError: `account/` has no settings for the account.
        """
        return self.program is PRODUCT and self.stack in self.account.settings.get(f"{ACCOUNT.project}:protected", [])

    def environment(self) -> dict[str, str]:
        """The environment of an engine that runs this project here, with the policy pack in force."""
        return {**self.sandbox.environment(os.environ, self.role), "PULUMI_OPTION_POLICY_PACK": str(POLICIES)}

    def write_config(self) -> None:
        """Write the rehearsal's copy of the settings; what the secrets provider wrote into it stays."""
        copy = self.config_file
        copy.parent.mkdir(parents=True, exist_ok=True)
        (copy.parent / "Pulumi.yaml").write_text((self.program.directory / "Pulumi.yaml").read_text())
        try:
            kept = yaml.safe_load(copy.read_text()) or {}
        except (OSError, yaml.YAMLError):
            kept = {}
        # The certificate authority of the emulated database: a path is ordinary configuration.
        emulated = self.program is PRODUCT and self.sandbox.endpoint is None
        config = {**self.settings, f"{PROJECT}:databaseCa": str(self.sandbox.ca)} if emulated else self.settings
        document = {**{key: value for key, value in kept.items() if key != "config"}, "config": config}
        text = yaml.safe_dump(document, sort_keys=False)
        if not copy.exists() or copy.read_text() != text:
            copy.write_text(text)

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, as its state has them; empty where it is not up."""
        for resource in self.resources:
            if resource["type"] == "pulumi:pulumi:Stack":
                return dict(resource.get("outputs") or {})
        return {}

    @property
    def resources(self) -> list[dict[str, Any]]:
        """What stands, as the stack's state has it; secrets are encrypted."""
        return list(self._latest.get("resources") or [])

    def pending_operations(self) -> list[str]:
        """The resources that an update which was cut off left in between, by URN."""
        return [operation["resource"]["urn"] for operation in self._latest.get("pending_operations") or []]

    @property
    def _latest(self) -> dict[str, Any]:
        try:
            state = json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return {}
        return dict((state.get("checkpoint") or {}).get("latest") or {})

    def release_stale_locks(self) -> int:
        """Remove the locks of engines that are gone; return how many.

        Raises:
            CommandError: an engine that is alive holds the stack.
        """
        removed = 0
        for lock in self.sandbox.state.glob(f".pulumi/locks/**/{self.program.project}/{self.stack}/*.json"):
            try:
                pid = int(json.loads(lock.read_text())["pid"])
            except (OSError, ValueError, KeyError, TypeError):
                pid = 0
            if session.is_engine(pid):
                raise CommandError(
                    f"stack {self.stack} of {self.program.project} is being updated by process {pid}: "
                    "wait for it, or end it"
                )
            lock.unlink(missing_ok=True)
            removed += 1
        return removed

    def start(self, running: Step) -> Started:
        """Bring the sandbox up, and make good what a command that was ended left of this stack and its account.

        Args:
            running: the step of the command that this is.
        """
        sandbox = dataclasses.replace(self.sandbox, say=running.progress)
        started = sandbox.start()
        stacks = [self] if self.program is ACCOUNT else [self, self.account]
        if removed := sum(each.release_stale_locks() for each in stacks):
            say(f"  removed {removed} lock of an engine that is gone")
        pending = [urn for each in stacks for urn in each.pending_operations()]
        if pending and self.sandbox.endpoint is None:
            say(
                f"  the last update was cut off while {len(pending)} resources were being changed: "
                "the account is rebuilt, the database keeps its data"
            )
            sandbox.forget()
            sandbox.start()
            started = Started(rebuilt=True)
        running.detail = self.sandbox.environment(os.environ)["AWS_ENDPOINT_URL"]
        return started
