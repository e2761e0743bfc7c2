"""Names and ARNs."""

from __future__ import annotations

import fnmatch

from naming import Names

NAMES = Names(project="product-api", stack="dev", region="eu-central-1", account="111122223333")


def test_names_carry_project_and_stack() -> None:
    assert NAMES.name("migrator") == "product-api-dev-migrator"
    assert NAMES.log_group("api") == "/aws/lambda/product-api-dev-api"


def test_arns_carry_region_and_account() -> None:
    assert NAMES.function("api") == "arn:aws:lambda:eu-central-1:111122223333:function:product-api-dev-api"
    assert NAMES.database("database") == "arn:aws:rds:eu-central-1:111122223333:db:product-api-dev-database"
    assert NAMES.account_root == "arn:aws:iam::111122223333:root"


def test_a_stacks_bucket_fits_whatever_the_stack_is_called() -> None:
    """S3 takes 63 characters; a stack's name has 24 at most."""
    assert NAMES.stack_bucket("status") == "product-api-dev-status-111122223333"
    longest = Names(project="product-api", stack="s" * 24, region="ap-southeast-1", account="1" * 12)
    assert len(longest.stack_bucket("status")) <= 63


def test_a_secrets_pattern_matches_that_secret_and_no_other() -> None:
    pattern = NAMES.secret("database-api")
    made = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-database-api-a1B2c3"
    other = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-database-api-old-a1B2c3"
    assert fnmatch.fnmatchcase(made, pattern)
    assert not fnmatch.fnmatchcase(other, pattern)


def test_another_partition_is_another_arn() -> None:
    china = Names(project="p", stack="s", region="cn-north-1", account="1" * 12, partition="aws-cn")
    assert china.function("f").startswith("arn:aws-cn:lambda:cn-north-1:")


def test_who_deploys_a_stack_is_not_among_the_names_that_it_may_change() -> None:
    assert NAMES.deploy_role == "product-api-deploy-dev"
    assert not NAMES.deploy_role.startswith(NAMES.name(""))
    assert not NAMES.approver_role("lead").startswith(NAMES.name(""))


def test_what_the_account_has_once_is_the_same_for_all_its_stacks() -> None:
    other = Names(project="product-api", stack="staging", region="eu-central-1", account="111122223333")
    assert NAMES.boundary == other.boundary == "arn:aws:iam::111122223333:policy/product-api-function-boundary"
    assert NAMES.of_account("trail") == other.of_account("trail") == "product-api-account-trail"
    assert NAMES.bucket_arn("ledger") == "arn:aws:s3:::product-api-ledger-111122223333-eu-central-1"
    assert NAMES.bucket_arn("ledger", "entries/*") == f"{NAMES.bucket_arn('ledger')}/entries/*"
