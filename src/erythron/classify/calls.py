"""Every cell of an image called: label, confidence, probabilities, measurements and flags in one table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from erythron.bundle.schema import Framing
from erythron.cells.flags import CellFlag, make_flag_column
from erythron.cells.outline import CellOutline
from erythron.cells.table import NOVELTY, PROBABILITY, count_as, list_cell_columns, make_empty_table
from erythron.classify.classifier import BATCH, CellInputs, Classifier, join_predictions
from erythron.classify.crops import CropGeometry, cut_cells
from erythron.classify.framing import choose_mpp, derive_inputs
from erythron.look_ahead import look_ahead
from erythron.read.image import SmearImage


def prepare_cells(
    image: SmearImage,
    outlines: Sequence[CellOutline],
    measurements: pl.DataFrame,
    framing: Framing,
    *,
    is_field: bool = False,
) -> CellInputs:
    """Frame every cell of an image for the classifier.

    Args:
        image: the image; of unknown scale, that of :func:`erythron.classify.framing.choose_mpp` is taken.
        outlines: its cells.
        measurements: of these cells, in the same order.
        framing: of the bundle.
        is_field: whether the image is known to be a field, however small.
    """
    mpp = choose_mpp(image, framing, is_field=is_field)
    geometry = CropGeometry(framing.input_px, framing.input_mpp)
    centres = measurements.select("x_px", "y_px").rows()
    crops = cut_cells(image.light, outlines, centres, mpp, geometry)
    return CellInputs(crops, derive_inputs(measurements, image.background, mpp))


def call_cells(
    image: SmearImage,
    outlines: Sequence[CellOutline],
    measurements: pl.DataFrame,
    classifier: Classifier,
    *,
    is_field: bool = False,
) -> pl.DataFrame:
    """Call every cell of an image.

    Args:
        image: the image.
        outlines: its cells.
        measurements: of these cells as :func:`erythron.shape.measure.measure_cells` returns them.
        classifier: of a bundle.
        is_field: whether the image is known to be a field, however small.

    Returns:
        One row a cell with the columns of :func:`erythron.cells.table.list_cell_columns`. ``label`` is the
        most probable class; the flags are those of :class:`erythron.cells.flags.CellFlag` but ``left_out``.
    """
    bundle = classifier.bundle
    if measurements.height == 0:
        return make_empty_table(bundle.classes)
    framing = bundle.card.framing
    parts = [slice(i, i + BATCH) for i in range(0, len(outlines), BATCH)]
    prepared = look_ahead(
        partial(prepare_cells, image, outlines[p], measurements[p], framing, is_field=is_field) for p in parts
    )
    predicted = join_predictions([classifier.predict(cells) for cells in prepared])
    probabilities = predicted.probabilities
    confidence = probabilities.max(axis=1)
    labels = [bundle.classes[i].name for i in probabilities.argmax(axis=1)]
    columns = [
        pl.lit(image.name).alias("image"),
        pl.Series("label", labels, pl.String()),
        pl.Series("confidence", confidence),
        *(pl.Series(f"{PROBABILITY}{c.name}", probabilities[:, i]) for i, c in enumerate(bundle.classes)),
        pl.Series(NOVELTY, predicted.novelty, pl.Float64()).fill_nan(None),
        make_flag_column(
            {
                CellFlag.UNCLASSIFIED: (confidence < bundle.card.unclassified_below).tolist(),
                CellFlag.TOUCHES_EDGE: measurements["touches_edge"].to_list(),
            }
        ),
    ]
    schema = list_cell_columns(bundle.classes)
    unseen = pl.lit(None, pl.String()).alias("confirmed_as")
    called = measurements.with_columns([*columns, unseen]).with_columns(count_as())
    return called.select(*schema).cast(pl.Schema(schema))
