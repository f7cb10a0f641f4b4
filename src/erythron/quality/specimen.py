"""Whether a picture is one of a smear at all, and how many nucleated and red cells it shows.

In: an image and the table of its cells. Out: why it is no smear (a section, a clot, a photograph), as a
sentence, or nothing: a count of such a picture would have figures like any other, so it is refused. And the
cells in view, by which :mod:`erythron.differential.specimen` tells marrow from blood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.classes import PLATELET
from erythron.cells.flags import CellFlag, has_flag
from erythron.cells.table import is_unlike_training
from erythron.quality.flags import THRESHOLDS as FIELD_THRESHOLDS
from erythron.quality.flags import CellsInView, in_percent
from erythron.read.image import SmearImage
from erythron.segment.scale import RED_CELL_UM, estimate_scale
from erythron.segment.stain import MIN_CONTRAST, otsu


@dataclass(frozen=True)
class SpecimenThresholds:
    """Where a picture is no smear; ``benchmarks/scale.py`` prints what each set has.

    Attributes:
        most_strange: mean strangeness of the whole cells of a picture without red cells over which it is no
            smear. A cell has 1 if it is unlike those of the training, plus twice what the score of its
            outline lacks of 1. Whole pictures of sections, of the clot and of photographs have 1.23 and more,
            pictures of single cells at most 1.18, and of some 150 crops of marrow of 200 px and more one has
            1.24 and all others 1.17 at most (``benchmarks/small_pictures.py``, which also sets this and the
            next two with each source held out).
        usual_strange: mean strangeness of the cells of smears.
        usual_cells: so many usual cells are counted to those that are seen. Few cells of a smear are strange
            together by chance, and a small picture has no room for red cells: it takes more to refuse it.
        fewest_cells: cells from which a picture is of many, and what stains it has been made out.
        most_orange: share of pixels in which blue is lower than red and green by a tenth of the light: no
            stain of smears is orange, yellow or brown. Smears have at most 0.01, pictures under a yellow
            lamp that drowns the blue 0.33, photographs and brown immunostains 0.32 to 0.67.
        most_tinted: light of the brightest part of a picture, red over blue, under which no empty glass is
            in it. Smears have 0.77 and more, the clot 0.40.
        most_filled: share of pixels that are stained from which a picture is full: where neither nuclei nor
            red cells can be made out in it, it is no smear, or out of focus.
        largest_crop_px: a picture of which no side is longer may be of one cell that fills it, which is a
            smear all the same.
    """

    most_strange: float = 1.2
    usual_strange: float = 0.77
    usual_cells: int = 4
    fewest_cells: int = 10
    most_orange: float = 0.36
    most_tinted: float = 0.6
    most_filled: float = 0.5
    largest_crop_px: int = 420


THRESHOLDS = SpecimenThresholds()

_ORANGE = 0.1
_STAINED = 0.75
_SAMPLED = 250_000

_PASSES_RED = 0.5
"""Red light over that of the empty smear from which a pixel is of no nucleus, ink or frame.

Films lose none of their red cells by it; at 0.65 they would lose up to a third. In fields of ``bccd`` as many
or more are found as were marked by hand, where green light alone left a tenth of some
(``benchmarks/specimen.py``).
"""


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
    # A border that cuts a cell makes it strange, and in a small picture it cuts many.
    whole = cells.filter(~has_flag(CellFlag.TOUCHES_EDGE))
    if _is_strange(whole, limits) and not _has_red_cells(image):
        unlike = float(whole.select(is_unlike_training().mean()).item())
        return (
            f"no red cell is seen in it, and {in_percent(unlike)} of what may be cells are unlike those "
            "of smears and have no clear outline: it may be a section, or a photograph of something else"
        )
    if (
        cells.height < limits.fewest_cells
        and image.mpp is None
        and max(image.width_px, image.height_px) > limits.largest_crop_px
        and float((light[..., 1] < _STAINED).mean()) > limits.most_filled
    ):
        return "neither nuclei nor red cells can be made out in it: it is no smear, or out of focus"
    return None


def measure_cells_in_view(image: SmearImage, cells: pl.DataFrame) -> CellsInView | None:
    """Return how many nucleated and red cells a field shows; None where its scale is unknown or too coarse.

    Args:
        image: the field, with its scale.
        cells: the table of its cells.
    """
    if image.mpp is None or image.mpp > FIELD_THRESHOLDS.most_mpp:
        return None  # such cells are in no count
    light = _sample(image)
    level = find_red_level(light)
    share = 0.0 if level is None else float(is_like_red_cells(light, level).mean())
    return count_in_view(share * image.frame.area_px, tally_nucleated(cells), image.mpp)


@dataclass(frozen=True)
class NucleatedTally:
    """The nucleated cells of an image, or of a part of one.

    Attributes:
        cells: how many.
        cytoplasm_px: area of all of them beside their nuclei.
    """

    cells: int = 0
    cytoplasm_px: int = 0

    def __add__(self, other: NucleatedTally) -> NucleatedTally:
        return NucleatedTally(self.cells + other.cells, self.cytoplasm_px + other.cytoplasm_px)


def tally_nucleated(cells: pl.DataFrame) -> NucleatedTally:
    """Count the nucleated cells of a table of cells."""
    nucleated = cells.filter(pl.col("label") != PLATELET.name)
    return NucleatedTally(nucleated.height, int(nucleated["cytoplasm_area_px"].sum()))


def find_red_level(light: NDArray[np.float32]) -> float | None:
    """Return the green light under which what passes red light is stained; None where pixels hardly differ.

    Nuclei, ink and what lies outside the field of view hold red light back, and have no say in it: beside
    them red cells are as good as glass.

    Args:
        light: (..., 3) light of pixels over that of the empty smear.
    """
    green = light[..., 1][light[..., 0] > _PASSES_RED]
    return None if not green.size or float(np.ptp(green)) < MIN_CONTRAST else otsu(green)


def is_like_red_cells(
    light: NDArray[np.float32] | NDArray[np.uint8], level: float, glass: float = 1.0
) -> NDArray[np.bool_]:
    """Return which pixels are as stained as red cells, or as cytoplasm.

    Args:
        light: (..., 3) balanced light of pixels.
        level: see :func:`find_red_level`.
        glass: light of the empty smear.
    """
    return np.asarray((light[..., 0] > _PASSES_RED * glass) & (light[..., 1] < level * glass))


def count_in_view(stained_px: float, nucleated: NucleatedTally, mpp: float) -> CellsInView:
    """Count the red cells of what was looked at by their area, at 7.3 um each.

    Args:
        stained_px: area as stained as red cells, cytoplasm of nucleated cells among it.
        nucleated: the nucleated cells on it.
        mpp: microns per pixel.
    """
    red = (stained_px - nucleated.cytoplasm_px) / (np.pi / 4 * (RED_CELL_UM / mpp) ** 2)
    return CellsInView(nucleated.cells, round(max(0.0, float(red)), 1))


def measure_strangeness(cells: pl.DataFrame) -> pl.Series:
    """Return of each cell 1 if it is unlike those of the training, plus twice what its score lacks of 1.

    Args:
        cells: a table of cells.
    """
    strange = is_unlike_training().cast(pl.Float64) + 2 * (1 - pl.col("outline_score"))
    return cells.select(strange.alias("strange"))["strange"]


def _is_strange(whole: pl.DataFrame, limits: SpecimenThresholds) -> bool:
    """Return whether the whole cells of a picture are too strange for a smear, some usual ones among them."""
    usual = limits.usual_cells * limits.usual_strange
    strange = (float(measure_strangeness(whole).sum()) + usual) / (whole.height + limits.usual_cells)
    return strange > limits.most_strange


def _has_red_cells(image: SmearImage) -> bool:
    found = estimate_scale(image.shown)
    return found is not None and found.is_sure


def _sample(image: SmearImage) -> NDArray[np.float32]:
    """Return some of the pixels that show an image over the light of the empty smear, (h, w, 3) in 0..1."""
    step = max(1, int(np.sqrt(image.frame.area_px / _SAMPLED)))
    part = image.shown[::step, ::step]
    return np.asarray(np.minimum(part / image.background, 1), np.float32)


def _share_orange(light: NDArray[np.float32]) -> float:
    red, green, blue = np.moveaxis(light, 2, 0)
    return float((blue < np.minimum(red, green) - _ORANGE).mean())
