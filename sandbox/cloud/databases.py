"""The database servers behind RDS instances: where their data lies, at which addresses they answer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import itertools
import logging
import shutil
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox.cloud.processes import spawn
from sandbox.cloud.relay import Relay
from sandbox.postgres import PostgresError, Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandbox.cloud.tls import Authority

_log = logging.getLogger("sandbox.databases")

_NETWORK: Final = ipaddress.ip_network("127.64.0.0/10")
_TRIES: Final = 32
_FORCE_TLS: Final = "rds.force_ssl"
_LOAD: Final = """
select current_setting('max_connections'),
    count(*) filter (where state = 'active'),
    count(*) filter (where xact_start is not null),
    (select sum(pg_database_size(oid)) from pg_database)
from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid();
"""


@dataclass(frozen=True)
class Load:
    """What a server says of itself.

    Attributes:
        most_sessions: how many it accepts.
        active: sessions that run a statement.
        in_transaction: sessions in a transaction.
        bytes: of all its databases.
    """

    most_sessions: int
    active: int
    in_transaction: int
    bytes: int


class Database:
    """One server with its endpoint. The address is taken at once, so that it is known while the server still starts."""

    def __init__(self, home: Path, run: Path, port: int) -> None:
        """Take an address for the server in `home`.

        Args:
            home: `postgres/<account>/<identifier>` in the sandbox's folder.
            run: a folder of a short path for the socket.
            port: where clients expect it; another one is taken only when this machine has that port on no address.
        """
        self.home = home
        self.state = "starting"
        self.force_tls = True
        self.busy = asyncio.Lock()
        self._server = Server(home, run, spawn=spawn)
        self._relay: Relay | None = None
        self._bound = bind(home, port)
        self.address, self.port = self._bound.getsockname()

    @property
    def socket(self) -> Path:
        """The server's Unix socket, for the relay."""
        return self._server.socket

    @property
    def sessions(self) -> int:
        """How many clients are connected at its endpoint; a proxy's are not."""
        return len(self._relay.sessions) if self._relay else 0

    def load(self) -> Load:
        """Ask the server for its load.

        Raises:
            PostgresError: it does not answer.
        """
        return Load(*map(int, self._server.sql(_LOAD).split("|")))

    async def start(self, authority: Authority, parameters: Mapping[str, str]) -> None:
        """Bring server and endpoint up.

        Raises:
            PostgresError: if the server does not come up; the endpoint then refuses.
        """
        self.state = "starting"
        try:
            await asyncio.to_thread(self._server.start)
            await self.configure(parameters)
            if self._relay is None:
                (self.home / "address").write_text(f"{self.address}\n")
                relay = Relay(self, authority.endpoint(self.address))
                await relay.listen(self._bound)
                self._relay = relay
        except (PostgresError, OSError):
            self.state = "failed"
            raise
        self.state = "available"
        _log.info("%s answers at %s:%s (pid %s)", self.home.name, self.address, self.port, self._server.pid)

    async def set_master(self, role: str, password: str, database: str | None) -> None:
        """Make or adopt the master role and its database, see `Server.set_master`."""
        await asyncio.to_thread(self._server.set_master, role, password, database=database)

    async def configure(self, parameters: Mapping[str, str]) -> None:
        """Apply a parameter group's values; `rds.force_ssl` is the endpoint's part."""
        self.force_tls = parameters.get(_FORCE_TLS, "1") == "1"
        own = {name: value for name, value in parameters.items() if not name.startswith("rds.")}
        for name, why in (await asyncio.to_thread(self._server.configure, own)).items():
            _log.info("%s: parameter %s is not applied: %s", self.home.name, name, why)

    def copy_to(self, home: Path) -> None:
        """Copy the data of the running server into another home, see `Server.copy_to`."""
        self._server.copy_to(home)

    async def pause(self) -> None:
        """Stop the server; the address stays taken and refuses sessions."""
        self.state = "stopped"
        await asyncio.to_thread(self._server.stop)

    def close(self) -> None:
        """Close the endpoint and stop the server; the data stays."""
        if self._relay:
            self._relay.close()
        self._bound.close()
        self._server.stop()
        self.state = "stopped"


class Fleet:
    """All databases of the sandbox, by account and identifier."""

    def __init__(self, folder: Path, run: Path, authority: Authority) -> None:
        """Describe the fleet; nothing is started.

        Args:
            folder: `postgres/` in the sandbox's folder.
            run: this process's folder for sockets.
            authority: signs the endpoints' certificates.
        """
        self.folder = folder
        self._run = run
        self.authority = authority
        self._databases: dict[tuple[str, str], Database] = {}

    def get(self, account: str, identifier: str) -> Database | None:
        """Return a database that has been opened."""
        return self._databases.get((account, identifier))

    def open(self, account: str, identifier: str, port: int) -> Database:
        """Take an address for a database; its data is what its folder holds, if it holds any."""
        database = Database(self.folder / account / identifier, self._run, port)
        self._databases[account, identifier] = database
        return database

    async def remove(self, account: str, identifier: str, *, keep_as: str | None) -> str:
        """Close a database for good, and remove its data.

        Args:
            account: the instance's account.
            identifier: the instance's identifier.
            keep_as: the final snapshot's name, under which the data is set aside instead.

        Returns:
            The name of the folder where it then lies, see `keep`.
        """
        database = self._databases.pop((account, identifier), None)
        if database:
            await asyncio.to_thread(database.close)
        home = self.folder / account / identifier
        kept = ""
        if keep_as and home.exists():
            kept = self._free(account, keep_as)
            home.rename(self._kept(account, kept))
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
        with contextlib.suppress(OSError):
            home.parent.rmdir()
        return kept

    async def keep(self, account: str, identifier: str, name: str) -> str:
        """Copy a running database's data as it is at one moment, clients connected or not.

        Args:
            account: the instance's account.
            identifier: the instance's identifier.
            name: the snapshot's name.

        Returns:
            The name of the copy's folder, for `begin_with`, `duplicate` and `forget`.

        Raises:
            PostgresError: with what Postgres said.
        """
        kept = self._free(account, name)
        home = self._kept(account, kept)
        try:
            await asyncio.to_thread(self._databases[account, identifier].copy_to, home)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        return kept

    async def duplicate(self, account: str, kept: str, name: str) -> str:
        """Copy a copy; return the name of the new one's folder."""
        copied = self._free(account, name)
        await asyncio.to_thread(self._copy, self._kept(account, kept), self._kept(account, copied))
        return copied

    async def forget(self, account: str, kept: str) -> None:
        """Remove a copy."""
        await asyncio.to_thread(shutil.rmtree, self._kept(account, kept), ignore_errors=True)

    async def begin_with(self, account: str, kept: str, identifier: str) -> None:
        """Put a copy's data where a database is about to be opened; what lies there already is set aside."""
        home = self.folder / account / identifier
        if home.exists():
            home.rename(self._kept(account, self._free(account, identifier)))
        await asyncio.to_thread(self._copy, self._kept(account, kept), home)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        """Copy a home but for what is one server's own."""
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("address", "log"))

    def _kept(self, account: str, name: str) -> Path:
        folder = self.folder / account / ".snapshots"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def _free(self, account: str, name: str) -> str:
        """Take a name for a copy: one of it may be left of an account that was rebuilt since, and none is replaced."""
        names = itertools.chain([name], (f"{name}.{number}" for number in itertools.count(2)))
        found = next(one for one in names if not self._kept(account, one).exists())
        self._kept(account, found).mkdir()
        return found

    async def close(self) -> None:
        """Close all databases at the same time."""
        await asyncio.gather(*(asyncio.to_thread(database.close) for database in self._databases.values()))
        self._databases.clear()

    def facts(self) -> list[dict[str, object]]:
        """Return what health says of the databases: no account, no secret."""
        return [
            {"identifier": identifier, "address": database.address, "port": database.port, "state": database.state}
            for (_, identifier), database in sorted(self._databases.items())
        ]


def bind(home: Path, port: int) -> socket.socket:
    """Bind a free loopback address: the one remembered in `home`, or one picked for it.

    The first pick is the same for the same folder, so that an address survives the loss of what remembers it.
    """
    first = int.from_bytes(hashlib.sha256(str(home).encode()).digest()[:4])
    candidates = [str(_NETWORK[1 + (first + step * 7919) % (_NETWORK.num_addresses - 2)]) for step in range(_TRIES)]
    with contextlib.suppress(OSError, ValueError):
        candidates.insert(0, str(ipaddress.ip_address((home / "address").read_text().strip())))
    for address in candidates:
        with contextlib.suppress(OSError):
            return _bound(address, port)
    # Something listens on that port on every address, or this system knows 127.0.0.1 only.
    fallback = _bound("127.0.0.1", 0)
    _log.warning(
        "port %s is free on no loopback address: %s answers at port %s", port, home.name, fallback.getsockname()[1]
    )
    return fallback


def _bound(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
