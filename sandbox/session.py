"""The sandbox's one public module: start it, stop it, and the environment in which a command meets it.

Everything lives below one directory, `.sandbox` of the checkout unless told otherwise:

    bin/            the engine with our language host beside it
    pulumi/         PULUMI_HOME: plugins, the selected stack
    state/          Pulumi's state, a file backend
    config/         the stacks' settings as the rehearsal uses them (the secrets provider writes into them)
    cloud/ACCOUNT/  the emulated account: snapshot, databases, certificate authority
    identity/       tokens by which commands act as a role
    run/, log/      what runs now, and what it said
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sandbox import processes, second_factor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
PROVIDER_VERSION = "7.51.1"  # of pulumi-aws in requirements/dev.in, whose types it plays; a test holds them together
DIRECTORY = "PRODUCT_API_SANDBOX"
# Programs whose stacks' settings name an account, and where in the checkout these are.
OURS = {"product-api": "", "product-api-account": "account"}
# Development credentials of an account that exists on this machine only: the emulator takes the id of the account as
# access key of its root, and any secret.
SECRET_ACCESS_KEY = "sandbox"  # noqa: S105
PASSPHRASE = "sandbox"  # noqa: S105 protects nothing: the sandbox's secrets are its own
START_SECONDS = 60.0
SESSION_NAME = "rehearsal"
TOKEN_SECONDS = 12 * 3600  # GitHub's live for minutes, and a job asks again; here one lasts as long as any command


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the message says why and names the remedy."""


def directory(env: Mapping[str, str]) -> Path:
    """Where the sandbox of this checkout lives."""
    return Path(env.get(DIRECTORY) or ROOT / ".sandbox").absolute()


@dataclass(frozen=True, kw_only=True)
class Started:
    """What starting meant for the emulated account.

    Attributes:
        rebuilt: Its resources and Pulumi's knowledge of them were dropped, since the two did not agree.
        restored: It was brought back from its snapshot; addresses may be others than Pulumi remembers.
    """

    rebuilt: bool = False
    restored: bool = False


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """The sandbox as one command uses it.

    Attributes:
        directory: Where everything of it lives.
        account: The emulated account, 12 digits.
        region: The region that commands act in.
        engine: The Pulumi command line.
        endpoint: An emulator that already runs and is used in place of ours, or None.
        say: Gets one line at a time about what is going on.
    """

    directory: Path
    account: str
    region: str
    engine: Path
    endpoint: str | None = None
    say: Callable[[str], None] = field(default=lambda _line: None)

    @property
    def cloud(self) -> Path:
        """The directory of the emulated account."""
        return self.directory / "cloud" / self.account

    @property
    def ca(self) -> Path:
        """The certificate authority of the emulated databases."""
        return self.cloud / "tls" / "ca.pem"

    @property
    def state(self) -> Path:
        """Pulumi's state."""
        return self.directory / "state"

    @property
    def running(self) -> bool:
        """Whether the emulated account answers."""
        return self.endpoint is not None or self._healthy()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the sandbox for one command that changes it; a second one waits and says so."""
        path = self.directory / "run" / "lock"
        _make(path.parent)
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("another command is using the sandbox; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def start(self) -> Started:
        """Bring up whatever is not up.

        Raises:
            SandboxError: a part does not start.
        """
        try:
            for name in ("run", "log", "state", "config", "pulumi"):
                _make(self.directory / name)
            self._install_engine()
            self._start_zygote()
            return self._start_cloud() if self.endpoint is None else Started()
        except OSError as error:
            raise SandboxError(
                f"{self.directory} cannot be used ({error.strerror or error}): free some room, or set {DIRECTORY}"
            ) from error

    def environment(self, env: Mapping[str, str], role: str | None = None) -> dict[str, str]:
        """Return `env` with the sandbox in it; Pulumi's own settings of the caller win.

        Args:
            env: the caller's.
            role: a role of the account that trusts GitHub, to act as by the token of the job that it is there for; the
                account's root when left out.

        Raises:
            SandboxError: the account does not run, or knows no such role.
        """
        endpoint = self.endpoint or f"http://127.0.0.1:{self._port()}"
        kept = {
            key: value
            for key, value in env.items()
            if not key.startswith(("AWS_", "PULUMI_DEBUG_")) or key == "AWS_CA_BUNDLE"
        }
        root = {"AWS_ACCESS_KEY_ID": self.account, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
        return {
            "PULUMI_BACKEND_URL": self.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            **kept,
            **(root if role is None else self._web_identity(role)),
            "PATH": f"{self.directory / 'bin'}:{env.get('PATH', os.defpath)}",
            "PULUMI_HOME": str(self.directory / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            # botocore adds checksums that the emulator need not know; AWS asks for them where it wants them.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "SANDBOX_ZYGOTE": str(self.directory / "run" / "zygote.sock"),
        }

    def credentials(self, role: str) -> dict[str, str]:
        """Return temporary credentials of a role that a person of this account assumes, as environment variables.

        The person is an IAM user below `/people/`, named after the role's last part, who may assume that role and
        nothing else, and shows a second factor. The role's trust policy decides, as it does in AWS.

        Args:
            role: its name, e.g. "product-api-approver-lead".

        Raises:
            SandboxError: the role does not exist, or does not trust its account's people.
        """
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        arn, person = self._role_arn(role), role.rpartition("-")[2]
        where: dict[str, Any] = {
            "endpoint_url": self.endpoint or f"http://127.0.0.1:{self._port()}",
            "region_name": self.region,
            "config": Config(proxies={}),  # a proxy of the environment is not for loopback
        }
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": arn}]}
        try:
            iam = boto3.client("iam", **where, aws_access_key_id=self.account, aws_secret_access_key=SECRET_ACCESS_KEY)
            with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
                iam.create_user(UserName=person, Path="/people/")
            iam.put_user_policy(UserName=person, PolicyName=role, PolicyDocument=json.dumps(document))
            key = iam.create_access_key(UserName=person)["AccessKey"]
            try:
                sts = boto3.client(
                    "sts",
                    **where,
                    aws_access_key_id=key["AccessKeyId"],
                    aws_secret_access_key=key["SecretAccessKey"],
                )
                with self._authenticator(iam, person) as factor:
                    given = sts.assume_role(RoleArn=arn, RoleSessionName=person, **factor)["Credentials"]
            finally:
                iam.delete_access_key(UserName=person, AccessKeyId=key["AccessKeyId"])
        except (BotoCoreError, ClientError) as error:
            raise SandboxError(
                f"{role} cannot be assumed in the emulated account {self.account} ({error}): bring up `account/` "
                "first, and look at whom the role trusts"
            ) from error
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    @contextlib.contextmanager
    def _authenticator(self, iam: Any, person: str) -> Iterator[dict[str, str]]:
        """Give a person an MFA device while it is used; yields what AssumeRole takes as the second factor."""
        serial = f"arn:aws:iam::{self.account}:mfa/{person}"
        # One that a command left when it was ended: its seed is told once, to whom it was made for.
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            iam.deactivate_mfa_device(UserName=person, SerialNumber=serial)
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            iam.delete_virtual_mfa_device(SerialNumber=serial)
        made = iam.create_virtual_mfa_device(VirtualMFADeviceName=person)["VirtualMFADevice"]
        seed, now = made["Base32StringSeed"].decode(), time.time()
        before, code = (second_factor.code(seed, now + step * second_factor.STEP) for step in (-1, 0))
        iam.enable_mfa_device(
            UserName=person, SerialNumber=serial, AuthenticationCode1=before, AuthenticationCode2=code
        )
        try:
            yield {"SerialNumber": serial, "TokenCode": code}
        finally:
            iam.deactivate_mfa_device(UserName=person, SerialNumber=serial)
            iam.delete_virtual_mfa_device(SerialNumber=serial)

    def token(
        self, *, issuer: str, audience: str, subject: str, scopes: Sequence[str] = (), seconds: float = 300
    ) -> str:
        """Return an access token that the account's HTTP APIs take for one of an issuer that they name.

        Args:
            issuer: the https URL, exactly as the API's authorizer has it.
            audience: whom it is for.
            subject: who it speaks of.
            scopes: what it opens.
            seconds: how long it is valid; less than none gives one that has expired.

        Raises:
            SandboxError: the account is not ours, or does not run.
        """
        if self.endpoint is not None:
            raise SandboxError(f"{self.endpoint} is not ours: it plays no issuer, so there is no token of {issuer}")
        asked = {"issuer": issuer, "audience": audience, "subject": subject, "scopes": [*scopes], "seconds": seconds}
        try:
            return str(self._call("POST", "/_sandbox/token", asked)["value"])
        except OSError as error:
            raise SandboxError(
                f"the emulated account {self.account} does not answer ({error}): run `ops up`"
            ) from error

    def denials(self, principal: str = "") -> list[dict[str, Any]]:
        """Return what the account's policies denied: principal, action, resource, count and reason of each.

        Args:
            principal: part of the ARN that the answer is reduced to.
        """
        return list(self._call("GET", f"/_sandbox/denials?principal={quote(principal)}").get("denials") or ())

    def decisions(self, principal: str = "") -> list[dict[str, Any]]:
        """Return what was decided about a principal's requests, allowed and denied: what a role needs, and used."""
        return list(self._call("GET", f"/_sandbox/decisions?principal={quote(principal)}").get("decisions") or ())

    def _role_arn(self, role: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{role}"

    def _web_identity(self, role: str) -> dict[str, str]:
        """Write a token of GitHub's for a role, and return the variables by which AWS's clients find it."""
        arn = self._role_arn(role)
        if self.endpoint is not None:
            raise SandboxError(
                f"{self.endpoint} is not ours: it hands out no identity tokens, so {role} cannot be used"
            )
        try:
            token = self._call("POST", "/_sandbox/github/token", {"role": arn, "seconds": TOKEN_SECONDS})["value"]
        except urllib.error.HTTPError as error:
            said = json.loads(error.read() or b"{}").get("error", error.reason)
            raise SandboxError(f"{said}: bring up `account/` in the emulated account first") from error
        except OSError as error:
            raise SandboxError(
                f"the emulated account {self.account} does not answer ({error}): run `ops up`"
            ) from error
        path = _make(self.directory / "identity") / f"{self.account}-{role}"
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
        partial.replace(path)
        return {
            "AWS_ROLE_ARN": arn,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(path),
            "AWS_ROLE_SESSION_NAME": SESSION_NAME,
            # A person's own profile would come before the token.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @contextlib.contextmanager
    def pace(self, scale: float) -> Iterator[None]:
        """Let time pass `scale` times as fast in the emulated account: bake times, alarm periods, schedules alike.

        Afterwards it passes as everywhere: a probe every second is a rehearsal's, not an idle sandbox's. An emulator
        that is not ours keeps its own time.

        Args:
            scale: 1 to 600.
        """
        if self.endpoint is not None:
            yield
            return
        self._call("POST", "/_sandbox/clock", {"scale": scale})
        try:
            yield
        finally:
            with contextlib.suppress(OSError, ValueError):  # it died: there is no time to slow down
                self._call("POST", "/_sandbox/clock", {"scale": 1})

    def save(self) -> None:
        """Persist the emulated account together with Pulumi's state as it is now.

        Raises:
            SandboxError: it could not be written; both are rebuilt at the next start then.
        """
        if self.endpoint is not None:
            return
        try:
            self._call("POST", "/_sandbox/save", {"stamp": self._stamp()})
        except (OSError, ValueError) as error:
            reason = (
                error.read().decode(errors="replace").strip() if isinstance(error, urllib.error.HTTPError) else error
            )
            raise SandboxError(
                f"the emulated account could not be saved ({reason}): free some room and run the command again; "
                "else the next start rebuilds it, keeping the database's data"
            ) from error

    def forget(self) -> None:
        """Drop the account's resources and the state that Pulumi has of them, but no database's data."""
        processes.end(self._record())
        for path in self._stacks():
            path.unlink(missing_ok=True)
            for leftover in path.parent.glob(f"{path.name}.*"):
                leftover.unlink()
        for lock in self.state.glob(".pulumi/locks/**/*.json"):
            stack = lock.parent
            if account_of(stack.parent.name, stack.name) == self.account:
                lock.unlink()
        if self.cloud.exists():
            for entry in self.cloud.iterdir():
                if entry.name not in {"postgres", "tls", "github", "login", "signer"}:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _install_engine(self) -> None:
        """Put the engine into a `bin` of ours: it takes the language host beside it as its own, without a warning."""
        binary = self.directory / "bin" / "pulumi"
        _make(binary.parent)
        if not binary.exists() or not _same_file(binary, self.engine):
            binary.unlink(missing_ok=True)
            try:
                os.link(self.engine, binary)  # a symbolic link would not do: the engine looks where it really is
            except OSError:
                shutil.copy2(self.engine, binary)
        _script(binary.parent / "pulumi-language-python", "language")
        plugins = self.directory / "pulumi" / "plugins"
        _script(_make(plugins / f"resource-aws-v{PROVIDER_VERSION}") / "pulumi-resource-aws", "provider")
        # Other programs may use providers that this machine has; AWS is the one that is played.
        for plugin in Path.home().glob(".pulumi/plugins/*"):
            link = plugins / plugin.name
            if plugin.is_dir() and not plugin.name.startswith("resource-aws-v") and not link.exists():
                link.symlink_to(plugin)

    def _start_zygote(self) -> None:
        run = self.directory / "run"
        process = processes.read(run / "zygote.json")
        if process is not None and process.alive and process.code == code() and (run / "zygote.sock").exists():
            return
        processes.end(run / "zygote.json")
        (run / "zygote.sock").unlink(missing_ok=True)
        log = self.directory / "log" / "zygote.log"
        process = processes.launch(
            [sys.executable, "-m", "sandbox.engine.zygote", str(run)],
            record=run / "zygote.json",
            log=log,
            cwd=ROOT,
            env={key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ},
            port=None,
            code=code(),
        )
        self._wait((run / "zygote.sock").exists, process, "the engine's warm process", log)

    def _start_cloud(self) -> Started:
        process = processes.read(self._record())
        if process is not None and process.alive and self._healthy():
            if process.code == code():
                return Started()
            # After a `git pull`, say: what runs is the emulator of before.
            self.say(f"the sandbox itself has changed: the emulated account {self.account} is saved and started anew")
            with contextlib.suppress(SandboxError):  # what could not be saved is rebuilt below
                self.save()
        port = process.port if process is not None else None
        processes.end(self._record())
        _make(self.cloud)
        self.say(f"starting the emulated account {self.account}")
        self._launch_cloud(port)
        stamp = self._call("GET", "/_sandbox/stamp").get("stamp")
        stacks = self._stacks()
        if stamp == self._stamp() or (stamp is None and not stacks):
            return Started(restored=bool(stacks))
        # Killed between an update and the save: what Pulumi knows and what is there are no longer the same thing.
        self.say("state and emulated account do not agree (it was killed): both are rebuilt, databases keep their data")
        self.forget()
        self._launch_cloud(port)
        return Started(rebuilt=True)

    def _launch_cloud(self, port: int | None) -> None:
        if port is None or not _free(port):
            port = _free_port()
        log = self.directory / "log" / f"cloud-{self.account}.log"
        process = processes.launch(
            [
                sys.executable,
                "-m",
                "sandbox.cloud",
                "--directory",
                str(self.cloud),
                "--port",
                str(port),
                "--layers",
                str(ROOT / ".build"),
            ],
            record=self._record(),
            log=log,
            cwd=ROOT,
            env={key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ},
            port=port,
            code=code(),
        )
        self._wait(self._healthy, process, f"the emulated account {self.account}", log)

    def _record(self) -> Path:
        return self.directory / "run" / f"cloud-{self.account}.json"

    def _port(self) -> int:
        process = processes.read(self._record())
        if process is None or process.port is None:
            raise SandboxError(f"the emulated account {self.account} does not run: start it with `ops up`")
        return process.port

    def _healthy(self) -> bool:
        try:
            return self._call("GET", "/_sandbox/health").get("status") == "ok"
        except (OSError, ValueError, SandboxError):
            return False

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port()}{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
        # A proxy of the environment is not for loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            answer = json.load(response)
        return answer if isinstance(answer, dict) else {}

    def _stacks(self) -> list[Path]:
        """The state files of the stacks that live in this account."""
        return [
            path
            for path in sorted(self.state.glob(".pulumi/stacks/**/*.json"))
            if account_of(path.parent.name, path.stem) == self.account
        ]

    def _stamp(self) -> str:
        """A hash of what Pulumi knows of this account."""
        digest = hashlib.sha256()
        for path in self._stacks():
            digest.update(f"{path.relative_to(self.state)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def _wait(self, ready: Callable[[], bool], process: processes.Recorded, what: str, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if not process.alive or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                raise SandboxError(f"{what} did not start: {said[0]} (see {log})")
            time.sleep(0.02)


@functools.cache
def code() -> str:
    """A hash of what the sandbox's processes run: one that has other code is started anew."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    files = [path for path in folder.rglob("*") if path.suffix in {".py", ".txt"}]
    for path in sorted([*files, ROOT / "requirements" / "dev.txt"]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def account_of(project: str, stack: str) -> str:
    """The account that a stack lives in: what its settings say, for our programs; the non-production one for others."""
    import yaml

    def account(program: str, name: str) -> str | None:
        path = ROOT / OURS.get(program, "") / f"Pulumi.{name}.yaml"
        try:
            values = yaml.safe_load(path.read_text()) or {}
        except OSError:
            return None
        return str(values.get("config", {}).get(f"{program}:account") or "") or None

    found = account(project, stack) if project in OURS else None
    return found or account("product-api", "local") or "000000000000"


def stop(directory: Path) -> list[str]:
    """End every process that a sandbox started, and only those; return what was ended."""
    run = directory / "run"
    return [record.stem for record in sorted(run.glob("*.json")) if record.stem != "warm" and processes.end(record)]


def is_engine(pid: int) -> bool:
    """Whether `pid` is an engine that runs; the number in a lock that was left behind may be anybody's."""
    return processes.name(pid) == "pulumi"


def running(directory: Path) -> dict[str, processes.Recorded]:
    """The processes of a sandbox that are alive, by name."""
    found = {record.stem: processes.read(record) for record in sorted((directory / "run").glob("*.json"))}
    return {name: process for name, process in found.items() if process is not None and process.alive}


def _make(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(f"{path} cannot be made ({error.strerror}): free some room, or set {DIRECTORY}") from error
    return path


def _same_file(left: Path, right: Path) -> bool:
    """Whether one is a link to the other, or its copy as `shutil.copy2` makes it."""
    one, other = left.stat(), right.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _script(path: Path, role: str) -> None:
    shim = Path(__file__).parent / "engine" / "shim.py"
    text = f'#!/bin/sh\nexec "{sys.executable}" -S -E "{shim}" "$SANDBOX_ZYGOTE" {role} "$@"\n'
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(0o755)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
