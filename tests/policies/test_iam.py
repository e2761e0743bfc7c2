"""What IAM documents mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.guardrails.iam import Kind, Verdict, judge
from policies.guardrails.iam.patterns import covers_everything, matches, unbounded
from policies.guardrails.unknown import Unknown

CASES = [json.loads(line) for line in Path(__file__).with_name("cases").joinpath("iam.jsonl").read_text().splitlines()]
# What needs knowledge of single actions, or of OIDC providers, comes with the service reference.
BEYOND = {"delete-any-table", "oidc-tags"}


def document(**statement: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}


def rules(source: object, kind: Kind = Kind.IDENTITY) -> list[str]:
    return [finding.rule for finding in judge(source, kind)]


@pytest.mark.parametrize("case", [c for c in CASES if c["id"] not in BEYOND], ids=lambda c: c["id"])
def test_sample_cases_have_their_verdict(case: dict[str, Any]) -> None:
    found = judge(case["document"], Kind(case["kind"]))

    assert case["verdict"] == ("fail" if found else "pass")


@pytest.mark.parametrize("case", [c for c in CASES if c["id"] in BEYOND], ids=lambda c: c["id"])
def test_samples_beyond_this_judge_are_all_bad_ones(case: dict[str, Any]) -> None:
    """What is left out may only be something missed, never a false alarm."""
    assert case["verdict"] == "fail"


class TestWildcards:
    @pytest.mark.parametrize("action", ["*", "*:*", "**", "?*", "*?:*", ["s3:GetObject", "*"]])
    def test_every_spelling_of_everything_is_found(self, action: Any) -> None:
        assert rules(document(Action=action, Resource="*")) == ["iam-all-actions"]

    @pytest.mark.parametrize("action", ["s3:*", "S3:*", "s3:**", "s3:?*", "s*:Get*", "*:GetObject", "s?:ListBucket"])
    def test_every_spelling_of_a_service_is_found(self, action: str) -> None:
        assert rules(document(Action=action, Resource="arn:aws:s3:::one")) == ["iam-service-wildcard"]

    @pytest.mark.parametrize(
        "action", ["s3:GetObject", "s3:Get*", "kms:Decrypt", "logs:PutLogEvents", "execute-api:Invoke"]
    )
    def test_named_actions_pass(self, action: str) -> None:
        assert rules(document(Action=action, Resource="*")) == []

    @pytest.mark.parametrize("statement", [{"Action": "s3:*"}, {"NotAction": "sts:*"}, {"Action": "*"}])
    def test_deny_grants_nothing(self, statement: dict[str, Any]) -> None:
        assert rules(document(Effect="Deny", Resource="*", **statement)) == []

    def test_a_single_statement_is_judged_like_a_list_of_them(self) -> None:
        one = document(Action="s3:*", Resource="*")

        assert rules(one) == rules({**one, "Statement": one["Statement"][0]}) == ["iam-service-wildcard"]

    def test_findings_name_their_place_and_value(self) -> None:
        found = judge(document(Action=["sqs:SendMessage", "SQS:*"], Resource="*"))[0]

        assert (found.path, "SQS:*" in found.message) == ("/Statement/0/Action/1", True)


class TestExceptions:
    def test_allow_with_not_action_fails_in_every_kind_of_document(self) -> None:
        assert rules(document(NotAction="iam:*", Resource="*")) == ["iam-not-action"]
        trust = document(NotAction="sts:TagSession", Principal={"Service": "ec2.amazonaws.com"})
        assert rules(trust, Kind.TRUST) == ["iam-not-action"]

    def test_allow_with_not_resource_fails(self) -> None:
        assert rules(document(Action="s3:GetObject", NotResource="arn:aws:s3:::x/*")) == ["iam-not-resource"]


class TestEscalation:
    @pytest.mark.parametrize(
        "resource",
        [
            "*",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws-cn:iam::*:*",
            "arn:aws-us-gov:iam::1:role/*",
            "arn:aws:iam::*",
            "arn:aws:*::1:role/*",
        ],
    )
    @pytest.mark.parametrize(
        "action", ["iam:CreateAccessKey", "iam:*LoginProfile", "IAM:PUT?SERPOLICY", "iam:PassRole"]
    )
    def test_power_over_anybody_is_found_in_every_partition(self, action: str, resource: str) -> None:
        assert rules(document(Action=action, Resource=resource)) == ["iam-escalation"]

    @pytest.mark.parametrize(
        "resource", ["arn:aws:iam::1:role/app/*", "arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:role/one"]
    )
    def test_a_path_or_a_name_bounds_it(self, resource: str) -> None:
        assert rules(document(Action="iam:PutRolePolicy", Resource=resource)) == []

    def test_a_required_boundary_bounds_it(self) -> None:
        boundary = {"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::1:policy/edge"}}

        assert rules(document(Action="iam:CreateAccessKey", Resource="*")) == ["iam-escalation"]
        assert rules(document(Action="iam:PutRolePolicy", Resource="*", Condition=boundary)) == []

    @pytest.mark.parametrize("operator", ["StringEqualsIfExists", "ForAllValues:StringEquals", "StringNotEquals"])
    def test_a_condition_that_also_holds_without_the_key_bounds_nothing(self, operator: str) -> None:
        boundary = {operator: {"iam:PermissionsBoundary": "arn:aws:iam::1:policy/edge"}}

        assert rules(document(Action="iam:PutRolePolicy", Resource="*", Condition=boundary)) == ["iam-escalation"]

    def test_pass_role_to_one_service_passes(self) -> None:
        only = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}

        assert rules(document(Action="iam:PassRole", Resource="*", Condition=only)) == []


class TestPrincipals:
    @pytest.mark.parametrize(
        "principal", ["*", {"AWS": "*"}, {"AWS": ["arn:aws:iam::1:root", "*"]}, {"AWS": "arn:aws:iam::*:root"}]
    )
    def test_anybody_is_found(self, principal: Any) -> None:
        trust = document(Principal=principal, Action="sts:AssumeRole")

        assert rules(trust, Kind.TRUST) == ["iam-open-principal"]

    def test_everybody_else_is_found(self) -> None:
        policy = document(
            NotPrincipal={"AWS": "arn:aws:iam::1:root"}, Action="sqs:SendMessage", Resource="arn:aws:sqs:a:1:q"
        )

        assert rules(policy, Kind.RESOURCE) == ["iam-open-principal"]

    @pytest.mark.parametrize(
        "condition",
        [
            {"StringEquals": {"aws:PrincipalOrgID": "o-abc"}},
            {"ArnLike": {"AWS:SourceArn": "arn:aws:sns:eu-central-1:1:alerts"}},
            {"StringEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}},
            {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        ],
    )
    def test_a_condition_that_identifies_the_caller_is_enough(self, condition: Any) -> None:
        policy = document(Principal="*", Action="s3:GetObject", Resource="arn:aws:s3:::b/*", Condition=condition)

        assert rules(policy, Kind.RESOURCE) == []

    @pytest.mark.parametrize(
        "condition",
        [
            {"StringLike": {"aws:PrincipalOrgID": "*"}},
            {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-abc"}},
            {"StringNotEquals": {"aws:PrincipalOrgID": "o-abc"}},
            {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-abc"}},
            {"StringEquals": {"aws:UserAgent": "secret"}},
            {"Bool": {"aws:SecureTransport": True}},
            {"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}},
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin"}},
        ],
    )
    def test_one_that_does_not_is_not(self, condition: Any) -> None:
        policy = document(Principal="*", Action="s3:GetObject", Resource="arn:aws:s3:::b/*", Condition=condition)

        assert rules(policy, Kind.RESOURCE) == ["iam-open-principal"]

    def test_the_default_policy_of_a_key_passes(self) -> None:
        """Every action and every resource: in a key's policy that is the key itself, for its own account."""
        key = document(Principal={"AWS": "arn:aws:iam::1:root"}, Action="kms:*", Resource="*")

        assert rules(key, Kind.RESOURCE) == []


class TestMalformed:
    @pytest.mark.parametrize(
        "source",
        [
            "",
            "not json",
            "[]",
            "null",
            "[" * 100_000,
            '{"Statement": NaN}',
            '{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}',
            {},
            None,
            7,
            {"Statement": []},
            {"Statement": [[]]},
            {"Version": "2013-01-01", "Statement": document(Action="s3:GetObject", Resource="*")["Statement"]},
            {"statement": document(Action="s3:GetObject", Resource="*")["Statement"]},
            document(Effect="allow", Action="s3:GetObject", Resource="*"),
            document(Action="s3:GetObject"),
            document(Resource="*"),
            document(Action=[], Resource="*"),
            document(Action="", Resource="*"),
            document(Action="GetObject", Resource="*"),
            document(Action="s3:Get Object", Resource="*"),
            document(Action=[["s3:GetObject"]], Resource="*"),
            document(Action="s3:GetObject", Resource="bucket"),
            document(Action="s3:GetObject", NotAction="s3:PutObject", Resource="*"),
            document(Action="s3:GetObject", Resource="*", Principal="*"),
            document(Action="s3:GetObject", Resource="*", Conditions={}),
            document(Action="s3:GetObject", Resource="*", Condition={"StringAlike": {"a": "b"}}),
            document(Action="s3:GetObject", Resource="*", Condition={"StringEquals": "b"}),
            document(Action="s3:GetObject", Resource="*", Condition={"StringEquals": {"a": {}}}),
            document(Action="s3:GetObject", Resource="*", Sid=1),
        ],
        ids=lambda source: str(source)[:60],
    )
    def test_what_amazon_would_refuse_fails(self, source: object) -> None:
        assert "iam-malformed" in rules(source)

    def test_a_malformed_statement_hides_no_other_finding(self) -> None:
        source = document(Action="s3:*", Resource="*")
        source["Statement"].insert(0, 7)

        assert rules(source) == ["iam-malformed", "iam-service-wildcard"]

    def test_an_effect_that_is_no_deny_is_judged_as_what_it_would_be_at_worst(self) -> None:
        assert rules(document(Effect="deny", Action="*", Resource="*")) == ["iam-malformed", "iam-all-actions"]

    def test_trust_has_a_principal_and_no_resource(self) -> None:
        assert rules(document(Action="sts:AssumeRole"), Kind.TRUST) == ["iam-malformed"]
        trust = document(Action="sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"}, Resource="*")
        assert rules(trust, Kind.TRUST) == ["iam-malformed"]

    def test_the_text_of_what_is_not_json_is_not_quoted(self) -> None:
        assert "hunter2" not in judge("hunter2")[0].message


class TestUnknown:
    def verdicts(self, source: object, kind: Kind = Kind.IDENTITY) -> list[tuple[str, Verdict]]:
        return [(finding.rule, finding.verdict) for finding in judge(source, kind)]

    def test_an_unknown_document_is_undecidable_once(self) -> None:
        assert self.verdicts(Unknown("policy")) == [("iam-unknown", Verdict.UNDECIDABLE)]

    def test_what_is_known_is_judged_beside_it(self) -> None:
        source = document(Action=["s3:*", Unknown("a")], Resource=Unknown("r"))

        assert self.verdicts(source) == [
            ("iam-service-wildcard", Verdict.FAIL),
            ("iam-unknown", Verdict.UNDECIDABLE),
        ]

    def test_an_unknown_that_no_verdict_hangs_on_is_nothing(self) -> None:
        assert self.verdicts(document(Action="s3:GetObject", Resource=Unknown("r"))) == []
        assert self.verdicts(document(Effect="Deny", Action=Unknown("a"), Resource="*")) == []

    def test_an_unknown_that_a_verdict_hangs_on_is_undecidable(self) -> None:
        assert self.verdicts(document(Action="iam:PassRole", Resource=Unknown("r"))) == [
            ("iam-unknown", Verdict.UNDECIDABLE)
        ]
        open_queue = document(Principal="*", Action="sqs:SendMessage", Resource="*", Condition=Unknown("c"))
        assert ("iam-unknown", Verdict.UNDECIDABLE) in self.verdicts(open_queue, Kind.RESOURCE)

    @pytest.mark.parametrize("element", ["NotAction", "NotResource"])
    def test_an_unknown_exception_is_undecidable(self, element: str) -> None:
        other = {"Resource": "*"} if element == "NotAction" else {"Action": "s3:GetObject"}

        assert self.verdicts(document(**{element: Unknown("n")}, **other)) == [("iam-unknown", Verdict.UNDECIDABLE)]


class TestPatterns:
    @given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
    def test_matching_is_what_the_definition_says(self, pattern: str, text: str) -> None:
        def by_definition(p: str, t: str) -> bool:
            if not p:
                return not t
            if p[0] == "*":
                return any(by_definition(p[1:], t[i:]) for i in range(len(t) + 1))
            return bool(t) and p[0] in ("?", t[0]) and by_definition(p[1:], t[1:])

        assert matches(pattern, text) == by_definition(pattern, text)

    def test_no_pattern_can_stall_the_judge(self) -> None:
        assert not matches("a*" * 500 + "b", "a" * 5000)

    @given(st.text("*?", min_size=1, max_size=6))
    def test_a_pattern_that_covers_everything_matches_any_long_text(self, pattern: str) -> None:
        assert covers_everything(pattern) == matches(pattern, "x" * 50)

    def test_bounds_of_resources(self) -> None:
        assert unbounded("arn:aws:dynamodb:*:1:table/*")
        assert not unbounded("arn:aws:dynamodb:*:1:table/orders")
        assert not unbounded("arn:aws:s3:::bucket/*")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
ELEMENTS = st.sampled_from(
    [
        "Version",
        "Statement",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "Condition",
        "Sid",
    ]
)
VALUES = JSON | st.sampled_from(["Allow", "Deny", "*", "s3:GetObject", "s3:*", "arn:aws:s3:::b", "2012-10-17"])
STATEMENT = st.dictionaries(ELEMENTS, VALUES, max_size=6)
ANYTHING = JSON | st.fixed_dictionaries({"Statement": STATEMENT | st.lists(STATEMENT | JSON, max_size=3)}) | STATEMENT


class TestAnyInput:
    @given(ANYTHING, st.sampled_from(Kind))
    def test_no_value_in_any_place_crashes_the_judge(self, source: object, kind: Kind) -> None:
        judge(source, kind)
        judge(json.dumps(source), kind)

    @given(st.text())
    def test_no_text_crashes_the_judge(self, text: str) -> None:
        judge(text)

    @given(
        st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Condition"]),
        st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none() | st.lists(st.integers(), min_size=1),
    )
    def test_a_value_of_the_wrong_type_never_passes(self, element: str, value: object) -> None:
        source = document(Action="s3:GetObject", Resource="*")
        (source if element in ("Version", "Statement") else source["Statement"][0])[element] = value

        assert "iam-malformed" in rules(source)

    @given(st.text("svcAction:*?", min_size=1, max_size=12))
    def test_an_action_that_covers_all_of_a_service_never_passes(self, pattern: str) -> None:
        """Whatever the pattern: if it matches actions of one service that share nothing, it is too wide."""
        wide = all(matches(pattern.lower(), action) for action in ("s3:getobject", "s3:x", "s3:putbucketpolicy"))

        assert not wide or rules(document(Action=pattern, Resource="arn:aws:s3:::b"))

    @given(ANYTHING)
    def test_an_unknown_in_any_place_never_crashes_the_judge(self, source: object) -> None:
        def with_unknown(value: object) -> object:
            if isinstance(value, dict):
                return {key: with_unknown(item) for key, item in value.items()}
            if isinstance(value, list):
                return [with_unknown(item) for item in value]
            return Unknown("x") if value is None else value

        for kind in Kind:
            judge(with_unknown(source), kind)
