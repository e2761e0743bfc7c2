"""Create, read, update and delete of any entry of the table."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.provider import compare, mapping, schema, table, wire
from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botocore.model import OperationModel

    from sandbox.provider.cloud import Cloud
    from sandbox.provider.schema import ResourceType

POLL_SECONDS = 0.2
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PAGE_TOKENS = ("NextToken", "nextToken", "Marker", "NextMarker")
_ABSENT = object()


class ResourceError(Exception):
    """An operation on a resource failed; the message is one line, with the operation, the code and the resource."""


class PartlyCreatedError(ResourceError):
    """The resource exists, but a step after its creation failed."""

    def __init__(self, message: str, identity: str, outputs: dict[str, Any]) -> None:
        super().__init__(message)
        self.identity = identity
        self.outputs = outputs


@dataclass
class Context:
    """One operation on one resource.

    Attributes:
        entry: of the table.
        type: of the SDK.
        cloud: the account.
        urn: whose.
        inputs: the checked inputs, the new ones in an update.
        old_inputs: the former inputs; empty at a creation and an import.
        state: the former outputs.
        id: the Pulumi id; empty before there is one.
        tell: says how a long wait goes on.
        cancelled: whether to give up waiting.
        timeout: the program's own limit in seconds, 0 for none.
        response: what the creation answered.
    """

    entry: Resource
    type: ResourceType
    cloud: Cloud
    urn: str
    inputs: dict[str, Any] = field(default_factory=dict)
    old_inputs: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    tell: Callable[[str], None] = lambda _: None
    cancelled: Callable[[], bool] = lambda: False
    timeout: float = 0
    response: Mapping[str, Any] = field(default_factory=dict)
    found: Any = None

    @property
    def creating(self) -> bool:
        """Whether this is a creation."""
        return not self.old_inputs

    @property
    def region(self) -> str:
        """The resource's region, which may be another than the provider's."""
        return str(self.inputs.get("region") or self.state.get("region") or self.cloud.region)

    @property
    def rules(self) -> compare.Rules:
        """How its properties are compared."""
        return compare.Rules.of(self.entry, self.type)

    def changed(self, name: str) -> bool:
        """Whether an update is to put this property into effect.

        Also when the inputs are the same but the state is not: then a former creation or update failed half-way.
        """
        old, new = self.old_inputs.get(name), self.inputs.get(name)
        if not compare.same(old, new, (name,), self.rules):
            return True
        if new is None or not self.state or name not in self.type.outputs:
            return False
        had = compare.align(new, self.state.get(name), (name,), self.rules)
        return not compare.same(had, new, (name,), self.rules)

    def scope(self, name: str) -> Any:
        """A value by its name in a template, or None."""
        if name == "id":
            return self.id or None
        if name in {"account", "partition"}:
            return getattr(self.cloud, name)
        if name == "region":
            return self.region
        value = self.inputs.get(name, self.state.get(name))
        return self.found.get(name) if value is None and isinstance(self.found, dict) else value

    def render(self, template: Any) -> Any:
        """A template's value; None where a placeholder has none."""
        match template:
            case str():
                alone = _PLACEHOLDER.fullmatch(template)
                if alone:
                    return self.scope(alone[1])
                values = {name: self.scope(name) for name in _PLACEHOLDER.findall(template)}
                if any(value is None for value in values.values()):
                    return None
                return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), template)
            case dict():
                rendered = {key: self.render(value) for key, value in template.items()}
                return {key: value for key, value in rendered.items() if value is not None} or (
                    None if template else {}
                )
            case list() | tuple():
                return [value for value in map(self.render, template) if value is not None]
        return template

    def call(self, operation: str, service: str = "", **params: Any) -> Any:
        """Call an operation with exact parameters.

        Raises:
            botocore.exceptions.ClientError: as AWS answers.
        """
        return getattr(self.cloud.client(service or self.entry.service, self.region), operation)(**params)

    def step(self, step: Call | Do, *, only: Iterable[str] | None = None) -> Any:
        """Make a step of the table; `only` limits what it carries."""
        if isinstance(step, Do):
            return step.run(self) or {}
        return self.call(step.operation, **self.parameters(step, only=only))

    def rendered(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that an entry gives by templates, in the types of the operation's members."""
        shape = mapping.operation_model(self.entry.service, operation).input_shape
        typed: dict[str, Any] = mapping.to_api(self.render(dict(params)) or {}, shape, "", {}) if params else {}
        return typed

    def settle(self) -> None:
        """Wait until the resource is ready, between two steps that do not bear each other."""
        _settle(self)

    def parameters(self, step: Call, *, only: Iterable[str] | None = None, tagged: bool = False) -> dict[str, Any]:
        """The parameters of a step; `tagged` puts the tags in, as every creation by a plain call does."""
        params = self.rendered(step.operation, step.params)
        model = mapping.operation_model(self.entry.service, step.operation)
        for name, members in carried(self.entry, self.type, step).items():
            if (
                not members
                or name not in self.inputs
                or (only is not None and name not in only and not _required(model, members))
            ):
                continue
            names = {**self.entry.names, **step.names}
            shape = model.input_shape
            for member in members:
                shape = shape.members[member]
            value = self.inputs[name]
            key = self.entry.keyed.get(name)
            if key is not None:
                value = {item[key]: {inner: part for inner, part in item.items() if inner != key} for item in value}
            try:
                mapping.put(params, members, mapping.to_api(value, shape, name, names))
            except mapping.UnmappedError as error:
                raise unsupported(self.entry, str(error)) from None
        if only is not None:
            self._cleared(step, model, params, only)
        if tagged or step is self.entry.create:
            self._tag_at_creation(params, model)
        return params

    def _cleared(self, step: Call, model: OperationModel, params: dict[str, Any], only: Iterable[str]) -> None:
        """An update sends the empty value for what the program no longer gives."""
        for name, members in carried(self.entry, self.type, step).items():
            if name not in only or name in self.inputs or not members:
                continue
            shape = model.input_shape
            for member in members:
                shape = shape.members[member]
            empty = {"string": "", "list": [], "map": {}, "structure": {}, "boolean": False}.get(
                shape.type_name, _ABSENT
            )
            if empty is not _ABSENT and not (shape.type_name == "string" and shape.enum):
                mapping.put(params, members, empty)

    def _tag_at_creation(self, params: dict[str, Any], model: OperationModel) -> None:
        tags = self.inputs.get("tagsAll")
        tagging = tagging_of(self.entry)
        if not tags or tagging is None:
            return
        member = mapping.find(model.input_shape.members, "tags")
        if tagging.kind and "TagSpecifications" in model.input_shape.members:
            params["TagSpecifications"] = [{"ResourceType": tagging.kind, "Tags": spell_tags(tags, None)}]
        elif member:
            params[member] = spell_tags(tags, model.input_shape.members[member])


def spell_tags(tags: Mapping[str, str], shape: Any) -> Any:
    """Tags as an API wants them: a map, or a list of pairs in its spelling."""
    if shape is not None and shape.type_name == "map":
        return dict(tags)
    key, value = ("Key", "Value")
    if shape is not None:
        key, value = sorted(shape.member.members, key=lambda name: not name.lower().endswith("key"))[:2]
    return [{key: name, value: text} for name, text in tags.items()]


def read_tags(found: Any) -> dict[str, str]:
    """Tags as a map, in whatever spelling they were read."""
    if isinstance(found, dict):
        return {key: str(value) for key, value in found.items()}
    pairs = {}
    for tag in found or []:
        key = tag.get("Key", tag.get("TagKey", tag.get("key")))
        pairs[key] = tag.get("Value", tag.get("TagValue", tag.get("value"))) or ""
    return pairs


def tagging_of(entry: Resource) -> Tagging | None:
    """How an entry is tagged: its own way, or its service's."""
    from sandbox.provider.types import TAGGING

    return entry.tagging or TAGGING.get(entry.service)


def unsupported(entry: Resource, path: str) -> ResourceError:
    """The error of a property that the table does not emulate."""
    return ResourceError(
        f"{entry.token}: property {path!r} is not emulated; add it to {table.file_of(entry.token)}, or leave it out"
    )


_PLACES: dict[int, tuple[Call, dict[str, tuple[str, ...]]]] = {}


def carried(entry: Resource, type_: ResourceType, step: Call) -> dict[str, tuple[str, ...]]:
    """The properties that a call carries → the member of each, `()` where the operation itself says it."""
    key = id(step)  # a call is one entry's; it is kept here, so that its id stays its own
    if key not in _PLACES:
        shape = mapping.operation_model(entry.service, step.operation).input_shape
        wanted = step.carries if step.carries is not None else tuple(type_.inputs)
        skipped = {*entry.local, *entry.unsupported, "tags", "region"}
        places: dict[str, tuple[str, ...]] = {}
        for name in wanted:
            if step.carries is None and name in skipped:
                continue
            target = step.names.get(name, entry.names.get(name, name))
            if not target:
                if step.carries is not None:
                    places[name] = ()
                continue
            found = mapping.place(shape, f"{step.into}.{target}" if step.into else target)
            if found is not None:
                places[name] = found[0]
            elif step.carries is not None:
                raise mapping.UnmappedError(f"{entry.token}: {step.operation} has no member for {name}")
        _PLACES[key] = (step, places)
    return _PLACES[key][1]


def _required(model: OperationModel, members: tuple[str, ...]) -> bool:
    return members[0] in model.input_shape.required_members


def create(context: Context) -> dict[str, Any]:
    """Make the resource; `context.id` is then its id.

    Returns:
        Its outputs.

    Raises:
        PartlyCreatedError: it exists, but is not as asked.
        ResourceError: it does not.
    """
    entry = context.entry
    refuse_unsupported(context)
    try:
        context.response = guarded(context, lambda: context.step(entry.create))
    except ResourceError as error:
        if not context.id:
            raise
        raise PartlyCreatedError(str(error), context.id, dict(context.state)) from error
    if not context.id:
        context.id = identify(context)
    said = _said_by_id(entry, context.id)
    context.state |= {name: value for name, value in said.items() if name != "id" and name not in context.inputs}
    try:
        _settle(context)
        if entry.settings and guarded(context, lambda: _set_up(context)):
            _settle(context)
        outputs: dict[str, Any] | None = guarded(context, lambda: read(context))
        if outputs is None:
            raise ResourceError(f"{entry.token}: {context.id} is gone right after its creation")  # noqa: TRY301 (see below)
    except ResourceError as error:  # also one of ours, raised above: whatever it is, the resource exists
        done = {name: value for name, value in context.inputs.items() if name in _carried_by(entry.create, context)}
        raise PartlyCreatedError(str(error), context.id, {**done, **context.state}) from error
    return outputs


def _carried_by(step: Call | Do, context: Context) -> Iterable[str]:
    return step.carries if isinstance(step, Do) else carried(context.entry, context.type, step)


def identify(context: Context) -> str:
    """The id of what was just created."""
    template = context.entry.id
    identity = context.render(template) if "{" in template else mapping.search(template, context.response)
    if not identity:
        raise ResourceError(f"{context.entry.token}: the creation answered no {template}")
    return str(identity)


def _set_up(context: Context) -> bool:
    """Make the settings that differ from what AWS starts with; whether any was made."""
    made = False
    for step in context.entry.settings:
        names = [name for name in _carried_by(step, context) if name in context.inputs]
        if any(
            not compare.same(context.inputs[name], context.entry.initial.get(name), (name,), context.rules)
            for name in names
        ):
            made = True
            if isinstance(step, Do) or not _clears(step, names, context):
                context.step(step)
    return made


def _clears(step: Call, names: Iterable[str], context: Context) -> bool:
    return step.clear is not None and not any(context.inputs.get(name) for name in names)


def update(context: Context) -> dict[str, Any]:
    """Bring the resource from its old inputs to the new ones.

    Returns:
        Its outputs.

    Raises:
        PartlyCreatedError: a step failed after another had changed something.
        ResourceError: as AWS answers.
    """
    entry = context.entry
    refuse_unsupported(context)
    made = 0
    try:
        for step in (*entry.update, *entry.settings):
            names = [name for name in _carried_by(step, context) if context.changed(name)]
            if names:
                guarded(context, lambda step=step, names=names: _put(context, step, names))  # type: ignore[misc]
                made += 1
        if context.changed("tagsAll"):
            guarded(context, lambda: retag(context))
            made += 1
        if made:
            _settle(context)
        outputs: dict[str, Any] | None = guarded(context, lambda: read(context))
    except ResourceError as error:
        if not made:
            raise
        raise PartlyCreatedError(str(error), context.id, _as_it_is(context)) from error
    if outputs is None:
        raise ResourceError(f"{entry.token}: {context.id} no longer exists; run `pulumi refresh`")
    return outputs


def _as_it_is(context: Context) -> dict[str, Any]:
    """The outputs in the midst of an update that failed, so that the next one does what is left; else as they were."""
    try:
        found: dict[str, Any] | None = guarded(context, lambda: read(context))
    except ResourceError:
        found = None
    return found or context.state


def _put(context: Context, step: Call | Do, names: list[str]) -> None:
    if isinstance(step, Do):
        step.run(context)
    elif _clears(step, _carried_by(step, context), context):
        assert step.clear is not None  # noqa: S101 (_clears says so)
        context.step(step.clear)
    else:
        context.step(step, only=None if step.whole else names)


def retag(context: Context) -> None:
    """Add and remove tags by the service's operations."""
    tagging = tagging_of(context.entry)
    if tagging is None or tagging.add is None or tagging.remove is None:
        return
    old = context.state.get("tagsAll", context.old_inputs.get("tagsAll")) or {}
    new = context.inputs.get("tagsAll") or {}
    added = {key: value for key, value in new.items() if old.get(key) != value}
    removed = [key for key in old if key not in new]
    service = context.entry.service
    for step, tags in ((tagging.remove, removed), (tagging.add, added)):
        if tags:
            shape = mapping.operation_model(service, step.operation).input_shape
            member = next(
                name
                for name in shape.members
                if mapping.normal(name).removeprefix("resource") in {"tags", "tagkeys", "taglist", "tagkeylist"}
            )
            list_of_keys = getattr(shape.members[member], "member", None)
            spelled: Any
            if isinstance(tags, list):
                plain = list_of_keys is None or list_of_keys.type_name == "string"
                spelled = tags if plain else [{"Key": key} for key in tags]
            else:
                spelled = spell_tags(tags, shape.members[member])
            context.call(step.operation, **context.rendered(step.operation, step.params), **{member: spelled})


def delete(context: Context) -> None:
    """End the resource; one that is gone already is no error.

    Raises:
        ResourceError: as AWS answers.
    """
    entry = context.entry
    if entry.delete is None or context.state.get("skipDestroy") is True:
        return
    step = entry.delete
    try:
        guarded(context, lambda: context.step(step))
    except GoneError:
        return
    if entry.awaited_gone:
        deadline = time.monotonic() + (context.timeout or 3600)
        started = time.monotonic()
        while guarded(context, lambda: fetch(context, entry.reads[0])) is not None:
            if time.monotonic() > deadline:
                raise ResourceError(
                    f"{entry.token}: {context.id} still exists after {time.monotonic() - started:.0f} s"
                )
            context.tell(f"deleting {context.id} ({time.monotonic() - started:.0f} s)")
            _pause(context)


def _pause(context: Context) -> None:
    if context.cancelled():
        raise ResourceError(f"{context.entry.token} {_called(context)}: cancelled while waiting")
    time.sleep(POLL_SECONDS)


def _settle(context: Context) -> None:
    """Wait until the resource is ready."""
    wait = context.entry.ready
    if wait is None:
        return

    started = time.monotonic()
    limit = context.timeout or wait.seconds
    while True:
        found = guarded(context, lambda: fetch(context, context.entry.reads[0]))
        status = mapping.search(wait.at, found) if found is not None else None
        elapsed = time.monotonic() - started
        if status in wait.ready:
            return
        if status in wait.failed:
            reason = mapping.search(wait.reason, found) if wait.reason else None
            raise ResourceError(f"{context.entry.token}: {context.id} is {status}" + (f": {reason}" if reason else ""))
        if elapsed > limit:
            raise ResourceError(
                f"{context.entry.token}: {context.id} is {status or 'not there'} after {elapsed:.0f} s, "
                f"not {wait.ready[0]}"
            )
        if elapsed > 2:
            context.tell(f"waiting for {context.id}: {status or 'not there yet'} ({elapsed:.0f} s)")
        _pause(context)


class GoneError(ResourceError):
    """AWS says that the resource does not exist."""


def guarded(context: Context, act: Callable[[], Any]) -> Any:
    """Act, with the errors of AWS and of the network as one line.

    Raises:
        GoneError: the resource does not exist.
        ResourceError: any other answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return act()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        message = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())
        kind = GoneError if code in context.entry.gone else ResourceError
        raise kind(
            f"{context.entry.token} {_called(context)}: {error.operation_name} failed: {code}: {message}"
        ) from error
    except (BotoCoreError, wire.ContentError) as error:
        text = " ".join(str(error).split())
        raise ResourceError(f"{context.entry.token} {_called(context)}: {type(error).__name__}: {text}") from error


def _called(context: Context) -> str:
    return f"{context.id or context.urn.rpartition('::')[2]!r}"


def refuse_unsupported(context: Context) -> None:
    """Refuse what the table does not emulate, rather than to pretend.

    Raises:
        ResourceError: such a property has a value that is not what AWS does without it.
    """
    for name in context.entry.unsupported:
        value = context.inputs.get(name)
        if value not in (None, "", [], {}, False) and value != context.entry.defaults.get(name, _ABSENT):
            raise unsupported(context.entry, name)


def fetch(context: Context, reading: Read) -> Any:
    """What a read answers at its place; None where there is nothing.

    Raises:
        botocore.exceptions.ClientError: other than that it does not exist.
    """
    from botocore.exceptions import ClientError

    first = reading is context.entry.reads[0]
    try:
        params = context.rendered(reading.operation, reading.params)
        response = context.call(reading.operation, **params)
        if any(response.get(token) for token in _PAGE_TOKENS):
            client = context.cloud.client(context.entry.service, context.region)
            if client.can_paginate(reading.operation):
                response = client.get_paginator(reading.operation).paginate(**params).build_full_result()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in (context.entry.gone if first else reading.unset):
            return None
        raise
    expression = context.render(reading.at)
    return mapping.search(expression, response) if expression else response


def read(context: Context) -> dict[str, Any] | None:
    """The outputs as AWS has them now, or None where the resource is gone."""
    entry, type_ = context.entry, context.type
    if not entry.reads and not context.inputs:
        raise ResourceError(f"{entry.token}: AWS keeps nothing of it that could be read; it cannot be imported")
    outputs: dict[str, Any] = {}
    readable: set[str] = set()
    for position, reading in enumerate(entry.reads):
        found = fetch(context, reading)
        if position == 0:
            if found is None or found == []:
                return None
            context.found = found
        known = _readable(entry, type_, reading)
        readable |= known.keys()
        for name, kind in known.items():
            extracted = _extract(found, name, reading, entry)
            if name in entry.keyed and isinstance(extracted, dict):
                extracted = [{**item, entry.keyed[name]: key} for key, item in extracted.items()]
            value = mapping.from_api(extracted, kind, name, entry.names)
            if value is not None:
                outputs[name] = value
        context.state = {**context.state, **outputs}
    _read_tags(context, outputs)
    for name in type_.outputs:
        if name not in outputs and name not in readable and name not in {"tags", "tagsAll"}:
            kept = context.inputs.get(name, context.state.get(name))
            if kept is not None:
                outputs[name] = kept
    if "region" in type_.outputs:
        outputs.setdefault("region", context.region)
    context.state = {**context.state, **outputs}
    for name, template in entry.outputs.items():
        if (value := context.render(template)) is not None:
            outputs[name] = value
            context.state[name] = value
    if entry.refine is not None:
        entry.refine(context, outputs)
    return _in_the_programs_words(context, outputs)


def _in_the_programs_words(context: Context, outputs: dict[str, Any]) -> dict[str, Any]:
    said = {}
    for name, value in outputs.items():
        given = context.inputs.get(name)
        if given is not None:
            kept = name in context.entry.write_only
            said[name] = compare.plain(given if kept else compare.align(given, value, (name,), context.rules))
        elif context.type.computed(name) or value not in (None, "", [], {}):
            said[name] = value
    return said


def _readable(entry: Resource, type_: ResourceType, reading: Read) -> dict[str, schema.Type]:
    """The properties that a read says, those without a value included."""
    fields = {name: output.type for name, output in type_.outputs.items()}
    explicit = {name: fields[name] for name in reading.outputs if name in fields}
    if reading.only == ():
        return explicit
    shape = mapping.operation_model(entry.service, reading.operation).output_shape
    place = mapping.shape_at(shape, reading.at)
    skipped = {*entry.write_only, *entry.local, "tags", "tagsAll", "region", "id", *explicit}
    names = fields if reading.only is None else reading.only
    same_name = {
        name: fields[name]
        for name in names
        if name in fields
        and name not in skipped
        and entry.names.get(name, name)
        and _placed(place, entry.names.get(name, name))
    }
    return {**same_name, **explicit}


def _placed(shape: Any, target: str) -> bool:
    return mapping.place(shape, target) is not None or mapping.place(shape, target.rpartition(".")[2]) is not None


def _extract(found: Any, name: str, reading: Read, entry: Resource) -> Any:

    if name in reading.outputs:
        return mapping.search(reading.outputs[name], found) if found is not None else None
    target = entry.names.get(name, name)
    for path in (target, target.rpartition(".")[2]):
        value = found
        for part in path.split("."):
            member = mapping.find(value, part) if isinstance(value, dict) else None
            value = None if member is None else value[member]
        if value is not None:
            return value
    return None


def _read_tags(context: Context, outputs: dict[str, Any]) -> None:
    if "tagsAll" not in context.type.outputs:
        return
    tagging = tagging_of(context.entry)
    found: Any = None
    if tagging is not None and tagging.read is not None:
        context.state = {**context.state, **outputs, **_early(context)}
        found = fetch(context, tagging.read)
    elif isinstance(context.found, dict):
        member = next((name for name in context.found if mapping.normal(name) in {"tags", "taglist", "tagset"}), None)
        found = context.found.get(member) if member else None
    everything = context.cloud.without_ignored(read_tags(found))
    given = context.inputs.get("tags") or {}
    defaults = context.cloud.default_tags
    outputs["tagsAll"] = everything
    outputs["tags"] = {key: value for key, value in everything.items() if key in given or defaults.get(key) != value}


def _early(context: Context) -> dict[str, Any]:
    """Outputs by template that the tags' read may need, such as the ARN."""
    rendered = {name: context.render(template) for name, template in context.entry.outputs.items()}
    return {name: value for name, value in rendered.items() if value is not None}


def refreshed_inputs(context: Context, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as the cloud has them: what the program gave, brought up to date, and what another has set without it.

    Args:
        context: with the old inputs in `inputs`; empty at an import, where all that is set is an input.
        outputs: as read.
    """
    entry, type_, given = context.entry, context.type, context.inputs
    importing = not given
    inputs: dict[str, Any] = {}
    for name in (*type_.inputs, "tagsAll"):
        value = outputs.get(name)
        if name in given:
            if name in entry.write_only or name in entry.local:
                inputs[name] = given[name]
            elif value is not None:
                inputs[name] = compare.align(given[name], value, (name,), context.rules)
            elif given[name] in ("", [], {}, False, 0, entry.defaults.get(name, _ABSENT)):
                inputs[name] = given[name]
        elif importing:
            if name in entry.local and name in entry.defaults:
                inputs[name] = entry.defaults[name]
            elif value not in (None, "", [], {}) and name not in entry.unsupported:
                inputs[name] = value
        elif (
            not type_.computed(name)
            and name not in entry.local
            and value not in (None, "", [], {}, False, 0, entry.initial.get(name, _ABSENT))
        ):
            inputs[name] = value
    if "tagsAll" in type_.outputs:
        inputs.setdefault("tagsAll", {})
    inputs["__defaults"] = given.get("__defaults", [])
    return inputs


def _said_by_id(entry: Resource, identity: str) -> dict[str, Any]:
    """What a new id says where it has an import's form (a secret's version, say); nothing where it has another."""
    try:
        return parse_identity(entry, identity) if entry.imports else {}
    except ResourceError:
        return {}


def parse_identity(entry: Resource, identity: str) -> dict[str, Any]:
    """The properties that an imported id says, by the entry's template; `id` where the id itself is a part of it."""
    template = entry.imports or (entry.id if "{" in entry.id else "{id}")
    names = _PLACEHOLDER.findall(template)
    pattern = "(.+?)".join(map(re.escape, _PLACEHOLDER.split(template)[::2]))
    matched = re.fullmatch(pattern, identity)
    if not matched:
        raise ResourceError(f"{entry.token}: the id {identity!r} is not of the form {template}")
    return dict(zip(names, matched.groups(), strict=True))
