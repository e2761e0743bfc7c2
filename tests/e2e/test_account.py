"""What an account has once: brought up by one command, known at preview, and kept by those who may not change it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ops import approval as approvals
from ops.exit_codes import Exit
from ops.rehearsal import Rehearsal
from sandbox import second_factor, session
from tests.e2e.test_preview import UNKNOWN, _kind, _leaves
from tests.support.checkout import Checkout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = pytest.mark.e2e
ACCOUNT = "111122223333"
LEDGER = f"product-api-ledger-{ACCOUNT}-eu-central-1"
# Which input may be unknown, and of which type the resource is that it waits for.
REFERENCES = {
    "kmsKeyId": "kms/key:Key",
    "policyArn": "iam/policy:Policy",
    "rules.applyServerSideEncryptionByDefault.kmsMasterKeyId": "kms/key:Key",
    "targetKeyId": "kms/key:Key",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout whose account is brought up once."""
    copy = Checkout.copy(tmp_path_factory.mktemp("account"))
    try:
        yield copy
    finally:
        copy.end()


@pytest.fixture(scope="module")
def first(own: Checkout) -> dict[str, Any]:
    """What the first preview would create, and the first `ops bootstrap` said."""
    done = own.ops("pulumi", "--", "-C", "account", "preview", "--stack", "nonprod", "--json")
    said = json.loads(own.ops("bootstrap", "dev", "--json").stdout)
    return {"preview": [step["newState"] for step in json.loads(done.stdout)["steps"]], "said": said}


@pytest.fixture
def box(own: Checkout, first: dict[str, Any]) -> session.Sandbox:
    """The sandbox of the account that is up."""
    assert first["said"]["outputs"]
    return session.Sandbox(directory=own.sandbox, account=ACCOUNT, region="eu-central-1", engine=Path("unused"))


def client(box: session.Sandbox, service: str, credentials: Mapping[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=box.environment({})["AWS_ENDPOINT_URL"],
        region_name="eu-central-1",
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        config=Config(proxies={}, retries={"max_attempts": 0}),
    )


@pytest.fixture
def root(box: session.Sandbox) -> Callable[[str], Any]:
    """Clients of the account's root."""
    return lambda service: client(box, service, {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "any"})


@pytest.fixture
def deploying(box: session.Sandbox) -> Callable[[str], Any]:
    """Clients of the role that deploys stack dev, by the token of its GitHub environment."""
    env = box.environment({}, role="product-api-deploy-dev")
    given = client(box, "sts", {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "any"})
    answer = given.assume_role_with_web_identity(
        RoleArn=env["AWS_ROLE_ARN"],
        RoleSessionName="test",
        WebIdentityToken=Path(env["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text(),
    )["Credentials"]
    credentials = {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["SessionToken"],
    }
    return lambda service: client(box, service, credentials)


def test_it_is_brought_up_under_the_pack_and_named_at_its_end(first: dict[str, Any]) -> None:
    said = first["said"]
    assert (said["schema"], said["target"], said["account"]) == ("product-api/bootstrap/1", "sandbox", ACCOUNT)
    assert said["program"]["changed"] == said["program"]["changes"]["create"] == len(first["preview"])
    assert list(said["program"]["packs"]) == ["product-api-guardrails"]
    assert [] == [finding for finding in said["program"]["findings"] if finding["level"] == "mandatory"]
    assert said["outputs"]["ledger"] == LEDGER
    assert {"local", "dev", "staging"} == set(said["outputs"]["deployRoles"])


def test_every_document_is_known_before_anything_exists(first: dict[str, Any]) -> None:
    wrong = []
    for resource in first["preview"]:
        for path, value in _leaves(resource.get("inputs") or {}):
            waits = set((resource.get("propertyDependencies") or {}).get(path.split(".")[0]) or ())
            kinds = {_kind(urn) for urn in waits}
            if any(unknown in str(value) for unknown in UNKNOWN) and REFERENCES.get(path) not in kinds:
                wrong.append(f"{resource['urn']}: {path} waits for {kinds or 'nothing'}")
    assert [] == wrong


def test_a_second_time_nothing_is_asked_and_nothing_has_changed(own: Checkout, first: dict[str, Any]) -> None:
    assert first["said"]
    done = json.loads(own.ops("bootstrap", "staging", "--json").stdout)
    assert (done["program"]["changed"], done["program"]["looked"]) == (0, False)
    own.ops("pulumi", "--", "-C", "account", "preview", "--stack", "nonprod", "--refresh", "--expect-no-changes")
    original = (Path(__file__).parents[2] / "account" / "Pulumi.nonprod.yaml").read_text()
    assert original == (own.root / "account" / "Pulumi.nonprod.yaml").read_text()


def test_a_changed_setting_is_a_change_of_the_account(own: Checkout, first: dict[str, Any]) -> None:
    assert first["said"]
    settings = own.root / "account" / "Pulumi.nonprod.yaml"
    before = settings.read_text()
    try:
        settings.write_text(before.replace("product-api/product-api", "product-api/moved"))
        changed = json.loads(own.ops("bootstrap", "dev", "--json").stdout)["program"]
        assert changed["changes"]["update"] == changed["changed"] == 4  # three roles that deploy, one that previews
    finally:
        settings.write_text(before)
    back = json.loads(own.ops("bootstrap", "dev", "--json").stdout)["program"]
    assert back["changed"] == 4


def test_the_environment_is_valid_where_it_was_invalid_before(own: Checkout, first: dict[str, Any]) -> None:
    assert first["said"]
    done = own.ops("env", "validate", "dev", "--json")
    checks = {check["name"]: check["state"] for check in json.loads(done.stdout)["checks"]}
    assert {"ok"} == {checks[name] for name in ("credentials", "evidence", "artifacts", "boundaries", "roles")}
    other = own.ops("env", "validate", "prod", check=False)
    assert other.returncode == Exit.FAILED
    assert "bring the account up (ops bootstrap prod)" in other.stdout


def test_an_approval_is_given_once_by_its_approver(
    own: Checkout, box: session.Sandbox, root: Callable[[str], Any]
) -> None:
    listed = json.loads(own.ops("approve", "staging", "--list", "--json").stdout)
    assert (listed["schema"], listed["approved"]) == ("product-api/approvals/1", False)
    given = json.loads(own.ops("approve", "staging", "--json").stdout)
    [approval] = given["approvals"]
    assert approval["by"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/product-api-approver-lead/lead"
    assert given["approved"]
    again = own.ops("approve", "staging", check=False)
    assert again.returncode == Exit.FAILED
    assert "lead has approved this release for staging already" in again.stderr

    key = f"approvals/staging/{given['release']['codeSha256']}/lead.json"
    devops = client(box, "s3", box.credentials("product-api-approver-devops"))
    for s3, name in ((root("s3"), "lead"), (devops, "lead"), (root("s3"), "devops")):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.put_object(Bucket=LEDGER, Key=key.replace("lead", name), Body=b"{}", IfNoneMatch="*")
    devops.put_object(Bucket=LEDGER, Key=key.replace("lead", "devops"), Body=b"{}", IfNoneMatch="*")


def test_a_rehearsal_plays_the_people_whom_its_stack_asks(
    own: Checkout, first: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert first["said"]
    monkeypatch.setenv(session.DIRECTORY, str(own.sandbox))
    rehearsal = Rehearsal.of("staging")
    release = approvals.Release(stack="staging", code="0" * 64, plan="plan")
    played = approvals.play(rehearsal, release)
    assert [("lead", "approved")] == [(each.who, each.state) for each in played]
    assert "approved as lead by an emulated person (lead), with a second factor" in capsys.readouterr().err
    assert played == approvals.play(rehearsal, release)
    assert "" == capsys.readouterr().err
    assert [] == approvals.play(Rehearsal.of("dev"), release)


def test_nobody_changes_or_deletes_a_record(root: Callable[[str], Any], deploying: Callable[[str], Any]) -> None:
    record = {"Bucket": LEDGER, "Key": "entries/dev/2026/01/02/1.json"}
    version = deploying("s3").put_object(**record, Body=b"{}", IfNoneMatch="*")["VersionId"]
    for s3 in (root("s3"), deploying("s3")):
        for options in ({}, {"IfNoneMatch": "*"}):
            with pytest.raises(ClientError, match=r"AccessDenied|PreconditionFailed"):
                s3.put_object(**record, Body=b"other", **options)
        for options in ({}, {"VersionId": version}):
            with pytest.raises(ClientError, match="AccessDenied"):
                s3.delete_object(**record, **options)
    assert root("s3").get_object(**record)["Body"].read() == b"{}"


def test_who_deploys_a_stack_makes_bounded_roles_and_stays_within_it(
    deploying: Callable[[str], Any], root: Callable[[str], Any]
) -> None:
    iam = deploying("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    tags = [{"Key": "project", "Value": "product-api"}, {"Key": "stack", "Value": "dev"}]
    wanted: dict[str, Any] = {
        "RoleName": "product-api-dev-tried",
        "AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/product-api-function-boundary",
        "Tags": tags,
    }
    for changes in (
        {"PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
        {"RoleName": "product-api-staging-tried"},
        {"Tags": [{"Key": "project", "Value": "product-api"}, {"Key": "stack", "Value": "staging"}]},
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            iam.create_role(**{**wanted, **changes})
    iam.create_role(**wanted)
    for attempt in (
        lambda: iam.delete_role_permissions_boundary(RoleName="product-api-dev-tried"),
        lambda: iam.attach_role_policy(
            RoleName="product-api-dev-tried", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        lambda: iam.put_role_policy(RoleName="product-api-deploy-dev", PolicyName="more", PolicyDocument="{}"),
        lambda: iam.delete_role_permissions_boundary(RoleName="product-api-deploy-dev"),
        lambda: iam.create_policy_version(PolicyArn=wanted["PermissionsBoundary"], PolicyDocument="{}"),
        lambda: deploying("s3").put_bucket_policy(Bucket=LEDGER, Policy="{}"),
        lambda: deploying("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/product-api-approver-lead", RoleSessionName="test"
        ),
        lambda: deploying("cloudtrail").stop_logging(Name="product-api-account-trail"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    iam.delete_role(RoleName="product-api-dev-tried")
    assert root("iam").get_role(RoleName="product-api-deploy-dev")["Role"]["PermissionsBoundary"]


def test_down_leaves_it_saved_and_stops_everything(own: Checkout, first: dict[str, Any]) -> None:
    assert first["said"]
    own.ops("down", "dev")
    assert [] == own.processes()
    back = json.loads(own.ops("bootstrap", "dev", "--json").stdout)["program"]
    assert (back["changed"], back["looked"]) == (0, False)


def approve_as_a_person(copy: Checkout, box: session.Sandbox, env: dict[str, str]) -> None:
    """With an access key and a second factor, which is all that a person has."""
    iam = client(box, "iam", env)
    iam.create_user(UserName="ada", Path="/people/")
    allowed = [
        {"Effect": "Allow", "Action": "iam:ListMFADevices", "Resource": "*"},
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/*-approver-lead"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName="ada", PolicyName="approve", PolicyDocument=document)
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    person = {**env, "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    alone = copy.ops("approve", "staging", "--aws", check=False, **person)
    assert alone.returncode == Exit.FAILED
    assert "cannot act as product-api-approver-lead" in alone.stderr
    assert "give the code that yours shows (--mfa)" in alone.stderr
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="ada")["VirtualMFADevice"]
    seed, serial, now = device["Base32StringSeed"].decode(), device["SerialNumber"], time.time()
    before, code = (second_factor.code(seed, now + step * second_factor.STEP) for step in (-1, 0))
    iam.enable_mfa_device(UserName="ada", SerialNumber=serial, AuthenticationCode1=before, AuthenticationCode2=code)
    shown = second_factor.code(seed, time.time() + second_factor.STEP / 2)  # the command takes a moment to start
    done = copy.ops("approve", "staging", "--aws", "--mfa", shown, "--json", **person)
    [given] = json.loads(done.stdout)["approvals"]
    assert given["by"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/product-api-approver-lead/ada"


def test_on_aws_the_state_is_where_a_team_finds_it(tmp_path: Path) -> None:
    """AWS is another played account here, which the command meets by endpoint and credentials alone."""
    copy = Checkout.copy(tmp_path / "aws")
    try:
        copy.ops("pulumi", "--", "version")
        found = session.Sandbox(directory=copy.sandbox, account=ACCOUNT, region="eu-central-1", engine=Path("unused"))
        env = found.environment({"PATH": os.environ["PATH"]})
        bucket = f"product-api-state-{ACCOUNT}-eu-central-1"
        env["PULUMI_BACKEND_URL"] = f"s3://{bucket}?endpoint={env['AWS_ENDPOINT_URL']}&use_path_style=true"
        refused = copy.ops("bootstrap", "prod", "--aws", check=False, **env)
        assert refused.returncode == Exit.FAILED
        assert refused.stderr.splitlines()[0].startswith("*** PRODUCTION *** target: AWS, stack prod")
        assert "and stack prod lives in 444455556666" in refused.stderr
        done = copy.ops("bootstrap", "dev", "--aws", "--json", **env)
        said = json.loads(done.stdout)
        assert {"made", "mended", "found"} >= {part["state"] for part in said["backend"]}
        assert said["program"]["changes"]["create"] > 50
        assert said["secretsProvider"] == "awskms:///alias/product-api-account-state?region=eu-central-1"
        assert "names the secrets provider now: commit it" in done.stderr
        assert done.stderr.splitlines()[-1] == f"target: AWS, stack dev, account {ACCOUNT}, eu-central-1"
        s3 = client(found, "s3", env)
        stack = s3.get_object(Bucket=bucket, Key=".pulumi/stacks/product-api-account/nonprod.json")
        state = json.load(stack["Body"])
        assert state["checkpoint"]["latest"]["secrets_providers"]["type"] == "cloud"
        again = json.loads(copy.ops("bootstrap", "dev", "--aws", "--json", **env).stdout)
        assert {"found"} == {part["state"] for part in again["backend"]}
        assert again["program"]["changed"] == 0
        approve_as_a_person(copy, found, env)
    finally:
        copy.end()
