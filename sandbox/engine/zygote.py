"""A warm process that forks the engine's Python plugins: language host, program, policy pack, provider.

A preview's time is mostly imports: `pulumi` costs 0.4 s, what a stack needs of `pulumi_aws` 6 to 8 s of CPU, and the
engine starts several Python processes a command. Here they are imported once; each plugin is a fork that has them
already, and that imports this repository's own modules afresh, so that an edit needs no restart.

The process stays single-threaded, for only then is a fork safe: nothing here may start gRPC or a thread. What a program
imported of the SDK is remembered (`warm.json`), and imported here for the next one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

# What every role needs. Nothing of this repository: a fork must see the files as they are now.
PRELOAD = (
    "asyncio",
    "boto3",
    "botocore.session",
    "grpc",
    "postgast",  # the packs' parser of SQL
    "pulumi",
    "pulumi.automation",
    "pulumi.runtime",
    "pulumi_policy",
    "runpy",
)
# The service models that take longest to read; boto3's default session keeps them for the provider.
MODELS = ("ec2", "iam", "rds", "s3")
LEARNED_PACKAGE = "pulumi_aws"


def _language(argv: list[str]) -> int:
    from sandbox.engine import host

    return host.main(argv)


def _provider(argv: list[str]) -> int:
    from sandbox.provider.__main__ import main

    sys.argv = ["sandbox.provider", *argv]
    return main()


def _program(argv: list[str]) -> int:
    from sandbox.engine import program

    return program.main(argv)


def _analyzer(argv: list[str]) -> int:
    # Exactly what the official host runs: `python -u -m pulumi.policy ENGINE DIRECTORY`.
    sys.argv = ["pulumi.policy", *argv]
    runpy.run_module("pulumi.policy", run_name="__main__", alter_sys=True)
    return 0


ROLES: dict[str, Callable[[list[str]], int]] = {
    "language": _language,
    "provider": _provider,
    "program": _program,
    "analyzer": _analyzer,
}


class Zygote:
    """Listens on a unix socket and forks one child per request; see `shim.request` for the message."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.warm = directory / "warm.json"
        self.children: dict[int, socket.socket] = {}
        self.imported: set[str] = set()
        self.selector = selectors.DefaultSelector()

    def preload(self) -> None:
        """Import what the roles need and what earlier programs used, then hand it to the permanent generation."""
        for name in (*PRELOAD, *self._learned()):
            if name not in self.imported:
                self.imported.add(name)
                with contextlib.suppress(ImportError):
                    # The SDK's packages are lazy: importing one makes a placeholder, asking for a name in it loads it.
                    getattr(importlib.import_module(name), "__all__", None)
        _read_models()
        gc.collect()
        gc.freeze()  # a collection in a child must not touch, and so copy, these pages

    def _learned(self) -> list[str]:
        try:
            names = json.loads(self.warm.read_text())
        except (OSError, ValueError):
            return []
        return [name for name in names if isinstance(name, str) and name.split(".")[0] == LEARNED_PACKAGE]

    def serve(self) -> NoReturn:
        """Listen until SIGTERM, or until the directory is gone."""
        listener = self._listen()
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command in front, not for us
        self.selector.register(listener, selectors.EVENT_READ)
        self.selector.register(wake_read, selectors.EVENT_READ)
        identity = os.fstat(listener.fileno()).st_ino, (self.directory / "zygote.sock").stat().st_ino
        try:
            while True:
                events = self.selector.select(timeout=2)
                for key, _ in events:
                    if key.fileobj is listener:
                        connection, _ = listener.accept()
                        self._fork(connection, listener, (wake_read, wake_write))
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wake_read, 4096)
                self._reap()
                if not events and not self._still_ours(identity[1]):
                    sys.exit(0)
        finally:
            for pid in self.children:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)

    def _still_ours(self, inode: int) -> bool:
        """Whether the socket is still the one made here; a removed sandbox must not leave this process behind."""
        try:
            return (self.directory / "zygote.sock").stat().st_ino == inode
        except OSError:
            return False

    def _listen(self) -> socket.socket:
        os.chdir(self.directory)  # the kernel takes 108 bytes of path, a checkout may be deeper
        with contextlib.suppress(FileNotFoundError):
            Path("zygote.sock").unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind("zygote.sock")
        Path("zygote.sock").chmod(0o600)
        listener.listen(32)
        return listener

    def _reap(self) -> None:
        ended = False
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            ended = True
            connection = self.children.pop(pid, None)
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.sendall(str(os.waitstatus_to_exitcode(status) & 0xFF).encode())
                connection.close()
        if ended and set(self._learned()) - self.imported:
            gc.unfreeze()
            self.preload()

    def _fork(self, connection: socket.socket, listener: socket.socket, wake: tuple[int, int]) -> None:
        try:
            message, streams = _receive(connection)
        except (OSError, ValueError) as error:
            print(f"zygote: unreadable request: {error}", file=sys.stderr, flush=True)
            connection.close()
            return
        pid = os.fork()
        if pid:
            with contextlib.suppress(OSError):  # the child does the same; whoever comes second is told so
                os.setpgid(pid, pid)
            for descriptor in streams:
                os.close(descriptor)
            self.children[pid] = connection
            return
        status = 1
        try:
            listener.close()
            for other in self.children.values():
                other.close()
            signal.set_wakeup_fd(-1)
            for end in wake:
                os.close(end)
            status = self._child(message, connection, streams)
        except SystemExit as leave:
            status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
            if isinstance(leave.code, str):
                print(leave.code, file=sys.stderr)
        except BaseException:  # noqa: BLE001 the child's last frame: whatever happened becomes its exit status
            import traceback

            traceback.print_exc()
        finally:
            for own in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    own.flush()
            os._exit(status)

    def _child(self, message: dict[str, Any], connection: socket.socket, streams: list[int]) -> int:
        os.setpgid(0, 0)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 the process's own stream
        sys.stdout, sys.stderr = _unbuffered(1), _unbuffered(2)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(message["env"])
        os.chdir(message["cwd"])
        threading.Thread(target=_leave_with, args=(connection,), daemon=True).start()
        status = ROLES[message["role"]](message["argv"])
        if message["role"] == "program":
            self._learn()
        return status

    def _learn(self) -> None:
        """Record the SDK's packages that this child imported beyond what it was born with."""
        used = {
            name
            for name, module in sys.modules.items()
            # A lazy package that was not looked into is still of another class; asking it anything would load it.
            if name.split(".")[0] == LEARNED_PACKAGE and name.count(".") <= 1 and type(module) is ModuleType
        }
        if used - self.imported:
            text = json.dumps(sorted(used | set(self._learned())))
            temporary = self.warm.with_suffix(f".{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(self.warm)


def _read_models() -> None:
    import boto3

    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        for service in MODELS:
            session._session.get_service_model(service)  # noqa: SLF001 boto3 itself has no way to ask for a model


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read one request: eight bytes of length with the streams' descriptors, then the JSON of `shim.request`."""
    header, streams, _, _ = socket.recv_fds(connection, 8, 3)
    length = int.from_bytes(header, "big")
    data = b""
    while len(data) < length:
        chunk = connection.recv(length - len(data))
        if not chunk:
            raise OSError("it ended early")
        data += chunk
    return json.loads(data), streams


def _unbuffered(descriptor: int) -> io.TextIOWrapper:
    """Open a stream as `python -u` does: the SDK writes a pack's port to the buffer below and flushes nothing."""
    return io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), write_through=True)


def _leave_with(connection: socket.socket) -> None:
    """End this process, and what it started in its group, when the other end of `connection` is gone."""
    with contextlib.suppress(OSError):
        while connection.recv(64):
            pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Run `python -m sandbox.engine.zygote DIRECTORY`."""
    zygote = Zygote(Path(sys.argv[1]).resolve())
    zygote.preload()
    zygote.serve()


if __name__ == "__main__":
    main()
