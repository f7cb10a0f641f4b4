"""One image through every step that finds and names its cells.

In: a read image and, for calls, a classifier. Out: its cells. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import polars as pl

from erythron.classify.calls import call_cells
from erythron.classify.classifier import Classifier
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.classical import segment_central, segment_field
from erythron.segment.scale import ScaleEstimate, estimate_scale
from erythron.segment.segmentation import Segmentation
from erythron.shape.measure import measure_cells


@dataclass(frozen=True)
class FieldCells:
    """The nucleated cells of one image.

    Attributes:
        image: the image, with the scale that was used.
        scale: the estimate from red cells where that gave the scale, else None.
        segmentation: outlines.
        table: one row a cell, in the columns of ``cells.csv``.
    """

    image: SmearImage
    scale: ScaleEstimate | None
    segmentation: Segmentation
    table: pl.DataFrame


def outline_field(image: SmearImage) -> tuple[SmearImage, ScaleEstimate | None, Segmentation]:
    """Outline the cells of a field and, where its scale is unknown, estimate that from its red cells.

    Returns:
        The image, with ``mpp`` where it could be found; the estimate that gave it, if one did; the cells.
    """
    if image.mpp is not None:
        return image, None, segment_field(image.rgb, image.mpp)
    # Neither needs the other, and both spend much of their time outside the interpreter's lock.
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(estimate_scale, image.rgb)
        segmentation = segment_field(image.rgb)
    estimate = waiting.result()
    if estimate is None:
        return image, None, segmentation
    return replace(image, mpp=estimate.mpp, mpp_source=ScaleSource.RED_CELLS), estimate, segmentation


def count_field(image: SmearImage, get_classifier: Callable[[], Classifier]) -> FieldCells:
    """Find, outline, measure and name every nucleated cell of a field.

    Where neither the file, the user nor the red cells give a scale, sizes stay in pixels and the classifier
    frames by the assumption that its bundle states.

    Args:
        image: the field.
        get_classifier: gives the model; asked only after segmentation, so that it may load meanwhile.
    """
    image, estimate, segmentation = outline_field(image)
    measurements = measure_cells(image.rgb, segmentation, image.mpp)
    table = call_cells(image, segmentation, measurements, get_classifier())
    return FieldCells(image, estimate, segmentation, table)


def classify_crop(image: SmearImage, classifier: Classifier) -> FieldCells:
    """Outline, measure and name the central cell of a single-cell crop.

    Returns:
        A table of one row, or of none where the crop shows no nucleated cell.
    """
    segmentation = segment_central(image.rgb, image.mpp)
    measurements = measure_cells(image.rgb, segmentation, image.mpp)
    return FieldCells(image, None, segmentation, call_cells(image, segmentation, measurements, classifier))
