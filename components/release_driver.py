"""What an update does to a running service through AWS's APIs: approvals, ledger, warm-up, checks, traffic.

The one module of the program with boto3: everything here happens in hooks, while an update runs, and none of it is
declared. It reports by `say`, and fails by raising; an update then stops where it is.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# CodeDeploy's states that are not the end
# (https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_DeploymentInfo.html).
RUNNING = ("Created", "Queued", "InProgress", "Baking", "Ready")
# How often in a row the new version must fail its own check, while it has part of the traffic, to be taken back.
FAILED_CHECKS = 3
# How long traffic may take to come back after a deployment has failed: one move of the alias.
ROLLBACK_SECONDS = 120
# How many of its periods an alarm of the version before may take to see that the new one is another, and how long
# CloudWatch may take to judge a period that has ended.
ALARM_PERIODS = 2
ALARM_DELAY_SECONDS = 60.0


class GateClosedError(Exception):
    """The update may not touch data or traffic now; the message says what is missing, and the remedy."""


class SnapshotTakenError(Exception):
    """The snapshot that a migration would go back to is an old one; nothing was changed."""


class UnhealthyError(Exception):
    """The new version failed before it had any traffic; the old one serves."""


class RolledBackError(Exception):
    """The new version had traffic and lost it again; the old one serves."""


class StrandedError(Exception):
    """The version that traffic goes to is ill, and no other one has it back: somebody must look, now."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Makes clients of AWS's services.

    Attributes:
        region: The region.
        profile: Profile of the shared configuration, where one is configured.
    """

    region: str
    profile: str | None = None

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.Session(region_name=self.region, profile_name=self.profile)

    def client(self, service: str) -> Any:
        """Return a client that retries; an invocation is waited for as long as a function may run."""
        from botocore.config import Config

        return self._session.client(
            service, config=Config(retries={"mode": "standard", "max_attempts": 5}, read_timeout=910)
        )


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Approvals and records of what touched data or traffic, in the account's append-only bucket.

    Attributes:
        cloud: Where it is.
        bucket: The bucket.
        stack: The stack whose records these are.
        release: What identifies the release, such as the digests of code and plan; part of every record.
    """

    cloud: Cloud
    bucket: str
    stack: str
    release: Mapping[str, str]
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @cached_property
    def _s3(self) -> Any:
        return self.cloud.client("s3")

    @cached_property
    def _by(self) -> str:
        return str(self.cloud.client("sts").get_caller_identity()["Arn"])

    def missing_approvals(self, approvers: Sequence[str]) -> list[str]:
        """Return who of `approvers` has not approved this release for this stack.

        An approval is an object that only the approver's own role may write; see `account/`.

        Raises:
            GateClosedError: the ledger cannot be read.
        """
        missing = []
        for who in approvers:
            key = f"approvals/{self.stack}/{self.release['codeSha256']}/{who}.json"
            approval = self._read(key)
            if approval is None or any(
                approval.get(name) != value for name, value in {**self.release, "stack": self.stack}.items()
            ):
                missing.append(who)
        return missing

    def record(self, event: str, **facts: object) -> None:
        """Append a record; one that exists is never written over.

        Raises:
            GateClosedError: it cannot be written.
        """
        now = datetime.now(UTC)
        key = f"entries/{self.stack}/{now:%Y/%m/%d/%H%M%S.%fZ}-{self.run}-{uuid.uuid4().hex[:6]}.json"
        with self._explained(f"s3://{self.bucket}/{key} cannot be written"):
            entry = {
                "schema": "product-api/ledger/1",
                "event": event,
                "at": now.isoformat(timespec="milliseconds"),
                "stack": self.stack,
                "run": self.run,
                "by": self._by,
                "actor": os.environ.get("GITHUB_ACTOR", ""),
                **self.release,
                **facts,
            }
            self._s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=json.dumps(entry).encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )

    def _read(self, key: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        with self._explained(f"s3://{self.bucket}/{key} cannot be read"):
            try:
                document = json.loads(self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] == "NoSuchKey":
                    return None
                raise
            except ValueError:
                return None
        return document if isinstance(document, dict) else None

    @contextlib.contextmanager
    def _explained(self, what: str) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise GateClosedError(
                f"{what}: {error}. The ledger is made by `ops bootstrap {self.stack}`; nothing touches data or traffic "
                "without a record"
            ) from error


def refuse_taken_snapshot(cloud: Cloud, name: str, attempt: int) -> None:
    """Refuse to go on where a snapshot of this plan and attempt exists: it holds nothing that was written since.

    Args:
        cloud: Where the database is.
        name: The snapshot's name.
        attempt: The attempt that names it.

    Raises:
        SnapshotTakenError: it exists.
    """
    rds = cloud.client("rds")
    try:
        [found] = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
    except rds.exceptions.DBSnapshotNotFoundFault:
        return
    raise SnapshotTakenError(
        f"snapshot {name} is of an earlier run with these migrations ({found.get('SnapshotCreateTime')}) "
        f"and holds nothing that was written since. Count the attempt up (pulumi config set attempt {attempt + 1}): "
        "the next run takes another"
    )


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Moves the traffic of a function from the version that serves to another.

    Attributes:
        cloud: Where the function is.
        function: The function.
        alias: The alias that gets the traffic.
        application: CodeDeploy application.
        group: Its deployment group, which says how the traffic moves and which alarms stop it.
        warm: How many instances of the new version are started before it gets traffic.
        say: Reports what happens.
        tick: Reports how long something still takes, again and again.
    """

    cloud: Cloud
    function: str
    alias: str
    application: str
    group: str
    warm: int
    say: Callable[[str], None]
    tick: Callable[[str], None]

    @cached_property
    def _lambda(self) -> Any:
        return self.cloud.client("lambda")

    @cached_property
    def _codedeploy(self) -> Any:
        return self.cloud.client("codedeploy")

    def shift(self, version: str) -> str:
        """Make `version` the one that serves, and return what was done to make it so.

        Warms and checks it first. Where a deployment of it is under way, left by an update that was interrupted, that
        one is waited for.

        Raises:
            UnhealthyError: it fails before any traffic, or cannot get any.
            RolledBackError: its deployment failed or was stopped, and the old version serves.
            StrandedError: it failed, and the old version does not serve all traffic.
        """
        group = self._codedeploy.get_deployment_group(applicationName=self.application, deploymentGroupName=self.group)[
            "deploymentGroupInfo"
        ]
        bake = self._bake_seconds(group["deploymentConfigName"])
        deployment = self._running(version)
        if deployment is None:
            serving = self._lambda.get_alias(FunctionName=self.function, Name=self.alias)
            weights = (serving.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            if weights:
                shares = ", ".join(f"{weight:.0%} to version {other}" for other, weight in weights.items())
                raise UnhealthyError(
                    f"alias {self.alias} of {self.function} sends {shares} and no deployment is under way: somebody "
                    "moved it by hand. Put it back (aws lambda update-alias --routing-config {}), and run the update "
                    "again"
                )
            ill = self._ill(version)
            if serving["FunctionVersion"] == version:  # the first one, or that of an update cut off after the move
                if ill:
                    raise StrandedError(
                        f"version {version} of {self.function} has all the traffic, and {ill}. No other version has "
                        f"been given it back: mend the release and run the update again; its log: {self._log}"
                    )
                return "serves already"
            if ill:
                raise UnhealthyError(self._refused(version, f"{ill}; its log: {self._log}"))
            self._await_alarms(group, version)
            deployment = self._start(serving["FunctionVersion"], version)
        else:
            self.say(f"version {version} is being deployed already: waiting for {deployment}")
        self._wait(deployment, version, bake)
        return deployment

    def _bake_seconds(self, config: str) -> float:
        """Return how long a deployment shares the traffic out between two versions."""
        routing = self._codedeploy.get_deployment_config(deploymentConfigName=config)["deploymentConfigInfo"].get(
            "trafficRoutingConfig", {}
        )
        if canary := routing.get("timeBasedCanary"):
            return float(canary["canaryInterval"] * 60)
        if linear := routing.get("timeBasedLinear"):
            return float((math.ceil(100 / linear["linearPercentage"]) - 1) * linear["linearInterval"] * 60)
        return 0.0

    def _running(self, version: str) -> str | None:
        """Return the deployment of `version` that is under way; another's is somebody else's."""
        found = self._codedeploy.list_deployments(
            applicationName=self.application, deploymentGroupName=self.group, includeOnlyStatuses=list(RUNNING)
        )["deployments"]
        for deployment in found:
            info = self._get(deployment)
            target = _target(info["revision"])
            if target != version or info["creator"] == "codeDeployRollback":
                what = f"version {target}" if target else "something else"
                raise UnhealthyError(
                    f"{what} is being deployed ({deployment}, by {info['creator']}): wait for its end, or stop it (aws "
                    f"deploy stop-deployment --deployment-id {deployment}), and run the update again"
                )
            return str(deployment)
        return None

    def _ill(self, version: str) -> str | None:
        """Warm a version and check it; return what is wrong with it, None where it is well.

        Instances are started at the same time, so that each request finds one of its own.
        """
        self.say(f"warming {self.warm} instances of version {version}")
        with ThreadPoolExecutor(self.warm) as pool:
            for answer in pool.map(lambda _: self._invoke(version, {"warm": True}), range(self.warm)):
                if answer.get("warm") is not True:
                    return f"it does not start: {_short(answer)}"
        answer = self._invoke(version, {"check": True})
        if answer.get("healthy") is not True:
            return f"its own check fails: {_short(answer)}"
        self.say(f"version {version} passes its check ({answer.get('latencyMs')} ms)")
        return None

    def _await_alarms(self, group: Mapping[str, Any], version: str) -> None:
        """Wait until no alarm of the group is active: one that is would stop the deployment as it begins.

        An alarm keeps its state when it is given another version to judge. After a failed canary it is still about the
        version before, until its periods of that are over.
        """
        configured = group.get("alarmConfiguration") or {}
        names = [alarm["name"] for alarm in configured.get("alarms") or ()] if configured.get("enabled") else []
        if not names:
            return
        cloudwatch, deadline = self.cloud.client("cloudwatch"), None
        while active := self._active(cloudwatch, names):
            which, now = " and ".join(sorted(active)), time.monotonic()
            if deadline is None:
                deadline = now + ALARM_PERIODS * max(active.values()) + ALARM_DELAY_SECONDS
                self.say(f"{which} in ALARM, still of a version before: waiting until it is judged anew")
            if now >= deadline:
                raise UnhealthyError(
                    self._refused(
                        version,
                        f"{which} stayed in ALARM, which would stop its deployment at once. See what is told of (aws "
                        f"cloudwatch describe-alarm-history --alarm-name {min(active)})",
                    )
                )
            self.tick(f"{which} in ALARM, {deadline - now:.0f} s left until version {version} is given up")
            time.sleep(1)

    def _active(self, cloudwatch: Any, names: Sequence[str]) -> dict[str, float]:
        """Return which of these alarms are active, and the seconds that each judges at a time."""
        described = cloudwatch.describe_alarms(
            AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"], StateValue="ALARM"
        )
        found = {}
        for alarm in (*described["MetricAlarms"], *described["CompositeAlarms"]):
            periods = [
                alarm.get("Period", 0),
                *(query.get("MetricStat", query).get("Period", 0) for query in alarm.get("Metrics") or ()),
            ]
            found[alarm["AlarmName"]] = float(max(periods) * alarm.get("EvaluationPeriods", 1))
        return found

    def _refused(self, version: str, why: str) -> str:
        return (
            f"version {version} of {self.function} gets no traffic: {why}. The version before it serves. Mend it and "
            "run the update again"
        )

    @property
    def _log(self) -> str:
        return f"aws logs tail /aws/lambda/{self.function}"

    def _invoke(self, version: str, event: Mapping[str, object]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._lambda.invoke(
                FunctionName=self.function, Qualifier=version, Payload=json.dumps(event).encode()
            )
            document = json.loads(answer["Payload"].read())
        except (BotoCoreError, ClientError, ValueError) as error:
            return {"error": str(error)}
        if answer.get("FunctionError") or not isinstance(document, dict):
            return {"error": document}
        return document

    def _start(self, current: str, target: str) -> str:
        appspec = {
            "version": 0.0,
            "Resources": [
                {
                    "function": {
                        "Type": "AWS::Lambda::Function",
                        "Properties": {
                            "Name": self.function,
                            "Alias": self.alias,
                            "CurrentVersion": current,
                            "TargetVersion": target,
                        },
                    }
                }
            ],
        }
        deployment = self._codedeploy.create_deployment(
            applicationName=self.application,
            deploymentGroupName=self.group,
            revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(appspec)}},
            description=f"{self.function} {current} -> {target}",
        )["deploymentId"]
        self.say(f"{deployment}: traffic moves from version {current} to {target}")
        return str(deployment)

    def _get(self, deployment: str) -> dict[str, Any]:
        info: dict[str, Any] = self._codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
        return info

    def _wait(self, deployment: str, version: str, bake: float) -> None:
        """Wait for a deployment's end; the new version must pass its own check meanwhile.

        Args:
            deployment: the deployment.
            version: what it deploys.
            bake: the seconds for which it shares the traffic out.
        """
        failed, pause, told = 0, 0.5, ""
        while (info := self._get(deployment))["status"] in RUNNING:
            weight = self._weight(version)
            left = ""
            if bake and "startTime" in info and weight not in ("0%", "100%"):
                gone = (datetime.now(UTC) - info["startTime"]).total_seconds()
                left = f", {min(bake, max(0.0, bake - gone)):.0f} s of {bake:.0f} s left"
            (self.tick if weight == told else self.say)(f"{weight} to version {version}{left}")
            told = weight
            failed = 0 if self._invoke(version, {"check": True}).get("healthy") is True else failed + 1
            if failed == FAILED_CHECKS:
                self.say(f"version {version} failed its check {failed} times in a row: stopping {deployment}")
                self._stop(deployment)
            time.sleep(pause)
            pause = min(pause * 1.5, 3.0)
        ill = f"it failed its own check {failed} times in a row" if failed >= FAILED_CHECKS else ""
        if info["status"] == "Succeeded":
            if ill:
                raise StrandedError(self._stranded(version, deployment, ill))
            self.say(f"{deployment}: version {version} serves")
            return
        why = ill or (info.get("errorInformation") or {}).get("message") or info["status"]
        serving = self._wait_for_rollback(deployment, version)
        if serving is None:
            raise StrandedError(self._stranded(version, deployment, why))
        raise RolledBackError(
            f"version {version} of {self.function} was rolled back ({deployment}): {why}. Version {serving} serves. "
            "Mend the release and run the update again, which tries anew"
        )

    def _stop(self, deployment: str) -> None:
        """Stop a deployment and have it rolled back; one that has ended in this moment cannot be."""
        with contextlib.suppress(self._codedeploy.exceptions.DeploymentAlreadyCompletedException):
            self._codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)

    def _wait_for_rollback(self, deployment: str, version: str) -> str | None:
        """Wait until the traffic is back, and return the version that has it; None where it does not come back.

        The alias decides. What CodeDeploy says of a rollback may come later than the end of the deployment, and a
        rollback may fail as the deployment did.
        """
        for _ in range(ROLLBACK_SECONDS):
            rollback = (self._get(deployment).get("rollbackInfo") or {}).get("rollbackDeploymentId")
            ended = not rollback or self._get(rollback)["status"] not in RUNNING
            alias = self._lambda.get_alias(FunctionName=self.function, Name=self.alias)
            serving, weights = alias["FunctionVersion"], alias.get("RoutingConfig") or {}
            if ended and serving != version and not weights.get("AdditionalVersionWeights"):
                return str(serving)
            if rollback and ended:
                return None
            time.sleep(1)
        return None

    def _stranded(self, version: str, deployment: str, why: str) -> str:
        alias = self._lambda.get_alias(FunctionName=self.function, Name=self.alias)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        shares = "".join(f" and {weight:.0%} to version {other}" for other, weight in weights.items())
        return (
            f"version {version} of {self.function} failed ({deployment}: {why}), and was not taken back: alias "
            f"{self.alias} points at version {alias['FunctionVersion']}{shares}. Point it at the version that is well "
            f"(aws lambda update-alias --function-name {self.function} --name {self.alias} --function-version VERSION "
            "--routing-config {}), and run the update again once the release is mended"
        )

    def _weight(self, version: str) -> str:
        alias = self._lambda.get_alias(FunctionName=self.function, Name=self.alias)
        if alias["FunctionVersion"] == version:
            return "100%"
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return f"{weights.get(version, 0):.0%}"


def _target(revision: Mapping[str, Any]) -> str | None:
    """Return the version that a revision of ours deploys; None for one that this module did not write."""
    content = (revision.get("appSpecContent") or {}).get("content") or ""
    try:
        [resource] = json.loads(content)["Resources"]
        [function] = resource.values()
        return str(function["Properties"]["TargetVersion"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _short(answer: Mapping[str, object]) -> str:
    text = json.dumps(answer)
    return text if len(text) <= 300 else f"{text[:300]}…"
