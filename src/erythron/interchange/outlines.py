"""Masks to outlines and back, without loss.

Outlines run through the middles of pixel edges, where (0, 0) is the upper left corner of the image and y goes
down; such a ring never touches itself, and encloses the centres of its pixels and no others. So a mask that
is traced and filled again is the same mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from contourpy import LineType, contour_generator
from scipy import ndimage
from skimage.draw import polygon

from erythron.cells.outline import BoxedMask, check_side, trim_mask, unite_masks
from erythron.errors import DataError

_SHEET_PX = 1_000_000
"""Pixels of a sheet of masks that are traced together, 8 bytes each; a larger mask has one of its own."""

Ring = list[list[float]]
"""Corners [x, y] in pixels, the last one equal to the first."""

Part = list[Ring]
"""One connected piece: its outer ring, then its holes."""


def fill_parts(parts: Iterable[Part]) -> BoxedMask | None:
    """Return the pixels whose centres lie in one of the parts and in no hole of it; None where none does.

    Raises:
        DataError: a corner is not a pair of finite numbers, or the outline measures over
            :data:`erythron.cells.outline.MAX_SIDE_PX`.
    """
    filled = [boxed for part in parts if (boxed := _fill_part(part)) is not None]
    if not filled:
        return None
    return unite_masks(filled)


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
    check_side(high - low)
    width, height = (high - low).astype(int)
    mask = np.zeros((height, width), np.bool_)
    for ring in rings:
        # skimage counts from the centre of the first pixel
        x, y = (ring - low - 0.5).T
        inside = polygon(y, x, mask.shape)  # type: ignore[no-untyped-call]
        mask[inside] ^= True
    return trim_mask(mask, int(low[0]), int(low[1]))


def trace_mask(boxed: BoxedMask) -> list[Part]:
    """Return the parts of a mask, largest first, each as its outer ring followed by its holes."""
    return trace_masks([boxed])[0]


def trace_masks(masks: Sequence[BoxedMask]) -> list[list[Part]]:
    """Return the parts of each mask, see :func:`trace_mask`; many together take a third of the time."""
    rings = _trace_sheets(masks)
    # One ring has neither holes nor further parts, as most cells: no need to look for them.
    pieces = {i: _divide(masks[i]) for i, of_mask in enumerate(rings) if len(of_mask) > 1}
    of_pieces = iter(_trace_sheets([piece for some in pieces.values() for piece in some]))
    divided = {i: [next(of_pieces) for _ in some] for i, some in pieces.items() if some}
    return [divided.get(i) or [of_mask] for i, of_mask in enumerate(rings)]


def _trace_sheets(masks: Sequence[BoxedMask]) -> list[list[Ring]]:
    """Return all closed rings of each mask."""
    return [rings for some in _fill_sheets(masks) for rings in _trace_rings(some)]


def _fill_sheets(masks: Sequence[BoxedMask]) -> Iterator[Sequence[BoxedMask]]:
    """Yield runs of masks that have room on one sheet."""
    first = rows = columns = 0
    for number, boxed in enumerate(masks):
        height, width = boxed.mask.shape
        rows, columns = rows + height + 1, max(columns, width)
        if number > first and rows * columns > _SHEET_PX:
            yield masks[first:number]
            first, rows, columns = number, height + 1, width
    if masks:
        yield masks[first:]


def _divide(boxed: BoxedMask) -> list[BoxedMask]:
    """Return the parts of a mask, largest first; none where it is one."""
    parts, count = ndimage.label(boxed.mask)
    if count == 1:
        return []
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    largest_first = np.argsort(-sizes, kind="stable")
    return [BoxedMask(boxed.left, boxed.top, parts == part + 1) for part in largest_first]


def _trace_rings(masks: Sequence[BoxedMask]) -> list[list[Ring]]:
    """Return all closed rings of each mask, corners only.

    They run with the mask on the right, so outer rings and holes run in opposite senses, as RFC 7946 wants.
    Where two pixels of the mask meet only at a corner, they are parted. Of a 4-connected mask the first ring
    is the outer one: rings come by the row in which they begin, and none begins above it.
    """
    # One below the other, a free pixel around each.
    tops = np.cumsum([0, *(boxed.mask.shape[0] + 1 for boxed in masks)])
    sheet = np.zeros((tops[-1] + 1, max(boxed.mask.shape[1] for boxed in masks) + 2))
    for top, boxed in zip(tops[:-1].tolist(), masks, strict=True):
        height, width = boxed.mask.shape
        sheet[top + 1 : top + 1 + height, 1 : 1 + width] = boxed.mask
    contours = contour_generator(z=sheet, name="serial", line_type=LineType.ChunkCombinedOffset)
    (points, offsets), *_ = zip(*contours.lines(0.5), strict=True)
    rings: list[list[Ring]] = [[] for _ in masks]
    if points is None or offsets is None:
        return rings
    starts, ends = offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64) - 1
    owners = np.searchsorted(tops, points[starts, 1], side="right") - 1
    # From the middles of the sheet's pixels to the image.
    shifts = np.array([[m.left - 0.5, m.top - 0.5 - top] for m, top in zip(masks, tops[:-1], strict=True)])
    steps = np.diff(points, axis=0, append=points[-1:])
    steps[ends] = steps[starts]  # the last point repeats the first
    is_corner = np.empty(len(points), np.bool_)
    is_corner[1:] = (steps[1:] != steps[:-1]).any(axis=1)
    is_corner[starts] = (steps[starts] != steps[ends - 1]).any(axis=1)
    is_corner[ends] = False
    places = points + np.repeat(shifts[owners], ends - starts + 1, axis=0)
    corners = places[is_corner].tolist()
    stops = np.cumsum(np.add.reduceat(is_corner, starts, dtype=np.int64)).tolist()
    for owner, start, stop in zip(owners.tolist(), [0, *stops], stops, strict=False):
        ring = corners[start:stop]
        rings[owner].append([*ring, ring[0]])
    return rings
