"""The account that a provider instance acts on: its configuration, and boto3 clients by service and region."""

from __future__ import annotations

import functools
import json
import os
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from sandbox.provider import mapping

_ACCOUNT_OF_ADDRESS = re.compile(r"^(https?://)\d{12}\.(\d+\.\d+\.\d+\.\d+(?::\d+)?/)")
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


class ConfigurationError(Exception):
    """The provider cannot act with this configuration; the message names the key and the remedy."""


@dataclass
class Cloud:
    """One Configure's worth of AWS.

    Attributes:
        config: the provider's inputs, typed.
    """

    config: dict[str, Any] = field(default_factory=dict)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @functools.cached_property
    def region(self) -> str:
        """The provider's region.

        Raises:
            ConfigurationError: there is none.
        """
        region = self.config.get("region") or next(filter(None, map(os.environ.get, REGION_VARIABLES)), None)
        if not region:
            raise ConfigurationError("no region: set aws:region in the stack's configuration, or AWS_REGION")
        return str(region)

    @functools.cached_property
    def identity(self) -> dict[str, str]:
        """GetCallerIdentity: Account, Arn, UserId."""
        answer = self.client("sts").get_caller_identity()
        return {key: answer[key] for key in ("Account", "Arn", "UserId")}

    @property
    def account(self) -> str:
        """The account's 12 digits."""
        return self.identity["Account"]

    @functools.cached_property
    def partition(self) -> str:
        """The partition of the region: aws, aws-cn, aws-us-gov."""
        return str(_boto3().Session().get_partition_for_region(self.region))

    @property
    def default_tags(self) -> dict[str, str]:
        """The tags that the provider puts on everything."""
        return dict((self.config.get("defaultTags") or {}).get("tags") or {})

    def tags_all(self, tags: dict[str, str] | None) -> dict[str, str]:
        """A resource's tags over the default ones, without the ignored ones."""
        return self.without_ignored({**self.default_tags, **(tags or {})})

    def without_ignored(self, tags: dict[str, str]) -> dict[str, str]:
        """Tags that are neither AWS's own nor ignored by configuration."""
        ignored = self.config.get("ignoreTags") or {}
        keys, prefixes = set(ignored.get("keys") or ()), ("aws:", *(ignored.get("keyPrefixes") or ()))
        return {key: value for key, value in tags.items() if key not in keys and not key.startswith(prefixes)}

    def client(self, service: str, region: str | None = None) -> Any:
        """A client, made once; safe to use from any thread."""
        where = region or self.region
        with self._lock:  # a session is not safe to make clients from in two threads
            key = (service, where)
            if key not in self._clients:
                self._clients[key] = self._make(service, where)
            return self._clients[key]

    def _make(self, service: str, region: str) -> Any:
        from botocore.config import Config

        config = self.config
        session = _boto3().Session(profile_name=config.get("profile"), botocore_session=mapping.botocore_session())
        endpoint = next((one[service] for one in config.get("endpoints") or [] if one.get(service)), None)
        addressing = (
            "path" if endpoint or os.environ.get("AWS_ENDPOINT_URL") or config.get("s3UsePathStyle") else "auto"
        )
        client = session.client(
            service,
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=config.get("accessKey"),
            aws_secret_access_key=config.get("secretKey"),
            aws_session_token=config.get("token"),
            config=Config(
                retries={"mode": "standard", "max_attempts": int(config.get("maxRetries") or 3)},
                connect_timeout=5,
                read_timeout=910,  # a function may take 15 minutes
                max_pool_connections=32,
                s3={"addressing_style": addressing},
                user_agent_extra="product-api-provider",
            ),
        )
        if service == "s3control":
            client.meta.events.register("before-sign.s3-control", _without_account_in_address)
        return client

    def check_account(self) -> None:
        """Refuse an account that the configuration does not allow.

        Raises:
            ConfigurationError: it is not among allowedAccountIds, or among forbiddenAccountIds.
        """
        allowed, forbidden = self.config.get("allowedAccountIds"), self.config.get("forbiddenAccountIds")
        if allowed and self.account not in allowed:
            raise ConfigurationError(
                f"account {self.account} is not allowed: aws:allowedAccountIds has {', '.join(allowed)}; "
                "use that account's credentials"
            )
        if forbidden and self.account in forbidden:
            raise ConfigurationError(
                f"account {self.account} is forbidden by aws:forbiddenAccountIds; use another account's credentials"
            )


def parse(values: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """A provider's configuration with its types: whatever is not a string travels as JSON text.

    Args:
        values: as on the wire.
        fields: of the SDK's Provider, by name.
    """
    from sandbox.provider import schema

    parsed = {}
    for name, value in values.items():
        kind = fields[name].type if name in fields else None
        structured = isinstance(value, str) and kind is not None and kind != schema.Scalar("string")
        try:
            parsed[name] = json.loads(value) if structured and value else value
        except ValueError:
            parsed[name] = value
    return parsed


def _without_account_in_address(request: Any, **_: Any) -> None:
    """Take away the account that S3 Control's host begins with, where the rest is an address: it has no names below."""
    request.url = _ACCOUNT_OF_ADDRESS.sub(r"\1\2", request.url)


def _boto3() -> Any:
    import boto3

    return boto3
