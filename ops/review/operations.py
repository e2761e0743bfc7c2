"""The operations of AWS's services, by the names that botocore has them under.

For most services these are the names of their IAM actions too; where they are not (S3's listing, say) a name may be
missing in what a wildcard is said to cover, never the wildcard itself.
"""

from __future__ import annotations

from functools import cache

# Prefixes of actions whose service botocore calls otherwise.
_MODELS = {
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
    "elasticfilesystem": "efs",
    "scheduler": "scheduler",
    "aps": "amp",
    "ses": "sesv2",
}


@cache
def of(service: str) -> tuple[str, ...]:
    """The operations of the service with this prefix; none where botocore knows no such service."""
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import Loader

    loader = Loader()
    try:
        model = loader.load_service_model(_MODELS.get(service, service), "service-2")
    except (UnknownServiceError, ValueError):
        return ()
    return tuple(sorted(model["operations"]))
