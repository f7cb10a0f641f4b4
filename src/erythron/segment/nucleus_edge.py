"""The nucleus' outline put where the stain changes, close to where the network drew it.

The network works on a coarse grid and was taught by hands that differ by a pixel or two; the stain shows the
edge itself. Which nucleus, and what of it is nucleus, stays the network's word, but for a large part that is
clearly stained as the cytoplasm is: the granules of an eosinophil.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.segment.stain import BACKGROUND_LEVEL, nuclear_channel

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

BAND_UM = 0.3
"""How far the outline may move to either side; at least one pixel."""

CLEAR_BAND_UM = 0.7
"""How far it may move outwards where the stain separates nucleus and cytoplasm clearly."""

CLEAR_SEPARATION = 4.0
"""Distance of the two in their standard deviations, from which they are clearly separate."""

LEAST_AGREEMENT = 0.8
"""Dice of the network's nucleus with the stain's, under which the stain is not followed."""

FEWEST_PX = 20
"""Of nucleus and of cytoplasm away from the outline, to say how each is stained."""

PALE_SHARE = 0.05
"""Share of the network's nucleus on the cytoplasm's side of the stain, from which granules are looked for."""

GRAIN_UM = 0.2
"""Standard deviation of the blur that joins chromatin, or granules, into one tone."""

RIM_UM = 1.0
"""Width of the cell's dark rim, which says nothing of its inside."""

LEAST_SEPARATION = 3.0
"""Distance of the two tones in their standard deviations, under which they are not two."""

LEAST_SHED = 0.13
"""Share of the network's nucleus under which what is stained otherwise is left to the outline's search."""

LEAST_KEPT = 0.6
"""Dice of the network's nucleus with the darker tone, under which that is something else than the nucleus."""

ROUNDS = 10
"""Of the search for the two tones, which settles in fewer."""


def follow_stain(nucleus: Bools, cell: Bools, light: NDArray[np.uint8], mpp: float) -> Bools:
    """Return the nucleus with its outline moved to where the stain is midway between nucleus and cytoplasm.

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
        core: (H, W) bool, surely inside.
        near: (H, W) bool, inside or outside as the stain says.
        level: of the stain, midway.
    """

    core: Bools
    near: Bools
    level: float


def _follow(nucleus: Bools, cell: Bools, light: NDArray[np.uint8], mpp: float) -> Bools:
    stain = nuclear_channel((light / BACKGROUND_LEVEL).astype(np.float32))
    edge = _find_edge(nucleus, cell, stain, mpp)
    if edge is None:
        return nucleus
    if np.count_nonzero(stain[edge.core] < edge.level) > PALE_SHARE * np.count_nonzero(edge.core):
        nucleus = _shed_granules(nucleus, cell, stain, mpp)
        edge = _find_edge(nucleus, cell, stain, mpp)
        if edge is None:
            return nucleus
    stained = ndimage.binary_fill_holes(ndimage.binary_opening(cell & (stain > edge.level)))
    if _dice(stained, nucleus) < LEAST_AGREEMENT:
        return nucleus
    return np.where(edge.near, stained, nucleus)


def _find_edge(nucleus: Bools, cell: Bools, stain: Floats, mpp: float) -> _Edge | None:
    """Return the edge of a nucleus, None where it or the cytoplasm is too small to say how it is stained."""
    band_px = max(BAND_UM / mpp, 1.0)
    inside = ndimage.distance_transform_edt(nucleus)
    outside = ndimage.distance_transform_edt(~nucleus)
    core, cytoplasm = inside > band_px, cell & (outside > band_px)
    if min(np.count_nonzero(core), np.count_nonzero(cytoplasm)) < FEWEST_PX:
        return None
    level = (stain[core].mean() + stain[cytoplasm].mean()) / 2
    is_clear = _separate(stain[core], stain[cytoplasm]) >= CLEAR_SEPARATION
    reach_px = max(CLEAR_BAND_UM / mpp, band_px) if is_clear else band_px
    return _Edge(core, (inside <= band_px) & (outside <= reach_px), float(level))


def _shed_granules(nucleus: Bools, cell: Bools, stain: Floats, mpp: float) -> Bools:
    """Return the part of the nucleus in the stronger of the cell's two tones, where there clearly are two.

    The tones are the two means of the stain over the cell's inside (Lloyd 1982, doi 10.1109/TIT.1982.1056489,
    from the network's nucleus and cytoplasm).
    """
    smooth = ndimage.gaussian_filter(stain, GRAIN_UM / mpp)
    zone = ndimage.distance_transform_edt(cell) > RIM_UM / mpp
    values, chosen = smooth[zone], nucleus[zone]
    level = 0.0
    for _ in range(ROUNDS):
        if min(np.count_nonzero(chosen), np.count_nonzero(~chosen)) < FEWEST_PX:
            return nucleus
        strong, weak = values[chosen], values[~chosen]
        level = float(strong.mean() + weak.mean()) / 2
        chosen = values > level
    if _separate(strong, weak) < LEAST_SEPARATION:
        return nucleus
    opened = ndimage.binary_opening(cell & (smooth > level), iterations=max(1, round(GRAIN_UM / mpp)))
    stained = ndimage.binary_fill_holes(opened)
    kept = stained & nucleus
    shed = 1 - float(kept.sum() / nucleus.sum())
    return kept if shed > LEAST_SHED and _dice(stained, nucleus) >= LEAST_KEPT else nucleus


def _separate(strong: Floats, weak: Floats) -> float:
    """Return how far the mean of one lies above the other's, in their common standard deviation."""
    spread = np.sqrt((np.var(strong) + np.var(weak)) / 2)
    return float((strong.mean() - weak.mean()) / max(spread, 1e-6))


def _dice(first: Bools, second: Bools) -> float:
    return float(2 * (first & second).sum() / max(first.sum() + second.sum(), 1))
