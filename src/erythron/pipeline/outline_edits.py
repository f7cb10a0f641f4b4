"""How many cells persons outlined in a field, and how many outlines of the model they took away.

In: the table of cells with the review applied, and the review. Out: numbers for the report. The record keeps
calls and outlines, not the tool that made them, so splitting and merging are told by place and time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from erythron.cells.table import NOT_A_CELL
from erythron.report.model import OutlineEdits
from erythron.review.record import Review


def count_edits(cells: pl.DataFrame, review: Review) -> OutlineEdits:
    """Count what persons changed of the outlines of a field or slide.

    Args:
        cells: the table, with the review applied.
        review: of the field.
    """
    names = {cell.cell_id for cell in review.added}
    first: dict[str, object] = {}
    holding = review.holding
    for verdict in review.verdicts:
        first.setdefault(verdict.cell_id, (verdict.reader, verdict.at))
    columns = ("cell_id", "x_px", "y_px", "width_px", "height_px", "confirmed_as")
    rows = list(cells.select(columns).iter_rows(named=True))
    added = [row for row in rows if row["cell_id"] in names]
    removed = [row for row in rows if row["confirmed_as"] == NOT_A_CELL and row["cell_id"] not in names]
    split = merged = 0
    for gone in removed:
        held = holding.get(gone["cell_id"])
        if held is None:
            continue  # called so by a person before the field was outlined anew
        made = [row for row in added if first.get(row["cell_id"]) == (held.reader, held.at)]
        if sum(_holds(gone, row) for row in made) > 1:
            split += 1
        elif any(sum(_holds(row, other) for other in removed) > 1 and _holds(row, gone) for row in made):
            merged += 1
    return OutlineEdits(
        added=len(added),
        called_by_model=sum(not row["confirmed_as"] for row in added),
        removed=len(removed),
        split=split,
        merged=merged,
    )


def _holds(cell: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether the nucleus of another cell lies as near as a cell reaches at most."""
    return bool(
        abs(cell["x_px"] - other["x_px"]) < cell["width_px"]
        and abs(cell["y_px"] - other["y_px"]) < cell["height_px"]
    )
