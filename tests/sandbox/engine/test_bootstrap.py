"""The engine is found where it is, or obtained once; what cannot be had is told with its remedies."""

from __future__ import annotations

import fcntl
import hashlib
import http.server
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.engine import bootstrap
from tests.support.checkout import ROOT, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEWER = "3.999.0"
OLDER = "3.1.0"
# A closed port: the download fails at once, and the test needs no network.
CLOSED = "http://127.0.0.1:1/pulumi-v{version}-{system}-{machine}.tar.gz"


def pulumi(version: str) -> str:
    """A command line that knows its version and nothing else."""
    return f"#!/bin/sh\necho v{version}\n"


# `go build … -o FILE PACKAGE`: says what the real one says, and "compiles" what $BUILT holds.
GO = """#!/bin/sh
if [ "$1" = env ]; then echo {version}; exit 0; fi
echo "$PWD $*" >> "$LOG"
{body}
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho v{engine}\\n' > "$2"
chmod +x "$2"
"""


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "ARCHIVE", CLOSED)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


class Machine:
    """A machine with a PATH and a cache of its own."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.bin.mkdir()
        self.root = root
        self.env = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "PRODUCT_API_CACHE": str(root / "cache"),
            "LOG": str(root / "go.log"),
        }

    def put(self, name: str, text: str) -> Path:
        """Put a script on PATH."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def go(self, body: str = "", version: str = "go1.26.1", engine: str = bootstrap.VERSION) -> None:
        """Put a Go on PATH whose build does `body` first."""
        self.put("go", GO.format(version=version, body=body, engine=engine))

    def cache(self, version: str = bootstrap.VERSION) -> Path:
        """Put an engine into the cache."""
        self.cached.parent.mkdir(parents=True)
        self.cached.write_text(pulumi(version))
        self.cached.chmod(0o755)
        return self.cached

    @property
    def cached(self) -> Path:
        return self.root / "cache" / "engine" / bootstrap.VERSION / "pulumi"

    @property
    def left(self) -> list[str]:
        """What stands in the cache, beside the lock."""
        return sorted(p.name for p in self.cached.parent.glob("*") if p.name != ".lock")

    @property
    def builds(self) -> list[str]:
        log = self.root / "go.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that has neither Pulumi nor Go."""
    return Machine(tmp_path)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], list[str]]]:
    """Serves these bytes in place of the official archive; what was asked for is listed."""
    asked: list[str] = []
    body = b""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if not body:
                self.wfile.write(b"this is no HTTP\r\n\r\n")
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def start(archive: bytes) -> list[str]:
        nonlocal body
        body = archive
        url = f"http://127.0.0.1:{server.server_port}/v{{version}}/{{system}}-{{machine}}.tar.gz"
        monkeypatch.setattr(bootstrap, "ARCHIVE", url)
        digest = hashlib.sha256(archive).hexdigest()
        monkeypatch.setattr(bootstrap, "ARCHIVE_SHA256", {bootstrap._platform(): digest})
        return asked

    yield start
    server.shutdown()
    server.server_close()


def archive(name: str = "pulumi/pulumi", text: str | None = None) -> bytes:
    """An archive as the vendor lays it out: other command lines stand beside the one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in (
            ("pulumi/pulumi-language-python", "#!/bin/sh\nexit 9\n"),
            (name, text or pulumi(bootstrap.VERSION)),
        ):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def quiet(_line: str) -> None:
    """Takes progress and drops it."""


def unavailable(machine: Machine) -> str:
    """Obtain an engine in vain; return what is said."""
    with pytest.raises(bootstrap.EngineUnavailableError) as raised:
        bootstrap.obtain(machine.env, quiet)
    assert [] == machine.left
    return str(raised.value)


class TestFind:
    def test_one_on_path_that_is_new_enough_comes_first(self, machine: Machine) -> None:
        machine.cache()
        path = machine.put("pulumi", pulumi(NEWER))
        assert bootstrap.find(machine.env) == bootstrap.Engine(path=path, version=NEWER, source="PATH")

    @pytest.mark.parametrize("text", [pulumi(OLDER), "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "no program"])
    def test_one_that_is_too_old_or_does_not_run_is_passed_over(self, machine: Machine, text: str) -> None:
        cached = machine.cache()
        machine.put("pulumi", text)
        found = bootstrap.find(machine.env)
        assert found == bootstrap.Engine(path=cached, version=bootstrap.VERSION, source="cache")

    def test_versions_are_compared_as_numbers(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bootstrap, "VERSION", "3.99.0")
        machine.put("pulumi", pulumi("3.100.0"))
        found = bootstrap.find(machine.env)
        assert found
        assert found.source == "PATH"

    def test_a_cached_one_that_does_not_run_is_none(self, machine: Machine) -> None:
        machine.cache().write_text("half a download")
        assert bootstrap.find(machine.env) is None

    def test_the_cache_is_where_the_environment_puts_it(self) -> None:
        def cache(**env: str) -> str:
            return str(bootstrap.cache_directory(env))

        assert cache(PRODUCT_API_CACHE="/a", XDG_CACHE_HOME="/b") == "/a/engine"
        assert cache(XDG_CACHE_HOME="/b") == "/b/product-api/engine"
        assert cache() == str(Path.home() / ".cache" / "product-api" / "engine")


class TestDownload:
    def test_the_official_archive_gives_its_command_line_alone(
        self, machine: Machine, serve: Callable[[bytes], list[str]]
    ) -> None:
        asked = serve(archive())
        machine.go()
        engine = bootstrap.obtain(machine.env, quiet)
        assert engine == bootstrap.Engine(path=machine.cached, version=bootstrap.VERSION, source="cache")
        assert [f"/v{bootstrap.VERSION}/{'-'.join(bootstrap._platform())}.tar.gz"] == asked
        assert ["pulumi"] == machine.left
        assert [] == machine.builds
        assert engine == bootstrap.obtain(machine.env, quiet)
        assert len(asked) == 1

    def test_an_archive_of_another_checksum_is_refused(
        self, machine: Machine, serve: Callable[[bytes], list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        serve(archive())
        expected = "0" * 64
        monkeypatch.setattr(bootstrap, "ARCHIVE_SHA256", {bootstrap._platform(): expected})
        said = unavailable(machine)
        assert f"checksum is {hashlib.sha256(archive()).hexdigest()}, not {expected}: it was not used" in said

    def test_an_archive_without_the_command_line_is_refused(
        self, machine: Machine, serve: Callable[[bytes], list[str]]
    ) -> None:
        serve(archive(name="pulumi/something-else"))
        assert "holds no `pulumi`" in unavailable(machine)

    def test_what_does_not_speak_http_is_no_archive(
        self, machine: Machine, serve: Callable[[bytes], list[str]]
    ) -> None:
        serve(b"")
        assert "the official archive cannot be downloaded" in unavailable(machine)

    def test_a_machine_without_an_official_archive_says_so(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bootstrap, "_platform", lambda: ("plan9", "mips"))
        assert "there is no official archive for plan9 mips" in unavailable(machine)


class TestNothingHelps:
    def test_what_was_tried_and_three_remedies_are_told(self, machine: Machine) -> None:
        machine.put("pulumi", pulumi(OLDER))
        with pytest.raises(bootstrap.EngineUnavailableError) as raised:
            bootstrap.obtain(machine.env, quiet)
        lines = str(raised.value).splitlines()
        tried = [line for line in lines if line.startswith("  - ")]
        remedies = [line.strip() for line in lines if line[2:4] in {"1.", "2.", "3.", "4."}]
        assert len(tried) == 3
        assert f"is {OLDER}, {bootstrap.VERSION} or newer is needed" in tried[0]
        assert "cannot be downloaded: [Errno 111] Connection refused" in tried[1]
        assert "no `go` on PATH" in tried[2]
        assert ["install Pulumi", "allow the download", "install Go 1.25"] == [
            " ".join(remedy.split()[1:4]) if n != 0 else " ".join(remedy.split()[1:3])
            for n, remedy in enumerate(remedies)
        ]

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            (GO.format(version="go1.24.9", body="", engine=""), "is go1.24.9, which is too old"),
            ("#!/bin/sh\nexit 3\n", "does not run"),
            ("no program", "does not run"),
        ],
    )
    def test_a_go_that_cannot_build_it(self, machine: Machine, text: str, fault: str) -> None:
        go = machine.put("go", text)
        assert f"it cannot be built: {go} {fault}" in unavailable(machine)
        assert [] == machine.builds

    def test_a_failing_build_shows_its_last_lines(self, machine: Machine) -> None:
        machine.go("for n in 1 2 3 4 5 6 7; do echo line $n; done; echo 'pkg/x.go:1: undefined: y' >&2; exit 1")
        said = unavailable(machine)
        assert "the Go build failed: line 4 | line 5 | line 6 | line 7 | pkg/x.go:1: undefined: y" in said

    def test_a_build_that_does_not_run_here_is_told(self, machine: Machine) -> None:
        machine.go(engine="broken")
        with pytest.raises(bootstrap.EngineUnavailableError, match="does not run here"):
            bootstrap.obtain(machine.env, quiet)


class TestBuild:
    def test_it_builds_the_locked_module_as_the_lock_says(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOFLAGS", "-mod=mod")
        machine.env["GOFLAGS"] = "-mod=mod"
        machine.go('echo "flags=$GOFLAGS cgo=$CGO_ENABLED" >> "$LOG"')
        engine = bootstrap.obtain(machine.env, quiet)
        assert engine == bootstrap.Engine(path=machine.cached, version=bootstrap.VERSION, source="cache")
        command, environment = machine.builds
        assert command.startswith(f"{bootstrap.MODULE} build ")
        assert "-mod=readonly" in command
        assert f"version.Version={bootstrap.VERSION}" in command
        assert command.endswith(bootstrap.PACKAGE)
        assert environment == "flags= cgo=0"
        assert ["pulumi"] == machine.left

    def test_progress_counts_modules_then_packages_with_an_estimate(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bootstrap, "EXPECTED_PACKAGES", 10)
        clock = iter(range(0, 10_000, 3))  # every line is seconds after the one before
        monkeypatch.setattr(bootstrap.time, "monotonic", lambda: float(next(clock)))
        machine.go("echo go: downloading a v1; echo go: downloading b v2; echo example.org/a; echo example.org/b")
        lines: list[str] = []
        bootstrap.obtain(machine.env, lines.append)
        assert "4 to 12 minutes" in next(line for line in lines if line.startswith("building"))
        assert any(line.startswith("downloading Go modules, 2 so far (") for line in lines)
        last = next(line for line in lines if line.startswith("compiling package 2 of about 10 ("))
        assert " s left)" in last
        assert lines[-1].startswith("built in ")

    def test_an_estimate_is_what_is_left_at_this_pace(self) -> None:
        half = bootstrap.EXPECTED_PACKAGES // 2
        assert f"compiling package {half} of about {half * 2} (60 s, about 60 s left)" == bootstrap._build_line(
            5, half, 60.0
        )
        assert "left" not in bootstrap._build_line(5, 1, 60.0)
        assert "about 1 s left" in bootstrap._build_line(5, half * 9, 100.0)


SCRIPT = """
import os, sys
from sandbox.engine import bootstrap
bootstrap.ARCHIVE = {closed!r}
engine = bootstrap.obtain(dict(os.environ), lambda line: print(line, flush=True))
print(engine.source)
"""


def begin(machine: Machine) -> subprocess.Popen[str]:
    """Obtain an engine in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(closed=CLOSED)],
        cwd=ROOT,
        env={**machine.env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class TestTogether:
    def test_two_at_once_build_once_and_the_second_says_that_it_waits(self, machine: Machine) -> None:
        machine.go("sleep 1")
        both = [begin(machine), begin(machine)]
        said = [process.communicate(timeout=60)[0].splitlines() for process in both]
        assert [0, 0] == [process.returncode for process in both]
        assert ["cache", "cache"] == [lines[-1] for lines in said]
        assert len(machine.builds) == 1
        assert sum("another process is obtaining it; waiting" in lines for lines in said) == 1

    def test_a_lock_file_of_a_process_that_is_gone_holds_nobody(self, machine: Machine) -> None:
        machine.cached.parent.mkdir(parents=True)
        lock = machine.cached.parent / ".lock"
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
        machine.go()
        assert bootstrap.obtain(machine.env, quiet).source == "cache"

    def test_ctrl_c_ends_the_compiler_with_what_it_started_and_leaves_nothing(self, machine: Machine) -> None:
        # As the real one: `go` starts compilers, which write into the file that it was told.
        machine.go(
            'while [ "$1" != -o ]; do shift; done; echo half > "$2"; sleep 300 & echo $! $$ > "$LOG.pids"; '
            "echo example.org/a; wait"
        )
        pids = Path(f"{machine.env['LOG']}.pids")
        process = begin(machine)
        try:
            started = until(lambda: pids.exists() and pids.read_text().split(), "the build", 30)
            assert ["pulumi"] == [p.name for p in machine.cached.parent.rglob("pulumi")]
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)  # to the one process: a terminal's reaches the others by itself
            _, stderr = process.communicate(timeout=30)
            assert "KeyboardInterrupt" in stderr
            assert process.returncode != 0
            until(lambda: not [pid for pid in started if alive(int(pid))], "the end of the compilers", 5)
            assert [] == machine.left
        finally:
            process.kill()
            if pids.exists():
                for pid in map(int, pids.read_text().split()):
                    if alive(pid):
                        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie does not."""
    from sandbox import processes

    return processes.start_time(pid) is not None
