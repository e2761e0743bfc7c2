"""From the policy SDK's proxies to plain values.

The SDK hands properties over as proxies: `isinstance(p, dict)` is false, `json.dumps(p)` raises, and the first unknown
that is read ends the whole rule at advisory level. One conversion turns them into dicts and lists with `Unknown` kept
in place. Secrets arrive here already unwrapped (the SDK drops the mark before a rule can see it), so no value of a
property may be quoted in a message unless it is of a kind that is never secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import Secret
from pulumi_policy import proxy as sdk

from .unknown import Unknown

_UNKNOWNS = frozenset(value for name, value in vars(sdk).items() if name.startswith("UNKNOWN_"))


def plain(value: Any, path: str = "") -> Any:
    """Copies a value out of the SDK's proxies.

    Args:
        value: a property, or all of them, as the SDK passes them.
        path: where the value stands, in Pulumi's notation of property paths.

    Returns:
        dicts, lists and scalars; `Unknown` where the value is not known; assets and archives as they are.
    """
    if isinstance(value, str):
        return Unknown(path) if value in _UNKNOWNS else value
    if isinstance(value, Secret):
        return plain(value.value, path)
    if isinstance(value, Mapping):
        inner = value if isinstance(value, dict) else _target(value)
        return {key: plain(item, f"{path}.{key}" if path else str(key)) for key, item in inner.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        inner = value if isinstance(value, list | tuple) else _target(value)
        return [plain(item, f"{path}[{index}]") for index, item in enumerate(inner)]
    return value


def _target(proxy: Any) -> Any:
    """What a proxy wraps, unread: the way the SDK's own serialisation gets behind it."""
    return proxy["__target"]
