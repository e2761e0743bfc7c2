"""The cursor: what comes back is what went in, and nothing else comes in."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain import LARGEST_ID, Cursor, InvalidCursorError

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3))])


@given(st.datetimes(timezones=ZONES), st.integers(0, LARGEST_ID))
def test_a_cursor_survives_its_token(created_at: datetime, identifier: int) -> None:
    """To the microsecond; a page would else repeat or skip a product. The token needs no quoting in a URL."""
    cursor = Cursor(created_at=created_at, id=identifier)
    token = cursor.encode()

    assert Cursor.decode(token) == cursor
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,200}", token)


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_=-]+", fullmatch=True), st.binary().map(lambda b: b.hex())))
@example("")
@example("null")
@example("W10")
def test_a_made_up_token_is_refused_and_never_crashes(token: str) -> None:
    """Whatever a client sends."""
    with pytest.raises(InvalidCursorError):
        Cursor.decode(token)


@pytest.mark.parametrize(
    "document",
    [
        '["2026-01-01T00:00:00",1]',
        '["2026-01-01T00:00:00+00:00",-1]',
        '["2026-01-01T00:00:00+00:00",9223372036854775808]',
        '["2026-01-01T00:00:00+00:00","1"]',
        '["2026-01-01T00:00:00+00:00",1.0]',
        '["2026-01-01T00:00:00+00:00",true]',
        '["2026-01-01T00:00:00+00:00", 1]',
        '["20260101T000000Z",1]',
        '["2026-01-01T00:00:00+00:00",1,2]',
        "[" * 100_000,
        "{}",
        "1",
    ],
)
def test_a_token_of_another_shape_is_refused(document: str) -> None:
    """Each position has one token; what would only nearly do is not ours."""
    with pytest.raises(InvalidCursorError):
        Cursor.decode(base64.urlsafe_b64encode(document.encode()).decode().rstrip("="))


@given(st.data())
def test_a_changed_token_is_refused_or_is_another_position(data: st.DataObject) -> None:
    """No two tokens stand for the same position."""
    cursor = Cursor(created_at=datetime(2026, 1, 1, tzinfo=UTC), id=5)
    token = cursor.encode()
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.characters(codec="ascii")) + token[place + 1 :]

    try:
        found = Cursor.decode(changed)
    except InvalidCursorError:
        return
    assert (found == cursor) == (changed == token)
