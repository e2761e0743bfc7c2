"""A deployment against mocks: what a component declares, input by input, and what waits for what."""

from __future__ import annotations

import asyncio
import runpy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pulumi
import pytest
from pulumi.runtime.mocks import MockMonitor, Mocks, set_mocks

from components.artifacts import Artifacts, ArtifactsArgs
from components.database import Database, DatabaseArgs
from components.dead_letters import DeadLetters, DeadLettersArgs
from components.function import Placement, Runtime
from components.gate import Gate, GateArgs
from components.notifications import Notifications, NotificationsArgs
from components.release_driver import GateClosedError
from naming import Names
from tests.support.configuration import PROJECT, ROOT, configuration, write_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs

    from components.release_driver import Ledger

CODE = b"the bytes of the zip"
LAYER = b"the bytes of the layer"


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
        ignored: The properties whose changes are no change.
        hooks: What is asked before and told after, in order, each as "before_create name".
    """

    type: str
    name: str
    inputs: dict[str, Any]
    after: set[str]
    parent: str
    options: set[str]
    ignored: list[str]
    hooks: list[str]


@dataclass
class Deployment:
    """Everything that was declared."""

    resources: list[Declared] = field(default_factory=list)

    def of(self, type_: str) -> dict[str, dict[str, Any]]:
        """The inputs of all resources of a type, by name; `type_` is the token's end, as in "ec2/vpc:Vpc"."""
        return {each.name: each.inputs for each in self.resources if each.type.endswith(f":{type_}")}

    def every(self, type_: str) -> list[dict[str, Any]]:
        """The inputs of all resources of a type, also of those that share a name under different parents."""
        return [each.inputs for each in self.resources if each.type.endswith(f":{type_}")]

    def the(self, type_: str, name: str) -> Declared:
        """The one resource of that type and name."""
        [found] = [each for each in self.resources if each.type.endswith(f":{type_}") and each.name == name]
        return found

    @property
    def names(self) -> set[str]:
        """Type and name of everything that is no component."""
        return {_short(each.type, each.name) for each in self.resources if not each.type.startswith("product-api:")}

    def changes(self, before: Deployment) -> dict[str, set[str]]:
        """What is declared in another way than `before`: properties by resource, `+` and `-` for a whole one."""
        old, new = (
            # Two components may give a child the same name; types alone would then not tell one from the other.
            {(each.type, each.name, each.parent): _plain(each.inputs) for each in one.resources}
            for one in (before, self)
        )
        found: dict[str, set[str]] = {}
        for which in old.keys() | new.keys():
            if which not in old or which not in new:
                different = {"+" if which in new else "-"}
            else:
                keys = old[which].keys() | new[which].keys()
                different = {key for key in keys if old[which].get(key) != new[which].get(key)}
            if different:
                found.setdefault(_short(*which[:2]), set()).update(different)
        return found


def _plain(value: Any) -> Any:
    """Assets and archives as their paths, so that the same one is equal to itself."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case pulumi.FileArchive() | pulumi.FileAsset():
            return value.path
        case _:
            return value


def _short(type_: str, name: str) -> str:
    return f"{type_.rpartition(':')[2]} {name}"


class _Cloud(Mocks):
    """Answers creations with ids that name the resource, and look-ups with a refusal."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        known = _short(args.typ, args.name)
        return f"id of {known}", {
            "name": f"name of {known}",
            **args.inputs,
            "arn": f"arn of {known}",
            "keyId": "12345678-abcd",
            "address": f"address of {known}",
            "masterUserSecrets": [{"secretArn": "arn of the master secret"}],
            "version": "7",
            "invokeArn": f"invoke arn of {known}",
            "executionArn": f"execution arn of {known}",
            "apiEndpoint": f"endpoint of {known}",
            "endpoint": args.inputs.get("endpoint", f"endpoint of {known}"),
            "domainName": args.inputs.get("domainName", f"domain of {known}"),
            "versionArn": f"version arn of {known}",
            "versionId": f"version id of {known}",
            "signedObjects": [{"s3s": [{"bucket": "bucket", "key": f"signed by {known}"}]}],
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
                    ignored=list(request.ignoreChanges),
                    hooks=[f"{when.name} {hook}" for when, hooks in request.hooks.ListFields() for hook in hooks],
                )
            )
        return super().RegisterResource(request)


@pytest.fixture
def names() -> Names:
    return Names(project="product-api", stack="dev", region="eu-central-1", account="111122223333")


@pytest.fixture
def zips(tmp_path: Path) -> tuple[Path, Path]:
    """The code and the layer."""
    code, layer = tmp_path / "code.zip", tmp_path / "layer.zip"
    code.write_bytes(CODE)
    layer.write_bytes(LAYER)
    return code, layer


PLACEMENT = Placement(subnet_ids=["subnet a", "subnet b"], security_group_ids=["the clients", "the database's"])
# What a function has beside what its own component gives it; declared by `runtime_of`.
BESIDE = {"LayerVersion artifacts"}


@pytest.fixture
def runtime_of(names: Names, zips: tuple[Path, Path]) -> Callable[[], Runtime]:
    """Declare what functions share; to be called within a program."""

    def declare() -> Runtime:
        artifacts = Artifacts(
            "artifacts",
            ArtifactsArgs(
                names=names, code=zips[0], layer=zips[1], runtime="python3.13", architecture="arm64", signing="off"
            ),
        )
        return Runtime(
            names=names, artifacts=artifacts, log_retention_days=14, log_level="INFO", log_key_arn="the log's key"
        )

    return declare


@pytest.fixture
def database_of(names: Names) -> Callable[..., Database]:
    """Declare a database; to be called within a program."""

    def declare(name: str = "database", **changes: Any) -> Database:
        given: dict[str, Any] = {
            "vpc_id": "the vpc",
            "subnet_ids": ["subnet a", "subnet b"],
            "instance_class": "db.t4g.micro",
            "storage_gb": 20,
            "max_connections": 80,
            "proxy_percent": 80,
            "backup_days": 7,
            "multi_az": False,
            "deletion_protection": False,
            "log_retention_days": 14,
            "log_key_arn": "the log's key",
            "gate": open_gate(),
        }
        return Database(name, DatabaseArgs(names=names, **(given | changes)))

    return declare


@pytest.fixture
def dead_letters_of(names: Names) -> Callable[[], DeadLetters]:
    """Declare the queue of failed invocations; to be called within a program."""
    return lambda: DeadLetters("dead-letters", DeadLettersArgs(names=names, key_arn="the operations' key"))


@pytest.fixture
def notifications_of(names: Names) -> Callable[[], Notifications]:
    """Declare the topics; to be called within a program."""
    return lambda: Notifications(
        "notifications", NotificationsArgs(names=names, key_arn="the operations' key", warning=(), critical=())
    )


@dataclass
class Book:
    """A ledger that is at hand: it keeps what is recorded, and answers or fails as told.

    Attributes:
        missing: Who has not approved.
        closed: What keeps it from being read.
        asked: For whom it was asked.
        entries: What was recorded.
    """

    missing: list[str] = field(default_factory=list)
    closed: str = ""
    asked: list[tuple[str, ...]] = field(default_factory=list)
    entries: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    stack: str = "prod"
    release: dict[str, str] = field(default_factory=lambda: {"codeSha256": "0123456789abcdef"})

    def missing_approvals(self, approvers: Sequence[str]) -> list[str]:
        self.asked.append(tuple(approvers))
        if self.closed:
            raise GateClosedError(self.closed)
        return self.missing

    def record(self, event: str, **facts: object) -> None:
        self.entries.append((event, facts))


def open_gate() -> pulumi.ResourceHookBinding:
    """A gate that nobody asks, for mocks call no hook; to be called within a program."""
    hook = pulumi.ResourceHook("gate", lambda _args: None)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


GATED = ["before_create gate", "before_update gate"]


def whole_gate() -> Gate:
    """The gate itself, over a ledger in memory; to be called within a program."""
    return Gate(GateArgs(ledger=cast("Ledger", Book()), approvers=()))


RECORDED = ["before_create gate", "before_update gate", "after_create ledger", "after_update ledger"]


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Deployment]]:
    """Run a program to its end, and return what it declared."""

    async def registered(_hook: pulumi.ResourceHook) -> None:
        """Mocks have no engine to register a hook with."""

    monkeypatch.setattr(
        "pulumi.resource_hooks.register_resource_hook", lambda hook: asyncio.ensure_future(registered(hook))
    )

    loop = asyncio.new_event_loop()

    def run(program: Callable[[], Any], stack: str = "dev") -> Deployment:
        deployment = Deployment()
        # The mocks take the thread's own, and `asyncio.run` leaves none behind.
        asyncio.set_event_loop(loop)
        set_mocks(_Cloud(), project=PROJECT, stack=stack, monitor=_Monitor(deployment))

        def declare() -> None:
            program()

        pulumi.runtime.test(declare)()
        return deployment

    yield run
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of code and layer, the same for all programs that are compared."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "code.zip").write_bytes(CODE)
    write_layer(folder / "layer-python3.13-arm64.zip", "Amazon RDS eu-central-1 Root CA RSA2048 G1")
    return folder


@pytest.fixture
def whole(deploy: Callable[..., Deployment], built: Path) -> Iterator[Callable[..., Deployment]]:
    """Run the whole program of a stack: with its own file's settings but for those that are given, and its own name."""

    def run(stack: str, called: str = "", **changes: Any) -> Deployment:
        pulumi.runtime.set_all_config(configuration(stack, built, changes))
        return deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), called or stack)

    yield run
    pulumi.runtime.set_all_config({})
