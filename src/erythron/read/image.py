"""An image in memory, as every later step receives it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from erythron.read.box import Box
from erythron.read.frame import find_frame
from erythron.read.light import balance_light, estimate_background


class ScaleSource(StrEnum):
    """Where the microns per pixel of an image come from."""

    OPTION = "option"
    METADATA = "metadata"
    RED_CELLS = "red_cells"
    NUCLEI = "nuclei"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SmearImage:
    """One image of a smear, a :class:`~erythron.read.source.Source` whose pixels are in memory.

    Attributes:
        name: the path as the user gave it.
        rgb: (H, W, 3) uint8, sRGB.
        mpp: microns per pixel, or None where unknown.
        mpp_source: where ``mpp`` comes from; ``UNKNOWN`` exactly when ``mpp`` is None.
        note: what a reader of the results should know of how the file was read; mostly nothing.
        glass: (3,) float32 in 1..255, colour of the empty smear where it is known, as for a part of a slide;
            None where the image itself shows it.
        orientation: how the file says that its pixels are to be turned or mirrored, by the numbers of EXIF
            and TIFF; they are here. 1 where they lie as they are to be shown.
    """

    name: str
    rgb: NDArray[np.uint8]
    mpp: float | None
    mpp_source: ScaleSource
    note: str = ""
    glass: NDArray[np.float32] | None = None
    orientation: int = 1

    @cached_property
    def frame(self) -> Box:
        """The part that shows an image, without borders of one exact colour; looked for once."""
        return find_frame(self.rgb)

    @property
    def shown(self) -> NDArray[np.uint8]:
        """The pixels of that part, (h, w, 3) uint8."""
        return self.frame.cut(self.rgb)

    @cached_property
    def background(self) -> NDArray[np.float32]:
        """Colour of the empty smear, (3,) float32 in 1..255; estimated once."""
        return estimate_background(self.shown) if self.glass is None else self.glass

    @cached_property
    def light(self) -> NDArray[np.uint8]:
        """The pixels relative to the empty smear, (H, W, 3) uint8; balanced once."""
        return balance_light(self.rgb, self.background)

    @property
    def width_px(self) -> int:
        """Width of the image."""
        return int(self.rgb.shape[1])

    @property
    def height_px(self) -> int:
        """Height of the image."""
        return int(self.rgb.shape[0])

    def read_region(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a region, (height, width, 3) uint8, see :meth:`erythron.read.source.Source.read_region`."""
        if min(left, top) < 0 or left + width > self.width_px or top + height > self.height_px:
            raise ValueError(
                f"{self.name}: {width}x{height} px at ({left}, {top}) reach beyond the image of "
                f"{self.width_px}x{self.height_px} px"
            )
        return self.rgb[top : top + height, left : left + width]
