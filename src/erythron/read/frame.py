"""What of a picture shows an image: all of it but borders of one exact colour.

A copy or a screenshot that broke off, an unfinished TIFF, a picture put on a larger sheet: whole rows or
columns at the border are filled with one colour, to the last bit. No camera makes such a row of a smear but
of glass so bright that it is clipped; so a border of the colour of the empty smear beside it is glass, and
part of the image. A border that JPEG has blurred is not of one exact colour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erythron.read.box import Box
from erythron.read.light import estimate_background

Pixels = NDArray[np.uint8]


def find_frame(rgb: Pixels) -> Box:
    """Return the part of a picture that is left without borders of one exact colour.

    A border is a number of whole rows of one colour at the top or the bottom; then, of the rows between, a
    number of whole columns at the left or the right. Of a picture of one colour throughout all is returned.

    Args:
        rgb: (H, W, 3) uint8.
    """
    found = _trim(rgb, None)
    if found == Box(0, 0, rgb.shape[1], rgb.shape[0]):
        return found
    return _trim(rgb, estimate_background(found.cut(rgb)))


def _trim(rgb: Pixels, glass: NDArray[np.float32] | None) -> Box:
    height, width = rgb.shape[:2]
    top = _count_lines(rgb, glass)
    bottom = height - _count_lines(rgb[::-1], glass)
    if bottom <= top:
        return Box(0, 0, width, height)
    columns = rgb[top:bottom].swapaxes(0, 1)
    left = _count_lines(columns, glass)
    return Box(left, top, width - _count_lines(columns[::-1], glass), bottom)


def _count_lines(lines: Pixels, glass: NDArray[np.float32] | None) -> int:
    """Return how many lines, from the first on, are of one colour, and that not of glass."""
    colour = lines[0, 0]
    if glass is not None and np.abs(colour - glass).max() <= 1:
        return 0
    count = 0
    while count < len(lines) and bool((lines[count] == colour).all()):
        count += 1
    return count
