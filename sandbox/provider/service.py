"""The provider's gRPC service: requests in, the other modules' work, answers out."""

from __future__ import annotations

import logging
import signal
import threading
from concurrent import futures
from importlib import metadata
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.provider import cloud, compare, invokes, planning, resource, schema, table, wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf import struct_pb2

    from sandbox.provider.schema import ResourceType
    from sandbox.provider.table import Resource
    from sandbox.provider.wire import Document, Path

WORKERS = 32
GRACE_SECONDS = 60.0  # for what is under way: a resource that is being made must reach the state
OPTIONS = (("grpc.max_receive_message_length", 400 * 1024 * 1024), ("grpc.max_send_message_length", 400 * 1024 * 1024))
PROVIDER_TOKEN = "pulumi:providers:aws"  # noqa: S105 (a type token)
_log = logging.getLogger("sandbox.provider")
_KINDS = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class Engine:
    """The engine, as far as a provider speaks to it: its log."""

    def __init__(self, address: str = "") -> None:
        self._lock = threading.Lock()
        self._stub: Any = None
        self.connect(address)

    def connect(self, address: str) -> None:
        """Speak to the engine at this address from now on."""
        with self._lock:
            self._stub = (
                engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=OPTIONS)) if address else None
            )

    def status(self, urn: str, message: str) -> None:
        """Show a message beside the resource, until the next one."""
        stub = self._stub
        if stub is not None:
            request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=True)
            try:
                stub.Log(request, timeout=1)
            except grpc.RpcError as error:  # an engine that is going away needs no progress
                _log.debug("the engine did not take a status: %s", error)


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The `aws` provider. Its generated base answers UNIMPLEMENTED to whatever is not here."""

    def __init__(self, engine: Engine, ended: threading.Event) -> None:
        self._engine = engine
        self._ended = ended
        self._cloud = cloud.Cloud()
        self._unknown: set[str] = set()

    # Life cycle

    def Handshake(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Say what this provider understands."""
        if request.engine_address:
            self._engine.connect(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def Attach(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Another engine now uses this process."""
        self._engine.connect(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """The version, which is the SDK's."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi_aws"))

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Take no more, give up waiting, and end when what is under way is done."""
        self._ended.set()
        return empty_pb2.Empty()

    # Configuration

    def CheckConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Check the provider's own inputs."""
        news = wire.decode(request.news)
        type_ = provider_type()
        given = cloud.parse(
            {name: value for name, value in news.values.items() if name not in {"version", "pluginDownloadURL"}},
            type_.inputs,
        )
        checked = schema.check(type_, given, news.secrets)
        failures = [
            provider_pb2.CheckFailure(property=compare.shown(path), reason=reason) for path, reason in checked.failures
        ]
        return provider_pb2.CheckResponse(inputs=wire.encode(news.values, news.secrets), failures=failures)

    def DiffConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """The configuration's changes; none needs another provider."""
        olds, news = wire.decode(request.old_inputs or request.olds).values, wire.decode(request.news).values
        changed = sorted(
            key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key) and key != "version"
        )
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, diffs=changed)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Act on this account and region from now on."""
        if request.HasField("args"):
            values = wire.decode(request.args).values
        else:
            values = {key.rpartition(":")[2]: value for key, value in request.variables.items()}
        parsed = cloud.parse(values, provider_type().inputs)
        self._unknown = {name for name, value in parsed.items() if wire.has_unknown(value)}
        self._cloud = cloud.Cloud({name: value for name, value in parsed.items() if name not in self._unknown})
        try:
            if not self._unknown:
                self._cloud.check_account()
        except cloud.ConfigurationError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    # Functions

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer a function."""
        arguments = wire.decode(request.args)
        try:
            answer = self._guard(context, lambda: invokes.invoke(request.tok, arguments.values, self._cloud))
        except invokes.InvokeError as error:
            if not error.property:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
            return provider_pb2.InvokeResponse(
                failures=[provider_pb2.CheckFailure(property=error.property, reason=str(error))]
            )
        secrets = {(name,) for name in answer} if arguments.secrets else set()
        return provider_pb2.InvokeResponse(**{"return": wire.encode(answer, secrets)})

    # Resources

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check and complete a resource's inputs."""
        type_, entry = self._type(request, context)
        config = self._cloud.config
        ignored = config.get("ignoreTags") or {}
        plan = planning.check(
            type_,
            entry,
            wire.decode(request.news),
            wire.decode(request.olds),
            self._naming(request),
            planning.ProviderDefaults(
                region=wire.UNKNOWN if "region" in self._unknown else self._guard(context, lambda: self._cloud.region),
                tags=wire.UNKNOWN if "defaultTags" in self._unknown else self._cloud.default_tags,
                ignored=tuple(ignored.get("keys") or ()),
                ignored_prefixes=tuple(ignored.get("keyPrefixes") or ()),
            ),
        )
        failures = [
            provider_pb2.CheckFailure(property=compare.shown(path), reason=reason) for path, reason in plan.failures
        ]
        return provider_pb2.CheckResponse(inputs=wire.encode(plan.inputs, plan.secrets), failures=failures)

    @staticmethod
    def _naming(request: Any) -> planning.Naming:
        logical = request.name or request.urn.rpartition("::")[2]
        if not request.HasField("autonaming"):
            return planning.Naming(logical, request.randomSeed)
        options, mode = request.autonaming, provider_pb2.CheckRequest.AutonamingOptions
        return planning.Naming(
            logical,
            request.randomSeed,
            options.proposed_name,
            enforced=options.mode == mode.ENFORCE,
            disabled=options.mode == mode.DISABLE,
        )

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What an update would change."""
        type_, entry = self._type(request, context)
        state = wire.decode(request.olds).values
        old_inputs = wire.decode(request.old_inputs).values if request.HasField("old_inputs") else state
        difference = planning.diff(
            type_, entry, old_inputs, wire.decode(request.news).values, state, request.ignoreChanges
        )
        kind = provider_pb2.DiffResponse.DIFF_SOME if difference.changes else provider_pb2.DiffResponse.DIFF_NONE
        response = provider_pb2.DiffResponse(
            changes=kind,
            diffs=sorted({str(path[0]) for path in difference.changes}),
            replaces=sorted(difference.replaces),
            deleteBeforeReplace=difference.delete_first,
            hasDetailedDiff=True,
        )
        for path, change in difference.changes.items():
            detail = response.detailedDiff[compare.shown(path)]
            detail.kind = _KINDS[change, path[0] in difference.replaces]
            detail.inputDiff = True
        return response

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Make a resource, or say what a preview is sure of."""
        type_, entry = self._type(request, context)
        inputs = wire.decode(request.properties)
        if request.preview:
            outputs = planning.preview(type_, inputs.values)
            return provider_pb2.CreateResponse(properties=_encode(type_, outputs, inputs))
        self._refuse_unknown(context)
        work = self._context(request, context, type_, entry, inputs=inputs)
        try:
            outputs = self._guard(context, lambda: resource.create(work))
        except resource.PartlyCreatedError as error:
            _init_failed(context, error, inputs, type_)
        return provider_pb2.CreateResponse(id=work.id, properties=_encode(type_, outputs, inputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A resource as it is now; an empty id when it is gone."""
        type_, entry = self._type(request, context)
        state, inputs = wire.decode(request.properties), wire.decode(request.inputs)
        importing = not inputs.values
        work = self._context(request, context, type_, entry, inputs=inputs, state=state)

        def act() -> Any:
            if importing:
                identity = resource.parse_identity(work.entry, request.id)
                work.id = str(identity.pop("id", request.id))
                work.state = {**identity, **work.state}
                if "{" in work.entry.id:
                    work.id = work.render(work.entry.id) or work.id
            try:
                return resource.guarded(work, lambda: resource.read(work))
            except resource.GoneError:
                return None

        outputs = self._guard(context, act)
        if outputs is None:
            return provider_pb2.ReadResponse()
        refreshed = resource.refreshed_inputs(work, outputs)
        return provider_pb2.ReadResponse(
            id=work.id,
            properties=_encode(type_, outputs, inputs, state),
            inputs=_encode(type_, refreshed, inputs),
        )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Bring a resource to its new inputs, or say what a preview is sure of."""
        type_, entry = self._type(request, context)
        state, news, old_inputs = wire.decode(request.olds), wire.decode(request.news), wire.decode(request.old_inputs)
        if request.preview:
            outputs = planning.preview_update(type_, entry, state.values, old_inputs.values, news.values)
            return provider_pb2.UpdateResponse(properties=_encode(type_, outputs, news))
        self._refuse_unknown(context)
        work = self._context(request, context, type_, entry, inputs=news, state=state)
        work.old_inputs = old_inputs.values or state.values
        try:
            outputs = self._guard(context, lambda: resource.update(work))
        except resource.PartlyCreatedError as error:
            _init_failed(context, error, news, type_)
        return provider_pb2.UpdateResponse(properties=_encode(type_, outputs, news))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """End a resource."""
        type_, entry = self._type(request, context)
        work = self._context(
            request,
            context,
            type_,
            entry,
            inputs=wire.decode(request.old_inputs),
            state=wire.decode(request.properties),
        )
        self._guard(context, lambda: resource.delete(work))
        return empty_pb2.Empty()

    # Common parts

    def _type(self, request: Any, context: Any) -> tuple[ResourceType, Resource | None]:
        token = request.type or request.urn.split("::")[2].rpartition("$")[2]
        try:
            return schema.resource_type(token), table.entries().get(token)
        except schema.UnknownTypeError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    def _context(
        self,
        request: Any,
        context: Any,
        type_: ResourceType,
        entry: Resource | None,
        *,
        inputs: Document,
        state: Document | None = None,
    ) -> resource.Context:
        if entry is None:
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{type_.token} is not emulated: it can be previewed, not created; "
                f"add an entry to {table.file_of(type_.token)}",
            )
        assert entry is not None  # noqa: S101 (abort raises)
        return resource.Context(
            entry=entry,
            type=type_,
            cloud=self._cloud,
            urn=request.urn,
            inputs=inputs.values,
            state=state.values if state else {},
            id=getattr(request, "id", ""),
            timeout=request.timeout,
            tell=lambda message: self._engine.status(request.urn, message),
            cancelled=self._ended.is_set,
        )

    def _refuse_unknown(self, context: Any) -> None:
        if self._unknown:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the provider's {', '.join(sorted(self._unknown))} is not known yet",
            )

    @staticmethod
    def _guard(context: Any, act: Callable[[], Any]) -> Any:
        """Act; what goes wrong is one line to the engine, and what should not is in the log too."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return act()
        except (resource.PartlyCreatedError, invokes.InvokeError):
            raise
        except (resource.ResourceError, cloud.ConfigurationError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except (ClientError, BotoCoreError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, " ".join(str(error).split()))


def provider_type() -> ResourceType:
    """The type of the provider's own configuration."""
    from pulumi_aws import provider

    return schema.of_class(PROVIDER_TOKEN, provider.Provider, provider.ProviderArgs)


def _encode(type_: ResourceType, outputs: dict[str, Any], *sources: Document) -> struct_pb2.Struct:
    """Outputs, secret where the SDK says so or where the input of the same name is."""
    secrets = {path for source in sources for path in source.secrets if path[0] in outputs}
    secrets |= {(name,) for name in type_.secrets if name in outputs}
    return wire.encode(outputs, _outermost(secrets))


def _outermost(paths: set[Path]) -> set[Path]:
    """Of paths within others, the others: one seal is enough."""
    return {path for path in paths if not any(path[:depth] in paths for depth in range(1, len(path)))}


def _init_failed(context: Any, error: resource.PartlyCreatedError, inputs: Document, type_: ResourceType) -> None:
    """Tell the engine that the resource exists and is not as it should be, so that its state keeps the id."""
    outputs = {name: value for name, value in error.outputs.items() if name in type_.outputs}
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.identity,
        properties=_encode(type_, outputs, inputs),
        reasons=[str(error)],
        inputs=wire.encode(inputs.values, inputs.secrets),
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))


def serve(address: str, announce: Callable[[int], None]) -> int:
    """Serve on a free port of loopback until cancelled or told to end.

    Args:
        address: the engine's; empty when it attaches later.
        announce: told the port once it is served.

    Returns:
        The process's exit code.
    """
    ended = threading.Event()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=WORKERS), options=OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(Engine(address), ended), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's to answer: it cancels, and then ends us
    announce(port)
    ended.wait()
    server.stop(grace=GRACE_SECONDS).wait()
    return 0
