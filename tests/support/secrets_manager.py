"""Secrets Manager in memory, with the real client's shapes and errors."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass(kw_only=True)
class FakeSecretsManager:
    """Secrets by name, each with versions by stage; a version that has lost its last stage is gone, as on AWS.

    Attributes:
        secrets: What there is: values by stage; a secret without a version is empty.
        versions: The version that has a stage, by secret and stage; one whose value nobody has written is pending.
        rotating: The secrets whose rotation is enabled.
        reads: The calls of GetSecretValue so far, as secret and stage.
    """

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    rotating: set[str] = field(default_factory=set)
    reads: list[tuple[str, str]] = field(default_factory=list)

    def create(self, name: str, **login: str) -> None:
        """Make a secret, with a login or empty."""
        self.secrets[name] = {"AWSCURRENT": json.dumps(login)} if login else {}
        self.versions[name] = {"AWSCURRENT": str(uuid.uuid4())} if login else {}

    def login(self, name: str, stage: str = "AWSCURRENT") -> dict[str, str]:
        """The login of a secret."""
        login: dict[str, str] = json.loads(self.secrets[name][stage])
        return login

    def rotate(self, name: str, version: str) -> dict[str, str]:
        """What RotateSecret does before it invokes anybody: a version that is pending and has no value.

        Returns:
            What is the same in the events of all steps.
        """
        self.rotating.add(name)
        self.secrets[name].pop("AWSPENDING", None)
        self.versions[name]["AWSPENDING"] = version
        return {"SecretId": arn(name), "ClientRequestToken": version}

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        """GetSecretValue."""
        name = _name(SecretId)
        self.reads.append((name, VersionStage))
        try:
            return {"SecretString": self.secrets[name][VersionStage]}
        except KeyError:
            raise _not_found("GetSecretValue") from None

    def put_secret_value(
        self,
        *,
        SecretId: str,  # noqa: N803 - AWS's
        SecretString: str,  # noqa: N803
        ClientRequestToken: str = "",  # noqa: N803
        VersionStages: tuple[str, ...] = ("AWSCURRENT",),  # noqa: N803
    ) -> dict[str, Any]:
        """PutSecretValue; a version's value is written once."""
        name, version = _name(SecretId), ClientRequestToken or str(uuid.uuid4())
        if name not in self.secrets:
            raise _not_found("PutSecretValue")
        written = {id_: self.secrets[name].get(stage) for stage, id_ in self.versions[name].items()}
        if written.get(version, SecretString) not in {None, SecretString}:
            raise _error("PutSecretValue", "ResourceExistsException", "A resource with the ID you requested exists.")
        for stage in VersionStages:
            self.secrets[name][stage], self.versions[name][stage] = SecretString, version
        return {}

    def describe_secret(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        """DescribeSecret."""
        name = _name(SecretId)
        if name not in self.secrets:
            raise _not_found("DescribeSecret")
        stages: dict[str, list[str]] = {}
        for stage, version in self.versions[name].items():
            stages.setdefault(version, []).append(stage)
        known = {"ARN": arn(name), "Name": name, "VersionIdsToStages": stages}
        # The real one leaves it out where rotation was never configured.
        return known | ({"RotationEnabled": True} if name in self.rotating else {})

    def update_secret_version_stage(
        self,
        *,
        SecretId: str,  # noqa: N803 - AWS's
        VersionStage: str,  # noqa: N803
        MoveToVersionId: str,  # noqa: N803
        RemoveFromVersionId: str,  # noqa: N803
    ) -> dict[str, Any]:
        """UpdateSecretVersionStage; what was current becomes the previous one."""
        name = _name(SecretId)
        values, versions = self.secrets[name], self.versions[name]
        if versions[VersionStage] != RemoveFromVersionId:
            raise _error("UpdateSecretVersionStage", "InvalidParameterException", "The version has no such stage.")
        [value] = {values[stage] for stage, version in versions.items() if version == MoveToVersionId}
        values["AWSPREVIOUS"], versions["AWSPREVIOUS"] = values[VersionStage], versions[VersionStage]
        values[VersionStage], versions[VersionStage] = value, MoveToVersionId
        return {}


def arn(name: str) -> str:
    """The ARN of a secret."""
    return f"arn:aws:secretsmanager:eu-central-1:111122223333:secret:{name}-AbCdEf"


def _name(secret: str) -> str:
    return secret.removesuffix("-AbCdEf").rpartition(":")[2]


def _not_found(operation: str) -> ClientError:
    return _error(operation, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")


def _error(operation: str, code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)
