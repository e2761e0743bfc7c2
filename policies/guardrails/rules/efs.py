"""Rules on shared file systems."""

from __future__ import annotations

from ..rule import Example, Rule
from .encryption import WHY, encrypted

_FILE_SYSTEM = "aws:efs/fileSystem:FileSystem"

RULES = (
    Rule(
        id="efs-encrypted",
        what="A shared file system is encrypted.",
        why=WHY,
        remedy="Set encrypted to true. A file system that exists is encrypted by copying its files into a new one.",
        types=frozenset({_FILE_SYSTEM}),
        check=encrypted("encrypted"),
        good=Example(type=_FILE_SYSTEM, properties={"encrypted": True}),
        bad=Example(type=_FILE_SYSTEM, properties={"creationToken": "shared"}),
        references=("CIS AWS Foundations 2.4.1", "AWS FSBP EFS.1", "NIST 800-53 SC-28"),
    ),
)
