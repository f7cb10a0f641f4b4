"""Named, unit-carrying measurements of every cell: size, shape, nucleus and colour, one row a cell.

Many cells are measured at once by counting pixels per label, so the cost grows with their pixels alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage

from erythron.cells.outline import CellOutline
from erythron.cells.table import MEASUREMENT_COLUMNS, PLACE_COLUMNS
from erythron.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEASURED_COLUMNS: dict[str, pl.DataType] = {**PLACE_COLUMNS, **MEASUREMENT_COLUMNS}
"""Every column of :func:`measure_cells`, in order."""

_TOGETHER = 256
"""Cells that are measured at once: their pixels stay in the caches, and it changes no measurement."""

_GREY = np.array([0.299, 0.587, 0.114])  # luma of ITU-R BT.601


@dataclass(frozen=True)
class _Regions:
    """Geometry of N regions; every array has N entries."""

    area: Ints
    x: Floats
    y: Floats
    eccentricity: Floats
    solidity: Floats
    circularity: Floats


@dataclass(frozen=True)
class _Pixels:
    """M pixels of cells, those of one cell in raster order; in a row of a cell all come one after the other.

    Attributes:
        ids: (M,) number of the cell, from 0.
        ys: (M,) row in the image.
        xs: (M,) column in the image.
    """

    ids: Ints
    ys: Ints
    xs: Ints

    def take(self, chosen: NDArray[np.bool_]) -> _Pixels:
        """Return some of them, in their order."""
        return _Pixels(self.ids[chosen], self.ys[chosen], self.xs[chosen])


@dataclass(frozen=True)
class _Atlas:
    """The boxes of N cells side by side in one strip, a pixel apart, so that all are measured at once.

    Attributes:
        cell: (H, W) int32; ``i + 1`` on the whole of cell ``i``.
        nucleus: (H, W) int32; the same on its nucleus.
        left: (N,) what is added to a column of the strip to get that of the image.
        top: (N,) the same for rows.
    """

    cell: NDArray[np.int32]
    nucleus: NDArray[np.int32]
    left: Ints
    top: Ints

    def find_pixels(self) -> tuple[_Pixels, NDArray[np.bool_]]:
        """Return the pixels of the cells, and which of them are of a nucleus."""
        rows, columns = np.nonzero(self.cell > 0)
        ids = self.cell[rows, columns].astype(np.int64) - 1
        is_nucleus = self.nucleus[rows, columns] > 0
        return _Pixels(ids, rows + self.top[ids], columns + self.left[ids]), is_nucleus


def measure_cells(rgb: NDArray[np.uint8], outlines: Sequence[CellOutline], mpp: float | None) -> pl.DataFrame:
    """Measure every cell of an image.

    A diameter is that of the circle of equal area, ``sqrt(4 A / pi)``. ``nc_ratio`` is nucleus : cytoplasm
    area, null where there is no cytoplasm; ``nucleus_fraction`` is nucleus : cell area, in (0, 1].
    Eccentricity is that of the ellipse with the region's second moments (0 circle, towards 1 line). Solidity
    is area : pixels in the convex hull. Circularity is ``4 pi A / P**2`` with the perimeter of Cauchy and
    Crofton, clipped to 1; holes and separate lobes lengthen the perimeter. ``nucleus_lobes`` counts
    8-connected parts. ``nucleus_sd_grey`` is the standard deviation of the luma, coarse chromatin being high.

    Args:
        rgb: (H, W, 3) uint8.
        outlines: the cells of the image, N.
        mpp: microns per pixel; None makes the columns in micrometres null.

    Returns:
        One row a cell in the order of ``outlines``, with the columns and types of ``MEASURED_COLUMNS``.

    Raises:
        DataError: an outline reaches beyond the image.
    """
    height, width = rgb.shape[:2]
    for outline in outlines:
        h, w = outline.cell.shape
        if min(outline.left, outline.top) < 0 or outline.left + w > width or outline.top + h > height:
            raise DataError(
                f"the cell at ({outline.left}, {outline.top}) of {w}x{h} px reaches beyond its image of "
                f"{width}x{height} px; segment the image that is measured"
            )
    if not outlines:
        return pl.DataFrame(schema=MEASURED_COLUMNS)
    starts = range(0, len(outlines), _TOGETHER)
    return pl.concat([_measure_some(rgb, outlines[i : i + _TOGETHER], mpp) for i in starts])


def _measure_some(rgb: NDArray[np.uint8], outlines: Sequence[CellOutline], mpp: float | None) -> pl.DataFrame:
    """Measure one or more cells that lie in the image, see :func:`measure_cells`."""
    height, width = rgb.shape[:2]
    count = len(outlines)
    atlas = _lay_side_by_side(outlines)
    cell_pixels, is_nucleus = atlas.find_pixels()
    nucleus_pixels = cell_pixels.take(is_nucleus)
    cell = _measure_regions(atlas.cell, cell_pixels, (count, height))
    nucleus = _measure_regions(atlas.nucleus, nucleus_pixels, (count, height))
    nucleus_colour = _average_colour(rgb, nucleus_pixels, count)
    cytoplasm_colour = _average_colour(rgb, cell_pixels.take(~is_nucleus), count)
    cytoplasm_area = cell.area - nucleus.area
    # An unknown scale makes every micrometre NaN, which the table stores as null.
    um = math.nan if mpp is None else mpp
    columns: dict[str, NDArray[np.generic] | list[str]] = {
        "cell_id": [outline.cell_id for outline in outlines],
        "x_px": nucleus.x,
        "y_px": nucleus.y,
        "width_px": np.array([outline.cell.shape[1] for outline in outlines]),
        "height_px": np.array([outline.cell.shape[0] for outline in outlines]),
        "cell_area_px": cell.area,
        "nucleus_area_px": nucleus.area,
        "cytoplasm_area_px": cytoplasm_area,
        "cell_diameter_px": _diameter(cell.area),
        "nucleus_diameter_px": _diameter(nucleus.area),
        "cell_area_um2": cell.area * um**2,
        "nucleus_area_um2": nucleus.area * um**2,
        "cytoplasm_area_um2": cytoplasm_area * um**2,
        "cell_diameter_um": _diameter(cell.area) * um,
        "nucleus_diameter_um": _diameter(nucleus.area) * um,
        "nc_ratio": nucleus.area / np.where(cytoplasm_area > 0, cytoplasm_area, np.nan),
        "nucleus_fraction": nucleus.area / cell.area,
        "cell_eccentricity": cell.eccentricity,
        "nucleus_eccentricity": nucleus.eccentricity,
        "cell_solidity": cell.solidity,
        "nucleus_solidity": nucleus.solidity,
        "cell_circularity": cell.circularity,
        "nucleus_circularity": nucleus.circularity,
        "nucleus_lobes": _count_lobes(atlas.nucleus, count),
        "nucleus_mean_red": nucleus_colour[:, 0],
        "nucleus_mean_green": nucleus_colour[:, 1],
        "nucleus_mean_blue": nucleus_colour[:, 2],
        "nucleus_sd_grey": _spread_of_luma(rgb, nucleus_pixels, nucleus_colour),
        "cytoplasm_mean_red": cytoplasm_colour[:, 0],
        "cytoplasm_mean_green": cytoplasm_colour[:, 1],
        "cytoplasm_mean_blue": cytoplasm_colour[:, 2],
        "touches_edge": np.array([_touches_edge(outline, height, width) for outline in outlines]),
        "outline_score": np.array([outline.score for outline in outlines], np.float64),
    }
    return pl.DataFrame(columns, schema=MEASURED_COLUMNS, nan_to_null=True)


def _lay_side_by_side(outlines: Sequence[CellOutline]) -> _Atlas:
    widths = np.array([outline.cell.shape[1] for outline in outlines])
    starts = np.concatenate([[0], np.cumsum(widths + 1)[:-1]])
    shape = (max(outline.cell.shape[0] for outline in outlines), int(widths.sum()) + len(outlines))
    cell, nucleus = (np.zeros(shape, np.int32) for _ in range(2))
    for i, (outline, start) in enumerate(zip(outlines, starts, strict=True), start=1):
        h, w = outline.cell.shape
        cell[:h, start : start + w][outline.cell] = i
        nucleus[:h, start : start + w][outline.nucleus] = i
    left = np.array([outline.left for outline in outlines], np.int64) - starts
    return _Atlas(cell, nucleus, left, np.array([outline.top for outline in outlines], np.int64))


def _diameter(area: Ints) -> Floats:
    return np.sqrt(4 * area / math.pi)


def _measure_regions(labels: NDArray[np.int32], pixels: _Pixels, size: tuple[int, int]) -> _Regions:
    """Measure the labels 1..N of a strip, given their pixels, and N and the height of the image."""
    ids, ys, xs = pixels.ids, pixels.ys, pixels.xs
    count, rows = size
    area = np.bincount(ids, minlength=count)
    n = np.maximum(area, 1)
    x, y = (np.bincount(ids, v, count) / n for v in (xs, ys))
    dx, dy = xs - x[ids], ys - y[ids]
    # A pixel is a unit square, not a point: its own second moment of 1/12 belongs to the region's.
    xx, yy = (np.bincount(ids, d * d, count) / n + 1 / 12 for d in (dx, dy))
    xy = np.bincount(ids, dx * dy, count) / n
    spread = np.hypot(xx - yy, 2 * xy)
    eccentricity = np.sqrt(2 * spread / (xx + yy + spread))
    hull_area = _count_hull_pixels(pixels, rows)
    perimeter = _crofton_perimeter(labels, count)
    circularity = np.minimum(4 * math.pi * area / np.maximum(perimeter, 1) ** 2, 1.0)
    return _Regions(area, x, y, eccentricity, area / hull_area, circularity)


def _crofton_perimeter(labels: NDArray[np.int32], count: int) -> Floats:
    """Return perimeters in pixels by the Cauchy-Crofton formula in four directions.

    ``P = pi/2 * mean_k(d_k I_k)`` with ``I_k`` the boundary crossings along the lines of direction ``k`` and
    ``d_k`` their spacing: 1 along rows and columns, ``1/sqrt(2)`` along diagonals. Unlike a chain of boundary
    pixels it has no bias on digital discs (Legland, Kieu and Devaux, Image Anal Stereol 2007,
    doi 10.5566/ias.v26.p83-92).
    """
    padded = np.pad(labels, 1)
    axial = np.zeros(count + 1)
    diagonal = np.zeros(count + 1)
    for total, a, b in (
        (axial, padded[:, :-1], padded[:, 1:]),
        (axial, padded[:-1], padded[1:]),
        (diagonal, padded[:-1, :-1], padded[1:, 1:]),
        (diagonal, padded[:-1, 1:], padded[1:, :-1]),
    ):
        # A line leaves a region as often as it enters it.
        total += 2 * np.bincount(a[a != b], minlength=count + 1)
    return (math.pi / 8 * (axial + diagonal / math.sqrt(2)))[1:]


def _count_hull_pixels(pixels: _Pixels, rows: int) -> Ints:
    """Return for every label how many pixel centres its convex hull holds.

    The hull of pixel centres is a lattice polygon, so Pick's theorem counts them exactly:
    ``area + boundary / 2 + 1``.
    """
    # The leftmost and the rightmost pixel of each row of each label suffice.
    key = pixels.ids * rows + pixels.ys
    first = np.flatnonzero(np.diff(key, prepend=-1))
    last = np.append(first[1:], key.size) - 1
    order = np.argsort(key[first], kind="stable")
    first, last = first[order], last[order]
    owner, row = np.divmod(key[first], rows)
    left_area, left_steps, left_ends = _trace_envelope(owner, row, pixels.xs[first])
    right_area, right_steps, right_ends = _trace_envelope(owner, row, -pixels.xs[last])
    # Mirrored on the right, the sum of both areas is minus the polygon's, that of both ends minus its width.
    boundary = left_steps + right_steps - left_ends - right_ends
    return (boundary - left_area - right_area) // 2 + 1


def _trace_envelope(owner: Ints, row: Ints, x: Ints) -> tuple[Ints, Ints, Ints]:
    """Trace the convex lower envelope of x over the rows of each owner.

    Returns:
        for every owner: twice the integral of the envelope over its rows, lattice steps along the envelope,
        and the sum of x at its first and last row.
    """
    count = int(owner[-1]) + 1
    is_end = np.diff(owner, prepend=-1).astype(bool) | np.diff(owner, append=count).astype(bool)
    ends = np.bincount(owner, np.where(is_end, x, 0), count)
    # An owner of one row has its first and last point in one.
    single = np.bincount(owner, minlength=count) == 1
    ends = np.where(single, 2 * ends, ends)
    # A point on or above the line between its neighbours is no corner; dropping all such at once is safe.
    while True:
        dx, dy = np.diff(x), np.diff(row)
        drop = np.zeros(x.size, bool)
        drop[1:-1] = dx[:-1] * dy[1:] >= dx[1:] * dy[:-1]
        drop &= ~is_end
        if not drop.any():
            break
        owner, row, x, is_end = owner[~drop], row[~drop], x[~drop], is_end[~drop]
    joined = np.diff(owner) == 0
    dx, dy, middle = np.diff(x)[joined], np.diff(row)[joined], (x[1:] + x[:-1])[joined]
    area = np.bincount(owner[:-1][joined], middle * dy, count)
    steps = np.bincount(owner[:-1][joined], np.gcd(dx, dy), count)
    return area.astype(np.int64), steps.astype(np.int64), ends.astype(np.int64)


def _count_lobes(nucleus: NDArray[np.int32], count: int) -> Ints:
    parts, number = ndimage.label(nucleus, np.ones((3, 3)))
    on = nucleus > 0
    owner = np.zeros(number + 1, np.int64)
    owner[parts[on]] = nucleus[on]
    return np.bincount(owner, minlength=count + 1)[1:]


def _average_colour(rgb: NDArray[np.uint8], pixels: _Pixels, count: int) -> Floats:
    """Return (count, 3) mean colours, NaN where a cell has no pixel."""
    colours, n = rgb[pixels.ys, pixels.xs], _count_pixels(pixels, count)
    return np.stack([np.bincount(pixels.ids, colours[:, k], count) / n for k in range(3)], axis=1)


def _spread_of_luma(rgb: NDArray[np.uint8], pixels: _Pixels, mean: Floats) -> Floats:
    """Return (N,) standard deviations of the luma around that of the cells' mean colours, (N, 3)."""
    colours = rgb[pixels.ys, pixels.xs].astype(np.float64)
    deviation = colours @ _GREY - (mean @ _GREY)[pixels.ids]
    n = _count_pixels(pixels, len(mean))
    return np.asarray(np.sqrt(np.bincount(pixels.ids, deviation**2, len(mean)) / n), np.float64)


def _count_pixels(pixels: _Pixels, count: int) -> Floats:
    """Return (count,) how many pixels each cell has, NaN in place of 0."""
    n = np.bincount(pixels.ids, minlength=count).astype(np.float64)
    n[n == 0] = np.nan
    return n


def _touches_edge(outline: CellOutline, height: int, width: int) -> bool:
    h, w = outline.cell.shape
    return min(outline.left, outline.top) == 0 or outline.left + w == width or outline.top + h == height
