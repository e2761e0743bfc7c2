"""Physical names and ARNs, computed from project, stack, region and account; pure.

Whatever a permission mentions must be known before it exists: a policy document with one unknown ARN is unknown as a
whole to the policy packs. So nothing here asks AWS.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one stack in one account and region."""

    project: str
    stack: str
    region: str
    account: str
    partition: str = "aws"

    def name(self, thing: str) -> str:
        """Return the physical name of `thing`, such as `product-api-dev-migrator`."""
        return f"{self.project}-{self.stack}-{thing}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of `resource` of a regional `service`."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def account_root(self) -> str:
        """The ARN that stands for the whole account in a resource policy."""
        return f"arn:{self.partition}:iam::{self.account}:root"

    def function(self, thing: str) -> str:
        """Return the ARN of a function."""
        return self.arn("lambda", f"function:{self.name(thing)}")

    def database(self, thing: str) -> str:
        """Return the ARN of a database instance."""
        return self.arn("rds", f"db:{self.name(thing)}")

    def log_group(self, thing: str) -> str:
        """Return the name of a function's log group."""
        return f"/aws/lambda/{self.name(thing)}"

    def secret(self, thing: str) -> str:
        """Return an ARN pattern that matches exactly one secret: Secrets Manager appends six characters of its own."""
        return self.arn("secretsmanager", f"secret:{self.name(thing)}-??????")

    def role(self, thing: str) -> str:
        """Return the ARN of a role."""
        return f"arn:{self.partition}:iam::{self.account}:role/{self.name(thing)}"

    @property
    def boundary(self) -> str:
        """The permissions boundary of every role that a stack makes; `account/` declares it."""
        return f"arn:{self.partition}:iam::{self.account}:policy/{self.project}-function-boundary"

    def bucket(self, purpose: str) -> str:
        """Return the name of one of the account's buckets: `artifacts`, `ledger` or `trail`; see `account/`."""
        return f"{self.project}-{purpose}-{self.account}-{self.region}"

    def stack_bucket(self, thing: str) -> str:
        """Return the name of a bucket of this stack's own; no other account in AWS may have one of that name."""
        return f"{self.name(thing)}-{self.account}"

    @property
    def pointer(self) -> str:
        """The name of the parameter that says which version is live."""
        return f"/{self.project}/{self.stack}/live-version"
