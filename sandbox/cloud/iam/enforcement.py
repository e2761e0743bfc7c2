"""Every signed request, decided: the emulator asks here instead of its own evaluator.

The emulator still reads and checks signatures. Requests of an account's root are not decided upon: they set things up.
"""

# ruff: noqa: SLF001 — the emulator's authentication is what is called

from __future__ import annotations

import contextvars
import dataclasses
import datetime as dt
import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.iam import account, policy, reference, requests, resources
from sandbox.cloud.iam.conditions import lowered
from sandbox.cloud.iam.policy import Check, Decision, Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.cloud.iam.requests import Operation

_KEPT: Final = 20_000
_ALWAYS: Final = ("sts:GetCallerIdentity", "sts:GetSessionToken")
# A key's own policy, and a role's trust policy, must agree even within the account.
_REQUIRED: Final = ("kms:", "sts:AssumeRole")
_UNSIGNED: Final = ("execute-api:Invoke", "lambda:InvokeFunctionUrl")


@dataclasses.dataclass(kw_only=True)
class _Asked:
    """The request that the emulator is authorising."""

    service: str
    operation: Operation
    decided: bool = False


_asked: contextvars.ContextVar[_Asked | None] = contextvars.ContextVar("asked", default=None)
_denial: contextvars.ContextVar[str] = contextvars.ContextVar("denial", default="")


class Log:
    """What was decided, once per principal, action, resource and outcome; the oldest goes when it is full."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str, str, bool], dict[str, Any]] = OrderedDict()

    def note(self, who: Principal, check: Check, allowed: bool, reason: str = "") -> None:
        """Record one decision."""
        key = (who.role or who.arn, check.action, check.resource, allowed)
        with self._lock:
            entry = self._entries.pop(key, None) or {
                "principal": key[0],
                "action": check.action,
                "resource": check.resource,
                "allowed": allowed,
                "count": 0,
            }
            entry["count"] += 1
            if reason:
                entry["reason"] = reason
            self._entries[key] = entry
            while len(self._entries) > self._kept:
                self._entries.popitem(last=False)

    def entries(self, principal: str = "", *, denied: bool = False) -> list[dict[str, Any]]:
        """Return what was recorded, oldest first.

        Args:
            principal: part of the ARN that the entries are reduced to.
            denied: whether only denials are returned.
        """
        with self._lock:
            entries = [dict(entry) for entry in self._entries.values()]
        return [one for one in entries if principal in one["principal"] and not (denied and one["allowed"])]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


class Enforcer:
    """Stands where the emulator names a request's action and resource, decides on them, and answers denials."""

    def __init__(self, log: Log | None = None) -> None:
        self.log = log or Log()
        self._known = account.Emulated()

    def action(self, inner: Callable[..., str | None], service: str, method: str, path: str, *rest: Any) -> str | None:
        """Return the action of a request, and remember the request.

        Args:
            inner: the emulator's own way, for services that are not in the reference.
            service: the emulator's name.
            method: of the request.
            path: of the request.
            rest: headers, body, query.
        """
        from ministack.core.responses import get_account_id, get_region

        headers, body, query = rest
        _asked.set(None)
        _denial.set("")
        operation = requests.operation(
            service, method, path, headers, body, query, str(get_region()), str(get_account_id())
        )
        if operation is None or (operation.service not in reference.actions() and operation.service != "apigateway"):
            return inner(service, method, path, *rest)
        _asked.set(_Asked(service=service, operation=operation))
        return operation.action

    def enforce(
        self,
        inner: Callable[..., Any],
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource: str = "*",
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """Decide as the emulator's `enforce`: None for yes, its AuthError or EvalResult for no."""
        from ministack.core import iam_evaluator as emulator
        from ministack.core.responses import get_account_id
        from ministack.services import sts

        failure, credential = self._authenticated(access_key, action, service, resource)
        if failure is not None:
            return failure
        if action in _ALWAYS:
            return None
        if credential is None:
            credential = emulator.resolve_credential(access_key or "", get_account_id())
            if isinstance(credential, emulator.CredentialResolutionError):
                return emulator.AuthError(credential.code, credential.message)
        session = sts._sessions.get(access_key) or {}
        who = account.principal(credential, session)
        if who is None:
            return inner(access_key, action, service, region, resource, given)
        if who.root:
            return None
        asked = _asked.get()
        if asked is None or asked.service != service or asked.operation.action != action:
            wanted = [Check(action=action, resource=resource, context={**lowered(given or {}),
                      **resources.described(action, resource, self._known)})]  # fmt: skip
        elif asked.decided:
            return None  # the emulator asks once more, about what was part of the answer
        else:
            asked.decided = True
            try:
                wanted = resources.checks(asked.operation, self._known)
            except resources.UnmappedError as error:
                check = Check(action=action, resource="*", context={})
                return self._refused(who, check, f"User: {who.arn} is not authorized to perform: {action}: {error}")
        keys = _who_and_when(credential, who, region)
        for check in wanted:
            complete = dataclasses.replace(check, context={"aws:resourceaccount": who.account, **check.context, **keys})
            decision = self.decide(who, complete)
            if not decision.allowed:
                return self._refused(who, complete, _in_words(service, decision, who, complete), decision)
            self.log.note(who, complete, allowed=True)
        return None

    def decide(self, who: Principal, check: Check) -> Decision:
        """Decide one check, with the resource's own policy."""
        policed = account.resource_policy(check.action, check.resource)
        own, owner = policed or (None, None)
        required = policed is not None and check.action.startswith(_REQUIRED)
        if policed is None and check.action == "sts:AssumeRole":
            return Decision(allowed=False, by=policy.RESOURCE)
        return policy.decide(who, check, resource_policy=own, owner=owner, required=required)

    def role_may(self, arn: str, action: str, resource: str) -> bool:
        """Tell whether a role may do something, as a service asks before it relies on that."""
        who = account.role(arn)
        if who is None:
            return False
        context = {
            **resources.described(action, resource, self._known),
            **{f"aws:principaltag/{key.lower()}": value for key, value in self._known.tags(arn).items()},
            "aws:principalarn": arn,
            "aws:principalaccount": who.account,
            "aws:resourceaccount": who.account,
        }
        return self.decide(who, Check(action=action, resource=resource, context=context)).allowed

    def denied(self, inner: Callable[..., Any], service: str, *rest: Any, **named: Any) -> Any:
        """Answer a denial in the words that it was decided in."""
        message = _denial.get()
        if named.get("error_code") or named.get("message") or not message:
            return inner(service, *rest, **named)
        _denial.set("")
        headers = named.get("headers") or {}
        if headers.get("x-amz-target") and service not in ("sqs", "sns", "monitoring", "sts"):
            # The JSON protocols of AWS answer 400.
            content = {"__type": "AccessDeniedException", "Message": message}
            return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode()
        return inner(service, *rest, **{**named, "message": message})

    def _authenticated(self, access_key: str, action: str, service: str, resource: str) -> tuple[Any, Any]:
        """Return the emulator's refusal, or the credential whose signature it checked; neither for one not checked."""
        from ministack.core import iam_actions
        from ministack.core import iam_evaluator as emulator
        from ministack.core.responses import get_account_id

        failure = emulator._s3_scope_failure(service)
        if failure:
            return failure, None
        open_to_all = service == "s3" or action in _UNSIGNED
        if emulator._anonymous.get() and not open_to_all and not emulator._served_unsigned(service, action):
            message = iam_actions.anonymous_denial_message(service, action, resource)
            return emulator.AuthError("MissingAuthenticationToken", message), None
        if open_to_all and not access_key and emulator._signed_request.get() is None:
            return None, None
        checked = emulator.authenticate(access_key or "", get_account_id())
        return (checked, None) if isinstance(checked, emulator.AuthError) else (None, checked)

    def _refused(self, who: Principal, check: Check, message: str, decision: Decision | None = None) -> Any:
        from ministack.core.iam_evaluator import EvalResult

        self.log.note(who, check, allowed=False, reason=message)
        _denial.set(message)
        explicit = decision is not None and decision.explicit
        return EvalResult("Deny" if explicit else "ImplicitDeny", who.arn)


def _in_words(service: str, decision: Decision, who: Principal, check: Check) -> str:
    """Say a denial as the service does."""
    action, resource = check.action, check.resource
    prefix, _, name = action.partition(":")
    if service == "sqs":
        action = f"{prefix}:{name.lower()}"
    elif service == "sns":
        action = f"SNS:{name}"
    elif service == "s3":
        resource = f'"{resource}"'
    elif check.action == "sts:AssumeRole":
        return f"User: {who.arn} is not authorized to perform: {action} on resource: {resource}"  # STS says no more
    message = decision.message(who, check, action=action, resource=resource)
    return f"You are not authorized to perform this operation. {message}" if service == "ec2" else message


def _who_and_when(credential: Any, who: Principal, region: str) -> dict[str, Any]:
    """Return the condition keys that no request can choose."""
    from ministack.core import iam_evaluator as emulator

    now = dt.datetime.now(dt.UTC)
    source, secure = emulator._request_origin.get()
    return {
        **lowered(emulator._principal_keys(credential)),
        "aws:principalarn": who.role or who.arn,
        "aws:principalaccount": who.account,
        "aws:principaltype": credential.principal_type,
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
        "aws:currenttime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:requestedregion": region,
        "aws:securetransport": str(secure).lower(),
        "aws:sourceip": source,
    }
