"""Cells as vector outlines over the picture of their field, each with what is known of it in words.

The outlines come from the ``cells.geojson`` of the field's folder, so that a continued run shows the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.report.model import CellMark

MAX_MARKS = 2400
"""Cells outlined on one page; beyond them a field's picture is shown without outlines."""

_SPACING_PX = 4.0
"""Distance between the corners of an outline: a chord of a cell is off by a tenth of a pixel."""
_FEWEST, _MOST = 8, 40
_DETAILED_MARKS = 1200
"""With more cells on the page than this, outlines get half the corners."""


def make_marks(geojson: str, cells: pl.DataFrame, cells_on_page: int) -> tuple[CellMark, ...]:
    """Return the outlines of a field's cells.

    Args:
        geojson: text of the field's ``cells.geojson``; features are named by ``cell_id``.
        cells: its cells table.
        cells_on_page: cells that the page outlines in all; of many each is drawn with fewer corners.
    """
    rows = {str(row["cell_id"]): row for row in cells.iter_rows(named=True)}
    most = _MOST if cells_on_page <= _DETAILED_MARKS else _MOST // 2
    marks = []
    for feature in json.loads(geojson)["features"]:
        row = rows[feature["properties"]["name"]]
        outlines = (feature["geometry"], feature["nucleusGeometry"])
        path = "".join(_trace(ring, most) for outline in outlines for ring in _rings_of(outline))
        marks.append(CellMark(row["cell_id"], name_group(row), path, describe_cell(row)))
    return tuple(marks)


def name_group(row: Mapping[str, Any]) -> str:
    """Return the line of the differential that counts a row of the cells table, or ``left_out``."""
    flags = (row["flags"] or "").split(";")
    for name in ("left_out", "unclassified"):
        if name in flags:
            return name
    return str(row["label"])


def describe_cell(row: Mapping[str, Any]) -> str:
    """Return a row of the cells table in words; a measurement that is missing is not named."""
    label = row["label"].replace("_", " ")
    group = name_group(row)
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


def _rings_of(geometry: Mapping[str, Any]) -> list[list[list[float]]]:
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [ring for part in parts for ring in part]


def _trace(ring: list[list[float]], most: int) -> str:
    """Return a closed ring as a subpath: corners at even distances, in whole pixels, each from the last."""
    corners: NDArray[np.float64] = np.asarray(ring, dtype=np.float64)
    steps = np.hypot(*np.diff(corners, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    count = int(np.clip(along[-1] / _SPACING_PX, _FEWEST, most))
    at = np.linspace(0.0, along[-1], count, endpoint=False)
    points = np.stack([np.interp(at, along, corners[:, 0]), np.interp(at, along, corners[:, 1])], axis=1)
    whole = np.rint(points).astype(np.int64)
    moves = np.diff(whole, axis=0)
    moves = moves[moves.any(axis=1)]
    body = " ".join(f"{x},{y}" for x, y in moves.tolist())
    return f"M{whole[0, 0]},{whole[0, 1]}l{body}z" if body else ""
