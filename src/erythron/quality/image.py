"""What the image of a counted field shows of its quality."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.schema import ModelCard
from erythron.cells.table import is_unlike_training
from erythron.classify.framing import MEASUREMENT_INPUTS, derive_inputs
from erythron.quality.areas import find_left_out_areas
from erythron.quality.flags import FieldQuality
from erythron.quality.specimen import measure_cells_in_view
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.field_scale import FieldScale

FEWEST_TO_JUDGE = 10
"""Cells whose median colour, or share unlike the training, says something of the smear."""


def judge_image(
    image: SmearImage, cells: pl.DataFrame, card: ModelCard, scale: FieldScale | None = None
) -> FieldQuality:
    """Return what the image of a field shows of its quality.

    Args:
        image: the field, with the scale that was used.
        cells: the table of its cells.
        card: of the model that called them.
        scale: where the scale comes from; None where it is unknown, or where the user gave it and no cell
            speaks against it.
    """
    estimate = None if scale is None else scale.estimate
    return FieldQuality(
        scale_known=image.mpp is not None,
        mpp=image.mpp,
        mpp_interval=None if estimate is None else (estimate.mpp_low, estimate.mpp_high),
        scale_from_nuclei=image.mpp_source is ScaleSource.NUCLEI,
        stated_mpp=None if scale is None else scale.stated,
        shown_mpp=None if scale is None else scale.shown,
        stain_distance=measure_stain(cells, image.background, card),
        unlike_fraction=measure_unlike(cells),
        in_view=measure_cells_in_view(image, cells),
        left_out=find_left_out_areas(image),
        note=image.note,
        orientation=image.orientation,
    )


def measure_unlike(cells: pl.DataFrame) -> float | None:
    """Return the share of cells that are unlike those of the training; None for fewer than ten cells."""
    if cells.height < FEWEST_TO_JUDGE:
        return None
    return float(cells.select(is_unlike_training().mean()).item())


def measure_stain(cells: pl.DataFrame, background: NDArray[np.float32], card: ModelCard) -> float | None:
    """Return how far the stain is from that of the training cells.

    The colours of nucleus and cytoplasm, each over that of the empty smear, are standardised by the training
    cells' means and deviations, which the bundle states.

    Args:
        cells: the table of a field's cells.
        background: (3,) float32, colour of the empty smear.
        card: of the model.

    Returns:
        The largest absolute value, over the six colours, of the cells' median; None for fewer than ten cells.
    """
    if cells.height < FEWEST_TO_JUDGE:
        return None
    # The scale does not enter any colour.
    inputs = derive_inputs(cells, background, 1.0)
    stated = {m.name: m for m in card.measurements}
    distances = [
        abs(float(np.median(inputs[:, i])) - stated[name].mean) / stated[name].sd
        for i, name in enumerate(MEASUREMENT_INPUTS)
        if "_light_" in name and name in stated
    ]
    return max(distances, default=None)
