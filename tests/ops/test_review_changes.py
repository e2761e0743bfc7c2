"""What the engine's preview says, read; and what happens to which resource, property by property."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.review import changes, preview
from ops.review.preview import LATER as KNOWN_LATER
from ops.review.preview import PreviewError
from tests.support.previews import LATER, STACK, document, policy, read, resource, role, statement, text, urn

FUNCTION = "aws:lambda/function:Function"
DATABASE = "aws:rds/instance:Instance"


def function(name: str = "api", **inputs: Any) -> dict[str, Any]:
    return resource(FUNCTION, name, {"name": f"dev-{name}", **inputs})


def told(before: list[dict[str, Any]], after: list[dict[str, Any]], **steps: dict[str, Any]) -> list[str]:
    """Every property that changes, as people read it."""
    return [
        f"{each.path}: {each.note or f'{changes.shown(each.old)} → {changes.shown(each.new)}'}"
        for change in changes.changes(read(before, after, **steps))
        for each in change.properties
    ]


class TestReading:
    @pytest.mark.parametrize(
        "said", ["", "nonsense", "[]", '{"steps": [{}]}', '{"steps": [{"op": "create", "newState": {}}]}']
    )
    def test_what_is_no_preview_is_refused(self, said: str) -> None:
        with pytest.raises(PreviewError, match="the engine's preview is not readable"):
            preview.read(said)

    def test_a_preview_of_nothing_is_one(self) -> None:
        assert preview.read("{}") == preview.Preview(steps={})

    def test_the_stack_and_its_providers_are_no_resources(self) -> None:
        provider = resource("pulumi:providers:aws", "default")
        stack = resource("pulumi:pulumi:Stack", "product-api-dev")
        assert [urn(FUNCTION, "api")] == list(read([], [stack, provider, function()]).steps)

    def test_the_order_is_the_same_whatever_the_engine_s_was(self) -> None:
        one, other = [function("a"), function("b")], [function("b"), function("a")]
        assert list(read([], one).steps) == list(read([], other).steps)

    def test_the_steps_of_a_replacement_are_one(self) -> None:
        state = json.loads(
            text([resource(DATABASE, "data", {"name": "a"})], [resource(DATABASE, "data", {"name": "b"})])
        )
        (step,) = state["steps"]
        steps = [
            {**step, "op": "create-replacement", "replaceReasons": ["name"]},
            {**step, "op": "replace", "replaceReasons": ["name"]},
            {"op": "delete-replaced", "urn": step["urn"], "oldState": step["oldState"]},
        ]
        (found,) = preview.read(json.dumps({"steps": steps})).steps.values()
        assert (found.operation, found.because) == ("replace", ("name",))
        assert (found.before.inputs["name"], found.after.inputs["name"]) == ("a", "b")  # type: ignore[union-attr]

    def test_warnings_are_kept_once(self) -> None:
        said = [{"severity": "warning", "message": "warning: the  gate\nis closed"}] * 2 + [
            {"severity": "info", "message": "x"}
        ]
        assert preview.read(json.dumps({"diagnostics": said})).warnings == ("the gate is closed",)

    def test_values_that_are_not_known_yet_are_not_text(self) -> None:
        assert preview.value({"a": [LATER], "__defaults": []}) == {"a": [KNOWN_LATER]}

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("SecurityGroup", "security group"),
            ("Vpc", "VPC"),
            ("HttpApi", "HTTP API"),
            ("BucketObjectv2", "bucket object"),
        ],
    )
    def test_types_have_names_in_words(self, name: str, said: str) -> None:
        assert preview.words(name) == said


class TestProperties:
    def test_each_is_told_with_its_path(self) -> None:
        before = function(memorySize=512, environment={"variables": {"LEVEL": "INFO", "A": "1"}}, layers=["a"])
        after = function(memorySize=1024, environment={"variables": {"LEVEL": "DEBUG", "A": "1"}}, layers=["a", "b"])
        assert told([before], [after]) == [
            "memorySize: 512 → 1024",
            "environment.variables.LEVEL: INFO → DEBUG",
            'layers: ["a"] → ["a", "b"]',
        ]

    def test_what_comes_and_goes_is_told(self) -> None:
        assert told([function(timeout=3)], [function(memorySize=512)]) == [
            "timeout: 3 → nothing",
            "memorySize: nothing → 512",
        ]

    def test_true_is_not_one(self) -> None:
        assert told([function(publish=1)], [function(publish=True)], api={"op": "update"}) == ["publish: 1 → true"]

    def test_what_is_known_later_is_said_so(self) -> None:
        assert told([function(role="arn:x")], [function(role=LATER)]) == ["role: arn:x → known after the update"]
        assert told([function(roles=["x", {}])], [function(roles=[LATER, {}])]) == [
            "roles[0]: x → known after the update"
        ]

    def test_json_inside_of_a_text_is_compared_by_what_it_says(self) -> None:
        one, other = '{"a": 1, "b": [1]}', '{"b": [1],\n "a": 2}'
        assert told([function(body=one)], [function(body=other)]) == ["body.a: 1 → 2"]

    def test_a_secret_is_never_shown_and_its_change_is(self) -> None:
        before, after = (function(environment={"variables": {"KEY": preview.SECRET, "A": a}}) for a in ("1", "2"))
        seen = {f"environment.variables.{key}": {"kind": "update"} for key in ("A", "KEY")}
        assert told([before], [after], api={"detailedDiff": seen}) == [
            "environment.variables.A: 1 → 2",
            "environment.variables.KEY: secret (hidden) → secret (hidden)",
        ]

    def test_a_difference_that_only_the_provider_sees_is_told(self) -> None:
        before, after = function(), function(tags={"a": "b"})
        found = told([before], [after], api={"detailedDiff": {"arn": {"kind": "update"}, "tags.a": {"kind": "add"}}})
        assert found == ['tags: nothing → {"a": "b"}', "arn: nothing → nothing"]

    def test_what_the_provider_knows_to_be_the_same_is_not_told(self) -> None:
        before, after = (
            function(timeout=time, vpcConfig={"subnetIds": ids}) for time, ids in ((1, ["a", "b"]), (2, ["b", "a"]))
        )
        assert told([before], [after], api={"detailedDiff": {"timeout": {"kind": "update"}}}) == ["timeout: 1 → 2"]
        assert len(told([before], [after], api={"detailedDiff": {"timeout": {}, "vpcConfig.subnetIds[0]": {}}})) == 2

    def test_tags_are_told_once(self) -> None:
        before, after = (function(tags={"a": a}, tagsAll={"a": a, "stack": "dev"}) for a in ("1", "2"))
        assert told([before], [after]) == ["tags.a: 1 → 2"]
        before, after = (function(tagsAll={"stack": stack}) for stack in ("dev", "prod"))
        assert told([before], [after]) == ["tagsAll.stack: dev → prod"]

    def test_iam_documents_are_told_by_their_meaning(self) -> None:
        one = policy(document(statement("s3:GetObject", "*")))
        same = policy(document(statement(["S3:getobject"], ["*"], Sid="Read")))
        more = policy(document(statement("s3:*", "*")))
        assert told([role(), one], [role(), same]) == ["policy: an IAM document; worded differently, it means the same"]
        assert told([role(), one], [role(), more]) == ["policy: an IAM document; see who may do what"]
        assert told([role(), one], [role(), policy(LATER)]) == ["policy: an IAM document; see who may do what"]

    def test_the_plan_of_migrations_is_told_elsewhere(self) -> None:
        before, after = (resource(changes.PLAN, "plan", {"revisions": [], "digest": digest}) for digest in "ab")
        assert told([before], [after]) == []
        assert len(changes.changes(read([before], [after]))) == 1


class TestReplacements:
    def test_the_property_that_makes_it_necessary_is_named(self) -> None:
        before, after = (resource(DATABASE, "data", {"storageEncrypted": flag, "port": 1}) for flag in (True, False))
        (change,) = changes.changes(
            read([before], [after], data={"op": "replace", "replaceReasons": ["storageEncrypted"]})
        )
        assert change.because == "storageEncrypted cannot be changed in place"
        assert [(each.path, each.replaces) for each in change.properties] == [("storageEncrypted", True)]
        assert change.keeps_data

    def test_one_that_follows_another_names_it(self) -> None:
        base = [resource(DATABASE, "data", {"name": name}) for name in "ab"]
        user = [function(url=url) | {"dependencies": [urn(DATABASE, "data")]} for url in ("x", LATER)]
        steps = {"data": {"op": "replace", "replaceReasons": ["name"]}, "api": {"op": "replace"}}
        found = {
            c.resource.name: c.because for c in changes.changes(read([base[0], user[0]], [base[1], user[1]], **steps))
        }
        assert found["api"] == "it depends on data, which is replaced"


def test_a_resource_belongs_to_its_outermost_component() -> None:
    outer = resource("product-api:index:Database", "database", parent=STACK)
    inner = resource("product-api:index:Role", "proxy", parent=outer["urn"])
    leaf = role() | {"parent": inner["urn"]}
    found = changes.changes(read([], [outer, inner, leaf]))
    assert {outer["urn"]} == {change.group for change in found}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", '""'),
        ("a\n  b", "a b"),
        (True, "true"),
        ({"a": KNOWN_LATER}, '{"a": "known after the update"}'),
        ("x" * 9, "xxxx…"),
    ],
)
def test_values_are_shown_in_one_line(value: Any, said: str) -> None:
    assert changes.shown(value, 5 if value == "x" * 9 else 120) == said
