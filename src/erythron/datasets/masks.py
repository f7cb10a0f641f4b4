"""Masks that a set brings: the one place that knows what the grey levels of each kind stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.datasets.manifest import MASK_KINDS
from erythron.errors import DataError

Bools = NDArray[np.bool_]

NUCLEUS_ABOVE = 200
CELL_ABOVE = 64
"""Grey levels above which a mask that draws nuclei shows the nucleus, and the cell.

They part 0, 128 or 155, and 255. Only the blurred edges of lossy files lie between: over the 300 masks of
``bccd``, 92 million pixels, the midpoints 205 and 78 would move 488 and 916 pixels.
"""

WHOLE_CELL_ABOVE = 127
"""Grey level above which a mask of whole cells shows a cell; the masks of ``bcisc`` hold only 0 and 255."""


@dataclass(frozen=True)
class Mask:
    """What a mask shows; in a field of all its cells together.

    Attributes:
        cell: (H, W) bool, nuclei included.
        nucleus: (H, W) bool; None where masks of this kind draw no nuclei.
    """

    cell: Bools
    nucleus: Bools | None


def read_mask(path: Path, kind: str) -> Mask:
    """Read a mask.

    Args:
        path: mask file; for the kind ``fourth_channel`` the image file itself.
        kind: one of ``manifest.MASK_KINDS``.

    Raises:
        DataError: the kind is another, or the file cannot be read or has no fourth channel where that is it.
    """
    if kind not in MASK_KINDS:
        raise DataError(f"{path}: mask kind '{kind}' is not one of {', '.join(MASK_KINDS)}")
    try:
        with Image.open(path) as image:
            is_channel = kind == "fourth_channel"
            if is_channel and len(image.getbands()) != 4:
                raise DataError(f"{path}: has no fourth channel; make its manifest again")
            grey = np.asarray(image)[..., 3] if is_channel else np.asarray(image.convert("L"))
    except (OSError, SyntaxError) as error:
        raise DataError(f"{path}: the mask cannot be read ({error}); fetch the set again") from error
    if kind.startswith("nucleus"):
        return Mask(grey > CELL_ABOVE, grey > NUCLEUS_ABOVE)
    return Mask(grey > (0 if kind == "cell_above_0" else WHOLE_CELL_ABOVE), None)
