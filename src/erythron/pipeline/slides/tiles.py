"""The tiles of a slide: what is worked on at once, and kept when a run is interrupted.

A tile is a square of whole blocks, so its size changes no cell. Blocks are numbered along a Z-order curve
(Morton 1966), on which the blocks of every square of 1, 2, 4, ... blocks a side follow one another: whatever
the size of the tiles, tables that are put together tile by tile have their rows in one order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from erythron.read.box import Box
from erythron.segment.blocks import Block, BlockGrid

AREA_BLOCKS = 4
"""Blocks a side of the areas that a whole slide is divided into for its intervals: half a millimetre.

They stand for the fields that a person looks at, and neighbouring cells are alike.
"""

MOST_BLOCKS = 16
"""Blocks a side of the largest tile: 200 MB of pixels."""


@dataclass(frozen=True)
class Tile:
    """A part of a slide that is counted at once.

    Attributes:
        number: its place in the order of the tiles, from 0.
        blocks: that it is made of, in the order of the result.
    """

    number: int
    blocks: tuple[Block, ...]


def count_side(tile_px: int, grid: BlockGrid) -> int:
    """Return the blocks a side of a tile: the power of two that is nearest to a size in pixels.

    Args:
        tile_px: side of a tile.
        grid: of the slide.
    """
    side = 1
    while side < MOST_BLOCKS and tile_px / grid.block_px > 1.5 * side:
        side *= 2
    return side


def divide(blocks: Iterable[Block], side: int) -> tuple[Tile, ...]:
    """Return the tiles of some blocks of a slide, in the order of the result.

    Args:
        blocks: in any order.
        side: blocks a side of a tile, a power of two.
    """
    ordered = sorted(set(blocks), key=find_place)
    squares = groupby(ordered, key=lambda block: (block.row // side, block.column // side))
    return tuple(Tile(number, tuple(found)) for number, (_, found) in enumerate(squares))


def find_place(block: Block) -> int:
    """Return the place of a block on the Z-order curve.

    >>> [find_place(Block(row, column)) for row in (0, 1) for column in (0, 1)]
    [0, 1, 2, 3]
    """
    place = 0
    for bit in range(max(block.row, block.column).bit_length()):
        place |= (block.column >> bit & 1) << (2 * bit) | (block.row >> bit & 1) << (2 * bit + 1)
    return place


def find_area(block: Block, grid: BlockGrid) -> Box:
    """Return the area of a slide that a block is in, for the intervals, in pixels of the slide."""
    side = AREA_BLOCKS * grid.block_px
    left, top = block.column // AREA_BLOCKS * side, block.row // AREA_BLOCKS * side
    return Box(left, top, left + side, top + side).intersect(grid.slide)


def bound(blocks: Iterable[Block], grid: BlockGrid) -> Box:
    """Return the smallest box around one or more blocks, with the margin that is read around each."""
    boxes = [grid.box_of(block).grow(grid.margin_px) for block in blocks]
    return Box(
        min(b.left for b in boxes),
        min(b.top for b in boxes),
        max(b.right for b in boxes),
        max(b.bottom for b in boxes),
    )
