"""`ops up`, twice, and what stands then: seen over HTTP, through Pulumi, and through AWS's own API."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from tests.support.checkout import Checkout

pytestmark = pytest.mark.e2e
ACCOUNT = "111122223333"


def _get(url: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as response:  # noqa: S310
        return response.status, json.load(response)


def _client(checkout: Checkout, service: str) -> Any:
    port = checkout.record(f"cloud-{ACCOUNT}")["port"]
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="eu-central-1",
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="any",
    )


def test_the_first_run_makes_everything_and_checks_it(report: dict[str, Any]) -> None:
    assert report["schema"] == "product-api/up/1"
    assert report["changed"]
    assert [check["status"] for check in report["checks"]] == [200, 200]
    assert list(report["policies"]["packs"]) == ["product-api-guardrails"]
    assert [] == [finding for finding in report["policies"]["findings"] if finding["level"] == "mandatory"]
    assert report["migrations"]["head"] == report["migrations"]["planned"]
    assert report["seeded"] > 0
    assert {"engine", "artifact", "sandbox", "account", "preview", "update", "seed", "check", "total"} == set(
        report["seconds"]
    )


def test_paths_can_be_appended_to_the_url(report: dict[str, Any]) -> None:
    status, health = _get(report["url"] + "/health", "POST")
    assert (status, health["status"], health["environment"]) == (200, "ok", "local")
    status, products = _get(report["url"] + "/api/products?limit=3")
    assert (status, len(products["items"])) == (200, 3)


def test_a_second_run_changes_nothing_and_says_so(checkout: Checkout, report: dict[str, Any]) -> None:
    assert report
    done = checkout.ops("up")
    assert "unchanged: nothing was to be done" in done.stdout
    assert f"API: {report['url']}" in done.stdout.splitlines()
    assert done.stderr.splitlines()[-1].startswith("target: sandbox")


def test_a_refreshed_preview_expects_no_changes(checkout: Checkout, report: dict[str, Any]) -> None:
    assert report
    checkout.ops("pulumi", "--", "preview", "--refresh", "--expect-no-changes")


def test_the_plan_is_in_the_state_and_a_preview_shows_it(checkout: Checkout, report: dict[str, Any]) -> None:
    state = json.loads(checkout.ops("pulumi", "--", "stack", "export").stdout)
    plans = [r for r in state["deployment"]["resources"] if r["type"] == "product-api:index:MigrationPlan"]
    assert [r["revision"] for r in plans[0]["inputs"]["revisions"]] == report["migrations"]["applied"]
    assert all("CREATE" in r["sql"] or "ALTER" in r["sql"] for r in plans[0]["inputs"]["revisions"])


def test_no_password_is_in_the_state(checkout: Checkout, report: dict[str, Any]) -> None:
    assert report
    state = checkout.ops("pulumi", "--", "stack", "export", "--show-secrets").stdout
    secrets = _client(checkout, "secretsmanager")
    # Other tests leave updates of other stacks in this account, some blocked before their secrets had a value.
    listed = [secret["Name"] for secret in secrets.list_secrets()["SecretList"]]
    names = [name for name in listed if name.startswith(("product-api-local-", "rds!db-"))]
    assert {"product-api-local-database-api", "product-api-local-database-migrator"} < set(names)
    assert any(name.startswith("rds!db-") for name in names)
    for name in names:
        password = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])["password"]
        assert password not in state


def test_any_aws_client_sees_what_the_stack_declares(checkout: Checkout, report: dict[str, Any]) -> None:
    database = _client(checkout, "rds").describe_db_instances()["DBInstances"][0]
    assert (database["DBInstanceStatus"], database["StorageEncrypted"], database["PubliclyAccessible"]) == (
        "available",
        True,
        False,
    )
    functions = _client(checkout, "lambda")
    alias = functions.get_alias(FunctionName="product-api-local-api", Name="live")
    assert alias["FunctionVersion"] == report["version"]
    routes = _client(checkout, "ec2").describe_route_tables(
        Filters=[{"Name": "tag:Name", "Values": ["product-api-local-isolated"]}]
    )["RouteTables"][0]["Routes"]
    assert all(route.get("GatewayId") == "local" for route in routes)


def test_the_policy_pack_may_not_be_left_out_by_the_caller(checkout: Checkout, report: dict[str, Any]) -> None:
    assert report
    assert "product-api-guardrails" in checkout.ops("pulumi", "--", "preview").stdout


def test_the_checkouts_own_settings_are_not_written_to(checkout: Checkout, report: dict[str, Any]) -> None:
    assert report
    assert "encryptionsalt" not in (checkout.root / "Pulumi.local.yaml").read_text()


def test_the_deployed_zip_is_the_built_one(checkout: Checkout, report: dict[str, Any]) -> None:
    import base64
    import hashlib

    built = hashlib.sha256((checkout.root / ".build" / "code.zip").read_bytes())
    deployed = _client(checkout, "lambda").get_function(FunctionName="product-api-local-api")["Configuration"]
    assert report["code"] == built.hexdigest()
    assert deployed["CodeSha256"] == base64.b64encode(built.digest()).decode()


def test_everything_listens_on_loopback_only(checkout: Checkout, report: dict[str, Any]) -> None:
    assert report
    pids = set(checkout.processes())
    assert pids
    for pid in pids:
        assert [] == [address for address in _listening(pid) if not address.startswith("127.")]


def _listening(pid: int) -> list[str]:
    """The IPv4 addresses on which a process listens (proc_net_tcp), IPv6 ones as they are."""
    from pathlib import Path

    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                address = fields[1].split(":")[0]
                found.append(
                    ".".join(str(byte) for byte in reversed(bytes.fromhex(address))) if table == "tcp" else address
                )
    return found
