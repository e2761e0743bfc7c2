"""Services whose properties are a map of texts, put one by one: SNS and SQS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.provider.resource import Context


def text(value: Any) -> str:
    """A property's value as an attribute; empty where there is none, which takes the attribute away."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def given(context: Context, names: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a creation: of every property that has a value."""
    return {
        attribute: text(context.inputs[name])
        for name, attribute in names.items()
        if context.inputs.get(name) not in (None, "")
    }


def changed(context: Context, names: Mapping[str, str]) -> dict[str, str]:
    """The attributes of an update: of every property that has changed; what AWS fills in by itself is left to it."""
    return {
        attribute: text(context.inputs.get(name))
        for name, attribute in names.items()
        if context.changed(name) and (name in context.inputs or not context.type.computed(name))
    }


def put_each(operation: str, owner: str, names: Mapping[str, str]) -> Callable[[Context], None]:
    """A step that puts what has changed, an attribute a call, as SNS takes them.

    Args:
        operation: boto3's name of it.
        owner: the member for the resource's id.
        names: property → attribute.
    """

    def run(context: Context) -> None:
        for attribute, value in changed(context, names).items():
            context.call(operation, **{owner: context.id}, AttributeName=attribute, AttributeValue=value)

    return run
