"""Outlines as SVG paths, cells in words, and what a plot of measurements shows."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from erythron.interchange.geojson import cells_to_geojson
from erythron.report.distributions import make_distributions
from erythron.report.marks import describe_cell, make_marks

from .conftest import Field


def corners(path: str) -> list[np.ndarray]:
    """Corners of each subpath of a path of relative lines."""
    found = []
    for start, body in re.findall(r"M(\S+)l([^z]*)z", path):
        moves = [start, *body.split()]
        found.append(np.cumsum([[int(n) for n in move.split(",")] for move in moves], axis=0))
    return found


def test_an_outline_keeps_the_area_and_place_of_its_cell(field: Field) -> None:
    marks = make_marks(cells_to_geojson(field.segmentation, field.cells), field.cells, 12)
    assert [mark.cell_id for mark in marks] == list(range(1, 13))
    for mark, row in zip(marks, field.cells.iter_rows(named=True), strict=True):
        rings = corners(mark.path)
        assert len(rings) == 2  # cell, nucleus
        for ring, radius in zip(rings, (30, 15), strict=True):
            x, y = ring.T.astype(float)
            area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
            assert abs(area / (np.pi * radius**2) - 1) < 0.06
            assert np.hypot(x.mean() - row["x_px"], y.mean() - row["y_px"]) < 1.5
    assert marks[-1].group == "unclassified"


def test_many_cells_are_drawn_with_fewer_corners(field: Field) -> None:
    text = cells_to_geojson(field.segmentation, field.cells)
    few, many = make_marks(text, field.cells, 12), make_marks(text, field.cells, 5000)
    assert sum(len(m.path) for m in many) < 0.7 * sum(len(m.path) for m in few)


def test_words_name_only_what_was_measured() -> None:
    row = {"cell_id": 3, "label": "plasma_cell", "confidence": 0.5, "flags": None}
    assert describe_cell(row) == "Cell 3. Plasma cell, confidence 0.50."
    row |= {"flags": "touches_edge;unclassified", "touches_edge": True, "nc_ratio": 2.0}
    assert describe_cell(row) == (
        "Cell 3. Unclassified, most like plasma cell, confidence 0.50. N:C ratio 2.00. Cut by the border."
    )


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
    )
    (diameter,) = make_distributions(cells)
    assert diameter.title == "Cell diameter, µm"
    (group,) = diameter.groups
    assert (group.group, group.count) == ("proerythroblast", 500)
    assert np.allclose(group.quartiles, (12.5, 15.0, 17.5))
    assert len(group.shown) == 120
    assert (group.shown[0], group.shown[-1]) == (10.0, 20.0)
    assert make_distributions(cells.clear()) == ()
