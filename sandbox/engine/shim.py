"""What the engine starts as `pulumi-language-python` or `pulumi-resource-aws`: a hand-over to the warm process.

Standard library only and no site-packages, so that it costs one bare interpreter. It sends its arguments, environment,
working directory and standard streams to the zygote (see `zygote.py`), which forks a child that already has the SDK
imported; then it waits. When the engine ends the shim, the closed connection ends the child.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def connect(path: str) -> socket.socket:
    """Connect to a unix socket whose path may be longer than the 108 bytes the kernel takes."""
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
    return connection


def request(path: str, role: str, argv: list[str], cwd: str, env: dict[str, str], streams: list[int]) -> socket.socket:
    """Ask the zygote at `path` to play `role`; the connection lives as long as the child.

    Args:
        path: the zygote's socket.
        role: one of `zygote.ROLES`.
        argv: the role's arguments, without a program name.
        cwd: the child's working directory.
        env: its whole environment.
        streams: file descriptors of its standard input, output and error.

    Raises:
        OSError: no zygote listens there.
    """
    connection = connect(path)
    message = json.dumps({"role": role, "argv": argv, "cwd": cwd, "env": env}).encode()
    socket.send_fds(connection, [len(message).to_bytes(8, "big")], streams)
    connection.sendall(message)
    return connection


def wait(connection: socket.socket, parent: int | None = None) -> int:
    """Wait for the child's end and return its exit status; 1 when the zygote died before it could tell.

    With `parent`, also return when this process's parent is no longer that one: an engine that was killed can end
    nothing itself.
    """
    answer = b""
    connection.settimeout(None if parent is None else 1.0)
    while True:
        try:
            chunk = connection.recv(64)
        except TimeoutError:
            if os.getppid() != parent:
                return 1
            continue
        if not chunk:
            return int(answer) if answer.strip() else 1
        answer += chunk


def main() -> int:
    """Run `shim.py SOCKET ROLE ARGS…`."""
    path, role, *argv = sys.argv[1:]
    # The engine interrupts its plugins with SIGINT; leaving is all that there is to do.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        connection = request(path, role, argv, os.getcwd(), dict(os.environ), [0, 1, 2])  # noqa: PTH109 pathlib is slow to import
    except OSError as error:
        print(
            f"the sandbox's warm process does not answer ({error}); run `ops up` or `make down` and again",
            file=sys.stderr,
        )
        return 1
    return wait(connection, os.getppid())


if __name__ == "__main__":
    sys.exit(main())
