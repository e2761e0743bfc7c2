"""What is a stack's own, in the words of IAM: names, and the tags that stand in for names that AWS makes up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from naming import Names

    Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]

# The default tags of every stack that say whose a thing is; nobody who deploys may change them.
OWNER = ("project", "stack")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One stack, or all stacks of the account.

    Attributes:
        names: The names of the stack.
        every: Whether all stacks are meant; whoever may only look is not told one from the other.
        protected: Whether what holds data is beyond it: that goes by an administrator's hand only.
    """

    names: Names
    every: bool = False
    protected: bool = False

    @property
    def prefix(self) -> str:
        """What names begin with."""
        return f"{self.names.project}-" if self.every else self.names.name("")

    @cached_property
    def _tags(self) -> dict[str, str]:
        project = {"project": self.names.project}
        return project if self.every else {**project, "stack": self.names.stack}

    def own(self, service: str, *kinds: str) -> tuple[str, ...]:
        """Return patterns of ARNs of things named after the stack; a kind ends where the name begins, as in `db:`."""
        return tuple(self.names.arn(service, f"{kind}{self.prefix}*") for kind in kinds)

    def any(self, service: str, *kinds: str) -> tuple[str, ...]:
        """Return patterns of ARNs of things whose names AWS makes up; tags must say whose they are."""
        return tuple(self.names.arn(service, f"{kind}*") for kind in kinds)

    def own_iam(self, *kinds: str) -> tuple[str, ...]:
        """Return patterns of ARNs of things of IAM named after the stack."""
        return tuple(self.names.iam(f"{kind}/{self.prefix}*") for kind in kinds)

    def own_buckets(self, objects: str = "") -> tuple[str, ...]:
        """Return the pattern of ARNs of the stack's own buckets, or of objects in them; see `Names.stack_bucket`."""
        bucket = f"arn:{self.names.partition}:s3:::{self.prefix}*-{self.names.account}"
        return (f"{bucket}/{objects}" if objects else bucket,)

    @property
    def tagged(self) -> dict[str, dict[str, str]]:
        """The condition that a thing is tagged as the stack's own."""
        return {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in self._tags.items()}}

    @property
    def tagging(self) -> dict[str, dict[str, str]]:
        """The condition that a request tags what it makes as the stack's own."""
        return {"StringEquals": {f"aws:RequestTag/{key}": value for key, value in self._tags.items()}}

    @property
    def claiming(self) -> dict[str, dict[str, str]]:
        """The condition that a request tags what is nobody's yet, or is its own already, and as nobody else's."""
        own = {f"aws:{whose}Tag/{key}": value for whose in ("Request", "Resource") for key, value in self._tags.items()}
        return {"StringEqualsIfExists": own}

    @property
    def keeping(self) -> dict[str, dict[str, str]]:
        """The condition that a request may set every tag, but not say that a thing is somebody else's."""
        return {"StringEqualsIfExists": {f"aws:RequestTag/{key}": value for key, value in self._tags.items()}}

    @property
    def retagging(self) -> dict[str, dict[str, str]]:
        """The same, for a thing that only its tags say to be the stack's own."""
        return {**self.tagged, **self.keeping}

    @property
    def untagging(self) -> dict[str, dict[str, str | Sequence[str]]]:
        """The condition that a request takes tags off a thing of the stack's own, but not those that say whose."""
        return both(self.tagged, {"ForAllValues:StringNotEquals": {"aws:TagKeys": OWNER}})


def both(*conditions: Conditions) -> dict[str, dict[str, str | Sequence[str]]]:
    """Return one condition that holds where all do."""
    merged: dict[str, dict[str, str | Sequence[str]]] = {}
    for condition in conditions:
        for operator, keys in condition.items():
            merged.setdefault(operator, {}).update(keys)
    return merged
