"""TLS in front of a Postgres that has none: the endpoint that clients of an instance connect to.

It speaks the first messages of Postgres's protocol (https://www.postgresql.org/docs/18/protocol-flow.html), as the
server would: the request for TLS, the request to cancel, the start-up message. From there on it carries bytes.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Coroutine
    from pathlib import Path

_log = logging.getLogger("sandbox.relay")

_SSL_REQUEST: Final = 80877103
_GSS_REQUEST: Final = 80877104
_CANCEL_REQUEST: Final = 80877102
_PROTOCOL_3: Final = 3  # the major version of a start-up message
_LONGEST_STARTUP: Final = 10_000  # bytes; the server's own limit (MAX_STARTUP_PACKET_LENGTH)
_FORBIDDEN: Final = b"rdsadmin"


class Target(Protocol):
    """What a relay needs to know of the server behind it, read anew for every connection."""

    @property
    def socket(self) -> Path:
        """The server's Unix socket."""

    @property
    def force_tls(self) -> bool:
        """Whether connections without TLS are refused."""


class Gate(Protocol):
    """Who is let through, where that is not the server's own business."""

    @property
    def tls_refusal(self) -> str:
        """What a client without TLS is told."""

    @property
    def unavailable(self) -> str:
        """What a client is told when the server cannot be reached."""

    async def refused(self, user: str) -> tuple[str, str] | None:
        """Tell why a user is refused, as SQLSTATE and message."""


def refusal(code: str, message: str) -> bytes:
    """Return the ErrorResponse with which the server ends a connection attempt.

    Args:
        code: the SQLSTATE, e.g. "28000".
        message: what the client shows.
    """
    fields = b"".join(
        kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", message))
    )
    return b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"


class _Half(asyncio.Protocol):
    """One of the two connections of a session: what arrives goes to the other, no faster than that one takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _Half | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.close()


class _Client(_Half):
    """The client's side, which negotiates before it relays."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._buffer = b""
        self._encrypted = False
        self._user: str | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._relay.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._relay.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.peer:
            super().data_received(data)
            return
        self._buffer += data
        if self._task is None:
            self._negotiate()

    def _negotiate(self) -> None:
        """Answer the messages that come before the server's turn."""
        assert self.transport is not None  # noqa: S101 — a connection that sends is made
        while len(self._buffer) >= 8:
            length, code = struct.unpack_from("!II", self._buffer)
            if not 8 <= length <= _LONGEST_STARTUP:
                self.transport.close()
                return
            if len(self._buffer) < length:
                return
            if code in (_SSL_REQUEST, _GSS_REQUEST):
                # Anything sent along with the request would be taken for encrypted (CVE-2021-23222).
                if len(self._buffer) > length or (code == _SSL_REQUEST and self._encrypted):
                    self.transport.close()
                    return
                self._buffer = b""
                if code == _GSS_REQUEST:
                    self.transport.write(b"N")
                    return
                self.transport.write(b"S")
                self.transport.pause_reading()
                self._begin(self._encrypt())
                return
            self._user = None if code == _CANCEL_REQUEST else _user(self._buffer[8:length])
            if code != _CANCEL_REQUEST and (why := self._refused(self._buffer[8:length], code)):
                self.transport.write(refusal(*why))
                self.transport.close()
                return
            self.transport.pause_reading()
            self._begin(self._connect())
            return

    def _begin(self, step: Coroutine[None, None, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(step)

    def _refused(self, fields: bytes, code: int) -> tuple[str, str] | None:
        """Tell why a start-up message is refused, as SQLSTATE and message."""
        if code >> 16 != _PROTOCOL_3:
            return "0A000", f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}"
        words = fields.split(b"\0")
        named = dict(zip(words[::2], words[1::2], strict=False))
        user = named.get(b"user", b"")
        if user == _FORBIDDEN:
            return "28000", 'pg_hba.conf rejects connection for user "rdsadmin"'
        if self._relay.target.force_tls and not self._encrypted:
            if self._relay.gate:
                return "28000", self._relay.gate.tls_refusal
            database = named.get(b"database", user)
            who = f'user "{user.decode(errors="replace")}", database "{database.decode(errors="replace")}"'
            return "28000", f'no pg_hba.conf entry for host "127.0.0.1", {who}, no encryption'
        return None

    async def _encrypt(self) -> None:
        """Upgrade the connection; the client's start-up message follows inside."""
        plain = self.transport
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                cast("asyncio.Transport", plain), self, self._relay.tls, server_side=True, ssl_handshake_timeout=10
            )
        except (OSError, asyncio.CancelledError) as error:  # an SSLError is an OSError
            _log.info("TLS with a client failed: %s", error)
            if plain:
                plain.close()
            return
        self.transport, self._encrypted, self._task = upgraded, True, None
        if self._buffer:
            self._negotiate()

    async def _connect(self) -> None:
        """Connect to the server and hand over, beginning with what the client has said."""
        client = self.transport
        assert client is not None  # noqa: S101 — see _negotiate
        server = _Half()
        gate = self._relay.gate
        if gate and self._user is not None and (why := await gate.refused(self._user)):
            client.write(refusal(*why))
            client.close()
            return
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: server, str(self._relay.target.socket))
        except OSError:
            client.write(refusal("57P03", gate.unavailable if gate else "the database system is not available"))
            client.close()
            return
        if client.is_closing():
            if server.transport:
                server.transport.close()
            return
        server.peer, self.peer = self, server
        if server.transport:
            server.transport.write(self._buffer)
        self._buffer = b""
        client.resume_reading()


def _user(fields: bytes) -> str:
    """The user that a start-up message names."""
    words = fields.split(b"\0")
    return dict(zip(words[::2], words[1::2], strict=False)).get(b"user", b"").decode(errors="replace")


class Relay:
    """A listening endpoint in front of one server."""

    def __init__(self, target: Target, tls: ssl.SSLContext, gate: Gate | None = None) -> None:
        """Describe the endpoint; `listen` opens it."""
        self.target = target
        self.gate = gate
        self.tls = tls
        self.sessions: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, bound: socket.socket) -> None:
        """Take connections on a socket that is bound already."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), sock=bound)

    def close(self) -> None:
        """Stop listening and end the sessions."""
        if self._server:
            self._server.close()
        for session in list(self.sessions):
            if session.transport:
                session.transport.abort()
