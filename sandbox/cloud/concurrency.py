"""Lambda's concurrency: what is provisioned belongs to a published version, and fits into what is reserved."""

# ruff: noqa: SLF001 — the emulator's records are what is read

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sandbox.cloud import functions, patches

if TYPE_CHECKING:
    from sandbox.cloud.scope import Answer, Handler, Request

_PROVISIONED: Final = re.compile(r"^/2019-09-30/functions/([^/]+)/provisioned-concurrency/?$")
_RESERVED: Final = re.compile(r"^/2017-10-31/functions/([^/]+)/concurrency/?$")
_ACCOUNT: Final = 1000
_UNRESERVED: Final = 100
"""What must be left to functions that reserve nothing."""


class Concurrency:
    """Lambda, wrapped."""

    def __init__(self) -> None:
        """Count versions against what their function reserves."""
        (self._module,) = patches.modules("lambda_svc")
        for name in ("_functions", "_resolve_request_scoped_name_and_qualifier"):
            patches.expect(self._module, name)
        patches.reserve_concurrency_for_versions()

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Answer a request."""
        path = unquote(request.path)
        matched = _PROVISIONED.match(path) or _RESERVED.match(path)
        if not matched:
            return await inner(request)
        name, named = self._module._resolve_request_scoped_name_and_qualifier(matched[1])
        record = self._module._functions.get(name)
        if record is None:
            return await inner(request)  # which says so
        if matched.re is _RESERVED:
            why = self._unreservable(record, request) if request.method == "PUT" else ""
            return functions.error(400, "InvalidParameterValueException", why) if why else await inner(request)
        if request.query.get("List"):
            return self._listed(record)
        qualifier = named or request.query.get("Qualifier", [""])[0]
        if request.method != "PUT":
            return await inner(request)
        if why := _unprovisionable(record, qualifier, request.json()):
            return functions.error(400, "InvalidParameterValueException", why)
        status, headers, body = await inner(request)
        if status == 202:
            # The environments are there by the time that somebody asks again.
            begun = {"Status": "IN_PROGRESS", "AvailableProvisionedConcurrentExecutions": 0}
            begun["AllocatedProvisionedConcurrentExecutions"] = 0
            body = json.dumps({**json.loads(body), **begun}).encode()
        return status, headers, body

    def _unreservable(self, record: dict[str, Any], request: Request) -> str:
        wanted = request.json().get("ReservedConcurrentExecutions", 0)
        taken = sum(_provisioned(record).values())
        if wanted < taken:
            return (
                f"ReservedConcurrentExecutions {wanted} should not be lower than function's total provisioned "
                f"concurrency [{taken}]."
            )
        others = (one.get("concurrency") or 0 for one in self._module._functions.values() if one is not record)
        if _ACCOUNT - sum(others) - wanted < _UNRESERVED:
            return (
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{_UNRESERVED}]."
            )
        return ""

    def _listed(self, record: dict[str, Any]) -> Answer:
        arn = record["config"]["FunctionArn"]
        listed = [
            {**config, "FunctionArn": f"{arn}:{qualifier}"}
            for qualifier, config in (record.get("provisioned_concurrency") or {}).items()
        ]
        content = {"ProvisionedConcurrencyConfigs": listed}
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _provisioned(record: dict[str, Any]) -> dict[str, int]:
    return {
        qualifier: config["RequestedProvisionedConcurrentExecutions"]
        for qualifier, config in (record.get("provisioned_concurrency") or {}).items()
    }


def _unprovisionable(record: dict[str, Any], qualifier: str, asked: dict[str, Any]) -> str:
    version = (record["aliases"].get(qualifier) or {}).get("FunctionVersion", qualifier)
    if version in ("", "$LATEST"):
        return "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    reserved, wanted = record.get("concurrency"), asked.get("ProvisionedConcurrentExecutions", 0)
    others = sum(value for key, value in _provisioned(record).items() if key != qualifier)
    if reserved is not None and others + wanted > reserved:
        return (
            f"Requested Provisioned Concurrency {wanted} should not be greater than the "
            f"reservedConcurrentExecution {reserved} for function."
        )
    return ""
