"""One deployment as it runs: hooks, the alias moved as the group's role, alarms watched, and how it ended told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import acting
from sandbox.cloud.codedeploy import revision, traffic
from sandbox.cloud.codedeploy.operations import PRINCIPAL
from sandbox.cloud.codedeploy.revision import AppSpecError, Shift

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.codedeploy.operations import Record

_log = logging.getLogger("sandbox.codedeploy")

EVENTS: Final = ("BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic")
_POLL: Final = 10.0  # seconds of AWS's between two looks at the alarms
_FASTEST: Final = 0.1
_HOOK_SECONDS: Final = 3600.0
_TICK: Final = 0.5
# The error codes that services give for a missing permission.
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException")
_MISSING: Final = ("ResourceNotFoundException",)
_THROTTLED: Final = ("TooManyRequestsException", "Throttling", "ThrottlingException")
_APPSPEC: Final = (
    "The deployment failed because the AppSpec file that specifies the AWS Lambda deployment configuration is missing "
    "or has an invalid configuration."
)


class Halt(Exception):  # noqa: N818 — an end, and in CodeDeploy's words not always an error
    """A deployment ends before its time.

    Attributes:
        status: Failed or Stopped.
        code: of the ErrorInformation.
        event: the rollback event that this is; empty where nothing was touched that could be rolled back.
    """

    def __init__(self, code: str, message: str, *, status: str = "Failed", event: str = "DEPLOYMENT_FAILURE") -> None:
        super().__init__(message)
        self.status, self.code, self.event = status, code, event


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where deployments run.

    Attributes:
        endpoint: of the sandbox.
        clock: the sandbox's.
        ended: told of a deployment that has ended, and how, in the same moment; returns its rollback.
    """

    endpoint: str
    clock: Clock
    ended: Callable[[Run, Halt | None], Record | None]


class Run:
    """A deployment under way. What it has done stands in its record, from which it can be taken up again."""

    def __init__(self, owner: tuple[str, str], record: Record, surroundings: Surroundings) -> None:
        """Describe it; nothing is started.

        Args:
            owner: account and region.
            record: of the deployment.
            surroundings: where it runs.
        """
        self.owner = owner
        self.record = record
        self.rollback_wanted: bool | None = None
        self._around = surroundings
        self._clock = surroundings.clock
        self._stopping = asyncio.Event()
        self._abandoned = False

    @property
    def info(self) -> Record:
        """The DeploymentInfo."""
        info: Record = self.record["info"]
        return info

    @property
    def is_rollback(self) -> bool:
        """Whether this takes another deployment back."""
        return bool(self.info["creator"] == "codeDeployRollback")

    def stop(self, rollback: bool | None) -> None:
        """Have it stop; `rollback` is what the request said of that, if anything."""
        self.rollback_wanted = rollback
        self._stopping.set()

    def abandon(self) -> None:
        """Have it wait for no call when it is cancelled: nobody will answer one any more."""
        self._abandoned = True

    async def run(self) -> None:
        """Run to the end, whichever it is."""
        if "startTime" not in self.info:
            await self._tell("DeploymentStart")
            self.info.update({"status": "InProgress", "startTime": time.time()})
        halt: Halt | None = None
        try:
            shift = await self._prepare()
            await self._look_at_alarms()
            await self._unless_halted(self._deploy(shift))
        except Halt as reason:
            halt = reason
        except Exception as error:  # noqa: BLE001 — whatever it is, nobody else would end the deployment
            _log.exception("%s failed", self.info["deploymentId"])
            halt = Halt("INTERNAL_ERROR", f"There was an internal error: {error}")
        self._end(halt)
        rollback = self._around.ended(self, halt)
        await self._tell(
            {"Failed": "DeploymentFailure", "Stopped": "DeploymentStop"}.get(self.info["status"], "DeploymentSuccess")
        )
        if rollback is not None:
            await self._tell("DeploymentRollback")

    # -- what can end it ---------------------------------------------------------------------------------------------

    async def _unless_halted(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work until it is done, an alarm is active or somebody stops it."""
        tasks = [asyncio.ensure_future(one) for one in (work, self._watch_alarms(), self._wait_for_stop())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            # A call to AWS that is under way ends first, or its effect would come after that of the rollback.
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _wait_for_stop(self) -> None:
        await self._stopping.wait()
        raise Halt(
            "MANUAL_STOP",
            "The deployment was stopped by a request.",
            status="Stopped",
            event="DEPLOYMENT_STOP_ON_REQUEST",
        )

    async def _watch_alarms(self) -> None:
        while True:
            await asyncio.sleep(max(_FASTEST, self._around.clock.real(_POLL)))
            await self._look_at_alarms()

    async def _look_at_alarms(self) -> None:
        """Halt where an alarm is active, or is not known and that matters."""
        watched = self.record["plan"]["alarms"]
        names = [alarm["name"] for alarm in watched.get("alarms") or ()] if watched.get("enabled") else []
        if not names:
            return
        try:
            answer = await self._call(
                "cloudwatch", "describe_alarms", AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
            states = {
                alarm["AlarmName"]: alarm["StateValue"]
                for kind in ("MetricAlarms", "CompositeAlarms")
                for alarm in answer.get(kind) or ()
            }
            failure = None
        except Halt as halt:
            states, failure = {}, halt
        if active := " ".join(f"<{name}>" for name in names if states.get(name) == "ALARM"):
            raise _on_alarm(
                "ALARM_ACTIVE",
                "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and "
                f"the affected deployments have been stopped. Activated alarms: {active}",
            )
        unknown = [name for name in names if name not in states]
        if watched.get("ignorePollAlarmFailure") or not unknown:
            return
        if failure is not None:
            raise _on_alarm(failure.code, str(failure))
        message = f"The state of these alarms could not be retrieved: {', '.join(unknown)}"
        raise _on_alarm("CODEDEPLOY_RESOURCE_CANNOT_BE_FOUND", message)

    # -- what it does ------------------------------------------------------------------------------------------------

    async def _prepare(self) -> Shift:
        """Find out what is to be moved, and that it can be; from here on, what goes wrong can be rolled back."""
        plan = self.record["plan"]
        self._check_role()
        if plan["shift"] is None:
            shift = await self._read_revision()
            await self._check_alias(shift)
            plan["shift"] = {**vars(shift), "hooks": dict(shift.hooks)}
            self.record["target"] = self._described(shift)
        return Shift(**plan["shift"])

    async def _deploy(self, shift: Shift) -> None:
        await self._event("BeforeAllowTraffic", lambda: self._validate("BeforeAllowTraffic", shift))
        await self._event("AllowTraffic", lambda: self._shift(shift))
        await self._event("AfterAllowTraffic", lambda: self._validate("AfterAllowTraffic", shift))

    def _check_role(self) -> None:
        role = self.record["plan"]["role"]
        account, home = self.owner
        names = f"{self.info['applicationName']}/{self.info['deploymentGroupName']}"
        group = self.info["deploymentGroupName"]
        if acting.role_of(role, account) is None:
            raise Halt("IAM_ROLE_MISSING", f"IAM Role is missing for deployment group: {group}", event="")
        if not acting.trusts(role, PRINCIPAL, account, f"arn:aws:codedeploy:{home}:{account}:deploymentgroup:{names}"):
            message = f"CodeDeploy does not have the permissions required to assume the role {role}."
            raise Halt("IAM_ROLE_PERMISSIONS", message, event="")

    async def _read_revision(self) -> Shift:
        location = self.info["revision"]
        text = revision.content(location)
        if text is None:
            text = await self._read_object(location["s3Location"])
        try:
            return revision.read(text)
        except AppSpecError as error:
            raise Halt("INVALID_LAMBDA_CONFIGURATION", f"{_APPSPEC} In it, {error}.", event="") from error

    async def _read_object(self, place: Mapping[str, Any]) -> str:
        where = {"Bucket": place["bucket"], "Key": place["key"]}
        for member, name in (("version", "VersionId"), ("eTag", "IfMatch")):
            if place.get(member):
                where[name] = place[member]
        # An IAM_ROLE_PERMISSIONS from here comes before anything that could be rolled back.
        with _before_anything():
            answer = await self._call("s3", "get_object", missing="REVISION_MISSING", **where)
        body: bytes = await asyncio.to_thread(answer["Body"].read)
        return body.decode(errors="replace")

    async def _check_alias(self, shift: Shift) -> None:
        """Refuse an alias that is not as the AppSpec says. A rollback finds it as the deployment has left it."""
        with _before_anything():
            alias = await self._call("lambda", "get_alias", FunctionName=shift.function, Name=shift.alias)
        if self.is_rollback:
            return
        if alias["FunctionVersion"] != shift.current:
            message = (
                f"{_APPSPEC} The Lambda function alias version does not match the current version in AppSpec file."
            )
            raise Halt("INVALID_LAMBDA_CONFIGURATION", message, event="")
        if (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
            message = f"{_APPSPEC} The Lambda function alias shifts traffic between two versions already."
            raise Halt("INVALID_LAMBDA_CONFIGURATION", message, event="")

    def _described(self, shift: Shift) -> Record:
        name = shift.function.rpartition(":function:")[2].partition(":")[0]
        account, home = self.owner
        return {
            "deploymentId": self.info["deploymentId"],
            "targetId": name,
            "targetArn": f"arn:aws:lambda:{home}:{account}:function:{name}:{shift.alias}",
            "status": "InProgress",
            "lastUpdatedAt": time.time(),
            "lifecycleEvents": [{"lifecycleEventName": event, "status": "Pending"} for event in EVENTS],
            "lambdaFunctionInfo": {
                "functionName": name,
                "functionAlias": shift.alias,
                "currentVersion": shift.current,
                "targetVersion": shift.target,
                "targetVersionWeight": 0.0,
            },
        }

    async def _event(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        """Go through a lifecycle event, unless that was done before."""
        (event,) = (one for one in self.record["target"]["lifecycleEvents"] if one["lifecycleEventName"] == name)
        if event["status"] == "Succeeded":
            return
        event |= {"status": "InProgress", "startTime": event.get("startTime") or time.time()}
        self._count()
        await act()
        event |= {"status": "Succeeded", "endTime": time.time()}

    async def _validate(self, event: str, shift: Shift) -> None:
        """Have the validation function of an event, where there is one, say within an hour how it went."""
        function = shift.hooks.get(event)
        if function is None:
            return
        execution = secrets.token_urlsafe(48)
        hook = self.record["hooks"][execution] = {"event": event, "status": "InProgress"}
        payload = {"DeploymentId": self.info["deploymentId"], "LifecycleEventHookExecutionId": execution}
        # Not waited for: a function that fails says nothing, and CodeDeploy waits for the hour.
        await self._call(
            "lambda",
            "invoke",
            FunctionName=function,
            InvocationType="Event",
            Payload=json.dumps(payload).encode(),
        )
        due = self._clock.now() + _HOOK_SECONDS
        while hook["status"] == "InProgress" and self._clock.now() < due:  # noqa: ASYNC110 — time is the clock's
            await asyncio.sleep(_FASTEST)
        if hook["status"] != "Succeeded":
            why = "said Failed" if hook["status"] == "Failed" else "did not answer within an hour"
            hook["status"] = "Failed"
            message = f"The deployment failed because the validation function of {event}, {function}, {why}."
            raise Halt("HOOK_EXECUTION_FAILURE", message)

    async def _shift(self, shift: Shift) -> None:
        """Move the traffic, from the step that was not made yet."""
        plan, target = self.record["plan"], self.record["target"]
        for at, (minutes, percentage) in enumerate(traffic.steps(plan["routing"])):
            if at < plan["step"]:
                continue
            await self._sleep(minutes * 60)
            whole = percentage >= 100
            wanted: Record = {"RoutingConfig": {"AdditionalVersionWeights": {}}, "FunctionVersion": shift.target}
            if not whole:
                wanted = {"RoutingConfig": {"AdditionalVersionWeights": {shift.target: percentage / 100}}}
            await self._call("lambda", "update_alias", FunctionName=shift.function, Name=shift.alias, **wanted)
            target["lambdaFunctionInfo"]["targetVersionWeight"] = percentage / 100
            target["lastUpdatedAt"] = time.time()
            plan["step"] = at + 1

    async def _sleep(self, seconds: float) -> None:
        """Wait for so many seconds of AWS's, also when the clock is changed meanwhile."""
        due = self._clock.now() + seconds
        while (left := due - self._clock.now()) > 0:  # noqa: ASYNC110 — time is the clock's
            await asyncio.sleep(min(_TICK, self._around.clock.real(left)))

    # -- how it ended ------------------------------------------------------------------------------------------------

    def _end(self, halt: Halt | None) -> None:
        now = time.time()
        target = self.record["target"]
        if target is not None:
            for event in target["lifecycleEvents"]:
                if event["status"] == "InProgress":
                    diagnostics = {"errorCode": "UnknownError", "message": str(halt)}
                    event |= {"status": "Failed", "endTime": now, "diagnostics": diagnostics}
                elif event["status"] == "Pending":
                    event["status"] = "Skipped"
            target |= {"status": "Failed" if halt else "Succeeded", "lastUpdatedAt": now}
        self._count()
        self.info.update({"status": halt.status if halt else "Succeeded", "completeTime": now})
        if halt:
            self.info["errorInformation"] = {"code": halt.code, "message": str(halt)}

    def _count(self) -> None:
        counts = dict.fromkeys(("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready"), 0)
        if self.record["target"] is not None:
            counts[self.record["target"]["status"]] += 1
        self.info["deploymentOverview"] = counts

    async def _tell(self, event: str) -> None:
        """Publish an event to the topics of the triggers for it; what a topic refuses is logged, and stops nothing."""
        info = self.info
        account, home = self.owner
        for trigger in self.record["plan"]["triggers"]:
            if event not in trigger["triggerEvents"]:
                continue
            message: Record = {
                "region": home,
                "accountId": account,
                "eventTriggerName": trigger["triggerName"],
                "applicationName": info["applicationName"],
                "deploymentId": info["deploymentId"],
                "deploymentGroupName": info["deploymentGroupName"],
                "createTime": f"{info['createTime']:.3f}",
                "completeTime": f"{info['completeTime']:.3f}" if "completeTime" in info else None,
                "deploymentOverview": {key: str(value) for key, value in info.get("deploymentOverview", {}).items()},
                "status": info["status"],
            }
            if "errorInformation" in info:
                error = info["errorInformation"]
                message["errorInformation"] = {"ErrorCode": error["code"], "ErrorMessage": error["message"]}
            if "rollbackInfo" in info:
                message["rollbackInformation"] = {
                    f"{key[0].upper()}{key[1:]}": value for key, value in info["rollbackInfo"].items()
                }
            subject = f"{info['status'].upper()}: AWS CodeDeploy {info['deploymentId']} in {home}"
            topic, text = trigger["triggerTargetArn"], json.dumps(message)
            try:
                await self._call(
                    "sns",
                    "publish",
                    TopicArn=topic,
                    Subject=f"{subject} to {info['applicationName']}"[:100],
                    Message=text,
                )
            except Halt as refused:
                _log.warning("%s: trigger %s: %s", info["deploymentId"], trigger["triggerName"], refused)

    async def _call(self, service: str, operation: str, missing: str = "", **parameters: Any) -> Any:
        """Call a service as the group's role; once begun, a call is ended, also when the deployment is halted.

        Args:
            service: boto3's name of it.
            operation: boto3's name of it.
            missing: the error code for something that is not there.
            parameters: of the operation.

        Raises:
            Halt: it was refused.
        """
        calling = asyncio.ensure_future(asyncio.to_thread(self._ask, service, operation, missing, parameters))
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            if not self._abandoned:
                with contextlib.suppress(Halt):
                    await calling
            raise

    def _ask(self, service: str, operation: str, missing: str, parameters: Mapping[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        role = self.record["plan"]["role"]
        client = acting.client(self._around.endpoint, self.owner, role, "CodeDeploy", service)
        try:
            return getattr(client, operation)(**parameters)
        except ClientError as error:
            code, told = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            if code in _DENIED or error.response["ResponseMetadata"].get("HTTPStatusCode") == 403:
                raise Halt("IAM_ROLE_PERMISSIONS", _not_permitted(role, service, told)) from error
            if missing:
                raise Halt(missing, f"{code}: {told}") from error
            if code in _MISSING:
                raise Halt("INVALID_LAMBDA_FUNCTION", f"{code}: {told}") from error
            if code in _THROTTLED:
                raise Halt("THROTTLED", f"{code}: {told}") from error
            raise Halt("INTERNAL_ERROR", f"{operation}: {code}: {told}") from error
        except BotoCoreError as error:
            raise Halt("INTERNAL_ERROR", f"{operation}: {error}") from error


def _on_alarm(code: str, message: str) -> Halt:
    return Halt(code, message, status="Stopped", event="DEPLOYMENT_STOP_ON_ALARM")


@contextlib.contextmanager
def _before_anything() -> Any:
    """Take a halt from here for one that left everything as it was."""
    try:
        yield
    except Halt as halt:
        raise Halt(halt.code, str(halt), status=halt.status, event="") from halt


def _not_permitted(role: str, service: str, told: str) -> str:
    names = {"lambda": "AWSLambda", "cloudwatch": "AmazonCloudWatch", "s3": "AmazonS3", "sns": "AmazonSNS"}
    return (
        f"The IAM role {role} does not give you permission to perform operations in the following AWS service: "
        f"{names[service]}. Contact your AWS administrator if you need help. If you are an AWS administrator, you can "
        f"grant permissions to your users or groups by creating IAM policies. ({told})"
    )
