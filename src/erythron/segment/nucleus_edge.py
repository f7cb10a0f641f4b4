"""The outline of the nucleus, moved to the edge that the stain shows near the network's outline.

The segmentation network works on a coarse grid and learned from annotations that differ by a pixel or two,
while the stain shows the edge itself. The network alone says which nucleus it is and what belongs to it, with
one exception: a large part that is clearly stained as the cytoplasm is, the granules of an eosinophil, is
taken off.

``benchmarks/constants.py`` measures what each constant is worth; ``docs/results/constants.md`` has its
tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.segment.granules import Regions, dice, measure_tone, separate, shed_granules
from erythron.segment.masks import fill_holes, grow, open_mask
from erythron.segment.stain import stain_of

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

BAND_UM = 0.3
"""How far the outline may move to either side, at least one pixel.

``benchmarks/constants.py`` measures it.
"""

CLEAR_BAND_UM = 0.7
"""How far it may move outwards where the stain separates nucleus and cytoplasm clearly.

``benchmarks/constants.py`` measures it.
"""

CLEAR_SEPARATION = 4.0
"""Distance of their mean stains, in standard deviations, from which they are clearly separate.

``benchmarks/constants.py`` measures it.
"""

LEAST_AGREEMENT = 0.8
"""Dice of the network's nucleus and the stained one under which the stain is not followed.

``benchmarks/constants.py`` measures it.
"""

EDGE_SHARE = 0.45
"""Where the outline lies between the mean stain of the cytoplasm, 0, and that of the nucleus, 1.

A little under one half, because annotators draw a blurred edge on its outer side; ``benchmarks/constants.py``
measures it.
"""

FEWEST_PX = 20
"""Pixels of nucleus, and of cytoplasm, away from the outline under which a mean stain is too uncertain."""


def follow_stain(nucleus: Bools, cell: Bools, light: NDArray[np.uint8], mpp: float) -> Bools:
    """Return the nucleus with its outline moved to where the stain goes over from cytoplasm to nucleus.

    Args:
        nucleus: (H, W) bool, of one cell.
        cell: (H, W) bool, that cell, nucleus included.
        light: (H, W, 3) uint8, balanced light.
        mpp: microns per pixel.

    Returns:
        (H, W) bool, within the cell, less what is clearly stained as the cytoplasm is; ``nucleus`` itself
        where cytoplasm is too narrow to compare with or the stain shows something else.
    """
    rows, columns = (np.flatnonzero(cell.any(axis)) for axis in (1, 0))
    if not rows.size:
        return nucleus
    box = np.s_[max(0, rows[0] - 1) : rows[-1] + 2, max(0, columns[0] - 1) : columns[-1] + 2]
    moved = nucleus.copy()
    moved[box] = _follow(nucleus[box], cell[box], light[box], mpp)
    return moved


@dataclass(frozen=True)
class _Edge:
    """Where a nucleus ends.

    Attributes:
        regions: the cell away from that outline.
        near: (H, W) bool, inside or outside as the stain says.
        is_clear: whether the stain separates nucleus and cytoplasm clearly.
    """

    regions: Regions
    near: Bools
    is_clear: bool


def _follow(nucleus: Bools, cell: Bools, light: NDArray[np.uint8], mpp: float) -> Bools:
    stain = stain_of(light)
    edge = _find_edge(nucleus, cell, stain, mpp)
    if edge is None:
        return nucleus
    chromatin = nucleus if edge.is_clear else shed_granules(edge.regions, stain, light, mpp)
    if chromatin is not nucleus:
        nucleus, edge = chromatin, _find_edge(chromatin, cell, stain, mpp)
        if edge is None:
            return nucleus
    stained = fill_holes(open_mask(cell & (stain > edge.regions.level)))
    return np.where(edge.near, stained, nucleus) if dice(stained, nucleus) >= LEAST_AGREEMENT else nucleus


def _find_edge(nucleus: Bools, cell: Bools, stain: Floats, mpp: float) -> _Edge | None:
    """Return the edge of a nucleus, None where it or the cytoplasm is too small to say how it is stained."""
    band_px = max(BAND_UM / mpp, 1.0)
    rim, around = grow(~nucleus, band_px), grow(nucleus, band_px)
    core, cytoplasm = ~rim, cell & ~around
    if min(np.count_nonzero(core), np.count_nonzero(cytoplasm)) < FEWEST_PX:
        return None
    strong, weak = measure_tone(stain[core]), measure_tone(stain[cytoplasm])
    level = EDGE_SHARE * strong.mean + (1 - EDGE_SHARE) * weak.mean
    is_clear = separate(strong, weak) >= CLEAR_SEPARATION
    if is_clear:
        around = grow(nucleus, max(CLEAR_BAND_UM / mpp, band_px))
    return _Edge(Regions(nucleus, cell, core, cytoplasm, float(level)), rim & around, is_clear)
