"""Releases of production under traffic: a good one shifts, and a bad one is gone by itself before it hurts many."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ops.exit_codes import Exit
from ops.rehearsal import names_of
from ops.visitors import Visitors
from tests.support.checkout import Checkout, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from naming import Names

pytestmark = pytest.mark.slow

# Ten minutes of canary in ten seconds, where nothing has to be noticed meanwhile; in thirty where an alarm must, whose
# minute is three seconds then: that is seven requests of the new version.
FAST = 60
WATCHED = 20
# Part of all visitors whom a bad release may fail: it gets a tenth of them, for a part of the update.
FEW = 0.15

# What is done to each request, as if it were a change of the API's code. `traffic` is a visitor's, and not a check;
# `_served` counts those in this process.
ANCHOR = "            answer = operation("
CHANGE = """

_served = 0


def _change(event: Mapping[str, Any]) -> None:
    global _served
    traffic, path = bool((event.get("requestContext") or {{}}).get("requestId")), _path(event)
    _served += traffic
    {change}
"""


@dataclass(kw_only=True)
class Production:
    """Production in a checkout of its own.

    Attributes:
        checkout: the checkout.
        names: the stack's names.
        url: the API.
        code: the API's code as it was.
        queue: gets what the critical topic is told.
        releases: how many there were, so that no two are the same.
    """

    checkout: Checkout
    names: Names
    url: str
    code: str
    queue: str = ""
    releases: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        """A client of the account's root."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.names.region,
            aws_access_key_id=self.names.account,
            aws_secret_access_key="any",
        )

    @property
    def endpoint(self) -> str:
        """Where the account is played."""
        return f"http://127.0.0.1:{self.checkout.record(f'cloud-{self.names.account}')['port']}"

    @property
    def alias(self) -> tuple[str, dict[str, float]]:
        """The version that the alias points at, and the shares of others."""
        alias = self.client("lambda").get_alias(FunctionName=self.names.name("api"), Name="live")
        return alias["FunctionVersion"], (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}

    def change(self, change: str = "pass", old: str = ANCHOR, new: str = "") -> None:
        """Change the API's code: what each request goes through, or one line of it."""
        self.releases += 1
        new = new or f"            _change(event)\n{ANCHOR}"
        assert old in self.code
        text = self.code.replace(old, new) + CHANGE.format(change=change) + f"\n# release {self.releases}\n"
        (self.checkout.root / "app" / "api.py").write_text(text)

    def up(self, scale: int) -> tuple[int, dict[str, Any], str]:
        """Run `ops up prod`; returns its exit code, its report and what it said."""
        done = self.checkout.ops("up", "prod", "--json", "--time-scale", str(scale), check=False)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr

    def deployments(self) -> list[dict[str, Any]]:
        """CodeDeploy's deployments, oldest first, without rollbacks."""
        codedeploy = self.client("codedeploy")
        found = codedeploy.list_deployments(applicationName=self.names.name("api"), deploymentGroupName="live")
        infos = [codedeploy.get_deployment(deploymentId=one)["deploymentInfo"] for one in found["deployments"]]
        return sorted((info for info in infos if info["creator"] == "user"), key=lambda info: info["createTime"])

    def entries(self) -> list[dict[str, Any]]:
        """The ledger's records of the last run, in their order."""
        s3, bucket = self.client("s3"), self.names.bucket("ledger")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="entries/prod/")
        keys = sorted(one["Key"] for page in pages for one in page.get("Contents", ()))
        run = keys[-1].split("-")[-2]
        return [json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in keys if f"-{run}-" in key]

    def events_of_release(self) -> list[str]:
        """What the last run recorded of the pointer."""
        return [entry["event"] for entry in self.entries() if entry["resource"].endswith("::release")]

    def alarmed(self, alarm: str) -> int:
        """How often an alarm of the canary became active."""
        history = self.client("cloudwatch").describe_alarm_history(
            AlarmName=self.names.name(f"canary-{alarm}"), HistoryItemType="StateUpdate", MaxRecords=100
        )["AlarmHistoryItems"]
        return sum(json.loads(item["HistoryData"])["newState"]["stateValue"] == "ALARM" for item in history)

    def listen(self) -> None:
        """Subscribe a queue to the critical topic."""
        topic = self.names.arn("sns", self.names.name("critical"))
        sqs = self.client("sqs")
        self.queue = sqs.create_queue(QueueName="on-call")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        admitted = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**admitted, "Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"Policy": json.dumps(policy)})
        self.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def heard(self, deployment: str) -> set[str]:
        """The states of a deployment that the critical topic was told of."""
        sqs = self.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                with contextlib.suppress(ValueError):  # a topic's own greeting is no document
                    self.told.append(json.loads(json.loads(message["Body"])["Message"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return {told["status"] for told in self.told if told.get("deploymentId") == deployment}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Production, up."""
    copy = Checkout.copy(tmp_path_factory.mktemp("production"))
    try:
        report = copy.up("prod")
        code = (copy.root / "app" / "api.py").read_text()
        standing = Production(checkout=copy, names=names_of("prod"), url=report["url"], code=code)
        standing.listen()
        yield standing
    finally:
        copy.end()


def _ships(production: Production) -> str:
    """Release the code at hand, which is good; returns what was said."""
    before, _ = production.alias
    code, report, said = production.up(FAST)
    assert (code, report["failed"]) == (Exit.DONE, None), said
    assert report["changed"]
    assert int(report["version"]) > int(before)
    assert production.alias == (report["version"], {})
    assert report["visitors"]["requests"] > 0
    assert report["visitors"]["failed"] == 0
    return said


def test_a_good_release_shifts_through_the_canary_and_fails_nobody(production: Production) -> None:
    """In the order that is on record, and visibly; a second update has nothing to do."""
    production.change()
    said = _ships(production)
    assert f"time: {FAST} times as fast while the update runs" in said
    assert re.search(rf"release: 10% to version \d+, \d+ s of 10 s left \(10 min at {FAST} times\)", said)
    assert production.events_of_release() == ["started", "live", "done"]
    [*_, deployment] = production.deployments()
    assert deployment["status"] == "Succeeded"
    assert deployment["deploymentConfigName"] == production.names.name("canary-10percent-10minutes")
    before = len(production.deployments())
    code, report, _ = production.up(FAST)
    assert (code, report["changed"]) == (Exit.DONE, False)
    assert len(production.deployments()) == before


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        pytest.param('if traffic and _served % 10 < 3: raise RuntimeError("made to fail")', "errors", id="errors"),
        pytest.param("if traffic: time.sleep(3.5)", "latency", id="slow"),
        pytest.param(
            'if traffic and _served > 3: raise DatabaseUnavailableError("made to fail")', "database", id="database"
        ),
        # Two find it, and either may be the first: the driver's own checks, and the alarm on what visitors get.
        pytest.param(
            'if path == "/health" and _served > 3: raise DatabaseUnavailableError("made to fail")', None, id="health"
        ),
    ],
)
def test_a_release_that_goes_bad_under_traffic_is_rolled_back(
    change: str, alarm: str | None, production: Production
) -> None:
    """It passes every check before, loses its tenth of the traffic by itself, and whoever is on call is told."""
    before, _ = production.alias
    alarmed = production.alarmed(alarm) if alarm else 0
    production.change(change)
    code, report, said = production.up(WATCHED)
    assert (code, report["failed"]["outcome"]) == (Exit.ROLLED_BACK, "rolled-back"), said
    assert "passes its check" in said
    assert "10% to version" in said
    assert "error: the release was rolled back; the version before it serves\n" in said
    assert f"Version {before} serves" in report["failed"]["message"]
    assert "the engine failed" not in said
    assert production.alias == (before, {})
    visitors = report["visitors"]
    assert visitors["failed"] <= FEW * visitors["requests"]
    assert production.events_of_release() == ["started", "rolled-back"]
    [deployment] = re.findall(r"\((d-\w+)\)", report["failed"]["message"])
    until(lambda: "STOPPED" in {status.upper() for status in production.heard(deployment)}, "the call")
    if alarm:
        assert production.alarmed(alarm) > alarmed


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"change": 'if path == "/health": raise DatabaseUnavailableError("made to fail")'}, id="health"),
        pytest.param({"old": "port=environment.database_port", "new": "port=1"}, id="no-database"),
        pytest.param(
            {"old": "\nlogger = logging", "new": '\nraise RuntimeError("no start")\nlogger = logging'}, id="import"
        ),
    ],
)
def test_a_release_that_is_bad_from_the_start_gets_no_traffic(change: dict[str, str], production: Production) -> None:
    """Nobody meets it."""
    before, deployments = production.alias, len(production.deployments())
    production.change(**change)
    code, report, said = production.up(FAST)
    assert (code, report["failed"]["outcome"]) == (Exit.ROLLED_BACK, "refused"), said
    assert "turned down before it got traffic" in said
    assert production.alias == before
    assert len(production.deployments()) == deployments
    assert report["visitors"]["failed"] == 0
    assert production.events_of_release() == ["started", "refused"]


def test_good_code_after_a_bad_release_shifts(production: Production) -> None:
    """The alarms that stopped the bad one are not held against it, however soon it comes."""
    production.change('if traffic and _served % 10 < 3: raise RuntimeError("made to fail")')
    code, _, said = production.up(WATCHED)
    assert code == Exit.ROLLED_BACK, said
    production.change()
    _ships(production)


def test_an_interrupted_canary_is_gone_on_with(production: Production) -> None:
    """The deployment goes on without whoever began it; the next update waits for its end and begins none of its own."""
    before, deployments = production.alias[0], len(production.deployments())
    production.change()
    process = production.checkout.begin("up", "prod", "--time-scale", "2")
    until(lambda: production.alias[1], "the canary", 200)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == Exit.INTERRUPTED, stderr
    assert production.alias[0] == before
    said = _ships(production)
    assert "is being deployed already: waiting for d-" in said
    assert len(production.deployments()) == deployments + 1


def test_pulumi_alone_asks_the_gate_and_takes_a_bad_release_back(production: Production) -> None:
    """`ops` is not needed for an update to be safe: what guards data and traffic is in the graph."""
    before, _ = production.alias
    checkout = production.checkout
    production.change('if traffic and _served % 10 < 3: raise RuntimeError("made to fail")')
    checkout.ops("artifact", "build")
    update = ("pulumi", "--", "up", "--yes", "--skip-preview", "--stack", "prod")
    closed = checkout.ops(*update, check=False)
    assert closed.returncode != 0
    assert 'before hook "gate" failed: the gate is closed: this release' in closed.stdout
    assert production.alias == (before, {})
    for who in ("devops", "product"):
        checkout.ops("approve", "prod", "--as", who)
    with _paced(production, WATCHED), Visitors(production.url):
        failed = checkout.ops(*update, check=False)
    assert failed.returncode != 0
    assert re.search(r'before hook "shift" failed: rolled-back: version \d+ .* was rolled back', failed.stdout)
    assert f"Version {before} serves" in failed.stdout
    assert production.alias == (before, {})


def test_a_killed_canary_ends_with_the_service_up(production: Production) -> None:
    """Pulumi and the account no longer agree, so that a rehearsal makes both anew; what was written is kept."""
    production.change()
    process = production.checkout.begin("up", "prod", "--time-scale", "2")
    until(lambda: production.alias[1], "the canary", 200)
    for pid in (process.pid, *production.checkout.engines()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=120)
    code, report, said = production.up(FAST)
    assert (code, report["failed"], report["rebuilt"]) == (Exit.DONE, None, True), said
    assert all(check["ok"] for check in report["checks"])
    assert production.alias == (report["version"], {})


@contextlib.contextmanager
def _paced(production: Production, scale: float) -> Iterator[None]:
    """Have time pass faster, as `ops up` does while it updates."""

    def pace(scale: float) -> None:
        body = json.dumps({"scale": scale}).encode()
        request = urllib.request.Request(f"{production.endpoint}/_sandbox/clock", body, method="POST")  # noqa: S310
        urllib.request.urlopen(request, timeout=10)  # noqa: S310

    pace(scale)
    try:
        yield
    finally:
        pace(1)
