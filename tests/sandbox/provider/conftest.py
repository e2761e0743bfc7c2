"""A played cloud for the round trips, and clients of the provider."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.provider import cloud as provider_cloud
from tests.sandbox.cloud import harness
from tests.sandbox.provider.client import Client, State
from tests.sandbox.provider.examples import BY_NAME, Example

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = re.compile(r"\$\{([a-z ]+?)(?:\.(\w+))?\}")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "000000000001",
    "AWS_SECRET_ACCESS_KEY": "of-the-sandbox",
    "AWS_REGION": "eu-central-1",
}


@pytest.fixture(autouse=True, scope="session")
def _account() -> Iterator[None]:
    """The environment that a command gets from the sandbox; nothing of the caller's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def client() -> Client:
    """A provider that needs no cloud: for Check, Diff and previews."""
    return Client(region="eu-central-1")


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory, _account: None) -> Iterator[str]:
    """A cloud of this run's own, and the environment pointing to it."""
    running = harness.Cloud(tmp_path_factory.mktemp("cloud")).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", running.url)
        try:
            yield running.url
        finally:
            running.stop()


@dataclass
class World:
    """The examples that others need, each made once."""

    client: Client
    made: dict[str, State] = field(default_factory=dict)

    def state(self, name: str) -> State:
        if name not in self.made:
            example = BY_NAME[name]
            self.made[name] = self.client.create(
                example.token, self.filled(example.inputs), name=f"shared-{name.replace(' ', '-')}"
            )
        return self.made[name]

    def filled(self, value: Any, own: State | None = None) -> Any:
        """A value with its references resolved; `${id}` is `own`."""
        if isinstance(value, dict):
            return {key: self.filled(item, own) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item, own) for item in value]
        if not isinstance(value, str):
            return value

        def resolve(match: re.Match[str]) -> str:
            state = own if match[1] == "id" and own is not None else self.state(match[1])
            return str(state.outputs.values[match[2]] if match[2] else state.id)

        return REFERENCE.sub(resolve, value)

    def later(self, example: Example) -> dict[str, Any]:
        """The inputs of the update."""
        merged = {**example.inputs, **example.later}
        return dict(self.filled({name: value for name, value in merged.items() if value is not None}))

    def api(self, service: str) -> Any:
        """Any AWS client: what it sees is the truth."""
        return provider_cloud.Cloud({"region": "eu-central-1"}).client(service)


@pytest.fixture(scope="session")
def world(endpoint: str) -> World:  # noqa: ARG001 (the environment points to it)
    """The shared resources, under a default tag."""
    return World(Client(region="eu-central-1", defaultTags='{"tags": {"team": "platform"}}'))
