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
from erythron.report.model import CellMark

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
    return tuple(
        CellMark(
            row["cell_id"],
            row["counted_as"],
            tuple(_simplify(ring) for part in (*traced.cell, *traced.nucleus) for ring in part),
            describe_cell(row),
        )
        for row, traced in zip(cells.iter_rows(named=True), rings, strict=True)
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


def trace_around(ring: Ring, distance: float) -> tuple[tuple[int, int], ...]:
    """Return a line around a cell that keeps a distance from its outline, for a cell that is looked at.

    Args:
        ring: the outer outline of the cell.
        distance: in pixels of the image.
    """
    corners = np.asarray(_simplify(ring), dtype=np.float64)
    along = np.roll(corners, -1, axis=0) - np.roll(corners, 1, axis=0)
    normals = np.stack([along[:, 1], -along[:, 0]], axis=1)
    normals /= np.maximum(np.hypot(*normals.T), 1e-9)[:, None]
    x, y = corners.T
    turns = np.sign(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    moved = np.rint(corners + (turns or 1.0) * distance * normals).astype(np.int64)
    return tuple((x, y) for x, y in moved.tolist())


def draw_ring(ring: tuple[tuple[int, int], ...]) -> str:
    """Return a closed line as the data of an SVG path, each corner from the one before."""
    if len(ring) < 2:
        return ""
    steps = " ".join(f"{x1 - x0},{y1 - y0}" for (x0, y0), (x1, y1) in pairwise(ring))
    return f"M{ring[0][0]},{ring[0][1]}l{steps}z"


def describe_cell(row: Mapping[str, Any]) -> str:
    """Return a row of the cells table in words; a measurement that is missing is not named."""
    label = row["label"].replace("_", " ")
    group = row["counted_as"]
    call = {
        "left_out": f"Left out of the count, most like {label}",
        "unclassified": f"Unclassified, most like {label}",
    }.get(group, label.capitalize())
    words = [f"Cell {row['cell_id']}. {call}, confidence {row['confidence']:.2f}."]
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


def _simplify(ring: Ring) -> tuple[tuple[int, int], ...]:
    """Return corners of a closed ring at even distances, in whole pixels, no two alike in succession."""
    corners: NDArray[np.float64] = np.asarray(ring, dtype=np.float64)
    steps = np.hypot(*np.diff(corners, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    count = int(np.clip(along[-1] / _SPACING_PX, _FEWEST, _MOST))
    at = np.linspace(0.0, along[-1], count, endpoint=False)
    points = np.stack([np.interp(at, along, corners[:, 0]), np.interp(at, along, corners[:, 1])], axis=1)
    whole = np.rint(points).astype(np.int64)
    is_new = np.append(True, np.diff(whole, axis=0).any(axis=1))
    return tuple((x, y) for x, y in whole[is_new].tolist())
