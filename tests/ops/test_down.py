"""What a stack leaves when it goes, by what its resources say of their end."""

from __future__ import annotations

from typing import Any

import pytest

from ops.commands.down import staying


def resource(kind: str, id_: str, *, retained: bool = False, **said: Any) -> dict[str, Any]:
    option = {"retainOnDelete": True} if retained else {}
    return {"type": kind, "urn": "urn", "id": id_, "inputs": {}, "outputs": said, **option}


@pytest.mark.parametrize(
    ("kind", "said", "lines"),
    [
        ("aws:kms/key:Key", {"deletionWindowInDays": 7}, ["key it, which waits 7 days for its deletion"]),
        (
            "aws:kms/key:Key",
            {"deletionWindowInDays": 30, "retained": True},
            ["key it, without which no snapshot can be restored"],
        ),
        (
            "aws:backup/vaultLockConfiguration:VaultLockConfiguration",
            {"retained": True},
            ["vault lock configuration it, which sees to that"],
        ),
        ("aws:s3/bucket:Bucket", {"retained": True}, ["bucket it, which the program retains"]),
        (
            "aws:rds/instance:Instance",
            {
                "identifier": "db",
                "skipFinalSnapshot": False,
                "finalSnapshotIdentifier": "last",
                "deleteAutomatedBackups": False,
                "backupRetentionPeriod": 35,
            },
            ["final snapshot last, the data as it was at the end", "automated backups of db, each for 35 days"],
        ),
        ("aws:rds/instance:Instance", {"skipFinalSnapshot": True, "deleteAutomatedBackups": True}, []),
        # A rehearsal lets go of them, which is told apart.
        ("aws:secretsmanager/secret:Secret", {"recoveryWindowInDays": 30}, []),
        ("aws:lambda/function:Function", {"memorySize": 128}, []),
    ],
)
def test_what_stays_is_told_with_why(kind: str, said: dict[str, Any], lines: list[str]) -> None:
    assert lines == staying([resource(kind, "it", **said)])
