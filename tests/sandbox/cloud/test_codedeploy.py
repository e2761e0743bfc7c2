"""CodeDeploy moves an alias as its documentation says, as the group's role, and back when something is wrong."""

from __future__ import annotations

import hashlib
import json
import signal
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.cloud.codedeploy import model, revision, service, traffic
from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STYLE = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
ALL_EVENTS = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
ALL_TRIGGERS = ["DeploymentStart", "DeploymentSuccess", "DeploymentFailure", "DeploymentStop", "DeploymentRollback"]
ROLE_FOR_LAMBDA = (
    # What AWS's own AWSCodeDeployRoleForLambda allows.
    "cloudwatch:DescribeAlarms",
    "lambda:UpdateAlias",
    "lambda:GetAlias",
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:InvokeFunction",
    "sns:Publish",
    "s3:GetObject",
    "s3:GetObjectVersion",
)
SERVING = "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_FUNCTION_VERSION']\n"
HOOK = """
import datetime, hashlib, hmac, json, os, urllib.request

def handler(event, context):
    '''Answer CodeDeploy, signed by hand: a function here has no SDK.'''
    asked = {
        "deploymentId": event["DeploymentId"],
        "lifecycleEventHookExecutionId": event["LifecycleEventHookExecutionId"],
        "status": os.environ["ANSWER"],
    }
    if os.environ["ANSWER"] == "nothing":
        raise RuntimeError("no answer")
    body, url = json.dumps(asked).encode(), os.environ["AWS_ENDPOINT_URL"]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{os.environ['AWS_REGION']}/codedeploy/aws4_request"
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": url.partition("//")[2],
        "x-amz-date": now,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus",
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\\n" for name in sorted(headers))
    request = "\\n".join(["POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    text = "\\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={key.hex()}"
    urllib.request.urlopen(urllib.request.Request(url + "/", body, headers)).read()
"""


def hasten(cloud: Cloud, scale: float) -> None:
    """Have time pass faster."""
    body = json.dumps({"scale": scale}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{cloud.url}/_sandbox/clock", body, method="POST"), timeout=5)  # noqa: S310


def until(found: Callable[[], Any], seconds: float = 30) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.02)
    raise AssertionError("nothing came")


def service_role(cloud: Cloud, name: str, *allowed: str, trusted: str = "codedeploy.amazonaws.com") -> str:
    """Return a role that a service may assume, for one group's deployments, and that may do something."""
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}
    trust["Condition"] = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup:{name}/*"},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = iam.create_role(RoleName=f"deploys-{name}", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}
    iam.put_role_policy(
        RoleName=f"deploys-{name}",
        PolicyName="inline",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    return arn


@dataclass(frozen=True)
class Stage:
    """A function with versions 1 to 3, an alias that points at the first, and a group that moves it."""

    cloud: Cloud
    name: str

    @property
    def api(self) -> Any:
        """A client of CodeDeploy."""
        return self.cloud.client("codedeploy")

    def deploy(self, current: str = "1", target: str = "2", **options: Any) -> str:
        """Begin a deployment and return its id."""
        content = json.dumps(self.appspec(current, target, **options.pop("hooks", {})))
        given = {"revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}, **options}
        made = self.api.create_deployment(applicationName=self.name, deploymentGroupName="live", **given)
        return str(made["deploymentId"])

    def appspec(self, current: str, target: str, **hooks: str) -> dict[str, Any]:
        """An AppSpec for the function."""
        properties = {"Name": self.name, "Alias": "live", "CurrentVersion": current, "TargetVersion": target}
        return {
            "version": 0.0,
            "Resources": [{"anything": {"Type": "AWS::Lambda::Function", "Properties": properties}}],
            **({"Hooks": [{event: function} for event, function in hooks.items()]} if hooks else {}),
        }

    def of(self, deployment: str) -> dict[str, Any]:
        """What CodeDeploy says of a deployment."""
        info: dict[str, Any] = self.api.get_deployment(deploymentId=deployment)["deploymentInfo"]
        return info

    def ended(self, deployment: str) -> dict[str, Any]:
        """Wait for a deployment's end and return what CodeDeploy says of it."""
        found: dict[str, Any] = until(
            lambda: (info := self.of(deployment))["status"] in ("Succeeded", "Failed", "Stopped") and info
        )
        return found

    def target(self, deployment: str) -> dict[str, Any]:
        """The one target of a deployment."""
        api = self.api
        [name] = api.list_deployment_targets(deploymentId=deployment)["targetIds"]
        found = api.get_deployment_target(deploymentId=deployment, targetId=name)["deploymentTarget"]
        assert found["deploymentTargetType"] == "LambdaTarget"
        target: dict[str, Any] = found["lambdaTarget"]
        return target

    def events(self, deployment: str) -> dict[str, str]:
        """The lifecycle events of a deployment, and how each went."""
        return {event["lifecycleEventName"]: event["status"] for event in self.target(deployment)["lifecycleEvents"]}

    @property
    def alias(self) -> tuple[str, dict[str, float]]:
        """The version that the alias points at, and the shares of others."""
        alias = self.cloud.client("lambda").get_alias(FunctionName=self.name, Name="live")
        return alias["FunctionVersion"], (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}

    def shares(self, deployment: str) -> list[float]:
        """Every share that the target version had while a deployment ran."""
        seen: list[float] = []
        functions, api = self.cloud.client("lambda"), self.api
        while True:
            status = api.get_deployment(deploymentId=deployment)["deploymentInfo"]["status"]
            alias = functions.get_alias(FunctionName=self.name, Name="live")
            weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            share = 1.0 if alias["FunctionVersion"] == "2" else weights.get("2", 0.0)
            if seen[-1:] != [share]:
                seen.append(share)
            if status not in ("Created", "Queued", "InProgress"):
                return seen


def staged(cloud: Cloud, name: str, *allowed: str, **group: Any) -> Stage:
    """Make a stage; `allowed` is what its role may do, AWS's own policy when left out."""
    functions, api = cloud.client("lambda"), cloud.client("codedeploy")
    cloud.function(name, SERVING, cloud.role(f"runs-{name}", {"Action": "logs:*", "Resource": "*"}))
    for number in (1, 2, 3):
        functions.update_function_configuration(FunctionName=name, Description=f"number {number}")
        assert functions.publish_version(FunctionName=name)["Version"] == str(number)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    api.create_application(applicationName=name, computePlatform="Lambda")
    settings = {
        "deploymentConfigName": "CodeDeployDefault.LambdaAllAtOnce",
        "deploymentStyle": STYLE,
        "autoRollbackConfiguration": {"enabled": True, "events": ALL_EVENTS},
        "serviceRoleArn": service_role(cloud, name, *(allowed or ROLE_FOR_LAMBDA)),
    }
    api.create_deployment_group(applicationName=name, deploymentGroupName="live", **{**settings, **group})
    return Stage(cloud, name)


def canary(cloud: Cloud, name: str, minutes: int, percentage: int = 10) -> str:
    """Make a canary configuration and return its name."""
    routing = {
        "type": "TimeBasedCanary",
        "timeBasedCanary": {"canaryPercentage": percentage, "canaryInterval": minutes},
    }
    cloud.client("codedeploy").create_deployment_config(
        deploymentConfigName=name, computePlatform="Lambda", trafficRoutingConfig=routing
    )
    return name


def alarm(cloud: Cloud, name: str, state: str = "OK") -> str:
    """Make an alarm in a state and return its name."""
    watching = cloud.client("cloudwatch")
    watching.put_metric_alarm(
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
    watching.set_alarm_state(AlarmName=name, StateValue=state, StateReason="the test says so")
    return name


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud where a minute takes a tenth of a second."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    hasten(running, 600)
    yield running
    running.stop()


HOURS = 24 * 60  # minutes: at this scale a canary of a day lasts until something ends it


# -- the shift -----------------------------------------------------------------------------------------------------


def test_all_at_once_moves_the_alias_and_takes_no_time(cloud: Cloud) -> None:
    """The deployment says who made it, when, and how its one target fared."""
    stage = staged(cloud, "at-once")
    deployment = stage.deploy(description="the second")
    info = stage.ended(deployment)
    assert (info["status"], info["creator"], info["description"]) == ("Succeeded", "user", "the second")
    assert info["createTime"] <= info["startTime"] <= info["completeTime"]
    assert info["deploymentOverview"] == {
        "Pending": 0, "InProgress": 0, "Succeeded": 1, "Failed": 0, "Skipped": 0, "Ready": 0,
    }  # fmt: skip
    assert stage.alias == ("2", {})
    target = stage.target(deployment)
    assert target["targetArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:at-once:live"
    assert target["lambdaFunctionInfo"] == {
        "functionName": "at-once",
        "functionAlias": "live",
        "currentVersion": "1",
        "targetVersion": "2",
        "targetVersionWeight": 1.0,
    }
    assert stage.events(deployment) == dict.fromkeys(
        ("BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"), "Succeeded"
    )
    group = stage.api.get_deployment_group(applicationName="at-once", deploymentGroupName="live")["deploymentGroupInfo"]
    assert group["lastSuccessfulDeployment"]["deploymentId"] == deployment
    assert group["targetRevision"] == info["revision"]


def test_a_canary_gives_its_share_and_then_everything(cloud: Cloud) -> None:
    """While it is watched, the alias still points at the old version."""
    stage = staged(cloud, "canary", deploymentConfigName=canary(cloud, "twenty", 10, percentage=20))
    deployment = stage.deploy()
    until(lambda: stage.alias == ("1", {"2": 0.2}))
    assert stage.target(deployment)["lambdaFunctionInfo"]["targetVersionWeight"] == 0.2
    assert stage.ended(deployment)["status"] == "Succeeded"
    assert stage.alias == ("2", {})


def test_a_canary_is_watched_for_its_minutes(cloud: Cloud) -> None:
    """They are the sandbox's, a six-hundredth of AWS's."""
    stage = staged(cloud, "minutes", deploymentConfigName=canary(cloud, "twenty-minutes", 20))
    info = stage.ended(stage.deploy())
    assert (info["completeTime"] - info["startTime"]).total_seconds() >= 20 * 60 / 600


def test_a_linear_shift_goes_step_by_step(cloud: Cloud) -> None:
    """Each step as large as the one before; the last one is what is left."""
    routing = {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 30, "linearInterval": 5}}
    cloud.client("codedeploy").create_deployment_config(
        deploymentConfigName="thirds", computePlatform="Lambda", trafficRoutingConfig=routing
    )
    stage = staged(cloud, "linear", deploymentConfigName="thirds")
    shares = stage.shares(stage.deploy())
    assert shares == [share for share in (0.0, 0.3, 0.6, 0.9, 1.0) if share or shares[0] == 0.0]


def test_awss_own_configurations_shift_as_they_are_named(cloud: Cloud) -> None:
    """All for Lambda are there, and cannot be deleted."""
    api = cloud.client("codedeploy")
    listed = api.list_deployment_configs()["deploymentConfigsList"]
    assert [name for name in listed if name.startswith("CodeDeployDefault.")] == [
        "CodeDeployDefault.LambdaAllAtOnce",
        *(f"CodeDeployDefault.LambdaCanary10Percent{minutes}Minutes" for minutes in (5, 10, 15, 30)),
        "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
        *(f"CodeDeployDefault.LambdaLinear10PercentEvery{minutes}Minutes" for minutes in (2, 3, 10)),
    ]
    found = api.get_deployment_config(deploymentConfigName="CodeDeployDefault.LambdaLinear10PercentEvery3Minutes")
    assert traffic.steps(found["deploymentConfigInfo"]["trafficRoutingConfig"]) == [
        (0 if share == 10 else 3, share) for share in range(10, 101, 10)
    ]
    with pytest.raises(ClientError, match="InvalidOperationException"):
        api.delete_deployment_config(deploymentConfigName="CodeDeployDefault.LambdaAllAtOnce")


# -- what stops it ---------------------------------------------------------------------------------------------------


def test_an_alarm_takes_the_new_version_back(cloud: Cloud) -> None:
    """The deployment is stopped, and another one puts all traffic where it was; each names the other."""
    watched = {"enabled": True, "alarms": [{"name": alarm(cloud, "errors")}, {"name": alarm(cloud, "latency")}]}
    stage = staged(cloud, "alarmed", deploymentConfigName=canary(cloud, "alarmed", HOURS), alarmConfiguration=watched)
    deployment = stage.deploy()
    until(lambda: stage.alias[1])
    alarm(cloud, "errors", "ALARM")
    info = stage.ended(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    assert info["errorInformation"]["message"].endswith("Activated alarms: <errors>")
    rollback = stage.ended(info["rollbackInfo"]["rollbackDeploymentId"])
    assert (rollback["status"], rollback["creator"]) == ("Succeeded", "codeDeployRollback")
    assert rollback["rollbackInfo"]["rollbackTriggeringDeploymentId"] == deployment
    assert stage.alias == ("1", {})
    assert stage.events(deployment) == {
        "BeforeAllowTraffic": "Succeeded", "AllowTraffic": "Failed", "AfterAllowTraffic": "Skipped",
    }  # fmt: skip
    assert set(stage.events(rollback["deploymentId"]).values()) == {"Succeeded"}


def test_an_alarm_that_is_active_already_lets_nothing_begin(cloud: Cloud) -> None:
    """Not even a part of the traffic moves; a deployment that overrides the alarms does."""
    watched = {"enabled": True, "alarms": [{"name": alarm(cloud, "red", "ALARM")}]}
    stage = staged(cloud, "red", alarmConfiguration=watched)
    info = stage.ended(stage.deploy())
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    assert stage.alias == ("1", {})
    forced = stage.deploy(overrideAlarmConfiguration={"enabled": False})
    assert stage.ended(forced)["status"] == "Succeeded"


@pytest.mark.parametrize(("ignore", "status"), [(False, "Stopped"), (True, "Succeeded")])
def test_an_alarm_that_cannot_be_read_stops_unless_that_is_ignored(ignore: bool, status: str, cloud: Cloud) -> None:
    """The role may not look at alarms here."""
    watched = {"enabled": True, "ignorePollAlarmFailure": ignore, "alarms": [{"name": "unreadable"}]}
    alarm(cloud, "unreadable")
    allowed = [action for action in ROLE_FOR_LAMBDA if not action.startswith("cloudwatch:")]
    stage = staged(cloud, f"unreadable-{status}", *allowed, alarmConfiguration=watched)
    info = stage.ended(stage.deploy())
    assert info["status"] == status
    assert ignore or info["errorInformation"]["code"] == "IAM_ROLE_PERMISSIONS"


def test_a_stopped_deployment_is_rolled_back_if_asked(cloud: Cloud) -> None:
    """What the request says counts, whatever the group is configured to do."""
    configured = {"enabled": False, "events": []}
    stage = staged(
        cloud, "stopped", deploymentConfigName=canary(cloud, "stopped", HOURS), autoRollbackConfiguration=configured
    )
    deployment = stage.deploy()
    until(lambda: stage.alias[1])
    assert stage.api.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)["status"] == "Pending"
    info = stage.ended(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    assert stage.ended(info["rollbackInfo"]["rollbackDeploymentId"])["status"] == "Succeeded"
    assert stage.alias == ("1", {})
    with pytest.raises(ClientError, match="DeploymentAlreadyCompletedException"):
        stage.api.stop_deployment(deploymentId=deployment)


def test_without_a_rollback_a_stop_leaves_the_alias_split(cloud: Cloud) -> None:
    """And the next deployment fails, until somebody has put the alias in order."""
    stage = staged(cloud, "split", deploymentConfigName=canary(cloud, "split", HOURS))
    deployment = stage.deploy()
    until(lambda: stage.alias[1])
    stage.api.stop_deployment(deploymentId=deployment, autoRollbackEnabled=False)
    assert "rollbackInfo" not in stage.ended(deployment)
    assert stage.alias == ("1", {"2": 0.1})
    info = stage.ended(stage.deploy())
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "INVALID_LAMBDA_CONFIGURATION")
    assert stage.alias == ("1", {"2": 0.1})


def test_one_deployment_at_a_time(cloud: Cloud) -> None:
    """Another one of the same group is refused, and told which one runs."""
    stage = staged(cloud, "busy", deploymentConfigName=canary(cloud, "busy", HOURS))
    deployment = stage.deploy()
    with pytest.raises(ClientError, match=f"(?s)DeploymentLimitExceeded.*active Deployment '{deployment}'"):
        stage.deploy(target="3")
    stage.api.stop_deployment(deploymentId=deployment)
    info = stage.ended(deployment)
    stage.ended(info["rollbackInfo"]["rollbackDeploymentId"])
    listed = stage.api.list_deployments(applicationName="busy", deploymentGroupName="live")["deployments"]
    assert listed == [info["rollbackInfo"]["rollbackDeploymentId"], deployment]
    stopped = stage.api.list_deployments(
        applicationName="busy", deploymentGroupName="live", includeOnlyStatuses=["Stopped"]
    )
    assert stopped["deployments"] == [deployment]


@pytest.mark.parametrize(
    ("current", "target", "code"),
    [
        ("3", "2", "INVALID_LAMBDA_CONFIGURATION"),
        ("1", "1", "INVALID_LAMBDA_CONFIGURATION"),
        ("1", "$LATEST", "INVALID_LAMBDA_CONFIGURATION"),
        ("1", "9", "INVALID_LAMBDA_FUNCTION"),
    ],
)
def test_versions_that_do_not_fit_fail_the_deployment(current: str, target: str, code: str, cloud: Cloud) -> None:
    """The alias must point at the one, and the other must be published and another."""
    stage = staged(cloud, f"versions-{current}-{target.strip('$')}")
    info = stage.ended(stage.deploy(current, target))
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", code)
    assert stage.alias == ("1", {})


def test_a_role_that_may_not_move_the_alias_fails_the_deployment(cloud: Cloud) -> None:
    """It is the role that moves it, not CodeDeploy."""
    stage = staged(cloud, "powerless", "lambda:GetAlias")
    deployment = stage.deploy()
    info = stage.ended(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "IAM_ROLE_PERMISSIONS")
    assert "lambda:UpdateAlias" in info["errorInformation"]["message"]
    assert stage.events(deployment)["AllowTraffic"] == "Failed"
    assert stage.alias == ("1", {})


# -- hooks -----------------------------------------------------------------------------------------------------------


def hook(cloud: Cloud, name: str, answer: str) -> str:
    """Make a validation function that gives an answer."""
    role = cloud.role(
        f"runs-{name}",
        {"Action": "logs:*", "Resource": "*"},
        {
            "Action": "codedeploy:PutLifecycleEventHookExecutionStatus",
            "Resource": f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup:hooked-{name}/*",
        },
    )
    cloud.function(f"CodeDeployHook_{name}", HOOK, role, Environment={"Variables": {"ANSWER": answer}})
    return f"CodeDeployHook_{name}"


@pytest.mark.parametrize("event", revision.HOOKS)
def test_a_hook_that_says_failed_takes_the_version_back(event: str, cloud: Cloud) -> None:
    """Before any traffic, or after all of it."""
    name = event[:6].lower()
    stage = staged(cloud, f"hooked-{name}")
    deployment = stage.deploy(hooks={event: hook(cloud, name, "Failed")})
    info = stage.ended(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    assert stage.events(deployment)[event] == "Failed"
    assert stage.events(deployment)["AllowTraffic"] == ("Skipped" if event.startswith("Before") else "Succeeded")
    assert stage.ended(info["rollbackInfo"]["rollbackDeploymentId"])["status"] == "Succeeded"
    assert stage.alias == ("1", {})


def test_hooks_that_say_succeeded_let_traffic_through(cloud: Cloud) -> None:
    """Each answers once; a second answer, or one to a question that nobody asked, is refused."""
    stage = staged(cloud, "hooked-good")
    good = hook(cloud, "good", "Succeeded")
    deployment = stage.deploy(hooks=dict.fromkeys(revision.HOOKS, good))
    assert stage.ended(deployment)["status"] == "Succeeded"
    assert stage.alias == ("2", {})
    with pytest.raises(ClientError, match="InvalidLifecycleEventHookExecutionIdException"):
        stage.api.put_lifecycle_event_hook_execution_status(
            deploymentId=deployment, lifecycleEventHookExecutionId="another", status="Succeeded"
        )


def test_a_hook_that_does_not_answer_within_an_hour_has_failed(cloud: Cloud) -> None:
    """Whether it crashed or not: nobody waits for what it returns."""
    stage = staged(cloud, "hooked-silent")
    info = stage.ended(stage.deploy(hooks={"BeforeAllowTraffic": hook(cloud, "silent", "nothing")}))
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    assert (info["completeTime"] - info["startTime"]).total_seconds() >= 3600 / 600


# -- who is told -----------------------------------------------------------------------------------------------------


def test_triggers_reach_whoever_has_subscribed(cloud: Cloud) -> None:
    """In CodeDeploy's own form, one message for each event that a trigger lists."""
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    topic = sns.create_topic(Name="releases")["TopicArn"]
    url = sqs.create_queue(QueueName="releases")["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:releases"
    open_to_topics = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [open_to_topics]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    trigger = {"triggerName": "all", "triggerTargetArn": topic, "triggerEvents": ALL_TRIGGERS}
    stage = staged(
        cloud,
        "told",
        deploymentConfigName=canary(cloud, "told", HOURS),
        triggerConfigurations=[trigger],
    )
    deployment = stage.deploy()
    until(lambda: stage.alias[1])
    stage.api.stop_deployment(deploymentId=deployment)
    rollback = stage.ended(deployment)["rollbackInfo"]["rollbackDeploymentId"]
    stage.ended(rollback)
    told: list[dict[str, Any]] = []

    def collect() -> bool:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ())
        told.extend(json.loads(json.loads(message["Body"])["Message"]) for message in messages)
        return len(told) >= 5

    until(collect)
    seen = sorted((one["deploymentId"] == deployment, one["status"]) for one in told)
    assert seen == [
        (False, "Created"), (False, "Succeeded"), (True, "Created"), (True, "Stopped"), (True, "Stopped"),
    ]  # fmt: skip
    [stopped, _] = [one for one in told if one["status"] == "Stopped"]
    assert {name: stopped[name] for name in ("region", "accountId", "eventTriggerName", "applicationName")} == {
        "region": REGION, "accountId": ACCOUNT, "eventTriggerName": "all", "applicationName": "told",
    }  # fmt: skip
    assert stopped["errorInformation"]["ErrorCode"] == "MANUAL_STOP"
    assert stopped["rollbackInformation"]["RollbackDeploymentId"] == rollback
    assert stopped["deploymentOverview"]["Failed"] == "1"


# -- revisions -------------------------------------------------------------------------------------------------------


def test_a_revision_may_be_yaml_in_a_bucket(cloud: Cloud) -> None:
    """It is the role that reads it."""
    stage = staged(cloud, "bucket")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="revisions", CreateBucketConfiguration={"LocationConstraint": REGION})
    text = """
        version: 0.0
        Resources:
          - anything:
              Type: AWS::Lambda::Function
              Properties: {Name: bucket, Alias: live, CurrentVersion: 1, TargetVersion: 3}
    """
    s3.put_object(Bucket="revisions", Key="appspec.yml", Body=text.encode())
    where = {"bucket": "revisions", "key": "appspec.yml", "bundleType": "YAML"}
    assert stage.ended(stage.deploy(revision={"revisionType": "S3", "s3Location": where}))["status"] == "Succeeded"
    assert stage.alias == ("3", {})
    gone = {"revisionType": "S3", "s3Location": {**where, "key": "missing.yml"}}
    assert stage.ended(stage.deploy(revision=gone))["errorInformation"]["code"] == "REVISION_MISSING"


GOOD = {"Name": "f", "Alias": "live", "CurrentVersion": "1", "TargetVersion": "2"}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "neither JSON nor YAML"),
        ([], "no object"),
        ({"version": 1, "Resources": []}, "version is 1"),
        ({"version": 0.0}, "a list of one function"),
        ({"version": 0.0, "Resources": [{"f": {"Type": "AWS::ECS::Service"}}]}, "AWS::Lambda::Function"),
        ({"version": 0.0, "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": {}}}]}, "has no Name"),
        (
            {"version": 0.0, "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": GOOD}}], "hooks": []},
            "hooks",
        ),
        (
            {
                "version": 0.0,
                "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": GOOD}}],
                "Hooks": [{"BeforeInstall": "f"}],
            },
            "a hook BeforeInstall",
        ),
    ],
)
def test_an_appspec_that_is_none_is_explained(document: Any, why: str) -> None:
    """So that the deployment's error says what to mend."""
    with pytest.raises(revision.AppSpecError, match=why):
        revision.read(document if isinstance(document, str) else json.dumps(document))


def test_a_hash_of_other_content_is_refused(cloud: Cloud) -> None:
    """A content's own hash is not."""
    stage = staged(cloud, "hashed")
    content = json.dumps(stage.appspec("1", "2"))
    digest = hashlib.sha256(content.encode()).hexdigest()
    wrong = {"revisionType": "AppSpecContent", "appSpecContent": {"content": f"{content} ", "sha256": digest}}
    with pytest.raises(ClientError, match="InvalidRevisionException"):
        stage.deploy(revision=wrong)
    right = {"revisionType": "AppSpecContent", "appSpecContent": {"content": content, "sha256": digest}}
    assert stage.ended(stage.deploy(revision=right))["status"] == "Succeeded"


# -- applications, configurations, groups, tags ------------------------------------------------------------------------


def test_what_is_played_answers_as_the_model_says() -> None:
    """Every operation that deployments to Lambda need has a method, and the target header is the model's."""
    needed = {
        f"{verb}{noun}"
        for noun, verbs in {
            "Application": ("Create", "Get", "Update", "Delete"),
            "DeploymentConfig": ("Create", "Get", "Delete"),
            "DeploymentGroup": ("Create", "Get", "Update", "Delete"),
            "Deployment": ("Create", "Get", "Stop"),
            "DeploymentTarget": ("Get",),
        }.items()
        for verb in verbs
    } | {
        *(
            f"List{noun}s"
            for noun in ("Application", "DeploymentConfig", "DeploymentGroup", "Deployment", "DeploymentTarget")
        ),
        *(f"BatchGet{noun}s" for noun in ("Application", "DeploymentGroup", "Deployment", "DeploymentTarget")),
        "PutLifecycleEventHookExecutionStatus",
        "TagResource",
        "UntagResource",
        "ListTagsForResource",
    }
    assert set(service.played()) == needed
    assert model.service().metadata["targetPrefix"] == "CodeDeploy_20141006"


def test_what_is_not_played_says_so(cloud: Cloud) -> None:
    """An error that names the operation, never a pretence."""
    api = cloud.client("codedeploy")
    with pytest.raises(ClientError, match="does not play RegisterOnPremisesInstance"):
        api.register_on_premises_instance(instanceName="server")
    with pytest.raises(ClientError, match=r"(?s)InvalidComputePlatformException.*not for Server"):
        api.create_application(applicationName="servers")


LAMBDA = {"computePlatform": "Lambda"}
SHELF = {"applicationName": "shelf"}
CONFIG = {"deploymentConfigName": "c"}


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("create_application", {"applicationName": "a b", **LAMBDA}, "InvalidApplicationNameException"),
        ("create_application", {"applicationName": "shelf", **LAMBDA}, "ApplicationAlreadyExistsException"),
        ("create_application", {**SHELF, "computePlatform": "Cloud"}, "InvalidComputePlatformException"),
        ("get_application", {"applicationName": "nobody"}, "ApplicationDoesNotExistException"),
        ("update_application", {"applicationName": "shelf"}, "ApplicationNameRequiredException"),
        ("create_deployment_config", {**CONFIG, **LAMBDA}, "InvalidTrafficRoutingConfigurationException"),
        ("get_deployment_config", CONFIG, "DeploymentConfigDoesNotExistException"),
        ("delete_deployment_config", {"deploymentConfigName": "of-shelf"}, "DeploymentConfigInUseException"),
        ("get_deployment_group", {**SHELF, "deploymentGroupName": "no"}, "DeploymentGroupDoesNotExistException"),
        ("create_deployment", {"applicationName": "shelf"}, "DeploymentGroupNameRequiredException"),
        ("create_deployment", {**SHELF, "deploymentGroupName": "live"}, "RevisionRequiredException"),
        ("get_deployment", {"deploymentId": "7"}, "InvalidDeploymentIdException"),
        ("get_deployment", {"deploymentId": "d-AAAAAAAAA"}, "DeploymentDoesNotExistException"),
        ("list_deployments", {"applicationName": "shelf"}, "DeploymentGroupNameRequiredException"),
        ("list_deployments", {"includeOnlyStatuses": ["Done"]}, "InvalidDeploymentStatusException"),
        ("list_applications", {"nextToken": "?"}, "InvalidNextTokenException"),
        ("list_tags_for_resource", {"ResourceArn": "shelf"}, "InvalidArnException"),
    ],
)  # fmt: skip
def test_a_request_that_is_wrong_is_refused_by_its_name(
    operation: str, parameters: dict[str, Any], code: str, shelf: Stage
) -> None:
    """With the exception that the service's model has for it."""
    assert code in {shape.name for shape in model.service().error_shapes}
    with pytest.raises(ClientError) as refused:
        getattr(shelf.api, operation)(**parameters)
    assert refused.value.response["Error"]["Code"] == code


IN_PLACE = {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
ELEVEN = [{"name": str(number)} for number in range(11)]
NO_TOPIC = {"triggerName": "t", "triggerTargetArn": "topic", "triggerEvents": ["DeploymentStop"]}
GROUP_FAULTS = [
    ({"deploymentStyle": IN_PLACE}, "InvalidDeploymentStyleException"),
    ({"autoRollbackConfiguration": {"enabled": True}}, "InvalidAutoRollbackConfigException"),
    ({"autoRollbackConfiguration": {"enabled": True, "events": ["ANYTHING"]}}, "InvalidAutoRollbackConfigException"),
    ({"alarmConfiguration": {"enabled": True, "alarms": []}}, "InvalidAlarmConfigException"),
    ({"alarmConfiguration": {"alarms": [{"name": "a"}, {"name": "a"}]}}, "InvalidAlarmConfigException"),
    ({"alarmConfiguration": {"alarms": ELEVEN}}, "AlarmsLimitExceededException"),
    ({"triggerConfigurations": [NO_TOPIC]}, "InvalidTriggerConfigException"),
    ({"loadBalancerInfo": {"elbInfoList": [{"name": "lb"}]}}, "InvalidLoadBalancerInfoException"),
    ({"autoScalingGroups": ["servers"]}, "InvalidAutoScalingGroupException"),
    ({"deploymentConfigName": "nobody"}, "DeploymentConfigDoesNotExistException"),
    ({"serviceRoleArn": "role"}, "InvalidRoleException"),
    ({"serviceRoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}, "InvalidRoleException"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "code"), GROUP_FAULTS)
def test_a_group_that_cannot_be_is_refused(settings: dict[str, Any], code: str, shelf: Stage) -> None:
    """By both operations that set its settings."""
    role = shelf.api.get_deployment_group(applicationName="shelf", deploymentGroupName="live")["deploymentGroupInfo"]
    wanted = {"deploymentStyle": STYLE, "serviceRoleArn": role["serviceRoleArn"], **settings}
    with pytest.raises(ClientError) as refused:
        shelf.api.create_deployment_group(applicationName="shelf", deploymentGroupName="other", **wanted)
    assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError) as refused:
        shelf.api.update_deployment_group(applicationName="shelf", currentDeploymentGroupName="live", **settings)
    assert refused.value.response["Error"]["Code"] == code


def test_a_role_must_trust_codedeploy_for_its_group(shelf: Stage) -> None:
    """A group of another application has another ARN, and a role may name it."""
    api = shelf.api
    role = api.get_deployment_group(applicationName="shelf", deploymentGroupName="live")["deploymentGroupInfo"]
    api.create_application(applicationName="elsewhere", computePlatform="Lambda")
    with pytest.raises(ClientError, match="does not have the permissions required to assume the role"):
        api.create_deployment_group(
            applicationName="elsewhere",
            deploymentGroupName="live",
            deploymentStyle=STYLE,
            serviceRoleArn=role["serviceRoleArn"],
        )


@pytest.fixture(scope="module")
def shelf(cloud: Cloud) -> Stage:
    """A group that nothing is deployed to."""
    config = canary(cloud, "of-shelf", 10)
    return staged(cloud, "shelf", deploymentConfigName=config)


def test_groups_and_applications_are_renamed_listed_and_deleted(cloud: Cloud) -> None:
    """What a batch names and is not there is said, or an error, as the model has it."""
    stage = staged(cloud, "renamed", triggerConfigurations=[])
    api = stage.api
    api.update_deployment_group(
        applicationName="renamed",
        currentDeploymentGroupName="live",
        newDeploymentGroupName="alive",
        alarmConfiguration={"enabled": True, "alarms": [{"name": "any"}]},
    )
    assert api.list_deployment_groups(applicationName="renamed")["deploymentGroups"] == ["alive"]
    found = api.batch_get_deployment_groups(applicationName="renamed", deploymentGroupNames=["alive", "live"])
    [group] = found["deploymentGroupsInfo"]
    assert group["alarmConfiguration"] == {
        "enabled": True,
        "ignorePollAlarmFailure": False,
        "alarms": [{"name": "any"}],
    }
    assert group["autoRollbackConfiguration"] == {"enabled": True, "events": ALL_EVENTS}
    assert "live" in found["errorMessage"]
    api.update_application(applicationName="renamed", newApplicationName="named")
    assert "named" in api.list_applications()["applications"]
    [application] = api.batch_get_applications(applicationNames=["named"])["applicationsInfo"]
    assert application["computePlatform"] == "Lambda"
    api.delete_deployment_group(applicationName="named", deploymentGroupName="alive")
    api.delete_application(applicationName="named")
    assert "named" not in api.list_applications()["applications"]
    api.delete_application(applicationName="named")


def test_applications_and_groups_carry_tags(cloud: Cloud) -> None:
    """Given at their making or later; a configuration carries none."""
    api = cloud.client("codedeploy")
    api.create_application(applicationName="tagged", computePlatform="Lambda", tags=[{"Key": "team", "Value": "a"}])
    arn = f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:application:tagged"
    api.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "stage", "Value": "dev"}])
    api.untag_resource(ResourceArn=arn, TagKeys=["stage"])
    assert api.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "b"}]
    with pytest.raises(ClientError, match="InvalidTagsToAddException"):
        api.tag_resource(ResourceArn=arn, Tags=[{"Key": "aws:own", "Value": "no"}])
    with pytest.raises(ClientError, match="ArnNotSupportedException"):
        api.list_tags_for_resource(ResourceArn=f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentconfig:any")
    missing = f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup:tagged/no"
    with pytest.raises(ClientError, match="DeploymentGroupDoesNotExistException"):
        api.list_tags_for_resource(ResourceArn=missing)


def test_each_operation_needs_its_right(cloud: Cloud, shelf: Stage) -> None:
    """A deployment is seen by who may see its group, and tags of a group are conditions of that."""
    deployment = shelf.deploy()
    shelf.api.stop_deployment(deploymentId=deployment)
    shelf.ended(deployment)
    groups = f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup"
    reader = cloud.role("sees-shelf", {"Action": "codedeploy:GetDeployment", "Resource": f"{groups}:shelf/live"})
    other = cloud.role("sees-other", {"Action": "codedeploy:GetDeployment", "Resource": f"{groups}:other/live"})
    assert cloud.acting_as(reader, "codedeploy").get_deployment(deploymentId=deployment)["deploymentInfo"]
    with pytest.raises(ClientError, match=r"(?s)AccessDenied.*codedeploy:GetDeployment on resource.*shelf/live"):
        cloud.acting_as(other, "codedeploy").get_deployment(deploymentId=deployment)
    tagged = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    may = cloud.role("by-tag", {"Action": "codedeploy:*", "Resource": "*", "Condition": tagged})
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.acting_as(may, "codedeploy").get_deployment(deploymentId=deployment)
    shelf.api.tag_resource(ResourceArn=f"{groups}:shelf/live", Tags=[{"Key": "team", "Value": "a"}])
    assert cloud.acting_as(may, "codedeploy").get_deployment(deploymentId=deployment)["deploymentInfo"]


# -- a restart -------------------------------------------------------------------------------------------------------


def test_a_deployment_outlives_its_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Killed in the middle of a canary, the sandbox goes on with it from where its state was saved."""
    directory = tmp_path_factory.mktemp("restarted")
    running = Cloud(directory).start()
    try:
        stage = staged(running, "restarted", deploymentConfigName=canary(running, "restarted", 10))
        deployment = stage.deploy()
        until(lambda: stage.alias == ("1", {"2": 0.1}))
        running.save("in the middle")
        running.stop(signal.SIGKILL)
        running = Cloud(directory).start()
        stage = Stage(running, "restarted")
        assert stage.of(deployment)["status"] == "InProgress"
        assert stage.alias == ("1", {"2": 0.1})
        hasten(running, 600)
        assert stage.ended(deployment)["status"] == "Succeeded"
        assert stage.alias == ("2", {})
        assert running.client("codedeploy").get_deployment_config(deploymentConfigName="restarted")
    finally:
        running.stop()
