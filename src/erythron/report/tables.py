"""The table of a run: ``summary.csv``, one row an image.

Plain columns are raw, as counted; those that begin with ``corrected_`` are estimates with combined intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from erythron.cells.classes import CellClass, Lineage
from erythron.differential.counts import Differential, Estimate, Index
from erythron.report.model import FailedInput, FieldReport
from erythron.report.numbers import scale_value

_INDEX_COLUMNS = {
    "erythroid_share": "erythroid_percent",
    "me_ratio": "me_ratio",
    "maturation_index": "maturation_index",
    "proliferation_ratio": "proliferation_ratio",
    "left_shift": "left_shift_percent",
}
"""Columns of the indices by their name; shares are in per cent."""


def summary_schema(classes: Sequence[CellClass]) -> pl.Schema:
    """Return the columns of the summary for a model's classes; percentages are of nucleated cells."""
    columns: dict[str, Any] = {"image": pl.String, "status": pl.String, "reason": pl.String}
    columns |= {"width_px": pl.Int64, "height_px": pl.Int64, "mpp": pl.Float64, "mpp_source": pl.String}
    columns |= {"nucleated_cells": pl.Int64, "erythroid_cells": pl.Int64, "unclassified_cells": pl.Int64}
    columns |= {"touching_edge_cells": pl.Int64}
    columns |= {f"count_{c.name}": pl.Int64 for c in classes}
    columns |= {f"percent_{c.name}": pl.Float64 for c in classes}
    for name in _INDEX_COLUMNS.values():
        columns |= {name: pl.Float64, f"{name}_low": pl.Float64, f"{name}_high": pl.Float64}
    columns |= {"quality_flags": pl.String, "left_out_cells": pl.Int64, "left_out_percent": pl.Float64}
    nucleated = (f"percent_{c.name}" for c in classes if c.lineage is not Lineage.NOT_NUCLEATED)
    for name in (*nucleated, *_INDEX_COLUMNS.values()):
        corrected = f"corrected_{name}"
        columns |= {corrected: pl.Float64, f"{corrected}_low": pl.Float64, f"{corrected}_high": pl.Float64}
    return pl.Schema(columns)


def make_summary(inputs: Sequence[FieldReport | FailedInput], classes: Sequence[CellClass]) -> pl.DataFrame:
    """Return one row an input, in the order given; ``status`` is ``done`` or ``failed``, with the reason."""
    schema = summary_schema(classes)
    rows = [_failed_row(i) if isinstance(i, FailedInput) else _done_row(i) for i in inputs]
    filled = [[row.get(column) for column in schema] for row in rows]
    return pl.DataFrame(filled, schema=schema, orient="row")


def _failed_row(failed: FailedInput) -> dict[str, Any]:
    return {"image": failed.image, "status": "failed", "reason": failed.reason}


def _done_row(field: FieldReport) -> dict[str, Any]:
    found = field.differential
    row: dict[str, Any] = {
        "image": field.image,
        "status": "done",
        "width_px": field.width_px,
        "height_px": field.height_px,
        "mpp": field.mpp,
        "mpp_source": field.mpp_source.value,
        "nucleated_cells": found.nucleated_cells,
        "erythroid_cells": found.erythroid_cells,
        "unclassified_cells": found.unclassified.count,
        "touching_edge_cells": found.touching_edge_cells,
        "quality_flags": ";".join(flag.name for flag in found.flags),
        "left_out_cells": found.left_out_cells,
        "left_out_percent": scale_value(found.left_out_fraction, is_share=True),
    }
    for line in found.classes:
        row[f"count_{line.name}"] = line.count
        if line.of_nucleated is not None and line.of_nucleated.fraction is not None:
            row[f"percent_{line.name}"] = scale_value(line.of_nucleated.fraction, is_share=True)
    for index in found.indices:
        row |= _index_columns(_INDEX_COLUMNS[index.name], index)
    return row | _corrected_columns(found)


def _corrected_columns(found: Differential) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for line in found.classes:
        columns |= _estimate_columns(f"percent_{line.name}", line.corrected_of_nucleated, is_share=True)
    for index in found.indices:
        is_share = index.kind == "share"
        columns |= _estimate_columns(_INDEX_COLUMNS[index.name], index.corrected, is_share=is_share)
    return columns


def _estimate_columns(name: str, estimate: Estimate | None, *, is_share: bool) -> dict[str, float | None]:
    """Return the columns of an estimate; a limit that is not there stays empty."""
    if estimate is None or estimate.interval is None:
        return {}
    values = (estimate.value, *estimate.interval)
    return {
        f"corrected_{name}{end}": None if value is None else scale_value(value, is_share=is_share)
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }


def _index_columns(name: str, index: Index) -> dict[str, float]:
    if index.value is None or index.interval is None:
        return {}
    values = (index.value, *index.interval)
    return {
        f"{name}{end}": scale_value(value, is_share=index.kind == "share")
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
