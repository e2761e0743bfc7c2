"""The types of pulumi-aws, read from the SDK itself: names on the wire, nesting, what is required, what is computed.

The SDK registers every token with its package in one JSON text; from it a type's own module is found and imported
alone (its subpackage's
`__init__` stays lazy), and the signatures and annotations of its generated classes say the rest. Nothing here knows a
single type.
"""

from __future__ import annotations

import difflib
import enum
import functools
import importlib
import importlib.util
import inspect
import json
import re
import types
import typing
import warnings
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from sandbox.provider import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from sandbox.provider.wire import Path

    Report = Callable[[Path, str], None]

PACKAGE = "pulumi_aws"


class UnknownTypeError(LookupError):
    """No such type in the SDK; the message names the token and near ones."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A primitive; `kind` is string, integer, number or boolean."""

    kind: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    item: Type


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map with string keys."""

    item: Type


@dataclass(frozen=True, slots=True)
class Content:
    """An asset, an archive, or either."""

    asset: bool
    archive: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """Any of several types."""

    options: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Anything:
    """A value that the SDK does not type."""


@dataclass(frozen=True, slots=True)
class Object:
    """A nested class of the SDK; its fields are looked up when first needed, for some contain themselves."""

    cls: type

    @property
    def fields(self) -> dict[str, Field]:
        """The fields by their names on the wire."""
        return _fields(self.cls)


Type = Scalar | ListOf | MapOf | Content | OneOf | Anything | Object


@dataclass(frozen=True, slots=True)
class Field:
    """A property.

    Attributes:
        name: on the wire, camelCase.
        type: its type.
        required: of an input, that it must be given; of an output, that it always has a value (so that an input of the
        same name which
            is not given is *computed*).
    """

    name: str
    type: Type
    required: bool


@dataclass(frozen=True)
class ResourceType:
    """A resource type: its inputs and outputs, and which outputs are always secret."""

    token: str
    inputs: dict[str, Field]
    outputs: dict[str, Field]
    secrets: frozenset[str]

    def computed(self, name: str) -> bool:
        """Whether the property has a value even when the program gives none."""
        output = self.outputs.get(name)
        return output is not None and output.required


@dataclass(slots=True)
class Checked:
    """Normalised values, and what is wrong with them: (path, reason)."""

    values: dict[str, Any]
    failures: list[tuple[Path, str]] = field(default_factory=list)


@functools.cache
def _registry() -> dict[str, tuple[str, str]]:
    """Token → (Python package, class), from the SDK's own registration."""
    source = (_root() / "__init__.py").read_text(encoding="utf-8")
    entries = json.loads(source.split('resource_modules="""', 1)[1].split('"""', 1)[0])
    return {token: (entry["fqn"], cls) for entry in entries for token, cls in entry["classes"].items()}


@functools.cache
def _root() -> FilePath:
    specification = importlib.util.find_spec(PACKAGE)
    if specification is None or not specification.submodule_search_locations:
        raise UnknownTypeError("the package pulumi_aws is not installed; run `make setup`")
    return FilePath(specification.submodule_search_locations[0])


@functools.cache
def resource_type(token: str) -> ResourceType:
    """The resource type of a token such as `aws:ec2/vpc:Vpc`.

    Raises:
        UnknownTypeError: the SDK has no such token.
    """
    if token not in _registry():
        near = difflib.get_close_matches(token, _registry(), 1)
        raise UnknownTypeError(f"pulumi-aws has no type {token}" + (f"; did you mean {near[0]}?" if near else ""))
    package, name = _registry()[token]
    module = _module(package, token, name)
    resource = getattr(module, name)
    arguments = next(  # an InitArgs where a nested class already has the name
        getattr(module, exported)
        for exported in (f"{name}InitArgs", f"{name}Args")
        if exported in module.__all__ and getattr(module, exported).__module__ == module.__name__
    )
    return of_class(token, resource, arguments)


def of_class(token: str, resource: type, arguments: type) -> ResourceType:
    """The type that a class of the SDK and its arguments describe."""
    from pulumi import _types

    optional = _optional_outputs(resource)
    outputs = {
        key: Field(key, _convert(kind), key not in optional) for key, kind in _types.resource_types(resource).items()
    }
    source = inspect.getsource(inspect.getmodule(resource) or resource)
    declared = re.findall(r"additional_secret_outputs=\[(.*?)\]", source)
    secrets = frozenset(json.loads(f"[{declared[0]}]")) if declared else frozenset[str]()
    return ResourceType(token, _fields(arguments), outputs, secrets)


def _module(package: str, token: str, name: str) -> ModuleType:
    """The module that defines the class, and no other: the token says its file's name, up to spelling."""
    stem = token.split(":")[1].rpartition("/")[2]
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()
    folder = _root().joinpath(*package.split(".")[1:])
    if not (folder / f"{snake}.py").exists():
        plain = stem.lower()
        found = [file.stem for file in folder.glob("*.py") if file.stem.replace("_", "") == plain]
        snake = found[0] if found else next(_defining(folder, name))
    with warnings.catch_warnings():  # a deprecated class warns the program that uses it; it is no news here
        warnings.simplefilter("ignore", DeprecationWarning)
        # The SDK's packages are lazy. The package first, and by a look into it: were it loaded by the import of its
        # module, it would be without that module's names ever after.
        getattr(importlib.import_module(package), "__all__", None)
        return importlib.import_module(f"{package}.{snake}")


def _defining(folder: FilePath, name: str) -> Iterator[str]:
    for file in sorted(folder.glob("*.py")):
        if f"\nclass {name}(pulumi." in file.read_text(encoding="utf-8"):
            yield file.stem
    raise UnknownTypeError(f"{folder.name} has no module that defines {name}")


def _optional_outputs(cls: type) -> set[str]:
    """The names of properties whose annotation says that they may be absent."""
    from pulumi import _types

    found = set()
    for _, name, getter in _types._py_properties(cls):  # noqa: SLF001 (no public way to an output's optionality)
        returned = getter.fget.__annotations__["return"] if getter.fget else None
        inner = typing.get_args(returned)[0] if _is_output(returned) else returned
        if _is_union(inner) and type(None) in typing.get_args(inner):
            found.add(name)
    return found


def _is_output(annotation: Any) -> bool:
    return getattr(typing.get_origin(annotation), "__name__", "") == "Output"


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


@functools.cache
def _fields(cls: type) -> dict[str, Field]:
    from pulumi import _types

    if _types.is_input_type(cls):
        required = {
            key
            for key, parameter in inspect.signature(cls).parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        names = _types.input_type_py_to_pulumi_names(cls)
        kinds = _types.input_type_types(cls)
        return {name: Field(name, _convert(kinds[name]), python in required) for python, name in names.items()}
    optional = _optional_outputs(cls)
    return {
        name: Field(name, _convert(kind), name not in optional) for name, kind in _types.output_type_types(cls).items()
    }


def _convert(annotation: Any) -> Type:
    """An annotation of the SDK as one of our types; `Input[…]`, `Optional[…]` and enums fall away."""
    if _is_union(annotation):
        kept = [
            option
            for option in typing.get_args(annotation)
            if option is not type(None) and not _is_output(option) and typing.get_origin(option) is not Awaitable
        ]
        converted = tuple(dict.fromkeys(_convert(option) for option in kept))
        if any(isinstance(option, Content) for option in converted):
            contents = [option for option in converted if isinstance(option, Content)]
            return Content(any(c.asset for c in contents), any(c.archive for c in contents))
        return converted[0] if len(converted) == 1 else OneOf(converted)
    origin = typing.get_origin(annotation)
    if origin in (list, Sequence):
        return ListOf(_convert(typing.get_args(annotation)[0]))
    if origin in (dict, Mapping):
        return MapOf(_convert(typing.get_args(annotation)[1]))
    if not isinstance(annotation, type):
        return Anything()
    return _convert_class(annotation)


def _convert_class(cls: type) -> Type:
    from pulumi import _types
    from pulumi.asset import Archive, Asset

    for python, kind in ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number")):
        if cls is python or (issubclass(cls, python) and issubclass(cls, enum.Enum)):
            return Scalar(kind)
    if issubclass(cls, Asset):
        return Content(asset=True, archive=False)
    if issubclass(cls, Archive):
        return Content(asset=False, archive=True)
    if _types.is_input_type(cls) or _types.is_output_type(cls):
        return Object(cls)
    return Anything()


def check(type_: ResourceType, values: Mapping[str, Any], secrets: set[Path]) -> Checked:
    """Inputs against the type: coerced as the official provider's bridge does, and every mistake named.

    Args:
        type_: what is created.
        values: the program's inputs; `tagsAll` may stand in them too, it is the provider's own.
        secrets: the paths whose values a message must not show.

    Returns:
        The normalised values and the failures: unknown, missing and wrongly typed properties.
    """
    checked = Checked({})

    def report(path: Path, reason: str) -> None:
        checked.failures.append((path, reason))

    def hidden(path: Path) -> bool:
        return any(path[: len(secret)] == secret for secret in secrets)

    checked.values = _object(type_.inputs, values, (), report, hidden)
    return checked


def _object(
    fields: Mapping[str, Field], values: Mapping[str, Any], path: Path, report: Report, hidden: Callable[[Path], bool]
) -> dict[str, Any]:
    result = {}
    for name, value in values.items():
        if name.startswith("__") or value is None:
            continue
        known = fields.get(name)
        if known is None:
            near = difflib.get_close_matches(name, fields, 1)
            report((*path, name), "unknown property" + (f"; did you mean {near[0]!r}?" if near else _choices(fields)))
        else:
            result[name] = _value(known.type, value, (*path, name), report, hidden)
    for name, known in fields.items():
        if known.required and name not in result:
            report((*path, name), "missing required property")
    return result


def _choices(fields: Mapping[str, Field]) -> str:
    return f"; there are {', '.join(sorted(fields))}" if len(fields) < 15 else ""


def _value(kind: Type, value: Any, path: Path, report: Report, hidden: Callable[[Path], bool]) -> Any:
    if value is wire.UNKNOWN:
        return value

    def wrong(expected: str) -> Any:
        shown = "a secret value" if hidden(path) else f"{_describe(value)}"
        report(path, f"expected {expected}, got {shown}")
        return value

    match kind:
        case Scalar():
            converted = _scalar(kind.kind, value)
            return wrong(_ARTICLE[kind.kind]) if converted is None else converted
        case ListOf():
            if not isinstance(value, list):
                return wrong("a list")
            return [_value(kind.item, item, (*path, index), report, hidden) for index, item in enumerate(value)]
        case MapOf():
            if not isinstance(value, dict):
                return wrong("a map")
            items = {key: item for key, item in value.items() if item is not None}
            return {key: _value(kind.item, item, (*path, key), report, hidden) for key, item in items.items()}
        case Object():
            if not isinstance(value, dict):
                return wrong("an object")
            return _object(kind.fields, value, path, report, hidden)
        case Content():
            accepted = (wire.Asset,) * kind.asset + (wire.Archive,) * kind.archive
            return value if isinstance(value, accepted) else wrong(_content(kind))
        case OneOf():
            return _one_of(kind, value, path, report, hidden)
    return value


_ARTICLE = {"string": "a string", "integer": "a whole number", "number": "a number", "boolean": "a boolean"}


def _content(kind: Content) -> str:
    return " or ".join(["an asset"] * kind.asset + ["an archive"] * kind.archive)


def _describe(value: Any) -> str:
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {value!r}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with {', '.join(sorted(value)) or 'nothing in it'}"
        case wire.Asset():
            return "an asset"
        case wire.Archive():
            return "an archive"
    return type(value).__name__


def _scalar(kind: str, value: Any) -> Any:
    """The value as that kind, or None: what the bridge converts ("true", "5", 5 for a string), it converts."""
    if kind == "string":
        match value:
            case str():
                return value
            case bool():
                return str(value).lower()
            case int() | float():
                return f"{value:g}" if isinstance(value, float) else str(value)
        return None
    if kind == "boolean":
        if isinstance(value, bool):
            return value
        return (
            {"true": True, "1": True, "false": False, "0": False}.get(value.lower()) if isinstance(value, str) else None
        )
    if isinstance(value, str):
        try:
            value = float(value) if kind == "number" or not re.fullmatch(r"[+-]?\d+", value) else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == float("inf"):  # noqa: PLR0124 (NaN)
        return None
    if kind == "integer":
        return int(value) if float(value).is_integer() else None
    return value


def _one_of(kind: OneOf, value: Any, path: Path, report: Report, hidden: Callable[[Path], bool]) -> Any:
    scalars = [option for option in kind.options if isinstance(option, Scalar)]
    structured = [option for option in kind.options if not isinstance(option, Scalar)]
    if isinstance(value, dict) and Scalar("string") in scalars:
        # A document that may be a JSON text or its parts: AWS gets the text, and the bridge makes it one at Check.
        if wire.has_unknown(value):
            return wire.UNKNOWN
        return json.dumps(value, separators=(",", ":"), sort_keys=True)
    for option in structured if isinstance(value, dict | list) else scalars:
        trial: list[tuple[Path, str]] = []
        result = _value(option, value, path, lambda where, why: trial.append((where, why)), hidden)  # noqa: B023 (used at once)
        if not trial:
            return result
    shown = "a secret value" if hidden(path) else _describe(value)
    report(path, f"expected {' or '.join(_name(option) for option in kind.options)}, got {shown}")
    return value


def _name(kind: Type) -> str:
    match kind:
        case Scalar():
            return _ARTICLE[kind.kind]
        case ListOf():
            return "a list"
        case Content():
            return _content(kind)
    return "an object"
