"""What a command says: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ops.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

# Without a terminal a progress line is printed, not redrawn; one every few seconds is enough for a log.
QUIET_SECONDS = 5.0


class CommandError(Exception):
    """A command's end other than success: one clear message with its remedy, the exit code, and a word for `--json`."""

    def __init__(self, message: str, code: Exit = Exit.FAILED, outcome: str = "failed") -> None:
        super().__init__(message)
        self.code = code
        self.outcome = outcome


def colour() -> bool:
    """Whether stderr may be coloured (https://no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(text: str, **styles: Any) -> str:
    """Colour `text` for stderr where that is wanted."""
    return click.style(text, **styles) if colour() else text


def say(line: str) -> None:
    """Print a message."""
    click.echo(line, err=True, color=colour())


def data(text: str) -> None:
    """Print data."""
    click.echo(text)


def emit(schema: str, document: dict[str, Any]) -> None:
    """Print a document as JSON, with the version of its schema first."""
    click.echo(json.dumps({"schema": schema, **document}, indent=2))


def leave(code: Exit) -> NoReturn:
    """End the command."""
    sys.exit(int(code))


class Step:
    """A step of a command as it runs: a line that is redrawn on a terminal, and one that stays when it has ended."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.seconds = 0.0
        self._started = time.monotonic()
        self._shown = self._started
        self._redraw = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def progress(self, line: str) -> None:
        """Show what is going on within the step."""
        now = time.monotonic()
        if self._redraw:
            width = _width() - 1
            text = f"  … {self.title:<9} {line}"
            sys.stderr.write(f"\r\x1b[2K{text[:width]}")
            sys.stderr.flush()
        elif now - self._shown >= QUIET_SECONDS:
            self._shown = now
            say(f"  … {self.title:<9} {line}")

    def note(self, line: str) -> None:
        """Show what has happened within the step: a log keeps it."""
        self._shown = 0.0
        self.progress(line)

    def end(self, *, well: bool) -> None:
        """Leave the step's last line."""
        self.seconds = time.monotonic() - self._started
        if self._redraw:
            sys.stderr.write("\r\x1b[2K")
        mark = style("✓", fg="green") if well else style("✗", fg="red")
        say(f"  {mark} {self.title:<9} {self.detail:<60} {self.seconds:6.1f} s")


@contextmanager
def step(title: str, seconds: dict[str, float]) -> Iterator[Step]:
    """Run one step of a command, and note the seconds it took."""
    running = Step(title)
    try:
        yield running
    except BaseException:
        running.end(well=False)
        raise
    finally:
        seconds[title] = round(time.monotonic() - running._started, 3)  # noqa: SLF001 its own module
    running.end(well=True)


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns
