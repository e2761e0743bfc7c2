"""The process: the emulator as an ASGI application inside ours, served on loopback until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import (
    accounts,
    assume,
    devices,
    edge,
    functions,
    identities,
    login,
    machines,
    messaging,
    offers,
    openid,
    patches,
    services,
    storage,
    trails,
)
from sandbox.cloud.asynchronous import Asynchronous
from sandbox.cloud.backups import Backups
from sandbox.cloud.clock import Clock, ScaleError
from sandbox.cloud.cloudwatch import emitters
from sandbox.cloud.cloudwatch.service import CloudWatch
from sandbox.cloud.code_signing import CodeSigning
from sandbox.cloud.codedeploy.service import CodeDeploy
from sandbox.cloud.concurrency import Concurrency
from sandbox.cloud.databases import Fleet
from sandbox.cloud.delivery import Delivery
from sandbox.cloud.gateway import Gateway
from sandbox.cloud.iam.enforcement import Enforcer
from sandbox.cloud.layers import Layers
from sandbox.cloud.rds import Rds
from sandbox.cloud.rotation import Rotation
from sandbox.cloud.schedules import Schedules
from sandbox.cloud.signatures import Signatures
from sandbox.cloud.signer import Signer
from sandbox.cloud.state import State
from sandbox.cloud.tls import Authority
from sandbox.cloud.web_identity import Issuer

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger("sandbox.cloud")

_EXECUTE_API: Final = re.compile(r"^/_aws/execute-api/([a-z0-9]+)(/.*)?$")
_CLOSED: Final = ("/_ministack/reset", "/_ministack/config")
"""The emulator's own administration, open to any page that a browser shows: it would wipe state behind our back."""

_LONGEST_BODY: Final = 64 * 1024  # bytes; of requests to /_sandbox/
_IDLE_SECONDS: Final = 300.0
_REAP_EVERY: Final = 30.0


class Cloud:
    """The ASGI application: `/_sandbox/…` is ours, the rest is the emulator's with what we add to it."""

    def __init__(self, directory: Path, run: Path, port: int, layers: Path | None) -> None:
        """Wire everything; nothing is started.

        Args:
            directory: the sandbox's folder, which outlives this process.
            run: this process's own folder.
            port: where it is served.
            layers: zips to choose layers from.
        """
        from ministack import app
        from ministack.core import lambda_runtime

        self._endpoint = f"http://127.0.0.1:{port}"
        self._emulator = app.app
        self._pool = lambda_runtime
        self._started = time.monotonic()
        self._saving = asyncio.Lock()
        self._clock = Clock()
        self._state = State(directory / "state")
        self._fleet = Fleet(directory / "postgres", run, Authority(directory / "tls"))
        rds, ec2, secrets, gateway, _ = patches.modules("rds", "ec2", "secretsmanager", "apigateway", "lambda_svc")
        for module, name in (
            (rds, "_instances"),
            (rds, "_param_groups"),
            (ec2, "_vpc_endpoints"),
            (ec2, "_launch_templates"),
            (ec2, "_resolve_iam_instance_profile"),
            (ec2, "_STUB_AMIS"),
            (secrets, "_secrets"),
        ):
            patches.expect(module, name)
        self._gateway = gateway
        (self._domains,) = patches.modules("apigateway_v1")
        patches.expect(self._domains, "_domain_names")
        self._login = login.Login(directory / "login")
        self._http_apis = Gateway(gateway, self._login)
        self._rds = Rds(self._fleet, rds, self._endpoint)
        patches.run_functions_isolated(Layers(run / "layers", layers), self._endpoint)
        patches.honour_alias_weights()
        self._enforcer = Enforcer()
        delivery = Delivery(self._endpoint)
        self._issuer = Issuer(directory / "github")
        patches.authorise_as_aws(self._enforcer)
        patches.wrap_service("sts", assume.sts(self._issuer))
        patches.wrap_service("rds", self._rds)
        patches.expect(rds, "_xml", "status", "root_tag", "inner")
        patches.wrap_service("rds", offers.rds(rds))
        signatures = Signatures(directory / "signer")
        patches.wrap_service("lambda", functions.answer_as_aws)
        for wrapper in (CodeSigning(signatures), Concurrency(), Asynchronous(self._clock, delivery, self._enforcer)):
            patches.wrap_service("lambda", wrapper)
        patches.wrap_service("apigateway", services.http_api(self._endpoint))
        patches.wrap_service("secretsmanager", services.secrets_manager(secrets))
        patches.wrap_service("ec2", services.ec2(ec2))
        s3, trails_module, iam, ssm, signer = patches.modules("s3", "cloudtrail", "iam", "ssm", "signer")
        for name in ("_PUBLIC_AMI_PARAMETERS", "_select_parameter"):
            patches.expect(ssm, name)
        patches.wrap_service("ec2", machines.ec2(ec2, ssm))
        patches.wrap_service("signer", Signer(signer, signatures))
        patches.wrap_service("s3", storage.s3(s3))
        patches.wrap_service("cloudtrail", trails.cloudtrail(trails_module, s3))
        patches.wrap_service("iam", openid.providers(iam))
        patches.wrap_service("iam", accounts.iam())
        patches.wrap_service("ec2", accounts.ec2(ec2))
        patches.block_public_access_of_accounts()
        patches.expect(iam, "_mfa_devices")
        patches.expect(iam, "_virtual_mfa_xml", "serial", "include_user")
        patches.wrap_service("iam", devices.devices(iam))
        patches.take_loopback_for_tls()
        patches.tell_conditional_writes()
        messaging.wrap()
        patches.require_functions_to_let_rules_invoke()
        self._schedules = Schedules(self._clock, delivery)
        self._codedeploy = CodeDeploy(self._clock, self._endpoint)
        self._cloudwatch = CloudWatch(self._clock)
        emitters.Functions(self._cloudwatch)
        emitters.Gateways(self._cloudwatch)
        emitters.Logs(self._cloudwatch)
        emitters.Minutes(self._cloudwatch, self._rds, self._fleet)
        backup, self._cloudfront = patches.modules("backup", "cloudfront")
        patches.expect(self._cloudfront, "_distributions")
        patches.wrap_service("cloudfront", edge.cloudfront())
        for name in ("_vaults", "_plans", "_selections", "_jobs"):
            patches.expect(backup, name)
        self._backups = Backups(self._clock, self._endpoint, backup, rds)
        patches.wrap_service("backup", self._backups)
        patches.wrap_service("rds", self._backups.snapshots)
        self._rotation = Rotation(self._clock)
        patches.wrap_service("secretsmanager", self._rotation)

    async def start(self) -> None:
        """Load the last snapshot and bring its databases up."""
        if not self._state.load():
            _log.info("starting empty")
        await self._rds.resume()
        self._schedules.start()
        self._codedeploy.resume()
        self._cloudwatch.start()
        self._backups.start()
        self._rotation.start()

    async def stop(self) -> None:
        """End workers and databases; nothing is saved."""
        playing = (self._schedules, self._codedeploy, self._cloudwatch, self._backups, self._rotation)
        await asyncio.gather(*(each.close() for each in playing))
        await self._rds.close()
        await asyncio.gather(self._fleet.close(), asyncio.to_thread(functions.end_all, self._pool))

    async def retire_workers(self) -> None:
        """End idle workers, for as long as this runs."""
        while True:
            await asyncio.sleep(_REAP_EVERY)
            await asyncio.to_thread(functions.retire_idle, self._pool, _IDLE_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection or the server's own life cycle."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path.startswith("/_sandbox/"):
            await self._control(scope, receive, send)
            return
        if path in _CLOSED:
            await _answer(send, 404, {"error": f"{path} is closed in the sandbox"})
            return
        if matched := _EXECUTE_API.match(path):
            if not self._http_apis.open(matched[1]):
                await _answer(send, 404, {"message": "Not Found"})
                return
            self._enter_account_of(matched[1])
            if not matched[2]:
                scope = {**scope, "path": f"{path}/", "raw_path": f"{path}/".encode()}
        elif scope["type"] == "http":
            try:
                seen = edge.addressed(self._cloudfront, scope)
            except edge.NoDistributionError as error:
                await _answer(send, 404, {"error": str(error)})
                return
            if seen:
                self._enter(seen[0])
                scope = seen[1]
            else:
                self._enter_account_of_domain(dict(scope["headers"]).get(b"host", b"").decode().partition(":")[0])
        await self._emulator(scope, receive, send)

    def _enter_account_of(self, api: str) -> None:
        """Serve an unsigned request in the account that the API belongs to."""
        for (owner, _, name), _ in self._gateway._apis.all_items():  # noqa: SLF001
            if name == api:
                self._enter(owner)

    def _enter(self, account: str) -> None:
        from ministack.core.responses import set_request_account_id

        set_request_account_id(account)

    def _enter_account_of_domain(self, host: str) -> None:
        """Serve a request to an API's own domain in the account that the domain belongs to."""
        for (owner, _, name), _ in self._domains._domain_names.all_items():  # noqa: SLF001
            if name == host:
                self._enter(owner)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = (scope["method"], scope["path"])
        if request == ("GET", "/_sandbox/health"):
            await _answer(send, 200, self._health())
        elif request == ("GET", "/_sandbox/stamp"):
            await _answer(send, 200, {"stamp": self._state.stamp})
        elif request == ("POST", "/_sandbox/save"):
            await _answer(send, *await self._save(await _body(receive)))
        elif request[1].startswith(identities.PATHS):
            asked = request, scope["query_string"], await _body(receive)
            await _answer(send, *identities.control(*asked, self._enforcer, self._issuer))
        elif request == ("POST", login.PATH):
            await _answer(send, *self._login.control(await _body(receive)))
        elif request == ("POST", "/_sandbox/clock"):
            await _answer(send, *self._set_clock(await _body(receive)))
        else:
            await _answer(send, 404, {"error": f"no such request: {request[0]} {request[1]}"})

    async def _save(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            stamp = json.loads(body)["stamp"]
        except (ValueError, KeyError, TypeError):
            stamp = None
        if not isinstance(stamp, str):
            return 400, {"error": 'the body must be {"stamp": "<text>"}'}
        async with self._saving:
            try:
                collected = self._state.collect()  # on the loop: no request runs meanwhile
                await asyncio.to_thread(self._state.save, collected, stamp)
            except (OSError, RuntimeError, TypeError, ValueError) as error:
                _log.error("the state was not saved: %s", error)
                return 507, {"error": f"the state was not saved: {error}"}
        return 200, {"stamp": stamp}

    def _set_clock(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            self._clock.set(json.loads(body)["scale"])
        except ScaleError as error:
            return 400, {"error": str(error)}
        except (ValueError, KeyError, TypeError):
            return 400, {"error": 'the body must be {"scale": <number>}'}
        return 200, {"scale": self._clock.scale}

    def _health(self) -> dict[str, Any]:
        return {
            "status": "ok",
            "version": patches.PINNED,
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - self._started, 1),
            "stamp": self._state.stamp,
            "scale": self._clock.scale,
            "databases": self._fleet.facts(),
        }


async def _body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more and len(body) <= _LONGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@contextlib.contextmanager
def run_folder(directory: Path) -> Any:
    """Make this process's own folder, of a short path (sockets), and remove it; also one that a killed process left.

    Temporary files of the emulator and of functions go below it.
    """
    note = directory / "run"
    with contextlib.suppress(OSError):
        left = Path(note.read_text())
        if left.name.startswith("product-api-"):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="product-api-"))
    try:
        folder.chmod(0o711)  # the database's user passes through
        note.write_text(str(folder))
        tempfile.tempdir = str(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        note.unlink(missing_ok=True)


async def serve(directory: Path, run: Path, bound: socket.socket, layers: Path | None) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ending.set)
    port = bound.getsockname()[1]
    cloud = Cloud(directory, run, port, layers)
    await cloud.start()
    config = Config()
    config.bind = [f"fd://{os.dup(bound.fileno())}"]  # hypercorn closes it
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.5
    config.shutdown_timeout = 1
    config.errorlog = logging.getLogger("hypercorn.error")
    config.accesslog = None
    tasks = [asyncio.create_task(cloud.retire_workers()), asyncio.create_task(_end_without(directory / "lock", ending))]
    _log.info("serving on 127.0.0.1:%s, pid %s", port, os.getpid())
    try:
        await hypercorn_serve(cloud, config, shutdown_trigger=ending.wait)  # type: ignore[arg-type]
    finally:
        for task in tasks:
            task.cancel()
        bound.close()  # what the sandbox still asks of itself is refused, not left waiting
        await cloud.stop()


async def _end_without(held: Path, ending: asyncio.Event) -> None:
    """End when the folder was removed: nothing could find this process any more, to end it."""
    while held.exists():  # noqa: ASYNC110, ASYNC240 nobody tells us; one look at a local folder
        await asyncio.sleep(2)
    ending.set()
