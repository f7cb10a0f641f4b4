"""Cells as vector outlines over the picture of their field, each with what is known of it in words.

Outlines are simplified once, to a tenth of a pixel; a page of many cells draws every second corner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.interchange.geojson import CellRings
from erythron.interchange.outlines import Ring
from erythron.report.model import CellMark, Corners

MAX_MARKS = 2400
"""Cells outlined on one page; beyond them a field's picture is shown without outlines."""

_SPACING_PX = 4.0
"""Distance between the corners of an outline: a chord of a cell is off by a tenth of a pixel."""
_FEWEST, _MOST = 8, 40
DETAILED_MARKS = 1200
"""With more cells on the page than this, outlines get half the corners."""


def make_marks(rings: Sequence[CellRings], cells: pl.DataFrame) -> tuple[CellMark, ...]:
    """Return the outlines of a field's cells.

    Args:
        rings: the cells' outlines.
        cells: their table, in the same order.
    """
    of_cells = [[ring for part in (*cell.cell, *cell.nucleus) for ring in part] for cell in rings]
    simple = iter(_simplify([ring for of_cell in of_cells for ring in of_cell]))
    return tuple(
        CellMark(
            row["cell_id"],
            row["counted_as"],
            tuple(next(simple) for _ in of_cell),
            describe_cell(row),
        )
        for row, of_cell in zip(cells.iter_rows(named=True), of_cells, strict=True)
    )


def draw_path(mark: CellMark, *, is_coarse: bool = False) -> str:
    """Return the outlines of a cell as the data of an SVG path, each corner from the one before.

    Args:
        mark: the cell.
        is_coarse: leave out every second corner, for a page of many cells.
    """
    return "".join(
        map(draw_ring, (ring[::2] if is_coarse and len(ring) > _FEWEST else ring for ring in mark.rings))
    )


def trace_around(mark: CellMark, distance: float) -> Corners:
    """Return a line around a cell that keeps a distance from its outline, for a cell that is looked at.

    Args:
        mark: the cell.
        distance: in pixels of the image.
    """
    corners = np.asarray(mark.rings[0], dtype=np.float64)
    before, after = np.concatenate([corners[-1:], corners[:-1]]), np.concatenate([corners[1:], corners[:1]])
    along = after - before
    normals = np.stack([along[:, 1], -along[:, 0]], axis=1)
    normals /= np.maximum(np.hypot(*normals.T), 1e-9)[:, None]
    turns = np.sign(np.dot(corners[:, 0], after[:, 1]) - np.dot(corners[:, 1], after[:, 0]))
    moved = np.rint(corners + (turns or 1.0) * distance * normals).astype(np.int64)
    return tuple((x, y) for x, y in moved.tolist())


def draw_ring(ring: Corners) -> str:
    """Return a closed line as the data of an SVG path, each corner from the one before."""
    if len(ring) < 2:
        return ""
    steps = " ".join(f"{x1 - x0},{y1 - y0}" for (x0, y0), (x1, y1) in pairwise(ring))
    return f"M{ring[0][0]},{ring[0][1]}l{steps}z"


def describe_cell(row: Mapping[str, Any]) -> str:
    """Return a row of the cells table in words; a measurement that is missing is not named."""
    label = row["label"].replace("_", " ")
    group = row["counted_as"]
    sure = f"confidence {row['confidence']:.2f}"
    call = {
        "left_out": f"Left out of the count, most like {label}",
        "unclassified": f"Unclassified, most like {label}",
    }.get(group, label.capitalize())
    words = [f"Cell {row['cell_id']}. {call}, {sure}."]
    if row.get("confirmed_as"):
        called = row["confirmed_as"].replace("_", " ").capitalize()
        words = [f"Cell {row['cell_id']}. {called}, by a reader; the model says {label}, {sure}."]
    for unit, sign in (("um", "µm"), ("px", "px")):
        cell, nucleus = row.get(f"cell_diameter_{unit}"), row.get(f"nucleus_diameter_{unit}")
        if cell is not None and nucleus is not None:
            words.append(f"Diameter {cell:.1f} {sign}, nucleus {nucleus:.1f} {sign}.")
            break
    if row.get("nc_ratio") is not None:
        words.append(f"N:C ratio {row['nc_ratio']:.2f}.")
    if row.get("touches_edge"):
        words.append("Cut by the border.")
    return " ".join(words)


def _simplify(rings: Sequence[Ring]) -> list[Corners]:
    """Return of each closed ring corners at even distances, in whole pixels, no two alike in succession."""
    if not rings:
        return []
    corners: NDArray[np.float64] = np.concatenate([np.asarray(ring, dtype=np.float64) for ring in rings])
    ends = np.cumsum([len(ring) for ring in rings])
    steps = np.hypot(*np.diff(corners, axis=0).T)
    # All rings in one walk, of which the ways from one to the next are not looked at.
    along = np.concatenate(([0.0], np.cumsum(steps)))
    first, last = along[np.append(0, ends[:-1])], along[ends - 1]
    counts = np.clip((last - first) / _SPACING_PX, _FEWEST, _MOST).astype(np.int64)
    ring_of = np.repeat(np.arange(len(rings)), counts)
    place = np.arange(len(ring_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = first[ring_of] + place * ((last - first) / counts)[ring_of]
    points = np.stack([np.interp(at, along, corners[:, axis]) for axis in (0, 1)], axis=1)
    whole = np.rint(points).astype(np.int64)
    is_new = np.append(True, np.diff(whole, axis=0).any(axis=1) | (np.diff(ring_of) > 0))
    kept = [(x, y) for x, y in whole[is_new].tolist()]
    stops = np.cumsum(np.bincount(ring_of[is_new], minlength=len(rings))).tolist()
    return [tuple(kept[start:stop]) for start, stop in zip([0, *stops], stops, strict=False)]
