"""The table against the SDK's types and botocore's models: nothing is left out, nothing is made up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.provider import mapping, resource, schema, table
from sandbox.provider.table import Call, Do, Read, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENTRIES = tuple({entry.token: entry for entry in table.entries().values()}.values())
BRIDGE = {"tags", "region"}  # merged into tagsAll, and the client's own
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.token)


def carried(entry: Resource, step: Call | Do) -> set[str]:
    """The properties of a step."""
    if isinstance(step, Do):
        return set(step.carries)
    templates = {
        name for text in step.params.values() if isinstance(text, str) for name in re.findall(r"{(\w+)}", text)
    }
    return set(resource.carried(entry, schema.resource_type(entry.token), step)) | (
        templates if step is entry.create else set()
    )


def calls(entry: Resource) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every operation that an entry names, with the parameters that it names for it."""
    tagging = resource.tagging_of(entry)
    steps: list[Any] = [*entry.steps, entry.delete, *entry.reads]
    if tagging is not None:
        steps += [tagging.add, tagging.remove, tagging.read]
    for step in steps:
        if isinstance(step, Call):
            yield step.operation, step.params
            if step.clear is not None:
                yield step.clear.operation, step.clear.params
        elif isinstance(step, Read):
            yield step.operation, step.params


def field_at(fields: Mapping[str, schema.Field], path: str) -> schema.Field | None:
    """A property at a dotted path, through lists."""
    head, _, rest = path.partition(".")
    found = fields.get(head)
    if found is None or not rest:
        return found
    kind = found.type.item if isinstance(found.type, schema.ListOf) else found.type
    return field_at(kind.fields, rest) if isinstance(kind, schema.Object) else None


@every_entry
def test_every_input_goes_somewhere(entry: Resource) -> None:
    """A property is carried by a step, acted on by the provider, or said to be not emulated; never silently dropped."""
    accounted = {name for step in entry.steps for name in carried(entry, step)}
    assert (
        set(schema.resource_type(entry.token).inputs) - accounted - {*entry.local, *entry.unsupported} - BRIDGE == set()
    )


@every_entry
def test_nothing_is_both_emulated_and_not(entry: Resource) -> None:
    """What is listed as not emulated has no step that would carry it."""
    assert {name for step in entry.steps for name in carried(entry, step)} & set(entry.unsupported) == set()


@every_entry
def test_nested_properties_have_members(entry: Resource) -> None:
    """Whatever the SDK nests in a carried property, the operation has a member for."""
    type_ = schema.resource_type(entry.token)
    for step in entry.calls:
        shape = mapping.operation_model(entry.service, step.operation).input_shape
        for name, members in resource.carried(entry, type_, step).items():
            target = shape
            for member in members:
                target = target.members[member]
            if members and name not in entry.keyed:
                nested(type_.inputs[name].type, target, name, {**entry.names, **step.names})


def nested(kind: schema.Type, shape: Any, path: str, names: Mapping[str, str]) -> None:
    """Every field of an object finds its member."""
    while isinstance(kind, schema.ListOf | schema.MapOf):
        kind = kind.item
        if shape.type_name == "structure" and {"Items", "Quantity"} <= set(shape.members):  # a list of CloudFront's
            shape = shape.members["Items"]
        shape = getattr(shape, {"list": "member", "map": "value"}.get(shape.type_name, ""), shape)
    if isinstance(kind, schema.Object):
        if shape.type_name == "list":  # one object, where the API would take several
            shape = shape.member
        for name, inner in kind.fields.items():
            if names.get(f"{path}.{name}", name) and (inner.required or name not in OUTPUT_ONLY):
                found = mapping.place(shape, names.get(f"{path}.{name}", name))
                assert found is not None, f"{path}.{name}"
                nested(inner.type, found[1], f"{path}.{name}", names)


OUTPUT_ONLY = {
    "optimizationStatus",
    "vpcId",
    "blockedEncryptionTypes",
}  # the SDK lists as inputs what AWS only answers with


@every_entry
def test_operations_and_members_exist(entry: Resource) -> None:
    """Botocore has every operation, and every member that the entry gives it by itself."""
    for operation, params in calls(entry):
        shape = mapping.operation_model(entry.service, operation).input_shape
        assert set(params) <= set(shape.members if shape else ()), operation


@every_entry
def test_what_is_read_is_in_the_answers(entry: Resource) -> None:
    """The paths of every read select members that the operation answers with, for properties that the type has."""
    outputs = schema.resource_type(entry.token).outputs
    for reading in entry.reads:
        place = mapping.shape_at(mapping.operation_model(entry.service, reading.operation).output_shape, reading.at)
        assert set(reading.outputs) | set(reading.only or ()) <= set(outputs)
        for expression in reading.outputs.values():
            mapping.shape_at(place, expression)


@every_entry
def test_properties_that_an_entry_names_exist(entry: Resource) -> None:
    """A misspelt property in a list of the table would be a rule that never applies."""
    type_ = schema.resource_type(entry.token)
    replaces = {name for news in ({}, {"lifecycleScope": "CRUD"}) for name in entry.replacing(news)}
    inputs = {
        *replaces,
        *entry.sets,
        *entry.documents,
        *entry.arns,
        *entry.defaults,
        *entry.allowed,
        *entry.ranges,
        *entry.local,
    }
    missing = {name for name in inputs | set(entry.unsupported) if field_at(type_.inputs, name) is None}
    legacy = set(entry.unsupported) if entry.aliases else set()  # an alias's older type may have more
    read_only = {name for name in missing if field_at(type_.outputs, name) is not None}
    assert missing - legacy - read_only == set()
    outputs = {*entry.outputs, *entry.recomputed}
    assert {name for name in outputs if name not in type_.outputs} == set()
    assert not entry.name or entry.name in type_.inputs


@every_entry
def test_defaults_have_the_type_of_their_property(entry: Resource) -> None:
    """A default passes the check that the program's own value would have to pass."""
    fields = schema.resource_type(entry.token).inputs
    for path, value in entry.defaults.items():
        known = field_at(fields, path)
        assert known is not None
        python = {"string": str, "boolean": bool, "integer": int, "number": float}
        assert isinstance(known.type, schema.Scalar)
        assert isinstance(value, python[known.type.kind])


def test_a_left_out_property_is_found() -> None:
    """The walk above does fail: an entry that carries too little is caught."""
    entry = Resource(
        "aws:cloudwatch/logGroup:LogGroup",
        "logs",
        create=Call("create_log_group", {}, ("name",), names={"name": "logGroupName"}),
        id="{name}",
        reads=(),
        delete=None,
    )
    with pytest.raises(AssertionError):
        test_every_input_goes_somewhere(entry)


@pytest.mark.parametrize(
    "expression", ["Vpcs[0].Nothing", "Nothing[0]", "Vpcs[?Nothing=='a'] | [0]", "Vpcs[].Tags[].Nothing"]
)
def test_a_path_that_selects_nothing_is_found(expression: str) -> None:
    """A misspelt member in a JMESPath is an error, wherever it stands."""
    shape = mapping.operation_model("ec2", "describe_vpcs").output_shape
    with pytest.raises(mapping.UnmappedError, match="Nothing"):
        mapping.shape_at(shape, expression)


def test_an_entry_belongs_in_the_file_that_errors_name() -> None:
    """The error of a type that is not emulated sends one to where its neighbours stand."""
    for entry in ENTRIES:
        module = table.file_of(entry.token).removesuffix(".py").replace("/", ".")
        assert entry.token in {one.token for one in __import__(module, fromlist=["ENTRIES"]).ENTRIES}
