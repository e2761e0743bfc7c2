"""What exists once per AWS account, and before its first stack: evidence, artifacts, and who may act."""

import pulumi
from pulumi_aws import ebs, s3

from account import configuration
from account.access import Access, AccessArgs
from account.bucket import Bucket, BucketArgs, Lock
from account.ledger import Ledger, LedgerArgs
from account.trail import Trail, TrailArgs

settings = configuration.load()
names = settings.names
lock = Lock(mode=settings.lock_mode, days=settings.record_days)

# Evidence: who did what, and who approved what.
ledger = Ledger("ledger", LedgerArgs(names=names, approvers=settings.approvers, lock=lock))
trail = Trail("trail", TrailArgs(names=names, lock=lock))

# What is promoted from stack to stack.
artifacts = Bucket(
    "artifacts",
    BucketArgs(names=names, purpose="artifacts", description=f"Code and layers of {names.project}, signed and not"),
)

# What no bucket and no disk of the account can be, whoever makes it.
s3.AccountPublicAccessBlock(
    "account",
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
)
ebs.EncryptionByDefault("account", enabled=True)

# Who may act, and what nobody may.
access = Access(
    "access",
    AccessArgs(
        names=names,
        stacks=[settings.of_stack(stack) for stack in settings.stacks],
        protected=settings.protected,
        repository=settings.repository,
        approvers=settings.approvers,
    ),
)

pulumi.export("ledger", ledger.name)
pulumi.export("trail", trail.arn)
pulumi.export("artifacts", artifacts.name)
pulumi.export("deployRoles", access.deploy_roles)
pulumi.export("previewRole", access.preview_role)
pulumi.export("approverRoles", access.approver_roles)
