"""`ops doctor`: what is there, and what to do about what is not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ops.console import data, emit, leave, style
from ops.exit_codes import Exit


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that a rehearsal needs, as it was found.

    Attributes:
        name: What it is.
        ok: Whether it can be used as it is.
        version: Which version was found, or an empty string.
        source: From where.
        remedy: What to do when it is not ok.
    """

    name: str
    ok: bool
    version: str = ""
    source: str = ""
    remedy: str = ""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(*, as_json: bool) -> None:
    """Say what of the rehearsal's parts is present, which version, from where, and the remedy for what is missing.

    Exit code 0 when all is well, 1 when something is to be done.

    \b
    Examples:
      ops doctor
      ops doctor --json | jq '.parts[] | select(.ok | not)'
    """
    parts = [_python(), _packages(), _engine(), _go(), _memory(), _disk(), *_artifacts(), *_sandbox()]
    if as_json:
        emit("product-api/doctor/1", {"parts": [asdict(part) for part in parts]})
    else:
        for part in parts:
            mark = style("✓", fg="green") if part.ok else style("✗", fg="red")
            data(f"{mark} {part.name:<22} {part.version:<24} {part.source}".rstrip())
            if not part.ok:
                data(f"    {part.remedy}")
    leave(Exit.DONE if all(part.ok for part in parts) else Exit.FAILED)


def _python() -> Part:
    return Part(
        name="Python",
        ok=sys.version_info >= (3, 11),
        version=platform.python_version(),
        source=sys.executable,
        remedy="install Python 3.11 or newer, then `make setup PYTHON=python3.12`, say",
    )


def _packages() -> Part:
    """Compare what is installed with the lock."""
    import re
    from importlib.metadata import PackageNotFoundError, version

    lock = Path(__file__).parents[2] / "requirements" / "dev.txt"
    wrong = []
    locked = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)( ;)?", lock.read_text(), re.MULTILINE)
    for name, expected, marker in locked:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "" if not marker else expected  # one with a marker may be for another platform
        if found != expected:
            wrong.append(f"{name} {found or 'missing'}, locked {expected}")
    return Part(
        name="Python packages",
        ok=not wrong,
        version=f"{len(locked)} locked",
        source=str(lock.relative_to(Path(__file__).parents[2])),
        remedy=f"run `make setup`: {'; '.join(wrong[:3])}",
    )


def _engine() -> Part:
    from sandbox.engine import bootstrap

    found = bootstrap.find(dict(os.environ))
    return Part(
        name="Pulumi engine",
        ok=found is not None,
        version=found.version if found else "",
        source=f"{found.path} ({found.source})" if found else "",
        remedy=f"run `make setup`: {bootstrap.VERSION} from PATH, as the official archive, or built with Go",
    )


def _go() -> Part:
    """Go is needed only where no engine is there and none can be downloaded."""
    from sandbox.engine import bootstrap

    found = bootstrap.go(dict(os.environ))
    needed = bootstrap.find(dict(os.environ)) is None
    return Part(
        name="Go",
        ok=not needed or (found is not None and found.usable),
        version=found.version if found else "absent" if needed else "absent, not needed",
        source=str(found.path) if found else "",
        remedy="install Go 1.25 or newer, unless the official archive can be downloaded here",
    )


def _memory() -> Part:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Part(
        name="Memory",
        ok=total > 3 << 30,
        version=f"{total >> 30} GiB",
        remedy="a rehearsal needs about 1 GiB, the engine's build 3 GiB",
    )


def _disk() -> Part:
    from sandbox.session import directory

    place = directory(os.environ)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return Part(
        name="Disk",
        ok=free > 2 << 30,
        version=f"{free >> 30} GiB free",
        source=str(place),
        remedy="free 2 GiB, or set PRODUCT_API_SANDBOX to a directory on another disk",
    )


def _artifacts() -> list[Part]:
    build = Path(__file__).parents[2] / ".build"
    found = sorted([*build.glob("code.zip"), *build.glob("layer-*.zip")])
    if not found:
        return [Part(name="Artifacts", ok=True, version="not built yet", source="`ops up` builds them")]
    return [
        Part(name=f"Artifact {path.name}", ok=True, version=f"{path.stat().st_size >> 10} KiB", source=str(path))
        for path in found
    ]


def _sandbox() -> list[Part]:
    from sandbox import session

    directory = session.directory(os.environ)
    running = session.running(directory)
    if not running:
        return [Part(name="Sandbox", ok=True, version="not running", source="`ops up` starts it")]
    return [
        Part(
            name=f"Sandbox: {name.partition('-')[0]}",
            ok=True,
            version=f"{process.resident_bytes() >> 20} MiB",
            source=f"pid {process.pid}" + (f", 127.0.0.1:{process.port}" if process.port else ""),
        )
        for name, process in running.items()
    ]
