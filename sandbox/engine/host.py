"""A Pulumi language host for Python, over the SDK's own protobuf stubs.

The official one is a Go program that no package registry serves. This one answers the same service
(`language.proto`); it lets the warm process fork the program and the policy packs, or starts another interpreter where
a program names its own virtual environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from sandbox.engine import program, shim

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

# Plans of thousands of resources pass through here; the SDK lifts the same limit.
MESSAGE_LIMIT = 1024 * 1024 * 400
ZYGOTE = "SANDBOX_ZYGOTE"


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """One host per engine process, as the engine starts them."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.running: set[Child] = set()

    def Handshake(self, request: Any, _context: Any) -> Any:  # noqa: N802 the protocol's names
        """Take the engine's address when it attaches instead of passing it as an argument."""
        self.engine = request.engine_address or self.engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Say which version this host is: the SDK's, whose contract it keeps."""
        from importlib.metadata import version

        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def About(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Say which interpreter runs programs, for `pulumi about`."""
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetRequiredPackages(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Name the providers whose SDK the program's interpreter has.

        A package that is reported but has no plugin costs the engine seconds of download attempts, so that only SDKs
        which declare a resource plugin count.
        """
        packages = []
        for folder in _site_packages(_interpreter(request.info)):
            for declaration in sorted(folder.glob("*/pulumi-plugin.json")):
                plugin = json.loads(declaration.read_text())
                if plugin.get("resource"):
                    name = plugin.get("name") or declaration.parent.name.removeprefix("pulumi_")
                    packages.append(
                        plugin_pb2.PackageDependency(
                            name=name,
                            kind="resource",
                            version=plugin.get("version", ""),
                            server=plugin.get("server", ""),
                        )
                    )
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def GetProgramDependencies(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """List the installed distributions, for `pulumi about`."""
        from importlib.metadata import distributions

        found = sorted({(d.metadata["Name"], d.version) for d in distributions()})
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in found]
        )

    def InstallDependencies(self, _request: Any, _context: Any) -> Iterator[Any]:  # noqa: N802
        """Install nothing: dependencies come locked, by `make setup`."""
        text = "Dependencies are installed by `make setup`, from the locks in requirements/.\n"
        yield language_pb2.InstallDependenciesResponse(stdout=text.encode())

    def RuntimeOptionsPrompts(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Ask nothing when a project is made."""
        return language_pb2.RuntimeOptionsResponse()

    def Run(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Run a program to its end."""
        message = json.dumps(
            {
                "project": request.project,
                "stack": request.stack,
                "organization": request.organization,
                "pwd": request.pwd,
                "root_directory": request.info.root_directory,
                "program_directory": request.info.program_directory or request.pwd,
                "entry_point": request.info.entry_point or request.program or ".",
                "args": list(request.args),
                "config": dict(request.config),
                "config_secret_keys": list(request.configSecretKeys),
                "dry_run": request.dryRun,
                "parallel": request.parallel,
                "monitor": request.monitor_address,
                "engine": self.engine,
            }
        )
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        interpreter = _interpreter(request.info)
        if not os.access(interpreter, os.X_OK):
            return language_pb2.RunResponse(
                error=f"the program's `virtualenv` option names an interpreter that is not there: {interpreter}; "
                "make that virtual environment, or drop the option to use this one"
            )
        status = self._wait(Child.start(interpreter, "program", [message], request.pwd, env, [0, 1, 2]))
        if status == program.SHOWN:
            return language_pb2.RunResponse(bail=True)
        if status:
            return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {status}")
        return language_pb2.RunResponse()

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Run a policy pack, streaming what it prints and then its exit status."""
        if request.kind != "analyzer":
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"this host runs policy packs, not a plugin of kind {request.kind}"
            )
        env = dict(entry.split("=", 1) for entry in request.env if "=" in entry)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        argv = [*request.args, request.info.program_directory]
        # A pack runs with its own folder as the root of its imports, so that no module of the project leaks in.
        child = Child.start(_interpreter(request.info), "analyzer", argv, request.pwd, env, [0, out_write, err_write])
        os.close(out_write)
        os.close(err_write)
        self.running.add(child)
        context.add_callback(child.end)
        output: queue.Queue[Any] = queue.Queue()

        def pump(descriptor: int, wrap: Callable[[bytes], Any]) -> None:
            with open(descriptor, "rb", buffering=0) as stream:
                while data := stream.read(65536):
                    output.put(wrap(data))
            output.put(None)

        streams: tuple[tuple[int, Callable[[bytes], Any]], ...] = (
            (out_read, lambda data: language_pb2.RunPluginResponse(stdout=data)),
            (err_read, lambda data: language_pb2.RunPluginResponse(stderr=data)),
        )
        for descriptor, wrap in streams:
            threading.Thread(target=pump, args=(descriptor, wrap), daemon=True).start()
        open_streams = 2
        while open_streams:
            item = output.get()
            if item is None:
                open_streams -= 1
            else:
                yield item
        yield language_pb2.RunPluginResponse(exitcode=self._wait(child))

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """End what runs: an engine that was interrupted waits for its programs."""
        from google.protobuf import empty_pb2

        for child in list(self.running):
            child.end()
        return empty_pb2.Empty()

    def _wait(self, child: Child) -> int:
        self.running.add(child)
        try:
            return child.wait()
        finally:
            self.running.discard(child)


class Child:
    """A running program or pack: forked by the zygote, or started cold."""

    def __init__(self, connection: socket.socket | None, process: subprocess.Popen[bytes] | None) -> None:
        self._connection = connection
        self._process = process

    @classmethod
    def start(
        cls, interpreter: str, role: str, argv: list[str], cwd: str, env: dict[str, str], streams: list[int]
    ) -> Child:
        """Start `role` warm where the program wants this interpreter and a zygote answers, else cold."""
        zygote = os.environ.get(ZYGOTE)
        if zygote and _same(interpreter, sys.executable):
            with contextlib.suppress(OSError):
                return cls(shim.request(zygote, role, argv, cwd, env, streams), None)
        command = {
            "program": [interpreter, "-u", program.__file__, *argv],
            "analyzer": [interpreter, "-u", "-m", "pulumi.policy", *argv],
        }[role]
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=streams[0], stdout=streams[1], stderr=streams[2])
        return cls(None, process)

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        if self._process is not None:
            return self._process.wait()
        assert self._connection is not None  # noqa: S101 one of the two is set
        try:
            return shim.wait(self._connection)
        except OSError:  # `end` closed it
            return 1

    def end(self) -> None:
        """End it now; harmless when it has ended."""
        if self._process is not None:
            self._process.kill()
        elif self._connection is not None:
            import socket as sockets

            with contextlib.suppress(OSError):
                self._connection.shutdown(sockets.SHUT_RDWR)


def _interpreter(info: Any) -> str:
    """The interpreter that a project asks for: its `virtualenv` option, else the one that runs this host."""
    options = json_format.MessageToDict(info.options)
    virtualenv = options.get("virtualenv")
    if not virtualenv:
        return sys.executable
    return str(Path(info.root_directory, virtualenv, "bin", "python"))


def _same(left: str, right: str) -> bool:
    """Whether two interpreters are one environment: the same `bin`, whatever the link in it is called."""
    return Path(left).parent.resolve() == Path(right).parent.resolve()


def _site_packages(interpreter: str) -> list[Path]:
    if _same(interpreter, sys.executable):
        return [Path(entry) for entry in sys.path if entry.endswith("site-packages")]
    return sorted(Path(interpreter).parent.parent.glob("lib/python*/site-packages"))


def main(argv: list[str]) -> int:
    """Serve until the engine goes; `argv` ends with the engine's address. The port is the first line on stdout."""
    engine = next((a for a in reversed(argv) if not a.startswith("-")), "")
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16),
        options=[("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
