"""One image through every step that finds, names and counts its cells.

In: an image in memory and a model. Out: its cells and their differential. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from erythron.bundle.folder import Bundle
from erythron.bundle.loading import Runtimes, load_runtimes
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.bundle.schema import Framing
from erythron.cells.flags import CellFlag, add_flag
from erythron.cells.outline import CellOutline
from erythron.cells.table import count_as
from erythron.classify.calls import call_cells
from erythron.classify.classifier import Classifier
from erythron.classify.framing import choose_mpp, outline_crop
from erythron.differential.assemble import DifferentialSettings, make_differential
from erythron.differential.counts import Differential
from erythron.quality.areas import find_cells_inside
from erythron.quality.flags import FieldQuality
from erythron.quality.image import judge_image
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.stained import check_stained
from erythron.segment.scale import ScaleEstimate, estimate_scale
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


def load_networks(
    bundle: Bundle, runtimes: Runtimes | None = None, kind: RuntimeKind = RuntimeKind.OPENVINO
) -> Networks:
    """Load the networks of a bundle, or take those that are loaded already.

    Args:
        bundle: the bundle.
        runtimes: its networks where they are loaded.
        kind: of the runtime that loads them, else.

    Raises:
        MissingExtraError: the runtime is not installed.
        BundleError: a network cannot be loaded.
    """
    loaded = load_runtimes(bundle, kind) if runtimes is None else runtimes
    segmenter = Segmenter(bundle.card.segmenter, loaded.segmentation)
    return Networks(segmenter, Classifier(bundle, loaded.classifier))


@dataclass(frozen=True)
class Model:
    """What fields are counted with.

    Attributes:
        bundle: the model.
        settings: of the differentials.
        get_networks: gives the loaded networks; asked only when needed, so that they may load meanwhile.
    """

    bundle: Bundle
    settings: DifferentialSettings
    get_networks: Callable[[], Networks]


@dataclass(frozen=True, eq=False)
class OutlinedField:
    """The cells of one image, not yet named.

    Attributes:
        image: the image, with the scale that was used.
        scale: the estimate from red cells where that gave the scale, else None.
        outlines: its cells.
    """

    image: SmearImage
    scale: ScaleEstimate | None
    outlines: tuple[CellOutline, ...]


@dataclass(frozen=True, eq=False)
class CountedField:
    """The counted cells of one image.

    Attributes:
        image: the image, with the scale that was used.
        scale: the estimate from red cells where that gave the scale, else None.
        outlines: its cells.
        cells: their table, in the same order, with the columns of
            :func:`erythron.cells.table.list_cell_columns`.
        quality: what the image showed.
        differential: of these cells.
    """

    image: SmearImage
    scale: ScaleEstimate | None
    outlines: tuple[CellOutline, ...]
    cells: pl.DataFrame
    quality: FieldQuality
    differential: Differential


def find_scale(image: SmearImage) -> tuple[SmearImage, ScaleEstimate | None]:
    """Return a field with ``mpp`` where the file, the user or its red cells give it, and their estimate."""
    if image.mpp is not None:
        return image, None
    estimate = estimate_scale(image.rgb)
    if estimate is None:
        return image, None
    return replace(image, mpp=estimate.mpp, mpp_source=ScaleSource.RED_CELLS), estimate


def outline_field(
    image: SmearImage, get_segmenter: Callable[[], Segmenter], framing: Framing
) -> OutlinedField:
    """Find the scale of a field and outline every nucleated cell.

    Where neither the file, the user nor the red cells give a scale, sizes stay in pixels and the segmentation
    network works at the scale that ``framing`` assumes.

    Args:
        image: the field.
        get_segmenter: gives the segmenter; asked after the scale is measured, so that it may load meanwhile.
        framing: of the bundle.

    Raises:
        ImageReadError: the image is grey or inverted.
    """
    check_stained(image)
    image, estimate = find_scale(image)
    outlines = get_segmenter().segment_field(image.light, choose_mpp(image, framing))
    return OutlinedField(image, estimate, outlines)


def call_field(field: OutlinedField, model: Model) -> CountedField:
    """Measure, name and count the cells of a field; those in areas that cannot be read are left out."""
    image = field.image
    cells = name_cells(image, field.outlines, model.get_networks().classifier)
    quality = judge_image(image, cells, model.bundle.card)
    inside = find_cells_inside(cells, quality.left_out)
    if inside.any():
        cells = add_flag(cells, CellFlag.LEFT_OUT, inside.tolist()).with_columns(count_as())
    differential = make_differential(cells, model.settings, quality)
    return CountedField(image, field.scale, field.outlines, cells, quality, differential)


def count_field(image: SmearImage, model: Model) -> CountedField:
    """Find, outline, measure, name and count every nucleated cell of a field."""
    framing = model.bundle.card.framing
    return call_field(outline_field(image, lambda: model.get_networks().segmenter, framing), model)


def classify_crop(image: SmearImage, networks: Networks) -> pl.DataFrame:
    """Outline, measure and name the central cell of a single-cell crop.

    Returns:
        A table of cells of one row, or of none where the crop shows no nucleated cell.

    Raises:
        ImageReadError: the image is grey or inverted.
    """
    check_stained(image)
    outline = outline_crop(image, networks.segmenter, networks.classifier.bundle.card.framing)
    return name_cells(image, () if outline is None else (outline,), networks.classifier)


def name_cells(image: SmearImage, outlines: tuple[CellOutline, ...], classifier: Classifier) -> pl.DataFrame:
    """Measure and name outlined cells; the table has the columns of a table of cells."""
    return call_cells(image, outlines, measure_cells(image.rgb, outlines, image.mpp), classifier)
