"""One image through every step that finds and names its cells.

In: a read image and the networks of a bundle. Out: its cells. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from erythron.bundle.folder import Bundle
from erythron.bundle.loading import Runtimes, load_runtimes
from erythron.bundle.schema import Framing
from erythron.classify.calls import call_cells
from erythron.classify.classifier import Classifier
from erythron.classify.framing import choose_mpp, outline_crop
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.scale import ScaleEstimate, estimate_scale
from erythron.segment.segmentation import Segmentation
from erythron.segment.segmenter import Segmenter
from erythron.shape.measure import measure_cells


@dataclass(frozen=True)
class Networks:
    """The loaded networks of a bundle.

    Attributes:
        segmenter: finds and outlines cells.
        classifier: names them.
    """

    segmenter: Segmenter
    classifier: Classifier


def load_networks(bundle: Bundle, runtimes: Runtimes | None = None) -> Networks:
    """Load the networks of a bundle, or take those that are loaded already.

    Raises:
        BundleError: a network cannot be loaded.
    """
    loaded = load_runtimes(bundle) if runtimes is None else runtimes
    return Networks(Segmenter(bundle.card.segmenter, loaded.segmentation), Classifier(bundle, loaded.classifier))


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


def find_scale(image: SmearImage) -> tuple[SmearImage, ScaleEstimate | None]:
    """Return a field with ``mpp`` where the file, the user or its red cells give it, and their estimate."""
    if image.mpp is not None:
        return image, None
    estimate = estimate_scale(image.rgb)
    if estimate is None:
        return image, None
    return replace(image, mpp=estimate.mpp, mpp_source=ScaleSource.RED_CELLS), estimate


def outline_field(image: SmearImage, segmenter: Segmenter, framing: Framing) -> Segmentation:
    """Outline every nucleated cell of a field, at the scale that ``framing`` assumes where none is known."""
    return segmenter.segment_field(image.rgb, choose_mpp(image, framing))


def count_field(image: SmearImage, get_networks: Callable[[], Networks]) -> FieldCells:
    """Find, outline, measure and name every nucleated cell of a field.

    Where neither the file, the user nor the red cells give a scale, sizes stay in pixels and the networks
    work at the scale that the bundle assumes.

    Args:
        image: the field.
        get_networks: gives the networks; asked only when they are needed, so that they may load meanwhile.
    """
    image, estimate = find_scale(image)
    networks = get_networks()
    framing = networks.classifier.bundle.card.framing
    segmentation = outline_field(image, networks.segmenter, framing)
    measurements = measure_cells(image.rgb, segmentation, image.mpp)
    table = call_cells(image, segmentation, measurements, networks.classifier)
    return FieldCells(image, estimate, segmentation, table)


def classify_crop(image: SmearImage, networks: Networks) -> FieldCells:
    """Outline, measure and name the central cell of a single-cell crop.

    Returns:
        A table of one row, or of none where the crop shows no nucleated cell.
    """
    segmentation = outline_crop(image, networks.segmenter, networks.classifier.bundle.card.framing)
    measurements = measure_cells(image.rgb, segmentation, image.mpp)
    table = call_cells(image, segmentation, measurements, networks.classifier)
    return FieldCells(image, None, segmentation, table)
