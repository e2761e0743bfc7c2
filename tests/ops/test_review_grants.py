"""The difference of IAM documents: by what they allow."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.review import grants
from ops.review.grants import Reading, difference, includes, overlaps, reading
from policies.guardrails.iam import Kind
from policies.guardrails.unknown import Unknown
from tests.support.previews import OPERATIONS

if TYPE_CHECKING:
    import random

BUCKET = "arn:aws:s3:::data/*"


def allow(action: Any = "s3:GetObject", resource: Any = BUCKET, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "s3:GetObject", resource: Any = BUCKET, **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def read(*statements: dict[str, Any], kind: Kind = Kind.IDENTITY) -> Reading:
    return reading({"Version": "2012-10-17", "Statement": list(statements)}, kind)


def changed(before: Reading, after: Reading) -> dict[str, list[tuple[Any, Any]]]:
    """What has changed, by kind, without what has not."""
    found = difference(before, after)
    sides = {name: getattr(found, name) for name in ("gained", "lost", "freed", "barred")}
    return {
        name: sorted((str(atom.action), str(atom.resource)) for atom in atoms) for name, atoms in sides.items() if atoms
    }


# --- documents that hypothesis makes ---------------------------------------------------------------------------------

ACTIONS = st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:Get*", "s3:*", "sqs:SendMessage", "sqs:Send*", "*"])
RESOURCES = st.sampled_from(["*", BUCKET, "arn:aws:s3:::data/a/*", "arn:aws:s3:::logs", "arn:aws:s3:::*"])
CONDITIONS = st.dictionaries(
    st.sampled_from(["StringEquals", "StringLike", "StringNotEquals"]),
    st.dictionaries(
        st.sampled_from(["aws:SourceAccount", "aws:PrincipalTag/team"]),
        st.lists(st.sampled_from(["1", "2", "1*"]), min_size=1, max_size=2),
        min_size=1,
    ),
    max_size=2,
)


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(values, min_size=1, max_size=3, unique=True)


@st.composite
def statements(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Allow", "Deny")) -> dict[str, Any]:
    element = draw(st.sampled_from(["Action", "Action", "NotAction"]))
    where = draw(st.sampled_from(["Resource", "Resource", "NotResource"]))
    conditions = draw(CONDITIONS)
    return {
        "Effect": draw(st.sampled_from(effects)),
        element: draw(lists(ACTIONS)),
        where: draw(lists(RESOURCES)),
        **({"Condition": conditions} if conditions else {}),
    }


DOCUMENTS = st.lists(statements(), min_size=1, max_size=4)


def rewritten(statements: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """The same in other words: split, shuffled, other letter case, text for a list of one, names for statements."""
    found = []
    for number, statement in enumerate(statements):
        pieces = [statement]
        for element in ("Action", "Resource"):  # of exceptions, each piece alone would mean more
            if element in statement and chance.random() < 0.5:
                pieces = [{**piece, element: [text]} for piece in pieces for text in piece[element]]
        for piece in pieces:
            made = dict(piece)
            for element in ("Action", "NotAction"):
                if element in made:
                    made[element] = ["".join(chance.choice([c.upper(), c.lower()]) for c in t) for t in made[element]]
            for element in ("Action", "NotAction", "Resource", "NotResource"):
                if element in made:
                    made[element] = chance.sample(made[element], len(made[element]))
                    if len(made[element]) == 1 and chance.random() < 0.5:
                        made[element] = made[element][0]
            found.append({"Sid": f"S{number}", **made})
    chance.shuffle(found)
    return found


class TestLaws:
    @given(DOCUMENTS)
    def test_nothing_differs_from_itself(self, document: list[dict[str, Any]]) -> None:
        assert not difference(read(*document), read(*document))

    @given(DOCUMENTS, st.randoms(use_true_random=False))
    def test_the_same_in_other_words_is_no_change(self, document: list[dict[str, Any]], chance: random.Random) -> None:
        assert {} == changed(read(*document), read(*rewritten(document, chance)))

    @given(DOCUMENTS, statements(effects=("Allow",)))
    def test_an_allow_that_is_added_takes_nothing(self, document: list[dict[str, Any]], more: dict[str, Any]) -> None:
        assert {"gained"} >= changed(read(*document), read(*document, more)).keys()

    @given(DOCUMENTS, statements(effects=("Deny",)))
    def test_a_deny_that_is_added_gives_nothing(self, document: list[dict[str, Any]], more: dict[str, Any]) -> None:
        assert {"lost", "barred"} >= changed(read(*document), read(*document, more)).keys()

    @given(DOCUMENTS, DOCUMENTS)
    def test_the_other_way_round_gains_are_losses(self, one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
        there, back = difference(read(*one), read(*other)), difference(read(*other), read(*one))
        assert (there.gained, there.lost) == (back.lost, back.gained)
        assert (there.freed, there.barred) == (back.barred, back.freed)

    @given(DOCUMENTS, DOCUMENTS, st.sampled_from(["s3:GetObject", "s3:PutObject", "sqs:SendMessage", "iam:PassRole"]))
    def test_no_request_is_newly_allowed_without_a_gain(
        self, one: list[dict[str, Any]], other: list[dict[str, Any]], action: str
    ) -> None:
        """The judge of a single request is written another way, so that it cannot share a mistake."""
        for resource in ("arn:aws:s3:::data/a/b", "arn:aws:s3:::logs", "arn:aws:sqs:::q"):
            for account, team in itertools.product(("1", "2", "12"), ("1", "3")):
                asked = (action, resource, {"aws:SourceAccount": account, "aws:PrincipalTag/team": team})
                was, will = allowed(one, *asked), allowed(other, *asked)
                found = changed(read(*one), read(*other)).keys()
                assert will <= was or {"gained", "freed"} & found
                assert was <= will or {"lost", "barred"} & found


def allowed(statements: list[dict[str, Any]], action: str, resource: str, context: dict[str, str]) -> bool:
    """Whether one request is allowed, as the IAM user guide has it."""

    def like(pattern: str, text: str) -> bool:
        wild = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
        return re.fullmatch(wild, text) is not None

    def speaks_of(statement: dict[str, Any]) -> bool:
        for element, text in (("Action", action), ("Resource", resource)):
            named = any(like(each.lower(), text.lower()) for each in statement.get(element, ()))
            excepted = any(like(each.lower(), text.lower()) for each in statement.get(f"Not{element}", ()))
            if not (named if element in statement else not excepted):
                return False
        for operator, keys in statement.get("Condition", {}).items():
            for key, values in keys.items():
                pattern = like if operator == "StringLike" else str.__eq__
                if any(pattern(value, context[key]) for value in values) == (operator == "StringNotEquals"):
                    return False
        return True

    effects = {statement["Effect"] for statement in statements if speaks_of(statement)}
    return effects == {"Allow"}


PATTERNS = st.text(alphabet="ab*?", max_size=6)


class TestPatterns:
    @given(PATTERNS, PATTERNS)
    def test_one_that_includes_another_matches_all_its_texts(self, wide: str, narrow: str) -> None:
        texts = ["".join(t) for n in range(5) for t in itertools.product("abc", repeat=n)]

        def matched(pattern: str) -> set[str]:
            wild = re.compile("".join({"*": ".*", "?": "."}.get(c, c) for c in pattern))
            return {text for text in texts if wild.fullmatch(text)}

        if includes(wide, narrow):
            assert matched(narrow) <= matched(wide)
        if matched(wide) & matched(narrow):
            assert overlaps(wide, narrow)
        if not overlaps(wide, narrow):
            assert not matched(wide) & matched(narrow)

    @pytest.mark.parametrize(
        ("wide", "narrow"),
        [("*", "a*"), ("a*", "a*b"), ("a*", "ab?"), ("?*", "*?"), ("a**", "a*"), ("*a*", "*ba*"), ("a?", "a?")],
    )
    def test_what_is_wider_is_recognised(self, wide: str, narrow: str) -> None:
        assert includes(wide, narrow)

    @pytest.mark.parametrize(("wide", "narrow"), [("a*", "*"), ("a?", "a*"), ("?", "*"), ("a", "a*"), ("", "*")])
    def test_what_is_narrower_is_not(self, wide: str, narrow: str) -> None:
        assert not includes(wide, narrow)


class TestDifferences:
    def test_a_wider_action_is_a_gain_of_itself(self) -> None:
        assert changed(read(allow()), read(allow("s3:Get*"))) == {"gained": [("s3:get*", BUCKET)]}

    def test_a_narrower_resource_is_a_loss_of_the_wider(self) -> None:
        narrow = "arn:aws:s3:::data/a/*"
        assert changed(read(allow()), read(allow(resource=narrow))) == {"lost": [("s3:getobject", BUCKET)]}

    def test_a_condition_that_goes_is_a_gain_and_one_that_comes_a_loss(self) -> None:
        bound = allow(Condition={"StringEquals": {"aws:SourceAccount": "1"}})
        assert changed(read(bound), read(allow())) == {"gained": [("s3:getobject", BUCKET)]}
        assert changed(read(allow()), read(bound)) == {"lost": [("s3:getobject", BUCKET)]}

    @pytest.mark.parametrize(
        ("weak", "strong"),
        [
            ({"StringEquals": {"aws:SourceAccount": ["1", "2"]}}, {"StringEquals": {"aws:sourceaccount": "1"}}),
            ({"StringLike": {"aws:SourceArn": "arn:*"}}, {"StringEquals": {"aws:SourceArn": "arn:aws:sqs:::q"}}),
            ({"StringEqualsIfExists": {"aws:SourceAccount": "1"}}, {"StringEquals": {"aws:SourceAccount": "1"}}),
            ({"StringNotEquals": {"aws:SourceAccount": "1"}}, {"StringNotEquals": {"aws:SourceAccount": ["1", "2"]}}),
            ({"ArnLike": {"aws:SourceArn": "arn:aws:sqs:*"}}, {"ArnEquals": {"aws:SourceArn": "arn:aws:sqs:::q"}}),
        ],
    )
    def test_a_weaker_condition_is_a_gain_only(self, weak: dict[str, Any], strong: dict[str, Any]) -> None:
        assert changed(read(allow(Condition=strong)), read(allow(Condition=weak))).keys() == {"gained"}

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}, {"StringEquals": {"aws:TagKeys": "a"}}),
            ({"StringEquals": {"aws:SourceAccount": "1"}}, {"StringEquals": {"aws:PrincipalAccount": "1"}}),
            ({"NumericLessThan": {"s3:max-keys": "1"}}, {"NumericLessThan": {"s3:max-keys": "2"}}),
        ],
    )
    def test_conditions_that_cannot_be_compared_are_both(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        assert changed(read(allow(Condition=one)), read(allow(Condition=other))).keys() == {"gained", "lost"}

    def test_a_deny_that_goes_frees_what_it_denied(self) -> None:
        assert changed(read(allow(), deny()), read(allow())) == {
            "gained": [("s3:getobject", BUCKET)],
            "freed": [("s3:getobject", BUCKET)],
        }

    def test_an_allow_under_a_deny_gives_nothing(self) -> None:
        assert {} == changed(read(deny("s3:*", "*")), read(deny("s3:*", "*"), allow()))

    def test_an_exception_covers_what_it_does_not_name(self) -> None:
        excepted = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
        assert {} == changed(read(excepted), read(excepted, allow()))
        assert changed(read(excepted), read(excepted, allow("iam:PassRole"))).keys() == {"gained"}

    def test_an_account_by_number_and_by_root_is_the_same_principal(self) -> None:
        number = allow(Principal={"AWS": "111122223333"})
        root = allow(Principal={"AWS": ["arn:aws:iam::111122223333:root"]})
        assert {} == changed(read(number, kind=Kind.RESOURCE), read(root, kind=Kind.RESOURCE))

    def test_anybody_covers_everybody(self) -> None:
        one = read(allow(Principal={"AWS": "arn:aws:iam::111122223333:role/a"}), kind=Kind.RESOURCE)
        anybody = read(allow(Principal="*"), kind=Kind.RESOURCE)
        assert changed(one, anybody).keys() == {"gained"}
        assert changed(anybody, one).keys() == {"lost"}


class TestUnknown:
    def test_an_unknown_document_is_a_difference(self) -> None:
        found = difference(read(allow()), reading(Unknown("policy"), Kind.IDENTITY))
        assert found
        assert found.unknown_after == ("the document is known after the update",)

    def test_a_statement_with_an_unknown_part_is_not_judged_by_its_other_parts(self) -> None:
        half = read(allow(resource=[BUCKET, Unknown("arn")]))
        assert half.atoms == frozenset()
        assert half.unknown == ("/Statement/0/Resource/1 is known after the update",)

    @pytest.mark.parametrize("text", ["[secret]", "{", "{}", '{"Statement": []}'])
    def test_what_cannot_be_read_is_told(self, text: str) -> None:
        assert difference(read(allow()), reading(text, Kind.IDENTITY)).unknown_after


def lines(before: Reading, after: Reading) -> list[grants.Line]:
    found = difference(before, after)
    return grants.lines(found.gained, before.atoms, lambda service: OPERATIONS.get(service, ()))


class TestLines:
    def test_atoms_are_put_together_again(self) -> None:
        document = read(allow(["s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::a", "arn:aws:s3:::b"]))
        assert lines(Reading(), document) == [
            grants.Line(actions=("s3:GetObject", "s3:PutObject"), resources=("arn:aws:s3:::a", "arn:aws:s3:::b"))
        ]

    def test_a_wildcard_names_what_it_newly_covers(self) -> None:
        (line,) = lines(read(allow()), read(allow("s3:Get*")))
        assert line.named == ("s3:GetObjectAcl",)
        assert line.instead_of == ("s3:GetObject",)

    def test_on_another_resource_everything_is_new(self) -> None:
        (line,) = lines(read(allow()), read(allow("s3:Get*", "*")))
        assert line.named == ("s3:GetObject", "s3:GetObjectAcl")
        assert line.instead_of == (f"s3:GetObject on {BUCKET}",)

    def test_a_condition_that_went_is_what_it_was_bound_by(self) -> None:
        (line,) = lines(read(allow(Condition={"Bool": {"aws:SecureTransport": "true"}})), read(allow()))
        assert line.instead_of == ("only when aws:SecureTransport is true",)
