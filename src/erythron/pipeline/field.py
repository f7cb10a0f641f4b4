"""One image through every step that finds, names and counts its cells.

In: an image in memory and a model. Out: its cells and their differential. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.folder import Bundle
from erythron.bundle.loading import Runtimes, load_runtimes
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.bundle.schema import Framing
from erythron.cells.flags import CellFlag, add_flag
from erythron.cells.outline import CellOutline
from erythron.cells.table import count_as
from erythron.classify.calls import call_cells
from erythron.classify.classifier import Classifier
from erythron.classify.framing import choose_mpp
from erythron.differential.assemble import DifferentialSettings, make_differential
from erythron.differential.counts import Differential
from erythron.errors import SpecimenError
from erythron.interchange.geojson import CellRings
from erythron.quality.areas import find_cells_inside
from erythron.quality.flags import FieldQuality, is_countable
from erythron.quality.image import judge_image
from erythron.quality.specimen import find_other_specimen
from erythron.read.box import Box
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.stained import check_stained
from erythron.segment.drawn_marks import drop_drawn_marks
from erythron.segment.field_scale import CONTRADICTED, FieldScale, check_given, choose_scale, find_field_scale
from erythron.segment.nuclear_scale import estimate_from_nuclei, is_plausible
from erythron.segment.red_discs import drop_red_cells
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
        scale: where that comes from; None where it is unknown, or where the user gave it and no cell speaks
            against it.
        outlines: its cells.
    """

    image: SmearImage
    scale: FieldScale | None
    outlines: tuple[CellOutline, ...]


@dataclass(frozen=True, eq=False)
class CountedField:
    """The counted cells of one image.

    Attributes:
        image: the image, with the scale that was used.
        scale: where that comes from; None where it is unknown, or where the user gave it and no cell speaks
            against it.
        outlines: its cells.
        cells: their table, in the same order, with the columns of
            :func:`erythron.cells.table.list_cell_columns`.
        quality: what the image showed.
        differential: of these cells.
        rings: those outlines as polygons, by name, that were traced before.
    """

    image: SmearImage
    scale: FieldScale | None
    outlines: tuple[CellOutline, ...]
    cells: pl.DataFrame
    quality: FieldQuality
    differential: Differential
    rings: Mapping[str, CellRings] = field(default_factory=dict)


def outline_field(
    image: SmearImage, get_segmenter: Callable[[], Segmenter], framing: Framing
) -> OutlinedField:
    """Find the scale of a field and outline every nucleated cell.

    A scale that the user gave is taken. Where nothing gives one, sizes stay in pixels and the segmentation
    network works at the scale that ``framing`` assumes. What is black, or of one colour throughout, is drawn
    and is dropped. Red cells that lie apart say how dark a nucleus must be: what is no darker than they are
    is dropped. Borders of the picture that show no image have no say in any of this. Where the outlined
    nuclei are too large or too small for the scale, it is weighed again with what the nuclei say, and the
    field outlined once more if that moves it.

    Args:
        image: the field.
        get_segmenter: gives the segmenter; asked after the scale is measured, so that it may load meanwhile.
        framing: of the bundle.

    Raises:
        ImageReadError: the image is grey or inverted.
    """
    check_stained(image)
    if image.mpp_source is ScaleSource.OPTION:
        return _outline_as_given(image, get_segmenter, framing)
    stated, red_cells = image.mpp, estimate_scale(image.shown)
    nuclei: list[ScaleEstimate | None] = []

    def measure_nuclei() -> ScaleEstimate | None:
        nuclei.append(_measure_nuclei(image, get_segmenter))
        return nuclei[-1]

    scale = find_field_scale(stated, red_cells, measure_nuclei)
    outlined = _outline_at(image, scale, get_segmenter(), framing)
    if red_cells is not None and red_cells.red_absorbance is not None:
        return _drop_red_cells(outlined, red_cells)
    if scale is None or nuclei or is_plausible(_measure_whole(outlined), scale.mpp):
        return outlined
    again = choose_scale(stated, red_cells, measure_nuclei())
    if again is None or again.mpp == scale.mpp:
        return outlined
    return _outline_at(image, again, get_segmenter(), framing)


def _outline_as_given(
    image: SmearImage, get_segmenter: Callable[[], Segmenter], framing: Framing
) -> OutlinedField:
    """Outline a field at the scale that the user gave, and keep what its cells say against it."""
    mpp, red_cells = choose_mpp(image, framing, is_field=True), estimate_scale(image.shown)
    outlined = OutlinedField(image, check_given(mpp, red_cells), _segment(image, get_segmenter(), mpp))
    is_shown = red_cells is not None and red_cells.is_sure
    if not is_shown and not is_plausible(_measure_whole(outlined), mpp):
        outlined = replace(outlined, scale=check_given(mpp, _measure_nuclei(image, get_segmenter)))
    return _drop_red_cells(outlined, red_cells)


def _measure_nuclei(image: SmearImage, get_segmenter: Callable[[], Segmenter]) -> ScaleEstimate | None:
    return estimate_from_nuclei(partial(get_segmenter().sample_nuclei, image.light))


def _outline_at(
    image: SmearImage, scale: FieldScale | None, segmenter: Segmenter, framing: Framing
) -> OutlinedField:
    mpp, source = (None, ScaleSource.UNKNOWN) if scale is None else (scale.mpp, scale.source)
    image = replace(image, mpp=mpp, mpp_source=source)
    working = choose_mpp(image, framing, is_field=True)
    return OutlinedField(image, scale, _segment(image, segmenter, working))


def _segment(image: SmearImage, segmenter: Segmenter, working_mpp: float) -> tuple[CellOutline, ...]:
    """Return the cells of a field without letters, arrows and boxes that were drawn into it."""
    found = segmenter.segment_field(image.light, working_mpp)
    return drop_drawn_marks(found, image.rgb, image.background)


def _drop_red_cells(field: OutlinedField, red_cells: ScaleEstimate | None) -> OutlinedField:
    """Return a field without cells that are no darker than red cells that lie apart, if there are these."""
    mpp = field.image.mpp
    if red_cells is None or red_cells.red_absorbance is None or mpp is None:
        return field
    if abs(np.log(red_cells.mpp / mpp)) > np.log(CONTRADICTED):
        return field  # at the scale that is used they are of another size than red cells
    kept = drop_red_cells(field.outlines, field.image.light, red_cells.red_absorbance)
    return replace(field, outlines=kept)


def _measure_whole(field: OutlinedField) -> NDArray[np.float64]:
    """Return the diameters in pixels of the nuclei of cells that no border of the image cuts, (N,)."""
    frame = field.image.frame
    areas = [outline.nucleus_mask.area_px for outline in field.outlines if not _is_cut(outline, frame)]
    return np.sqrt(4 * np.array(areas, np.float64) / np.pi)


def _is_cut(outline: CellOutline, frame: Box) -> bool:
    """Return whether a cell reaches to where the image ends, at the border of the picture or before it."""
    height, width = outline.cell.shape
    return (
        outline.left <= frame.left
        or outline.top <= frame.top
        or outline.left + width >= frame.right
        or outline.top + height >= frame.bottom
    )


def call_field(field: OutlinedField, model: Model) -> CountedField:
    """Measure, name and count the cells of a field.

    Those in areas that cannot be read are left out, and all where the scale is unknown or too coarse for
    stages.

    Raises:
        SpecimenError: the picture is not one of a smear.
    """
    image = field.image
    cells = name_cells(image, field.outlines, model.get_networks().classifier, is_field=True)
    if image.frame.area_px < image.width_px * image.height_px:
        cut = [_is_cut(outline, image.frame) for outline in field.outlines]
        cells = cells.with_columns(pl.Series("touches_edge", cut, pl.Boolean()))
        cells = add_flag(cells, CellFlag.TOUCHES_EDGE, cut)
    other = find_other_specimen(image, cells)
    if other is not None:
        raise SpecimenError(f"{image.name}: not_a_smear: {other}; it is not counted")
    quality = judge_image(image, cells, model.bundle.card, field.scale)
    inside = find_cells_inside(cells, quality.left_out)
    if not is_countable(quality, model.settings.thresholds):
        inside[:] = True
    if inside.any():
        cells = add_flag(cells, CellFlag.LEFT_OUT, inside.tolist()).with_columns(count_as())
    differential = make_differential(cells, model.settings, quality)
    return CountedField(image, field.scale, field.outlines, cells, quality, differential)


def count_field(image: SmearImage, model: Model) -> CountedField:
    """Find, outline, measure, name and count every nucleated cell of a field.

    Raises:
        SpecimenError: the picture is not one of a smear.
    """
    framing = model.bundle.card.framing
    return call_field(outline_field(image, lambda: model.get_networks().segmenter, framing), model)


def name_cells(
    image: SmearImage, outlines: tuple[CellOutline, ...], classifier: Classifier, *, is_field: bool = False
) -> pl.DataFrame:
    """Measure and name outlined cells; the table has the columns of a table of cells.

    Args:
        image: the image.
        outlines: its cells.
        classifier: of a bundle.
        is_field: whether the image is known to be a field, however small.
    """
    measured = measure_cells(image.rgb, outlines, image.mpp)
    return call_cells(image, outlines, measured, classifier, is_field=is_field)
