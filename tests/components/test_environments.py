"""Functions are told exactly what their code reads, and have a handler in the code zip."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
from pulumi_aws import ssm

from app.environment import ApiEnvironment, ProbeEnvironment
from components.api_function import ApiFunction, ApiFunctionArgs
from components.migrator import Migrator, MigratorArgs
from components.probe import Probe, ProbeArgs
from components.release_driver import Cloud
from components.rotation import Rotation, RotationArgs
from migrations import rendering
from migrations.environment import MigratorEnvironment, RotationEnvironment
from tests.components.conftest import PLACEMENT, whole_gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database import Database
    from components.dead_letters import DeadLetters
    from components.function import Runtime
    from tests.components.conftest import Deployment

ENVIRONMENTS: dict[str, Any] = {
    "api": ApiEnvironment,
    "migrator": MigratorEnvironment,
    "probe": ProbeEnvironment,
    "rotation": RotationEnvironment,
}


@pytest.fixture
def functions(
    deploy: Callable[..., Deployment],
    runtime_of: Callable[[], Runtime],
    database_of: Callable[..., Database],
    dead_letters_of: Callable[[], DeadLetters],
) -> dict[str, dict[str, Any]]:
    """The inputs of each function of a stack that may have sample data."""

    def declare() -> None:
        runtime, database, dead_letters = runtime_of(), database_of(), dead_letters_of()
        after = ssm.Parameter("ready", type="String", value="the last step")
        inside: dict[str, Any] = {
            "runtime": runtime,
            "placement": PLACEMENT,
            "database": database,
            "database_ca": "/ca",
        }
        api = ApiFunctionArgs(memory_mb=512, timeout_seconds=10, concurrency=20, provisioned=0, **inside)
        ApiFunction("api", api, after=after)
        plan = rendering.Plan(base=None, revisions=())
        steps: dict[str, Any] = {"gate": whole_gate(), "cloud": Cloud(region="eu-central-1")}
        migrator = MigratorArgs(plan=plan, seeding=True, attempt=1, keep_snapshots=False, **steps, **inside)
        Migrator("migrator", migrator)
        Rotation("rotation", RotationArgs(dead_letters=dead_letters, **inside), after=after)
        url = "https://api.example.com"
        Probe("probe", ProbeArgs(runtime=runtime, url=url, minutes=1, dead_letters=dead_letters))

    return deploy(declare).of("lambda/function:Function")


def test_each_function_is_told_exactly_what_its_code_reads(functions: dict[str, dict[str, Any]]) -> None:
    """Beside what Lambda tells every function by itself."""
    read = {
        name: {field.upper() for field in environment.model_fields if not field.startswith("aws_lambda_")}
        for name, environment in ENVIRONMENTS.items()
    }
    assert read == {name: set(inputs["environment"]["variables"]) for name, inputs in functions.items()}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_each_function_has_its_handler(functions: dict[str, dict[str, Any]], name: str) -> None:
    """In what the code zip holds; Lambda would notice at the first invocation only."""
    module, _, handler = functions[name]["handler"].rpartition(".")

    assert module.partition(".")[0] in {"app", "migrations"}
    assert callable(getattr(importlib.import_module(module), handler))


def test_what_a_function_is_told_is_valid(functions: dict[str, dict[str, Any]]) -> None:
    """As far as it is known before anything exists; only the CA is a file of the function's own."""
    for name, environment in ENVIRONMENTS.items():
        variables = {**functions[name]["environment"]["variables"]}
        if "DATABASE_CA" in variables:
            variables["DATABASE_CA"] = __file__
        assert environment.read(variables).environment == "dev"
