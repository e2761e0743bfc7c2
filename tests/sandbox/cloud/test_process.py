"""The process keeps to loopback, ends with all it has started, and says in one line why it cannot serve."""

# ruff: noqa: S310 — all that is fetched is on loopback

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest

from sandbox.cloud import patches
from tests.sandbox.cloud.harness import ROOT, Cloud, alive, descendants

if TYPE_CHECKING:
    from collections.abc import Iterator


def attempt(*arguments: str, user: int | None = None) -> tuple[int, list[str]]:
    """Run the command to its end; return its exit code and what it said."""
    command = [sys.executable, "-m", "sandbox.cloud", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=15, check=False, user=user)
    return done.returncode, done.stderr.splitlines()


def test_sigterm_ends_all_within_three_seconds(other: Cloud) -> None:
    """Workers, Postgres, temporary folders; also with a session open and an invocation under way."""
    instance = other.database("ending", MasterUserPassword="ending-password")
    session = other.connection(instance, "ending-password")
    role = other.role("functions")
    other.function("sleeping", "import time\ndef handler(event, context): time.sleep(event)", role, Timeout=60)
    other.invoke("sleeping", 0)
    other.client("lambda").invoke(FunctionName="sleeping", InvocationType="Event", Payload=b"50")
    below = descendants(other.process.pid)
    run = Path((other.directory / "run").read_text())
    assert run.is_dir()
    assert other.stop() < 3
    assert other.process.returncode == 0
    assert alive(below) == set()
    assert not run.exists()
    session.close()


def test_a_killed_process_leaves_no_process_and_no_folder_for_long(other: Cloud) -> None:
    """The kernel ends what it has started; the next start sweeps its folder."""
    other.database("killed", MasterUserPassword="killed-password")
    source = "import time\ndef handler(event, context): time.sleep(event)"
    other.function("killed", source, other.role("functions"), Timeout=60)
    other.invoke("killed", 0)
    other.client("lambda").invoke(FunctionName="killed", InvocationType="Event", Payload=b"50")
    time.sleep(0.3)  # so that it sleeps and does not read
    below = descendants(other.process.pid)
    run = Path((other.directory / "run").read_text())
    other.process.kill()
    other.process.wait()
    assert alive(below, after=3) == set()
    other.start()
    assert not run.exists()


def test_only_loopback_is_listened_on(cloud: Cloud) -> None:
    """API and database alike."""
    instance = cloud.database("local", MasterUserPassword="local-password")
    pids = {cloud.process.pid, *descendants(cloud.process.pid)}
    listening = {
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1", instance["Endpoint"]["Address"]}


def test_health_tells_what_stands(cloud: Cloud) -> None:
    """Without accounts and secrets."""
    health = cloud.get("/_sandbox/health")
    assert health["status"] == "ok"
    assert health["version"] == patches.PINNED
    assert health["pid"] == cloud.process.pid
    assert all(set(one) == {"identifier", "address", "port", "state"} for one in health["databases"])


def test_the_emulators_own_reset_is_closed(cloud: Cloud) -> None:
    """It needs no credentials and would leave databases without their records."""
    cloud.client("ssm").put_parameter(Name="/stays", Value="stays", Type="String")
    request = urllib.request.Request(f"{cloud.url}/_ministack/reset", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 404
    assert cloud.client("ssm").get_parameter(Name="/stays")["Parameter"]["Value"] == "stays"


def test_a_taken_port_is_one_line(cloud: Cloud, tmp_path: Path) -> None:
    """With the remedy."""
    code, said = attempt("--directory", str(tmp_path), "--port", str(cloud.port))
    assert (code, len(said)) == (1, 1)
    assert f"port {cloud.port} on 127.0.0.1 cannot be taken" in said[0]
    assert "--port" in said[0]


def test_a_folder_in_use_is_one_line(cloud: Cloud) -> None:
    """Two processes over one folder would destroy each other's data."""
    code, said = attempt("--directory", str(cloud.directory), "--port", "0")
    assert (code, len(said)) == (1, 1)
    assert "is in use by another sandbox" in said[0]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Here: a file stands in its place."""
    (tmp_path / "file").touch()
    code, said = attempt("--directory", str(tmp_path / "file" / "below"), "--port", "0")
    assert (code, len(said)) == (1, 1)
    assert "cannot be written to" in said[0]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system with next to no room."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs a small file system, which only root may mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_line(full: Path) -> None:
    """At the start, when not even the keys have room."""
    room = os.statvfs(full)
    os.posix_fallocate(os.open(full / "fill", os.O_CREAT | os.O_WRONLY), 0, room.f_bavail * room.f_bsize)
    code, said = attempt("--directory", str(full / "cloud"), "--port", "0")
    assert (code, len(said)) == (1, 1)
    assert "No space left on device" in said[0]


def test_a_save_on_a_full_disk_fails_and_keeps_serving(full: Path) -> None:
    """The caller is told; the snapshot before stays."""
    cloud = Cloud(full / "cloud").start()
    try:
        cloud.client("s3").create_bucket(Bucket="big", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        cloud.client("s3").put_object(Bucket="big", Key="key", Body=os.urandom(200_000))
        request = urllib.request.Request(f"{cloud.url}/_sandbox/save", data=b'{"stamp": "full"}', method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code == 507
        assert "No space left on device" in json.load(caught.value)["error"]
        assert cloud.get("/_sandbox/stamp") == {"stamp": None}
    finally:
        cloud.stop()


def test_another_emulator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is patched was read in one version."""
    monkeypatch.setattr(patches, "version", lambda _name: "9.9.9")
    with pytest.raises(patches.EmulatorChangedError, match=r"9\.9\.9"):
        patches.check_version()


def test_a_changed_signature_is_refused() -> None:
    """A function that takes other arguments is not the one that was read."""

    def changed(new: int, old: int) -> int:
        return new + old

    owner = type("Module", (), {"changed": staticmethod(changed)})
    assert patches.expect(owner, "changed", "new") is changed
    with pytest.raises(patches.EmulatorChangedError, match="takes"):
        patches.expect(owner, "changed", "old")
    with pytest.raises(patches.EmulatorChangedError, match="no "):
        patches.expect(owner, "absent")


def test_it_starts_quickly_and_stays_small(other: Cloud) -> None:
    """Under three seconds, under 250 MB."""
    other.stop()
    began = time.monotonic()
    other.start()
    seconds = time.monotonic() - began
    megabytes = psutil.Process(other.process.pid).memory_info().rss / 1e6
    assert seconds < 3
    assert megabytes < 250


def test_two_sandboxes_do_not_meet(cloud: Cloud, other: Cloud) -> None:
    """The same identifier in both: two addresses, two servers."""
    first = cloud.database("twin", MasterUserPassword="first-password")
    second = other.database("twin", MasterUserPassword="second-password")
    assert first["Endpoint"]["Address"] != second["Endpoint"]["Address"]
    cloud.connection(first, "first-password").close()
    other.connection(second, "second-password").close()
    with socket.socket() as probe, pytest.raises(OSError, match="in use"):
        probe.bind((second["Endpoint"]["Address"], 5432))
