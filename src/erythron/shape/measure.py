"""Named, unit-carrying measurements of every cell: size, shape, nucleus and colour, one row a cell.

All cells are measured at once by counting pixels per label, so the cost grows with pixels, not with cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from skimage.measure import label

from erythron.errors import DataError
from erythron.segment.segmentation import Segmentation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLACE_SCHEMA: dict[str, pl.DataType] = {
    "cell_id": pl.Int64(),
    "x_px": pl.Float64(),
    "y_px": pl.Float64(),
    "width_px": pl.Int64(),
    "height_px": pl.Int64(),
}
"""Which cell and where: centre of the nucleus (0 is the centre of the first pixel), box of the whole cell."""

MEASUREMENT_SCHEMA: dict[str, pl.DataType] = {
    **PLACE_SCHEMA,
    "cell_area_px": pl.Int64(),
    "nucleus_area_px": pl.Int64(),
    "cytoplasm_area_px": pl.Int64(),
    "cell_diameter_px": pl.Float64(),
    "nucleus_diameter_px": pl.Float64(),
    "cell_area_um2": pl.Float64(),
    "nucleus_area_um2": pl.Float64(),
    "cytoplasm_area_um2": pl.Float64(),
    "cell_diameter_um": pl.Float64(),
    "nucleus_diameter_um": pl.Float64(),
    "nc_ratio": pl.Float64(),
    "nucleus_fraction": pl.Float64(),
    "cell_eccentricity": pl.Float64(),
    "nucleus_eccentricity": pl.Float64(),
    "cell_solidity": pl.Float64(),
    "nucleus_solidity": pl.Float64(),
    "cell_circularity": pl.Float64(),
    "nucleus_circularity": pl.Float64(),
    "nucleus_lobes": pl.Int64(),
    "nucleus_mean_red": pl.Float64(),
    "nucleus_mean_green": pl.Float64(),
    "nucleus_mean_blue": pl.Float64(),
    "nucleus_sd_grey": pl.Float64(),
    "cytoplasm_mean_red": pl.Float64(),
    "cytoplasm_mean_green": pl.Float64(),
    "cytoplasm_mean_blue": pl.Float64(),
    "touches_edge": pl.Boolean(),
}
"""Every column of :func:`measure_cells`, in order."""

MEASUREMENTS: tuple[str, ...] = tuple(name for name in MEASUREMENT_SCHEMA if name not in PLACE_SCHEMA)
"""The columns that say something of the cell rather than of its place."""

_GREY = np.array([0.299, 0.587, 0.114])  # luma of ITU-R BT.601


@dataclass(frozen=True)
class _Regions:
    """Geometry of the labels 1..n of one label image; every array has n entries."""

    area: Ints
    x: Floats
    y: Floats
    width: Ints
    height: Ints
    eccentricity: Floats
    solidity: Floats
    circularity: Floats


def measure_cells(rgb: NDArray[np.uint8], segmentation: Segmentation, mpp: float | None) -> pl.DataFrame:
    """Measure every cell of an image.

    A diameter is that of the circle of equal area, ``sqrt(4 A / pi)``. ``nc_ratio`` is nucleus : cytoplasm
    area, null where there is no cytoplasm; ``nucleus_fraction`` is nucleus : cell area, in (0, 1].
    Eccentricity is that of the ellipse with the region's second moments (0 circle, towards 1 line). Solidity
    is area : pixels in the convex hull. Circularity is ``4 pi A / P**2`` with the perimeter of Cauchy and
    Crofton, clipped to 1; holes and separate lobes lengthen the perimeter. ``nucleus_lobes`` counts
    8-connected parts. ``nucleus_sd_grey`` is the standard deviation of the luma, coarse chromatin being high.

    Args:
        rgb: (H, W, 3) uint8.
        segmentation: the cells of the image.
        mpp: microns per pixel; None makes the columns in micrometres null.

    Returns:
        One row a cell in order of ``cell_id``, with the columns and types of ``MEASUREMENT_SCHEMA``; no rows
        where there are no cells.

    Raises:
        DataError: pixels and segmentation differ in size.
    """
    if rgb.shape[:2] != segmentation.cell.shape or rgb.shape[:2] != segmentation.nucleus.shape:
        raise DataError(
            f"image of {rgb.shape[1]}x{rgb.shape[0]} px and segmentation of {segmentation.cell.shape[1]}x"
            f"{segmentation.cell.shape[0]} px differ; segment the image that is measured"
        )
    count = segmentation.count
    if count == 0:
        return pl.DataFrame(schema=MEASUREMENT_SCHEMA)
    cell = _measure_regions(segmentation.cell, count)
    nucleus = _measure_regions(segmentation.nucleus, count)
    cytoplasm_label = np.where(segmentation.nucleus > 0, 0, segmentation.cell)
    nucleus_colour, nucleus_sd_grey = _measure_colour(rgb, segmentation.nucleus, count)
    cytoplasm_colour, _ = _measure_colour(rgb, cytoplasm_label, count)
    cytoplasm_area = cell.area - nucleus.area
    # An unknown scale makes every micrometre NaN, which the table stores as null.
    um = math.nan if mpp is None else mpp
    columns: dict[str, NDArray[np.generic]] = {
        "cell_id": np.arange(1, count + 1),
        "x_px": nucleus.x,
        "y_px": nucleus.y,
        "width_px": cell.width,
        "height_px": cell.height,
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
        "nucleus_lobes": _count_lobes(segmentation.nucleus, count),
        "nucleus_mean_red": nucleus_colour[:, 0],
        "nucleus_mean_green": nucleus_colour[:, 1],
        "nucleus_mean_blue": nucleus_colour[:, 2],
        "nucleus_sd_grey": nucleus_sd_grey,
        "cytoplasm_mean_red": cytoplasm_colour[:, 0],
        "cytoplasm_mean_green": cytoplasm_colour[:, 1],
        "cytoplasm_mean_blue": cytoplasm_colour[:, 2],
        "touches_edge": _touches_edge(segmentation.cell, count),
    }
    return pl.DataFrame(columns, schema=MEASUREMENT_SCHEMA, nan_to_null=True)


def _diameter(area: Ints) -> Floats:
    return np.sqrt(4 * area / math.pi)


def _measure_regions(labels: NDArray[np.int32], count: int) -> _Regions:
    ys, xs = np.nonzero(labels)
    ids = labels[ys, xs].astype(np.int64) - 1
    area = np.bincount(ids, minlength=count)
    n = np.maximum(area, 1)
    x, y = (np.bincount(ids, v, count) / n for v in (xs, ys))
    dx, dy = xs - x[ids], ys - y[ids]
    # A pixel is a unit square, not a point: its own second moment of 1/12 belongs to the region's.
    xx, yy = (np.bincount(ids, d * d, count) / n + 1 / 12 for d in (dx, dy))
    xy = np.bincount(ids, dx * dy, count) / n
    spread = np.hypot(xx - yy, 2 * xy)
    eccentricity = np.sqrt(2 * spread / (xx + yy + spread))
    width, height = (_extent(ids, v, count) for v in (xs, ys))
    hull_area = _count_hull_pixels(ids, ys, xs, labels.shape[0])
    perimeter = _crofton_perimeter(labels, count)
    circularity = np.minimum(4 * math.pi * area / np.maximum(perimeter, 1) ** 2, 1.0)
    return _Regions(area, x, y, width, height, eccentricity, area / hull_area, circularity)


def _extent(ids: Ints, v: Ints, count: int) -> Ints:
    low: Ints = np.full(count, np.iinfo(np.int64).max)
    high: Ints = np.full(count, -1)
    np.minimum.at(low, ids, v)
    np.maximum.at(high, ids, v)
    extent: Ints = high - low + 1
    return extent


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
        crossing = a != b
        total += np.bincount(a[crossing], minlength=count + 1) + np.bincount(b[crossing], minlength=count + 1)
    return (math.pi / 8 * (axial + diagonal / math.sqrt(2)))[1:]


def _count_hull_pixels(ids: Ints, ys: Ints, xs: Ints, rows: int) -> Ints:
    """Return for every label how many pixel centres its convex hull holds.

    The hull of pixel centres is a lattice polygon, so Pick's theorem counts them exactly:
    ``area + boundary / 2 + 1``. Pixels must come in raster order.
    """
    # The leftmost and the rightmost pixel of each row of each label suffice.
    key = ids * rows + ys
    order = np.argsort(key, kind="stable")
    key, x = key[order], xs[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    last = np.append(first[1:], key.size) - 1
    owner, row = np.divmod(key[first], rows)
    left_area, left_steps, left_ends = _trace_envelope(owner, row, x[first])
    right_area, right_steps, right_ends = _trace_envelope(owner, row, -x[last])
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
    parts = label(nucleus, connectivity=2)  # type: ignore[no-untyped-call]
    on = nucleus > 0
    owner = np.zeros(int(parts.max()) + 1, np.int64)
    owner[parts[on]] = nucleus[on]
    return np.bincount(owner, minlength=count + 1)[1:]


def _measure_colour(rgb: NDArray[np.uint8], labels: NDArray[np.int32], count: int) -> tuple[Floats, Floats]:
    """Return (n, 3) mean colours and (n,) standard deviations of the luma, NaN where a label has no pixel."""
    on = labels > 0
    ids = labels[on] - 1
    colours = rgb[on].astype(np.float64)
    n = np.bincount(ids, minlength=count).astype(np.float64)
    n[n == 0] = np.nan
    mean = np.stack([np.bincount(ids, colours[:, k], count) / n for k in range(3)], axis=1)
    deviation = colours @ _GREY - (mean @ _GREY)[ids]
    return mean, np.sqrt(np.bincount(ids, deviation**2, count) / n)


def _touches_edge(cell: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    border = np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])
    return np.bincount(border, minlength=count + 1)[1:] > 0
