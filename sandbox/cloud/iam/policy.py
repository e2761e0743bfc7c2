"""Policies and how they decide together; pure.

After "Policy evaluation logic" of AWS's IAM user guide: an explicit deny anywhere wins; a permissions boundary and
session policies only take away; a resource's own policy may give by itself within an account, and must agree across
accounts.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.iam import conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sandbox.cloud.iam.conditions import Context

_VARIABLES_SINCE: Final = "2012-10-17"
_ACCOUNT: Final = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?")

IDENTITY: Final = "identity-based policy"
BOUNDARY: Final = "permissions boundary"
SESSION: Final = "session policy"
RESOURCE: Final = "resource-based policy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that a request must be allowed.

    Attributes:
        action: e.g. "ec2:CreateSubnet".
        resource: its ARN, or "*" where the action knows none.
        context: condition keys in lower case, with one value or several.
    """

    action: str
    resource: str
    context: Context


@dataclasses.dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes:
        arn: as GetCallerIdentity gives it.
        account: 12 digits; empty for a service.
        role: the ARN of the role whose session this is, or None.
        service: the name of a service that asks for itself, or None.
        federated: the identity provider that vouches for it, or None.
        policies: of the identity.
        boundary: its permissions boundary, or None.
        session: the policies that the session was narrowed to, or None.
    """

    arn: str
    account: str = ""
    role: str | None = None
    service: str | None = None
    federated: str | None = None
    policies: Sequence[Document] = ()
    boundary: Sequence[Document] | None = None
    session: Sequence[Document] | None = None

    @property
    def root(self) -> bool:
        """Whether this is the account itself, which no policy of an identity limits."""
        return self.arn.endswith(":root")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """What policies decided.

    Attributes:
        allowed: whether the request may be made.
        explicit: whether a statement denied it, rather than none allowing it.
        by: the kind of policy that denied, one of this module's constants.
    """

    allowed: bool
    explicit: bool = False
    by: str = ""

    def message(self, principal: Principal, check: Check, *, action: str = "", resource: str = "") -> str:
        """Say a denial in AWS's words.

        Args:
            principal: who asked.
            check: for what.
            action: as the service spells it, where that differs.
            resource: as the service spells it, where that differs.
        """
        named = action or check.action
        reason = (
            f"with an explicit deny in {'an' if self.by[0] in 'aeiou' else 'a'} {self.by}"
            if self.explicit
            else f"because no {self.by} allows the {named} action"
        )
        return (
            f"User: {principal.arn} is not authorized to perform: {named} on resource: {resource or check.resource} "
            f"{reason}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement; of an element and its negation one is None."""

    allow: bool
    actions: Sequence[str] | None
    not_actions: Sequence[str] | None
    resources: Sequence[str] | None
    not_resources: Sequence[str] | None
    principal: Any
    not_principal: Any
    conditions: Mapping[str, Mapping[str, Any]]
    variables: bool

    def applies(self, check: Check) -> bool:
        """Tell whether action, resource and conditions fit; a trust policy names no resource."""
        context = check.context if self.variables else None
        if self.actions is not None:
            if not any(conditions.matches(one, check.action, fold=True) for one in self.actions):
                return False
        elif any(conditions.matches(one, check.action, fold=True) for one in self.not_actions or ()):
            return False
        if self.resources is not None:
            if not any(conditions.matches(one, check.resource, context) for one in self.resources):
                return False
        elif self.not_resources is not None and any(
            conditions.matches(one, check.resource, context) for one in self.not_resources
        ):
            return False
        return conditions.met(self.conditions, check.context, variables=self.variables)

    def names(self, principal: Principal) -> str:
        """Tell how a resource's statement names a principal.

        Returns:
            "session" (its own ARN), "role", "all" (`*`), "account", or an empty text.
        """
        if self.not_principal is not None:
            return "" if _named(self.not_principal, principal) else "all"
        return _named(self.principal, principal)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """A policy document."""

    statements: Sequence[Statement]


def parse(document: Any) -> Document:
    """Read a policy document, as JSON text or as what that is; one that is none has no statements."""
    try:
        read = json.loads(document) if isinstance(document, (str, bytes)) else document
    except ValueError:
        read = None
    if not isinstance(read, dict):
        return Document(statements=())
    variables = str(read.get("Version", "")) >= _VARIABLES_SINCE
    statements = read.get("Statement") or ()
    return Document(
        statements=tuple(
            Statement(
                allow=one["Effect"] == "Allow",
                actions=_listed(one.get("Action")),
                not_actions=_listed(one.get("NotAction")),
                resources=_listed(one.get("Resource")),
                not_resources=_listed(one.get("NotResource")),
                principal=one.get("Principal"),
                not_principal=one.get("NotPrincipal"),
                conditions=one.get("Condition") or {},
                variables=variables,
            )
            for one in ([statements] if isinstance(statements, dict) else statements)
            if isinstance(one, dict) and one.get("Effect") in ("Allow", "Deny")
        )
    )


def decide(
    principal: Principal,
    check: Check,
    *,
    resource_policy: Document | None = None,
    owner: str | None = None,
    required: bool = False,
) -> Decision:
    """Decide one check.

    Args:
        principal: who asks.
        check: for what.
        resource_policy: the resource's own policy, if it has one.
        owner: the resource's account; None for the principal's own.
        required: whether the resource's policy must agree even within the account, as a key's and a role's must.
    """
    limits = [(BOUNDARY, principal.boundary), (SESSION, principal.session)]
    for kind, documents in ((IDENTITY, principal.policies), *limits):
        if documents is not None and _any(documents, check, allow=False):
            return Decision(allowed=False, explicit=True, by=kind)
    if resource_policy is not None and _names(resource_policy, principal, check, allow=False):
        return Decision(allowed=False, explicit=True, by=RESOURCE)
    given = set() if resource_policy is None else _names(resource_policy, principal, check, allow=True)
    if principal.service or principal.federated:
        return Decision(allowed=bool(given), by=RESOURCE)
    same = owner in (None, "", principal.account)
    if principal.root:
        return Decision(allowed=(same and not required) or bool(given), by=RESOURCE)
    if same and "session" in given:
        return Decision(allowed=True)  # what names the session itself is beyond every limit but a deny
    direct = same and bool(given & {"role", "all"})
    if not direct and not _any(principal.policies, check, allow=True):
        return Decision(allowed=False, by=IDENTITY)
    for kind, documents in limits:
        if documents is not None and not _any(documents, check, allow=True):
            return Decision(allowed=False, by=kind)
    if not given and (required or not same):
        return Decision(allowed=False, by=RESOURCE)
    return Decision(allowed=True)


def _any(documents: Iterable[Document], check: Check, *, allow: bool) -> bool:
    return any(
        statement.allow is allow and statement.applies(check)
        for document in documents
        for statement in document.statements
    )


def _names(document: Document, principal: Principal, check: Check, *, allow: bool) -> set[str]:
    return {
        name
        for statement in document.statements
        if statement.allow is allow and (name := statement.names(principal)) and statement.applies(check)
    }


def _named(element: Any, principal: Principal) -> str:
    """Tell how a Principal element names somebody; the closest way of several."""
    if element == "*":
        return "all"
    if not isinstance(element, dict):
        return ""
    if principal.service:
        services = [one.lower() for one in _listed(element.get("Service")) or ()]
        return "session" if principal.service.lower() in services else _star(element)
    if principal.federated:
        return "session" if principal.federated in (_listed(element.get("Federated")) or ()) else _star(element)
    found = {_aws(one, principal) for one in _listed(element.get("AWS")) or ()}
    return next((way for way in ("session", "role", "all", "account") if way in found), "")


def _star(element: Mapping[str, Any]) -> str:
    return "all" if "*" in (_listed(element.get("AWS")) or ()) else ""


def _aws(named: str, principal: Principal) -> str:
    if named == "*":
        return "all"
    if named == principal.arn and not principal.root:
        return "session"
    if principal.role and named == principal.role:
        return "role"
    account = _ACCOUNT.fullmatch(named)
    return "account" if account and account[1] == principal.account else ""


def _listed(value: Any) -> list[str] | None:
    if value is None:
        return None
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]
