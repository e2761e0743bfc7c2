"""Processes that outlive the command which started them: found again, and ended, by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KILL_SECONDS = 5.0  # of waiting for the kernel to take a killed process away


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A process of ours. A pid alone may by now be somebody else's; with the start time it names one process.

    Attributes:
        pid: Its number.
        started: When, in clock ticks since boot.
        port: Where it listens, if it does.
        code: What identifies the code that it runs.
    """

    pid: int
    started: int
    port: int | None = None
    code: str = ""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return start_time(self.pid) == self.started

    def resident_bytes(self) -> int:
        """The memory of it and of its descendants that is in RAM, each shared page counted once (PSS), in bytes."""
        total = 0
        for pid in (self.pid, *descendants(self.pid)):
            with contextlib.suppress(OSError, StopIteration):
                with open(f"/proc/{pid}/smaps_rollup") as file:  # noqa: PTH123 procfs
                    line = next(line for line in file if line.startswith("Pss:"))
                total += int(line.split()[1]) * 1024
        return total


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None when there is no such process (proc(5), field 22)."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 procfs
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def name(pid: int) -> str | None:
    """The name of the program that `pid` runs; None when there is no such process."""
    if start_time(pid) is None:
        return None
    try:
        with open(f"/proc/{pid}/comm") as file:  # noqa: PTH123 procfs
            return file.read().strip()
    except OSError:
        return None


def descendants(pid: int) -> list[int]:
    """All processes below `pid`."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 procfs
            with open(f"/proc/{pid}/task/{task}/children") as file:  # noqa: PTH123
                for child in map(int, file.read().split()):
                    found += [child, *descendants(child)]
    return found


def read(record: Path) -> Recorded | None:
    """The process of a record, or None when there is no readable record."""
    try:
        return Recorded(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def launch(
    command: Sequence[str],
    *,
    record: Path,
    log: Path,
    cwd: Path,
    env: Mapping[str, str],
    port: int | None,
    code: str = "",
) -> Recorded:
    """Start a process in a session of its own, so that Ctrl-C of the command in front does not reach it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    recorded = Recorded(pid=process.pid, started=start_time(process.pid) or 0, port=port, code=code)
    record.write_text(json.dumps(asdict(recorded)))
    return recorded


def end(record: Path, patience: float = 8.0) -> bool:
    """End the recorded process with its descendants and remove the record; True when it was alive."""
    process = read(record)
    alive = process is not None and process.alive
    if process is not None and alive:
        family = [(pid, start_time(pid)) for pid in descendants(process.pid)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while process.alive and time.monotonic() < deadline:
            _reap(process.pid)
            time.sleep(0.02)
        left = [one for one in ((process.pid, process.started), *family) if _is(*one)]
        for pid, _ in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # A killed process holds its ports and locks until it is gone.
        deadline = time.monotonic() + KILL_SECONDS
        while any(_is(*one) for one in left) and time.monotonic() < deadline:
            time.sleep(0.005)
        _reap(process.pid)
    record.unlink(missing_ok=True)
    return alive


def _is(pid: int, started: int | None) -> bool:
    return started is not None and start_time(pid) == started


def _reap(pid: int) -> None:
    """Collect the exit status when it is a child of ours; another command's is init's."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
