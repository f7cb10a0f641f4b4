"""Whether a picture is one of a marrow smear at all: sections, clots and photographs are none.

In: an image and the table of its cells. Out: why it is no smear, as a sentence, or nothing. A count of such a
picture would have figures like any other, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.classes import ERYTHROID_STAGES, PLATELET
from erythron.cells.table import is_unlike_training
from erythron.quality.flags import THRESHOLDS as FIELD_THRESHOLDS
from erythron.quality.flags import in_percent
from erythron.read.image import SmearImage
from erythron.segment.scale import RED_CELL_UM, estimate_scale
from erythron.segment.stain import MIN_CONTRAST, otsu


@dataclass(frozen=True)
class SpecimenThresholds:
    """Where a picture is no smear; ``benchmarks/scale.py`` prints what each set has.

    Sections, clot and photographs were each judged by limits that the other two set: all are told.

    Attributes:
        most_strange: share of cells that are unlike those of the training, plus twice what their mean score
            lacks of 1, over which a field without red cells is none. Sections have 1.40 to 1.46, the clot
            1.32, photographs 1.56 and more; crops of marrow without red cells, some of them blurred or made
            pink on purpose, at most 1.16.
        fewest_cells: cells to judge these by.
        most_strange_few: the same of two to so few cells. A photograph has 1.68, a picture of crowded red
            cells by telephone 1.74, crops of marrow that show one to four cells at most 1.35.
        most_orange: share of pixels in which blue is lower than red and green by a tenth of the light: no
            stain of smears is orange, yellow or brown. Smears have at most 0.01, pictures under a yellow
            lamp that drowns the blue 0.33, photographs and brown immunostains 0.32 to 0.67.
        most_tinted: light of the brightest part of a picture, red over blue, under which no empty glass is
            in it. Smears have 0.77 and more, the clot 0.40.
        most_filled: share of pixels that are stained from which a picture is full: where neither nuclei nor
            red cells can be made out in it, it is no smear, or out of focus.
        largest_crop_px: a picture of which no side is longer may be of one cell that fills it, which is a
            smear all the same.
        most_nucleated: nucleated cells to a red cell under which a field may be one of blood. Fields of blood
            that were chosen for their white cells have up to 0.09, marrow 0.05 (much diluted) to 2.
        most_erythroid: share of erythroid cells up to which it then is; the diluted marrow has a sixth and
            more.
    """

    most_strange: float = 1.28
    fewest_cells: int = 10
    most_strange_few: float = 1.5
    most_orange: float = 0.36
    most_tinted: float = 0.6
    most_filled: float = 0.5
    largest_crop_px: int = 420
    most_nucleated: float = 0.1
    most_erythroid: float = 0.05


THRESHOLDS = SpecimenThresholds()

_ORANGE = 0.1
_STAINED = 0.75
_SAMPLED = 250_000


def find_other_specimen(
    image: SmearImage, cells: pl.DataFrame, limits: SpecimenThresholds = THRESHOLDS
) -> str | None:
    """Return why a picture is not one of a smear, as the end of a sentence; None where it may be one.

    Args:
        image: the field.
        cells: the table of its cells.
        limits: thresholds.
    """
    red, _, blue = image.background
    if red < limits.most_tinted * blue:
        return "there is no empty glass in it: it is a clot, or much too thick"
    light = _sample(image)
    if _share_orange(light) > limits.most_orange:
        return "it is orange, yellow or brown, as no stained smear is"
    if image.mpp is not None and image.mpp > FIELD_THRESHOLDS.most_mpp:
        return None  # such cells are in no count, and too small to judge by
    is_few = cells.height < limits.fewest_cells
    if cells.height > 1:
        most = limits.most_strange_few if is_few else limits.most_strange
        unlike = float(cells.select(is_unlike_training().mean()).item())
        score = float(cells.select(pl.col("outline_score").mean()).item())
        if unlike + 2 * (1 - score) > most and not _has_red_cells(image):
            return (
                f"no red cell is seen in it, and {in_percent(unlike)} of what may be cells are unlike those "
                "of smears and have no clear outline: it may be a section, or a photograph of something else"
            )
    if (
        is_few
        and image.mpp is None
        and max(image.width_px, image.height_px) > limits.largest_crop_px
        and float((light[..., 1] < _STAINED).mean()) > limits.most_filled
    ):
        return "neither nuclei nor red cells can be made out in it: it is no smear, or out of focus"
    return None


def measure_blood(
    image: SmearImage, cells: pl.DataFrame, limits: SpecimenThresholds = THRESHOLDS
) -> float | None:
    """Return the nucleated cells to a thousand red cells where a field looks like one of blood, else None.

    Red cells are counted by the area that is stained and belongs to no nucleated cell, at 7.3 um each, so
    that they may overlap.

    Args:
        image: the field, with its scale.
        cells: the table of its cells.
        limits: thresholds.
    """
    if image.mpp is None:
        return None
    green = _sample(image)[..., 1]
    level = find_stained_level(green)
    if level is None:
        return None
    stained = float((green < level).mean()) * image.width_px * image.height_px
    return judge_blood(stained, tally_nucleated(cells), image.mpp, limits)


@dataclass(frozen=True)
class NucleatedTally:
    """The nucleated cells of an image, or of a part of one.

    Attributes:
        cells: how many.
        erythroid: how many of them are erythroid.
        area_px: of all of them.
    """

    cells: int = 0
    erythroid: int = 0
    area_px: int = 0

    def __add__(self, other: NucleatedTally) -> NucleatedTally:
        return NucleatedTally(
            self.cells + other.cells, self.erythroid + other.erythroid, self.area_px + other.area_px
        )


def tally_nucleated(cells: pl.DataFrame) -> NucleatedTally:
    """Count the nucleated cells of a table of cells."""
    nucleated = cells.filter(pl.col("label") != PLATELET.name)
    erythroid = nucleated["label"].is_in([stage.name for stage in ERYTHROID_STAGES]).sum()
    return NucleatedTally(nucleated.height, int(erythroid), int(nucleated["cell_area_px"].sum()))


def find_stained_level(green: NDArray[np.float32]) -> float | None:
    """Return the green light under which a pixel is stained; None where the pixels hardly differ.

    Args:
        green: (...) light of pixels over that of the empty smear.
    """
    return None if float(np.ptp(green)) < MIN_CONTRAST else otsu(green)


def judge_blood(
    stained_px: float, nucleated: NucleatedTally, mpp: float, limits: SpecimenThresholds = THRESHOLDS
) -> float | None:
    """Return the nucleated cells to a thousand red cells where what was looked at is like blood, else None.

    Args:
        stained_px: area that is stained, nucleated cells among it.
        nucleated: the nucleated cells on it.
        mpp: microns per pixel.
        limits: thresholds.
    """
    if not nucleated.cells:
        return None
    red_cells = (stained_px - nucleated.area_px) / (np.pi / 4 * (RED_CELL_UM / mpp) ** 2)
    few = red_cells > 0 and nucleated.cells < limits.most_nucleated * red_cells
    if not few or nucleated.erythroid > limits.most_erythroid * nucleated.cells:
        return None
    return float(1000 * nucleated.cells / red_cells)


def _has_red_cells(image: SmearImage) -> bool:
    found = estimate_scale(image.rgb)
    return found is not None and found.is_sure


def _sample(image: SmearImage) -> NDArray[np.float32]:
    """Return some of the pixels over the light of the empty smear, (h, w, 3) in 0..1."""
    step = max(1, int(np.sqrt(image.width_px * image.height_px / _SAMPLED)))
    part = image.rgb[::step, ::step]
    return np.asarray(np.minimum(part / image.background, 1), np.float32)


def _share_orange(light: NDArray[np.float32]) -> float:
    red, green, blue = np.moveaxis(light, 2, 0)
    return float((blue < np.minimum(red, green) - _ORANGE).mean())
