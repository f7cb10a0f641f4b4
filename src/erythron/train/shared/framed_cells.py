"""Labelled cells as arrays: each is outlined, measured and framed as in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.schema import Framing, MeasurementStatistic
from erythron.cells.outline import CellOutline
from erythron.classify.crops import CropGeometry, cut_cells, cut_window
from erythron.classify.framing import MEASUREMENT_INPUTS, choose_mpp, derive_inputs
from erythron.datasets.pixels import read_labelled_image
from erythron.errors import DataError, ImageReadError
from erythron.read.image import SmearImage
from erythron.read.light import BACKGROUND_LEVEL
from erythron.shape.mask import hull_plane
from erythron.shape.measure import measure_cells
from erythron.train.recipe import InputSettings
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.true_masks import box_window

Outline = Callable[[int, SmearImage], CellOutline | None]
"""Outlines the central cell of an image, given the number of its row; None where there is none."""

LEAST_SD = 1e-4
"""Added to every standard deviation, so that a measurement that never varies can be divided by its own."""


@dataclass(frozen=True)
class FramedCells:
    """N labelled cells.

    Attributes:
        rows: their manifest.
        pixels: (N, P, P, 3) uint8, colours relative to the empty smear.
        masks: (N, P, P, K) uint8: nucleus, cell and hull of the cell, or those of them that were selected.
        inputs: (N, len(MEASUREMENT_INPUTS)) float32, not standardised; nan where no cell was found.
        has_cell: (N,) bool; false where no cell was found and the masks are empty.
    """

    rows: pl.DataFrame
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    inputs: NDArray[np.float32]
    has_cell: NDArray[np.bool_]

    def take(self, index: NDArray[np.int64]) -> Self:
        """Return the cells of the given rows, in memory."""
        of_cells = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "classes"}
        rows = of_cells.pop("rows")[index]
        return replace(self, rows=rows, **{name: np.asarray(v[index]) for name, v in of_cells.items()})


def make_framing(inputs: InputSettings) -> Framing:
    """Return the framing that training and use share."""
    return Framing(
        input_px=inputs.px,
        input_mpp=inputs.mpp,
        crop_width_um=inputs.crop_width_um,
        crop_max_px=inputs.crop_max_px,
        field_mpp=inputs.field_mpp,
    )


def frame_rows(
    rows: pl.DataFrame,
    inputs: InputSettings,
    margin: float,
    outline: Outline,
    progress: Progress = no_progress,
) -> FramedCells:
    """Outline, measure and frame the cell of every row of a manifest.

    Where no cell was found the crop is that of the image's centre.

    Args:
        rows: a manifest; a row with a box is cut out of its field, twice its box, and then is as a crop.
        inputs: size and scale.
        margin: side of the crops over that of the input, room for turning and scaling without padding.
        outline: called with the number of every row and its image.
        progress: called after each cell.

    Raises:
        DataError: an image or a mask cannot be read.
    """
    side = round(inputs.px * margin)
    pixels, masks = (np.zeros((rows.height, side, side, 3), np.uint8) for _ in range(2))
    measured = np.full((rows.height, len(MEASUREMENT_INPUTS)), np.nan, np.float32)
    for i, row in enumerate(rows.iter_rows(named=True)):
        image = _read_row(row)
        found = outline(i, image)
        mpp = choose_mpp(image, make_framing(inputs))
        pixels[i], masks[i], measured[i] = frame_cell(image, found, mpp, CropGeometry(side, inputs.mpp))
        progress("Outlining cells", i + 1, rows.height)
    return FramedCells(rows, pixels, masks, measured, np.asarray(masks[..., 1].any(axis=(1, 2))))


def _read_row(row: dict[str, Any]) -> SmearImage:
    try:
        image = read_labelled_image(Path(row["path"]), row["mpp"], row["mask_kind"])
    except ImageReadError as error:
        raise DataError(f"{error}; drop its row from the manifest or fetch the set again") from error
    if row["x_px"] is None:
        return image
    # Twice its box, so that the cell stands in its surroundings as in a crop.
    return replace(image, rgb=cut_window(image.rgb, box_window(row), BACKGROUND_LEVEL))


def frame_cell(
    image: SmearImage, outline: CellOutline | None, mpp: float, geometry: CropGeometry
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Return one crop: pixels (P, P, 3) uint8, planes of nucleus, cell and hull (P, P, 3) uint8, and inputs.

    The crop's centre is the nucleus', as in use; where no cell was found it is the image's, the planes are
    empty and the measurement inputs, (len(MEASUREMENT_INPUTS),) float32, are nan.
    """
    centre = ((image.width_px - 1) / 2, (image.height_px - 1) / 2)
    inputs = np.full(len(MEASUREMENT_INPUTS), np.nan, np.float32)
    if outline is not None:
        measured = measure_cells(image.rgb, [outline], mpp)
        centre = measured.select("x_px", "y_px").row(0)
        inputs = derive_inputs(measured, image.background, mpp)[0]
    crops = cut_cells(image.light, [outline], [centre], mpp, geometry)
    return crops.pixels[0], add_hull(crops.masks[0]), inputs


def add_hull(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return nucleus, cell and hull of the cell, (P, P, 3) uint8, from nucleus and cell, (P, P, 2)."""
    return np.concatenate([masks, hull_plane(masks[..., 1])[..., None]], axis=2)


def describe_measurements(
    mean: NDArray[np.float32], sd: NDArray[np.float32]
) -> tuple[MeasurementStatistic, ...]:
    """Return the statistics of the measurement inputs as a bundle states them.

    Args:
        mean: (K,), of ``MEASUREMENT_INPUTS`` in order.
        sd: (K,) alike, positive.
    """
    return tuple(
        MeasurementStatistic(name=n, mean=float(m), sd=float(s))
        for n, m, s in zip(MEASUREMENT_INPUTS, mean, sd, strict=True)
    )
