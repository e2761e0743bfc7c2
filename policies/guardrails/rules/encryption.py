"""Encryption at rest, for resources that have it as a switch of their own.

Not here: S3, DynamoDB, SQS and CloudWatch Logs encrypt whatever one says; which key they use is another question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..rule import Problem, Resource, Verdict
from ..unknown import known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHY = (
    "Whoever gets hold of the disk, a snapshot or a copy of it reads everything, and it cannot be encrypted afterwards."
)


def encrypted(flag: str, *, inherited_from: tuple[str, ...] = ()) -> Callable[[Resource], Iterator[Problem]]:
    """A check that a resource's switch for encryption is on.

    Args:
        flag: the switch. Absent means off.
        inherited_from: properties that name a source. With one of them, an absent switch takes the source's setting,
            which nobody can see here.
    """

    def check(resource: Resource) -> Iterator[Problem]:
        value = resource.read(flag)
        if on(value):
            return
        # Only the name of the source matters, so that it may be unknown (a snapshot of this stack).
        sources = [name for name in inherited_from if resource.properties.get(name) is not None]
        if value is None and sources:
            yield Problem(
                path=flag,
                message=f"it is absent, so whether the data is encrypted is up to what {sources[0]} names",
                remedy=f"Set {flag} to true: with an unencrypted source the update then fails instead of passing.",
                verdict=Verdict.UNDECIDABLE,
            )
        else:
            yield Problem(path=flag, message=f"it is {'absent' if value is None else 'false'}, so data is in the clear")

    return check


def on(value: object) -> bool:
    """Whether a switch is on; launch templates spell it as a string.

    Raises:
        UnknownRead: if it is not known yet.
    """
    value = known(value)
    return value is True or (isinstance(value, str) and value.lower() == "true")
