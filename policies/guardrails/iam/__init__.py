"""What IAM documents mean, without Pulumi: read, normalise, judge."""

from .document import Document, Kind, read
from .judge import Finding, Verdict, judge

__all__ = ["Document", "Finding", "Kind", "Verdict", "judge", "read"]
