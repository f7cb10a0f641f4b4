"""An image in memory, as every later step receives it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class ScaleSource(StrEnum):
    """Where the microns per pixel of an image come from."""

    OPTION = "option"
    METADATA = "metadata"
    RED_CELLS = "red_cells"
    ASSUMED = "assumed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SmearImage:
    """One image of a smear.

    Attributes:
        name: the path as the user gave it.
        rgb: (H, W, 3) uint8, sRGB.
        mpp: microns per pixel, or None where unknown.
        mpp_source: where ``mpp`` comes from; ``UNKNOWN`` exactly when ``mpp`` is None.
    """

    name: str
    rgb: NDArray[np.uint8]
    mpp: float | None
    mpp_source: ScaleSource
