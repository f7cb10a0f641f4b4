"""Every cell of an image called: label, confidence, probabilities, measurements and flags in one table."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.folder import Bundle
from erythron.bundle.schema import Framing
from erythron.classify.classifier import CellInputs, Classifier
from erythron.classify.crops import CropGeometry, cut_cells
from erythron.classify.framing import choose_mpp, derive_inputs
from erythron.read.image import SmearImage
from erythron.segment.segmentation import Segmentation
from erythron.segment.stain import balance_light, estimate_background
from erythron.shape.measure import MEASUREMENT_SCHEMA, MEASUREMENTS

UNCLASSIFIED = "unclassified"
TOUCHES_EDGE = "touches_edge"
UNLIKE_TRAINING = "unlike_training"


def calls_schema(bundle: Bundle) -> dict[str, pl.DataType]:
    """Return the columns of the calls of a bundle, in order."""
    place = ("cell_id", "x_px", "y_px", "width_px", "height_px")
    return {
        "image": pl.String(),
        **{name: MEASUREMENT_SCHEMA[name] for name in place},
        "label": pl.String(),
        "confidence": pl.Float64(),
        **{f"prob_{c.name}": pl.Float64() for c in bundle.classes},
        **{name: MEASUREMENT_SCHEMA[name] for name in MEASUREMENTS},
        "flags": pl.String(),
    }


def prepare_cells(
    image: SmearImage, segmentation: Segmentation, measurements: pl.DataFrame, framing: Framing
) -> CellInputs:
    """Frame every cell of an image for the classifier.

    Args:
        image: the image; of unknown scale, that of :func:`erythron.classify.framing.choose_mpp` is taken.
        segmentation: its cells.
        measurements: of these cells, in order of ``cell_id``.
        framing: of the bundle.
    """
    mpp = choose_mpp(image, framing)
    background = estimate_background(image.rgb)
    geometry = CropGeometry(framing.input_px, framing.input_mpp)
    centres = measurements.select("x_px", "y_px").rows()
    crops = cut_cells(balance_light(image.rgb, background), segmentation, centres, mpp, geometry)
    return CellInputs(crops, derive_inputs(measurements, background, mpp))


def call_cells(
    image: SmearImage, segmentation: Segmentation, measurements: pl.DataFrame, classifier: Classifier
) -> pl.DataFrame:
    """Call every cell of an image.

    Args:
        image: the image.
        segmentation: its cells.
        measurements: of these cells as :func:`erythron.shape.measure.measure_cells` returns them.
        classifier: of a bundle.

    Returns:
        One row a cell with the columns of :func:`calls_schema`. ``label`` is the most probable class; a
        call less confident than the bundle's threshold has the flag ``unclassified``, a cell that the
        image's border cuts ``touches_edge``, and one that is less like the training cells than 99 % of those
        ``unlike_training``. Flags are joined by ``;``.
    """
    bundle = classifier.bundle
    schema = calls_schema(bundle)
    if measurements.height == 0:
        return pl.DataFrame(schema=schema)
    cells = prepare_cells(image, segmentation, measurements, bundle.card.framing)
    predicted = classifier.predict(cells)
    probabilities = predicted.probabilities
    confidence = probabilities.max(axis=1)
    labels = [bundle.classes[i].name for i in probabilities.argmax(axis=1)]
    columns = [
        pl.lit(image.name).alias("image"),
        pl.Series("label", labels, pl.String()),
        pl.Series("confidence", confidence),
        *(pl.Series(f"prob_{c.name}", probabilities[:, i]) for i, c in enumerate(bundle.classes)),
        pl.Series(
            "flags",
            _join_flags(
                {
                    UNCLASSIFIED: confidence < bundle.card.unclassified_below,
                    TOUCHES_EDGE: measurements["touches_edge"].to_numpy(),
                    UNLIKE_TRAINING: predicted.novelty > 1,
                }
            ),
        ),
    ]
    return measurements.with_columns(columns).select(*schema).cast(pl.Schema(schema))


def _join_flags(flags: dict[str, NDArray[np.bool_]]) -> list[str]:
    rows = zip(*flags.values(), strict=True)
    return [";".join(name for name, on in zip(flags, row, strict=True) if on) for row in rows]
