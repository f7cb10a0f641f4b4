"""How a cell is framed for the network: scale, size and the measurements that go with the pixels."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.schema import Framing
from erythron.cells.outline import CellOutline
from erythron.read.image import SmearImage
from erythron.segment.segmenter import Segmenter

MEASUREMENT_INPUTS: tuple[str, ...] = (
    "log_cell_diameter_um",
    "log_nucleus_diameter_um",
    "nucleus_fraction",
    "cell_eccentricity",
    "nucleus_eccentricity",
    "cell_solidity",
    "nucleus_solidity",
    "cell_circularity",
    "nucleus_circularity",
    "log_nucleus_lobes",
    "nucleus_light_red",
    "nucleus_light_green",
    "nucleus_light_blue",
    "nucleus_texture",
    "cytoplasm_light_red",
    "cytoplasm_light_green",
    "cytoplasm_light_blue",
    "has_cytoplasm",
)
"""Measurement inputs of the network, in order. ``light`` is the mean colour over that of the empty smear."""

_CHANNELS = ("red", "green", "blue")


def choose_mpp(image: SmearImage, framing: Framing, *, is_field: bool = False) -> float:
    """Return the microns per pixel to frame with: the image's own, else the stated assumption.

    An image of unknown scale whose shorter side is at most ``framing.crop_max_px`` is taken for a
    single-cell crop that shows ``framing.crop_width_um``; a larger one, and one that is known to be a field,
    is taken for a field at ``framing.field_mpp``.
    """
    if image.mpp is not None:
        return image.mpp
    shorter = min(image.width_px, image.height_px)
    if is_field or shorter > framing.crop_max_px:
        return framing.field_mpp
    return framing.crop_width_um / shorter


def is_larger_than_crop(image: SmearImage, framing: Framing) -> bool:
    """Return whether an image is too large for a single-cell crop, by the rule of :func:`choose_mpp`.

    Of known scale it is one that shows more microns than the largest crop would at the scale of a field.
    """
    shorter = min(image.width_px, image.height_px)
    if image.mpp is None:
        return shorter > framing.crop_max_px
    return shorter * image.mpp > framing.crop_max_px * framing.field_mpp


def outline_crop(image: SmearImage, segmenter: Segmenter, framing: Framing) -> CellOutline | None:
    """Outline the central cell of a crop, at the scale that ``framing`` assumes where none is known."""
    return segmenter.segment_central(image.light, choose_mpp(image, framing), assumed=image.mpp is None)


def derive_inputs(
    measurements: pl.DataFrame, background: NDArray[np.float32], mpp: float
) -> NDArray[np.float32]:
    """Return the measurement inputs of every cell, not yet standardised.

    Args:
        measurements: as :func:`erythron.shape.measure.measure_cells` returns it.
        background: (3,) float32, colour of the empty smear.
        mpp: microns per pixel that sizes are taken at.

    Returns:
        (N, len(MEASUREMENT_INPUTS)) float32. A cell without cytoplasm has its nucleus' colours in both
        places.
    """

    def log_um(column: str) -> pl.Expr:
        return (pl.col(column).clip(1.0) * mpp).log()

    light = [pl.col(f"nucleus_mean_{c}") / float(b) for c, b in zip(_CHANNELS, background, strict=True)]
    around = [
        pl.coalesce(f"cytoplasm_mean_{c}", f"nucleus_mean_{c}") / float(b)
        for c, b in zip(_CHANNELS, background, strict=True)
    ]
    expressions = [
        log_um("cell_diameter_px"),
        log_um("nucleus_diameter_px"),
        *(pl.col(name) for name in MEASUREMENT_INPUTS[2:9]),
        pl.col("nucleus_lobes").clip(1, 4).log(),
        *light,
        pl.col("nucleus_sd_grey") / float(background.mean()),
        *around,
        (pl.col("cytoplasm_area_px") > 0),
    ]
    named = [e.cast(pl.Float64).alias(n) for n, e in zip(MEASUREMENT_INPUTS, expressions, strict=True)]
    return measurements.select(named).to_numpy().astype(np.float32).reshape(-1, len(MEASUREMENT_INPUTS))
