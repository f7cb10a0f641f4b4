"""Whether an area of a slide is one to count in: in focus, cells lying apart, and nucleated cells in it.

In: the pixels of an area. Out: an :class:`AreaFitness`. Like a person at the microscope, who counts beside
the particles, where cells lie in one layer, and neither in clots nor in blood (ICSH: Lee et al. 2008, doi
10.1111/j.1751-553X.2008.01100.x). An area is only let in or not, never preferred for having more cells of one
kind, so that the choice does not shift the differential.

``benchmarks/areas.py`` measures what each threshold is worth; its table is in ``docs/results/slides.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from erythron.quality.areas import THRESHOLDS as AREA_THRESHOLDS
from erythron.quality.areas import find_unreadable_areas
from erythron.segment.stain import balance, nuclear_channel


class AreaFitness(IntEnum):
    """How fit an area is, the best first."""

    FIT = 0
    FEW_CELLS = 1
    UNREADABLE = 2


@dataclass(frozen=True)
class SpreadThresholds:
    """Where an area is fit; ``benchmarks/areas.py`` prints what real fields have.

    Attributes:
        most_unreadable: share of the area that may be out of focus or too thick. Marrow made out of focus has
            0.8 to 0.9 but for one of four fields, sharp marrow none.
        least_glass: share of the area that must be as bright as glass; what has less is too thick to read.
        nuclear_stain: share of blue light without green beside it from which a pixel is one of a nucleus.
        least_nuclear: share of such pixels under which there are too few nucleated cells to count there.
            Marrow has 0.023, where it is much diluted, to 0.42; of twelve fields of blood, each chosen for a
            white cell, ten have up to 0.004.
        most_nuclear: the same over which cells lie upon one another.
        smooth_um: standard deviation of the blur before pixels are judged.
    """

    most_unreadable: float = 0.25
    least_glass: float = 0.02
    nuclear_stain: float = 0.45
    least_nuclear: float = 0.01
    most_nuclear: float = 0.5
    smooth_um: float = 0.25


THRESHOLDS = SpreadThresholds()


@dataclass(frozen=True)
class AreaTraits:
    """What an area is judged by, each a share of its pixels.

    Attributes:
        unreadable: out of focus or too thick.
        glass: as bright as glass.
        nuclear: of nuclear stain.
    """

    unreadable: float
    glass: float
    nuclear: float


def measure_spread(
    rgb: NDArray[np.uint8], glass: NDArray[np.float32], mpp: float, limits: SpreadThresholds = THRESHOLDS
) -> AreaTraits:
    """Measure an area.

    Args:
        rgb: (H, W, 3) uint8.
        glass: (3,) float32, colour of the empty smear.
        mpp: microns per pixel.
        limits: thresholds.
    """
    light = balance(rgb, glass, limits.smooth_um / mpp)
    unreadable = sum(area.area_fraction for area in find_unreadable_areas(rgb, glass, mpp))
    bright = float((light[..., 1] > AREA_THRESHOLDS.glass_light).mean())
    return AreaTraits(unreadable, bright, float((nuclear_channel(light) > limits.nuclear_stain).mean()))


def judge_spread(traits: AreaTraits, limits: SpreadThresholds = THRESHOLDS) -> AreaFitness:
    """Return how fit an area is to count in."""
    if (
        traits.unreadable > limits.most_unreadable
        or traits.glass < limits.least_glass
        or traits.nuclear > limits.most_nuclear
    ):
        return AreaFitness.UNREADABLE
    return AreaFitness.FIT if traits.nuclear >= limits.least_nuclear else AreaFitness.FEW_CELLS
