"""Microns per pixel of a field from its red cells, for images whose files do not say or say wrongly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import bdtr

from erythron.segment.red_cells import RedCellColour, RedCells, find_red_cells
from erythron.segment.red_discs import measure_red_discs

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

RED_CELL_UM = 7.3
"""Diameter of a red cell on a dried smear; taken, not measured.

The mean of healthy persons is 7.2 um (Price-Jones 1933, Red Blood Cell Diameters, Oxford University Press).
"""

RED_CELL_SPREAD = 0.06
"""Relative standard deviation of that diameter between smears.

``benchmarks/red_cell_scale.py`` measures it.
"""

MIN_RED_CELLS = 5
"""Red cells under which there is no estimate: fewer may be chance circles.

``benchmarks/constants.py`` measures it.
"""

SURE_RED_CELLS = 8
"""Red cells from which an estimate stands by itself: of 52 on as many or more, 50 are within 15 %."""

FEW_SPREAD = 0.2
"""Further relative standard deviation of an estimate on fewer: they are wrong by up to a half."""

MIN_DISCS = 10
"""Red cells that lie apart, of one size, from which they are taken in place of circles.

Films have 14 and more; of the cells of a marrow field at most 6 are taken for such (``benchmarks/scale.py``).
"""

SIZE_BAND = 1.3
"""Factor from the usual diameter beyond which a circle is no red cell.

``benchmarks/constants.py`` measures it.
"""

WORKED_PX = 700_000
"""Pixels to which a larger image is reduced, for time: about 0.2 s a field.

``benchmarks/constants.py`` measures it.
"""

ENLARGED_PX = 350_000
"""Pixels of the middle of an image that is looked at enlarged twofold, where red cells may be too small."""


MANY_RED_CELLS = 40
"""Small cells of one size, and of the colour of nuclei, that are red cells for their number.

Blood at 0.6 um per pixel shows 64 to 528 of them, marrow and sections 7 to 25 (``benchmarks/scale.py``).
"""

LEAST_COVERED = 0.01
"""Share of what is looked at enlarged that red cells cover: a field of so small cells shows many.

They cover 1.5 % and more; circles in the grain of a picture of large cells, 0.3 %.
"""


@dataclass(frozen=True)
class ScaleEstimate:
    """Microns per pixel, as the cells of an image say.

    Attributes:
        mpp: best estimate.
        mpp_low: lower end of a 95 % interval. Of red cells it joins the order-statistic interval of their
            median and the spread of the true diameter between smears, 6 %; a smear with frank micro- or
            macrocytosis can lie outside it.
        mpp_high: upper end.
        red_cells: how many red cells were measured.
        nuclei: how many nuclei were measured.
        red_absorbance: mean green absorbance of the red cells, decadic, where these lie apart; else None.
    """

    mpp: float
    mpp_low: float
    mpp_high: float
    red_cells: int
    nuclei: int = 0
    red_absorbance: float | None = None

    @property
    def is_sure(self) -> bool:
        """Whether it rests on red cells enough to stand by itself."""
        return self.red_cells >= SURE_RED_CELLS

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of the scale."""
        return float(np.log(self.mpp_high / self.mpp_low) / (2 * 1.96))


def estimate_scale(rgb: Pixels) -> ScaleEstimate | None:
    """Estimate the scale from the red cells of an image.

    Those that lie apart are measured by their area; where there are few of these, round ones by their rims,
    whether or not they overlap. Where that finds fewer than eight, the image is looked at enlarged, then
    cells of the colour of pale nuclei are let pass, and at last of any, if there are very many.

    Args:
        rgb: (H, W, 3) uint8. An image of more than 0.7 million pixels is measured reduced to that, and where
            its red cells are too small for that, in its middle.

    Returns:
        None where fewer than five red cells are in view, or where they are under 8 pixels across.
    """
    reduced, shrink = _reduce(rgb)
    apart = _measure_apart(reduced, shrink)
    if apart is not None:
        return apart
    middle = _cut_middle(rgb, WORKED_PX)
    enlarged = _enlarge(_cut_middle(rgb, ENLARGED_PX))
    tries = [(reduced, shrink), (middle, 1.0)][: 1 if shrink == 1 else 2]
    tries.append((enlarged, 0.5))
    best: ScaleEstimate | None = None
    for colour in (RedCellColour.USUAL, RedCellColour.PURPLE):
        for pixels, scale in tries:
            found = _estimate(find_red_cells(pixels, colour), scale)
            if found is not None and scale < 1 and _cover(found, rgb) < LEAST_COVERED:
                continue
            if found is not None and found.is_sure:
                return found
            if found is not None and (best is None or found.red_cells > best.red_cells):
                best = found
    small = _estimate(find_red_cells(enlarged, RedCellColour.ANY), 0.5)
    if small is not None and small.red_cells >= MANY_RED_CELLS:
        return small
    return best


def _reduce(rgb: Pixels) -> tuple[Pixels, float]:
    """Return a large image reduced to the pixels that are worked on, and by how much."""
    height, width = rgb.shape[:2]
    shrink = max(1.0, float(np.sqrt(height * width / WORKED_PX)))
    if shrink == 1:
        return rgb, 1.0
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    image = Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image), shrink


def _measure_apart(rgb: Pixels, pixels: float) -> ScaleEstimate | None:
    discs = measure_red_discs(rgb)
    if len(discs.diameter_px) < MIN_DISCS:
        return None
    return replace(_interpret(discs.diameter_px, pixels), red_absorbance=discs.absorbance)


def _cut_middle(rgb: Pixels, most_px: int) -> Pixels:
    """Return the middle of an image, a square of so many pixels where it is larger than that."""
    if rgb.shape[0] * rgb.shape[1] <= most_px:
        return rgb
    side = int(np.sqrt(most_px))
    top, left = (max(0, (length - side) // 2) for length in rgb.shape[:2])
    return rgb[top : top + side, left : left + side]


def _enlarge(rgb: Pixels) -> Pixels:
    size = (2 * rgb.shape[1], 2 * rgb.shape[0])
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def _cover(found: ScaleEstimate, rgb: Pixels) -> float:
    """Return the share of the part that is looked at enlarged which the measured red cells cover."""
    part = min(ENLARGED_PX, rgb.shape[0] * rgb.shape[1])
    return float(found.red_cells * np.pi / 4 * (RED_CELL_UM / found.mpp) ** 2 / part)


def _estimate(found: RedCells, pixels: float) -> ScaleEstimate | None:
    """Turn circles into a scale; ``pixels`` of the original image are one of theirs."""
    diameter = _keep_one_size(found)
    return None if len(diameter) < MIN_RED_CELLS else _interpret(diameter, pixels)


def _interpret(diameter: Floats, pixels: float) -> ScaleEstimate:
    """Turn diameters, sorted, into a scale; ``pixels`` of the original image are one of theirs."""
    count = len(diameter)
    rank = 0
    while rank + 1 < count / 2 and bdtr(rank, count, 0.5) <= 0.025:
        rank += 1
    middle = float(np.median(diameter))
    between = 1.96 * float(np.hypot(RED_CELL_SPREAD, 0.0 if count >= SURE_RED_CELLS else FEW_SPREAD))
    small = np.hypot(np.log(middle / diameter[max(0, rank - 1)]), between)
    large = np.hypot(np.log(diameter[min(count - 1, count - rank)] / middle), between)
    mpp = RED_CELL_UM / (middle * pixels)
    return ScaleEstimate(mpp, mpp * float(np.exp(-large)), mpp * float(np.exp(small)), count)


def _keep_one_size(found: RedCells) -> Floats:
    """Return, sorted, the diameters near the one that halves the measured area, weighted by seen rim."""
    order = np.argsort(found.diameter_px)
    diameter = found.diameter_px[order]
    if not len(diameter):
        return diameter
    weight = np.cumsum(diameter**2 * found.rim[order])
    usual = diameter[np.searchsorted(weight, weight[-1] / 2)]
    return np.asarray(diameter[(diameter > usual / SIZE_BAND) & (diameter < usual * SIZE_BAND)])
