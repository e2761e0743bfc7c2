"""The exit codes of every command; a documented table that others rely on."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code of a command means."""

    DONE = 0
    FAILED = 1  # also: findings
    USAGE = 2  # or unreadable input
    BLOCKED_BY_POLICY = 3
    BLOCKED_BY_GATE = 4
    UNHEALTHY = 5
    ROLLED_BACK = 6
    DRIFT = 7
    INTERRUPTED = 130
