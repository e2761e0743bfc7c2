"""`python -m sandbox.cloud --directory DIR --port PORT [--layers DIR]`: serve the played AWS on loopback.

Data goes below DIR; the log goes to stderr. Ends on SIGTERM within 3 seconds, with every process that it has started.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import IO

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR")
"""What the emulator may see of the caller's environment: no AWS_*, no settings of its own."""


def _clean_environment(run: Path, port: int) -> None:
    """Set the environment that the emulator reads when it is imported."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(
        kept,
        HOME=str(run),  # no ~/.aws
        TMPDIR=str(run),
        AUTH="true",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        MINISTACK_HOST="127.0.0.1",
        MINISTACK_REGION="eu-central-1",
        MINISTACK_WORKER_THREADS="16",
        STATE_DIR=str(run / "emulator"),
        S3_DATA_DIR=str(run / "emulator-s3"),
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        DOCKER_HOST="unix:///nonexistent",
        LOG_LEVEL="WARNING",
        AWS_EC2_METADATA_DISABLED="true",
    )


def _fail(message: str) -> int:
    sys.stderr.write(f"sandbox.cloud: {message}\n")
    return 1


def _lock(directory: Path) -> IO[str]:
    """Hold the folder for this process.

    Raises:
        BlockingIOError: if another process holds it.
    """
    file = (directory / "lock").open("a")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def main() -> int:
    """Serve until told to end.

    Returns:
        The exit code: 0 after SIGTERM, 1 with one line on stderr when it cannot serve.
    """
    parser = argparse.ArgumentParser(prog="python -m sandbox.cloud", description="Serve the played AWS on loopback.")
    parser.add_argument("--directory", type=Path, required=True, help="where state, data and keys are kept")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--layers", type=Path, help="layer zips that may stand in for one of another interpreter")
    options = parser.parse_args()
    directory: Path = options.directory.absolute()
    layers: Path | None = options.layers.absolute() if options.layers else None
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", options.port))
    except (OSError, OverflowError) as error:
        return _fail(f"port {options.port} on 127.0.0.1 cannot be taken ({error}): give another one with --port")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        held = _lock(directory)
    except BlockingIOError:
        return _fail(f"{directory} is in use by another sandbox: stop that one, or give another --directory")
    except OSError as error:
        return _fail(f"{directory} cannot be written to ({error.strerror}): free some room or give another --directory")
    with held, bound:
        return _serve(directory, bound, layers)


def _serve(directory: Path, bound: socket.socket, layers: Path | None) -> int:
    import asyncio
    import logging

    from sandbox.cloud.patches import EmulatorChangedError, check_version
    from sandbox.cloud.server import run_folder, serve

    try:
        with run_folder(directory) as run:
            check_version()
            _clean_environment(run, bound.getsockname()[1])
            logging.basicConfig(
                level=logging.WARNING, format="%(asctime)s %(levelname)s [%(name)s] %(message)s", stream=sys.stderr
            )
            logging.getLogger("sandbox").setLevel(logging.INFO)
            asyncio.run(serve(directory, run, bound, layers))
    except EmulatorChangedError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(
            f"{directory} cannot be used ({error.strerror or error}): free some room or give another --directory"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
