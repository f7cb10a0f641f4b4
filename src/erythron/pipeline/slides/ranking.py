"""Which areas of a slide are counted first: of those with tissue, which the eye would choose to count in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from erythron.pipeline.slides.traits import Overview
from erythron.quality.spread import AreaFitness
from erythron.read.box import Box
from erythron.segment.blocks import BlockGrid

MOST_LOOKED_AT = 400
"""Areas that are looked at, sampled with the seed: twice what is counted at most, 0.1 s each."""

_LEAST_TISSUE = 0.2
"""Share of tissue in the overview under which an area is looked at after all others."""


def rank_places(
    overview: Overview, grid: BlockGrid, side_px: int, seed: int, look: Callable[[Box], AreaFitness]
) -> Iterator[Box]:
    """Yield squares of a slide to count in, looking at each only when the caller wants one more.

    First come fit ones, in a seeded order, so that they are a sample of what is fit; then those of few
    nucleated cells. What cannot be read is left out, unless there is nothing else.

    Args:
        overview: of the slide.
        grid: of its blocks.
        side_px: of a square.
        seed: of the order.
        look: judges a square by its pixels.
    """
    boxes = [
        Box(left, top, left + side_px, top + side_px).intersect(grid.slide)
        for top in range(0, grid.height_px, side_px)
        for left in range(0, grid.width_px, side_px)
    ]
    shares = np.array([overview.covers(box) for box in boxes])
    order = np.random.default_rng(seed).permutation(len(boxes))
    # Squares of a rim of tissue come last, in the order of how much they have.
    rank = np.minimum(shares[order], _LEAST_TISSUE)
    candidates = [boxes[i] for i in order[np.argsort(-rank, kind="stable")] if shares[i] > 0]
    later: dict[AreaFitness, list[Box]] = {fitness: [] for fitness in AreaFitness}
    is_any = False
    for box in candidates[:MOST_LOOKED_AT]:
        fitness = look(box)
        if fitness is AreaFitness.FIT:
            is_any = True
            yield box
        else:
            later[fitness].append(box)
    few = later[AreaFitness.FEW_CELLS]
    yield from few
    if not is_any and not few:
        yield from later[AreaFitness.UNREADABLE]
