"""What SQL does to the data that is there, without Pulumi and without a database.

Importing this is cheap: the parser (0.25 s) is loaded by the first judgement.
"""

from .finding import Class, Finding, worst
from .judge import Judge, judge
from .nodes import normalized

__all__ = ["Class", "Finding", "Judge", "judge", "normalized", "worst"]
