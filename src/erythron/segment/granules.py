"""Granules of eosinophils that the segmentation network took for nucleus, found by their tone and taken off.

A tone is a level of the nuclear stain that many pixels of the cell share. Chromatin has the strongest.
Granules are weaker, and lie outside the nucleus too. Where pale cytoplasm lies between them the cell has
three tones, and the middle one, the granules, is redder than chromatin.

``benchmarks/constants.py`` measures what each constant is worth; ``docs/results/constants.md`` has its
tables. Most decide on few cells, so their mean figures hardly depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.segment.masks import fill_holes, grow, open_mask

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

GRAIN_UM = 0.2
"""Standard deviation of the blur that joins chromatin, or granules, into one tone.

``benchmarks/constants.py`` measures it.
"""

RIM_UM = 1.0
"""Width of the cell's rim that is left out, because it is dark in any cell.

``benchmarks/constants.py`` measures it.
"""

FEWEST_PX = 20
"""Pixels under which a tone is too small for its mean to say anything."""

PALE_SHARE = 0.05
"""Share of the nucleus stained more like cytoplasm from which two tones are looked for.

``benchmarks/constants.py`` measures it.
"""

LEAST_SEPARATION = 3.0
"""Distance of two tones, in standard deviations, under which they are one.

``benchmarks/constants.py`` measures it.
"""

LEAST_SEPARATION_OF_THREE = 3.5
"""The same for the stronger two of three tones; ``benchmarks/constants.py`` measures it.

The chromatin of a proerythroblast has two tones that stay under it.
"""

LEAST_REDDER = 1.0
"""How much redder granules are than chromatin at least, in standard deviations.

``benchmarks/constants.py`` measures it.
"""

LEAST_INSIDE = 0.1
"""Share of the nucleus that must be weaker than the strongest tone.

``benchmarks/constants.py`` measures it.
"""

LEAST_OUTSIDE = 0.3
"""Share of the cytoplasm that must have the tone of granules; ``benchmarks/constants.py`` measures it."""

LEAST_SHED = 0.13
"""Share of the nucleus that must go; less is left to the search for the outline.

``benchmarks/constants.py`` measures it.
"""

LEAST_KEPT = 0.6
"""Dice of nucleus and strongest tone under which that tone is not the nucleus.

``benchmarks/constants.py`` measures it.
"""

ROUNDS = 10
"""Rounds of the search for the tones; it settles sooner, as ``benchmarks/constants.py`` shows."""

DARKEST = 8
"""Levels added to light before its logarithm, which would else be mostly noise in the dark."""


@dataclass(frozen=True)
class Regions:
    """A cell as the network drew it.

    Attributes:
        nucleus: (H, W) bool.
        cell: (H, W) bool, nucleus included.
        core: (H, W) bool, the nucleus away from its outline.
        cytoplasm: (H, W) bool, the rest of the cell away from it.
        level: of the nuclear stain at the outline.
    """

    nucleus: Bools
    cell: Bools
    core: Bools
    cytoplasm: Bools
    level: float


def shed_granules(regions: Regions, stain: Floats, light: NDArray[np.uint8], mpp: float) -> Bools:
    """Return the nucleus without what clearly is granules; ``regions.nucleus`` itself where nothing is.

    Args:
        regions: of the cell.
        stain: (H, W) float32, the nuclear channel.
        light: (H, W, 3) uint8, balanced light.
        mpp: microns per pixel.
    """
    smooth = ndimage.gaussian_filter(stain, GRAIN_UM / mpp)
    inside = ~grow(~regions.cell, RIM_UM / mpp)
    level = _part_three(regions, smooth, inside, light, mpp)
    if level is not None:
        found = _keep_above(level, regions, smooth, mpp)
        if found is not None:
            return found
    if np.mean(stain[regions.core] < regions.level) <= PALE_SHARE:
        return regions.nucleus
    level = _part_two(regions, smooth, inside)
    found = None if level is None else _keep_above(level, regions, smooth, mpp)
    return regions.nucleus if found is None else found


@dataclass(frozen=True)
class Tone:
    """The stain of some pixels.

    Attributes:
        mean: of the pixels.
        variance: of the pixels.
    """

    mean: np.float32
    variance: np.float32


def measure_tone(values: Floats) -> Tone:
    """Return mean and variance of values, (N,) float32, N at least 1."""
    mean = values.mean()
    away = values - mean
    return Tone(mean, (away * away).mean())


def separate(strong: Tone, weak: Tone) -> float:
    """Return how far the mean of one lies above the other's, in their common standard deviation."""
    spread = np.sqrt((strong.variance + weak.variance) / 2)
    return float((strong.mean - weak.mean) / max(spread, 1e-6))


def dice(first: Bools, second: Bools) -> float:
    """Return the overlap of two masks (Dice 1945, doi 10.2307/1932409)."""
    both, one, other = (int(np.count_nonzero(mask)) for mask in (first & second, first, second))
    return 2 * both / max(one + other, 1)


def _part_two(regions: Regions, smooth: Floats, inside: Bools) -> float | None:
    """Return the level between the two tones of the cell's inside, None where there are not two.

    The tones are the two means of the stain (Lloyd 1982, doi 10.1109/TIT.1982.1056489, from the network's
    nucleus and cytoplasm).
    """
    values, chosen = smooth[inside], regions.nucleus[inside]
    level = np.nan
    for _ in range(ROUNDS):
        if min(np.count_nonzero(chosen), np.count_nonzero(~chosen)) < FEWEST_PX:
            return None
        strong, weak = values[chosen], values[~chosen]
        before, level = level, float(strong.mean() + weak.mean()) / 2
        if level == before:
            break
        chosen = values > level
    return level if separate(measure_tone(strong), measure_tone(weak)) >= LEAST_SEPARATION else None


def _part_three(
    regions: Regions, smooth: Floats, inside: Bools, light: NDArray[np.uint8], mpp: float
) -> float | None:
    """Return the level between the stronger two of three tones, None where the middle one is no granules."""
    core, cytoplasm = regions.core & inside, regions.cytoplasm & inside
    if min(np.count_nonzero(core), np.count_nonzero(cytoplasm)) < 3 * FEWEST_PX:
        return None
    values = np.concatenate([smooth[core], smooth[cytoplasm]])
    tones = np.percentile(values, [10, 50, 90])
    levels = np.full(2, np.nan)
    for _ in range(ROUNDS):
        before, levels = levels, (tones[:-1] + tones[1:]) / 2
        if (levels == before).all():
            break
        low, high = levels
        tone = (values > low).astype(np.int64) + (values > high)
        counts = np.bincount(tone, minlength=3)
        if counts.min() < FEWEST_PX:
            return None
        tones = np.bincount(tone, values) / counts
    is_inside = np.arange(len(values)) < np.count_nonzero(core)
    pale, middle = np.mean(tone[is_inside] < 2), np.mean(tone[~is_inside] == 1)
    if pale < LEAST_INSIDE or middle < LEAST_OUTSIDE:
        return None
    is_strong, is_middle = tone == 2, tone == 1
    strong, weak = measure_tone(values[is_strong]), measure_tone(values[is_middle])
    if separate(strong, weak) < LEAST_SEPARATION_OF_THREE:
        return None
    red, blue = (np.log(light[..., i].astype(np.float32) + DARKEST) for i in (0, 2))
    redness = ndimage.gaussian_filter(red - blue, GRAIN_UM / mpp)
    reds = np.concatenate([redness[core], redness[cytoplasm]])
    redder = separate(measure_tone(reds[is_middle]), measure_tone(reds[is_strong]))
    return float(high) if redder >= LEAST_REDDER else None


def _keep_above(level: float, regions: Regions, smooth: Floats, mpp: float) -> Bools | None:
    """Return the nucleus above a level, None where too little of it goes, or it is something else."""
    opened = open_mask(regions.cell & (smooth > level), max(1, round(GRAIN_UM / mpp)))
    stained = fill_holes(opened)
    kept: Bools = stained & regions.nucleus
    shed = 1 - np.count_nonzero(kept) / np.count_nonzero(regions.nucleus)
    return kept if shed > LEAST_SHED and dice(stained, regions.nucleus) >= LEAST_KEPT else None
