"""What a differential is made with: the confusion matrix of the bundle, ranges, and the quality of the image.

In: a bundle, options and the cells of an image. Out: what :mod:`erythron.differential.assemble` needs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from erythron.bundle.folder import Bundle
from erythron.bundle.schema import ModelCard
from erythron.cells.classes import Lineage
from erythron.classify.calls import UNLIKE_TRAINING
from erythron.classify.framing import MEASUREMENT_INPUTS, derive_inputs
from erythron.differential.assemble import LEFT_OUT_FLAG, DifferentialSettings, make_differential
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.counts import Differential
from erythron.differential.indices import list_indices
from erythron.differential.reference import SHIPPED, read_references
from erythron.pipeline.batch import RunOptions
from erythron.pipeline.field import FieldCells
from erythron.quality.areas import find_cells_inside, find_unreadable_areas
from erythron.quality.flags import FieldQuality
from erythron.segment.stain import estimate_background

_FEWEST_TO_JUDGE = 10


def choose_settings(bundle: Bundle, options: RunOptions) -> DifferentialSettings:
    """Return what a run's differentials are made with.

    Raises:
        DataError: the file of reference ranges cannot be used.
    """
    # The shipped ranges name indices that a model with fewer classes does not have.
    known = {c.name for c in bundle.classes} | {d.name for d in list_indices(bundle.classes)}
    if options.reference is None:
        shipped = read_references(SHIPPED, known | {"me_ratio", "erythroid_share"})
        references = {name: found for name, found in shipped.items() if name in known}
    else:
        references = dict(read_references(options.reference, known))
    return DifferentialSettings(
        classes=bundle.classes,
        confusion=make_confusion(bundle.card),
        references=references,
        width=options.width,
    )


def make_confusion(card: ModelCard) -> ConfusionMatrix:
    """Return the confusion matrix of a model's nucleated classes.

    Calls of a class that is not nucleated leave the matrix, as they leave the total of a differential: what
    remains are the rates among the cells that are counted.
    """
    evaluation = card.evaluation
    kept = [i for i, c in enumerate(card.classes) if c.lineage is not Lineage.NOT_NUCLEATED]
    columns = [*kept, len(card.classes)]
    return ConfusionMatrix(
        true_classes=evaluation.true_classes,
        calls=tuple(card.classes[i].name for i in kept),
        counts=tuple(tuple(row[i] for i in columns) for row in evaluation.confident_confusion),
        has_unclassified=True,
    )


def count_calls(
    found: FieldCells, bundle: Bundle, settings: DifferentialSettings
) -> tuple[FieldCells, Differential]:
    """Return the differential of a field, and the field with its cells in unreadable areas flagged."""
    quality = judge_image(found, bundle)
    found = leave_out_cells(found, quality)
    return found, make_differential(found.table, settings, quality)


def judge_image(found: FieldCells, bundle: Bundle) -> FieldQuality:
    """Return what the image of a field shows of its quality."""
    return FieldQuality(
        scale_known=found.image.mpp is not None,
        stain_distance=measure_stain(found, bundle.card),
        unlike_fraction=measure_unlike(found.table),
        left_out=find_unreadable_areas(found.image.rgb, found.image.mpp),
    )


def leave_out_cells(found: FieldCells, quality: FieldQuality) -> FieldCells:
    """Return the field with the flag ``left_out`` at every cell in an area that cannot be read."""
    inside = find_cells_inside(found.segmentation, quality.left_out)
    if not inside.any():
        return found
    flags = [
        ";".join(filter(None, (flag, LEFT_OUT_FLAG if is_inside else "")))
        for flag, is_inside in zip(found.table["flags"].fill_null(""), inside, strict=True)
    ]
    return replace(found, table=found.table.with_columns(pl.Series("flags", flags, pl.String())))


def measure_unlike(table: pl.DataFrame) -> float | None:
    """Return the share of cells with the flag ``unlike_training``; None for fewer than ten cells."""
    if table.height < _FEWEST_TO_JUDGE:
        return None
    return (
        float(table["flags"].fill_null("").str.split(";").list.contains(UNLIKE_TRAINING).sum()) / table.height
    )


def measure_stain(found: FieldCells, card: ModelCard) -> float | None:
    """Return how far the stain is from that of the training cells.

    The colours of nucleus and cytoplasm, each over that of the empty smear, are standardised by the training
    cells' means and deviations, which the bundle states.

    Returns:
        The largest absolute value, over the six colours, of the cells' median; None for fewer than ten cells.
    """
    if found.table.height < _FEWEST_TO_JUDGE:
        return None
    background = estimate_background(found.image.rgb)
    # The scale does not enter any colour.
    inputs = derive_inputs(found.table, background, 1.0)
    stated = {m.name: m for m in card.measurements}
    distances = [
        abs(float(np.median(inputs[:, i])) - stated[name].mean) / stated[name].sd
        for i, name in enumerate(MEASUREMENT_INPUTS)
        if "_light_" in name and name in stated
    ]
    return max(distances, default=None)
