"""Masks to outlines and back, without loss.

Outlines run through the middles of pixel edges, where (0, 0) is the upper left corner of the image and y goes
down; such a ring never touches itself, and encloses the centres of its pixels and no others. So a mask that
is traced and filled again is the same mask.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon

from erythron.cells.outline import BoxedMask, trim_mask, unite_masks
from erythron.errors import DataError

MAX_SIDE_PX = 4096
"""The most that an outline may measure from side to side: far more than a cell, and it bounds memory."""

Ring = list[list[float]]
"""Corners [x, y] in pixels, the last one equal to the first."""

Part = list[Ring]
"""One connected piece: its outer ring, then its holes."""


def fill_parts(parts: Iterable[Part]) -> BoxedMask | None:
    """Return the pixels whose centres lie in one of the parts and in no hole of it; None where none does.

    Raises:
        DataError: a corner is not a pair of finite numbers, or the outline measures over ``MAX_SIDE_PX``.
    """
    filled = [boxed for part in parts if (boxed := _fill_part(part)) is not None]
    if not filled:
        return None
    boxed = unite_masks(filled)
    _check_side(boxed.mask.shape)
    return boxed


def _fill_part(part: Part) -> BoxedMask | None:
    try:
        rings = [np.array(ring, np.float64)[:, :2].reshape(-1, 2) for ring in part]
    except (ValueError, TypeError, IndexError) as error:
        raise DataError("an outline has a corner that is not a pair of numbers") from error
    if not rings or min(map(len, rings)) < 3:
        raise DataError("an outline has fewer than three corners")
    corners = np.concatenate(rings)
    if not np.isfinite(corners).all():
        raise DataError("an outline has a corner that is not a pair of numbers")
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    _check_side(high - low)
    width, height = (high - low).astype(int)
    mask = np.zeros((height, width), np.bool_)
    for ring in rings:
        # skimage counts from the centre of the first pixel
        x, y = (ring - low - 0.5).T
        inside = polygon(y, x, mask.shape)  # type: ignore[no-untyped-call]
        mask[inside] ^= True
    return trim_mask(mask, int(low[0]), int(low[1]))


def _check_side(sides: Iterable[float]) -> None:
    if max(sides) > MAX_SIDE_PX:
        raise DataError(f"an outline measures over {MAX_SIDE_PX} pixels, which is no cell")


def trace_mask(boxed: BoxedMask) -> list[Part]:
    """Return the parts of a mask, largest first, each as its outer ring followed by its holes."""
    mask = np.pad(boxed.mask, 1)
    origin = np.array([boxed.left - 1, boxed.top - 1], dtype=np.float64)
    rings = _trace_rings(mask, origin)
    if len(rings) == 1:  # neither holes nor parts, as most cells are: no need to look for them
        return [rings]
    parts, count = ndimage.label(mask)
    if count == 1:
        return [rings]
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return [_trace_rings(parts == part + 1, origin) for part in np.argsort(-sizes, kind="stable")]


def _trace_rings(mask: NDArray[np.bool_], origin: NDArray[np.float64]) -> list[Ring]:
    """Return all closed rings, corners only, of a mask (H, W) that no border of the array touches.

    They run with the mask on the right, so outer rings and holes run in opposite senses, as RFC 7946 wants.
    Where two pixels of the mask meet only at a corner, they are parted. Of a 4-connected mask the first ring
    is the outer one.

    Args:
        mask: what to trace.
        origin: [x, y] in the image of the array's upper left corner.
    """
    rings = []
    for contour in contour_generator(z=mask.astype(np.float64), name="serial").lines(0.5):
        points = np.asarray(contour) + (origin + 0.5)  # from pixel centres; the last point repeats the first
        steps = points[1:] - points[:-1]
        is_corner = np.empty(len(steps), np.bool_)
        is_corner[0] = (steps[0] != steps[-1]).any()
        (steps[1:] != steps[:-1]).any(axis=1, out=is_corner[1:])
        rings.append(points[:-1][is_corner])
    # What encloses all others is the widest.
    rings.sort(key=lambda ring: -float(np.ptp(ring[:, 0])))
    return [[*ring, ring[0]] for ring in (corners.tolist() for corners in rings)]
