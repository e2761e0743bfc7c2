"""How rules run in the SDK: levels, unknowns, crashes, configuration, and what the pack may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pulumi_policy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.guardrails.pack import SETTINGS, _Pass, policies
from policies.guardrails.rule import Example, Level, Problem, Resource, Rule, Settings, StackRule, Verdict, stack_of
from policies.guardrails.rules import RULES
from policies.guardrails.unknown import Unknown, UnknownRead, known
from policies.guardrails.values import plain
from tests.policies.harness import Analyzer, Secret, member, struct, urn, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ROOT = Path(__file__).parents[2] / "policies"
THING = "test:index:Thing"


def rule(check: Callable[[Resource], Iterable[Problem]], id_: str = "thing", level: Level = Level.MANDATORY) -> Rule:
    return Rule(
        id=id_,
        what="A thing is right.",
        why="Because.",
        remedy="Mend it.",
        types=frozenset({THING}),
        check=check,
        good=Example(type=THING, properties={}),
        bad=Example(type=THING, properties={}),
        level=level,
    )


def names_size(resource: Resource) -> Iterable[Problem]:
    if resource.read("size") != 1:
        yield Problem(path="size", message="it is not 1")


def proxied(properties: Mapping[str, Any]) -> Any:
    """Properties as the SDK hands them to a rule."""
    from google.protobuf import json_format

    return unknown_checking_proxy(deserialize_properties(json_format.MessageToDict(struct(properties))))


class TestValues:
    def test_proxies_become_plain_values(self) -> None:
        value = plain(proxied({"a": [{"b": 1}, "c", None, True, 1.5], "d": {}}))

        assert value == {"a": [{"b": 1}, "c", None, True, 1.5], "d": {}}
        assert (type(value), type(value["a"]), type(value["a"][0])) == (dict, list, dict)

    def test_unknowns_stay_in_place_with_their_path(self) -> None:
        value = plain(proxied({"a": [{"b": Unknown("")}], "c": 1, "d": Unknown("")}))

        assert [value["a"][0]["b"].path, value["d"].path, value["c"]] == ["a[0].b", "d", 1]

    def test_secrets_are_unwrapped(self) -> None:
        assert plain(proxied({"a": Secret({"b": Secret("x")})})) == {"a": {"b": "x"}}

    def test_secrets_of_remediations_are_unwrapped_too(self) -> None:
        assert plain(deserialize_properties({"a": wire(Secret({"b": 1}))}, proxy_secrets=True)) == {"a": {"b": 1}}

    def test_an_unknown_inside_of_a_secret_stays_unknown(self) -> None:
        assert plain(pulumi_policy.Secret({"b": UNKNOWN_STRING_VALUE}), "a")["b"].path == "a.b"

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
            lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        )
    )
    def test_nothing_is_changed_on_the_way(self, value: Any) -> None:
        assert plain(proxied({"it": value}))["it"] == value


class TestUnknown:
    @pytest.mark.parametrize(
        "read",
        [
            bool,
            len,
            list,
            str,
            hash,
            lambda u: u == 1,
            lambda u: u != 1,
            lambda u: u < 1,
            lambda u: u["a"],
            lambda u: "a" in u,
            lambda u: u.get("a"),
            lambda u: f"{u}",
            lambda u: u + "a",
            lambda u: u in {"a", "b"},
            lambda u: u in ("a", "b"),
            known,
        ],
    )
    def test_every_way_to_read_it_raises(self, read: Callable[[Any], object]) -> None:
        with pytest.raises(UnknownRead) as raised:
            read(Unknown("a.b"))

        assert raised.value.path == "a.b"

    def test_it_can_be_shown_in_a_debugger(self) -> None:
        assert repr(Unknown("a")) == "Unknown('a')"


class TestLevels:
    @pytest.mark.parametrize(
        ("level", "stack", "expected"),
        [
            (Level.MANDATORY, "dev", ("thing", "mandatory")),
            (Level.PROTECTED, "dev", ("thing-advisory", "advisory")),
            (Level.PROTECTED, "staging", ("thing", "mandatory")),
            (Level.ADVISORY, "prod", ("thing-advisory", "advisory")),
        ],
    )
    def test_a_finding_goes_out_at_the_level_of_its_stack(
        self, level: Level, stack: str, expected: tuple[str, str]
    ) -> None:
        found = Analyzer([rule(names_size, level=level)]).resource(THING, {"size": 2}, stack=stack)

        assert [(v.policy, v.level) for v in found] == [expected]

    def test_the_stack_is_the_one_in_the_urn(self) -> None:
        assert stack_of(urn(THING, "a::b", "prod")) == "prod"
        assert stack_of("nonsense") == ""

    def test_a_resource_without_a_stack_is_judged_as_protected(self) -> None:
        assert Settings().protects("")

    def test_a_problem_may_have_a_level_of_its_own(self) -> None:
        def check(_: Resource) -> Iterable[Problem]:
            yield Problem(path="", message="by the way", level=Level.ADVISORY)

        assert [v.level for v in Analyzer([rule(check)]).resource(THING, {}, stack="prod")] == ["advisory"]


class TestUndecidable:
    @pytest.mark.parametrize(("stack", "level"), [("dev", "advisory"), ("staging", "mandatory"), ("prod", "mandatory")])
    def test_an_unknown_that_is_read_is_a_finding(self, stack: str, level: str) -> None:
        found = Analyzer([rule(names_size)]).resource(THING, {"size": Unknown("size")}, stack=stack)

        assert [v.level for v in found] == [level]
        assert "size: the value is not known" in found[0].message

    def test_it_hides_neither_what_was_found_before_nor_other_rules(self) -> None:
        def check(resource: Resource) -> Iterable[Problem]:
            yield Problem(path="a", message="wrong")
            yield from names_size(resource)

        found = Analyzer([rule(check, "first"), rule(names_size, "second")]).resource(THING, {"size": Unknown("size")})

        assert [(v.policy, v.level) for v in found] == [
            ("first", "mandatory"),
            ("first-advisory", "advisory"),
            ("second-advisory", "advisory"),
        ]

    def test_an_advisory_rule_stays_advisory(self) -> None:
        found = Analyzer([rule(names_size, level=Level.ADVISORY)]).resource(
            THING, {"size": Unknown("size")}, stack="prod"
        )

        assert [v.level for v in found] == ["advisory"]


class TestCrash:
    def crash(self, resource: Resource) -> Iterable[Problem]:
        raise KeyError(resource.properties["password"])

    def test_it_blocks_everywhere_and_other_rules_still_run(self) -> None:
        rules = [rule(self.crash, "broken", Level.ADVISORY), rule(names_size, "sound")]
        found = Analyzer(rules).resource(THING, {"size": 2, "password": "hunter2"}, name="db")

        assert [(v.policy, v.level) for v in found] == [("broken", "mandatory"), ("sound", "mandatory")]
        assert "rule broken failed on db (test:index:Thing): KeyError at test_pack.py" in found[0].message

    def test_it_does_not_say_what_it_tripped_over(self) -> None:
        found = Analyzer([rule(self.crash)]).resource(THING, {"password": "hunter2"})

        assert "hunter2" not in found[0].message

    def test_what_was_found_before_stays(self) -> None:
        def check(_: Resource) -> Iterable[Problem]:
            yield Problem(path="a", message="wrong")
            raise ValueError

        assert len(Analyzer([rule(check)]).resource(THING, {})) == 2

    def test_endless_recursion_is_a_crash_like_any_other(self) -> None:
        def check(resource: Resource) -> Iterable[Problem]:
            return check(resource)

        assert [v.level for v in Analyzer([rule(check)]).resource(THING, {})] == ["mandatory"]


class TestConfiguration:
    def levels(self, config: dict[str, Any], stack: str) -> list[str]:
        analyzer = Analyzer([rule(names_size)], {SETTINGS: config})
        return [v.level for v in analyzer.resource(THING, {"size": Unknown("size")}, stack=stack)]

    def test_other_stacks_can_be_protected(self) -> None:
        assert self.levels({"protectedStacks": ["live-*"]}, "live-eu") == ["mandatory"]
        assert self.levels({"protectedStacks": ["live-*"]}, "prod") == ["advisory"]

    def test_undecidable_findings_can_block_everywhere_or_nowhere(self) -> None:
        assert self.levels({"undecidable": "always"}, "dev") == ["mandatory"]
        assert self.levels({"undecidable": "never"}, "prod") == ["advisory"]

    def test_a_rule_can_be_turned_off_by_the_engine(self) -> None:
        off = {"thing": {"enforcementLevel": "disabled"}}

        assert Analyzer([rule(names_size)], off).resource(THING, {"size": 2}) == []

    def test_without_its_settings_policy_the_defaults_hold(self) -> None:
        off = {SETTINGS: {"enforcementLevel": "disabled", "protectedStacks": ["none"]}}
        found = Analyzer([rule(names_size)], off).resource(THING, {"size": Unknown("size")}, stack="prod")

        assert [v.level for v in found] == ["mandatory"]

    def test_every_policy_is_known_to_the_engine_with_its_level(self) -> None:
        info = {policy.name: policy.enforcementLevel for policy in Analyzer().info.policies}

        assert next(iter(info)) == SETTINGS
        assert info == {SETTINGS: 1} | {r.id: 1 for r in RULES} | {f"{r.id}-advisory": 0 for r in RULES}

    def test_two_rules_cannot_share_an_id(self) -> None:
        with pytest.raises(ValueError, match="thing"):
            policies([rule(names_size), rule(names_size)])


class TestOnePass:
    def test_a_rule_runs_once_a_call_for_both_of_its_policies(self) -> None:
        calls: list[str] = []

        def check(resource: Resource) -> Iterable[Problem]:
            calls.append(resource.urn)
            return ()

        analyzer = Analyzer([rule(check)])
        analyzer.resource(THING, {}, name="a")
        analyzer.resource(THING, {}, name="a")
        analyzer.resource(THING, {}, name="b")

        assert calls == [urn(THING, "a"), urn(THING, "a"), urn(THING, "b")]

    def test_a_changed_resource_is_judged_anew(self) -> None:
        analyzer = Analyzer([rule(names_size)])

        assert [len(analyzer.resource(THING, {"size": size})) for size in (1, 2, 1)] == [0, 1, 0]

    def test_a_call_sees_nothing_of_one_in_another_thread(self) -> None:
        now = _Pass()
        other = Thread(target=now.enter, args=("policy", "urn"))
        other.start()
        other.join()

        assert (now.urn, now.seen) == (None, frozenset())

    def test_the_sdk_reads_a_request_only_for_policies_that_it_concerns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once for the settings, and once for each rule that looks at the type; that it does for all is what costs."""
        reads: list[object] = []

        def read(properties: dict[str, Any]) -> dict[str, Any]:
            reads.append(properties)
            return deserialize_properties(properties)

        monkeypatch.setattr("pulumi_policy.policy.deserialize_properties", read)
        analyzer = Analyzer()

        analyzer.resource("aws:s3/bucketObjectv2:BucketObjectv2", {"key": "a"})
        assert len(reads) == 1
        analyzer.resource("aws:efs/fileSystem:FileSystem", {"encrypted": True})
        assert len(reads) == 1 + 2
        analyzer.resource("aws:efs/fileSystem:FileSystem", {"encrypted": Unknown("")})
        assert len(reads) == 1 + 2 + 3

    def test_calls_in_several_threads_do_not_mix(self) -> None:
        analyzer = Analyzer([rule(names_size)])

        def wrong(index: int) -> int:
            return len(analyzer.resource(THING, {"size": index % 2}, name="same"))

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(wrong, range(200))) == [1 - index % 2 for index in range(200)]


class TestStackRules:
    def analyzer(self) -> Analyzer:
        def check(resource: Resource, stack: Mapping[str, Resource]) -> Iterable[Problem]:
            target = resource.dependencies.get("of")
            if not target:
                yield Problem(path="of", message=f"it belongs to nothing among {len(stack)}")
            elif stack[target[0]].read("size") != 1:
                yield Problem(path="of", message="its owner is not of size 1")

        base = rule(names_size)
        fields = {name: getattr(base, name) for name in ("id", "what", "why", "remedy", "types", "good", "bad")}
        return Analyzer([StackRule(**fields, check=check)])

    def test_siblings_decide_and_the_finding_names_the_resource_at_fault(self) -> None:
        owner = urn(THING, "owner")
        found = self.analyzer().stack(
            [
                member(THING, {"size": 1}, name="owner", dependencies={"of": [owner]}),
                member(THING, {"of": Unknown("")}, name="fine", dependencies={"of": [owner]}),
                member(THING, {}, name="lost"),
            ]
        )

        assert [(v.urn, v.level) for v in found] == [(urn(THING, "lost"), "mandatory")]
        assert "among 3" in found[0].message

    def test_an_unknown_is_caught_per_resource(self) -> None:
        owner = urn(THING, "owner", "prod")
        found = self.analyzer().stack(
            [
                member(THING, {"size": Unknown("")}, name="owner", dependencies={"of": [owner]}, stack="prod"),
                member(THING, {}, name="lost", stack="prod"),
            ]
        )

        assert [(v.urn, v.level) for v in found] == [(owner, "mandatory"), (urn(THING, "lost", "prod"), "mandatory")]

    def test_a_resource_may_be_judged_twice_with_other_values(self) -> None:
        analyzer = self.analyzer()
        stacks = [[member(THING, {}, name="a")], []]

        assert [len(analyzer.stack(stack)) for stack in stacks] == [1, 0]


class TestFindings:
    def test_verdicts_and_levels_are_told_apart(self) -> None:
        protected = replace(Settings(), protected=("prod",))

        assert protected.level(Level.MANDATORY, Verdict.FAIL, "dev") is Level.MANDATORY
        assert protected.level(Level.MANDATORY, Verdict.UNDECIDABLE, "dev") is Level.ADVISORY
        assert protected.level(Level.ADVISORY, Verdict.CRASH, "dev") is Level.MANDATORY


class TestImports:
    FILES = sorted(ROOT.joinpath("guardrails").rglob("*.py"))

    @pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
    def test_inside_the_package_imports_are_relative(self, file: Path) -> None:
        """It works as the pack's root and as policies.guardrails only then."""
        allowed = sys.stdlib_module_names | {"pulumi_policy"}
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed

    @pytest.mark.parametrize("part", ["iam", "sql"])
    def test_semantics_know_nothing_of_pulumi(self, part: str) -> None:
        loaded = self.modules(f"import policies.guardrails.{part}")

        assert not [name for name in loaded if name.startswith("pulumi")]

    def test_the_parser_of_sql_is_loaded_by_the_first_plan_only(self) -> None:
        loaded = self.modules("from policies.guardrails.pack import policies; policies()")

        assert "pulumi_policy" in loaded
        assert "postgast" not in loaded

    def test_the_pack_stands_alone(self, tmp_path: Path) -> None:
        """With nothing on the path but the pack itself, as it is when it is published."""
        code = (
            "import sys; sys.path[:] = [sys.argv[1], *(p for p in sys.path if p.rstrip('/') != sys.argv[2])];"
            "from guardrails.pack import policies; print(len(policies()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(ROOT), str(ROOT.parent)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )

        assert int(done.stdout) == 1 + 2 * len(RULES)

    def modules(self, code: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
            cwd=ROOT.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return set(done.stdout.split())
