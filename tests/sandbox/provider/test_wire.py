"""Property values on the wire."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.provider import wire

if TYPE_CHECKING:
    from pathlib import Path

leaves = st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=8) | st.just(wire.UNKNOWN)
assets = st.builds(wire.Asset, text=st.text(max_size=5), digest=st.text("0123456789abcdef", max_size=8))
values = st.recursive(
    leaves | assets,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), values.filter(lambda value: value is not None), max_size=4))
def test_values_come_back_as_they_went(properties: dict[str, Any]) -> None:
    """Encoding and decoding is the identity, unknowns and assets included."""
    assert wire.decode(wire.encode(properties)).values == properties


def test_secrets_are_kept_beside_their_value() -> None:
    """A secret is a plain value and a path; encoded again it is sealed in the same place."""
    struct = wire.encode({"a": {"b": ["x", "y"]}, "c": "z"}, {("a", "b", 1), ("c",)})
    document = wire.decode(struct)
    assert document.values == {"a": {"b": ["x", "y"]}, "c": "z"}
    assert document.secrets == {("a", "b", 1), ("c",)}
    assert "z" not in str(struct.fields["c"].string_value)


def test_a_secret_whose_place_is_gone_seals_what_is_left() -> None:
    """Where a list became shorter, the whole list is secret, rather than nothing."""
    document = wire.decode(wire.encode({"a": ["x"]}, {("a", 3)}))
    assert document.secrets == {("a",)}


def test_output_values_and_resource_references_are_understood() -> None:
    """An output value is its value, or unknown; a reference to a resource is its id."""
    struct = wire.encode(
        {
            "known": {wire.SIGNATURE: wire.OUTPUT, "value": "v", "secret": True},
            "unknown": {wire.SIGNATURE: wire.OUTPUT},
            "reference": {wire.SIGNATURE: wire.RESOURCE, "urn": "urn:x", "id": "i-1"},
        }
    )
    document = wire.decode(struct)
    assert document.values == {"known": "v", "unknown": wire.UNKNOWN, "reference": "i-1"}
    assert document.secrets == {("known",)}


def test_an_unrecognised_signature_is_an_error() -> None:
    """A kind of value that this provider does not know is not taken for an object."""
    with pytest.raises(ValueError, match="unrecognised signature"):
        wire.decode(wire.encode({"a": {wire.SIGNATURE: "what", "value": 1}}))


def test_an_archive_of_parts_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Order and clock leave no trace in a zip that is made from parts; folders and zips within are unfolded."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "b.txt").write_text("b")
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as inner:
        inner.writestr("c.txt", "c")
    parts: list[tuple[str, wire.Asset | wire.Archive]] = [
        ("a.txt", wire.Asset(text="a")),
        ("tree", wire.Archive(path=str(tmp_path / "tree"))),
        ("zip", wire.Archive(path=str(tmp_path / "inner.zip"))),
    ]
    first, second = wire.Archive(assets=tuple(parts)).content(), wire.Archive(assets=tuple(reversed(parts))).content()
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.txt": b"a",
            "tree/b.txt": b"b",
            "zip/c.txt": b"c",
        }


def test_a_zip_file_is_passed_on_untouched(tmp_path: Path) -> None:
    """The artifact that was built and hashed is the one that is deployed."""
    (tmp_path / "code.zip").write_bytes(b"PK as it is")
    assert wire.Archive(path=str(tmp_path / "code.zip")).content() == b"PK as it is"
    assert wire.Archive(uri=(tmp_path / "code.zip").as_uri()).content() == b"PK as it is"


@pytest.mark.parametrize("asset", [wire.Asset(path="/nowhere/at/all"), wire.Asset(uri="https://example.org/x")])
def test_content_that_cannot_be_read_is_named(asset: wire.Asset) -> None:
    """The error says which asset."""
    with pytest.raises(wire.ContentError, match=r"nowhere|example"):
        asset.content()
