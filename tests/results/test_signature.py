"""Signatures are kept as they were given, and are of one state of the result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pydantic
import pytest

from erythron.errors import DataError
from erythron.results.signature import SIGNATURES, Signature, read_signatures, write_signatures

SIGNED = Signature(
    version=1,
    reader="Ä. Reader",
    at=datetime(2026, 5, 4, 12, 30, tzinfo=UTC),
    nucleated_cells=300,
    confirmed_cells=12,
    sha256="ab" * 32,
)


def test_signatures_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_signatures(tmp_path) == ()
    later = SIGNED.model_copy(update={"version": 2, "reader": "B. Reader"})
    write_signatures(tmp_path, [SIGNED, later])
    assert read_signatures(tmp_path) == (SIGNED, later)
    # Laid out for a person to read, letters as they are.
    text = (tmp_path / SIGNATURES).read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    assert "Ä. Reader" in text


def test_a_signature_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        SIGNED.reader = "C. Reader"  # type: ignore[misc]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[{}]",
        "{}",
        json.dumps([{**SIGNED.model_dump(mode="json"), "at": "2026-05-04T12:30:00"}]),
    ],
    ids=["empty", "no fields", "no list", "no time zone"],
)
def test_damaged_signatures_are_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / SIGNATURES).write_text(content)
    with pytest.raises(DataError, match=r"signatures\.json: cannot be read"):
        read_signatures(tmp_path)
