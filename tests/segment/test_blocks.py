"""Blocks side by side give every cell of an image once, whatever the scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from erythron.bundle.folder import load_bundle
from erythron.cells.outline import CellOutline
from erythron.pipeline.slides.block import read_padded
from erythron.read.box import Box
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.blocks import BLOCK_UM, MOST_MOVED, Block, BlockGrid, choose_step, make_grid
from erythron.segment.segmenter import Segmenter, adapt_to_field, load_segmenter
from erythron.synthetic.field import DrawnField, DrawnFieldSpec, draw_field

CARD = load_bundle().card.segmenter


@pytest.mark.parametrize("mpp", [0.05, 0.1, 0.1217, 0.22, 0.25, 0.2528, 0.3, 0.45])
def test_a_step_is_whole_pixels_of_the_slide_and_of_both_images_that_the_networks_see(mpp: float) -> None:
    step_px, working_mpp = choose_step(mpp, CARD)
    field = adapt_to_field(CARD)
    for scale in (field.window_mpp, field.stain_mpp):
        pixels = step_px * working_mpp / scale
        assert pixels == pytest.approx(round(pixels), abs=1e-9)
    assert abs(working_mpp / mpp - 1) <= MOST_MOVED
    grid = make_grid(5000, 4000, mpp, CARD)
    assert grid.block_px % step_px == grid.margin_px % step_px == 0
    assert grid.block_px * mpp == pytest.approx(BLOCK_UM, rel=0.25)


def test_blocks_cover_a_slide_without_gap_or_overlap() -> None:
    grid = BlockGrid(1000, 700, 0.25, 300, 60)
    blocks = list(grid.cover(grid.slide))
    assert len(blocks) == len(set(blocks)) == 4 * 3
    assert sum(grid.box_of(block).intersect(grid.slide).area_px for block in blocks) == 1000 * 700
    assert list(grid.cover(Box(299, 0, 301, 1))) == [Block(0, 0), Block(0, 1)]
    assert list(grid.cover(Box(2000, 0, 2100, 10))) == []


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter(load_bundle())


def segment_by_blocks(segmenter: Segmenter, image: SmearImage, grid: BlockGrid) -> list[CellOutline]:
    light = SmearImage("light", image.light, image.mpp, image.mpp_source)
    margin, side = grid.margin_px, grid.block_px
    found = []
    for block in grid.cover(grid.slide):
        box = grid.box_of(block).grow(margin)
        cells = segmenter.segment_core(
            read_padded(light, box), grid.working_mpp, (margin, margin, margin + side, margin + side)
        )
        found += [replace(o, left=o.left + box.left, top=o.top + box.top) for o in cells]
    return found


@pytest.mark.parametrize(("mpp", "side"), [(0.25, 640), (0.2528, 560)])
def test_cells_on_seams_are_found_once(segmenter: Segmenter, mpp: float, side: int) -> None:
    drawn: DrawnField = draw_field(DrawnFieldSpec(side, side, mpp=mpp, seed=5, cells_per_mm2=3000))
    image = SmearImage("field", drawn.rgb, mpp, ScaleSource.OPTION)
    whole = segmenter.segment_field(image.light, mpp)
    # Small blocks, so that most cells lie on a seam.
    step_px, working_mpp = choose_step(mpp, CARD)
    block_px, margin_px = (step_px * max(1, round(um / (step_px * mpp))) for um in (40, 28))
    grid = BlockGrid(side, side, working_mpp, block_px, margin_px)
    parts = segment_by_blocks(segmenter, image, grid)
    centres = np.array([o.nucleus_mask.centre for o in parts])
    apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) * mpp
    assert (apart[~np.eye(len(parts), dtype=bool)] > 2).all()
    wanted = np.array([o.nucleus_mask.centre for o in whole])
    nearest = np.hypot(*(wanted[:, None] - centres[None]).transpose(2, 0, 1)).min(axis=1) * mpp
    assert len(parts) == len(whole)
    assert (nearest < 1).all()
