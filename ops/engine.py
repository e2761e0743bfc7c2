"""Runs the engine through Pulumi's Automation API and keeps what its events say."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import textwrap
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulumi import automation
from pulumi.automation import CommandResult, LocalWorkspace, PulumiCommand, Stack
from pulumi.automation.errors import create_command_error

from ops.console import CommandError, say
from ops.exit_codes import Exit
from ops.rehearsal import POLICIES, ROOT, engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pulumi.automation import EngineEvent

    from ops.rehearsal import Program, Rehearsal
    from ops.target import Target

CHANGES = {"create": "created", "update": "changed", "replace": "replaced", "delete": "deleted", "same": "unchanged"}
_TAGS = re.compile(r"<\{%[^%]*%\}>")  # colours, as the engine marks them in events
# The program's own lines about its release, of those that an update logs.
TOLD = ("gate: ", "release: ")
# How an update ends that its hooks have stopped, the gravest first: the words that components/release.py begins its
# errors with, and the gate's hook.
STOPS: dict[str, tuple[Exit, str]] = {
    "stranded": (Exit.UNHEALTHY, "the release failed, and traffic is not back with a version that is well: act now"),
    "rolled-back": (Exit.ROLLED_BACK, "the release was rolled back; the version before it serves"),
    "refused": (Exit.ROLLED_BACK, "the release was turned down before it got traffic; the version before it serves"),
    "gate-closed": (Exit.BLOCKED_BY_GATE, "the gate is closed; neither data nor traffic was touched"),
}
_STOPPED = re.compile(r'before hook "(?:shift" failed: (stranded|rolled-back|refused)|gate" failed): (.*)', re.DOTALL)
# What becomes of other resources when one has failed: it says nothing about why.
_NOISE = (
    "context canceled",
    "context cancelled",
    "update canceled",
    "resource monitor shut down",
    "rpc error: code = C",
)


class Command(PulumiCommand):
    """The engine as a process whose interruption is ours to pass on.

    A terminal sends Ctrl-C to every process in front; the engine takes a second one as leave to drop everything. So it
    gets a session of its own, and exactly the interrupts that this command got.

    What takes `--config-file` runs where the program is; everything else beside the rehearsal's settings, for without
    that flag the engine writes its secrets provider into the stack file of its folder.

    Attributes:
        program: Where the program is.
    """

    program = ROOT

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> CommandResult:
        """Run one command to its end; see the base class."""
        process = subprocess.Popen(
            [self.command, "--non-interactive", *args],
            cwd=self.program if "--config-file" in args else cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        interrupts: list[int] = []

        def forward(number: int, _frame: Any) -> None:
            interrupts.append(number)
            process.send_signal(signal.SIGINT)

        previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
        collected: dict[str, list[str]] = {"stdout": [], "stderr": []}

        def consume(stream: Any, into: list[str], callback: Callable[[str], Any] | None) -> None:
            for line in stream:
                into.append(line.rstrip())
                if callback:
                    callback(line.rstrip())

        threads = [
            threading.Thread(target=consume, args=(process.stdout, collected["stdout"], on_output)),
            threading.Thread(target=consume, args=(process.stderr, collected["stderr"], on_error)),
        ]
        try:
            for thread in threads:
                thread.start()
            code = process.wait()
            for thread in threads:
                thread.join()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        if interrupts:
            raise KeyboardInterrupt
        result = CommandResult(stdout="\n".join(collected["stdout"]), stderr="\n".join(collected["stderr"]), code=code)
        if code:
            raise create_command_error(result)
        return result


@dataclass(kw_only=True)
class Observed:
    """What the events of one engine run said.

    Attributes:
        changes: Resources by what happened to them, of `CHANGES`' keys.
        packs: The policy packs that judged, name to version.
        findings: Policy violations, each with policy, level, resource and message.
        errors: The engine's error messages, in order.
        stopped: What the hooks around data and traffic have stopped the update for, by `STOPS`' keys.
    """

    changes: Counter[str] = field(default_factory=Counter)
    packs: dict[str, str] = field(default_factory=dict)
    findings: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        """Whether a policy that is mandatory was violated."""
        return any(finding["level"] == "mandatory" for finding in self.findings)

    @property
    def changed(self) -> int:
        """How many resources are not as they were."""
        return sum(count for operation, count in self.changes.items() if operation != "same")

    def describe(self) -> str:
        """Say what happened, as in `3 created, 50 unchanged`."""
        known = [(CHANGES[op], self.changes[op]) for op in CHANGES if self.changes[op]]
        return ", ".join(f"{count} {what}" for what, count in known) or "nothing to do"


def stack(rehearsal: Rehearsal) -> Stack:
    """Return the stack's handle, making the stack in the sandbox's backend when it is new.

    The process's environment becomes the rehearsal's.

    Raises:
        CommandError: the stack cannot be made or selected.
    """
    env = rehearsal.environment()
    own = rehearsal.sandbox.state.as_uri()
    if env["PULUMI_BACKEND_URL"] != own:
        say(f"PULUMI_BACKEND_URL is not used here: a rehearsal keeps its own state, {own}")
        env["PULUMI_BACKEND_URL"] = own
    os.environ.clear()
    os.environ.update(env)
    command = Command()  # asks the engine for its version, and refuses one that is too old
    command.command = str(rehearsal.sandbox.directory / "bin" / "pulumi")
    command.program = rehearsal.program.directory
    rehearsal.write_config()
    try:
        workspace = LocalWorkspace(work_dir=str(rehearsal.config_file.parent), pulumi_command=command)
        return Stack.create_or_select(rehearsal.stack, workspace)
    except automation.CommandError as error:
        raise failed(error, Observed()) from error


def stack_on_aws(target: Target, program: Program, stack: str, backend: str, secrets_provider: str) -> Stack:
    """Return the handle of a stack that lives on AWS, making it in its backend when it is new.

    The engine writes the secrets provider of a new stack into its settings in the checkout, which are to be committed.

    Args:
        target: where it lives.
        program: whose stack it is.
        stack: its name.
        backend: the URL of the state, unless the caller has set another.
        secrets_provider: that encrypts what is secret in it.

    Raises:
        CommandError: the stack cannot be made or selected.
    """
    found = engine()
    path = f"{found.path.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    if shutil.which("pulumi-language-python", path=path) is None:
        raise CommandError(
            f"{found.path} has no language host beside it (pulumi-language-python): install Pulumi from its official "
            "release, and run the command again"
        )
    env = {
        "PULUMI_BACKEND_URL": backend,
        "PULUMI_OPTION_POLICY_PACK": str(POLICIES),
        **os.environ,
        "PATH": path,
        "AWS_REGION": target.names.region,
    }
    os.environ.clear()
    os.environ.update(env)
    command = Command()
    command.command = str(found.path)
    command.program = program.directory
    try:
        workspace = LocalWorkspace(
            work_dir=str(program.directory), pulumi_command=command, secrets_provider=secrets_provider
        )
        return Stack.create_or_select(stack, workspace)
    except automation.CommandError as error:
        raise failed(error, Observed()) from error


def observe(
    progress: Callable[[str], None], note: Callable[[str], None] | None = None
) -> tuple[Observed, Callable[[EngineEvent], None]]:
    """Return a collector and the callback that fills it from events.

    Args:
        progress: gets a line per resource, and how long a release still takes.
        note: gets what happens to a release; `progress` when left out.
    """
    seen = Observed()

    def on_event(event: EngineEvent) -> None:
        if event.resource_pre_event:
            metadata = event.resource_pre_event.metadata
            kind, name = _kind_and_name(metadata.urn)
            progress(f"{getattr(metadata.op, 'value', metadata.op)} {kind} {name}")
        if event.summary_event:
            seen.changes.update(
                {str(getattr(op, "value", op)): count for op, count in event.summary_event.resource_changes.items()}
            )
            for pack, version in event.summary_event.policy_packs.items():
                seen.packs[pack.split("|")[0]] = version  # a local pack's name carries its path
        if event.policy_event:
            policy = event.policy_event
            seen.findings.append(
                {
                    "policy": policy.policy_name,
                    "pack": policy.policy_pack_name,
                    "level": policy.enforcement_level,
                    "resource": policy.resource_urn or "",
                    "message": _TAGS.sub("", policy.message).strip(),
                }
            )
        if said := event.diagnostic_event:
            text = _TAGS.sub("", said.message).strip()
            if said.severity == "error":
                _collect(seen, text, said.urn)
            elif said.severity in {"info", "warning"} and text.startswith(TOLD):
                (progress if said.ephemeral or note is None else note)(text)

    return seen, on_event


def _collect(seen: Observed, text: str, urn: str | None) -> None:
    """Take up an error: as what a hook of ours has stopped the update for, or as the engine's."""
    if stop := _STOPPED.match(text):
        seen.stopped.setdefault(stop[1] or "gate-closed", stop[2])  # the gate says it to each resource behind it
    elif text and text not in {"update failed", "preview failed"}:
        seen.errors.append(f"{' '.join(_kind_and_name(urn))}: {text}" if urn else text)


def run(
    operation: Callable[..., Any],
    progress: Callable[[str], None],
    config_file: Path | None,
    *,
    refresh: bool = False,
    note: Callable[[str], None] | None = None,
) -> Observed:
    """Run a preview or an update to its end, and return what was observed.

    Args:
        operation: the method of the stack's handle.
        progress: gets a line per resource.
        config_file: the settings as a rehearsal uses them; None for the stack's own.
        refresh: whether resources are read first: those of an account that was brought back may have other addresses.
        note: gets what happens to a release; see `observe`.

    Raises:
        CommandError: it failed.
    """
    seen, on_event = observe(progress, note)
    given = {} if config_file is None else {"config_file": str(config_file)}
    try:
        operation(on_event=on_event, refresh=refresh, suppress_progress=True, color="never", **given)
    except automation.CommandError as error:
        raise failed(error, seen) from error
    return seen


def failed(error: Exception, seen: Observed) -> CommandError:
    """Turn the engine's failure into one message with a remedy, and the exit code that belongs to it."""
    text = f"{error}"
    if seen.blocked:
        lines = [_finding(finding) for finding in seen.findings if finding["level"] == "mandatory"]
        return CommandError(
            "blocked by policy, nothing was changed:\n" + "\n".join(lines), Exit.BLOCKED_BY_POLICY, "blocked-by-policy"
        )
    for sign, remedy in _REMEDIES:
        if sign in text:
            return CommandError(remedy)
    errors = [line for line in seen.errors if not any(sign in line for sign in _NOISE)]
    for outcome, (code, headline) in STOPS.items():
        if outcome in seen.stopped:
            others = [f"  also: {line}" for line in errors]
            return CommandError("\n".join([headline, f"  {seen.stopped[outcome]}", *others]), code, outcome)
    shown = errors or seen.errors or [line for line in text.splitlines() if "error:" in line] or text.splitlines()[-3:]
    return CommandError("the engine failed:\n" + "\n".join(f"  {line}" for line in shown))


def _finding(finding: dict[str, str]) -> str:
    return f"  {finding['policy']}: {' '.join(_kind_and_name(finding['resource']))}\n" + textwrap.indent(
        finding["message"], "    "
    )


# What the engine says, and what a person is to do about it.
_REMEDIES = (
    (
        "incorrect passphrase",
        "the passphrase is not the one that this stack was made with: unset PULUMI_CONFIG_PASSPHRASE, or set that one",
    ),
    ("passphrase must be set", "PULUMI_CONFIG_PASSPHRASE is empty: unset it, or set the stack's passphrase"),
    (
        "no space left on device",
        "the disk is full: free some room and run the command again; what was done so far is kept",
    ),
    *(
        (
            sign,
            "the state was written by another engine: use that one, or remove the sandbox's directory and start anew",
        )
        for sign in (
            "unsupported checkpoint version",
            "the stack is newer than what this version",
            "could not unmarshal",
        )
    ),
    ("the stack is currently locked", "another update of this stack is running: wait for it and run the command again"),
)


def _kind_and_name(urn: str) -> tuple[str, str]:
    """Split a URN into what it is and its name: `aws:rds/instance:Instance`, `database`."""
    parts = urn.split("::")
    if len(parts) < 4:
        return urn, ""
    return parts[2].split("$")[-1], parts[3]
