"""Which areas of a slide are counted first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from erythron.pipeline.slides.traits import Overview
from erythron.segment.blocks import BlockGrid, Box

_MIXED = (0.2, 0.9)
"""Share of tissue of the areas that come first: cells lie apart in them."""


def rank_places(overview: Overview, grid: BlockGrid, side_px: int, seed: int) -> Iterator[Box]:
    """Yield squares of a slide, those first in which tissue and glass are mixed, in a seeded order."""
    boxes = [
        Box(left, top, left + side_px, top + side_px).cut(grid.slide)
        for top in range(0, grid.height_px, side_px)
        for left in range(0, grid.width_px, side_px)
    ]
    shares = np.array([overview.covers(box) for box in boxes])
    mixed = (shares >= _MIXED[0]) & (shares <= _MIXED[1])
    order = np.random.default_rng(seed).permutation(len(boxes))
    rank = np.where(mixed, 2.0, shares)[order]
    for i in order[np.argsort(-rank, kind="stable")]:
        if shares[i] > 0:
            yield boxes[i]
