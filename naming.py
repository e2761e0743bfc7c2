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

    def iam(self, resource: str) -> str:
        """Return the ARN of something of IAM, such as `role/product-api-dev-api`; IAM knows no region."""
        return f"arn:{self.partition}:iam::{self.account}:{resource}"

    def role(self, thing: str) -> str:
        """Return the ARN of a role."""
        return self.iam(f"role/{self.name(thing)}")

    # What follows exists once per account; `account/` declares it.

    def of_account(self, thing: str) -> str:
        """Return the physical name of what all stacks of the account share, such as `product-api-account-trail`."""
        return f"{self.project}-account-{thing}"

    @property
    def boundary(self) -> str:
        """The ARN of the permissions boundary of every role that a stack makes."""
        return self.iam(f"policy/{self.project}-function-boundary")

    @property
    def deploy_boundary(self) -> str:
        """The ARN of the permissions boundary of those who deploy."""
        return self.iam(f"policy/{self.project}-deploy-boundary")

    @property
    def deploy_role(self) -> str:
        """The name of the role that deploys this stack; not of the stack's own names, which it may change."""
        return f"{self.project}-deploy-{self.stack}"

    @property
    def preview_role(self) -> str:
        """The name of the role that previews any stack of the account."""
        return f"{self.project}-preview"

    def approver_role(self, who: str) -> str:
        """Return the name of the role by which `who` approves: `lead`, `devops` or `product`."""
        return f"{self.project}-approver-{who}"

    def bucket(self, purpose: str) -> str:
        """Return the name of one of the account's buckets: `artifacts`, `ledger`, `trail` or `state`."""
        return f"{self.project}-{purpose}-{self.account}-{self.region}"

    def bucket_arn(self, purpose: str, key: str = "") -> str:
        """Return the ARN of one of these buckets, or of objects in it."""
        return f"arn:{self.partition}:s3:::{self.bucket(purpose)}" + (f"/{key}" if key else "")

    def stack_bucket(self, thing: str) -> str:
        """Return the name of a bucket of this stack's own; no other account in AWS may have one of that name."""
        return f"{self.name(thing)}-{self.account}"

    @property
    def pointer(self) -> str:
        """The name of the parameter that says which version is live."""
        return f"/{self.project}/{self.stack}/live-version"
