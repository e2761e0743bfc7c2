"""What a role may do is decided on the action and the resource that AWS names, under AWS's conditions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.cloud import access
from tests.sandbox.cloud.harness import ACCOUNT, REGION, zipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.cloud.harness import Cloud

DENIED = "not authorized|AccessDenied"


def arn(service: str, resource: str) -> str:
    """Return an ARN in the test's account and region."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def test_any_secret_key_is_right_for_an_accounts_root(cloud: Cloud) -> None:
    """The account is the access key; accounts do not see each other."""
    for account in (ACCOUNT, "000000000002"):
        assert cloud.client("sts", account).get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:root"
    cloud.client("ssm").put_parameter(Name="/mine", Value="mine", Type="String")
    assert cloud.client("ssm", "000000000002").describe_parameters()["Parameters"] == []


def test_an_unknown_access_key_and_a_wrong_signature_are_refused(cloud: Cloud) -> None:
    """IAM is enforced, not played."""
    with pytest.raises(ClientError, match="security token"):
        cloud.client("sts", "AKIAUNKNOWN000000000").get_caller_identity()
    role = cloud.role("signed")
    session = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session.pop("Expiration")
    with pytest.raises(ClientError, match="signature"):
        cloud.client("s3", **{**session, "SecretAccessKey": "wrong"}).list_buckets()


def test_a_session_is_known_by_its_roles_arn(cloud: Cloud) -> None:
    """`aws:PrincipalArn` in a secret's policy, which lets one role alone read it."""
    roles = [cloud.role(name, {"Action": "secretsmanager:*", "Resource": "*"}) for name in ("reader", "another")]
    secrets = cloud.client("secretsmanager")
    secrets.create_secret(Name="guarded", SecretString="value")
    others = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    condition = {"ArnNotEquals": {"aws:PrincipalArn": [roles[0], f"arn:aws:iam::{ACCOUNT}:root"]}}
    policy = {"Version": "2012-10-17", "Statement": [{**others, "Condition": condition}]}
    secrets.put_resource_policy(SecretId="guarded", ResourcePolicy=json.dumps(policy))
    reading = cloud.acting_as(roles[0], "secretsmanager")
    assert reading.get_secret_value(SecretId="guarded")["SecretString"] == "value"
    with pytest.raises(ClientError, match=DENIED):
        cloud.acting_as(roles[1], "secretsmanager").get_secret_value(SecretId="guarded")


def test_a_tag_condition_on_a_secret_counts(cloud: Cloud) -> None:
    """`secretsmanager:ResourceTag` and `aws:ResourceTag`, allowed and denied."""
    secrets = cloud.client("secretsmanager")
    for name in ("api", "migrator"):
        secrets.create_secret(Name=f"tagged-{name}", SecretString=name, Tags=[{"Key": "Role", "Value": name}])
    for key in ("secretsmanager:ResourceTag/Role", "aws:ResourceTag/Role"):
        allowed = {
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
            "Condition": {"StringEquals": {key: "api"}},
        }
        reading = cloud.acting_as(cloud.role(key.replace(":", "-").replace("/", "-"), allowed), "secretsmanager")
        assert reading.get_secret_value(SecretId="tagged-api")["SecretString"] == "api"
        with pytest.raises(ClientError, match=DENIED):
            reading.get_secret_value(SecretId="tagged-migrator")


def test_an_api_is_told_by_its_tags(cloud: Cloud) -> None:
    """AWS makes up its id; what is within it has no tags, and is told by nothing."""
    gateway = cloud.client("apigatewayv2")
    own, other = (
        gateway.create_api(Name=owner, ProtocolType="HTTP", Tags={"stack": owner})["ApiId"]
        for owner in ("own", "other")
    )
    within = f"arn:aws:apigateway:{REGION}::/apis/*"
    changing = {"Action": ["apigateway:PATCH", "apigateway:DELETE"], "Resource": within}
    mine = {**changing, "Condition": {"StringEquals": {"aws:ResourceTag/stack": "own"}}}
    acting = cloud.acting_as(cloud.role("of-own-apis", mine), "apigatewayv2")
    acting.update_api(ApiId=own, Description="changed")
    with pytest.raises(ClientError, match=DENIED):
        acting.update_api(ApiId=other, Description="changed")
    acting.delete_api(ApiId=own)


def test_a_secret_under_a_customer_key_needs_the_key(cloud: Cloud) -> None:
    """And `kms:ViaService` tells a use through the service from a direct one."""
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    secrets = cloud.client("secretsmanager")
    secret = secrets.create_secret(Name="encrypted", SecretString="value", KmsKeyId=key)["ARN"]
    reading = {"Action": "secretsmanager:GetSecretValue", "Resource": secret}
    without = cloud.acting_as(cloud.role("keyless", reading), "secretsmanager")
    with pytest.raises(ClientError, match=DENIED):
        without.get_secret_value(SecretId="encrypted")

    def using(name: str, service: str) -> str:
        condition = {"StringEquals": {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}}
        return cloud.role(name, reading, {"Action": "kms:Decrypt", "Resource": key, "Condition": condition})

    right = using("through-secrets", "secretsmanager")
    assert cloud.acting_as(right, "secretsmanager").get_secret_value(SecretId="encrypted")["SecretString"] == "value"
    with pytest.raises(ClientError, match=DENIED):
        cloud.acting_as(using("through-s3", "s3"), "secretsmanager").get_secret_value(SecretId="encrypted")
    blob = cloud.client("kms").encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
    with pytest.raises(ClientError, match=DENIED):
        cloud.acting_as(right, "kms").decrypt(CiphertextBlob=blob)


def test_a_key_may_be_named_by_its_alias(cloud: Cloud) -> None:
    """`kms:ResourceAliases`, by which a permission is written before the key's id is known."""
    kms, secrets = cloud.client("kms"), cloud.client("secretsmanager")
    keys = {}
    for name in ("right", "wrong"):
        keys[name] = kms.create_key()["KeyMetadata"]["Arn"]
        kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=keys[name])
        secrets.create_secret(Name=f"under-{name}", SecretString=name, KmsKeyId=keys[name])
    condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/right"}}
    using = {"Action": "kms:Decrypt", "Resource": "*", "Condition": condition}
    role = cloud.role("by-alias", {"Action": "secretsmanager:GetSecretValue", "Resource": "*"}, using)
    reading, decrypting = cloud.acting_as(role, "secretsmanager"), cloud.acting_as(role, "kms")
    assert reading.get_secret_value(SecretId="under-right")["SecretString"] == "right"
    with pytest.raises(ClientError, match=DENIED):
        reading.get_secret_value(SecretId="under-wrong")
    for name, key in keys.items():
        blob = kms.encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
        if name == "right":
            assert decrypting.decrypt(CiphertextBlob=blob, KeyId=key)["Plaintext"] == b"text"
        else:
            with pytest.raises(ClientError, match=DENIED):
                decrypting.decrypt(CiphertextBlob=blob, KeyId=key)


def test_writing_such_a_secret_needs_the_key_too(cloud: Cloud) -> None:
    """GenerateDataKey and Decrypt."""
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    secret = cloud.client("secretsmanager").create_secret(Name="to-be-filled", KmsKeyId=key)["ARN"]
    writing = {"Action": "secretsmanager:PutSecretValue", "Resource": secret}
    with pytest.raises(ClientError, match=DENIED):
        cloud.acting_as(cloud.role("filling", writing), "secretsmanager").put_secret_value(
            SecretId=secret, SecretString="v"
        )
    using = {"Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key}
    able = cloud.acting_as(cloud.role("filling-with-key", writing, using), "secretsmanager")
    able.put_secret_value(SecretId=secret, SecretString="v")


@pytest.fixture(scope="module")
def scoped(cloud: Cloud) -> str:
    """A function with an alias, and a key; the key's id."""
    cloud.function("scoped", "def handler(event, context): ...", cloud.role("owner"))
    client = cloud.client("lambda")
    client.publish_version(FunctionName="scoped")
    client.create_alias(FunctionName="scoped", Name="live", FunctionVersion="1")
    return str(cloud.client("kms").create_key()["KeyMetadata"]["KeyId"])


def create_function(client: Any, _key: str) -> None:
    """Create a function named `created`."""
    client.create_function(
        FunctionName="created",
        Role=f"arn:aws:iam::{ACCOUNT}:role/owner",
        Runtime="python3.13",
        Handler="index.handler",
        Code={"ZipFile": zipped(index="")},
    )


def publish_layer(client: Any, _key: str) -> None:
    """Publish a version of the layer `scoped`."""
    client.publish_layer_version(LayerName="scoped", Content={"ZipFile": zipped(module="")})


@pytest.mark.parametrize(
    ("action", "resources", "call"),
    [
        (
            "lambda:UpdateAlias",
            ["function:scoped"],
            lambda client, _: client.update_alias(FunctionName="scoped", Name="live", Description="moved"),
        ),
        (
            "lambda:GetAlias",
            ["function:scoped"],
            lambda client, _: client.get_alias(FunctionName="scoped", Name="live"),
        ),
        ("lambda:CreateFunction", ["function:created"], create_function),
        ("lambda:PublishLayerVersion", ["layer:scoped"], publish_layer),
        (
            "kms:CreateAlias",
            ["alias/scoped", "key/*"],
            lambda client, key: client.create_alias(AliasName="alias/scoped", TargetKeyId=key),
        ),
    ],
)
def test_an_action_scoped_to_its_resource_is_allowed(
    cloud: Cloud, scoped: str, action: str, resources: list[str], call: Callable[[Any, str], Any]
) -> None:
    """A least-privilege role can do what it is for, and no other one can."""
    service, _, name = action.partition(":")
    other = cloud.acting_as(cloud.role(f"not-{name}", {"Action": action, "Resource": arn(service, "other")}), service)
    with pytest.raises(ClientError, match=DENIED):
        call(other, scoped)
    allowed = {"Action": action, "Resource": [arn(service, resource) for resource in resources]}
    passing = {"Action": "iam:PassRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/owner"}
    call(cloud.acting_as(cloud.role(name, allowed, passing), service), scoped)


@pytest.mark.parametrize(
    ("policy", "qualifier", "expected"),
    [
        ({}, "live", True),
        ({}, "", False),
        ({"Resource": "arn:aws:lambda:r:a:function:f"}, "live", False),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:execute-api:r:a:api/*"}}}, "live", True),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:execute-api:r:a:api/*/GET/items"}}}, "live", True),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:execute-api:r:a:api/*/POST/items"}}}, "live", False),
        ({"Principal": {"Service": "events.amazonaws.com"}}, "live", False),
        ({"Action": "lambda:GetFunction"}, "live", False),
        ({"Action": "lambda:*"}, "live", True),
        ({"Effect": "Deny"}, "live", False),
    ],
)
def test_a_gateways_permission_is_read_as_aws_reads_it(policy: dict[str, Any], qualifier: str, expected: bool) -> None:
    """Principal, action, qualified resource and source."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": "arn:aws:lambda:r:a:function:f:live",
        **policy,
    }
    source = access.api_source_arn("r", "a", "api", "$default", ({}, b"", {}, "GET /items"), {})
    assert source == "arn:aws:execute-api:r:a:api/$default/GET/items"
    assert access.gateway_may_invoke({"Statement": [statement]}, "f", qualifier, source) is expected
