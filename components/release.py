"""The release: which version of the API function serves, and how traffic gets there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pulumi
from pulumi_aws import cloudwatch, codedeploy, ssm

from components.metrics import NAMESPACE, Metric, expression, share
from components.release_driver import GateClosedError, RolledBackError, StrandedError, Traffic, UnhealthyError
from components.role import Grant, Role, RoleArgs, use_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.api_function import ApiFunction
    from components.gate import Gate
    from components.notifications import Notifications
    from components.release_driver import Cloud, Ledger
    from naming import Names

# What the ledger calls a release that did not come to serve, and the first word of what the update then says: whoever
# runs the engine tells by it what has happened (ops/engine.py).
OUTCOMES = {UnhealthyError: "refused", RolledBackError: "rolled-back", StrandedError: "stranded"}
# Requests in a minute, below which two versions are not compared: a share of few says nothing.
COMPARABLE = 20
# How many percentage points more errors than the version beside it a canary may make, once it has made a few: the one
# error among twenty-one requests that any version may meet is five points.
WORSE = 1
FEW = 2


@dataclass(frozen=True, kw_only=True)
class ReleaseArgs:
    """How traffic moves to a new version, and what stops it.

    Attributes:
        names: The stack's names.
        function: The API function.
        shift: All at once, or a canary bound to alarms.
        canary_percent: The canary's share of the traffic.
        canary_minutes: How long it is watched.
        attempt: Number of this attempt at the release.
        error_percent: Share of failed requests above which the canary is taken back.
        latency_ms: Slowest twentieth of requests above which it is taken back.
        notifications: Who is told.
        gate: What must be open before traffic moves.
        ledger: Where it is recorded.
        cloud: Clients for the hook that moves traffic.
        warm: Instances to start before.
    """

    names: Names
    function: ApiFunction
    shift: Literal["all-at-once", "canary"]
    canary_percent: int
    canary_minutes: int
    attempt: int
    error_percent: int
    latency_ms: int
    notifications: Notifications
    gate: Gate
    ledger: Ledger
    cloud: Cloud
    warm: int


class Release(pulumi.ComponentResource):
    """A pointer to the version that is live; before it changes, traffic has moved there and stayed.

    The hook comes before the pointer's change and not after it: when it raises, the state still holds the old version,
    so that the next update tries again (an after-hook's failure would leave the new one in the state, silently done).

    Attributes:
        version: The version that is live.
    """

    version: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: ReleaseArgs,
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Move traffic after `after`, which is what the new version needs to serve."""
        super().__init__("product-api:index:Release", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.names
        alarms = self._alarms(name, args) if args.shift == "canary" else []
        role = Role(
            f"{name}-codedeploy",
            RoleArgs(
                names=names,
                thing="codedeploy",
                service="codedeploy.amazonaws.com",
                purpose="Moves the alias of the API function from version to version",
                grants=_grants(names),
                own_account=False,
            ),
            opts=child,
        )
        application = codedeploy.Application(name, name=names.name("api"), compute_platform="Lambda", opts=child)
        if args.shift == "canary":
            config = codedeploy.DeploymentConfig(
                name,
                # It cannot be changed, nor deleted while a group uses it: the next one needs another name.
                deployment_config_name=names.name(f"canary-{args.canary_percent}percent-{args.canary_minutes}minutes"),
                compute_platform="Lambda",
                traffic_routing_config=codedeploy.DeploymentConfigTrafficRoutingConfigArgs(
                    type="TimeBasedCanary",
                    time_based_canary=codedeploy.DeploymentConfigTrafficRoutingConfigTimeBasedCanaryArgs(
                        percentage=args.canary_percent, interval=args.canary_minutes
                    ),
                ),
                opts=child,
            ).deployment_config_name
        else:
            config = pulumi.Output.from_input("CodeDeployDefault.LambdaAllAtOnce")
        group = codedeploy.DeploymentGroup(
            name,
            app_name=application.name,
            deployment_group_name="live",
            deployment_config_name=config,
            service_role_arn=role.arn,
            deployment_style=codedeploy.DeploymentGroupDeploymentStyleArgs(
                deployment_type="BLUE_GREEN", deployment_option="WITH_TRAFFIC_CONTROL"
            ),
            alarm_configuration=codedeploy.DeploymentGroupAlarmConfigurationArgs(
                enabled=bool(alarms), alarms=[alarm.name for alarm in alarms]
            )
            if alarms
            else None,
            auto_rollback_configuration=codedeploy.DeploymentGroupAutoRollbackConfigurationArgs(
                enabled=True,
                events=["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
            ),
            trigger_configurations=[
                codedeploy.DeploymentGroupTriggerConfigurationArgs(
                    trigger_name="rollbacks",
                    trigger_events=["DeploymentFailure", "DeploymentStop", "DeploymentRollback"],
                    trigger_target_arn=args.notifications.critical_arn,
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.granted]),
        )
        shift = pulumi.ResourceHook("shift", lambda hook: _shift(args, hook))
        pointer = ssm.Parameter(
            name,
            name=names.pointer,
            type="String",
            description=f"The version that serves, attempt {args.attempt}",
            # No secret, and `value` is one to the SDK: the hook would be handed an output.
            insecure_value=args.function.version,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[group, args.function.alias, *alarms, *after],
                hooks=pulumi.ResourceHookBinding(
                    before_create=[args.gate.before, shift],
                    before_update=[args.gate.before, shift],
                    after_create=[args.gate.after],
                    after_update=[args.gate.after],
                ),
            ),
        )
        self.version = pointer.insecure_value
        self.register_outputs({"version": self.version})

    def _alarms(self, name: str, args: ReleaseArgs) -> list[cloudwatch.MetricAlarm]:
        """Alarms on the new version by itself: 30% errors on a tenth of the traffic are 3% over all."""
        names = args.names
        function, version = args.function.name, args.function.version
        executed = {
            "FunctionName": function,
            "Resource": pulumi.Output.concat(function, ":live"),
            "ExecutedVersion": version,
        }
        of_version = {"Function": function, "Version": version}
        invocations = Metric("invocations", "AWS/Lambda", "Invocations", "Sum", executed)
        crashes = Metric("crashes", "AWS/Lambda", "Errors", "Sum", executed)
        errors = Metric("errors", NAMESPACE, "ServerErrors", "Sum", of_version)
        requests = Metric("requests", NAMESPACE, "Requests", "Sum", of_version)
        all_errors = Metric("all_errors", NAMESPACE, "ServerErrors", "Sum", {"Function": function})
        all_requests = Metric("all_requests", NAMESPACE, "Requests", "Sum", {"Function": function})
        database = Metric("database", NAMESPACE, "DatabaseFailures", "Sum", of_version)

        def alarm(thing: str, what: str, threshold: float, *metrics: Metric, formula: str) -> cloudwatch.MetricAlarm:
            return cloudwatch.MetricAlarm(
                f"{name}-{thing}",
                name=names.name(f"canary-{thing}"),
                alarm_description=f"{what}: a release under way is taken back",
                comparison_operator="GreaterThanThreshold",
                threshold=threshold,
                evaluation_periods=1,
                datapoints_to_alarm=1,
                treat_missing_data="notBreaching",
                metric_queries=[*(metric.query(60) for metric in metrics), expression(formula, what)],
                opts=pulumi.ResourceOptions(parent=self),
            )

        return [
            alarm(
                "errors",
                f"The new version fails more than {args.error_percent}% of its requests",
                args.error_percent,
                invocations,
                crashes,
                errors,
                formula=share("FILL(errors, 0) + FILL(crashes, 0)", "invocations"),
            ),
            alarm(
                "regression",
                f"The new version fails {WORSE} percentage point more of its requests than the one beside it",
                WORSE,
                errors,
                requests,
                all_errors,
                all_requests,
                formula=f"IF(FILL(errors, 0) > {FEW} AND requests > {COMPARABLE} "
                f"AND all_requests - requests > {COMPARABLE}, "
                "100 * (errors / requests - (all_errors - errors) / (all_requests - requests)), 0)",
            ),
            alarm(
                "latency",
                f"The slowest twentieth of the new version's requests take more than {args.latency_ms} ms",
                args.latency_ms,
                Metric("duration", "AWS/Lambda", "Duration", "p95", executed),
                formula="duration",
            ),
            alarm(
                "database",
                f"The new version cannot use the database in more than {args.error_percent}% of its requests",
                args.error_percent,
                database,
                requests,
                formula=share("FILL(database, 0)", "requests"),
            ),
        ]


async def _shift(args: ReleaseArgs, hook: pulumi.ResourceHookArgs) -> None:
    version = str((hook.new_inputs or {})["insecureValue"])
    traffic = Traffic(
        cloud=args.cloud,
        function=args.names.name("api"),
        alias="live",
        application=args.names.name("api"),
        group="live",
        warm=args.warm,
        say=lambda text: pulumi.log.info(f"release: {text}"),
        tick=lambda text: pulumi.log.info(f"release: {text}", ephemeral=True),
    )
    try:
        how = await asyncio.to_thread(traffic.shift, version)
    except (UnhealthyError, RolledBackError, StrandedError) as error:
        outcome, why = OUTCOMES[type(error)], str(error)
        try:
            await asyncio.to_thread(args.ledger.record, outcome, resource=hook.urn, version=version, why=why)
        except GateClosedError as unrecorded:  # what became of the traffic matters more
            why = f"{why}. And it is not on record: {unrecorded}"
        raise type(error)(f"{outcome}: {why}") from error
    await asyncio.to_thread(args.ledger.record, "live", resource=hook.urn, version=version, how=how)


def _grants(names: Names) -> tuple[Grant, ...]:
    """What AWS's own AWSCodeDeployRoleForLambda allows, for this function, these alarms and this topic only."""
    function = names.function("api")
    return (
        Grant(
            sid="MoveAlias",
            actions=("lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"),
            resources=(function, f"{function}:live"),
        ),
        Grant(
            sid="ReadAlarms",
            actions=("cloudwatch:DescribeAlarms",),
            resources=(names.arn("cloudwatch", f"alarm:{names.name('canary')}-*"),),
        ),
        Grant(sid="Tell", actions=("sns:Publish",), resources=(names.arn("sns", names.name("critical")),)),
        use_key("operations", names, service="sns", actions=("kms:Decrypt", "kms:GenerateDataKey")),
    )
