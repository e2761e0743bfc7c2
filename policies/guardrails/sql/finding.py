"""What the judge of SQL says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Class(Enum):
    """What a change does, worst first."""

    DESTRUCTIVE = "destructive"
    """Committed rows, columns or values cannot be read back afterwards."""
    INCOMPATIBLE = "incompatible"
    """The running version fails on the new schema, or the change cannot be applied as written."""
    LOCKING = "locking"
    """Reads or writes wait for a time that grows with the data."""
    UNDECIDABLE = "undecidable"
    """What would be executed cannot be known from the text."""
    WARNING = "warning"
    """Applies and is compatible, and still needs a person's decision."""
    SAFE = "safe"


ORDER = tuple(Class)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a statement does.

    Attributes:
        rule: the id of the rule.
        class_: what it does.
        statement: the statement's text, as written.
        line: the line of the SQL where the statement starts, from 1.
        message: what is wrong.
        remedy: the safe steps for this statement.
        revision: the revision that the SQL belongs to, if it does.
    """

    rule: str
    class_: Class
    statement: str
    line: int
    message: str
    remedy: str
    revision: str | None = None


def worst(findings: Iterable[Finding]) -> Class:
    """The worst class among findings; SAFE without any."""
    return min((finding.class_ for finding in findings), key=ORDER.index, default=Class.SAFE)
