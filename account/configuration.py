"""The settings of an account: the only reader of `pulumi.Config` in this program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from naming import Names

if TYPE_CHECKING:
    import pulumi

# The first word after the project in names that are the account's own: a stack of such a name could change them.
RESERVED = ("account", "approver", "artifacts", "deploy", "function", "ledger", "preview", "state", "trail")
# A year is what auditors look at; they look at it in the month after.
AUDITED_DAYS = 365


class AccountSettingsError(Exception):
    """A setting breaks a rule; the message names key, value and remedy."""


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """Everything that tells one account from another; see `Pulumi.yaml` for each key's meaning and unit."""

    project: str
    environment: str
    region: str
    account: str
    stacks: tuple[str, ...]
    protected: tuple[str, ...]
    repository: str
    approvers: tuple[str, ...]
    lock_mode: Literal["COMPLIANCE", "GOVERNANCE"]
    record_days: int

    @property
    def names(self) -> Names:
        """The names of what the account has once; those of a stack named `account`, which no stack may be."""
        return self.of_stack("account")

    def of_stack(self, stack: str) -> Names:
        """Return the names of one of the account's stacks."""
        return Names(project=self.project, stack=stack, region=self.region, account=self.account)

    def __post_init__(self) -> None:
        """Check ranges and rules across keys.

        Raises:
            AccountSettingsError: for the first rule that is broken.
        """
        _check(re.fullmatch(r"\d{12}", self.account), "account", self.account, "give the 12 digits of an AWS account")
        _check(
            self.stacks and len(set(self.stacks)) == len(self.stacks),
            "stacks",
            self.stacks,
            "name the stacks of this account, each once",
        )
        for stack in self.stacks:
            _check(
                re.fullmatch(r"(?=.{1,24}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", stack),
                "stacks",
                stack,
                "give 1 to 24 lower-case letters, digits and single hyphens, a letter first",
            )
            _check(
                stack.partition("-")[0] not in RESERVED,
                "stacks",
                stack,
                f"begin it otherwise: {', '.join(RESERVED)} are the account's own",
            )
            # What a stack's role may change begins with the stack's name.
            inside = [other for other in self.stacks if other.startswith(f"{stack}-")]
            _check(
                not inside, "stacks", stack, f"rename one: the role of {stack} would reach {' and '.join(inside)} too"
            )
        _check(set(self.protected) <= set(self.stacks), "protected", self.protected, "name stacks that are in `stacks`")
        _check(
            re.fullmatch(r"[A-Za-z0-9-]+/[\w.-]+", self.repository),
            "repository",
            self.repository,
            "give OWNER/NAME of the GitHub repository",
        )
        _check(
            self.approvers
            and len(set(self.approvers)) == len(self.approvers)
            and all(re.fullmatch(r"[a-z]+", who) for who in self.approvers),
            "approvers",
            self.approvers,
            "name each once, in lower-case letters",
        )
        _check(
            self.lock_mode in ("COMPLIANCE", "GOVERNANCE"), "lockMode", self.lock_mode, "give COMPLIANCE or GOVERNANCE"
        )
        _check(1 <= self.record_days <= 3650, "recordDays", self.record_days, "give 1 to 3650 days")
        if self.environment == "prod":
            _check(
                self.lock_mode == "COMPLIANCE",
                "lockMode",
                self.lock_mode,
                "set COMPLIANCE: production's records are evidence, and evidence that somebody can delete is none",
            )
        if self.lock_mode == "COMPLIANCE":
            _check(
                self.record_days >= AUDITED_DAYS,
                "recordDays",
                self.record_days,
                f"keep them {AUDITED_DAYS} days or longer, the time that an audit covers",
            )


def load() -> AccountSettings:
    """Read the settings of the account that the engine runs this program for.

    Raises:
        AccountSettingsError: a value breaks a rule.
    """
    import pulumi

    config = pulumi.Config()
    account = config.require("account")
    allowed = pulumi.Config("aws").get_object("allowedAccountIds")
    if allowed != [account]:
        raise AccountSettingsError(
            f"aws:allowedAccountIds is {allowed!r}: make it this one account, [{account!r}], so that nobody brings it "
            "up with another account's credentials"
        )
    return AccountSettings(
        project=pulumi.get_project().removesuffix("-account"),
        environment=pulumi.get_stack(),
        region=pulumi.Config("aws").require("region"),
        account=account,
        stacks=_strings(config, "stacks"),
        protected=_strings(config, "protected"),
        repository=config.require("repository"),
        approvers=_strings(config, "approvers"),
        lock_mode=cast("Literal['COMPLIANCE', 'GOVERNANCE']", config.require("lockMode")),
        record_days=config.require_int("recordDays"),
    )


def _strings(config: pulumi.Config, key: str) -> tuple[str, ...]:
    values = config.require_object(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _error(key, values, "give a list of strings")
    return tuple(values)


def _error(key: str, value: object, remedy: str) -> AccountSettingsError:
    return AccountSettingsError(
        f"product-api-account:{key} is {value!r}: {remedy} (pulumi -C account config set {key} …)"
    )


def _check(holds: object, key: str, value: object, remedy: str) -> None:
    if not holds:
        raise _error(key, value, remedy)
