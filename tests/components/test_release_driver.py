"""What an update's hooks do to a running service, against a played cloud: approvals, records, traffic."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from components import release_driver
from components.release_driver import (
    Cloud,
    GateClosedError,
    Ledger,
    RolledBackError,
    SnapshotTakenError,
    StrandedError,
    Traffic,
    UnhealthyError,
    refuse_taken_snapshot,
)
from tests.sandbox.cloud import harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ALLOWED = (
    # What components/release.py grants CodeDeploy, without its resources.
    "lambda:GetAlias",
    "lambda:UpdateAlias",
    "cloudwatch:DescribeAlarms",
)
# A version answers its warm-up and its check as its configuration says; a file makes it ill while it runs.
SERVING = """
import os
def handler(event, context):
    if event.get("warm"):
        return {"warm": os.environ["STARTS"] == "yes"}
    return {"healthy": os.environ["WELL"] == "yes" and not os.path.exists(os.environ["ILL"]), "latencyMs": 3}
"""
RELEASE = {"codeSha256": "c" * 64, "planSha256": "p" * 64}
BUCKET = "product-api-ledger"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Cloud]:
    """A cloud with a ledger."""
    running = harness.Cloud(tmp_path_factory.mktemp("cloud")).start()
    where = {"LocationConstraint": harness.REGION}
    running.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    yield running
    running.stop()


@pytest.fixture
def cloud(played: harness.Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Its clients, as a program gets them from the environment; a minute takes a tenth of a second."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", played.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", harness.ACCOUNT)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    hasten(played, 600)
    return Cloud(region=harness.REGION)


def hasten(played: harness.Cloud, scale: float) -> None:
    """Have time pass faster, or as it does."""
    body = json.dumps({"scale": scale}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{played.url}/_sandbox/clock", body, method="POST"), timeout=5)  # noqa: S310


# -- the ledger --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(cloud: Cloud, request: pytest.FixtureRequest) -> Ledger:
    """The ledger of a stack that no other test has."""
    return Ledger(cloud=cloud, bucket=BUCKET, stack=request.node.name.replace("[", "-").strip("]"), release=RELEASE)


def approve(played: harness.Cloud, ledger: Ledger, who: str, **changes: str) -> None:
    """Have somebody approve the release, or something else."""
    approval = {"stack": ledger.stack, **ledger.release, **changes}
    key = f"approvals/{ledger.stack}/{ledger.release['codeSha256']}/{who}.json"
    played.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(approval).encode())


def entries(played: harness.Cloud, ledger: Ledger) -> list[dict[str, Any]]:
    """The records of a stack, in the order of their keys."""
    s3 = played.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"entries/{ledger.stack}/").get("Contents", ())
    return [json.load(s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"]) for one in found]


def test_who_has_not_approved_is_named(played: harness.Cloud, ledger: Ledger) -> None:
    """Each approver by themselves."""
    assert ledger.missing_approvals(["lead", "security"]) == ["lead", "security"]
    approve(played, ledger, "lead")
    assert ledger.missing_approvals(["lead", "security"]) == ["security"]
    approve(played, ledger, "security")
    assert ledger.missing_approvals(["lead", "security"]) == []


@pytest.mark.parametrize("name", ["codeSha256", "planSha256", "stack"])
def test_an_approval_of_something_else_is_none(name: str, played: harness.Cloud, ledger: Ledger) -> None:
    """Other code, another plan, another stack: whatever the object's key says."""
    approve(played, ledger, "lead", **{name: "another"})
    assert ledger.missing_approvals(["lead"]) == ["lead"]


def test_an_approval_that_is_no_document_is_none(played: harness.Cloud, ledger: Ledger) -> None:
    """It was not written by whoever approves."""
    key = f"approvals/{ledger.stack}/{RELEASE['codeSha256']}/lead.json"
    played.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"yes")
    assert ledger.missing_approvals(["lead"]) == ["lead"]


def test_a_ledger_that_is_not_there_closes_the_gate(ledger: Ledger) -> None:
    """For approvals and records alike, with the remedy."""
    elsewhere = replace(ledger, bucket="nowhere")
    with pytest.raises(GateClosedError, match="ops bootstrap"):
        elsewhere.missing_approvals(["lead"])
    with pytest.raises(GateClosedError, match="ops bootstrap"):
        elsewhere.record("started")


def test_a_record_says_what_by_whom_and_of_which_release(played: harness.Cloud, ledger: Ledger) -> None:
    """The records of one run belong together."""
    ledger.record("started", resource="urn:a")
    ledger.record("live", version="7")
    started, live = entries(played, ledger)
    assert (started["event"], started["resource"], live["event"], live["version"]) == ("started", "urn:a", "live", "7")
    for entry in (started, live):
        assert {name: entry[name] for name in RELEASE} == RELEASE
        assert (entry["schema"], entry["stack"], entry["run"]) == ("product-api/ledger/1", ledger.stack, ledger.run)
        assert entry["by"] == f"arn:aws:iam::{harness.ACCOUNT}:root"


def test_a_record_is_never_written_over(played: harness.Cloud, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should two ever get the same key, the second is refused."""
    now, fixed = datetime.now(UTC), uuid.uuid4()

    class Stopped(datetime):
        @classmethod
        def now(cls, _zone: Any = None) -> Any:
            return now

    monkeypatch.setattr("components.release_driver.datetime", Stopped)
    monkeypatch.setattr(uuid, "uuid4", lambda: fixed)
    ledger.record("first")
    with pytest.raises(GateClosedError, match="PreconditionFailed"):
        ledger.record("second")
    assert [entry["event"] for entry in entries(played, ledger)] == ["first"]


# -- traffic -----------------------------------------------------------------------------------------------------------


@dataclass
class Service:
    """A function with two versions, the first of which serves, and what moves it.

    Attributes:
        played: where it is.
        name: of function, application and alarm.
        ill: the file that makes every version fail its check.
        said: what the driver has said.
        ticked: what it has said of how long something takes.
        traffic: the driver.
        meanwhile: text → what happens when the driver says it, once.
    """

    played: harness.Cloud
    name: str
    ill: Path
    said: list[str]
    ticked: list[str]
    traffic: Traffic
    meanwhile: dict[str, Callable[[], object]]

    @property
    def alias(self) -> tuple[str, dict[str, float]]:
        """The version that the alias points at, and the shares of others."""
        alias = self.played.client("lambda").get_alias(FunctionName=self.name, Name="live")
        return alias["FunctionVersion"], (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}

    def split(self, weights: dict[str, float]) -> None:
        """Move the alias by hand."""
        self.played.client("lambda").update_alias(
            FunctionName=self.name, Name="live", RoutingConfig={"AdditionalVersionWeights": weights}
        )

    def alarm(self, state: str) -> None:
        """Set the alarm of the group."""
        self.played.client("cloudwatch").set_alarm_state(AlarmName=self.name, StateValue=state, StateReason="the test")

    def deployments(self) -> list[dict[str, Any]]:
        """All deployments of the group, oldest first."""
        codedeploy = self.played.client("codedeploy")
        found = codedeploy.list_deployments(applicationName=self.name, deploymentGroupName="live")["deployments"]
        return [codedeploy.get_deployment(deploymentId=one)["deploymentInfo"] for one in reversed(found)]

    def begin(self, target: str) -> str:
        """Begin a deployment, as an update that was interrupted has left it."""
        return self.traffic._start("1", target)

    def deny(self, action: str) -> None:
        """Take a right from the role that moves the alias."""
        denied = {"Effect": "Deny", "Action": action, "Resource": "*"}
        self.played.client("iam").put_role_policy(
            RoleName=f"deploys-{self.name}",
            PolicyName="denied",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
        )


@pytest.fixture
def service(played: harness.Cloud, cloud: Cloud, tmp_path: Path, request: pytest.FixtureRequest) -> Service:
    """A service of the test's own; `marks` may say how its second version is, and how it is shifted."""
    settings = {"minutes": 10, "second": {}, **getattr(request, "param", {})}
    name = f"api-{abs(hash(request.node.name)) % 10**8}"
    functions, codedeploy, iam = (played.client(each) for each in ("lambda", "codedeploy", "iam"))
    ill = tmp_path / "ill"
    played.function(name, SERVING, played.role(f"runs-{name}", {"Action": "logs:*", "Resource": "*"}))
    for changes in ({}, {"SECOND": "yes", **settings["second"]}):
        variables = {"STARTS": "yes", "WELL": "yes", "ILL": str(ill), **changes}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        functions.publish_version(FunctionName=name)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    trust = {"Effect": "Allow", "Principal": {"Service": "codedeploy.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=f"deploys-{name}",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": list(ALLOWED), "Resource": "*"}
    iam.put_role_policy(
        RoleName=f"deploys-{name}",
        PolicyName="inline",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    played.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Test",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    codedeploy.create_application(applicationName=name, computePlatform="Lambda")
    codedeploy.create_deployment_config(
        deploymentConfigName=name,
        computePlatform="Lambda",
        trafficRoutingConfig={
            "type": "TimeBasedCanary",
            "timeBasedCanary": {"canaryPercentage": 10, "canaryInterval": settings["minutes"]},
        },
    )
    events = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
    codedeploy.create_deployment_group(
        applicationName=name,
        deploymentGroupName="live",
        deploymentConfigName=name,
        serviceRoleArn=role,
        deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        alarmConfiguration={"enabled": True, "alarms": [{"name": name}]},
        autoRollbackConfiguration={"enabled": True, "events": events},
    )
    said: list[str] = []
    meanwhile: dict[str, Callable[[], object]] = {}

    def say(text: str) -> None:
        said.append(text)
        for expected in [expected for expected in meanwhile if expected in text]:
            meanwhile.pop(expected)()

    ticked: list[str] = []
    traffic = Traffic(
        cloud=cloud,
        function=name,
        alias="live",
        application=name,
        group="live",
        warm=2,
        say=say,
        tick=ticked.append,
    )
    return Service(played, name, ill, said, ticked, traffic, meanwhile)


UNENDING = {"minutes": 2000}
unending = pytest.mark.parametrize("service", [UNENDING], indirect=True, ids=["unending"])


def test_a_good_version_is_warmed_checked_and_given_the_traffic(service: Service) -> None:
    """In this order, and what is said tells it."""
    deployment = service.traffic.shift("2")
    assert service.alias == ("2", {})
    [info] = service.deployments()
    assert (info["deploymentId"], info["status"]) == (deployment, "Succeeded")
    assert service.said[:3] == [
        "warming 2 instances of version 2",
        "version 2 passes its check (3 ms)",
        f"{deployment}: traffic moves from version 1 to 2",
    ]
    assert service.said[-1] == f"{deployment}: version 2 serves"


@unending
def test_how_long_a_canary_still_shares_the_traffic_is_told_again_and_again(service: Service) -> None:
    """Once to keep, then only to look at; here the clock of the machine runs against AWS's 2000 minutes."""
    hasten(service.played, 1)

    def wait_for_ticks(text: str) -> None:
        service.ticked.append(text)
        if len(service.ticked) == 2:
            service.alarm("ALARM")

    with pytest.raises(RolledBackError):
        replace(service.traffic, tick=wait_for_ticks).shift("2")
    told = [text for text in service.said if text.startswith("10%")]
    assert len(told) == 1
    for text in (*told, *service.ticked):
        [left] = re.findall(r"^10% to version 2, (\d+) s of 120000 s left$", text)
        assert 119_000 < int(left) <= 120_000


def test_a_version_that_serves_is_only_checked(service: Service) -> None:
    """An update that was interrupted after the shift has nothing left to move."""
    assert service.traffic.shift("1") == "serves already"
    assert service.deployments() == []


def test_a_version_that_serves_and_is_ill_is_nobodys_success(service: Service) -> None:
    """The first version of all, or one whose update was cut off after the move: there is none before it that serves."""
    service.ill.touch()
    with pytest.raises(StrandedError, match=r"version 1 .* has all the traffic, and its own check fails"):
        service.traffic.shift("1")


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ({"second": {"WELL": "no"}}, "its own check fails"),
        ({"second": {"STARTS": "no"}}, "it does not start"),
        ({"second": {"STARTS": ""}}, "it does not start"),
    ],
    indirect=["service"],
)
def test_a_version_that_is_ill_gets_no_traffic(service: Service, why: str) -> None:
    """No deployment begins."""
    with pytest.raises(UnhealthyError, match=f"version 2 of {service.name} gets no traffic: {why}"):
        service.traffic.shift("2")
    assert service.alias == ("1", {})
    assert service.deployments() == []


def test_a_version_that_is_not_there_gets_no_traffic(service: Service) -> None:
    """The error is the service's own."""
    with pytest.raises(UnhealthyError, match=r"it does not start.*ResourceNotFound"):
        service.traffic.shift("9")


def test_an_alias_that_was_moved_by_hand_is_refused(service: Service) -> None:
    """Whatever its shares are, they are nobody's whom an update may overrule."""
    service.split({"2": 0.25})
    with pytest.raises(UnhealthyError, match=r"sends 25% to version 2 .* by hand"):
        service.traffic.shift("2")
    assert service.alias == ("1", {"2": 0.25})
    assert service.deployments() == []


@unending
def test_a_deployment_that_an_interrupted_update_left_is_adopted(service: Service) -> None:
    """Neither warmed nor begun again: it is waited for."""
    hasten(service.played, 1)
    deployment = service.begin("2")
    service.meanwhile["is being deployed already"] = lambda: hasten(service.played, 600)
    service.meanwhile["10% to version 2"] = lambda: service.alarm("ALARM")
    with pytest.raises(RolledBackError):
        service.traffic.shift("2")
    assert f"version 2 is being deployed already: waiting for {deployment}" in service.said
    assert [info["creator"] for info in service.deployments()] == ["user", "codeDeployRollback"]


@unending
def test_a_deployment_of_another_version_is_left_alone(service: Service) -> None:
    """It is somebody else's."""
    deployment = service.begin("2")
    with pytest.raises(UnhealthyError, match=rf"version 2 is being deployed \({deployment}, by user\)"):
        service.traffic.shift("3")


@unending
def test_a_deployment_whose_revision_is_not_ours_is_left_alone(service: Service) -> None:
    """Also when it cannot be read."""
    s3 = service.played.client("s3")
    properties = f"{{Name: {service.name}, Alias: live, CurrentVersion: 1, TargetVersion: 2}}"
    resource = f"{{Type: AWS::Lambda::Function, Properties: {properties}}}"
    s3.put_object(Bucket=BUCKET, Key="appspec", Body=f"{{version: 0.0, Resources: [{{f: {resource}}}]}}".encode())
    service.played.client("iam").put_role_policy(
        RoleName=f"deploys-{service.name}",
        PolicyName="reads",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}
        ),
    )
    location = {"bucket": BUCKET, "key": "appspec", "bundleType": "YAML"}
    service.played.client("codedeploy").create_deployment(
        applicationName=service.name,
        deploymentGroupName="live",
        revision={"revisionType": "S3", "s3Location": location},
    )
    with pytest.raises(UnhealthyError, match="something else is being deployed"):
        service.traffic.shift("2")


@unending
def test_an_alarm_takes_the_version_back(service: Service) -> None:
    """When the update ends, the old version serves; the next update tries again."""
    service.meanwhile["10% to version 2"] = lambda: service.alarm("ALARM")
    with pytest.raises(RolledBackError, match=f"Activated alarms: <{service.name}>. Version 1 serves"):
        service.traffic.shift("2")
    assert service.alias == ("1", {})
    stopped, rollback = service.deployments()
    assert (stopped["status"], rollback["status"]) == ("Stopped", "Succeeded")
    service.alarm("OK")
    service.meanwhile["10% to version 2"] = lambda: service.alarm("ALARM")
    with pytest.raises(RolledBackError):
        service.traffic.shift("2")
    assert len(service.deployments()) == 4


@unending
def test_a_version_that_falls_ill_under_traffic_is_taken_back(service: Service) -> None:
    """By its own check, before any alarm has noticed."""
    service.meanwhile["10% to version 2"] = service.ill.touch
    with pytest.raises(RolledBackError, match=r"failed its own check 3 times in a row\. Version 1 serves"):
        service.traffic.shift("2")
    assert service.alias == ("1", {})
    assert [info["errorInformation"]["code"] for info in service.deployments()[:1]] == ["MANUAL_STOP"]


def test_a_role_that_may_not_move_the_alias_leaves_the_old_version(service: Service) -> None:
    """The rollback fails for the same reason, and there is nothing for it to do: the alias decides."""
    service.deny("lambda:UpdateAlias")
    with pytest.raises(RolledBackError, match=r"does not give you permission .* Version 1 serves"):
        service.traffic.shift("2")


@unending
def test_traffic_that_does_not_come_back_is_an_error_of_its_own(service: Service) -> None:
    """It says where the traffic goes, and how it is put in order; nobody is told that the old version serves."""

    def fail() -> None:
        service.deny("lambda:UpdateAlias")
        service.alarm("ALARM")

    service.meanwhile["10% to version 2"] = fail
    with pytest.raises(StrandedError, match=r"points at version 1 and 10% to version 2\. Point it at"):
        service.traffic.shift("2")
    assert service.alias == ("1", {"2": 0.1})


def test_an_alarm_that_is_still_of_the_version_before_is_waited_for(service: Service) -> None:
    """It keeps its state when it is given another version to judge, and would stop the deployment at once."""
    service.alarm("ALARM")
    waiting = f"{service.name} in ALARM, still of a version before: waiting until it is judged anew"
    service.meanwhile[waiting] = lambda: service.alarm("OK")
    deployment = service.traffic.shift("2")
    assert service.said.index(waiting) < service.said.index(f"{deployment}: traffic moves from version 1 to 2")
    assert service.alias == ("2", {})


def test_an_alarm_that_stays_active_lets_nothing_move(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No deployment begins that could only be stopped."""
    monkeypatch.setattr(release_driver, "ALARM_DELAY_SECONDS", 1.0)
    monkeypatch.setattr(release_driver, "ALARM_PERIODS", 0)
    service.alarm("ALARM")
    with pytest.raises(UnhealthyError, match=f"gets no traffic: {service.name} stayed in ALARM"):
        service.traffic.shift("2")
    assert [] == service.deployments()
    assert service.ticked


def test_an_alarm_is_given_its_periods_and_what_cloudwatch_takes(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metric math has its periods within: the longest counts, as often as the alarm looks back."""
    metric = {"Metric": {"Namespace": "Test", "MetricName": service.name}, "Stat": "Sum"}
    service.played.client("cloudwatch").put_metric_alarm(
        AlarmName=service.name,
        Metrics=[
            {"Id": "slow", "MetricStat": {**metric, "Period": 300}, "ReturnData": False},
            {"Id": "quick", "MetricStat": {**metric, "Period": 60}, "ReturnData": False},
            {"Id": "both", "Expression": "slow + quick"},
        ],
        EvaluationPeriods=3,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    service.alarm("ALARM")
    monkeypatch.setattr(time, "sleep", lambda _seconds: service.alarm("OK"))
    service.traffic.shift("2")
    assert service.ticked[0] == f"{service.name} in ALARM, {2 * 3 * 300 + 60} s left until version 2 is given up"


def test_a_version_that_is_ill_and_has_all_traffic_is_no_success(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the stop came too late, the update fails, and says who serves."""
    hasten(service.played, 1)
    monkeypatch.setattr(Traffic, "_stop", lambda *_: hasten(service.played, 600))
    service.meanwhile["10% to version 2"] = service.ill.touch
    with pytest.raises(StrandedError, match=r"failed its own check .* points at version 2\. Point it at"):
        service.traffic.shift("2")


def test_to_stop_what_has_ended_is_no_error(service: Service) -> None:
    """It may end in the moment in which its version has failed once too often."""
    deployment = service.traffic.shift("2")
    service.traffic._stop(deployment)
    assert service.alias == ("2", {})


def test_a_snapshot_of_an_earlier_update_is_not_taken_for_a_new_one(played: harness.Cloud, cloud: Cloud) -> None:
    """The remedy is the next attempt, whose snapshot has another name."""
    rds = played.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="products",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="master",
        ManageMasterUserPassword=True,
    )
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier="products", WaiterConfig={"Delay": 1})
    refuse_taken_snapshot(cloud, "before-1", 1)
    rds.create_db_snapshot(DBInstanceIdentifier="products", DBSnapshotIdentifier="before-1")
    with pytest.raises(SnapshotTakenError, match=r"before-1 is of an earlier run .*pulumi config set attempt 2"):
        refuse_taken_snapshot(cloud, "before-1", 1)
    refuse_taken_snapshot(cloud, "before-2", 2)
