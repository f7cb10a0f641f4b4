"""A slide in memory, for tests of what is done with slides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.read.image import ScaleSource


@dataclass(frozen=True, eq=False)
class ArraySlide:
    """Pixels in memory that are read as a slide is."""

    name: str
    rgb: NDArray[np.uint8]
    mpp: float | None = 0.25
    mpp_source: ScaleSource = ScaleSource.METADATA
    magnification: float | None = 40.0
    note: str = ""

    @property
    def width_px(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height_px(self) -> int:
        return int(self.rgb.shape[0])

    def read_region(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        if min(left, top) < 0 or left + width > self.width_px or top + height > self.height_px:
            raise ValueError("beyond the slide")
        return self.rgb[top : top + height, left : left + width]

    def read_scaled(
        self, left: int, top: int, width: int, height: int, downsample: float
    ) -> NDArray[np.uint8]:
        part = Image.fromarray(self.read_region(left, top, width, height))
        size = (max(1, round(width / downsample)), max(1, round(height / downsample)))
        return np.asarray(part.resize(size, Image.Resampling.BOX))

    def read_overview(self, most_px: int) -> tuple[NDArray[np.uint8], float]:
        downsample = max(8.0, float(np.sqrt(self.width_px * self.height_px / most_px)))
        return self.read_scaled(0, 0, self.width_px, self.height_px, downsample), downsample


def open_png(path: str | Path, mpp: float | None = None) -> ArraySlide:
    """Open a PNG as a slide of 0.25 um a pixel."""
    source = ScaleSource.METADATA if mpp is None else ScaleSource.OPTION
    return ArraySlide(str(path), np.asarray(Image.open(path).convert("RGB")), mpp or 0.25, source)
