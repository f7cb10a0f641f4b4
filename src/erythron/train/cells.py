"""Labelled crops as arrays: each is outlined, measured and framed as in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.schema import Framing
from erythron.cells.outline import CellOutline
from erythron.classify.crops import CropGeometry, cut_cells
from erythron.classify.framing import MEASUREMENT_INPUTS, choose_mpp, derive_inputs
from erythron.read.fields import read_image
from erythron.read.image import SmearImage
from erythron.shape.measure import measure_cells

MARGIN = 1.5
"""Side of a stored crop over the network's input, room for turning and scaling without padding."""

Outline = Callable[[int, SmearImage], CellOutline | None]
"""Outlines the central cell of the image of a row of the manifest."""


@dataclass(frozen=True)
class Cells:
    """N labelled cells.

    Attributes:
        rows: their manifest.
        pixels: (N, P, P, 3) uint8.
        masks: (N, P, P, 2) uint8.
        inputs: (N, K) float32, measurement inputs, not standardised.
    """

    rows: pl.DataFrame
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    inputs: NDArray[np.float32]

    def take(self, index: NDArray[np.int64]) -> Cells:
        """Return the cells of the given rows."""
        return Cells(self.rows[index], self.pixels[index], self.masks[index], self.inputs[index])


def load_cells(rows: pl.DataFrame, framing: Framing, outline: Outline) -> Cells:
    """Outline, measure and frame every image of a manifest; images without any cell are left out.

    Args:
        rows: a manifest.
        framing: as it will be in use; the crops have ``MARGIN`` times its side.
        outline: called with the number of each row and its image.
    """
    size = round(framing.input_px * MARGIN)
    kept: list[int] = []
    pixels = [np.zeros((0, size, size, 3), np.uint8)]
    masks = [np.zeros((0, size, size, 2), np.uint8)]
    inputs = [np.zeros((0, len(MEASUREMENT_INPUTS)), np.float32)]
    for number, (path, mpp) in enumerate(rows.select("path", "mpp").iter_rows()):
        image = read_image(path, mpp)
        found = outline(number, image)
        if found is None:
            continue
        scale = choose_mpp(image, framing)
        measured = measure_cells(image.rgb, [found], scale)
        centres = measured.select("x_px", "y_px").rows()
        geometry = CropGeometry(size, framing.input_mpp)
        crops = cut_cells(image.light, [found], centres, scale, geometry)
        kept.append(number)
        pixels.append(crops.pixels)
        masks.append(crops.masks)
        inputs.append(derive_inputs(measured, image.background, scale))
    return Cells(rows[kept], np.concatenate(pixels), np.concatenate(masks), np.concatenate(inputs))
