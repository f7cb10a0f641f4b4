"""Areas of an image in which no cell is counted: out of focus, too thick, or without an image.

In: pixels, the table of cells and the scale. Out: outlines of areas, as
:class:`~erythron.quality.flags.LeftOutArea`, and which cells lie in them.

The image is divided into squares about as wide as a cell, and each is judged by the window of five by five
squares around it. *Sharpness* is the variance of the finest detail over that of coarser detail, so that it
depends on neither stain nor light: out of focus, the finest detail fades first. A window is *too thick* where
little light comes through and hardly any glass is seen. Both measures are the project's own. Without an
image are borders of one exact colour, see :mod:`erythron.read.frame`.

``benchmarks/constants.py`` measures what each threshold is worth; its tables, ``docs/results/constants.md``,
say that no sharp field is left out but that many blurred ones are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import points_in_poly

from erythron.quality.flags import LeftOutArea
from erythron.read.image import SmearImage

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class AreaThresholds:
    """Where an area cannot be read; ``benchmarks/constants.py`` measures every value.

    Attributes:
        square_um: side of a square, about the width of a cell.
        fallback_mpp: microns per pixel where the scale is unknown; usual for an objective of 40 times.
        fine_um: width of the running mean, an odd number of pixels; the finest detail is what differs
            from it.
        least_sharpness: variance of the finest detail over that of detail up to three times as wide, under
            which a window is out of focus.
        least_relative_sharpness: sharpness over the median of that half of the field that has most detail;
            a second condition where the scale is unknown, and with it the size of the finest detail.
        least_detail: standard deviation of the coarser detail over the light of the empty smear, under which
            there is nothing to be sharp or not.
        least_light: mean light of a window over that of the empty smear under which it is too thick.
        most_glass: share of a window that is as bright as glass, above which it is not too thick.
        glass_light: light over that of the empty smear from which a pixel is as bright as glass.
        least_area: size in windows under which an area is too small to be left out.
    """

    square_um: float = 12.0
    fallback_mpp: float = 0.25
    fine_um: float = 0.75
    least_sharpness: float = 0.045
    least_relative_sharpness: float = 0.6
    least_detail: float = 0.006
    least_light: float = 0.22
    most_glass: float = 0.02
    glass_light: float = 0.8
    least_area: float = 1.0


THRESHOLDS = AreaThresholds()
_WINDOW = 5
"""Squares a side of a window, enough cells to judge by; ``benchmarks/constants.py`` measures it."""


def find_left_out_areas(image: SmearImage) -> tuple[LeftOutArea, ...]:
    """Return the areas of a field in which no cell is counted, those without an image first.

    Args:
        image: the field, with the scale that was used.
    """
    frame, whole_px = image.frame, image.width_px * image.height_px
    shown = frame.area_px / whole_px
    unreadable = (
        replace(
            area,
            outline=tuple((x + frame.left, y + frame.top) for x, y in area.outline),
            area_fraction=area.area_fraction * shown,
        )
        for area in find_unreadable_areas(image.shown, image.background, image.mpp)
    )
    borders = (
        (0, 0, image.width_px, frame.top),
        (0, frame.bottom, image.width_px, image.height_px),
        (0, frame.top, frame.left, frame.bottom),
        (frame.right, frame.top, image.width_px, frame.bottom),
    )
    blank = [
        LeftOutArea(
            "no_image",
            ((left, top), (right, top), (right, bottom), (left, bottom)),
            (right - left) * (bottom - top) / whole_px,
        )
        for left, top, right, bottom in borders
        if right > left and bottom > top
    ]
    return (*blank, *unreadable)


def find_unreadable_areas(
    rgb: NDArray[np.uint8],
    background: NDArray[np.float32],
    mpp: float | None,
    limits: AreaThresholds = THRESHOLDS,
) -> tuple[LeftOutArea, ...]:
    """Return the areas of a field that are out of focus or too thick.

    Args:
        rgb: (H, W, 3) uint8.
        background: (3,) float32, colour of the empty smear.
        mpp: microns per pixel, or None where unknown.
        limits: thresholds.

    Returns:
        Areas, those out of focus first; none in a field smaller than a window.
    """
    side = max(8, round(limits.square_um / (mpp or limits.fallback_mpp)))
    shape = (rgb.shape[0] // side, rgb.shape[1] // side)
    if min(shape) < _WINDOW:
        return ()
    light = rgb[: shape[0] * side, : shape[1] * side, 1].astype(np.float32) / float(background[1])
    blurred = _measure_blur(light, side, mpp, limits)
    thick = _measure_thickness(light, side, limits) & ~blurred
    found: list[LeftOutArea] = []
    named: tuple[tuple[Literal["out_of_focus", "too_thick"], Mask], ...] = (
        ("out_of_focus", blurred),
        ("too_thick", thick),
    )
    for cause, mask in named:
        found += _outline(mask, side, cause, (rgb.shape[0], rgb.shape[1]), limits)
    return tuple(found)


def find_cells_inside(cells: pl.DataFrame, areas: Sequence[LeftOutArea]) -> Mask:
    """Return for each row of a table of cells, (N,) bool, whether its nucleus' centre is left out.

    A centre on the edge of an area is.
    """
    centres = cells.select("x_px", "y_px").to_numpy()
    inside = np.zeros(cells.height, dtype=bool)
    for area in areas:
        inside |= points_in_poly(centres, area.outline)  # type: ignore[no-untyped-call]
    return inside


def _measure_blur(light: Floats, side: int, mpp: float | None, limits: AreaThresholds) -> Mask:
    # Odd, so that the mean lies on its pixel: beside it, any slope would pass for fine detail.
    width = max(3, 2 * int(limits.fine_um / (mpp or limits.fallback_mpp) / 2) + 1)
    smooth = ndimage.uniform_filter(light, width)
    fine = _average((light - smooth) ** 2, side)
    coarse = _average((smooth - ndimage.uniform_filter(smooth, 3 * width)) ** 2, side)
    fine, coarse = (ndimage.uniform_filter(e, _WINDOW, mode="nearest") for e in (fine, coarse))
    has_detail = coarse > limits.least_detail**2
    sharpness = fine / np.maximum(coarse, limits.least_detail**2)
    is_blurred = has_detail & (sharpness < limits.least_sharpness)
    if mpp is None and has_detail.any():
        best = float(np.median(sharpness[has_detail & (coarse >= np.median(coarse[has_detail]))]))
        is_blurred &= sharpness < limits.least_relative_sharpness * best
    return np.asarray(is_blurred)


def _measure_thickness(light: Floats, side: int, limits: AreaThresholds) -> Mask:
    mean = ndimage.uniform_filter(_average(light, side), _WINDOW, mode="nearest")
    glass = _average((light > limits.glass_light).astype(np.float32), side)
    glass = ndimage.uniform_filter(glass, _WINDOW, mode="nearest")
    return np.asarray((mean < limits.least_light) & (glass <= limits.most_glass))


def _average(values: Floats, side: int) -> Floats:
    """Return the mean of each square."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    return np.asarray(values.reshape(rows, side, columns, side).mean(axis=(1, 3)))


def _outline(
    mask: Mask,
    side: int,
    cause: Literal["out_of_focus", "too_thick"],
    shape: tuple[int, int],
    limits: AreaThresholds,
) -> list[LeftOutArea]:
    """Return the areas of a mask of squares; holes belong to them, for what they enclose is doubtful too."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask))
    areas = []
    for i in range(1, count + 1):
        one = labels == i
        if one.sum() >= limits.least_area * _WINDOW**2:
            outline = tuple((float(x * side), float(y * side)) for x, y in _trace(one))
            fraction = float(one.sum()) * side * side / (shape[0] * shape[1])
            areas.append(LeftOutArea(cause, outline, fraction))
    return areas


def _trace(mask: Mask) -> list[tuple[int, int]]:
    """Return the corners (x, y) of the border of a connected mask without holes, on the grid's lines.

    Outlines of cells run through the middles of edges and cut corners by half a pixel; here that would be
    half a square, which is as wide as a cell.
    """
    padded = np.pad(mask, 1)
    y, x = (int(v) for v in np.argwhere(padded)[0])
    start, here, step = (x, y), (x, y), (1, 0)
    corners = [start]
    while True:
        here = (here[0] + step[0], here[1] + step[1])
        # Walking with the mask on the right: turn left where it goes on ahead on the left, and so on.
        ahead_left, ahead_right = (_cell(padded, here, step, is_left=left) for left in (True, False))
        if ahead_left and ahead_right:
            turned = (step[1], -step[0])
        elif ahead_right:
            turned = step
        else:
            turned = (-step[1], step[0])
        if here == start:
            break
        if turned != step:
            corners.append(here)
        step = turned
    return [(cx - 1, cy - 1) for cx, cy in corners]


def _cell(mask: Mask, corner: tuple[int, int], step: tuple[int, int], *, is_left: bool) -> bool:
    """Return whether the square ahead of a corner, left or right of the step, is in the mask."""
    side = (step[1], -step[0]) if is_left else (-step[1], step[0])
    x = corner[0] + (step[0] + side[0] - 1) // 2
    y = corner[1] + (step[1] + side[1] - 1) // 2
    return bool(mask[y, x])
