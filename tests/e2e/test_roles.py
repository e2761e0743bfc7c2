"""Least privilege that is true: what a role of the account needs it can do, and with real calls nothing beyond."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox import session
from tests.support.checkout import Checkout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Clients = Callable[[str], Any]

pytestmark = pytest.mark.e2e
ACCOUNT, REGION = "111122223333", "eu-central-1"
STAGING = "product-api-staging"
LEDGER = f"product-api-ledger-{ACCOUNT}-{REGION}"
STATUS = f"{STAGING}-status-{ACCOUNT}"
DENIED = r"AccessDenied|UnauthorizedOperation|AuthorizationError|not authorized"
TAGS = [{"Key": "project", "Value": "product-api"}, {"Key": "stack", "Value": "dev"}]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with stack staging up; dev shares its account."""
    copy = Checkout.copy(tmp_path_factory.mktemp("roles"))
    try:
        copy.up("staging")
        yield copy
    finally:
        copy.end()


@pytest.fixture(scope="module")
def box(own: Checkout) -> session.Sandbox:
    """The account, as those meet it who look from outside."""
    return session.Sandbox(directory=own.sandbox, account=ACCOUNT, region=REGION, engine=Path("unused"))


def clients(box: session.Sandbox, role: str | None = None) -> Clients:
    """Clients of a role, by the token of the job that it is there for; without one of the account's root."""
    env = box.environment({})

    def client(service: str, **credentials: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name=REGION,
            config=Config(proxies={}, retries={"max_attempts": 0}),
            **credentials,
        )

    root = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "any"}
    if role is None:
        return lambda service: client(service, **root)
    job = box.environment({}, role)
    given = client("sts", **root).assume_role_with_web_identity(
        RoleArn=job["AWS_ROLE_ARN"],
        RoleSessionName="test",
        WebIdentityToken=Path(job["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text(),
    )["Credentials"]
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    parameters = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    credentials = {parameter: given[name] for parameter, name in zip(parameters, names, strict=True)}
    return lambda service: client(service, **credentials)


def tagged(found: list[dict[str, Any]], member: str) -> Any:
    """Return the member of the one thing that is tagged as stack staging's own."""
    [one] = [thing for thing in found if {"Key": "stack", "Value": "staging"} in thing.get("Tags", [])]
    return one[member]


@pytest.fixture(scope="module")
def root(box: session.Sandbox) -> Clients:
    return clients(box)


@pytest.fixture(scope="module")
def ids(own: Checkout, root: Clients) -> dict[str, Any]:
    """What AWS named, of stack staging."""
    state = json.loads(own.ops("pulumi", "--", "stack", "export", "--stack", "staging").stdout)
    declared = [one for one in state["deployment"]["resources"] if "id" in one]
    found = {f"{one['type']} {one['urn'].split('::')[-1]}": one["id"] for one in declared}
    return {
        "api": found["aws:apigatewayv2/api:Api api"],
        "distribution": found["aws:cloudfront/distribution:Distribution status"],
        "key": found["aws:kms/key:Key database"],
        "plan": found["aws:backup/plan:Plan backup"],
        "vault": found["aws:backup/vault:Vault backup"],
        "proxy": f"{STAGING}-proxy",
        "vpc": tagged(root("ec2").describe_vpcs()["Vpcs"], "VpcId"),
        "group": tagged(
            root("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": [f"{STAGING}-database"]}])[
                "SecurityGroups"
            ],
            "GroupId",
        ),
    }


def changes(to: Clients, ids: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Calls that would change stack staging, or look into it; each is a method and what it is given."""
    function = f"{STAGING}-api"
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    distribution = f"arn:aws:cloudfront::{ACCOUNT}:distribution/{ids['distribution']}"
    ec2, rds, s3 = to("ec2"), to("rds"), to("s3")
    rule = {"GroupId": ids["group"], "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIp": "0.0.0.0/0"}
    return {
        "the API function's settings": lambda: to("lambda").update_function_configuration(
            FunctionName=function, MemorySize=128
        ),
        "its traffic": lambda: to("lambda").update_alias(FunctionName=function, Name="live", FunctionVersion="1"),
        "the migrator's work": lambda: to("lambda").invoke(FunctionName=f"{STAGING}-migrator", Payload=b"{}"),
        "the database": lambda: rds.modify_db_instance(
            DBInstanceIdentifier=f"{STAGING}-database", DeletionProtection=False
        ),
        "the database's end": lambda: rds.delete_db_instance(
            DBInstanceIdentifier=f"{STAGING}-database", SkipFinalSnapshot=True
        ),
        "the proxy": lambda: rds.delete_db_proxy(DBProxyName=ids["proxy"]),
        "a secret": lambda: to("secretsmanager").get_secret_value(SecretId=f"{STAGING}-database-api"),
        "a secret's value": lambda: to("secretsmanager").put_secret_value(
            SecretId=f"{STAGING}-database-api", SecretString="{}"
        ),
        "the key's policy": lambda: to("kms").put_key_policy(KeyId=ids["key"], PolicyName="default", Policy=document),
        "the key's end": lambda: to("kms").schedule_key_deletion(KeyId=ids["key"]),
        "the key's owner": lambda: to("kms").tag_resource(
            KeyId=ids["key"], Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in TAGS]
        ),
        "who gets in": lambda: ec2.authorize_security_group_ingress(**rule),
        "a group's owner": lambda: ec2.create_tags(Resources=[ids["group"]], Tags=TAGS),
        "the network": lambda: ec2.delete_vpc(VpcId=ids["vpc"]),
        "the API": lambda: to("apigatewayv2").update_api(ApiId=ids["api"], Description="mine"),
        "the API's owner": lambda: to("apigatewayv2").tag_resource(
            ResourceArn=f"arn:aws:apigateway:{REGION}::/apis/{ids['api']}",
            Tags={tag["Key"]: tag["Value"] for tag in TAGS},
        ),
        "the plan of backups": lambda: to("backup").delete_backup_plan(BackupPlanId=ids["plan"]),
        "the vault": lambda: to("backup").delete_backup_vault(BackupVaultName=ids["vault"]),
        "the status page": lambda: s3.put_object(Bucket=STATUS, Key="index.html", Body=b"mine"),
        "its bucket": lambda: s3.put_bucket_policy(Bucket=STATUS, Policy=document),
        "its distribution": lambda: to("cloudfront").delete_distribution(Id=ids["distribution"], IfMatch="any"),
        "its distribution's owner": lambda: to("cloudfront").tag_resource(Resource=distribution, Tags={"Items": TAGS}),
        "an alarm": lambda: to("cloudwatch").delete_alarms(AlarmNames=[f"{STAGING}-response-time-critical"]),
        "who is told": lambda: to("sns").delete_topic(TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:{STAGING}-critical"),
        "the pointer": lambda: to("ssm").put_parameter(
            Name="/product-api/staging/live-version", Value="1", Overwrite=True
        ),
        "a log": lambda: to("logs").delete_log_group(logGroupName=f"/aws/lambda/{function}"),
        "a deployment": lambda: to("codedeploy").create_deployment(
            applicationName=f"{STAGING}-api", deploymentGroupName="live"
        ),
        "a role": lambda: to("iam").put_role_policy(
            RoleName=f"{STAGING}-api", PolicyName="more", PolicyDocument=document
        ),
        "an artifact": lambda: s3.put_object(
            Bucket=f"product-api-artifacts-{ACCOUNT}-{REGION}", Key="staging/code/1.zip", Body=b"mine"
        ),
        "a record": lambda: s3.put_object(
            Bucket=LEDGER, Key="entries/staging/2026/1.json", Body=b"{}", IfNoneMatch="*"
        ),
        "an approval": lambda: s3.put_object(
            Bucket=LEDGER, Key="approvals/staging/1/lead.json", Body=b"{}", IfNoneMatch="*"
        ),
    }


def beyond(to: Clients) -> dict[str, Callable[[], Any]]:
    """Calls that would change what the account has once."""
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/product-api-function-boundary"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {
        "RoleName": "product-api-dev-tried",
        "AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        "Tags": TAGS,
    }
    iam, s3, trail = to("iam"), to("s3"), "product-api-account-trail"
    return {
        "an approval of one's own": lambda: s3.put_object(
            Bucket=LEDGER, Key="approvals/dev/1/lead.json", Body=b"{}", IfNoneMatch="*"
        ),
        "the ledger's end": lambda: s3.delete_bucket(Bucket=LEDGER),
        "how long records stay": lambda: s3.put_bucket_lifecycle_configuration(
            Bucket=LEDGER,
            LifecycleConfiguration={
                "Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
            },
        ),
        "the trail": lambda: to("cloudtrail").stop_logging(Name=trail),
        "the trail's end": lambda: to("cloudtrail").delete_trail(Name=trail),
        "a role without the boundary": lambda: iam.create_role(**role),
        "a role under another": lambda: iam.create_role(
            **role, PermissionsBoundary=f"arn:aws:iam::{ACCOUNT}:policy/product-api-deploy-boundary"
        ),
        "the boundary": lambda: iam.create_policy_version(
            PolicyArn=boundary, PolicyDocument=document, SetAsDefault=True
        ),
        "the boundary's end": lambda: iam.delete_policy(PolicyArn=boundary),
        "the boundary of a role": lambda: iam.delete_role_permissions_boundary(RoleName="product-api-deploy-dev"),
        "its own rights": lambda: iam.attach_role_policy(
            RoleName="product-api-deploy-dev", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        "another's": lambda: iam.put_role_policy(
            RoleName="product-api-deploy-staging", PolicyName="more", PolicyDocument=document
        ),
        "whom it trusts": lambda: iam.update_assume_role_policy(
            RoleName="product-api-deploy-dev", PolicyDocument=role["AssumeRolePolicyDocument"]
        ),
        "another role": lambda: to("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/product-api-deploy-staging", RoleSessionName="test"
        ),
        "whose tokens are taken": lambda: iam.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
            ClientID="mine",
        ),
        "a user": lambda: iam.create_user(UserName="mine"),
    }


def not_denied(attempts: dict[str, Callable[[], Any]]) -> dict[str, str]:
    """Make each call; return those that were not denied, with what came of them."""
    found = {}
    for what, attempt in attempts.items():
        try:
            found[what] = str(attempt())[:200]
        except ClientError as error:
            if not any(word in str(error) for word in DENIED.split("|")):
                found[what] = str(error)
    return found


def test_a_stack_is_deployed_as_its_role_which_is_denied_nothing(own: Checkout, box: session.Sandbox) -> None:
    assert own.sandbox.exists()
    assert [] == box.denials("product-api-deploy-staging")
    assert [] == [each for each in box.denials() if f":role/{STAGING}-" in each["principal"]]
    used = {each["action"] for each in box.decisions("product-api-deploy-staging")}
    assert {"rds:CreateDBInstance", "lambda:CreateFunction", "cloudfront:CreateDistribution"} <= used


def test_a_stack_s_role_changes_nothing_of_another_stack(box: session.Sandbox, ids: dict[str, Any]) -> None:
    assert {} == not_denied(changes(clients(box, "product-api-deploy-dev"), ids))


def test_nor_anything_that_the_account_has_once(box: session.Sandbox) -> None:
    assert {} == not_denied(beyond(clients(box, "product-api-deploy-dev")))


def test_a_protected_stack_s_own_role_deletes_no_data(box: session.Sandbox, ids: dict[str, Any]) -> None:
    to = clients(box, "product-api-deploy-staging")
    data = ("the database's end", "a secret", "the key's end", "the vault", "a log", "an approval")
    assert {} == not_denied({what: attempt for what, attempt in changes(to, ids).items() if what in data})


class TestWhoPreviews:
    def test_sees_that_nothing_is_to_be_done(self, own: Checkout, box: session.Sandbox) -> None:
        before = len(box.decisions("product-api-preview"))
        said = json.loads(own.ops("review", "staging", "--json").stdout)
        assert (said["changed"], said["changes"]) == (False, [])
        env = {**box.environment(own.environment(), "product-api-preview"), "PULUMI_OPTION_POLICY_PACK": "policies"}
        config = str(own.sandbox / "config" / "Pulumi.staging.yaml")
        options = ("--stack", "staging", "--config-file", config, "--refresh", "--expect-no-changes")
        engine = str(own.sandbox / "bin" / "pulumi")
        done = subprocess.run(
            [engine, "preview", *options], cwd=own.root, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(box.decisions("product-api-preview")) > before
        assert [] == box.denials("product-api-preview")

    def test_changes_nothing(self, box: session.Sandbox, ids: dict[str, Any]) -> None:
        to = clients(box, "product-api-preview")
        assert {} == not_denied(changes(to, ids)) | not_denied(beyond(to))


def test_the_calls_that_are_denied_are_calls_that_work(root: Clients, ids: dict[str, Any]) -> None:
    """Else a denial would prove nothing: whoever may is not told that he may not."""
    working = {"the API function's settings", "the pointer", "the API", "the status page", "an artifact"}
    attempts = {what: attempt for what, attempt in changes(root, ids).items() if what in working}
    assert working == set(not_denied(attempts))
