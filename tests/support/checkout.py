"""A copy of the checkout with a sandbox of its own, and `ops` run in it as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
# Slow machines exist; a test that waits longer than this hangs.
PATIENCE = 300.0


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """One copy of the repository, ready to run: the environment and the built layers are shared with the original."""

    root: Path

    @classmethod
    def copy(cls, root: Path) -> Checkout:
        """Copy what git would, with links to `.venv` and the layers."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        (root / ".venv").symlink_to(ROOT / ".venv")
        (root / ".build").mkdir()
        for layer in (ROOT / ".build").glob("layer-*.zip"):
            (root / ".build" / layer.name).symlink_to(layer)
        return cls(root=root)

    @property
    def sandbox(self) -> Path:
        """The directory of its sandbox."""
        return self.root / ".sandbox"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a person at this checkout: nothing of the sandbox in it."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "PULUMI_", "OPS_", "PRODUCT_API_SANDBOX"))
        }
        return {**kept, "PYTHONPATH": str(self.root), "NO_COLOR": "1", **more}

    def ops(
        self, *args: str, check: bool = True, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `ops` to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "ops", *args],
            cwd=cwd or self.root,
            env=self.environment(**env),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"ops {' '.join(args)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def begin(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """Start `ops` in a session of its own, to be interrupted."""
        return subprocess.Popen(
            [sys.executable, "-m", "ops", *args],
            cwd=self.root,
            env=self.environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def up(self, stack: str = "local", **env: str) -> dict[str, Any]:
        """Run `ops up --json` and return its report."""
        report: dict[str, Any] = json.loads(self.ops("up", stack, "--json", **env).stdout)
        return report

    def record(self, name: str) -> dict[str, Any]:
        """The record of a running process of the sandbox: pid, start time, port."""
        record: dict[str, Any] = json.loads((self.sandbox / "run" / f"{name}.json").read_text())
        return record

    def processes(self) -> list[int]:
        """Every process that belongs to this sandbox, by what its command line names."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace")
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if str(self.sandbox) in words and state != "Z":
                    found.append(int(entry.name))
        return found

    def engines(self) -> list[int]:
        """The engine's processes of this sandbox, found by its binary."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "cmdline").read_bytes().startswith(str(self.sandbox / "bin" / "pulumi").encode()):
                        found.append(int(entry.name))
        return found

    def end(self) -> None:
        """End whatever is left, however the test ended."""
        from sandbox import session

        session.stop(self.sandbox)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait for a condition to hold, and return what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")
