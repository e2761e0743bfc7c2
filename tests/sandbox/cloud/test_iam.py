"""The evaluator by itself: patterns, operators, and how the kinds of policies decide together."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cloud.iam import conditions, policy
from sandbox.cloud.iam.policy import Check, Principal

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/run"
BUCKET = "arn:aws:s3:::bucket"


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> policy.Document:
    """A policy of statements that allow `s3:GetObject` on everything, as far as they say nothing else."""
    usual = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    filled = []
    for one in statements:
        base = {key: value for key, value in usual.items() if f"Not{key}" not in one}
        filled.append({**base, **one})
    return policy.parse({"Version": version, "Statement": filled})


def check(action: str = "s3:GetObject", resource: str = f"{BUCKET}/key", **context: Any) -> Check:
    """A request to read an object."""
    return Check(action=action, resource=resource, context=conditions.lowered(context))


def principal(*documents: policy.Document, **more: Any) -> Principal:
    """A session of the role with policies."""
    return Principal(**{"arn": SESSION, "account": ACCOUNT, "role": ROLE, "policies": documents, **more})


class TestPatterns:
    @given(st.text(alphabet="ab/:-*?$.", max_size=12), st.text(alphabet="ab/:-", max_size=12))
    def test_a_pattern_means_what_its_stars_and_marks_say(self, pattern: str, value: str) -> None:
        expected = re.fullmatch(
            "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern), value, re.DOTALL
        )
        assert conditions.matches(pattern, value) == bool(expected)

    @given(st.text(max_size=20))
    def test_a_value_matches_itself_as_a_variable(self, value: str) -> None:
        """Wildcards in what a variable stands for are plain characters."""
        assert conditions.matches("x${aws:username}", f"x{value}", {"aws:username": value})
        assert not conditions.matches("x${aws:username}", f"x{value}y", {"aws:username": value})

    @pytest.mark.parametrize(
        ("pattern", "value", "expected"),
        [
            ("team/${aws:PrincipalTag/Team}/*", "team/red/1", True),
            ("team/${aws:PrincipalTag/Team}/*", "team/blue/1", False),
            ("team/${aws:PrincipalTag/None}/*", "team//1", False),
            ("team/${aws:PrincipalTag/None, 'red'}/*", "team/red/1", True),
            ("a${*}b", "a*b", True),
            ("a${*}b", "axb", False),
            ("a${$}{b", "a${b", True),
        ],
    )
    def test_variables_are_the_requests(self, pattern: str, value: str, expected: bool) -> None:
        assert conditions.matches(pattern, value, {"aws:principaltag/team": "red"}) is expected

    def test_an_old_version_knows_no_variables(self) -> None:
        old = document({"Resource": f"{BUCKET}/${{aws:username}}"}, version="2008-10-17")
        named = check(resource=f"{BUCKET}/me", **{"aws:username": "me"})
        assert not policy.decide(principal(old), named).allowed
        assert policy.decide(principal(document({"Resource": f"{BUCKET}/${{aws:username}}"})), named).allowed


@pytest.mark.parametrize(
    ("operator", "wanted", "actual", "expected"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEquals", "a", None, True),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringLike", "repo:own/*:environment:dev", "repo:own/app:environment:dev", True),
        ("StringLike", "repo:own/*:environment:dev", "repo:own/app:environment:prod", False),
        ("StringNotLike", "a*", "ab", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "10", False),
        ("NumericNotEquals", "10", "11", True),
        ("NumericEquals", "10", "ten", False),
        ("DateLessThan", "2030-01-01T00:00:00Z", "2026-01-01T00:00:00Z", True),
        ("DateGreaterThan", "1767225600", "2026-06-01T00:00:00Z", True),
        ("Bool", "true", "true", True),
        ("Bool", False, "true", False),
        ("BoolIfExists", "true", None, True),
        ("BinaryEquals", "QUJD", "QUJD", True),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
        ("ArnLike", "arn:aws:iam::*:role/product-*", ROLE.replace("deploy", "product-x"), True),
        ("ArnLike", "arn:aws:iam:*:role/deploy", ROLE, False),  # a star does not reach over a colon
        ("ArnNotEquals", ROLE, ROLE, False),
        ("Null", "true", None, True),
        ("Null", "true", "x", False),
        ("Null", "false", "x", True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a", "b"], None, True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True),
        ("ForAnyValue:StringEquals", ["a", "b"], None, False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "c"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["a", "c"], False),
        ("Unheard", "a", "a", False),
    ],
)
def test_operators_are_those_of_the_guide(operator: str, wanted: Any, actual: Any, expected: bool) -> None:
    """Operator by operator, with sets, absent keys and negation."""
    context = conditions.lowered({"Some:Key": actual})
    assert conditions.met({operator: {"some:key": wanted}}, context) is expected


def test_a_condition_compares_with_a_variable() -> None:
    """Also a pattern with one."""
    context = {"aws:resourcetag/team": "red", "aws:principaltag/team": "red"}
    for operator, wanted in (("StringEquals", "${aws:PrincipalTag/team}"), ("StringLike", "${aws:PrincipalTag/team}*")):
        assert conditions.met({operator: {"aws:ResourceTag/team": wanted}}, context)
        assert not conditions.met(
            {operator: {"aws:ResourceTag/team": wanted}}, {**context, "aws:principaltag/team": "x"}
        )
    star = {"aws:resourcetag/team": "anything", "aws:principaltag/team": "*"}
    assert not conditions.met({"StringLike": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}, star)


class TestDecisions:
    def test_nothing_is_allowed_by_nothing(self) -> None:
        decision = policy.decide(principal(), check())
        assert decision.message(principal(), check()) == (
            f"User: {SESSION} is not authorized to perform: s3:GetObject on resource: {BUCKET}/key because no "
            "identity-based policy allows the s3:GetObject action"
        )

    def test_a_deny_wins_wherever_it_stands(self) -> None:
        allow, deny = document({}), document({"Effect": "Deny"})
        named = document({"Principal": {"AWS": SESSION}})
        for who, own in (
            (principal(allow, deny), named),
            (principal(allow, boundary=[allow, deny]), named),
            (principal(allow, session=[allow, deny]), named),
            (principal(allow), document({"Principal": "*"}, {"Effect": "Deny", "Principal": "*"})),
        ):
            decision = policy.decide(who, check(), resource_policy=own)
            assert not decision.allowed
            assert decision.explicit
            assert "with an explicit deny in a" in decision.message(who, check())

    def test_a_boundary_and_a_session_policy_only_take_away(self) -> None:
        allow, other = document({}), document({"Action": "s3:PutObject"})
        assert policy.decide(principal(allow, boundary=[allow], session=[allow]), check()).allowed
        assert not policy.decide(principal(boundary=[allow], session=[allow]), check()).allowed
        bounded = policy.decide(principal(allow, boundary=[other]), check())
        assert "no permissions boundary allows" in bounded.message(principal(), check())
        narrowed = policy.decide(principal(allow, boundary=[allow], session=[other]), check())
        assert "no session policy allows" in narrowed.message(principal(), check())

    @pytest.mark.parametrize(
        ("named", "own", "bounded", "expected"),
        [
            ({"AWS": SESSION}, False, False, True),
            ({"AWS": SESSION}, False, True, True),  # a boundary's silence does not reach what names the session itself
            ({"AWS": ROLE}, False, False, True),
            ({"AWS": ROLE}, False, True, False),
            ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, False, False, False),
            ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, True, False, True),
            ({"AWS": ACCOUNT}, True, False, True),
            ({"AWS": "444455556666"}, True, False, True),  # within the account, the identity's own policy is enough
            ({"Service": "lambda.amazonaws.com"}, False, False, False),
            ("*", False, False, True),
        ],
    )
    def test_a_resource_policy_gives_within_the_account(
        self, named: Any, own: bool, bounded: bool, expected: bool
    ) -> None:
        boundary = [document({"Action": "s3:PutObject"})] if bounded else None
        who = principal(*([document({})] if own else []), boundary=boundary)
        decision = policy.decide(who, check(), resource_policy=document({"Principal": named}), owner=ACCOUNT)
        assert decision.allowed is expected

    @pytest.mark.parametrize(
        ("own", "theirs", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
    )
    def test_across_accounts_both_sides_must_agree(self, own: bool, theirs: bool, expected: bool) -> None:
        who = principal(*([document({})] if own else []))
        other = document({"Principal": {"AWS": ROLE if theirs else "arn:aws:iam::444455556666:root"}})
        assert policy.decide(who, check(), resource_policy=other, owner="444455556666").allowed is expected

    def test_a_key_must_agree_even_within_the_account(self) -> None:
        who = principal(document({}))
        silent = document({"Principal": {"AWS": "arn:aws:iam::111122223333:role/another"}})
        decision = policy.decide(who, check(), resource_policy=silent, required=True)
        assert "no resource-based policy allows" in decision.message(who, check())
        delegating = document({"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}})
        assert policy.decide(who, check(), resource_policy=delegating, required=True).allowed

    def test_negated_elements_are_everything_else(self) -> None:
        everything_but = document({"NotAction": "iam:*"})
        assert policy.decide(principal(everything_but), check()).allowed
        assert not policy.decide(principal(everything_but), check(action="iam:CreateRole")).allowed
        elsewhere = document({"NotResource": f"{BUCKET}/*"})
        assert not policy.decide(principal(elsewhere), check()).allowed
        others = document({"Effect": "Deny", "NotPrincipal": {"AWS": ROLE}})
        assert policy.decide(principal(document({})), check(), resource_policy=others).allowed
        stranger = principal(document({}), role=f"arn:aws:iam::{ACCOUNT}:role/stranger")
        assert not policy.decide(stranger, check(), resource_policy=others).allowed

    def test_actions_have_no_case_and_resources_do(self) -> None:
        assert policy.decide(principal(document({"Action": "S3:getobject"})), check()).allowed
        assert not policy.decide(principal(document({"Resource": BUCKET.upper()})), check()).allowed

    def test_a_service_is_named_by_its_name(self) -> None:
        events = Principal(arn="events.amazonaws.com", service="events.amazonaws.com")
        source = {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/mine"}}
        own = document({"Principal": {"Service": "events.amazonaws.com"}, "Condition": source})
        mine, other = (check(**{"aws:SourceArn": f"arn:aws:events:r:a:rule/{name}"}) for name in ("mine", "other"))
        assert policy.decide(events, mine, resource_policy=own).allowed
        assert not policy.decide(events, other, resource_policy=own).allowed
