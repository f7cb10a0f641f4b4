"""The areas of a counted slide: which of its cells are of which, as its record says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.results.record import SlideRecord

Floats = NDArray[np.float64]


def part_by_area(cells: pl.DataFrame, slide: SlideRecord) -> list[pl.DataFrame]:
    """Return the rows of each area of a slide; those that persons added are of the area nearest to them.

    Args:
        cells: the table as the folder of the slide has it: the cells of the count in their order, and after
            them those that persons added.
        slide: how it was counted.
    """
    ends = np.cumsum((0, *slide.area_cells)).tolist()
    own = [cells.slice(first, end - first) for first, end in pairwise(ends)]
    added = cells.slice(ends[-1])
    if added.is_empty():
        return own
    nearest = pl.Series(np.argmin(_measure_gaps(added.select("x_px", "y_px").to_numpy(), slide), axis=1))
    return [pl.concat([part, added.filter(nearest == number)]) for number, part in enumerate(own)]


def is_in_areas(x: float, y: float, slide: SlideRecord) -> bool:
    """Return whether a place in pixels of a slide lies in an area that was counted."""
    return bool((_measure_gaps(np.array([[x, y]]), slide) == 0).any())


def _measure_gaps(places: Floats, slide: SlideRecord) -> Floats:
    """Return the squared distances of N places to A areas, (N, A); 0 inside."""
    left, top, right, bottom = np.array(slide.areas, np.float64).reshape(-1, 4).T
    x, y = places[:, :1], places[:, 1:]
    across = np.maximum(np.maximum(left - x, x - (right - 1)), 0)
    down = np.maximum(np.maximum(top - y, y - (bottom - 1)), 0)
    return np.asarray(across**2 + down**2)
