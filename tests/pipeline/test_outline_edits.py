"""Added, split and merged cells are told from the table and the record of calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from erythron.cells.table import NOT_A_CELL
from erythron.pipeline.outline_edits import count_edits
from erythron.report.model import OutlineEdits
from erythron.review.record import AddedCell, Review, Verdict

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def make_cells(places: dict[str, tuple[float, str | None]]) -> pl.DataFrame:
    """Return a table of cells 20 pixels wide in a row: the column of each and what a person called it."""
    return pl.DataFrame(
        {
            "cell_id": list(places),
            "x_px": [x for x, _ in places.values()],
            "y_px": [10.0] * len(places),
            "width_px": [20] * len(places),
            "height_px": [20] * len(places),
            "confirmed_as": [called for _, called in places.values()],
        },
        schema_overrides={"x_px": pl.Float64, "confirmed_as": pl.String},
    )


def call(cell_id: str, called: str, minutes: int) -> Verdict:
    at = NOON + timedelta(minutes=minutes)
    return Verdict(cell_id=cell_id, called=called, was="", reader="A. Reader", at=at, source="page")


def test_a_drawn_a_split_and_two_merged_cells_are_counted_as_such() -> None:
    cells = make_cells(
        {
            "model": (10, None),
            "whole": (100, NOT_A_CELL),
            "left": (200, NOT_A_CELL),
            "right": (216, NOT_A_CELL),
            "speck": (300, NOT_A_CELL),
            "x95y10": (95, "monocyte"),
            "x105y10": (105, None),
            "x208y10": (208, None),
            "x400y10": (400, None),
        }
    )
    added = [AddedCell(cell_id=f"x{x}y10", cell=(), nucleus=()) for x in (95, 105, 208, 400, 500)]
    verdicts = [
        *(call(name, "", 1) for name in ("x95y10", "x105y10")),
        call("whole", NOT_A_CELL, 1),
        call("x208y10", "", 2),
        *(call(name, NOT_A_CELL, 2) for name in ("left", "right")),
        call("speck", NOT_A_CELL, 3),
        call("x400y10", "", 4),
        call("x95y10", "monocyte", 5),
        call("x500y10", "", 6),
        call("x500y10", NOT_A_CELL, 7),  # withdrawn, so it is not in the table
    ]
    review = Review(image="a.png", verdicts=tuple(verdicts), added=tuple(added))
    found = count_edits(cells, review)
    assert found == OutlineEdits(added=4, called_by_model=3, removed=4, split=1, merged=2)
    assert found + found == OutlineEdits(added=8, called_by_model=6, removed=8, split=2, merged=4)
    assert count_edits(cells[:1], Review(image="a.png")) == OutlineEdits()
