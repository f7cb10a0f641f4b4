"""The table of a run: ``summary.csv``, one row an image.

Plain columns are raw, as counted; those that begin with ``corrected_`` are estimates with combined intervals,
and with the bound that holds if unexplained unclassified cells were all of one side; it is empty where there
are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import polars as pl

from erythron.cells.classes import CellClass, Lineage
from erythron.differential.counts import Differential, Estimate, Index
from erythron.report.model import FailedInput, FieldReport, RepeatedInput, ReviewReport, SignedVersion
from erythron.report.numbers import round_figure, scale_value
from erythron.report.wording import explain_uncounted

_INDEX_COLUMNS = {
    "erythroid_share": "erythroid_percent",
    "me_ratio": "me_ratio",
    "maturation_index": "maturation_index",
    "proliferation_ratio": "proliferation_ratio",
    "left_shift": "left_shift_percent",
    "nucleated_red_cells": "nucleated_red_cells_per_100_white_cells",
}
"""Columns of the indices by their name; shares are in per cent."""

_SIGNED = {"signed_by": pl.String(), "signed_at": pl.String(), "signed_version": pl.Int64()}
"""Columns of the signature; the time is ISO 8601 in UTC."""

_ESTIMATE_ENDS = ("", "_low", "_high", "_bound_low", "_bound_high")
"""What the columns of a corrected figure end with."""


def summary_schema(classes: Sequence[CellClass]) -> pl.Schema:
    """Return the columns of the summary for a model's classes; percentages are of nucleated cells."""
    columns: dict[str, Any] = {"image": pl.String, "status": pl.String, "reason": pl.String}
    columns |= {"width_px": pl.Int64, "height_px": pl.Int64, "mpp": pl.Float64, "mpp_source": pl.String}
    columns |= {"nucleated_cells": pl.Int64, "erythroid_cells": pl.Int64, "unclassified_cells": pl.Int64}
    columns |= {"touching_edge_cells": pl.Int64, "confirmed_cells": pl.Int64, "changed_cells": pl.Int64}
    columns |= {f"count_{c.name}": pl.Int64 for c in classes}
    columns |= {f"percent_{c.name}": pl.Float64 for c in classes}
    for name in _INDEX_COLUMNS.values():
        columns |= {name: pl.Float64, f"{name}_low": pl.Float64, f"{name}_high": pl.Float64}
    columns |= {"quality_flags": pl.String, "left_out_cells": pl.Int64, "left_out_percent": pl.Float64}
    nucleated = (f"percent_{c.name}" for c in classes if c.lineage is not Lineage.NOT_NUCLEATED)
    for name in (*nucleated, *_INDEX_COLUMNS.values()):
        columns |= {f"corrected_{name}{end}": pl.Float64 for end in _ESTIMATE_ENDS}
    return pl.Schema(columns)


@dataclass(frozen=True)
class SpecimenRow:
    """What the summary says of a specimen.

    Attributes:
        name: of the specimen.
        details: what else is known of it, by the name of the column.
        fields: images whose cells are counted.
        uncounted: images that were read and whose cells are in no count, see
            :func:`erythron.report.wording.is_counted`.
        failed: images that could not be read or counted.
        differential: of all its fields.
        review: what persons made of its calls, None where nobody called a cell.
        signed: the signature of its result as it stands; None where that is not signed.
    """

    name: str
    details: Mapping[str, str]
    fields: int
    uncounted: int
    failed: int
    differential: Differential
    review: ReviewReport | None = None
    signed: SignedVersion | None = None


def make_specimen_summary(specimens: Sequence[SpecimenRow], classes: Sequence[CellClass]) -> pl.DataFrame:
    """Return one row a specimen, in the order given: name, details, fields, then as in a run's summary.

    ``fields`` are those whose cells are counted; ``uncounted_fields`` were read, and none of their cells is.
    The last columns say who signed the result as it stands, when, and which version; empty where nobody did.
    """
    of_image = {"image", "status", "reason", "width_px", "height_px", "mpp", "mpp_source"}
    figures = {name: kind for name, kind in summary_schema(classes).items() if name not in of_image}
    details = list(dict.fromkeys(name for specimen in specimens for name in specimen.details))
    texts = dict.fromkeys(["specimen", *details], pl.String())
    numbers = dict.fromkeys(["fields", "uncounted_fields", "failed_images"], pl.Int64())
    schema = pl.Schema({**texts, **numbers, **figures, **_SIGNED})
    rows = [
        {"specimen": s.name, **s.details}
        | {"fields": s.fields, "uncounted_fields": s.uncounted, "failed_images": s.failed}
        | _describe_differential(s.differential, s.review)
        | _describe_signature(s.signed)
        for s in specimens
    ]
    return _tabulate(rows, schema)


def _describe_signature(signed: SignedVersion | None) -> dict[str, Any]:
    if signed is None:
        return {}
    at = signed.at.astimezone(UTC).isoformat(timespec="seconds")
    return dict(zip(_SIGNED, (signed.reader, at, signed.version), strict=True))


def make_summary(
    inputs: Sequence[FieldReport | FailedInput | RepeatedInput], classes: Sequence[CellClass]
) -> pl.DataFrame:
    """Return one row an input, in the order given.

    ``status`` is ``done``, ``failed`` with the reason, or ``repeated`` with the image of the same pixels. A
    field that is done and has no count has its reason there too.
    """
    schema = summary_schema(classes)
    rows = [_make_row(i) for i in inputs]
    return _tabulate(rows, schema)


def _tabulate(rows: Sequence[Mapping[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    """Return rows as a table, its figures rounded; what a row lacks is empty."""
    filled = [[row.get(column) for column in schema] for row in rows]
    rounded = [
        [round_figure(value) if isinstance(value, float) else value for value in row] for row in filled
    ]
    return pl.DataFrame(rounded, schema=schema, orient="row")


def _make_row(entry: FieldReport | FailedInput | RepeatedInput) -> dict[str, Any]:
    if isinstance(entry, FailedInput):
        return {"image": entry.image, "status": "failed", "reason": entry.reason}
    if isinstance(entry, RepeatedInput):
        reason = f"same pixels as {entry.same_as}, counted once"
        return {"image": entry.image, "status": "repeated", "reason": reason}
    row: dict[str, Any] = {
        "image": entry.image,
        "status": "done",
        "reason": explain_uncounted(entry.differential),
        "width_px": entry.width_px,
        "height_px": entry.height_px,
        "mpp": entry.mpp,
        "mpp_source": entry.mpp_source.value,
    }
    return row | _describe_differential(entry.differential, entry.review)


def _describe_differential(found: Differential, review: ReviewReport | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "nucleated_cells": found.nucleated_cells,
        "erythroid_cells": found.erythroid_cells,
        "unclassified_cells": found.unclassified.count,
        "touching_edge_cells": found.touching_edge_cells,
        "confirmed_cells": 0 if review is None else review.confirmed,
        "changed_cells": 0 if review is None else review.changed,
        "quality_flags": " ".join(flag.name for flag in found.flags),
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
    values = (estimate.value, *estimate.interval, *(estimate.bound or (None, None)))
    return {
        f"corrected_{name}{end}": None if value is None else scale_value(value, is_share=is_share)
        for end, value in zip(_ESTIMATE_ENDS, values, strict=True)
    }


def _index_columns(name: str, index: Index) -> dict[str, float]:
    if index.value is None or index.interval is None:
        return {}
    values = (index.value, *index.interval)
    return {
        f"{name}{end}": scale_value(value, is_share=index.kind == "share")
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
