"""Pictures of single cells: the central cell named, and what speaks against such a picture.

In: an image that the user says is of one cell. Out: a table of cells of one row. A picture that shows many
cells is flagged, and one that is not of a smear is refused, by the rule by which a count refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from erythron.bundle.schema import Framing
from erythron.cells.flags import CellFlag, add_flag
from erythron.classify.framing import choose_mpp, is_larger_than_crop, outline_crop
from erythron.errors import ImageReadError, SpecimenError
from erythron.pipeline.field import Networks, OutlinedField, name_cells, outline_field
from erythron.quality.flags import QualityFlag
from erythron.quality.specimen import THRESHOLDS, find_other_specimen
from erythron.read.image import SmearImage
from erythron.read.stained import check_stained
from erythron.segment.segmenter import Segmenter, find_candidate_points

_FEWEST_POINTS = 17
"""Candidate points from which a picture is looked at as a field, which takes three times as long as its cell.

Of 404 crops of ``pathology-bites-cells`` and 234 of ``matek-marrow`` none has more than 16, nor more than
eight cells; cuts of 250 pixels from sections and crowded marrow have 19 to 33.
"""

_LOOKED_AT_PX = 700
"""Side of the middle of a larger picture that is looked at, as large as the sections that set the rule."""

_MOST_NAMED = 5
"""Pictures of more than one cell are named up to so many, then counted."""


def classify_crop(image: SmearImage, networks: Networks) -> pl.DataFrame:
    """Outline, measure and name the central cell of a single-cell crop.

    Returns:
        A table of cells of one row, or of none where the crop shows no nucleated cell. The cell of a picture
        that is larger than one of a single cell, or shows ten cells and more, has the flag ``not_one_cell``.

    Raises:
        ImageReadError: the image is grey or inverted.
        SpecimenError: the picture shows many cells and is not one of a smear.
    """
    check_stained(image)
    framing = networks.classifier.bundle.card.framing
    outline = outline_crop(image, networks.segmenter, framing)
    cells = name_cells(image, () if outline is None else (outline,), networks.classifier)
    if cells.is_empty() or not _shows_many(image, networks, framing):
        return cells
    return add_flag(cells, CellFlag.NOT_ONE_CELL, [True])


def shows_many(image: SmearImage, segmenter: Segmenter, framing: Framing) -> bool:
    """Return whether a picture is plainly of more than one cell, so that the one at its centre is not all.

    It is where it is larger than a picture of a single cell, or shows ten cells and more; a grey picture is
    judged by its size alone.
    """
    if is_larger_than_crop(image, framing):
        return True
    try:
        return _outline_many(image, segmenter, framing) is not None
    except ImageReadError:
        return False


def flag_not_one_cell(names: Sequence[str], done: str, instead: str) -> tuple[QualityFlag, ...]:
    """Return the flag of pictures that show more than one cell; none where there are none.

    Args:
        names: of the pictures.
        done: what is done with the cell at the centre alone, such as ``named``.
        instead: what to do with a field.
    """
    if not names:
        return ()
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    show = "shows" if len(names) == 1 else "show"
    text = (
        f"{', '.join(names[:_MOST_NAMED])}{more}: {show} more than a single cell, and only the one at the "
        f"centre is {done}; {instead}, or give the scale of a large picture of one cell with --mpp"
    )
    return (QualityFlag(CellFlag.NOT_ONE_CELL.value, text, float(len(names))),)


def _shows_many(image: SmearImage, networks: Networks, framing: Framing) -> bool:
    """Return what :func:`shows_many` does, of a picture that is to be one of a smear if it shows many cells.

    Raises:
        SpecimenError: it is not one of a smear. Of pictures of one cell that is not asked: some of them show
            no glass, or yellow light, and are of smears.
    """
    field = _outline_many(image, networks.segmenter, framing)
    if field is None:
        return is_larger_than_crop(image, framing)
    cells = name_cells(field.image, field.outlines, networks.classifier, is_field=True)
    other = find_other_specimen(field.image, cells)
    if other is not None:
        raise SpecimenError(f"{image.name}: not_a_smear: {other}; its central cell is not named")
    return True


def _outline_many(image: SmearImage, segmenter: Segmenter, framing: Framing) -> OutlinedField | None:
    """Return the cells of the middle of a picture, outlined, where they are ten or more; else None.

    Raises:
        ImageReadError: the picture is grey or inverted.
    """
    middle = _cut_middle(image)
    points = find_candidate_points(middle.light, choose_mpp(middle, framing), segmenter.card)
    if len(points) < _FEWEST_POINTS:
        return None
    field = outline_field(middle, lambda: segmenter, framing)
    return field if len(field.outlines) >= THRESHOLDS.fewest_cells else None


def _cut_middle(image: SmearImage) -> SmearImage:
    """Return the middle of a picture; the whole of one that is not larger."""
    height, width = image.rgb.shape[:2]
    if max(height, width) <= _LOOKED_AT_PX:
        return image
    top, left = (max(0, (side - _LOOKED_AT_PX) // 2) for side in (height, width))
    part = image.rgb[top : top + _LOOKED_AT_PX, left : left + _LOOKED_AT_PX]
    return SmearImage(image.name, np.ascontiguousarray(part), image.mpp, image.mpp_source, glass=image.glass)
