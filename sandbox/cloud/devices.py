"""IAM's virtual MFA devices: real seeds, and codes that are checked. The emulator's seeds are no base32."""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import base64
import os
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from sandbox import second_factor

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

_SEED_BYTES: Final = 40


def devices(module: Any, now: Callable[[], float] = time.time) -> Wrapper:
    """IAM, wrapped: a device has a seed that an authenticator takes, and is enabled by two codes in a row.

    Args:
        module: the emulator's.
        now: the time, in seconds since the epoch.
    """

    async def wrapper(inner: Handler, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        action = form.get("Action", "")
        if action == "EnableMFADevice" and not _enables(module, form, now()):
            refused: Answer = module._error(
                403, "InvalidAuthenticationCode", "Authentication code for device is not valid.", ns="iam"
            )
            return refused
        answer = await inner(request)
        if action != "CreateVirtualMFADevice" or answer[0] != 200:
            return answer
        serial = _serial(form, request.account)
        module._mfa_devices[serial]["Base32StringSeed"] = base64.b32encode(os.urandom(_SEED_BYTES)).decode()
        device = module._virtual_mfa_xml(serial, include_user=False)
        inside = f"<{action}Result><VirtualMFADevice>{device}</VirtualMFADevice></{action}Result>"
        made: Answer = module._xml(200, f"{action}Response", inside, ns="iam")
        return made

    return wrapper


def present(module: Any, user: str, serial: str, code: str, moment: float) -> bool:
    """Tell whether a user has shown a code of a device that is theirs."""
    device = module._mfa_devices.get(serial) or {}
    return device.get("User") == user and second_factor.shown(device["Base32StringSeed"], code, moment)


def _serial(form: dict[str, str], account: str) -> str:
    return f"arn:aws:iam::{account}:mfa{form.get('Path') or '/'}{form['VirtualMFADeviceName']}"


def _enables(module: Any, form: dict[str, str], moment: float) -> bool:
    """Whether two codes follow each other; a device that is not there is the emulator's to refuse."""
    device = module._mfa_devices.get(form.get("SerialNumber", ""))
    if device is None:
        return True
    given = (form.get("AuthenticationCode1", ""), form.get("AuthenticationCode2", ""))
    seed, step = device["Base32StringSeed"], second_factor.STEP
    return any(
        given == (second_factor.code(seed, at - step), second_factor.code(seed, at))
        for at in (moment - step, moment, moment + step)
    )
