"""What who deploys may do: its own stack and no other's, no data, and nothing that AWS would not take."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from account import boundaries, permissions
from components.role import Grant
from naming import Names
from policies.guardrails.iam import judge
from sandbox.cloud.iam import policy, reference, resources
from sandbox.cloud.iam.policy import Check, Principal
from sandbox.provider import mapping, table
from tests.sandbox.cloud.test_iam_requests import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.components.conftest import Deployment

LIMIT = 6144  # characters of a managed policy, white space aside
ATTACHED = 10  # managed policies of a role, unless AWS is asked for more
# The longest name that a stack can have.
LONGEST = "s" * 24
READING = re.compile(r"(BatchGet|Decrypt$|Describe|Get|List|View|GET$)")
NAMES = Names(project="product-api", stack="dev", region="eu-central-1", account="111122223333")
OWN_TAGS = {"aws:resourcetag/project": "product-api", "aws:resourcetag/stack": "dev"}
SUBNET = "arn:aws:ec2:eu-central-1:111122223333:subnet/subnet-1"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"
ASKED = {"aws:requesttag/project": "product-api", "aws:requesttag/stack": "dev"}
ROLE = "arn:aws:iam::111122223333:role/product-api-dev-api"
BOUNDARY = {"iam:permissionsboundary": NAMES.boundary}
# What AWS knows neither names nor tags of; docs/decisions/0008 says why that is borne.
UNSCOPED = {
    "network": {"DescribeNetwork"},
    "machines": {"DescribeMachines", "EquipMachines", "UseAmazonsImages", "FindAmazonsImages"},
    "data": {"DescribeDatabases", "FillTargetGroups", "MountVaults", "UseDefaultGroups"},
    "secrets": {"ListAliases", "MakeMasterSecret"},
    "functions": {"DescribeLogGroups"},
    "artifacts": {"ReadSigningJobs", "ListArtifacts", "DecryptForArtifacts", "GenerateDataKeyForArtifacts"},
    "service": {"DescribeAlarms", "ReadApis", "ChangeParts", "DeliverAccessLogs"},
    "page": {"ChangePageSettings", "MakeDistributions", "ReadPageSettings"},
    "release": {
        "DecryptForLedger",
        "DecryptState",
        "DescribeParameters",
        "EncryptState",
        "GenerateDataKeyForLedger",
        "ListLedger",
        "ListState",
        "ReadStandardConfigs",
        "StopDeployments",
    },
    "identity": {"LetServicesMakeTheirRoles"},
}


def names(stack: str) -> Names:
    return Names(project="product-api", stack=stack, region="eu-central-1", account="111122223333")


def document(grants: Iterable[Grant]) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [grant.statement() for grant in grants]}, separators=(",", ":")
    )


def deploying(stack: str = "dev", *, protected: bool = False) -> Mapping[str, Sequence[Grant]]:
    return permissions.deploying(names(stack), protected=protected)


@pytest.mark.parametrize("granted", [deploying(LONGEST), permissions.previewing(NAMES)], ids=["deploy", "preview"])
class TestDocuments:
    def test_aws_takes_them(self, granted: Mapping[str, Sequence[Grant]]) -> None:
        assert len(granted) <= ATTACHED
        assert {} == {name: len(document(each)) for name, each in granted.items() if len(document(each)) > LIMIT}
        for grants in granted.values():
            sids = [grant.sid for grant in grants]
            assert len(sids) == len(set(sids))
            assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)

    def test_the_pack_finds_nothing(self, granted: Mapping[str, Sequence[Grant]]) -> None:
        assert [] == [finding for grants in granted.values() for finding in judge(document(grants))]

    def test_every_action_is_named_and_exists(self, granted: Mapping[str, Sequence[Grant]]) -> None:
        unknown = set()
        for grant in (grant for grants in granted.values() for grant in grants):
            for action in grant.actions:
                service, _, name = action.partition(":")
                if service in {"apigateway", "backup-storage", "s3"}:
                    continue  # not in the reference that the sandbox has
                if name not in reference.actions()[service]:
                    unknown.add(action)
        # The sandbox's reference holds what can be deployed there.
        assert set() == {action for action in unknown if not action.startswith(("ec2:", "logs:"))}

    def test_what_is_allowed_on_everything_supports_nothing_narrower(
        self, granted: Mapping[str, Sequence[Grant]]
    ) -> None:
        for grant in (grant for grants in granted.values() for grant in grants if "*" in grant.resources):
            for action in grant.actions:
                service, _, name = action.partition(":")
                types = reference.actions().get(service, {}).get(name, ("-",))
                # Groups are described all at once; tags of a new key are authorised on what has no id yet.
                narrowable = {"logs:DescribeLogGroups", "kms:TagResource", "backup-storage:MountCapsule"}
                assert action in narrowable or set(types) == {"-"}, f"{grant.sid}: {action}"


def test_who_previews_only_reads() -> None:
    for grant in (grant for grants in permissions.previewing(NAMES).values() for grant in grants):
        assert all(READING.match(action.partition(":")[2]) for action in grant.actions), grant.sid


def test_what_reaches_beyond_the_stack_is_what_aws_cannot_scope() -> None:
    """Every other statement names the stack: in its resources, or in a condition."""
    found = {
        subject: {grant.sid for grant in grants if "dev" not in json.dumps(grant.statement())}
        for subject, grants in deploying().items()
    }
    assert found == UNSCOPED


def allowed(granted: Mapping[str, Sequence[Grant]], action: str, resource: str, by: str = "", **context: Any) -> bool:
    """Whether a role that is granted this may do that; `by` its policies or its boundary alone, or by both."""
    everything = [policy.parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})]
    boundary = {"Version": "2012-10-17", "Statement": boundaries.of_deployment(NAMES, granted)}
    policies = [policy.parse(document(grants)) for grants in granted.values()]
    who = Principal(
        arn="arn:aws:sts::111122223333:assumed-role/product-api-deploy-dev/s",
        account="111122223333",
        policies=everything if by == "boundary" else policies,
        boundary=None if by == "policies" else [policy.parse(boundary)],
    )
    return policy.decide(who, Check(action=action, resource=resource, context=context)).allowed


OTHERS = [
    ("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-central-1:111122223333:function:product-api-{}-api"),
    ("lambda:InvokeFunction", "arn:aws:lambda:eu-central-1:111122223333:function:product-api-{}-migrator"),
    ("rds:ModifyDBInstance", "arn:aws:rds:eu-central-1:111122223333:db:product-api-{}-database"),
    ("secretsmanager:UpdateSecret", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-{}-x-123456"),
    ("sns:Subscribe", "arn:aws:sns:eu-central-1:111122223333:product-api-{}-critical"),
    ("sqs:SetQueueAttributes", "arn:aws:sqs:eu-central-1:111122223333:product-api-{}-dead-letters"),
    ("ssm:PutParameter", "arn:aws:ssm:eu-central-1:111122223333:parameter/product-api/{}/live-version"),
    ("cloudwatch:PutMetricAlarm", "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:product-api-{}-errors"),
    (
        "codedeploy:CreateDeployment",
        "arn:aws:codedeploy:eu-central-1:111122223333:deploymentgroup:product-api-{}-api/live",
    ),
    ("iam:DeleteRole", "arn:aws:iam::111122223333:role/product-api-{}-api"),
    ("logs:PutRetentionPolicy", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/product-api-{}-api:*"),
    ("s3:PutObject", "arn:aws:s3:::product-api-artifacts-111122223333-eu-central-1/{}/code/1.zip"),
    ("s3:PutObject", "arn:aws:s3:::product-api-ledger-111122223333-eu-central-1/entries/{}/1.json"),
    ("s3:PutObject", "arn:aws:s3:::product-api-state-111122223333-eu-central-1/.pulumi/stacks/product-api/{}.json"),
    ("budgets:ModifyBudget", "arn:aws:budgets::111122223333:budget/product-api-{}-monthly"),
    ("scheduler:UpdateSchedule", "arn:aws:scheduler:eu-central-1:111122223333:schedule/default/product-api-{}-probe"),
    ("signer:StartSigningJob", "arn:aws:signer:eu-central-1:111122223333:/signing-profiles/product_api_{}_2026"),
]


@pytest.mark.parametrize(("action", "resource"), OTHERS, ids=[action for action, _ in OTHERS])
def test_a_role_changes_what_is_named_after_its_own_stack_and_no_other(action: str, resource: str) -> None:
    assert allowed(deploying(), action, resource.format("dev"))
    for other in ("staging", "development", "account", "deploy-dev"):
        assert not allowed(deploying(), action, resource.format(other))


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ec2:DeleteSubnet", "arn:aws:ec2:eu-central-1:111122223333:subnet/subnet-1"),
        ("ec2:AuthorizeSecurityGroupIngress", "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-1"),
        ("kms:PutKeyPolicy", "arn:aws:kms:eu-central-1:111122223333:key/1"),
        ("apigateway:PATCH", "arn:aws:apigateway:eu-central-1::/apis/1"),
        ("backup:UpdateBackupPlan", "arn:aws:backup:eu-central-1:111122223333:backup-plan:1"),
        ("rds:ModifyDBProxy", "arn:aws:rds:eu-central-1:111122223333:db-proxy:prx-1"),
        ("lambda:UpdateCodeSigningConfig", "arn:aws:lambda:eu-central-1:111122223333:code-signing-config:csc-1"),
    ],
)
def test_what_aws_names_is_told_by_its_tags(action: str, resource: str) -> None:
    assert allowed(deploying(), action, resource, **OWN_TAGS)
    assert not allowed(deploying(), action, resource)
    assert not allowed(deploying(), action, resource, **{**OWN_TAGS, "aws:resourcetag/stack": "staging"})


class TestTags:
    """Whoever could tag another stack's things could change them afterwards."""

    def test_are_set_on_what_is_made(self) -> None:
        assert allowed(deploying(), "ec2:CreateSubnet", SUBNET, **ASKED)
        assert not allowed(deploying(), "ec2:CreateSubnet", SUBNET)
        made = {**ASKED, "ec2:createaction": "CreateSubnet"}
        assert allowed(deploying(), "ec2:CreateTags", SUBNET, **made)

    def test_claim_nothing_that_is_another_s(self) -> None:
        others = {"aws:resourcetag/project": "product-api", "aws:resourcetag/stack": "staging"}
        for action, arn in (("ec2:CreateTags", SUBNET), ("kms:TagResource", KEY)):
            assert not allowed(deploying(), action, arn, **ASKED, **others)
            assert allowed(deploying(), action, arn, **ASKED, **OWN_TAGS)

    def test_say_for_ever_whose_a_thing_is(self) -> None:
        other = {"aws:requesttag/stack": "staging"}
        assert not allowed(deploying(), "ec2:CreateTags", SUBNET, **OWN_TAGS, **other)
        for key, expected in (("stack", False), ("project", False), ("team", True)):
            keys = {"aws:tagkeys": [key]}
            assert expected is allowed(deploying(), "ec2:DeleteTags", SUBNET, **OWN_TAGS, **keys)


@pytest.mark.parametrize("by", ["policies", "boundary"])
class TestRoles:
    """Who may make a role may be it: so what it makes is under the boundary, and stays there; each layer sees to it."""

    def test_are_made_under_the_boundary_only(self, by: str) -> None:
        assert allowed(deploying(), "iam:CreateRole", ROLE, by, **ASKED, **BOUNDARY)
        assert not allowed(deploying(), "iam:CreateRole", ROLE, by, **ASKED)
        other = {"iam:permissionsboundary": "arn:aws:iam::aws:policy/AdministratorAccess"}
        assert not allowed(deploying(), "iam:CreateRole", ROLE, by, **ASKED, **other)

    def test_get_rights_only_while_they_are(self, by: str) -> None:
        assert allowed(deploying(), "iam:PutRolePolicy", ROLE, by, **BOUNDARY)
        assert not allowed(deploying(), "iam:PutRolePolicy", ROLE, by)

    @pytest.mark.parametrize("action", ["DeleteRolePermissionsBoundary", "AttachRolePolicy", "CreateUser"])
    def test_never_get_out_of_it(self, by: str, action: str) -> None:
        assert not allowed(deploying(), f"iam:{action}", ROLE, by, **BOUNDARY)

    def test_of_the_account_are_beyond_it(self, by: str) -> None:
        for role in (NAMES.deploy_role, NAMES.preview_role, NAMES.approver_role("lead")):
            for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "sts:AssumeRole", "iam:PassRole"):
                keys = {**BOUNDARY, "iam:passedtoservice": "lambda.amazonaws.com"}
                assert not allowed(deploying(), action, NAMES.iam(f"role/{role}"), by, **keys)
        for arn in (NAMES.boundary, NAMES.deploy_boundary):
            for action in ("CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicy"):
                assert not allowed(deploying(), f"iam:{action}", arn, by)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:DeleteRolePermissionsBoundary", ROLE),
        ("iam:AttachRolePolicy", ROLE),
        ("iam:PutRolePolicy", NAMES.iam(f"role/{NAMES.deploy_role}")),
        ("iam:CreatePolicyVersion", NAMES.deploy_boundary),
        (
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-a-1",
        ),
        ("s3:PutObject", NAMES.bucket_arn("ledger", "approvals/dev/1/lead.json")),
        ("s3:DeleteObjectVersion", NAMES.bucket_arn("ledger", "entries/dev/1.json")),
    ],
)
def test_the_boundary_holds_whatever_should_be_granted_one_day(action: str, resource: str) -> None:
    more = Grant(sid="More", actions=(action,), resources=("*",))
    assert not allowed({**deploying(), "more": (more,)}, action, resource)


def test_roles_are_tagged_as_the_stack_s_own_for_ever() -> None:
    """The boundary goes by their tags."""
    assert not allowed(deploying(), "iam:CreateRole", ROLE, **BOUNDARY)
    assert allowed(deploying(), "iam:TagRole", ROLE, **{"aws:requesttag/team": "red"})
    assert not allowed(deploying(), "iam:TagRole", ROLE, **{"aws:requesttag/stack": "staging"})
    assert not allowed(deploying(), "iam:UntagRole", ROLE, **{**OWN_TAGS, "aws:tagkeys": ["stack"]})


def test_roles_are_passed_to_services_of_the_stack_only() -> None:
    for service, expected in (("lambda", True), ("ec2", True), ("glue", False)):
        keys = {"iam:passedtoservice": f"{service}.amazonaws.com"}
        assert expected is allowed(deploying(), "iam:PassRole", ROLE, **keys)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("rds:DeleteDBInstance", "arn:aws:rds:eu-central-1:111122223333:db:product-api-dev-database"),
        ("rds:DeleteDBSnapshot", "arn:aws:rds:eu-central-1:111122223333:snapshot:product-api-dev-database-1"),
        ("kms:ScheduleKeyDeletion", "arn:aws:kms:eu-central-1:111122223333:key/1"),
        ("secretsmanager:DeleteSecret", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-a-1"),
        ("backup:DeleteBackupVault", "arn:aws:backup:eu-central-1:111122223333:backup-vault:product-api-dev-vault-1"),
        ("logs:DeleteLogGroup", "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/product-api-dev-api:*"),
    ],
)
def test_what_holds_data_goes_on_unprotected_stacks_only(action: str, resource: str) -> None:
    assert allowed(deploying(), action, resource, **OWN_TAGS)
    assert not allowed(deploying(protected=True), action, resource, **OWN_TAGS)


@pytest.mark.parametrize("by", ["policies", "boundary"])
def test_nobody_who_deploys_reads_a_secret_approves_or_changes_a_record(by: str) -> None:
    secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-database-api-1"
    assert not allowed(deploying(), "secretsmanager:GetSecretValue", secret, by)
    assert not allowed(deploying(), "s3:PutObject", NAMES.bucket_arn("ledger", "approvals/dev/1/lead.json"), by)
    for action, arn in (
        ("s3:DeleteObject", NAMES.bucket_arn("ledger", "entries/dev/1.json")),
        ("s3:PutBucketPolicy", NAMES.bucket_arn("ledger")),
        ("s3:DeleteObjectVersion", NAMES.bucket_arn("trail", "AWSLogs/1.gz")),
    ):
        assert not allowed(deploying(), action, arn, by)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_it_can_do_whatever_the_provider_calls_for_what_the_stack_declares(
    stack: str, product_of: Callable[[str], Deployment]
) -> None:
    """By action; on which resource, and under which conditions, a rehearsal tells."""
    granted = {action for grants in deploying(stack).values() for grant in grants for action in grant.actions}
    # What a stack's own use of a type does not come to.
    unused = {
        "backup:DeleteBackupVaultLockConfiguration",
        "ec2:CreateRoute",
        "ec2:DeleteRoute",
        "ec2:ReplaceRoute",
        "iam:AttachRolePolicy",
        "iam:DeleteRolePermissionsBoundary",
        "iam:DetachRolePolicy",
        "kms:DisableKeyRotation",
        "logs:PutLogGroupDeletionProtection",
        "secretsmanager:DeleteResourcePolicy",
        "secretsmanager:PutResourcePolicy",
    }
    missing = set()
    for token in {each.type for each in product_of(stack).resources} & set(table.entries()):
        entry = table.entries()[token]
        service = {"apigatewayv2": "apigateway"}.get(entry.service, entry.service)
        for call, _ in calls(entry) if service not in {"apigateway", "s3"} else ():
            name = mapping.operation_model(entry.service, call).name
            missing.add(f"{service}:{resources.renamed(service, name)}")
    assert set() == missing - granted - unused
