"""The table of a run: ``summary.csv``, one row an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from erythron.differential.counts import Index
from erythron.report.model import FailedInput, FieldReport
from erythron.stages import CellClass


def summary_schema(classes: Sequence[CellClass]) -> pl.Schema:
    """Return the columns of the summary for a model's classes; percentages are of nucleated cells."""
    columns: dict[str, Any] = {"image": pl.String, "status": pl.String, "reason": pl.String}
    columns |= {"width_px": pl.Int64, "height_px": pl.Int64, "mpp": pl.Float64, "mpp_source": pl.String}
    columns |= {"nucleated_cells": pl.Int64, "erythroid_cells": pl.Int64, "unclassified_cells": pl.Int64}
    columns |= {"touching_edge_cells": pl.Int64}
    columns |= {f"count_{c.name}": pl.Int64 for c in classes}
    columns |= {f"percent_{c.name}": pl.Float64 for c in classes}
    for name in ("erythroid_percent", "me_ratio", "maturation_index"):
        columns |= {name: pl.Float64, f"{name}_low": pl.Float64, f"{name}_high": pl.Float64}
    return pl.Schema(columns | {"quality_flags": pl.String})


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
        "quality_flags": ";".join(field.quality_flags),
    }
    for line in found.classes:
        row[f"count_{line.name}"] = line.count
        if line.of_nucleated is not None and line.of_nucleated.fraction is not None:
            row[f"percent_{line.name}"] = 100 * line.of_nucleated.fraction
    row |= _index_columns("erythroid_percent", found.erythroid_share, 100.0)
    row |= _index_columns("me_ratio", found.me_ratio, 1.0)
    return row | _index_columns("maturation_index", found.maturation_index, 1.0)


def _index_columns(name: str, index: Index | None, factor: float) -> dict[str, float]:
    if index is None or index.value is None or index.interval is None:
        return {}
    low, high = index.interval
    return {name: factor * index.value, f"{name}_low": factor * low, f"{name}_high": factor * high}
