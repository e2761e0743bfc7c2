"""Every rule, through the SDK's own analyzer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from policies.guardrails.rules import RULES
from policies.guardrails.unknown import Unknown
from tests.policies.harness import Analyzer, Secret, Violation, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.guardrails.rule import Rule, StackRule

WILD = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
OPEN = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:eu:1:q"}],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
INSTANCE = "aws:rds/instance:Instance"
PLAN = "product-api:index:MigrationPlan"


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


Judge = "Callable[..., list[tuple[str, str]]]"


@pytest.fixture
def judge(analyzer: Analyzer) -> Callable[..., list[tuple[str, str]]]:
    """The policies that a resource violates, with their levels."""

    def of(type_: str, properties: dict[str, Any], stack: str = "dev") -> list[tuple[str, str]]:
        return [(v.policy, v.level) for v in analyzer.resource(type_, properties, stack=stack)]

    return of


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
class TestExamples:
    def test_the_bad_one_is_blocked_by_this_rule(self, rule: Rule | StackRule) -> None:
        found = run(rule, rule.bad)

        assert {(v.policy, v.level) for v in found} == {(rule.id, "mandatory")}

    def test_the_message_names_the_rule_broken_and_the_remedy(self, rule: Rule | StackRule) -> None:
        message = run(rule, rule.bad)[0].message

        assert message.startswith(rule.what)
        assert "\nRemedy: " in message

    def test_the_good_one_passes(self, rule: Rule | StackRule) -> None:
        assert run(rule, rule.good) == []

    def test_the_good_one_passes_every_other_rule_too(self, rule: Rule | StackRule) -> None:
        assert Analyzer().resource(rule.good.type, rule.good.properties, stack="prod") == []

    def test_it_says_what_a_reader_needs(self, rule: Rule | StackRule) -> None:
        assert all(text.endswith(".") for text in (rule.what, rule.why, rule.remedy))
        assert {rule.good.type, rule.bad.type} <= rule.types


class TestIamDocuments:
    @pytest.mark.parametrize(
        ("type_", "properties"),
        [
            ("aws:iam/policy:Policy", {"policy": json.dumps(WILD)}),
            ("aws:iam/policy:Policy", {"policy": WILD}),
            ("aws:iam/rolePolicy:RolePolicy", {"policy": json.dumps(WILD)}),
            ("aws:iam/userPolicy:UserPolicy", {"policy": json.dumps(WILD)}),
            ("aws:iam/groupPolicy:GroupPolicy", {"policy": json.dumps(WILD)}),
            ("aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy", {"inlinePolicy": json.dumps(WILD)}),
            (
                "aws:iam/role:Role",
                {"assumeRolePolicy": json.dumps(TRUST), "inlinePolicies": [{"name": "a", "policy": json.dumps(WILD)}]},
            ),
            ("aws:iam/policy:Policy", {"policy": Secret(json.dumps(WILD))}),
        ],
    )
    def test_a_wildcard_is_found_in_every_form(self, judge: Any, type_: str, properties: dict[str, Any]) -> None:
        assert judge(type_, properties) == [("iam-service-wildcard", "mandatory")]

    @pytest.mark.parametrize(
        "type_",
        [
            "aws:s3/bucketPolicy:BucketPolicy",
            "aws:s3/bucketV2:BucketV2",
            "aws:sqs/queuePolicy:QueuePolicy",
            "aws:sqs/queue:Queue",
            "aws:sns/topicPolicy:TopicPolicy",
            "aws:kms/key:Key",
            "aws:secretsmanager/secretPolicy:SecretPolicy",
        ],
    )
    def test_an_open_resource_is_found_in_every_form(self, judge: Any, type_: str) -> None:
        assert judge(type_, {"policy": json.dumps(OPEN)}) == [("iam-open-principal", "mandatory")]

    def test_a_resource_without_a_document_passes(self, judge: Any) -> None:
        assert judge("aws:sqs/queue:Queue", {"name": "jobs"}) == []
        assert judge("aws:iam/role:Role", {"assumeRolePolicy": json.dumps(TRUST)}) == []

    def test_one_finding_names_the_policy_among_several(self, analyzer: Analyzer) -> None:
        inline = [{"name": "a", "policy": json.dumps(TRUST)}, {"name": "b", "policy": json.dumps(WILD)}]
        found = analyzer.resource(
            "aws:iam/role:Role", {"assumeRolePolicy": json.dumps(TRUST), "inlinePolicies": inline}
        )

        assert any("inlinePolicies[1].policy /Statement/0/Action" in v.message for v in found)

    def test_an_unknown_document_is_undecidable_and_hides_no_other(self, judge: Any) -> None:
        role = {
            "assumeRolePolicy": Unknown("t"),
            "inlinePolicies": [{"name": "a", "policy": Unknown("p")}, {"name": "b", "policy": json.dumps(WILD)}],
        }

        assert judge("aws:iam/role:Role", role) == [
            ("iam-unknown-advisory", "advisory"),
            ("iam-unknown-advisory", "advisory"),
            ("iam-service-wildcard", "mandatory"),
        ]


class TestEncryption:
    @pytest.mark.parametrize(
        ("type_", "flag"),
        [
            (INSTANCE, "storageEncrypted"),
            ("aws:rds/cluster:Cluster", "storageEncrypted"),
            ("aws:docdb/cluster:Cluster", "storageEncrypted"),
            ("aws:neptune/cluster:Cluster", "storageEncrypted"),
            ("aws:ebs/volume:Volume", "encrypted"),
            ("aws:efs/fileSystem:FileSystem", "encrypted"),
        ],
    )
    def test_the_switch_has_to_be_on(self, judge: Any, type_: str, flag: str) -> None:
        assert judge(type_, {flag: True}) == []
        assert [level for _, level in judge(type_, {flag: False})] == ["mandatory"]
        assert [level for _, level in judge(type_, {})] == ["mandatory"]
        assert [level for _, level in judge(type_, {flag: Unknown(flag)})] == ["advisory"]
        assert [level for _, level in judge(type_, {flag: Unknown(flag)}, stack="prod")] == ["mandatory"]

    @pytest.mark.parametrize(
        ("type_", "source"),
        [
            (INSTANCE, {"snapshotIdentifier": "final"}),
            (INSTANCE, {"replicateSourceDb": "main"}),
            (INSTANCE, {"restoreToPointInTime": {"useLatestRestorableTime": True}}),
            ("aws:rds/cluster:Cluster", {"snapshotIdentifier": Unknown("snapshotIdentifier")}),
            ("aws:ebs/volume:Volume", {"snapshotId": "snap-1"}),
        ],
    )
    def test_a_copy_takes_over_what_nobody_sees(self, judge: Any, type_: str, source: dict[str, Any]) -> None:
        flag = "encrypted" if "ebs" in type_ else "storageEncrypted"

        assert [level for _, level in judge(type_, source, stack="prod")] == ["mandatory"]
        assert [level for _, level in judge(type_, source)] == ["advisory"]
        assert judge(type_, {**source, flag: True}) == []
        assert [level for _, level in judge(type_, {**source, flag: False})] == ["mandatory"]

    def test_a_replica_from_another_region_is_encrypted_by_its_key(self, judge: Any) -> None:
        assert judge(INSTANCE, {"replicateSourceDb": "arn:…", "kmsKeyId": Unknown("kmsKeyId")}, stack="prod") == []
        assert judge(INSTANCE, {"kmsKeyId": "arn:…"}) == [("rds-instance-encrypted", "mandatory")]

    def test_aurora_serverless_v1_is_always_encrypted(self, judge: Any) -> None:
        assert judge("aws:rds/cluster:Cluster", {"engineMode": "serverless"}) == []
        assert judge("aws:rds/cluster:Cluster", {"engineMode": "provisioned"}) != []

    def test_devices_inside_instances_and_templates_are_judged(self, judge: Any) -> None:
        instance, template = "aws:ec2/instance:Instance", "aws:ec2/launchTemplate:LaunchTemplate"
        fault = [("ec2-block-device-encrypted", "mandatory")]

        assert judge(instance, {"instanceType": "t4g.nano"}) == []
        assert judge(instance, {"rootBlockDevice": {"encrypted": False}}) == fault
        assert judge(instance, {"rootBlockDevice": {"volumeSize": 8}}) == [
            ("ec2-block-device-encrypted-advisory", "advisory")
        ]
        assert judge(instance, {"ebsBlockDevices": [{"encrypted": True}, {"volumeSize": 8}]}) == fault
        assert judge(template, {"blockDeviceMappings": [{"ebs": {"encrypted": "true"}}, {"virtualName": "x"}]}) == []
        assert judge(template, {"blockDeviceMappings": [{"ebs": {"encrypted": "false"}}]}) == fault
        assert judge(template, {"blockDeviceMappings": [{"ebs": {"volumeSize": 8}}]}) == fault


def plan(*revisions: Any) -> dict[str, Any]:
    return {
        "base": None,
        "revisions": [
            {"revision": f"r{i}", "downRevision": None, "summary": "", "sql": r} if isinstance(r, str | Unknown) else r
            for i, r in enumerate(revisions)
        ],
        "digest": "0" * 64,
    }


class TestMigrations:
    def test_revisions_are_judged_in_order_on_one_schema(self, judge: Any) -> None:
        assert judge(PLAN, plan("CREATE TABLE drafts (id int)", "DROP TABLE drafts")) == []
        assert judge(PLAN, plan("DROP TABLE drafts", "CREATE TABLE drafts (id int)")) == [
            ("migration-destructive", "mandatory")
        ]

    def test_a_finding_names_the_revision_the_line_and_the_statement(self, analyzer: Analyzer) -> None:
        found = analyzer.resource(PLAN, plan("SELECT 1", "SELECT 1;\nDELETE FROM orders WHERE email = 'a@b'"))

        assert "revisions[1].sql: revision r1, line 2, deletes rows of orders" in found[0].message
        assert "DELETE FROM orders WHERE email = $1" in found[0].message

    def test_constants_of_statements_are_not_shown(self, analyzer: Analyzer) -> None:
        found = analyzer.resource(PLAN, plan(Secret("UPDATE users SET password = 'hunter2'").value))

        assert found
        assert not any("hunter2" in v.message for v in found)

    def test_a_revision_that_cannot_be_rendered_blocks_on_every_stack(self, judge: Any) -> None:
        hidden = {"revision": "r", "downRevision": None, "summary": "", "sql": "", "undecidable": "uses the inspector"}

        assert judge(PLAN, plan(hidden)) == [("migration-undecidable", "mandatory")]
        assert judge(PLAN, plan("CREATE TABLE t (id int)", hidden, "DROP TABLE t")) == [
            ("migration-destructive", "mandatory"),
            ("migration-undecidable", "mandatory"),
        ]

    def test_sql_that_does_not_parse_blocks(self, judge: Any) -> None:
        assert judge(PLAN, plan("DROP IT ALL")) == [("migration-plan", "mandatory")]

    @pytest.mark.parametrize(
        "properties",
        [
            {},
            {"revisions": None},
            {"revisions": "x"},
            {"revisions": {"sql": "SELECT 1"}},
            {"revisions": [7]},
            {"revisions": [{"revision": "a"}]},
            {"revisions": [{"sql": "SELECT 1"}]},
            {"revisions": [{"revision": "a", "sql": 7}]},
        ],
        ids=str,
    )
    def test_what_is_not_a_plan_blocks(self, judge: Any, properties: dict[str, Any]) -> None:
        assert ("migration-plan", "mandatory") in judge(PLAN, properties)

    def test_an_empty_plan_passes(self, judge: Any) -> None:
        assert judge(PLAN, plan(), stack="prod") == []

    def test_unknown_sql_hides_no_other_revision(self, judge: Any) -> None:
        found = judge(PLAN, plan("DROP TABLE a", Unknown("sql"), "DROP TABLE b"))

        assert found.count(("migration-destructive", "mandatory")) == 2
        assert ("migration-undecidable-advisory", "advisory") in found

    def test_an_unknown_plan_is_undecidable(self, judge: Any) -> None:
        assert set(judge(PLAN, {"revisions": Unknown("revisions")}, stack="prod")) == {
            ("migration-destructive", "mandatory"),
            ("migration-undecidable", "mandatory"),
            ("migration-plan", "mandatory"),
        }


def test_other_types_are_left_alone(analyzer: Analyzer) -> None:
    found: list[Violation] = analyzer.resource("random:index:Thing", {"policy": Unknown("policy"), "encrypted": False})

    assert found == []
