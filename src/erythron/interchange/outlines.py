"""Masks to outlines and back, without loss.

Outlines run through the middles of pixel edges, where (0, 0) is the upper left corner of the image and y goes
down; such a ring never touches itself, and encloses the centres of its pixels and no others. So a mask that
is traced and filled again is the same mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
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

    The pixel edges are walked with the mask on the right, so outer rings and holes run in opposite senses, as
    RFC 7946 wants. Where two pixels of the mask meet only at a corner, the walk turns right and parts them.
    Of a 4-connected mask the first ring is the outer one.
    """
    width = mask.shape[1] + 1
    exists = np.zeros((mask.shape[0] + 1, width, 4), dtype=np.bool_)  # by corner of start and heading
    outside = ~mask
    exists[1:-1, :-1, 0] = mask[1:] & outside[:-1]
    exists[:-1, 1:-1, 1] = mask[:, :-1] & outside[:, 1:]
    exists[1:-1, 1:, 2] = mask[:-1] & outside[1:]
    exists[1:, 1:-1, 3] = mask[:, 1:] & outside[:, :-1]
    exists = exists.reshape(-1)
    edges = np.flatnonzero(exists)
    corners, headings = np.divmod(edges, 4)
    ahead = 4 * (corners + np.array([1, width, -1, -width])[headings])
    right, left = ahead + (headings + 1) % 4, ahead + (headings + 3) % 4
    onward = np.where(exists[right], right, np.where(exists[ahead + headings], ahead + headings, left))
    after = np.searchsorted(edges, onward)
    before = np.empty_like(after)
    before[after] = np.arange(len(after))
    bends = headings[before] != headings[after]
    half_steps = np.array([[0.5, 0.0], [0.0, 0.5], [-0.5, 0.0], [0.0, -0.5]])
    middles = np.stack([corners % width, corners // width], axis=1) + half_steps[headings] + origin
    rings = []
    for walk in _cycles(after.tolist()):
        ring = middles[[edge for edge in walk if bends[edge]]].tolist()
        rings.append([*ring, ring[0]])
    return rings


def _cycles(after: list[int]) -> Iterator[list[int]]:
    """Yield the cycles of a permutation, each from its lowest element."""
    seen = [False] * len(after)
    for start in range(len(after)):
        walk = []
        here = start
        while not seen[here]:
            seen[here] = True
            walk.append(here)
            here = after[here]
        if walk:
            yield walk
