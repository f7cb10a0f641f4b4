"""Tiles are whole blocks, and their size changes no order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from erythron.pipeline.slides.tiles import MOST_BLOCKS, bound, count_side, divide, find_area, find_place
from erythron.read.box import Box
from erythron.segment.blocks import Block, BlockGrid

GRID = BlockGrid(5000, 3000, 0.25, 510, 84)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_blocks_follow_one_another_in_one_order_whatever_the_tiles(missing: float) -> None:
    keep = np.random.default_rng(0).random(GRID.rows * GRID.columns) >= missing
    blocks = [block for block, on in zip(GRID.cover(GRID.slide), keep, strict=True) if on]
    orders = []
    for side in (1, 2, 4, 8):
        tiles = divide(reversed(blocks), side)
        assert [tile.number for tile in tiles] == list(range(len(tiles)))
        assert all(
            len({(b.row // side, b.column // side) for b in tile.blocks}) == 1 and len(tile.blocks) <= side**2
            for tile in tiles
        )
        orders.append([block for tile in tiles for block in tile.blocks])
    assert all(order == orders[0] for order in orders)
    assert sorted(orders[0]) == sorted(blocks)


def test_the_blocks_of_an_area_follow_one_another() -> None:
    areas = [find_area(block, GRID) for block in sorted(GRID.cover(GRID.slide), key=find_place)]
    changes = sum(a != b for a, b in pairwise(areas))
    assert changes + 1 == len(set(areas))
    assert sum(area.area_px for area in set(areas)) == 5000 * 3000


@pytest.mark.parametrize(("tile_px", "side"), [(256, 1), (512, 1), (1024, 2), (2048, 4), (4096, 8)])
def test_a_tile_has_the_size_that_is_asked_for_in_whole_blocks(tile_px: int, side: int) -> None:
    assert count_side(tile_px, GRID) == side


def test_no_tile_is_larger_than_memory_bears() -> None:
    assert count_side(10**9, GRID) == MOST_BLOCKS


def test_what_is_read_of_a_tile_has_the_margin_of_its_blocks() -> None:
    assert bound((Block(1, 1), Block(1, 2)), GRID) == Box(510 - 84, 510 - 84, 3 * 510 + 84, 2 * 510 + 84)
