"""Counted images drawn for tests, with every kind of outline."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from erythron.cells.outline import CellOutline, outlines_from_labels
from erythron.interchange.cells import CountedImage

CLASSES = ("polychromatic_erythroblast", "granulocyte", "lymphocyte")


def disc(height: int, width: int, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius


def make_outlines() -> tuple[CellOutline, ...]:
    """Four cells of an image of 90 x 70: plain; two lobes; a hole; in two parts and at the corner."""
    size = (70, 90)
    cell, nucleus = np.zeros(size, np.int32), np.zeros(size, np.int32)
    cell[disc(*size, 20, 20, 14)] = 1
    nucleus[disc(*size, 22, 19, 8)] = 1
    cell[disc(*size, 60, 20, 16)] = 2
    nucleus[disc(*size, 53, 20, 5) | disc(*size, 68, 20, 4)] = 2
    cell[disc(*size, 22, 50, 15) & ~disc(*size, 22, 42, 3)] = 3
    nucleus[disc(*size, 22, 54, 7) & ~disc(*size, 22, 54, 2)] = 3
    cell[58:, 78:] = cell[40:44, 84:90] = 4
    nucleus[62:, 82:] = 4
    return outlines_from_labels(nucleus, cell)


def make_table(name: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "image": [name] * 4,
            "cell_id": [outline.cell_id for outline in make_outlines()],
            "x_px": [21.5, 60.0, 21.5, 85.5],
            "y_px": [18.5, 19.5, 53.5, 65.5],
            "width_px": [28, 32, 30, 12],
            "height_px": [28, 32, 30, 30],
            "label": ["polychromatic_erythroblast", "granulocyte", "lymphocyte", "granulocyte"],
            "confidence": [0.9, 0.8, 0.4, 0.7],
            **{f"prob_{c}": [0.25, 0.5, 0.25, 0.5] for c in CLASSES},
            "flags": ["", None, "unclassified", "touches_edge"],
        }
    )


def make_image(name: str = "smear/a b.png") -> CountedImage:
    return CountedImage(name, 90, 70, make_table(name), make_outlines())


@pytest.fixture
def counted_image() -> CountedImage:
    return make_image()
