"""The rules as policies of the Pulumi SDK.

A violation has no level of its own and a policy has one level for all stacks, so each rule is registered twice, as
`ID` (mandatory) and `ID-advisory`, and a finding goes out through the one whose level it has on the resource's stack.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from .rule import Finding, Level, Resource, Rule, Settings, StackRule, judge
from .rules import RULES
from .values import plain

SETTINGS = "guardrails"
"""The policy that carries the pack's own configuration, for the engine configures policies, not packs."""

_ENFORCEMENT = {Level.MANDATORY: EnforcementLevel.MANDATORY, Level.ADVISORY: EnforcementLevel.ADVISORY}
_SCHEMA = PolicyConfigSchema(
    properties={
        "protectedStacks": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": list(Settings().protected),
            "description": "Names of the stacks where undecidable findings and stricter rules block; * and ? allowed.",
        },
        "undecidable": {
            "type": "string",
            "enum": ["protected", "always", "never"],
            "default": Settings().undecidable,
            "description": "Where a finding blocks whose rule read a value that is not known yet.",
        },
    }
)


def policy_name(rule: str, level: Level) -> str:
    """The name under which a rule's findings of a level are reported."""
    return rule if level is Level.MANDATORY else f"{rule}-{level.value}"


def policies(rules: Iterable[Rule | StackRule] = RULES) -> list[Policy]:
    """Every rule as policies of the SDK, with the pack's settings first.

    Raises:
        ValueError: if two rules have the same id.
    """
    rules = tuple(rules)
    if twice := {rule.id for rule in rules if sum(other.id == rule.id for other in rules) > 1}:
        raise ValueError(f"rule ids must be unique, got twice: {', '.join(sorted(twice))}")
    engine = _Engine()
    return [
        _settings_policy(engine),
        *(_policy(engine, rule, level) for rule in rules for level in (Level.MANDATORY, Level.ADVISORY)),
    ]


class _Pass(threading.local):
    """What one call of the engine (one resource, or one whole stack) has worked out so far.

    The SDK calls every policy in turn, each with arguments of its own, in one thread per call. Both registrations of a
    rule share the findings, and all rules the converted properties. A call ends where a policy comes round again, or
    where the resource is another one.
    """

    urn: str | None = None
    type: str | None = None
    seen: frozenset[str] = frozenset()
    resource: Resource | None = None
    stack: Mapping[str, Resource] | None = None
    findings: Mapping[str, list[Finding]] = {}

    def enter(self, policy: str, urn: str) -> None:
        if urn != self.urn or policy in self.seen:
            self.urn, self.type, self.seen = urn, None, frozenset()
            self.resource, self.stack, self.findings = None, None, {}
        self.seen |= {policy}


class _Engine:
    """Runs rules for the SDK's callbacks."""

    def __init__(self) -> None:
        self.settings = Settings()
        self._pass = _Pass()

    def open(self, args: ResourceValidationArgs) -> None:
        """Begins a call: the settings come first in the pack, so that all others know what they are asked about."""
        self._pass.enter(SETTINGS, args.urn)
        self._pass.type = args.resource_type
        config = args.get_config()
        self.settings = Settings(
            protected=tuple(config.get("protectedStacks", Settings().protected)),
            undecidable=config.get("undecidable", Settings().undecidable),
        )

    def concerns(self, rule: Rule, level: Level) -> bool:
        """Whether a policy has anything to say in the call that is under way."""
        now = self._pass
        if now.type is None:
            return True  # the settings are turned off, so that nobody has begun the call
        if level is Level.MANDATORY or rule.id not in now.findings:
            return now.type in rule.types
        return any(finding.level is level for finding in now.findings[rule.id])

    def on_resource(self, rule: Rule, policy: str, args: ResourceValidationArgs) -> list[Finding]:
        """The findings of a rule on a resource."""
        now = self._pass
        now.enter(policy, args.urn)
        if args.resource_type not in rule.types:
            return []
        if rule.id not in now.findings:
            if now.resource is None:
                properties = plain(args.props)
                now.resource = Resource(urn=args.urn, type=args.resource_type, name=args.name, properties=properties)
            now.findings = {**now.findings, rule.id: judge(rule, now.resource, self.settings)}
        return now.findings[rule.id]

    def on_stack(self, rule: StackRule, policy: str, args: StackValidationArgs) -> list[Finding]:
        """The findings of a stack rule on every resource that it looks at."""
        now = self._pass
        now.enter(policy, "")
        if rule.id not in now.findings:
            if now.stack is None:
                now.stack = {
                    each.urn: Resource(
                        urn=each.urn,
                        type=each.resource_type,
                        name=each.name,
                        properties=plain(each.props),
                        dependencies={
                            name: tuple(other.urn for other in others)
                            for name, others in each.property_dependencies.items()
                        },
                    )
                    for each in args.resources
                }
            stack = now.stack
            found = [finding for each in stack.values() for finding in judge(rule, each, self.settings, stack)]
            now.findings = {**now.findings, rule.id: found}
        return now.findings[rule.id]


Report = Callable[..., None]


def _settings_policy(engine: _Engine) -> Policy:
    def validate(args: ResourceValidationArgs, _: Report) -> None:
        engine.open(args)

    return ResourceValidationPolicy(
        name=SETTINGS,
        description="Settings of the whole pack: protected stacks, and where undecidable findings block.",
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=_SCHEMA,
    )


class _ResourcePolicy(ResourceValidationPolicy):
    """A rule over one resource, at one level.

    The SDK reads the whole request again for every policy that it runs (about 0.2 ms a resource), but asks each before
    whether it validates. Saying no where a policy has nothing to say makes the cost of a pack that of the rules that
    concern the resource, however many there are.
    """

    def __init__(self, engine: _Engine, rule: Rule, level: Level) -> None:
        super().__init__(
            name=policy_name(rule.id, level),
            description=rule.what,
            validate=self._judge,
            enforcement_level=_ENFORCEMENT[level],
            remediation_steps=rule.remedy,
        )
        self._engine, self._rule, self._level = engine, rule, level

    def has_validation(self) -> bool:
        """Whether the SDK shall run this policy in this call; if not, it reports it as not applicable."""
        return self._engine.concerns(self._rule, self._level)

    def _judge(self, args: ResourceValidationArgs, report: Report) -> None:
        for finding in self._engine.on_resource(self._rule, self.name, args):
            if finding.level is self._level:
                report(finding.text)


def _policy(engine: _Engine, rule: Rule | StackRule, level: Level) -> Policy:
    name = policy_name(rule.id, level)

    if isinstance(rule, Rule):
        return _ResourcePolicy(engine, rule, level)
    stack_rule = rule

    def stack(args: StackValidationArgs, report: Report) -> None:
        for finding in engine.on_stack(stack_rule, name, args):
            if finding.level is level:
                report(finding.text, finding.urn)

    return StackValidationPolicy(
        name=name,
        description=rule.what,
        validate=stack,
        enforcement_level=_ENFORCEMENT[level],
        remediation_steps=rule.remedy,
    )
