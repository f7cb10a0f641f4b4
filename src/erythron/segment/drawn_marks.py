"""Letters, arrows and boxes drawn into a picture, told from nuclei by what no stain and no camera gives.

A nucleus has texture, and a camera noise, so hardly two of its pixels are the same. What a program drew into
the picture has one value from edge to edge, if the picture was not compressed with losses since. And no stain
is black: what is so lies outside the field of view, is part of a frame, or is ink.
"""

from __future__ import annotations

from functools import cache, partial
from math import ceil

import numpy as np
from numpy.typing import NDArray

from erythron.cells.outline import CellOutline
from erythron.segment.stain import BLACK

Pixels = NDArray[np.uint8]

DRAWN_SHARE = 0.3
"""Share of the pixels of a nucleus that have the same value, from which it may be drawn.

Of 700 nuclei of eleven sets none has over 0.09; of 29 pieces of letters, arrows and boxes that were drawn
into three fields and taken for nuclei none under 0.33 (``benchmarks/drawn_marks.py``).
"""

MOST_BLACK = 0.25
"""Share of the pixels of a nucleus that are black, from which it is none.

Of 1,200 nuclei of twelve sets, a clot among them, none has one such pixel. A letter on the rim of an eyepiece
that was taken for a nucleus has 0.6.
"""

OVER_PICTURE = 10
"""Factor by which that share must exceed the usual one of the picture, which is high where colours are few.

A picture of 256 colours has nuclei of up to 0.8, one of JPEG quality 10 up to 0.55; no nucleus is dropped
there.
"""

_TILE_PX = 16
_STAINED = (0.2, 0.9)
"""Light of a square that is stained: darker is what lies outside the field of view, brighter is glass."""


def drop_drawn_marks(
    outlines: tuple[CellOutline, ...], rgb: Pixels, background: NDArray[np.float32]
) -> tuple[CellOutline, ...]:
    """Return the outlined cells without those whose nucleus is drawn or black.

    Args:
        outlines: of a field.
        rgb: (H, W, 3) uint8, its pixels as they were read, without any correction.
        background: (3,) float32, colour of its empty smear.
    """
    # Half a second of a large picture, and hardly ever needed.
    get_usual = cache(partial(_measure_picture, rgb, background))

    def is_drawn(outline: CellOutline) -> bool:
        if not _may_be_drawn(outline, rgb, background):
            return False
        if measure_black(outline, rgb, background) >= MOST_BLACK:
            return True
        share = measure_one_colour(outline, rgb)
        return share >= DRAWN_SHARE and share >= OVER_PICTURE * get_usual()

    return tuple(outline for outline in outlines if not is_drawn(outline))


def _may_be_drawn(outline: CellOutline, rgb: Pixels, background: NDArray[np.float32]) -> bool:
    """Return whether green alone leaves it open that a nucleus is black, or has one colour.

    That is told in a fraction of the time, and nearly all nuclei are done with it.
    """
    green = np.sort(_cut_nucleus(outline, rgb[..., 1]))
    run = max(1, ceil(DRAWN_SHARE * len(green)))
    has_one_value = (green[run - 1 :] == green[: len(green) - run + 1]).any()
    is_black = green[int(MOST_BLACK * len(green))] <= BLACK * background[1]
    return bool(has_one_value or is_black)


def measure_black(outline: CellOutline, rgb: Pixels, background: NDArray[np.float32]) -> float:
    """Return the share of the pixels of a nucleus that are black, see :func:`drop_drawn_marks`."""
    return float((_cut_nucleus(outline, rgb) <= BLACK * background).all(axis=1).mean())


def measure_one_colour(outline: CellOutline, rgb: Pixels) -> float:
    """Return the share of the pixels of a nucleus that have its most frequent value."""
    return _find_most_frequent(_cut_nucleus(outline, rgb))


def _cut_nucleus(outline: CellOutline, rgb: Pixels) -> Pixels:
    """Return the pixels of a nucleus, (N, 3); of one channel (N,)."""
    height, width = outline.nucleus.shape
    window = rgb[outline.top : outline.top + height, outline.left : outline.left + width]
    return np.asarray(window[outline.nucleus])


def _find_most_frequent(pixels: Pixels) -> float:
    """Return the share of pixels, (N, 3), N over 0, that have the most frequent value."""
    red, green, blue = pixels.astype(np.int32).T
    _, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    return float(counts.max() / len(pixels))


def _measure_picture(rgb: Pixels, background: NDArray[np.float32]) -> float:
    """Return that share in the middle one of its stained squares, 1 where there is none."""
    shares = []
    for top in range(0, rgb.shape[0] - _TILE_PX + 1, _TILE_PX):
        for left in range(0, rgb.shape[1] - _TILE_PX + 1, _TILE_PX):
            square = rgb[top : top + _TILE_PX, left : left + _TILE_PX]
            light = square / background
            if np.median(light[..., 1]) < _STAINED[1] and np.median(light.max(axis=2)) > _STAINED[0]:
                shares.append(_find_most_frequent(square.reshape(-1, 3)))
    return float(np.median(shares)) if shares else 1.0
