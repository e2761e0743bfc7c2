"""RDS Proxy: an endpoint of its own in front of an instance, for the users whose secrets it can read.

The proxy admits a user that one of its secrets names, read with the proxy's own role: the role must trust RDS, and be
allowed the secret and its key. From there on the client authenticates itself with the database, through the relay.
"""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from sandbox.cloud import acting, databases
from sandbox.cloud.relay import Relay
from sandbox.cloud.scope import account as acting_in

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from sandbox.cloud.databases import Fleet
    from sandbox.cloud.scope import Answer, Handler, Request

_log = logging.getLogger("sandbox.proxies")

_PORT: Final = 5432
_SERVICE: Final = "rds.amazonaws.com"
_KNOWN_SECONDS: Final = 10.0
"""For how long a user stays admitted without another look at the secret; refusals are not remembered."""

Record = dict[str, Any]


class Proxy:
    """One proxy: what its relay asks at every connection."""

    tls_refusal: Final = "This RDS Proxy requires TLS connections"

    def __init__(
        self, owner: tuple[str, str], record: Record, fleet: Fleet, endpoint: str, bound: socket.socket
    ) -> None:
        """Describe a proxy.

        Args:
            owner: account and region.
            record: the emulator's, read anew every time.
            fleet: the servers.
            endpoint: of the sandbox, where the proxy asks for secrets as its role.
            bound: its address.
        """
        self.record = record
        self.relay: Relay | None = None
        self._owner = owner
        self._fleet = fleet
        self._endpoint = endpoint
        self.bound = bound
        self._known: dict[str, float] = {}

    @property
    def force_tls(self) -> bool:
        """Whether connections without TLS are refused."""
        return bool(self.record.get("RequireTLS"))

    @property
    def socket(self) -> Path:
        """The Unix socket of the target's server.

        Raises:
            OSError: there is no target, or it is not available.
        """
        for target in self.record.get("Targets", ()):
            database = self._fleet.get(self._owner[0], target["RdsResourceId"])
            if database and database.state == "available":
                return database.socket
        raise OSError(self.unavailable)

    @property
    def unavailable(self) -> str:
        """What a client is told when no connection to the database can be had."""
        return "Timed-out waiting to acquire database connection"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.relay.sessions) if self.relay else 0

    async def refused(self, user: str) -> tuple[str, str] | None:
        """Tell why a user is refused, as SQLSTATE and message."""
        key = f"{user} {self.record['RoleArn']} {json.dumps(self.record.get('Auth', []), sort_keys=True)}"
        if self._known.get(key, 0) > time.monotonic():
            return None
        async for found in self._users():
            if found == user:
                self._known = {key: time.monotonic() + _KNOWN_SECONDS}
                return None
        why = (
            f"This RDS proxy has no credentials for the role {user}. Check the credentials for this role and try again."
        )
        return "28000", why

    async def health(self) -> dict[str, str]:
        """Return the TargetHealth of the target."""
        try:
            _ = self.socket
        except OSError:
            return {"State": "UNAVAILABLE", "Reason": "UNREACHABLE", "Description": "The database is not available"}
        async for _user in self._users():
            return {"State": "AVAILABLE"}
        message = "Proxy does not have any registered credentials"
        return {"State": "UNAVAILABLE", "Reason": "AUTH_FAILURE", "Description": message}

    async def _users(self) -> AsyncIterator[str]:
        """Yield the users that the proxy has credentials for."""
        if not acting.trusts(self.record["RoleArn"], _SERVICE, self._owner[0], self.record["DBProxyArn"]):
            _log.info("%s: its role does not trust %s", self.record["DBProxyName"], _SERVICE)
            return
        for auth in self.record.get("Auth", ()):
            name = await asyncio.to_thread(self._user_of, auth["SecretArn"]) if auth.get("SecretArn") else None
            if name:
                yield name

    def _user_of(self, secret: str) -> str | None:
        from botocore.exceptions import ClientError

        try:
            reader = acting.client(self._endpoint, self._owner, self.record["RoleArn"], "rds-proxy", "secretsmanager")
            value = reader.get_secret_value(SecretId=secret)
            read = json.loads(value["SecretString"])
        except ClientError as error:
            _log.info("%s: %s: %s", self.record["DBProxyName"], secret, error)
            return None
        except (ValueError, KeyError):
            _log.info("%s: %s holds no username and password", self.record["DBProxyName"], secret)
            return None
        complete = isinstance(read, dict) and read.get("username") and read.get("password")
        return str(read["username"]) if complete else None


class Proxies:
    """All proxies of the sandbox, and the answers of RDS that concern them."""

    def __init__(self, fleet: Fleet, module: Any, endpoint: str) -> None:
        """Describe them; nothing is opened.

        Args:
            fleet: the servers.
            module: the emulator's RDS module.
            endpoint: of the sandbox.
        """
        self._fleet = fleet
        self._module = module
        self._endpoint = endpoint
        self._open: dict[tuple[str, str, str], Proxy] = {}

    async def __call__(self, inner: Handler, request: Request, form: Mapping[str, str]) -> Answer:
        """Answer a request about proxies."""
        from sandbox.cloud.scope import region

        action, name = form.get("Action", ""), form.get("DBProxyName", "")
        where = (request.account, region(), name)
        if form.get("NewDBProxyName", name) != name:
            message = "The sandbox does not rename a proxy: make a new one."
            answer: Answer = self._module._error("InvalidParameterCombination", message, 400)
            return answer
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        record = self._module._db_proxies.get(name)
        if action == "CreateDBProxy":
            before = record["Endpoint"]
            await self._listen(where, record)
            return answer[0], answer[1], answer[2].replace(before.encode(), record["Endpoint"].encode())
        if action == "DeleteDBProxy" and (gone := self._open.pop(where, None)):
            _close(gone)
        if action in ("DescribeDBProxyTargets", "RegisterDBProxyTargets") and (proxy := self._open.get(where)):
            return answer[0], answer[1], _with_health(answer[2], await proxy.health())
        return answer

    async def resume(self) -> None:
        """Open the proxies of a loaded state again."""
        for where, record in list(self._module._db_proxies._data.items()):
            with acting_in(*where[:2]):
                await self._listen(where, record)

    def close(self) -> None:
        """Close all endpoints."""
        for proxy in self._open.values():
            _close(proxy)
        self._open.clear()

    def connections(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield account, region, proxy and its number of clients (the metric ClientConnections)."""
        for where, proxy in sorted(self._open.items()):
            yield *where, proxy.connections

    async def _listen(self, where: tuple[str, str, str], record: Record) -> None:
        owner, home, name = where
        folder = self._fleet.folder / owner / ".proxies" / f"{home}-{name}"
        bound = databases.bind(folder, _PORT)
        address, port = bound.getsockname()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "address").write_text(f"{address}\n")
        if port != _PORT:
            _log.warning("proxy %s answers at port %s, and a proxy has no port that could be told", name, port)
        proxy = Proxy((owner, home), record, self._fleet, self._endpoint, bound)
        proxy.relay = Relay(proxy, self._fleet.authority.endpoint(address), gate=proxy)
        await proxy.relay.listen(bound)
        self._open[where] = proxy
        record["Endpoint"] = address
        if known := self._module._db_proxy_endpoints.get(name):
            known["Endpoint"] = address


def _close(proxy: Proxy) -> None:
    if proxy.relay:
        proxy.relay.close()
    proxy.bound.close()


def _with_health(body: bytes, health: Mapping[str, str]) -> bytes:
    tree = ET.fromstring(body)  # noqa: S314 — the emulator's own answer
    space = tree.tag.partition("}")[0].removeprefix("{")
    for element in tree.iter(f"{{{space}}}TargetHealth"):
        element.clear()
        for name, value in health.items():
            ET.SubElement(element, f"{{{space}}}{name}").text = value
    ET.register_namespace("", space)
    return bytes(ET.tostring(tree, encoding="utf-8", xml_declaration=True))
