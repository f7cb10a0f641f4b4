"""Signatures are kept as they were given, and are of one state of the result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pydantic
import pytest

from erythron.errors import DataError
from erythron.results.record import FieldRecord
from erythron.results.signature import (
    SIGNATURES,
    Signature,
    hash_result,
    read_signatures,
    write_signatures,
)

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


def test_a_hash_is_of_images_cells_and_calls_in_any_order() -> None:
    states = [("a.png", "01", ""), ("b.png", "02", "03")]
    records = [
        FieldRecord.model_construct(image=image, cells_sha256=cells, review_sha256=review)
        for image, cells, review in states
    ]
    signed = hash_result(records)
    assert len(signed) == 64
    assert hash_result(records[::-1]) == signed
    changed = {"image": "c.png", "cells_sha256": "04", "review_sha256": "05"}
    others = {
        hash_result([records[0], records[1].model_copy(update={name: value})])
        for name, value in changed.items()
    }
    assert len(others - {signed}) == len(changed)


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
