"""A recorded process is one process, for ever: it is found again, measured, and ended with its family only."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sandbox import processes
from tests.support.checkout import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A parent with a child and a grandchild, in sessions of their own; their pids are written when all are up.
FAMILY = """
import os, pathlib, subprocess, sys, time
code = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '300'], start_new_session=True); " \\
       "print(p.pid, flush=True); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(f"{child.pid} {child.stdout.readline()}")
time.sleep(300)
"""
# One that does not want to go.
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"


def launch(tmp_path: Path, *command: str, port: int | None = None) -> processes.Recorded:
    """Start something that is recorded in the folder."""
    return processes.launch(
        command, record=tmp_path / "record.json", log=tmp_path / "log", cwd=tmp_path, env=os.environ, port=port
    )


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    """Where the launched process is recorded; it is ended however the test ends."""
    path = tmp_path / "record.json"
    yield path
    if process := processes.read(path):
        for pid in (process.pid, *processes.descendants(process.pid)):
            if processes.start_time(pid) is not None and process.alive:
                os.kill(pid, signal.SIGKILL)


def test_a_launched_process_is_read_back_as_it_is(tmp_path: Path, record: Path) -> None:
    launched = launch(tmp_path, "sleep", "300", port=4711)
    assert launched == processes.read(record)
    assert launched.alive
    assert launched.port == 4711
    assert launched.started == processes.start_time(launched.pid)
    assert os.getsid(launched.pid) == launched.pid  # the terminal's Ctrl-C does not reach it
    assert "sleep" == until(lambda: processes.name(launched.pid) == "sleep" and "sleep", "the program")
    assert processes.end(record)


def test_what_it_says_is_added_to_its_log(tmp_path: Path, record: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    launched = launch(tmp_path, "sh", "-c", "echo out; echo err >&2")
    until(lambda: not launched.alive, "its end")
    assert ["before", "out", "err"] == (tmp_path / "log").read_text().splitlines()
    assert not processes.end(record)


def test_a_pid_of_another_start_time_is_somebody_else(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    started = processes.start_time(bystander.pid)
    assert started is not None
    stale = processes.Recorded(pid=bystander.pid, started=started - 1)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(dataclasses.asdict(stale)))
    assert not stale.alive
    assert not processes.end(path)
    assert bystander.poll() is None
    assert not path.exists()


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["sleep", "30"]) as process:
        recorded = processes.Recorded(pid=process.pid, started=processes.start_time(process.pid) or 0)
        assert recorded.alive
        process.kill()
        until(lambda: not recorded.alive, "its end", 5)
        assert os.path.exists(f"/proc/{process.pid}")  # noqa: PTH110 it is there, for nobody has waited
        assert processes.name(process.pid) is None


def test_a_process_whose_name_has_brackets_and_blanks_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "30"]) as process:
        until(lambda: processes.name(process.pid) == program.name, "the program", 5)
        with open(f"/proc/{process.pid}/stat") as file:  # noqa: PTH123 procfs
            expected = int(file.read().split(") ")[-1].split()[19])
        assert expected == processes.start_time(process.pid)
        process.kill()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": 1}', '{"pid": 1, "started": 2, "more": 3}', "{"])
def test_an_unreadable_record_is_no_process(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    assert processes.read(path) is None
    assert not processes.end(path)
    assert not path.exists()
    assert not processes.end(path)  # gone already


def test_the_end_of_a_process_is_that_of_its_family_and_of_nobody_else(
    tmp_path: Path, record: Path, bystander: subprocess.Popen[bytes]
) -> None:
    pids = tmp_path / "pids"
    launched = launch(tmp_path, sys.executable, "-c", FAMILY, str(pids))
    family = [int(pid) for pid in until(lambda: pids.exists() and pids.read_text().split(), "the family")]
    assert len(family) == 2
    assert sorted(family) == sorted(processes.descendants(launched.pid))
    assert processes.end(record)
    assert not launched.alive
    assert [] == [pid for pid in family if processes.start_time(pid) is not None]
    assert bystander.poll() is None
    assert not record.exists()


def test_one_that_does_not_go_is_killed_when_patience_is_over(tmp_path: Path, record: Path) -> None:
    launched = launch(tmp_path, sys.executable, "-c", DEAF)
    until(lambda: "deaf" in (tmp_path / "log").read_text(), "the program")
    before = time.monotonic()
    assert processes.end(record, patience=0.5)
    assert 0.5 <= time.monotonic() - before < 5
    assert not launched.alive


def test_one_that_goes_by_itself_is_given_the_time_it_takes(tmp_path: Path, record: Path) -> None:
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), print('saved', "
        "flush=True), sys.exit())); print('up', flush=True); time.sleep(300)"
    )
    launch(tmp_path, sys.executable, "-c", code)
    until(lambda: "up" in (tmp_path / "log").read_text(), "the program")
    before = time.monotonic()
    assert processes.end(record)
    assert "saved" in (tmp_path / "log").read_text()
    assert time.monotonic() - before < 5


def test_memory_is_that_of_the_family(tmp_path: Path, record: Path) -> None:
    pids = tmp_path / "pids"
    launched = launch(tmp_path, sys.executable, "-c", FAMILY, str(pids))
    family = [int(pid) for pid in until(lambda: pids.exists() and pids.read_text().split(), "the family")]
    child = processes.Recorded(pid=family[0], started=processes.start_time(family[0]) or 0)
    assert 1 << 20 < 1.3 * child.resident_bytes() < launched.resident_bytes() < 1 << 30
    assert processes.end(record)
    assert launched.resident_bytes() == 0
