"""A rectangle of pixels, of a picture or of a slide at full resolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of an image.

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
        """Number of pixels in it; 0 where it is empty."""
        return max(0, self.right - self.left) * max(0, self.bottom - self.top)

    def grow(self, px: int) -> Box:
        """Return it with so many pixels more to every side."""
        return Box(self.left - px, self.top - px, self.right + px, self.bottom + px)

    def intersect(self, other: Box) -> Box:
        """Return what both have; empty where they lie apart."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def cut(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the pixels in it of an image (H, W, 3) that holds it whole: a view (h, w, 3)."""
        return rgb[self.top : self.bottom, self.left : self.right]
