"""Requests as the emulator's service handlers see them, and the account and region they are made in.

A handler runs after authentication and authorisation, with the request's account in context variables. That is where
this package adds to a service: a signed request cannot be rewritten before its signature is checked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    Handler = Callable[["Request"], Awaitable["Answer"]]
    Wrapper = Callable[[Handler, "Request"], Awaitable["Answer"]]

Answer = tuple[int, dict[str, Any], Any]
"""Status, headers, body."""


class InternalCallError(RuntimeError):
    """A service refused what the sandbox itself asked of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """An authorised request to a service."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, list[str]]

    @property
    def account(self) -> str:
        """The account that the request is made in, 12 digits."""
        return account_id()

    @property
    def target(self) -> str:
        """The operation of a JSON protocol, e.g. "GetSecretValue"; empty for other protocols."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    def json(self) -> dict[str, Any]:
        """The body as JSON; empty where it is none."""
        try:
            read = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}

    def with_form(self, form: Mapping[str, str]) -> Request:
        """Return the request with another form as its body."""
        headers = {**self.headers, "content-type": "application/x-www-form-urlencoded"}
        return dataclasses.replace(self, method="POST", headers=headers, body=urlencode(form).encode(), query={})


def account_id() -> str:
    """Return the account of the request being served, 12 digits."""
    from ministack.core.responses import get_account_id

    return str(get_account_id())


def region() -> str:
    """Return the region of the request being served."""
    from ministack.core.responses import get_region

    return str(get_region())


@contextlib.contextmanager
def account(account_id: str, home: str) -> Iterator[None]:
    """Act in an account and region, as a request of its root would."""
    from ministack.core.responses import _request_account_id, _request_region

    tokens = _request_account_id.set(account_id), _request_region.set(home)
    try:
        yield
    finally:
        _request_account_id.reset(tokens[0])
        _request_region.reset(tokens[1])


async def call_json(service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Call a service of a JSON protocol as the service itself would: in the current account, past its policies.

    Raises:
        InternalCallError: if it refuses.
    """
    from ministack.app import SERVICE_HANDLERS

    headers = {"x-amz-target": f"{service}.{operation}", "content-type": "application/x-amz-json-1.1"}
    status, _, body = await SERVICE_HANDLERS[service]("POST", "/", headers, json.dumps(parameters).encode(), {})
    if status != 200:
        msg = f"{service}:{operation} answered {status}: {body.decode(errors='replace')}"
        raise InternalCallError(msg)
    answer: dict[str, Any] = json.loads(body or b"{}")
    return answer


async def call_form(service: str, form: Mapping[str, str]) -> None:
    """Call a service of the query protocol as the service itself would: in the current account, past its policies.

    Raises:
        InternalCallError: if it refuses.
    """
    from ministack.app import SERVICE_HANDLERS

    headers = {"content-type": "application/x-www-form-urlencoded"}
    status, _, body = await SERVICE_HANDLERS[service]("POST", "/", headers, urlencode(form).encode(), {})
    if status != 200:
        msg = f"{service}:{form['Action']} answered {status}: {body.decode(errors='replace')}"
        raise InternalCallError(msg)
