"""Secrets Manager in memory, with the real client's shapes and errors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass(kw_only=True)
class FakeSecretsManager:
    """Secrets by name, each with versions by stage.

    Attributes:
        secrets: What there is; a secret without a version is empty.
        reads: The calls of GetSecretValue so far, as secret and stage.
    """

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    reads: list[tuple[str, str]] = field(default_factory=list)

    def create(self, name: str, **login: str) -> None:
        """Make a secret, with a login or empty."""
        self.secrets[name] = {"AWSCURRENT": json.dumps(login)} if login else {}

    def login(self, name: str) -> dict[str, str]:
        """The current login of a secret."""
        login: dict[str, str] = json.loads(self.secrets[name]["AWSCURRENT"])
        return login

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        """GetSecretValue."""
        self.reads.append((SecretId, VersionStage))
        try:
            return {"SecretString": self.secrets[SecretId][VersionStage]}
        except KeyError:
            raise _not_found("GetSecretValue") from None

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        """PutSecretValue."""
        if SecretId not in self.secrets:
            raise _not_found("PutSecretValue")
        self.secrets[SecretId]["AWSCURRENT"] = SecretString
        return {}


def _not_found(operation: str) -> ClientError:
    error = {"Code": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret."}
    return ClientError({"Error": error}, operation)
