"""`ops pulumi -- ARGS…`: the engine, in the sandbox's environment."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ops.console import step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.rehearsal import Program, Rehearsal

# Commands of the engine that take `--config-file`.
CONFIGURED = {"config", "destroy", "import", "logs", "preview", "pre", "refresh", "up", "update", "watch"}
# Flags of every command that have a value, which is no command's name; `-C` is taken out before.
VALUED = {"--color", "--memprofilerate", "--otel-traces", "--profiling", "--tracing", "--verbose", "-v"}
# Flags whose value is a path: the engine is started elsewhere than where the caller stands, and would look there.
PATHS = {"--policy-pack", "--policy-pack-config"}
OWN_PATHS = {
    *PATHS,
    "--config-file",
    "--file",
    "--generate-resources",
    "--import-file",
    "--out",
    "--plan",
    "--save-plan",
}
# Commands that speak to AWS, for which the account must be there, and the role.
DEPLOYING = CONFIGURED - {"config", "logs"}
# Commands that change nothing: no save is needed after them.
READING = {"about", "config", "help", "logs", "preview", "pre", "version", "whoami", "schema", "gen-completion"}


@click.command("pulumi", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def command(args: tuple[str, ...]) -> None:
    """Run the engine with ARGS; starts the sandbox when needed and leaves it up.

    What speaks to AWS acts as the stack's deploy role, and brings up first what the account has once. For this
    project, and for `-C account`, the policy pack is in force; for another program (`-C DIR`) whatever pack
    the arguments name. What you have set yourself (PULUMI_BACKEND_URL, the passphrase, the stack) wins. Stdout and exit
    code are Pulumi's.

    \b
    Examples:
      ops pulumi -- preview --diff
      ops pulumi -- stack output apiUrl
      ops pulumi -- -C account preview --stack prod
      ops pulumi -- -C ../other-program preview --policy-pack policies
    """
    from ops.rehearsal import PRODUCT, PROGRAMS, Rehearsal

    caller = Path.cwd()
    directory, rest = _directory(list(args), caller)
    where = PRODUCT.directory if directory is None else directory.resolve()
    own = next((program for program in PROGRAMS if program.directory == where), None)
    program = own or PRODUCT
    words = _words(rest)
    name = _stack(rest, program) if own else None
    rehearsal = Rehearsal.of(name or ("local" if program is PRODUCT else "nonprod"), program=program)
    deploying = own is PRODUCT and bool(words) and words[0] in DEPLOYING
    rehearsal = dataclasses.replace(rehearsal, acting="deploy" if deploying else "root")
    with rehearsal.sandbox.lock():
        rehearsal.sandbox.start()
        if deploying:
            _bring_up_account(rehearsal)
    if own:
        env = rehearsal.environment()
        _prepare(rehearsal, words)
        # Without `--config-file` the engine writes its secrets provider into the stack file of the folder it runs in.
        configured = bool(words) and words[0] in CONFIGURED
        folder = program.directory if configured or "PULUMI_BACKEND_URL" in os.environ else rehearsal.config_file.parent
        run = ["-C", str(folder), *_configured(_absolute(rest, caller, OWN_PATHS), words, rehearsal)]
    else:
        env = rehearsal.sandbox.environment(os.environ)
        run = ["-C", str(directory), *_absolute(rest, caller, PATHS)]
    code = _run([str(rehearsal.sandbox.directory / "bin" / "pulumi"), *run], env)
    if not words or words[0] not in READING:
        rehearsal.sandbox.save()
    sys.exit(code)


def _run(command: list[str], env: dict[str, str]) -> int:
    """Run the engine in front: the terminal's Ctrl-C is the engine's, which ends in its own time.

    A signal that only this process got is passed on. The engine's end by a signal is told as a shell tells it.
    """
    previous = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    process = subprocess.Popen(command, env=env, preexec_fn=_default_interrupt)  # noqa: PLW1509 only resets a signal
    for number in (signal.SIGTERM, signal.SIGHUP):
        previous[number] = signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM))
    try:
        code = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _words(args: list[str]) -> list[str]:
    """The command and what follows it, without flags and the values of those that may stand before a command."""
    found = []
    after = ""
    for arg in args:
        if not arg.startswith("-") and after not in VALUED:
            found.append(arg)
        after = arg
    return found


def _directory(args: list[str], caller: Path) -> tuple[Path | None, list[str]]:
    """Take `-C DIR` out of the arguments: it is relative to where the caller stands, not to this project."""
    rest: list[str] = []
    directory: Path | None = None
    remaining = iter(args)
    for arg in remaining:
        if arg in {"-C", "--cwd"}:
            directory = caller / next(remaining, "")
        elif arg.startswith("--cwd="):
            directory = caller / arg.removeprefix("--cwd=")
        elif arg.startswith("-C") and len(arg) > 2:
            directory = caller / arg[2:]
        else:
            rest.append(arg)
    return directory, rest


def _stack(args: list[str], program: Program) -> str | None:
    """Which of a program's stacks is meant: by flag, by PULUMI_STACK, or by selection."""
    for position, arg in enumerate(args):
        if arg in {"-s", "--stack"} and position + 1 < len(args):
            return args[position + 1].split("/")[-1]
        if arg.startswith(("--stack=", "-s=")):
            return arg.split("=", 1)[1].split("/")[-1]
    if chosen := os.environ.get("PULUMI_STACK"):
        return chosen.split("/")[-1]
    from ops.rehearsal import selected_stack

    return selected_stack(os.environ, program)


def _prepare(rehearsal: Rehearsal, words: list[str]) -> None:
    """Make the stack in the sandbox's backend, unless the caller brought a backend or is about to make it."""
    if "PULUMI_BACKEND_URL" in os.environ or words[:2] == ["stack", "init"] or words[:1] in (["login"], ["version"]):
        return
    rehearsal.write_config() if rehearsal.exists else _init(rehearsal)


def _init(rehearsal: Rehearsal) -> None:
    from ops import engine

    with _own_environment():
        engine.stack(rehearsal)


def _bring_up_account(rehearsal: Rehearsal) -> None:
    """Bring up what the stack's account has once, where it does not stand: the deploy role is part of it."""
    from ops.account import bring_up_account, stands

    if not stands(rehearsal):
        with _own_environment(), step("account", {}) as running:
            brought = bring_up_account(rehearsal, running.progress)
            running.detail = f"{brought.stack}: {brought.described}"


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Have the caller's environment again afterwards: a handle of the Automation API changes the process's."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _configured(args: list[str], words: list[str], rehearsal: Rehearsal) -> list[str]:
    """Name the stack and the rehearsal's settings to those commands that take them."""
    given = any(arg == "--config-file" or arg.startswith("--config-file=") for arg in args)
    if given or not words or words[0] not in CONFIGURED or "PULUMI_BACKEND_URL" in os.environ:
        return args
    flags = ["--config-file", str(rehearsal.config_file)]
    if _stack(args, rehearsal.program) is None:
        flags += ["--stack", rehearsal.stack]
    at = args.index(words[0]) + 1
    return [*args[:at], *flags, *args[at:]]


def _absolute(args: list[str], caller: Path, flags: set[str]) -> list[str]:
    """Make the paths that these flags name absolute: they are relative to where the caller stands."""
    made = []
    after = ""
    for arg in args:
        flag, equals, value = arg.partition("=")
        if after in flags:
            made.append(str(caller / arg))
        elif equals and flag in flags:
            made.append(f"{flag}={caller / value}")
        else:
            made.append(arg)
        after = arg
    return made
