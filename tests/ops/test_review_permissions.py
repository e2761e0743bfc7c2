"""Who gains or loses which permission, by whichever way a document reaches its holder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.review import permissions
from ops.review.words import notes, plain, sentence
from tests.support.previews import ACCOUNT, LATER, OPERATIONS, document, policy, read, resource, role, statement, urn

BUCKET = "arn:aws:s3:::data/*"
READ = document(statement("s3:GetObject", BUCKET))


def told(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What is said of each holder, with a sign."""
    found = permissions.changes(read(before, after), lambda service: OPERATIONS.get(service, ()), ACCOUNT)
    return {
        f"{change.holder.kind} {change.holder.name}": [
            *(f"+ {plain(sentence(s, change.holder, ACCOUNT, named=False))}" for s in change.gained),
            *(f"- {plain(sentence(s, change.holder, ACCOUNT, named=False))}" for s in change.lost if not s.uncertain),
            *(f"? {what}" for what in change.unknown),
        ]
        for change in found
    }


class TestIdentities:
    def test_a_new_role_gains_what_its_policy_allows_and_who_may_act_as_it(self) -> None:
        assert told([], [role(), policy(READ)]) == {
            "role dev-worker": [
                "+ may call s3:GetObject on s3 data/*",
                "+ the service lambda.amazonaws.com may act as it",
            ]
        }

    def test_a_role_that_goes_loses_all(self) -> None:
        assert told([role(), policy(READ)], []) == {
            "role dev-worker": [
                "- may no longer call s3:GetObject on s3 data/*",
                "- the service lambda.amazonaws.com may no longer act as it",
            ]
        }

    def test_the_same_in_other_words_is_not_told(self) -> None:
        other = document(
            statement("S3:PUTOBJECT", [BUCKET], Sid="Write"), statement(["s3:getobject"], BUCKET, Sid="Read")
        )
        both = document(statement(["s3:GetObject", "s3:PutObject"], BUCKET))
        assert {} == told([role(), policy(both)], [role(), policy(other)])

    def test_a_statement_that_moves_to_another_policy_of_the_role_is_not_told(self) -> None:
        moved = role(inlinePolicies=[{"name": "read", "policy": READ}])
        assert {} == told([role(), policy(READ)], [moved])

    @pytest.mark.parametrize("known", [True, False], ids=["known", "known later"])
    def test_a_policy_that_is_attached_is_its_holder_s(self, known: bool) -> None:
        arn = f"arn:aws:iam::{ACCOUNT}:policy/reading"
        token = "aws:iam/policy:Policy"
        shared = resource(token, "reading", {"name": "reading", "policy": READ}, identifier=arn if known else "")
        attached = resource(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "reading",
            {"role": "dev-worker", "policyArn": arn if known else LATER},
            uses={"policyArn": [urn(token, "reading")], "role": [urn("aws:iam/role:Role", "worker")]},
        )
        assert told([role()], [role(), shared, attached]) == {
            "role dev-worker": ["+ may call s3:GetObject on s3 data/*"]
        }
        # And so it is no change when the document comes by this way and no longer inline.
        assert {} == told([role(), policy(READ)], [role(), shared, attached])

    def test_a_policy_of_nobody_is_told_at_itself(self) -> None:
        shared = resource("aws:iam/policy:Policy", "reading", {"name": "reading", "policy": READ})
        assert told([], [shared]) == {"policy reading": ["+ may call s3:GetObject on s3 data/*"]}

    @pytest.mark.parametrize("way", ["attachment", "managedPolicyArns"])
    def test_a_policy_of_amazon_is_told_by_name(self, way: str) -> None:
        arn = "arn:aws:iam::aws:policy/AdministratorAccess"
        after = (
            [
                role(),
                resource(
                    "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "a", {"role": "dev-worker", "policyArn": arn}
                ),
            ]
            if way == "attachment"
            else [role(managedPolicyArns=[arn])]
        )
        assert told([role()], after) == {"role dev-worker": [f"+ may do what is allowed by {arn}"]}
        (change,) = permissions.changes(read([role()], after), lambda _: (), ACCOUNT)
        assert change.gained[0].notable == "AdministratorAccess is very wide"

    def test_a_boundary_that_goes_is_a_gain_and_one_that_comes_a_loss(self) -> None:
        bounded = role(permissionsBoundary="arn:aws:iam::111122223333:policy/limit")
        assert told([bounded], [role()]) == {
            "role dev-worker": ["+ is no longer limited by the boundary arn:aws:iam::111122223333:policy/limit"]
        }
        assert told([role()], [bounded])["role dev-worker"][0].startswith("- is now limited by the boundary")

    def test_a_function_that_gets_another_role_is_told(self) -> None:
        def function(of: str) -> dict[str, Any]:
            return resource(
                "aws:lambda/function:Function", "api", {"name": "api", "role": f"arn:aws:iam::{ACCOUNT}:role/dev-{of}"}
            )

        stack = [role("one"), role("other")]
        assert told([*stack, function("one")], [*stack, function("other")]) == {
            "role dev-one": ["- function api no longer acts as it"],
            "role dev-other": ["+ function api acts as it"],
        }

    def test_a_function_that_gets_a_role_of_another_stack_is_told(self) -> None:
        function = resource("aws:lambda/function:Function", "api", {"name": "api", "role": "arn:aws:iam::1:role/far"})
        assert told([], [function]) == {"role far": ["+ function api acts as it"]}

    def test_a_user_that_joins_a_group_gains_what_is_the_group_s(self) -> None:
        user = resource("aws:iam/user:User", "ann", {"name": "ann"})
        joins = resource(
            "aws:iam/userGroupMembership:UserGroupMembership", "ann", {"user": "ann", "groups": ["admins"]}
        )
        assert told([user], [user, joins]) == {"user ann": ["+ may do what is allowed by group admins"]}

    def test_a_deny_that_goes_is_a_gain_that_stands_out(self) -> None:
        denying = document(statement("s3:*", "*"), {**statement("s3:DeleteObject", "*"), "Effect": "Deny"})
        before, after = [role(), policy(denying)], [role(), policy(document(statement("s3:*", "*")))]
        assert told(before, after) == {"role dev-worker": ["+ is no longer denied s3:DeleteObject on anything"]}
        (change,) = permissions.changes(read(before, after), lambda _: (), ACCOUNT)
        assert change.gained[0].notable == "a prohibition is lifted"
        assert told(after, before) == {"role dev-worker": ["- is now denied s3:DeleteObject on anything"]}

    def test_a_wildcard_names_what_it_newly_covers(self) -> None:
        before, after = [role(), policy(READ)], [role(), policy(document(statement("s3:Get*", BUCKET)))]
        (change,) = permissions.changes(read(before, after), lambda service: OPERATIONS.get(service, ()), ACCOUNT)
        assert notes(change.gained[0], ACCOUNT) == ["until now only s3:GetObject", "newly covers s3:GetObjectAcl"]

    def test_an_unknown_document_is_never_no_change(self) -> None:
        before, after = [role(), policy(READ)], [role(), policy(LATER)]
        assert told(before, after) == {"role dev-worker": ["? the document is known after the update"]}
        (change,) = permissions.changes(read(before, after), lambda _: (), ACCOUNT)
        assert [said.uncertain for said in change.lost] == [True]  # it may say so again

    def test_what_was_not_readable_and_is_not_touched_is_no_news(self) -> None:
        assert {} == told([role(), policy("{")], [role(), policy("{")])


class TestTrust:
    def trusting(self, **principal: Any) -> dict[str, Any]:
        return role(assumeRolePolicy=document(statement("sts:AssumeRole", None, Principal=principal)))

    def test_another_account_stands_out(self) -> None:
        before, after = [role()], [self.trusting(Service="lambda.amazonaws.com", AWS="999988887777")]
        assert told(before, after) == {"role dev-worker": ["+ account 999988887777 may act as it"]}
        (change,) = permissions.changes(read(before, after), lambda _: (), ACCOUNT)
        assert change.gained[0].notable == "account 999988887777 is another one"

    def test_one_that_is_no_longer_trusted_is_a_loss(self) -> None:
        assert told([role()], [self.trusting(Service="ec2.amazonaws.com")]) == {
            "role dev-worker": [
                "+ the service ec2.amazonaws.com may act as it",
                "- the service lambda.amazonaws.com may no longer act as it",
            ]
        }


class TestResources:
    def test_what_a_bucket_s_policy_gives_is_told_at_the_bucket(self) -> None:
        bucket = resource("aws:s3/bucket:Bucket", "data", {"bucket": "data"}, identifier="data")
        opened = resource(
            "aws:s3/bucketPolicy:BucketPolicy",
            "data",
            {"bucket": "data", "policy": document(statement("s3:GetObject", BUCKET, Principal="*"))},
        )
        assert told([bucket], [bucket, opened]) == {
            "bucket data": ["+ anybody may call s3:GetObject on s3 data/* by its policy"]
        }

    def test_lambda_s_permissions_are_statements_of_the_function(self) -> None:
        function = resource("aws:lambda/function:Function", "api", {"name": "api"})
        api = urn("aws:apigatewayv2/api:Api", "front")
        permission = resource(
            "aws:lambda/permission:Permission",
            "api",
            {
                "function": "api",
                "principal": "apigateway.amazonaws.com",
                "action": "lambda:InvokeFunction",
                "sourceArn": LATER,
            },
            uses={"sourceArn": [api]},
        )
        assert told([function], [function, permission]) == {
            "function api": [
                (
                    "+ the service apigateway.amazonaws.com may call lambda:InvokeFunction on it "
                    "only when aws:SourceArn is like that of front"
                )
            ]
        }

    def test_the_account_itself_with_all_of_its_key_does_not_stand_out(self) -> None:
        text = document(statement("kms:*", "*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
        key = resource("aws:kms/key:Key", "data", {"policy": text})
        (change,) = permissions.changes(read([], [key]), lambda _: (), ACCOUNT)
        assert [said.notable for said in change.gained] == [""]

    @pytest.mark.parametrize("value", [document(statement("es:*", "*", Principal="*")), LATER], ids=["known", "later"])
    def test_a_document_of_a_type_that_nobody_listed_is_told_too(self, value: str) -> None:
        domain = resource("aws:opensearch/domainPolicy:DomainPolicy", "search", {"policy": value})
        assert list(told([], [domain])) == ["domain policy search"]


def test_json_that_is_no_document_is_none() -> None:
    assert {} == told(
        [], [resource("aws:cloudwatch/dashboard:Dashboard", "d", {"dashboardBody": json.dumps({"a": 1})})]
    )
