"""What RDS says of an account and a region before anything is made: quotas, and which classes are to be had."""

# ruff: noqa: SLF001 — the emulator's records are what is counted

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from sandbox.cloud.scope import region

if TYPE_CHECKING:
    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

# What AWS grants unasked (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html).
_INSTANCES: Final = 40
_CLASS: Final = re.compile(r"db\.(?:t4g|t3|m\d+[a-z]*|r\d+[a-z]*|x\d+[a-z]*)\.(?:micro|small|medium|\d*x?large)")
_ZONES: Final = "abc"


def rds(module: Any) -> Wrapper:
    """RDS, wrapped: every class with a name as AWS gives them is offered, in three zones.

    Args:
        module: the emulator's.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        action = form.get("Action", "")
        if action == "DescribeAccountAttributes":
            used = len(module._instances)
            quota = (
                f"<AccountQuota><AccountQuotaName>DBInstances</AccountQuotaName><Used>{used}</Used>"
                f"<Max>{_INSTANCES}</Max></AccountQuota>"
            )
            return _answer(module, action, f"<AccountQuotas>{quota}</AccountQuotas>")
        if action == "DescribeOrderableDBInstanceOptions" and (wanted := form.get("DBInstanceClass")):
            offered = _option(form, wanted) if _CLASS.fullmatch(wanted) else ""
            return _answer(module, action, f"<OrderableDBInstanceOptions>{offered}</OrderableDBInstanceOptions>")
        return await inner(request)

    return wrapper


def _option(form: dict[str, str], wanted: str) -> str:
    zones = "".join(f"<AvailabilityZone><Name>{region()}{zone}</Name></AvailabilityZone>" for zone in _ZONES)
    return (
        f"<OrderableDBInstanceOption><Engine>{escape(form.get('Engine', ''))}</Engine>"
        f"<DBInstanceClass>{wanted}</DBInstanceClass><AvailabilityZones>{zones}</AvailabilityZones>"
        "<MultiAZCapable>true</MultiAZCapable><SupportsStorageEncryption>true</SupportsStorageEncryption>"
        "<SupportsPerformanceInsights>true</SupportsPerformanceInsights><StorageType>gp3</StorageType>"
        "</OrderableDBInstanceOption>"
    )


def _answer(module: Any, action: str, content: str) -> Answer:
    answer: Answer = module._xml(200, f"{action}Response", f"<{action}Result>{content}</{action}Result>")
    return answer
