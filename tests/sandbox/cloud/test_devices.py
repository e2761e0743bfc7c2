"""A second factor: what a trust policy demands of people, and what an authenticator shows."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox import second_factor
from tests.sandbox.cloud.harness import ACCOUNT

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud

# RFC 6238, appendix B: the last six of its eight digits.
SEED = base64.b32encode(b"12345678901234567890").decode()
SERIAL = f"arn:aws:iam::{ACCOUNT}:mfa/lead"


@pytest.mark.parametrize(
    ("moment", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_the_standard(moment: float, code: str) -> None:
    assert code == second_factor.code(SEED, moment)
    assert second_factor.shown(SEED, code, moment + second_factor.STEP)
    assert not second_factor.shown(SEED, code, moment + 3 * second_factor.STEP)


@pytest.fixture(scope="module")
def seed(cloud: Cloud) -> str:
    """A person with a device, who may assume `guarded`; the device's seed."""
    iam = cloud.client("iam")
    iam.create_user(UserName="lead", Path="/people/")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName="lead")["VirtualMFADevice"]
    assert made["SerialNumber"] == SERIAL
    found = made["Base32StringSeed"].decode()
    with pytest.raises(ClientError, match="InvalidAuthenticationCode"):
        enable(iam, found, time.time() - 600)
    enable(iam, found, time.time())
    allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="lead", PolicyName="assume", PolicyDocument=document)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    }
    iam.create_role(
        RoleName="guarded", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    return str(found)


def enable(iam: Any, seed: str, moment: float) -> None:
    """Enable the device by the codes of two steps."""
    before, now = (second_factor.code(seed, moment + step * second_factor.STEP) for step in (-1, 0))
    iam.enable_mfa_device(UserName="lead", SerialNumber=SERIAL, AuthenticationCode1=before, AuthenticationCode2=now)


def assume(cloud: Cloud, **factor: str) -> dict[str, Any]:
    """Assume the role with an access key of the person."""
    iam = cloud.client("iam")
    key = iam.create_access_key(UserName="lead")["AccessKey"]
    try:
        sts = cloud.client("sts", AccessKeyId=key["AccessKeyId"], SecretAccessKey=key["SecretAccessKey"])
        answer: dict[str, Any] = sts.assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/guarded", RoleSessionName="lead", **factor
        )
        return answer
    finally:
        iam.delete_access_key(UserName="lead", AccessKeyId=key["AccessKeyId"])


@pytest.mark.usefixtures("seed")
def test_a_role_that_wants_a_second_factor_refuses_a_key_alone(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        assume(cloud)


def test_it_lets_in_who_shows_a_code_of_their_own_device(cloud: Cloud, seed: str) -> None:
    shown = second_factor.code(seed, time.time())
    answer = assume(cloud, SerialNumber=SERIAL, TokenCode=shown)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/guarded/lead"
    with pytest.raises(ClientError, match="invalid MFA one time pass code"):
        assume(cloud, SerialNumber=f"{SERIAL}-other", TokenCode=shown)
    with pytest.raises(ClientError, match="invalid MFA one time pass code"):
        assume(cloud, SerialNumber=SERIAL, TokenCode=second_factor.code(seed, time.time() - 600))
