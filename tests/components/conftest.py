"""A deployment against mocks: what a component declares, input by input, and what waits for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockMonitor, Mocks, set_mocks

from components.function import Artifacts
from naming import Names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs

CODE = b"the bytes of the zip"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One resource as the engine is told of it.

    Attributes:
        type: Its type token.
        name: Its name in the program.
        inputs: Its inputs, camelCase as on the wire.
        after: What it depends on, each as "Type name".
        parent: The type of its parent, empty at the root.
        options: protect, retain_on_delete and delete_before_replace, where they are set.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    after: set[str]
    parent: str
    options: set[str]


@dataclass
class Deployment:
    """Everything that was declared."""

    resources: list[Declared] = field(default_factory=list)

    def of(self, type_: str) -> dict[str, dict[str, Any]]:
        """The inputs of all resources of a type, by name; `type_` is the token's end, as in "ec2/vpc:Vpc"."""
        return {each.name: each.inputs for each in self.resources if each.type.endswith(f":{type_}")}

    def the(self, type_: str, name: str) -> Declared:
        """The one resource of that type and name."""
        [found] = [each for each in self.resources if each.type.endswith(f":{type_}") and each.name == name]
        return found

    @property
    def names(self) -> set[str]:
        """Type and name of everything that is no component."""
        return {_short(each.type, each.name) for each in self.resources if not each.type.startswith("product-api:")}


def _short(type_: str, name: str) -> str:
    return f"{type_.rpartition(':')[2]} {name}"


class _Cloud(Mocks):
    """Answers creations with ids that name the resource, and look-ups with a refusal."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        known = _short(args.typ, args.name)
        return f"id of {known}", {
            **args.inputs,
            "arn": f"arn of {known}",
            "keyId": "12345678-abcd",
            "address": f"address of {known}",
            "masterUserSecrets": [{"secretArn": "arn of the master secret"}],
            "version": "7",
            "invokeArn": f"invoke arn of {known}",
            "executionArn": f"execution arn of {known}",
            "apiEndpoint": f"endpoint of {known}",
        }

    def call(self, args: MockCallArgs) -> Any:
        raise AssertionError(f"a component looked something up: {args.token}")


class _Monitor(MockMonitor):
    """Keeps what mocks do not see: dependencies and options."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(_Cloud())
        self._deployment = deployment

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 -- the protocol's name
        if request.type != "pulumi:pulumi:Stack":
            options = {
                "protect": request.protect,
                "retain_on_delete": request.retainOnDelete,
                "delete_before_replace": request.deleteBeforeReplace,
            }
            self._deployment.resources.append(
                Declared(
                    type=request.type,
                    name=request.name,
                    inputs=pulumi.runtime.rpc.deserialize_properties(request.object),
                    after={_short(*urn.split("::")[2:]) for urn in request.dependencies},
                    parent=request.parent.split("::")[2].split("$")[-1] if request.parent else "",
                    options={name for name, given in options.items() if given},
                )
            )
        return super().RegisterResource(request)


@pytest.fixture
def names() -> Names:
    return Names(project="product-api", stack="dev", region="eu-central-1", account="111122223333")


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    code = tmp_path / "code.zip"
    code.write_bytes(CODE)
    return Artifacts(code=code, layer_arn="arn of the layer", runtime="python3.13", architecture="arm64")


@pytest.fixture
def deploy() -> Callable[[Callable[[], Any]], Deployment]:
    """Run a program to its end, and return what it declared."""

    def run(program: Callable[[], Any]) -> Deployment:
        deployment = Deployment()
        set_mocks(_Cloud(), project="product-api", stack="dev", monitor=_Monitor(deployment))

        def declare() -> None:
            program()

        pulumi.runtime.test(declare)()
        return deployment

    return run
