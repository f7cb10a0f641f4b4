"""What segmentation hands on: label images of nuclei and whole cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Segmentation:
    """Nucleated cells of one image.

    Attributes:
        nucleus: (H, W) int32; 0 outside, ``i`` on the nucleus of cell ``i``, on all its lobes.
        cell: (H, W) int32; 0 outside, ``i`` on the whole cell ``i``, its nucleus included.

    Cells are numbered 1..count without gaps; every cell has at least one nucleus pixel, and
    ``nucleus[p] == i`` implies ``cell[p] == i``.
    """

    nucleus: NDArray[np.int32]
    cell: NDArray[np.int32]

    @property
    def count(self) -> int:
        """Number of cells."""
        return int(self.nucleus.max(initial=0))
