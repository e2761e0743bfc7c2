"""Where Pulumi's state of an account lives so that a team can share it: a bucket, and a key for what is secret in it.

By the API and not by a program: the state of whatever made it would have to live there already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.console import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from ops.target import Target

    Step = Callable[["Backend"], "Made"]

NO_POLICY = "NoSuchBucketPolicy"
UNSET = (NO_POLICY, "NoSuchPublicAccessBlockConfiguration", "ServerSideEncryptionConfigurationNotFoundError")


@dataclass(frozen=True, kw_only=True)
class Made:
    """One part of the backend.

    Attributes:
        what: What it is, as people read it.
        name: Its name.
        state: `found` as it should be, `made`, or `mended`.
    """

    what: str
    name: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The backend of one account.

    Attributes:
        names: The names of any of its stacks.
        s3: A client.
        kms: A client.
    """

    names: Names
    s3: Any
    kms: Any

    @property
    def bucket(self) -> str:
        """The bucket of the state."""
        return self.names.bucket("state")

    @property
    def alias(self) -> str:
        """The alias of the key."""
        return f"alias/{self.names.of_account('state')}"

    @property
    def url(self) -> str:
        """What `PULUMI_BACKEND_URL` is then; the engine locks each stack there by itself."""
        return f"s3://{self.bucket}?region={self.names.region}"

    @property
    def secrets_provider(self) -> str:
        """What encrypts secrets in the state."""
        return f"awskms:///{self.alias}?region={self.names.region}"

    def ensure(self) -> list[Made]:
        """Make what is missing and mend what is not as it should be; safe to repeat.

        Raises:
            CommandError: AWS refuses.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        made = []
        for step in (
            Backend._key,
            Backend._rotation,
            Backend._bucket,
            Backend._versioning,
            Backend._encryption,
            Backend._private,
            Backend._policy,
        ):
            try:
                made.append(step(self))
            except (BotoCoreError, ClientError) as error:
                raise CommandError(
                    f"the state's backend of account {self.names.account} cannot be made ({error}): act as an "
                    "administrator of the account, and run the command again, which goes on where it stopped"
                ) from error
        return made

    def _key(self) -> Made:
        try:
            self.kms.describe_key(KeyId=self.alias)
        except self.kms.exceptions.NotFoundException:
            key = self.kms.create_key(
                Description=f"Secrets in Pulumi's state, account {self.names.account}",
                Tags=[{"TagKey": key, "TagValue": value} for key, value in self._tags().items()],
            )["KeyMetadata"]["KeyId"]
            self.kms.create_alias(AliasName=self.alias, TargetKeyId=key)
            return Made(what="key", name=self.alias, state="made")
        return Made(what="key", name=self.alias, state="found")

    def _rotation(self) -> Made:
        key = self._key_arn()
        if self.kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]:
            return Made(what="key rotation", name=self.alias, state="found")
        self.kms.enable_key_rotation(KeyId=key)
        return Made(what="key rotation", name=self.alias, state="made")

    def _bucket(self) -> Made:
        from botocore.exceptions import ClientError

        try:
            self.s3.head_bucket(Bucket=self.bucket, ExpectedBucketOwner=self.names.account)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ("404", "NoSuchBucket"):
                raise
            place = {} if self.names.region == "us-east-1" else {"LocationConstraint": self.names.region}
            options = {"CreateBucketConfiguration": place} if place else {}
            self.s3.create_bucket(Bucket=self.bucket, **options)
            pairs = [{"Key": key, "Value": value} for key, value in self._tags().items()]
            self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": pairs})
            return Made(what="bucket", name=self.bucket, state="made")
        return Made(what="bucket", name=self.bucket, state="found")

    def _versioning(self) -> Made:
        return self._setting(
            "versioning",
            wanted={"Status": "Enabled"},
            read=lambda: {"Status": self.s3.get_bucket_versioning(Bucket=self.bucket).get("Status")},
            put=lambda wanted: self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration=wanted),
        )

    def _encryption(self) -> Made:
        rule = {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self._key_arn()},
            "BucketKeyEnabled": True,
        }

        def read() -> Any:
            found = self.s3.get_bucket_encryption(Bucket=self.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
            return [{key: each[key] for key in rule if key in each} for each in found]

        return self._setting(
            "encryption",
            wanted=[rule],
            read=read,
            put=lambda wanted: self.s3.put_bucket_encryption(
                Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": wanted}
            ),
        )

    def _private(self) -> Made:
        wanted = dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        )
        return self._setting(
            "public access block",
            wanted=wanted,
            read=lambda: self.s3.get_public_access_block(Bucket=self.bucket)["PublicAccessBlockConfiguration"],
            put=lambda wanted: self.s3.put_public_access_block(
                Bucket=self.bucket, PublicAccessBlockConfiguration=wanted
            ),
        )

    def _policy(self) -> Made:
        arn = self.names.bucket_arn("state")
        wanted = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [arn, f"{arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
        return self._setting(
            "policy (TLS only)",
            wanted=wanted,
            read=lambda: json.loads(self.s3.get_bucket_policy(Bucket=self.bucket)["Policy"]),
            put=lambda wanted: self.s3.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(wanted)),
        )

    def _setting(self, what: str, *, wanted: Any, read: Callable[[], Any], put: Callable[[Any], object]) -> Made:
        """Put a setting of the bucket where it is another, or none."""
        from botocore.exceptions import ClientError

        try:
            found = read()
        except ClientError as error:
            if error.response["Error"]["Code"] not in UNSET:
                raise
            found = None
        if found == wanted:
            return Made(what=what, name=self.bucket, state="found")
        put(wanted)
        absent = found is None or found == {"Status": None}
        return Made(what=what, name=self.bucket, state="made" if absent else "mended")

    def _key_arn(self) -> str:
        return str(self.kms.describe_key(KeyId=self.alias)["KeyMetadata"]["Arn"])

    def _tags(self) -> dict[str, str]:
        return {"project": self.names.project, "stack": "account", "managed-by": "ops bootstrap"}


def of(target: Target) -> Backend:
    """The backend of a target's account."""
    return Backend(names=target.names, s3=target.client("s3"), kms=target.client("kms"))
