"""CloudFront: how a viewer reaches a distribution here, and what its own certificate allows.

A distribution's name is in nobody's DNS. It is served at `/_aws/cloudfront/ID/…`, as if over TLS and under its own
name; a request that names it in its Host header finds it too.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

    Scope = MutableMapping[str, Any]

_PATH: Final = re.compile(r"^/_aws/cloudfront/([A-Z0-9]+)(/.*)?$")
_HOST: Final = re.compile(r"^[a-z0-9]+\.cloudfront\.net(:\d+)?$")
_DEFAULT: Final = re.compile(rb"<CloudFrontDefaultCertificate>true</CloudFrontDefaultCertificate>")
_CERTIFICATE: Final = re.compile(rb"<ViewerCertificate>.*?</ViewerCertificate>", re.DOTALL)
_ITS_OWN: Final = (
    b"<ViewerCertificate><CloudFrontDefaultCertificate>true</CloudFrontDefaultCertificate>"
    b"<SSLSupportMethod>vip</SSLSupportMethod><MinimumProtocolVersion>TLSv1</MinimumProtocolVersion>"
    b"<CertificateSource>cloudfront</CertificateSource></ViewerCertificate>"
)


class NoDistributionError(LookupError):
    """No account has a distribution of that id; the message says so."""


def addressed(module: Any, asked: Scope) -> tuple[str, Scope] | None:
    """Return the account that a viewer's request belongs to and the request as its distribution gets it.

    Args:
        module: the emulator's CloudFront.
        asked: the request's ASGI scope.

    Returns:
        None where the request is no viewer's.

    Raises:
        NoDistributionError: it names a distribution that is not there.
    """
    matched = _PATH.match(asked.get("path", ""))
    headers = [(name.lower(), value) for name, value in asked.get("headers") or ()]
    host = dict(headers).get(b"host", b"").decode("latin-1").lower()
    if not matched and not _HOST.match(host):
        return None
    name = host.partition(":")[0]
    for (account, identifier), record in list(module._distributions._data.items()):  # noqa: SLF001 — its records
        domain = str(record["DomainName"])
        if matched and identifier == matched[1]:
            kept = [pair for pair in headers if pair[0] not in (b"host", b"x-forwarded-proto")]
            path = matched[2] or "/"
            raw = asked.get("raw_path", b"").partition(b"?")[0].removeprefix(f"/_aws/cloudfront/{identifier}".encode())
            as_seen = [*kept, (b"host", domain.encode()), (b"x-forwarded-proto", b"https")]
            return account, {**asked, "path": path, "raw_path": raw or b"/", "headers": as_seen}
        if not matched and domain == name:
            return account, asked
    msg = f"there is no distribution {matched[1] if matched else name}"
    raise NoDistributionError(msg)


def cloudfront() -> Wrapper:
    """CloudFront, wrapped: under its own certificate a distribution accepts TLS 1.0, whatever is asked for."""

    async def wrapper(inner: Handler, request: Request) -> Answer:
        if request.method in ("POST", "PUT") and _DEFAULT.search(request.body):
            return await inner(dataclasses.replace(request, body=_CERTIFICATE.sub(_ITS_OWN, request.body)))
        return await inner(request)

    return wrapper
