"""The gate: asked once in an update, closed to what is not approved, and in a preview only a word of warning."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pulumi
import pytest

from components.gate import Gate, GateArgs
from components.release_driver import GateClosedError
from tests.components.conftest import Book

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from components.release_driver import Ledger
    from tests.components.conftest import Deployment


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What a person reads, each with its severity."""
    heard: list[tuple[str, str]] = []
    for severity in ("info", "warn"):
        monkeypatch.setattr(f"pulumi.log.{severity}", lambda text, severity=severity: heard.append((severity, text)))
    return heard


@pytest.fixture
def ask(
    deploy: Callable[..., Deployment],  # noqa: ARG001 -- hooks are registered nowhere
    said: list[tuple[str, str]],  # noqa: ARG001 -- nothing is sent to an engine
) -> Callable[..., list[BaseException | None]]:
    """Run the hooks of some resources as the engine does, side by side, and return what each raised."""

    def run(
        book: Book,
        resources: Sequence[str],
        approvers: Sequence[str] = (),
        *,
        preview: bool = False,
        after: bool = False,
    ) -> list[BaseException | None]:
        pulumi.runtime.configure(pulumi.runtime.Settings(project="product-api", stack="prod", dry_run=preview))

        async def touch() -> list[BaseException | None]:
            gate = Gate(GateArgs(ledger=cast("Ledger", book), approvers=approvers))

            def called(hook: pulumi.ResourceHook, urn: str) -> Coroutine[Any, Any, None]:
                given = pulumi.ResourceHookArgs(urn=urn, id="", name="", type="")
                return cast("Coroutine[Any, Any, None]", hook.callback(given))

            raised = await asyncio.gather(*(called(gate.before, urn) for urn in resources), return_exceptions=True)
            if after:
                await asyncio.gather(*(called(gate.after, urn) for urn in resources))
            return raised

        return asyncio.run(touch())

    return run


def test_an_update_asks_once_however_much_it_touches(ask: Callable[..., list[BaseException | None]]) -> None:
    book = Book()
    assert [None, None, None] == ask(book, ["snapshot", "migrate", "pointer"], ["devops", "product"])
    assert [("devops", "product")] == book.asked


def test_where_nobody_need_approve_nobody_is_asked(ask: Callable[..., list[BaseException | None]]) -> None:
    book = Book(closed="there is no ledger")
    assert [None] == ask(book, ["snapshot"])
    assert [] == book.asked


def test_what_begins_and_what_is_done_is_recorded(ask: Callable[..., list[BaseException | None]]) -> None:
    book = Book()
    ask(book, ["snapshot"], after=True)
    assert [("started", {"resource": "snapshot"}), ("done", {"resource": "snapshot"})] == book.entries


def test_a_closed_gate_stops_everything_and_names_the_remedy(
    ask: Callable[..., list[BaseException | None]], said: list[tuple[str, str]]
) -> None:
    """Which release, for which stack, who is missing, and what to do; and nothing is recorded as begun."""
    book = Book(missing=["devops", "product"])
    raised = ask(book, ["snapshot", "pointer"], ["devops", "product"])
    assert [GateClosedError, GateClosedError] == [type(each) for each in raised]
    message = (
        "the gate is closed: this release (code 0123456789ab) is not approved for prod by devops and product. "
        "Have it approved (ops approve prod), and run the update again"
    )
    assert {message} == {str(each) for each in raised}
    assert ([("devops", "product")], [], []) == (book.asked, book.entries, said)


def test_a_ledger_that_cannot_be_read_is_a_closed_gate(ask: Callable[..., list[BaseException | None]]) -> None:
    [raised] = ask(Book(closed="the bucket is not there"), ["snapshot"], ["lead"])
    assert isinstance(raised, GateClosedError)
    assert "the gate is closed: the bucket is not there" == str(raised)


def test_a_preview_says_once_how_the_gate_stands_and_stops_nothing(
    ask: Callable[..., list[BaseException | None]], said: list[tuple[str, str]]
) -> None:
    book = Book(missing=["lead"])
    assert [None, None] == ask(book, ["snapshot", "pointer"], ["lead"], preview=True)
    [(severity, text)] = said
    assert "warn" == severity
    assert text.startswith("gate: an update would stop here: this release (code 0123456789ab) is not approved for prod")
    assert [] == book.entries


def test_a_preview_of_an_approved_release_says_so(
    ask: Callable[..., list[BaseException | None]], said: list[tuple[str, str]]
) -> None:
    book = Book()
    assert [None] == ask(book, ["snapshot"], ["devops", "product"], preview=True)
    assert [("info", "gate: open, approved by devops and product")] == said
    assert [] == book.entries


def test_it_hangs_on_creations_and_updates_alike(deploy: Callable[..., Deployment]) -> None:
    """The question also in a preview, the record only when something was done."""
    hooks: list[pulumi.ResourceHook] = []

    def program() -> None:
        gate = Gate(GateArgs(ledger=cast("Ledger", Book()), approvers=()))
        hooks.extend((gate.before, gate.after))
        pulumi.ComponentResource("product-api:index:Gated", "gated", opts=pulumi.ResourceOptions(hooks=gate.binding))

    [gated] = deploy(program).resources
    assert [
        "before_create gate",
        "after_create ledger",
        "before_update gate",
        "after_update ledger",
    ] == gated.hooks
    assert [True, False] == [bool(hook.opts and hook.opts.on_dry_run) for hook in hooks]
