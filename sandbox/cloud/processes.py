"""Starting processes that must not outlive this one."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


def spawn(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process, like `subprocess.Popen`, from a thread that lives as long as this process does.

    The kernel's parent-death signal fires when the *thread* that forked ends, and the emulator runs each invocation in
    a thread of its own: a worker started there would die with it.
    """
    return _starter.submit(lambda: subprocess.Popen(*command, **options)).result()
