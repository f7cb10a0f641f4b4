"""Outlines as SVG paths, cells in words, and what a plot of measurements shows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from erythron.cells.outline import outlines_from_labels
from erythron.cells.table import count_as
from erythron.interchange.geojson import trace_cells
from erythron.report.distributions import make_distributions
from erythron.report.marks import describe_cell, draw_path, make_marks

from .conftest import Field


def corners(path: str) -> list[np.ndarray]:
    """Corners of each subpath of a path of relative lines."""
    found = []
    for start, body in re.findall(r"M(\S+)l([^z]*)z", path):
        moves = [start, *body.split()]
        found.append(np.cumsum([[int(n) for n in move.split(",")] for move in moves], axis=0))
    return found


def test_an_outline_keeps_the_area_and_place_of_its_cell(field: Field) -> None:
    marks = make_marks(field.rings, field.cells)
    assert [mark.cell_id for mark in marks] == field.cells["cell_id"].to_list()
    for mark, row in zip(marks, field.cells.iter_rows(named=True), strict=True):
        rings = corners(draw_path(mark))
        assert [ring.tolist() for ring in rings] == [[list(c) for c in ring] for ring in mark.rings]
        assert len(rings) == 2  # cell, nucleus
        for ring, radius in zip(rings, (30, 15), strict=True):
            x, y = ring.T.astype(float)
            area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
            assert abs(area / (np.pi * radius**2) - 1) < 0.06
            assert np.hypot(x.mean() - row["x_px"], y.mean() - row["y_px"]) < 1.5
    assert marks[-1].group == "unclassified"


def test_many_cells_are_drawn_with_fewer_corners(field: Field) -> None:
    marks = make_marks(field.rings, field.cells)
    fine, coarse = (sum(len(draw_path(m, is_coarse=c)) for m in marks) for c in (False, True))
    assert coarse < 0.7 * fine
    for mark in marks:
        for ring, half in zip(mark.rings, corners(draw_path(mark, is_coarse=True)), strict=True):
            assert half.tolist() == [list(corner) for corner in ring[::2]]


def test_holes_and_lobes_are_outlined_too_and_rows_and_outlines_must_fit(field: Field) -> None:
    cell = np.zeros((60, 60), np.int32)
    cell[5:55, 5:55] = 1
    cell[10:20, 10:20] = 0
    nucleus = np.zeros_like(cell)
    nucleus[25:35, 10:20] = nucleus[25:35, 40:50] = 1
    rings = trace_cells(outlines_from_labels(nucleus, cell))
    (mark,) = make_marks(rings, field.cells.head(1))
    assert len(mark.rings) == 4  # outside, hole, two lobes
    with pytest.raises(ValueError, match="zip"):
        make_marks(rings, field.cells)


def test_words_name_only_what_was_measured() -> None:
    row: dict[str, Any] = {
        "cell_id": "x7y9", "label": "plasma_cell", "confidence": 0.5, "counted_as": "plasma_cell",
    }  # fmt: skip
    assert describe_cell(row) == "Cell x7y9. Plasma cell, confidence 0.50."
    row |= {"counted_as": "unclassified", "touches_edge": True, "nc_ratio": 2.0}
    assert describe_cell(row) == (
        "Cell x7y9. Unclassified, most like plasma cell, confidence 0.50. N:C ratio 2.00. Cut by the border."
    )
    row |= {"counted_as": "left_out", "touches_edge": False, "nc_ratio": None}
    assert describe_cell(row) == "Cell x7y9. Left out of the count, most like plasma cell, confidence 0.50."


def test_words_give_micrometres_and_pixels_where_the_scale_is_unknown() -> None:
    row: dict[str, Any] = {
        "cell_id": "x7y9", "label": "granulocyte", "confidence": 0.5, "counted_as": "granulocyte",
        "cell_diameter_um": 12.34, "nucleus_diameter_um": 8.0, "cell_diameter_px": 61.7,
        "nucleus_diameter_px": 40.0,
    }  # fmt: skip
    assert "Diameter 12.3 µm, nucleus 8.0 µm." in describe_cell(row)
    row |= {"cell_diameter_um": None, "nucleus_diameter_um": None}
    assert "Diameter 61.7 px, nucleus 40.0 px." in describe_cell(row)


def test_distributions_hold_sure_cells_of_the_stages_only() -> None:
    cells = pl.DataFrame(
        {
            "label": ["proerythroblast"] * 500 + ["granulocyte", "proerythroblast", "proerythroblast"],
            "flags": [None] * 501 + ["unclassified", "left_out"],
            "cell_diameter_um": [*np.linspace(10, 20, 500), 5.0, 99.0, 99.0],
            "cell_diameter_px": [50.0] * 503,
            "nc_ratio": [None] * 503,
        },
        schema_overrides={"nc_ratio": pl.Float64()},
    ).with_columns(count_as())
    (diameter,) = make_distributions(cells)
    assert diameter.title == "Cell diameter, µm"
    (group,) = diameter.groups
    assert (group.group, group.count) == ("proerythroblast", 500)
    assert np.allclose(group.quartiles, (12.5, 15.0, 17.5))
    assert len(group.shown) == 120
    assert (group.shown[0], group.shown[-1]) == (10.0, 20.0)
    assert make_distributions(cells.clear()) == ()
