"""Runs a pack as the engine does: through the SDK's own analyzer, from protobuf requests.

Rules that are tested with plain dicts prove nothing: the real properties are proxies, unknowns are sentinels that raise
when they are read, and secrets are wrapped. So a test says what a resource has, with `Unknown` and `Secret` in it, and
this puts it on the wire as the engine would, and lets the SDK take it off again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.guardrails.pack import policies
from policies.guardrails.rules import RULES
from policies.guardrails.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from policies.guardrails.rule import Example, Rule, StackRule


@dataclass(frozen=True)
class Secret:
    """A secret property, as a test writes it."""

    value: Any


@dataclass(frozen=True)
class Violation:
    """What the engine is told: the policy's name, its level, the message, the resource."""

    policy: str
    level: str
    message: str
    urn: str


def urn(type_: str, name: str = "it", stack: str = "dev") -> str:
    """The URN of a resource."""
    return f"urn:pulumi:{stack}::product-api::{type_}::{name}"


def wire(value: Any) -> Any:
    """A property as the engine sends it."""
    if isinstance(value, Unknown):
        return UNKNOWN_STRING_VALUE
    if isinstance(value, Secret):
        return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": wire(value.value)}
    if isinstance(value, dict):
        return {key: wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [wire(item) for item in value]
    return value


def struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties as a protobuf Struct."""
    result = struct_pb2.Struct()
    result.update(wire(dict(properties)))
    return result


class Analyzer:
    """A pack behind the SDK's analyzer service, configured as the engine would."""

    def __init__(
        self, rules: Iterable[Rule | StackRule] = RULES, config: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        servicer = _PolicyAnalyzerServicer(
            "product-api-guardrails", "0.1.0", policies(rules), EnforcementLevel.ADVISORY
        )
        self._server = cast("Any", servicer)  # its methods have no types
        self.info = self._server.GetAnalyzerInfo(None, None)
        request = analyzer_pb2.ConfigureAnalyzerRequest()
        for policy in self.info.policies:
            # The engine fills in defaults from the schemas, then what the user says.
            defaults = {
                key: schema["default"]
                for key, schema in _plain(policy.configSchema.properties).items()
                if "default" in schema
            }
            given = dict((config or {}).get(policy.name, {}))
            levels = {"advisory": 0, "mandatory": 1, "disabled": 2}
            entry = request.policyConfig[policy.name]
            entry.enforcementLevel = (
                levels[given.pop("enforcementLevel")] if "enforcementLevel" in given else policy.enforcementLevel
            )
            entry.properties.update({**defaults, **given})
        self._server.Configure(request, None)

    def resource(
        self, type_: str, properties: Mapping[str, Any], *, stack: str = "dev", name: str = "it"
    ) -> list[Violation]:
        """What the pack says about one resource."""
        request = analyzer_pb2.AnalyzeRequest(
            type=type_, urn=urn(type_, name, stack), name=name, properties=struct(properties)
        )
        return _violations(self._server.Analyze(request, None))

    def stack(self, resources: Iterable[analyzer_pb2.AnalyzerResource]) -> list[Violation]:
        """What the pack says about a whole stack."""
        return _violations(self._server.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=list(resources)), None))


def member(
    type_: str,
    properties: Mapping[str, Any],
    *,
    name: str = "it",
    stack: str = "dev",
    dependencies: Mapping[str, list[str]] | None = None,
) -> analyzer_pb2.AnalyzerResource:
    """A resource of a stack, with the URNs that each of its properties comes from."""
    result = analyzer_pb2.AnalyzerResource(
        type=type_, urn=urn(type_, name, stack), name=name, properties=struct(properties)
    )
    for key, urns in (dependencies or {}).items():
        result.propertyDependencies[key].urns.extend(urns)
    return result


def run(rule: Rule | StackRule, example: Example, *, stack: str = "prod") -> list[Violation]:
    """What one rule says about an example."""
    from policies.guardrails.rule import Rule as ResourceRule

    analyzer = Analyzer([rule])
    if isinstance(rule, ResourceRule):
        return analyzer.resource(example.type, example.properties, stack=stack)
    members = [member(example.type, example.properties, stack=stack)]
    members += [
        member(sibling.type, sibling.properties, stack=stack, name=f"sibling{index}")
        for index, sibling in enumerate(example.siblings)
    ]
    return analyzer.stack(members)


def _plain(message: struct_pb2.Struct) -> dict[str, Any]:
    from google.protobuf import json_format

    result: dict[str, Any] = json_format.MessageToDict(message)
    return result


def _violations(response: analyzer_pb2.AnalyzeResponse) -> list[Violation]:
    names = {analyzer_pb2.ADVISORY: "advisory", analyzer_pb2.MANDATORY: "mandatory"}
    return [
        Violation(d.policyName, names.get(d.enforcementLevel, str(d.enforcementLevel)), d.message, d.urn)
        for d in response.diagnostics
    ]
