"""Which of the two targets a command acts on: the sandbox, unless AWS is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.console import CommandError
from ops.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "OPS_TARGET"
TARGETS = ("sandbox", "aws")


def chosen(env: Mapping[str, str], *, aws: bool = False) -> str:
    """Return the target: `aws` by flag or variable, else the sandbox.

    Raises:
        CommandError: the variable names no target.
    """
    target = "aws" if aws else env.get(VARIABLE) or "sandbox"
    if target not in TARGETS:
        raise CommandError(f"{VARIABLE} is {target!r}: set it to {' or '.join(TARGETS)}, or unset it", Exit.USAGE)
    return target


@dataclass(frozen=True, kw_only=True)
class Described:
    """A target as a command would meet it; `ops env show` prints it."""

    target: str
    stack: str
    account: str
    region: str
    state: str
    policy_pack: str
    endpoints: dict[str, str]
    running: dict[str, int]
