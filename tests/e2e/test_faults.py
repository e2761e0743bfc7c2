"""What goes wrong ends in one clear line, and the next `ops up` succeeds with the database's data in place."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ops.exit_codes import Exit
from tests.support.checkout import Checkout, until

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.e2e
ACCOUNT = "111122223333"

FAILING = '''"""A revision that fails after it has changed something."""

from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE half_done (id int)")
    op.execute("SELECT 1 / (SELECT count(*) - count(*) FROM products)")


def downgrade() -> None:
    pass
'''


def _products(url: str) -> int:
    with urllib.request.urlopen(f"{url}/api/products?limit=100", timeout=30) as response:  # noqa: S310
        return len(json.load(response)["items"])


def _client(checkout: Checkout, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{checkout.record(f'cloud-{ACCOUNT}')['port']}",
        region_name="eu-central-1",
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="any",
    )


def _one_line(stderr: str) -> str:
    """The error, which is one line with its remedy."""
    lines = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, stderr
    return lines[0]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, dict[str, Any]]]:
    """A standing copy that the tests of a class share, and what its update said."""
    copy = Checkout.copy(tmp_path_factory.mktemp("faults"))
    try:
        yield copy, copy.up()
    finally:
        copy.end()


class TestAStandingSandbox:
    """Faults after a good update; the copy is shared, each test leaves it standing."""

    def test_a_failing_migration_leaves_schema_and_live_version(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        checkout, before = up
        versions = checkout.root / "migrations" / "versions"
        revision = versions / "9999_failing.py"
        revision.write_text(FAILING.format(head=before["migrations"]["head"]))
        failed = checkout.ops("up", check=False)
        revision.unlink()
        assert failed.returncode == Exit.FAILED
        assert "9999" in failed.stderr
        assert "division by zero" in failed.stderr
        alias = _client(checkout, "lambda").get_alias(FunctionName="product-api-local-api", Name="live")
        assert alias["FunctionVersion"] == before["version"]
        assert _products(before["url"]) == before["seeded"]
        after = checkout.up()
        assert after["migrations"]["head"] == before["migrations"]["head"]
        assert all(check["ok"] for check in after["checks"])

    def test_a_killed_account_comes_back_from_its_snapshot(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        checkout, before = up
        os.kill(checkout.record(f"cloud-{ACCOUNT}")["pid"], signal.SIGKILL)
        os.kill(checkout.record("zygote")["pid"], signal.SIGKILL)
        after = checkout.up()
        assert not after["rebuilt"]
        assert not after["changed"]
        assert _products(after["url"]) == before["seeded"]

    def test_another_sandbox_s_code_takes_over_with_the_account_as_it_is(
        self, up: tuple[Checkout, dict[str, Any]]
    ) -> None:
        """As after a `git pull`: what was started before does not serve what was written since."""
        checkout, before = up
        pids = {name: checkout.record(name)["pid"] for name in (f"cloud-{ACCOUNT}", "zygote")}
        changed = checkout.root / "sandbox" / "cloud" / "clock.py"
        changed.write_text(f"{changed.read_text()}# newer\n")
        done = checkout.ops("up")
        assert "unchanged: nothing was to be done" in done.stdout
        assert all(checkout.record(name)["pid"] != pid for name, pid in pids.items())
        assert _products(checkout.up()["url"]) == before["seeded"]

    def test_a_taken_port_is_another_port(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        checkout, before = up
        record = checkout.record(f"cloud-{ACCOUNT}")
        os.kill(record["pid"], signal.SIGKILL)
        with until(lambda: _listener(record["port"]), "the port to be free"):
            after = checkout.up()
        assert f":{record['port']}/" not in after["url"]
        assert _products(after["url"]) == before["seeded"]

    def test_a_stale_record_ends_nobody(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        """A pid is given to somebody else after a reboot: the record's start time is not that process's."""
        checkout, _ = up
        checkout.ops("pulumi", "--", "stack", "ls")
        record = checkout.record("zygote")
        os.kill(record["pid"], signal.SIGKILL)
        with subprocess.Popen(["sleep", "60"]) as bystander:
            stale = {**record, "pid": bystander.pid}
            (checkout.sandbox / "run" / "zygote.json").write_text(json.dumps(stale))
            try:
                checkout.ops("pulumi", "--", "preview", "--expect-no-changes")
                assert bystander.poll() is None
            finally:
                bystander.kill()

    def test_a_torn_snapshot_is_rebuilt_around_the_data(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        checkout, before = up
        os.kill(checkout.record(f"cloud-{ACCOUNT}")["pid"], signal.SIGKILL)
        for file in (checkout.sandbox / "cloud" / ACCOUNT / "state").rglob("*"):
            if file.is_file():
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        after = checkout.up()
        assert after["rebuilt"]
        assert after["seeded"] == 0  # the products of before are still there
        assert _products(after["url"]) == before["seeded"]

    def test_a_wrong_passphrase_says_so(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        checkout, _ = up
        failed = checkout.ops("up", check=False, PULUMI_CONFIG_PASSPHRASE="wrong")
        assert failed.returncode == Exit.FAILED
        assert "PULUMI_CONFIG_PASSPHRASE" in _one_line(failed.stderr)
        assert not checkout.up()["changed"]

    def test_the_callers_own_state_is_not_written_to(self, up: tuple[Checkout, dict[str, Any]], tmp_path: Path) -> None:
        """A shell that is set up for the team's backend rehearses all the same."""
        checkout, _ = up
        done = checkout.ops("up", PULUMI_BACKEND_URL=tmp_path.as_uri())
        assert "PULUMI_BACKEND_URL is not used" in done.stderr
        assert "unchanged: nothing was to be done" in done.stdout
        assert [] == list(tmp_path.iterdir())

    def test_a_state_of_another_time_says_so(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        checkout, _ = up
        state = checkout.sandbox / "state" / ".pulumi" / "stacks" / "product-api" / "local.json"
        kept = state.read_text()
        state.write_text(json.dumps({**json.loads(kept), "version": 99}))
        failed = checkout.ops("up", check=False)
        state.write_text(kept)
        assert failed.returncode == Exit.FAILED
        assert "another engine" in _one_line(failed.stderr)
        assert not checkout.up()["changed"]

    def test_down_ends_every_process_and_only_those(self, up: tuple[Checkout, dict[str, Any]]) -> None:
        checkout, _ = up
        assert checkout.processes()
        with subprocess.Popen(["sleep", "60"]) as bystander:
            checkout.ops("down")
            assert bystander.poll() is None
            bystander.kill()
        assert [] == checkout.processes()
        again = checkout.ops("down")
        assert "does not stand" in again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_update_is_gone_on_with(own: Checkout, number: signal.Signals) -> None:
    """Ctrl-C, or a kill with the operations it leaves pending: the next run succeeds."""
    process = own.begin("up")
    log = own.sandbox / "log" / f"cloud-{ACCOUNT}.log"
    until(lambda: log.exists() and "answers at" in log.read_text(), "the database of the update")
    if number is signal.SIGINT:
        process.send_signal(number)
    else:
        for pid in (process.pid, *own.engines()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == (Exit.INTERRUPTED if number is signal.SIGINT else -number), stderr
    after = own.up()
    assert all(check["ok"] for check in after["checks"])


def test_two_sandboxes_do_not_meet(own: Checkout, checkout: Checkout, report: dict[str, Any]) -> None:
    other = own.up()
    assert other["url"] != report["url"]
    databases = [_client(each, "rds").describe_db_instances()["DBInstances"][0]["Endpoint"] for each in (own, checkout)]
    assert databases[0] != databases[1]
    own.ops("down")
    assert all(check["ok"] for check in checkout.up()["checks"])


def test_a_removed_sandbox_leaves_nobody_behind(own: Checkout) -> None:
    """`git clean -dfx` takes the records away; the processes notice."""
    own.ops("pulumi", "--", "stack", "ls")
    pids = own.processes()
    assert pids
    shutil.rmtree(own.sandbox)
    until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "the end of the processes", 30)


def test_a_full_disk_says_so(own: Checkout, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        (small / "filler").write_bytes(bytes(1 << 20))
        failed = own.ops("up", check=False, PRODUCT_API_SANDBOX=str(small / "sandbox"))
        assert failed.returncode == Exit.FAILED
        assert "room" in failed.stderr
        assert all(check["ok"] for check in own.up()["checks"])
    finally:
        from sandbox import session

        session.stop(small / "sandbox")
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_an_emulator_that_already_runs_is_used(own: Checkout, checkout: Checkout, report: dict[str, Any]) -> None:
    """The emulator of another sandbox serves; none of our own is started."""
    endpoint = f"http://127.0.0.1:{checkout.record(f'cloud-{ACCOUNT}')['port']}"
    assert report
    done = own.ops("up", "dev", "--aws-endpoint", endpoint, check=False)
    assert not (own.sandbox / "run" / f"cloud-{ACCOUNT}.json").exists()
    functions = {f["FunctionName"] for f in _client(checkout, "lambda").list_functions()["Functions"]}
    assert "product-api-dev-migrator" in functions, done.stderr


def _listener(port: int) -> socket.socket | None:
    """Take a port that was just given up."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        return None
    listener.listen()
    return listener
