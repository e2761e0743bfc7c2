"""Finds the Pulumi command line, or obtains it: from PATH, as the official archive, or built from its Go module.

Standard library only: it runs before anything else is there. What is obtained is cached outside the checkout, by
version, so that it happens once a machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import platform
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = "3.259.0"  # go/go.mod and requirements/dev.in name the same; a test holds them together
GO_MINIMUM = (1, 25)
MODULE = Path(__file__).parent / "go"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
ARCHIVE = "https://github.com/pulumi/pulumi/releases/download/v{version}/pulumi-v{version}-{system}-{machine}.tar.gz"
# Of the official archives of VERSION, as the vendor's own Homebrew formula gives them.
ARCHIVE_SHA256 = {
    ("linux", "x64"): "94ba357acac23d01474084c4b00098dc0f7bc70ce13f34c777459254a5f718e5",
    ("linux", "arm64"): "edc8327463a72160bb36cf82cf5062da9c8a244290a706d9980988e7bf486853",
    ("darwin", "x64"): "eaca4c3b8277bfa3ab061fa3b270d1c66358a0b2e613da8c5587a04b7226c534",
    ("darwin", "arm64"): "57c27f179e527e2cf9f62b841a448af72a020e44b2fb4ee0d9bd85556c00c864",
}
CONNECT_SECONDS = 5.0  # a machine behind a closed network must not wait for what it cannot have
# Packages that the build compiles, from `go list -deps`; only for the progress line.
EXPECTED_PACKAGES = 1680


class EngineUnavailableError(Exception):
    """No engine was found and none could be obtained; the message lists what was tried and the remedies."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A Pulumi command line that can be used."""

    path: Path
    version: str
    source: Literal["PATH", "cache"]


@dataclass(frozen=True, kw_only=True)
class Go:
    """A Go toolchain as it was found; its version is empty when it does not run."""

    path: Path
    version: str

    @property
    def usable(self) -> bool:
        """Whether it can build the engine."""
        return _parse(self.version)[:2] >= GO_MINIMUM


def go(env: dict[str, str]) -> Go | None:
    """Return the Go toolchain on PATH, whatever its version, or None."""
    path = shutil.which("go", path=env.get("PATH", ""))
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "env", "GOVERSION"], env=env, capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Go(path=Path(path), version="")
    return Go(path=Path(path), version=done.stdout.strip())


def cache_directory(env: dict[str, str]) -> Path:
    """Where engines are kept on this machine, by the XDG base directory specification."""
    root = env.get("PRODUCT_API_CACHE") or Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache", "product-api")
    return Path(root) / "engine"


def find(env: dict[str, str]) -> Engine | None:
    """Return the engine that is there already, or None: one on PATH that is new enough, else the cached one."""
    on_path = shutil.which("pulumi", path=env.get("PATH", ""))
    if on_path:
        version = _version(Path(on_path))
        if version and _parse(version) >= _parse(VERSION):
            return Engine(path=Path(on_path), version=version, source="PATH")
    cached = cache_directory(env) / VERSION / "pulumi"
    if cached.exists() and (version := _version(cached)):
        return Engine(path=cached, version=version, source="cache")
    return None


def obtain(env: dict[str, str], progress: Callable[[str], None]) -> Engine:
    """Return an engine, downloading or building it when there is none; `progress` gets one line at a time.

    Raises:
        EngineUnavailableError: no way led to one.
    """
    if engine := find(env):
        return engine
    target = cache_directory(env) / VERSION
    target.mkdir(parents=True, exist_ok=True)
    with _lock(target / ".lock", progress):
        if engine := find(env):  # another process was faster
            return engine
        tried = [_tell_path(env)]
        for attempt in (_download, _build):
            try:
                attempt(env, target, progress)
            except EngineUnavailableError as error:
                tried.append(str(error))
            else:
                if engine := find(env):
                    return engine
                tried.append(f"{target / 'pulumi'} does not run here")
    raise EngineUnavailableError(
        "no Pulumi engine, and none could be obtained:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + "any one of these mends it:\n"
        f"  1. install Pulumi {VERSION} or newer and put `pulumi` on PATH\n"
        f"  2. allow the download of {_archive_url() or 'the official archive'}\n"
        f"  3. install Go {'.'.join(map(str, GO_MINIMUM))} or newer with access to a Go module proxy (GOPROXY)"
    )


def _tell_path(env: dict[str, str]) -> str:
    on_path = shutil.which("pulumi", path=env.get("PATH", ""))
    if not on_path:
        return "no `pulumi` on PATH"
    return f"`pulumi` on PATH is {_version(Path(on_path)) or 'not running'}, {VERSION} or newer is needed"


def _version(binary: Path) -> str | None:
    try:
        done = subprocess.run(
            [str(binary), "version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.fullmatch(r"v?(\d+\.\d+\.\d+\S*)", done.stdout.strip())
    return match[1] if match else None


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _platform() -> tuple[str, str]:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    return platform.system().lower(), machine.get(platform.machine().lower(), platform.machine().lower())


def _archive_url() -> str | None:
    system, machine = _platform()
    if (system, machine) not in ARCHIVE_SHA256:
        return None
    return ARCHIVE.format(version=VERSION, system=system, machine=machine)


def _download(_env: dict[str, str], target: Path, progress: Callable[[str], None]) -> None:
    url = _archive_url()
    if url is None:
        raise EngineUnavailableError(f"there is no official archive for {' '.join(_platform())}")
    progress(f"looking for the official archive of Pulumi {VERSION}")
    with tempfile.TemporaryDirectory(dir=target) as work:
        archive = Path(work, "pulumi.tar.gz")
        digest = hashlib.sha256()
        try:
            with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as response, archive.open("wb") as file:  # noqa: S310
                total = int(response.headers.get("Content-Length") or 0)
                shown = 0.0
                while chunk := response.read(1 << 20):
                    file.write(chunk)
                    digest.update(chunk)
                    if time.monotonic() - shown > 1:
                        shown = time.monotonic()
                        progress(f"downloaded {file.tell() >> 20} of {total >> 20} MB")
        except (OSError, urllib.error.URLError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise EngineUnavailableError(f"the official archive cannot be downloaded: {reason}") from error
        if digest.hexdigest() != ARCHIVE_SHA256[_platform()]:
            raise EngineUnavailableError(
                f"the archive's checksum is {digest.hexdigest()}, not {ARCHIVE_SHA256[_platform()]}: it was not used"
            )
        with tarfile.open(archive) as files:
            # The command line alone: the sandbox has its own language host, and AWS's comes with an official install.
            member = next((m for m in files.getmembers() if m.isfile() and Path(m.name).name == "pulumi"), None)
            source = files.extractfile(member) if member else None
            if source is None:
                raise EngineUnavailableError("the official archive holds no `pulumi`")
            binary = Path(work, "pulumi")
            with source, binary.open("wb") as out:
                shutil.copyfileobj(source, out)
        binary.chmod(0o755)
        binary.replace(target / "pulumi")


def _build(env: dict[str, str], target: Path, progress: Callable[[str], None]) -> None:
    found = go(env)
    if found is None:
        raise EngineUnavailableError("it cannot be built: no `go` on PATH")
    if not found.usable:
        fault = f"is {found.version}, which is too old" if found.version else "does not run"
        raise EngineUnavailableError(f"it cannot be built: {found.path} {fault}")
    with tempfile.TemporaryDirectory(dir=target) as work:
        binary = Path(work, "pulumi")
        ldflags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}"
        command = [str(found.path), "build", "-v", "-mod=readonly", "-ldflags", ldflags, "-o", str(binary), PACKAGE]
        progress("building Pulumi from its Go module, 4 to 12 minutes once on this machine")
        started = time.monotonic()
        downloaded = compiled = 0
        last: list[str] = []
        shown = 0.0
        with subprocess.Popen(
            command,
            cwd=MODULE,
            # GOFLAGS=-mod=mod in a user's settings would rewrite the locked go.sum.
            env={**env, "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,  # what it starts in turn is ended with it
        ) as process:
            assert process.stdout is not None  # noqa: S101 it is a pipe
            try:
                for line in process.stdout:
                    downloaded += line.startswith("go: downloading")
                    compiled += not line.startswith("go: ")
                    last = [*last[-4:], line.strip()]
                    if time.monotonic() - shown > 2:
                        shown = time.monotonic()
                        progress(_build_line(downloaded, compiled, shown - started))
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # Ctrl-C must not leave a compiler running
                raise
        if process.returncode:
            raise EngineUnavailableError("the Go build failed: " + " | ".join(last))
        progress(f"built in {time.monotonic() - started:.0f} s")
        binary.replace(target / "pulumi")


def _build_line(downloaded: int, compiled: int, seconds: float) -> str:
    if not compiled:
        return f"downloading Go modules, {downloaded} so far ({seconds:.0f} s)"
    share = min(compiled / EXPECTED_PACKAGES, 0.99)
    left = f", about {seconds / share - seconds:.0f} s left" if share > 0.1 else ""
    return f"compiling package {compiled} of about {EXPECTED_PACKAGES} ({seconds:.0f} s{left})"


@contextlib.contextmanager
def _lock(path: Path, progress: Callable[[str], None]) -> Iterator[None]:
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process is obtaining it; waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
