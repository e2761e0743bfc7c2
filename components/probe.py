"""The health probe: asks the API from outside, as a user would, every minute or so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import scheduler

from components.function import Function, FunctionArgs
from components.role import Grant, Role, RoleArgs

if TYPE_CHECKING:
    from components.dead_letters import DeadLetters
    from components.function import Runtime


@dataclass(frozen=True, kw_only=True)
class ProbeArgs:
    """What is probed, and how often.

    Attributes:
        runtime: What it shares with the stack's other functions.
        url: The API's address.
        minutes: Minutes between two probes.
        dead_letters: Where a probe goes that could not run.
    """

    runtime: Runtime
    url: pulumi.Input[str]
    minutes: int
    dead_letters: DeadLetters


class Probe(pulumi.ComponentResource):
    """A function on a schedule, outside of the private network: what it cannot reach, users cannot.

    Attributes:
        function_name: The function.
    """

    function_name: pulumi.Output[str]

    def __init__(self, name: str, args: ProbeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Probe", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.runtime.names
        function = Function(
            name,
            FunctionArgs(
                runtime=args.runtime,
                thing="probe",
                purpose="Asks the API for its health and its products",
                handler="app.probe.handler",
                memory_mb=128,
                timeout_seconds=30,
                concurrency=1,
                environment={"ENVIRONMENT": names.stack, "API_URL": args.url, "LOG_LEVEL": args.runtime.log_level},
                grants=(),
                placement=None,
                dead_letters=args.dead_letters,
            ),
            opts=child,
        )
        role = Role(
            f"{name}-schedule",
            RoleArgs(
                names=names,
                thing="probe-schedule",
                service="scheduler.amazonaws.com",
                purpose="Runs the probe",
                grants=(Grant(sid="Invoke", actions=("lambda:InvokeFunction",), resources=(names.function("probe"),)),),
            ),
            opts=child,
        )
        scheduler.Schedule(
            name,
            name=names.name("probe"),
            description="Runs the health probe",
            schedule_expression=f"rate({args.minutes} {'minute' if args.minutes == 1 else 'minutes'})",
            flexible_time_window=scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=scheduler.ScheduleTargetArgs(
                arn=function.arn,
                role_arn=role.arn,
                # A late probe says nothing about now.
                retry_policy=scheduler.ScheduleTargetRetryPolicyArgs(
                    maximum_event_age_in_seconds=60, maximum_retry_attempts=0
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.granted]),
        )
        self.function_name = function.name
        self.register_outputs({"functionName": self.function_name})
