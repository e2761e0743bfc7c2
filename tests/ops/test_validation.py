"""What settings alone cannot say: each check finds what it is there for, and says what to do."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ops.validation import NAMES, Check, Validation
from tests.ops.world import target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.target import Target
    from tests.sandbox.cloud.harness import Cloud

SETTINGS: dict[str, Any] = {
    "zones": ["eu-central-1a", "eu-central-1b"],
    "approvers": ["lead"],
    "functionConcurrency": 20,
    "databaseInstanceClass": "db.t4g.micro",
    "databaseTunnel": True,
    "domainName": "",
    "domainCertificate": "",
    "jwtIssuer": "",
}


@pytest.fixture
def place(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Target:
    return target(cloud, monkeypatch)


def checked(place: Target, **settings: Any) -> dict[str, Check]:
    """The checks by name."""
    given = {**SETTINGS, **settings}
    return {check.name: check for check in Validation(target=place, setting=given.__getitem__).checks()}


def test_an_account_that_was_not_brought_up_fails_with_its_remedy(place: Target) -> None:
    found = checked(place)
    for name in ("evidence", "artifacts", "boundaries", "roles"):
        assert (found[name].state, found[name].remedy) == ("failed", "bring the account up (ops bootstrap dev --aws)")
    for name in ("credentials", "zones", "secrets", "function concurrency", "instance class", "names", "API"):
        assert (found[name].state, found[name].remedy) == ("ok", ""), found[name]
    assert found["database instances"].found == "0 of 40 instances"


def test_without_credentials_nothing_else_is_tried(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000")
    [check] = checked(place).values()
    assert (check.name, check.state) == ("credentials", "failed")
    assert check.remedy.startswith("sign in")


@pytest.mark.parametrize(
    ("settings", "name", "found"),
    [
        ({"zones": ["eu-central-1a", "eu-central-1z"]}, "zones", "eu-central-1z cannot be used"),
        ({"databaseInstanceClass": "db.m7g.huge"}, "instance class", "db.m7g.huge is offered for Postgres in no zone"),
        ({"functionConcurrency": 5000}, "function concurrency", "5003 concurrent executions are to be reserved"),
    ],
)
def test_what_the_account_cannot_give_fails(place: Target, settings: dict[str, Any], name: str, found: str) -> None:
    check = checked(place, **settings)[name]
    assert (check.state, check.found[: len(found)]) == ("failed", found)
    assert check.remedy


def test_a_secret_that_waits_for_its_deletion_holds_its_name(cloud: Cloud, place: Target) -> None:
    secrets = cloud.client("secretsmanager")
    secrets.create_secret(Name="product-api-dev-database-api")
    assert checked(place)["secrets"] == Check(name="secrets", state="ok", found="product-api-dev-database-api exist")
    secrets.delete_secret(SecretId="product-api-dev-database-api")
    check = checked(place)["secrets"]
    assert check.state == "failed"
    assert "restore-secret --secret-id product-api-dev-database-api" in check.remedy


def test_a_quota_that_nobody_tells_is_unknown_and_no_failure(place: Target) -> None:
    """The emulator has no Service Quotas."""
    check = checked(place)["networks"]
    assert check.state == "unknown"
    assert "VPCs per Region" in check.remedy


def test_every_name_of_a_stack_fits_its_service(place: Target) -> None:
    longest = max(NAMES, key=lambda each: len(each[1]) - each[2])
    assert checked(place)["names"].state == "ok"
    assert len(f"product-api-{'s' * 24}-{longest[1]}") <= longest[2]


class Issuer(BaseHTTPRequestHandler):
    """An OpenID Connect issuer with as many keys as its path's first part says."""

    def do_GET(self) -> None:
        """Answer with the configuration, or the keys."""
        count = self.path.split("/")[1]
        url = f"http://{self.headers['Host']}/{count}/jwks"
        answer = {"jwks_uri": url} if "well-known" in self.path else {"keys": [{}] * int(count)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def issuer() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_an_issuer_must_be_there_and_have_keys(place: Target, issuer: str) -> None:
    assert checked(place, jwtIssuer=f"{issuer}/2/")["token issuer"].found == f"{issuer}/2/: 2 keys"
    keyless = checked(place, jwtIssuer=f"{issuer}/0")["token issuer"]
    assert (keyless.state, keyless.found) == ("failed", f"{issuer}/0 has no keys")
    absent = checked(place, jwtIssuer="http://127.0.0.1:1/")["token issuer"]
    assert absent.state == "failed"


def test_a_certificate_must_be_there(place: Target) -> None:
    arn = "arn:aws:acm:eu-central-1:000000000001:certificate/none"
    check = checked(place, domainName="api.example.com", domainCertificate=arn)["certificate"]
    assert (check.state, check.found) == ("failed", f"there is no certificate {arn}")
