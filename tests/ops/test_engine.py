"""What the engine's events mean for whoever runs it: progress, and how an update has ended."""

from __future__ import annotations

import pytest
from pulumi.automation import EngineEvent

from components.release import OUTCOMES
from ops.engine import STOPS, Observed, failed, observe
from ops.exit_codes import Exit

POINTER = "urn:pulumi:prod::product-api::product-api:index:Release$aws:ssm/parameter:Parameter::release"
DATABASE = "urn:pulumi:prod::product-api::product-api:index:Database$aws:rds/instance:Instance::database"
BUCKET = "urn:pulumi:prod::product-api::aws:s3/bucket:Bucket::status"


def _said(message: str, severity: str = "error", urn: str | None = None, *, ephemeral: bool = False) -> EngineEvent:
    told = {"message": f"<{{%reset%}}>{message}<{{%reset%}}>\n", "severity": severity, "color": "raw", "urn": urn}
    event = {"sequence": 1, "timestamp": 0, "diagnosticEvent": {**told, "ephemeral": ephemeral}}
    return EngineEvent.from_json(event)


def _after(*events: EngineEvent) -> Observed:
    seen, on_event = observe(lambda _line: None)
    for event in events:
        on_event(event)
    return seen


def _shift(text: str) -> EngineEvent:
    return _said(f'before hook "shift" failed: {text}', urn=POINTER)


def _gate(text: str, urn: str = DATABASE) -> EngineEvent:
    return _said(f'before hook "gate" failed: {text}', urn=urn)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ("rolled-back", Exit.ROLLED_BACK),
        ("refused", Exit.ROLLED_BACK),
        ("stranded", Exit.UNHEALTHY),
    ],
)
def test_how_a_release_ended_is_the_exit_code(event: str, code: Exit) -> None:
    """By the word that the hook begins with, and not by what its message happens to say."""
    error = failed(ValueError("stderr"), _after(_shift(f"{event}: version 7 was.\nMend it"), _said("update failed")))
    assert (error.code, error.outcome) == (code, event)
    assert str(error) == f"{STOPS[event][1]}\n  version 7 was.\nMend it"


def test_every_word_of_the_hook_is_known() -> None:
    assert set(OUTCOMES.values()) == set(STOPS) - {"gate-closed"}


def test_a_closed_gate_is_told_once_for_all_that_is_behind_it() -> None:
    closed = "the gate is closed: nobody has approved"
    error = failed(ValueError("stderr"), _after(_gate(closed), _gate(closed, POINTER), _said("update failed")))
    assert (error.code, error.outcome) == (Exit.BLOCKED_BY_GATE, "gate-closed")
    assert str(error) == f"{STOPS['gate-closed'][1]}\n  {closed}"


def test_what_was_cut_off_by_a_failure_is_no_failure_of_its_own() -> None:
    """The first resource that fails has the engine end the others."""
    cut = _said("aws:s3/bucket:Bucket 'status': context canceled", urn=BUCKET)
    assert "canceled" not in str(failed(ValueError(""), _after(cut, _shift("refused: it is ill"))))
    error = failed(ValueError(""), _after(cut, _said("CreateDBInstance failed: no room", urn=DATABASE)))
    assert str(error) == "the engine failed:\n  aws:rds/instance:Instance database: CreateDBInstance failed: no room"
    assert "context canceled" in str(failed(ValueError(""), _after(cut)))


def test_what_failed_beside_the_release_is_told_too() -> None:
    beside = _said("CreateBucket failed: AccessDenied", urn=BUCKET)
    error = failed(ValueError(""), _after(beside, _shift("rolled-back: version 7 was")))
    assert str(error).splitlines()[1:] == [
        "  version 7 was",
        "  also: aws:s3/bucket:Bucket status: CreateBucket failed: AccessDenied",
    ]


def test_traffic_that_is_not_back_is_graver_than_a_gate() -> None:
    seen = _after(_gate("closed"), _shift("stranded: version 7 fails"))
    assert failed(ValueError(""), seen).code == Exit.UNHEALTHY


def test_a_hook_that_fails_otherwise_is_a_failure() -> None:
    """One that another program has, or a call of ours that was denied."""
    for text in ("AccessDenied: codedeploy:CreateDeployment", "rolled-backwards: no word of ours"):
        error = failed(ValueError(""), _after(_shift(text)))
        assert (error.code, error.outcome) == (Exit.FAILED, "failed")
        assert text in str(error)


def test_what_happens_to_a_release_is_kept_and_how_long_it_takes_is_only_shown() -> None:
    shown: list[str] = []
    kept: list[str] = []
    _, on_event = observe(shown.append, kept.append)
    on_event(_said("release: 10% to version 7, 600 s of 600 s left", "info"))
    on_event(_said("release: 10% to version 7, 580 s of 600 s left", "info", ephemeral=True))
    on_event(_said("gate: an update would stop here", "warning"))
    on_event(_said("registering resource", "debug"))
    on_event(_said("something else", "info"))
    assert kept == ["release: 10% to version 7, 600 s of 600 s left", "gate: an update would stop here"]
    assert shown == ["release: 10% to version 7, 580 s of 600 s left"]
