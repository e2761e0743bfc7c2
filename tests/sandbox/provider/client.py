"""The provider as the engine calls it, without an engine: requests to the servicer, in this process."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from pulumi.runtime.proto import provider_pb2, status_pb2

from sandbox.provider import service, wire

if TYPE_CHECKING:
    import grpc


class CallError(Exception):
    """The provider ended a call with a status."""

    def __init__(self, code: grpc.StatusCode, message: str, trailing: tuple[tuple[str, bytes], ...]) -> None:
        super().__init__(message)
        self.code = code
        self.trailing = trailing

    @property
    def partial(self) -> provider_pb2.ErrorResourceInitFailed:
        """The detail that says: it exists, but."""
        detail = provider_pb2.ErrorResourceInitFailed()
        assert status_pb2.Status.FromString(dict(self.trailing)["grpc-status-details-bin"]).details[0].Unpack(detail)
        return detail


class _Context:
    """As much of a servicer's context as the provider uses."""

    def __init__(self) -> None:
        self.trailing: tuple[tuple[str, bytes], ...] = ()

    def set_trailing_metadata(self, trailing: tuple[tuple[str, bytes], ...]) -> None:
        self.trailing = trailing

    def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        raise CallError(code, message, self.trailing)

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details


@dataclass
class State:
    """A resource as the engine keeps it."""

    token: str
    name: str
    id: str
    inputs: wire.Document
    outputs: wire.Document
    custom: dict[str, Any] = field(default_factory=dict)


@dataclass
class Change:
    """A Diff's answer."""

    kinds: dict[str, str]
    replaces: list[str]
    delete_first: bool


class Client:
    """Calls of one stack."""

    def __init__(self, **config: Any) -> None:
        self.provider = service.Provider(service.Engine(), threading.Event())
        self.configure(**config)

    def call(self, method: str, request: Any) -> Any:
        """One call.

        Raises:
            CallError: the provider aborted it.
        """
        return getattr(self.provider, method)(request, _Context())

    def configure(self, **config: Any) -> Any:
        return self.call("Configure", provider_pb2.ConfigureRequest(args=wire.encode(config), acceptSecrets=True))

    @staticmethod
    def urn(token: str, name: str) -> str:
        return f"urn:pulumi:test::product-api::{token}::{name}"

    def check(
        self,
        token: str,
        inputs: dict[str, Any],
        *,
        name: str = "it",
        olds: dict[str, Any] | None = None,
        secrets: Any = (),
        seed: bytes = b"seed",
    ) -> tuple[wire.Document, dict[str, str]]:
        request = provider_pb2.CheckRequest(
            urn=self.urn(token, name),
            name=name,
            type=token,
            news=wire.encode(inputs, secrets),
            olds=wire.encode(olds or {}),
            randomSeed=seed,
        )
        response = self.call("Check", request)
        return wire.decode(response.inputs), {failure.property: failure.reason for failure in response.failures}

    def checked(self, token: str, inputs: dict[str, Any], **options: Any) -> wire.Document:
        document, failures = self.check(token, inputs, **options)
        assert failures == {}
        return document

    def preview(self, token: str, inputs: dict[str, Any]) -> dict[str, Any]:
        request = provider_pb2.CreateRequest(
            urn=self.urn(token, "it"), type=token, properties=wire.encode(inputs), preview=True
        )
        return wire.decode(self.call("Create", request).properties).values

    def create(self, token: str, inputs: dict[str, Any], *, name: str = "it", secrets: Any = ()) -> State:
        checked = self.checked(token, inputs, name=name, secrets=secrets)
        request = provider_pb2.CreateRequest(
            urn=self.urn(token, name), type=token, properties=wire.encode(checked.values, checked.secrets)
        )
        response = self.call("Create", request)
        return State(token, name, response.id, checked, wire.decode(response.properties))

    def diff(self, state: State, inputs: dict[str, Any] | None = None) -> Change:
        news = (
            state.inputs
            if inputs is None
            else self.checked(state.token, inputs, name=state.name, olds=state.inputs.values)
        )
        response = self.call(
            "Diff",
            provider_pb2.DiffRequest(
                id=state.id,
                urn=self.urn(state.token, state.name),
                type=state.token,
                olds=wire.encode(state.outputs.values),
                old_inputs=wire.encode(state.inputs.values),
                news=wire.encode(news.values),
            ),
        )
        kinds = {
            path: provider_pb2.PropertyDiff.Kind.Name(detail.kind) for path, detail in response.detailedDiff.items()
        }
        assert bool(kinds) == (response.changes == provider_pb2.DiffResponse.DIFF_SOME)
        return Change(kinds, list(response.replaces), response.deleteBeforeReplace)

    def update(self, state: State, inputs: dict[str, Any], *, secrets: Any = (), preview: bool = False) -> State:
        checked = self.checked(state.token, inputs, name=state.name, olds=state.inputs.values, secrets=secrets)
        request = provider_pb2.UpdateRequest(
            id=state.id,
            urn=self.urn(state.token, state.name),
            type=state.token,
            olds=wire.encode(state.outputs.values, state.outputs.secrets),
            old_inputs=wire.encode(state.inputs.values, state.inputs.secrets),
            news=wire.encode(checked.values, checked.secrets),
            preview=preview,
        )
        response = self.call("Update", request)
        return State(state.token, state.name, state.id, checked, wire.decode(response.properties))

    def read(self, state: State) -> State | None:
        """Refresh; None when it is gone."""
        return self._read(state.token, state.name, state.id, state.inputs, state.outputs)

    def imported(self, token: str, identity: str) -> State | None:
        return self._read(token, "it", identity, wire.Document(), wire.Document())

    def _read(
        self, token: str, name: str, identity: str, inputs: wire.Document, outputs: wire.Document
    ) -> State | None:
        response = self.call(
            "Read",
            provider_pb2.ReadRequest(
                id=identity,
                urn=self.urn(token, name),
                type=token,
                properties=wire.encode(outputs.values, outputs.secrets),
                inputs=wire.encode(inputs.values, inputs.secrets),
            ),
        )
        if not response.id:
            return None
        return State(token, name, response.id, wire.decode(response.inputs), wire.decode(response.properties))

    def delete(self, state: State) -> None:
        self.call(
            "Delete",
            provider_pb2.DeleteRequest(
                id=state.id,
                urn=self.urn(state.token, state.name),
                type=state.token,
                properties=wire.encode(state.outputs.values, state.outputs.secrets),
                old_inputs=wire.encode(state.inputs.values, state.inputs.secrets),
            ),
        )

    def invoke(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        response = self.call("Invoke", provider_pb2.InvokeRequest(tok=token, args=wire.encode(arguments)))
        assert not response.failures, response.failures
        return wire.decode(getattr(response, "return")).values
