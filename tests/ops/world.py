"""A played account that commands meet as if it were AWS: by endpoint and credentials alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from naming import Names
from ops.target import Target
from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud

if TYPE_CHECKING:
    import pytest

NAMES = Names(project="product-api", stack="dev", region=REGION, account=ACCOUNT)


def target(cloud: Cloud, patch: pytest.MonkeyPatch, **settings: Any) -> Target:
    """Return stack dev there, and lead AWS's clients to it for as long as the patch holds."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }.items():
        patch.setenv(name, value)
    return Target(names=NAMES, settings=settings, rehearsal=None)
