"""The grid of blocks that a slide is segmented by, so that every cell of it is found once.

A slide is too large to be segmented at once, and it is counted by tiles of any size and by any number of
workers. What is segmented is always the same: a *block*, a square on a grid that the slide alone fixes, with
a margin around it. A block gives the cells whose nuclei are centred in it (the idea is that of stardist's
``big.py``), so blocks side by side give each cell once, and the result depends on no tile.

That two blocks agree on where a cell near their seam is centred takes one thing more: both must see it
through the same pixels. The networks look at the image made smaller, at ``window_mpp`` and ``stain_mpp`` of
the model, so blocks begin at whole pixels of these smaller images. :func:`make_grid` chooses a *step*, a
number of the slide's pixels that is a whole number of pixels at both scales, and blocks and margins are
multiples of it. Where no small step fits exactly, the scale that is worked at is moved by up to
:data:`MOST_MOVED`, which changes no measurement: those are made at the scale of the slide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm

from erythron.bundle.schema import SegmenterCard
from erythron.read.box import Box
from erythron.segment.segmenter import adapt_to_field

BLOCK_UM = 128.0
"""Side of a block, about: half of the width of a field of view at a magnification of a thousand.

The smaller, the more of the work is done twice, in margins; the larger, the coarser tiles must be. At 0.25 um
a pixel a block is about 512 pixels wide.
"""

MARGIN_UM = 20.0
"""Least margin around a block: the reach of the search for cells, and half of a window beyond it.

A cell at the edge of the core is cut out for the classifier with 12 um to every side.
"""

MOST_MOVED = 0.005
"""How far the scale that is worked at may be moved, as a share of it: a tenth of what red cells can tell."""

_LARGEST_STEP = 128
"""Pixels; by then a multiple lies within ``MOST_MOVED`` at any scale from 0.05 um a pixel on."""


@dataclass(frozen=True, order=True)
class Block:
    """A block by its place in the grid, row and column from 0; blocks are ordered row by row."""

    row: int
    column: int


@dataclass(frozen=True)
class BlockGrid:
    """The blocks of a slide.

    Attributes:
        width_px: width of the slide.
        height_px: height of the slide.
        working_mpp: microns per pixel that the networks are told.
        block_px: side of a block.
        margin_px: what is read around it to every side.
    """

    width_px: int
    height_px: int
    working_mpp: float
    block_px: int
    margin_px: int

    @property
    def rows(self) -> int:
        """Number of rows of blocks."""
        return ceil(self.height_px / self.block_px)

    @property
    def columns(self) -> int:
        """Number of columns of blocks."""
        return ceil(self.width_px / self.block_px)

    @property
    def slide(self) -> Box:
        """The whole slide."""
        return Box(0, 0, self.width_px, self.height_px)

    def box_of(self, block: Block) -> Box:
        """Return the square of a block, which may reach over the right and lower border of the slide."""
        left, top = block.column * self.block_px, block.row * self.block_px
        return Box(left, top, left + self.block_px, top + self.block_px)

    def cover(self, box: Box) -> Iterator[Block]:
        """Yield the blocks that have pixels in common with a box, row by row."""
        inside = box.intersect(self.slide)
        if not inside.area_px:
            return
        for row in range(inside.top // self.block_px, ceil(inside.bottom / self.block_px)):
            for column in range(inside.left // self.block_px, ceil(inside.right / self.block_px)):
                yield Block(row, column)


def make_grid(width_px: int, height_px: int, mpp: float, card: SegmenterCard) -> BlockGrid:
    """Return the grid of a slide; the same size, scale and model always have the same one.

    Args:
        width_px: width of the slide.
        height_px: height of the slide.
        mpp: microns per pixel of the slide, assumed where unknown.
        card: how the segmentation network is used.
    """
    step_px, working_mpp = choose_step(mpp, card)
    block_px = step_px * max(1, round(BLOCK_UM / (step_px * mpp)))
    margin_px = step_px * ceil(MARGIN_UM / (step_px * mpp))
    return BlockGrid(width_px, height_px, working_mpp, block_px, margin_px)


def choose_step(mpp: float, card: SegmenterCard) -> tuple[int, float]:
    """Return the least step in pixels of the slide, and the microns per pixel at which it fits.

    Args:
        mpp: microns per pixel of the slide.
        card: how the segmentation network is used.

    >>> from erythron.bundle.folder import load_bundle
    >>> choose_step(0.25, load_bundle().card.segmenter)
    (6, 0.25)
    """
    common_um = _find_common(card)
    best = (float("inf"), 1, mpp)
    for step_px in range(1, _LARGEST_STEP + 1):
        times = max(1, round(step_px * mpp / common_um))
        moved_mpp = times * common_um / step_px
        moved = abs(moved_mpp / mpp - 1)
        if moved <= MOST_MOVED:
            return step_px, moved_mpp
        best = min(best, (moved, step_px, moved_mpp))
    return best[1:]


def _find_common(card: SegmenterCard) -> float:
    """Return the least length in microns that is a whole number of pixels at both scales of the networks."""
    field = adapt_to_field(card)
    window, stain = (Fraction(mpp).limit_denominator(10_000) for mpp in (field.window_mpp, field.stain_mpp))
    denominator = lcm(window.denominator, stain.denominator)
    return float(Fraction(lcm(int(window * denominator), int(stain * denominator)), denominator))
