"""The probe: asks from outside, on time, and a late question is not asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from components.probe import Probe, ProbeArgs
from tests.components.test_function import own_statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.dead_letters import DeadLetters
    from components.function import Runtime
    from tests.components.conftest import Deployment


@pytest.fixture
def probe_of(
    deploy: Callable[..., Deployment], runtime_of: Callable[[], Runtime], dead_letters_of: Callable[[], DeadLetters]
) -> Callable[..., Deployment]:
    def declare(minutes: int = 1) -> Deployment:
        return deploy(
            lambda: Probe(
                "probe",
                ProbeArgs(runtime=runtime_of(), url="https://the.api", minutes=minutes, dead_letters=dead_letters_of()),
            )
        )

    return declare


@pytest.fixture
def probe(probe_of: Callable[..., Deployment]) -> Deployment:
    return probe_of()


def test_it_asks_from_outside_of_the_network_and_knows_nothing_but_the_address(probe: Deployment) -> None:
    [function] = probe.of("lambda/function:Function").values()
    assert "vpcConfig" not in function
    assert {"ENVIRONMENT": "dev", "API_URL": "https://the.api", "LOG_LEVEL": "INFO"} == function["environment"][
        "variables"
    ]
    assert ("app.probe.handler", 128, 30, 1) == tuple(
        function[key] for key in ("handler", "memorySize", "timeout", "reservedConcurrentExecutions")
    )
    assert [] == own_statements(probe.the("iam/rolePolicy:RolePolicy", "probe").inputs)


@pytest.mark.parametrize(("minutes", "rate"), [(1, "rate(1 minute)"), (5, "rate(5 minutes)")])
def test_it_runs_on_time_or_not_at_all(probe_of: Callable[..., Deployment], minutes: int, rate: str) -> None:
    """A schedule without a window, and no second try: a late probe says nothing about now."""
    declared = probe_of(minutes)
    assert {
        "probe": {
            "name": "product-api-dev-probe",
            "description": "Runs the health probe",
            "scheduleExpression": rate,
            "flexibleTimeWindow": {"mode": "OFF"},
            "target": {
                "arn": "arn of Function probe",
                "roleArn": "arn of Role probe-schedule",
                "retryPolicy": {"maximumEventAgeInSeconds": 60, "maximumRetryAttempts": 0},
            },
        }
    } == declared.of("scheduler/schedule:Schedule")
    assert "RolePolicy probe-schedule" in declared.the("scheduler/schedule:Schedule", "probe").after


def test_the_schedule_may_run_it_and_nothing_else(probe: Deployment) -> None:
    assert [
        {
            "Sid": "Invoke",
            "Effect": "Allow",
            "Action": ["lambda:InvokeFunction"],
            "Resource": ["arn:aws:lambda:eu-central-1:111122223333:function:product-api-dev-probe"],
        }
    ] == json.loads(probe.the("iam/rolePolicy:RolePolicy", "probe-schedule").inputs["policy"])["Statement"]
    trust = json.loads(probe.the("iam/role:Role", "probe-schedule").inputs["assumeRolePolicy"])
    assert [
        {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
        }
    ] == trust["Statement"]


def test_a_probe_that_could_not_run_is_kept(probe: Deployment) -> None:
    [config] = probe.of("lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").values()
    assert {"onFailure": {"destination": "arn of Queue dead-letters"}} == config["destinationConfig"]
