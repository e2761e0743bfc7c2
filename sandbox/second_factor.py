"""One-time codes of a virtual MFA device, as an authenticator shows them (RFC 6238, with what IAM chose); pure."""

from __future__ import annotations

import base64
import hashlib
import hmac

STEP = 30.0  # seconds
DIGITS = 6


def code(seed: str, moment: float) -> str:
    """Return the code of a moment.

    Args:
        seed: the device's, in base32.
        moment: seconds since the epoch.
    """
    counter = int(moment // STEP).to_bytes(8, "big")
    digest = hmac.new(base64.b32decode(seed), counter, hashlib.sha1).digest()
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def shown(seed: str, given: str, moment: float) -> bool:
    """Tell whether a code is the device's now, or was or will be a step away: clocks differ."""
    return any(hmac.compare_digest(code(seed, moment + step * STEP), given) for step in (-1, 0, 1))
