"""The vocabulary of the table in `types/`: what a resource type is, as data.

Strings in `params` and `outputs` are templates over the scope of an operation: the resource's properties, its `id`,
and `account`,
`region`, `partition`. A string that is one placeholder alone (`"{subnetIds}"`) gives the value, not its text; one whose
placeholders have no value is left out.
"""

from __future__ import annotations

import functools
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.provider.resource import Context


@dataclass(frozen=True, slots=True)
class Call:
    """One API operation.

    Attributes:
        operation: boto3's name of it.
        params: members beside the carried properties: templates and constants.
        carries: the properties that it puts into effect; `()` none; None: every input that the operation has a member
        for.
        into: the member under which they stand, where the API wraps them.
        names: property path → member path, before the entry's own names; "": it has no member (the operation itself
            says it).
        clear: instead of this one, when all the carried properties are removed or empty (false, 0, "", nothing).
        whole: carry all the properties that are set, as a put does; otherwise, in an update, those that changed.
    """

    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    carries: tuple[str, ...] | None = None
    into: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    clear: Call | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Do:
    """A step that no single operation makes: a function of the context, for the properties that it carries.

    Attributes:
        run: makes the step; what it returns is the answer of a creation.
        carries: the properties that it puts into effect.
        like: the call whose members the properties become, where there is one; Check holds their values to it.
    """

    run: Callable[[Context], Mapping[str, Any] | None]
    carries: tuple[str, ...] = ()
    like: Call | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """An operation that reads properties back. The first of an entry's decides whether the resource exists.

    Attributes:
        operation: boto3's name of it.
        params: its members, templates and constants.
        at: JMESPath to the object in the answer.
        outputs: property → JMESPath in that object, beside the members of the same name. A property named here may be
        nothing else.
        only: when given, no same-name members but these.
        unset: error codes that mean: the properties have no value.
    """

    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] | None = None
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tagging:
    """How a service tags: the member of the create operation is found by itself.

    Attributes:
        add: carries the tags; None where a step of the entry carries them all, as `tagsAll`.
        remove: carries the keys.
        read: where the first `Read` does not answer with them.
        kind: of EC2's TagSpecifications, the resource type.
    """

    add: Call | None = None
    remove: Call | None = None
    read: Read | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the object of the first `Read` is ready.

    Attributes:
        at: JMESPath of its status.
        ready: the values that end the wait.
        failed: the values that end it badly.
        reason: JMESPath of the explanation.
        seconds: at most.
    """

    at: str
    ready: tuple[str, ...]
    failed: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 600


@dataclass(frozen=True)
class Resource:
    """An emulated resource type.

    Attributes:
        token: the type; `aliases` are older tokens for the same.
        service: boto3's name of the service.
        create: what makes it.
        id: its Pulumi id: a template over its properties (`"{role}:{name}"`), or a JMESPath into what `create` answers.
        imports: how an id given to import is read, where it says more than `id` does.
        reads: what reads it.
        update: what changes it.
        settings: properties in operations of their own, put after the creation and at an update.
        delete: what ends it; None: nothing does, as in AWS.
        names: property path → member path where the spelling is not the same, in all operations.
        name: the property that is named by itself, and how (`named`).
        exact: whether that name is the logical name itself, without a random part.
        replaces: properties that only a new resource can change; a function of the new inputs where it depends on them.
        keyed: maps of the API that are lists of objects here → the field that is the key.
        sets: lists without order.
        documents: texts that are JSON, compared by meaning.
        arns: properties where an ARN, an id and a name of the same thing are the same.
        defaults: what the official provider fills in at Check.
        initial: values that need no call after the creation, because AWS starts with them.
        allowed, ranges: checks that botocore's models lack.
        local: properties that only the provider itself acts on.
        write_only: properties that AWS does not give back (as given).
        unsupported: properties that are not emulated; using one is an error.
        outputs: property → template.
        refine: a last word on what was read.
        verify: rules across properties, at Check: yields (property path, reason).
        recomputed: outputs that an update makes unknown in a preview → the inputs that do.
        gone: error codes that mean: it does not exist.
        tagging: how it is tagged; the service's way unless given.
        ready: what is waited for after creation and update.
        awaited_gone: whether a deletion is waited for.
    """

    token: str
    service: str
    _: KW_ONLY
    create: Call | Do
    id: str
    reads: tuple[Read, ...]
    delete: Call | Do | None
    aliases: tuple[str, ...] = ()
    imports: str = ""
    update: tuple[Call | Do, ...] = ()
    settings: tuple[Call | Do, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    named: Callable[[str], str] = str
    exact: bool = False
    replaces: tuple[str, ...] | Callable[[Mapping[str, Any]], tuple[str, ...]] = ()
    keyed: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    arns: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    local: tuple[str, ...] = ()
    write_only: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    refine: Callable[[Context, dict[str, Any]], None] | None = None
    verify: Callable[[Mapping[str, Any]], list[tuple[str, str]]] | None = None
    recomputed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    tagging: Tagging | None = None
    ready: Wait | None = None
    awaited_gone: bool = False

    def replacing(self, news: Mapping[str, Any]) -> tuple[str, ...]:
        """The properties whose change needs a new resource, given the new inputs."""
        return self.replaces(news) if callable(self.replaces) else self.replaces

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls whose members the properties become."""
        found = (step.like if isinstance(step, Do) else step for step in self.steps)
        return tuple(call for call in found if call is not None)

    @property
    def steps(self) -> tuple[Call | Do, ...]:
        """Every step that may carry a property."""
        return (self.create, *self.update, *self.settings)


def file_of(token: str) -> str:
    """Where an entry of this type belongs: the file of its module, from the repository's root."""
    module, _, kind = token.split(":")[1].partition("/")
    if module == "cloudwatch" and kind.startswith("event"):
        module = "events"
    return f"sandbox/provider/types/{ {'lambda': 'lambda_', 'vpc': 'ec2'}.get(module, module) }.py".replace(" ", "")


@functools.cache
def entries() -> Mapping[str, Resource]:
    """The table: every emulated type by token, aliases included."""
    from sandbox.provider import types

    return {token: entry for entry in types.all_entries() for token in (entry.token, *entry.aliases)}
