"""`ops`: the command line of the deployment strategy.

Commands are imported when they run, and what is heavy inside them: `ops --help` costs an interpreter and click.
"""

from __future__ import annotations

import importlib
import io
import signal
import sys
from typing import NoReturn

import click

from ops.console import CommandError, say, style
from ops.exit_codes import Exit

# Name → module of ops.commands and its one-line help, so that help needs no import of the commands.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", "Rehearse a stack: build, preview with the policy pack, update, seed, check."),
    "review": ("review", "Say what an update would do: resources, permissions, reachability, migrations, policies."),
    "down": ("down", "Take a rehearsed stack away, and the sandbox with the last one."),
    "bootstrap": ("bootstrap", "Make what must be there before a stack's first deployment."),
    "approve": ("approve", "Approve the release at hand for a stack, or show who has."),
    "pulumi": ("pulumi", "Run the Pulumi engine in the sandbox's environment."),
    "artifact": ("artifact", "Build the code zip and the layers."),
    "db": ("db", "The way into a development database."),
    "env": ("env", "Which target, account, state and endpoints a command would use, and whether all is there."),
    "doctor": ("doctor", "What is present, which version, from where, and what to do about the rest."),
    "setup": ("setup", "Find or obtain the Pulumi engine."),
}

EPILOG = """\
\b
Examples:
  ops up local              the whole deployment on this machine
  ops up prod               rehearse production; never touches AWS
  ops review prod           what an update would do, before it does
  ops pulumi -- preview     any Pulumi command, in the sandbox
  ops down local            take it away again

\b
Exit codes: 0 done, 1 failed or findings, 2 usage, 3 blocked by policy, 4 blocked by a gate,
5 unhealthy, 6 rolled back, 7 drift, 130 interrupted.
"""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"ops.commands.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The deployment strategy of the product API as commands."""


def main() -> NoReturn:
    """Run a command; every error ends in one line on stderr and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a tick is no reason to fail
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, signal.default_int_handler)  # ends as Ctrl-C does: what was started is ended too
    try:
        code = cli(prog_name="ops", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else Exit.DONE)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(Exit.USAGE)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "ops"
        message = " ".join(error.format_message().split()).rstrip(".")
        say(f"{style('error', fg='red')}: {message}: see `{path} --help`")
        sys.exit(Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        say(style("interrupted", fg="red") + ": run the same command again to go on")
        sys.exit(Exit.INTERRUPTED)
    except CommandError as error:
        say(f"{style('error', fg='red')}: {error}")
        sys.exit(error.code)
    except BrokenPipeError:
        sys.exit(Exit.FAILED)
    except Exception as error:
        from sandbox.session import SandboxError

        if not isinstance(error, SandboxError):
            raise
        say(f"{style('error', fg='red')}: {error}")
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    main()
