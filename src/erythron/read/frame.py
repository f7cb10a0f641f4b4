"""What of a picture shows an image: all of it but borders of one exact colour.

A copy or a screenshot that broke off, an unfinished TIFF, a picture put on a larger sheet: whole rows or
columns at the border are filled with one colour, to the last bit. No camera makes such a row of a smear but
of glass so bright that it is clipped; so a border of the colour of the empty smear beside it is glass, and
part of the image. A border that JPEG has blurred is not of one exact colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.read.light import estimate_background

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """The rectangle of a picture that shows an image, in pixels.

    Attributes:
        left: its first column.
        top: its first row.
        right: the first column beyond it.
        bottom: the first row beyond it.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area_px(self) -> int:
        """Pixels in it."""
        return (self.right - self.left) * (self.bottom - self.top)

    def cut(self, rgb: Pixels) -> Pixels:
        """Return what a picture shows in it, (h, w, 3) uint8, a view."""
        return rgb[self.top : self.bottom, self.left : self.right]


def find_frame(rgb: Pixels) -> Frame:
    """Return the part of a picture that is left without borders of one exact colour.

    A border is a number of whole rows of one colour at the top or the bottom; then, of the rows between, a
    number of whole columns at the left or the right. Of a picture of one colour throughout all is returned.

    Args:
        rgb: (H, W, 3) uint8.
    """
    found = _trim(rgb, None)
    if found == Frame(0, 0, rgb.shape[1], rgb.shape[0]):
        return found
    return _trim(rgb, estimate_background(found.cut(rgb)))


def _trim(rgb: Pixels, glass: NDArray[np.float32] | None) -> Frame:
    height, width = rgb.shape[:2]
    top = _count_lines(rgb, glass)
    bottom = height - _count_lines(rgb[::-1], glass)
    if bottom <= top:
        return Frame(0, 0, width, height)
    columns = rgb[top:bottom].swapaxes(0, 1)
    left = _count_lines(columns, glass)
    return Frame(left, top, width - _count_lines(columns[::-1], glass), bottom)


def _count_lines(lines: Pixels, glass: NDArray[np.float32] | None) -> int:
    """Return how many lines, from the first on, are of one colour, and that not of glass."""
    colour = lines[0, 0]
    if glass is not None and np.abs(colour - glass).max() <= 1:
        return 0
    count = 0
    while count < len(lines) and bool((lines[count] == colour).all()):
        count += 1
    return count
