"""What of a slide is counted, tile by tile: all of it, a region, or the best areas until there are enough.

A plan depends on the slide, the model and the options alone, so whoever makes it anew goes on where a killed
run stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from erythron.bundle.folder import Bundle
from erythron.errors import ImageReadError
from erythron.pipeline.options import SlideOptions
from erythron.pipeline.slides.block import SlideSetting
from erythron.pipeline.slides.ranking import rank_places
from erythron.pipeline.slides.regions import RegionSet, read_region_set
from erythron.pipeline.slides.tiles import Tile, count_side, divide
from erythron.pipeline.slides.traits import (
    Overview,
    SlideTraits,
    look_over,
    measure_traits,
    sample_slide,
)
from erythron.quality.spread import AreaFitness, judge_spread, measure_spread
from erythron.read.box import Box
from erythron.read.image import SmearImage
from erythron.read.source import Slide
from erythron.segment.blocks import Block, BlockGrid, make_grid
from erythron.segment.segmenter import Segmenter

AREA_BLOCKS = 2
"""Blocks a side of an area that is counted as one field: 256 um, a field at a magnification of 400."""


@dataclass(frozen=True, eq=False)
class SlidePlan:
    """What is counted of a slide, and with what.

    Attributes:
        slide: it.
        overview: it made small.
        sample: squares of its tissue.
        setting: of its blocks.
        region: polygons to count inside; None for none.
    """

    slide: Slide
    overview: Overview
    sample: SmearImage
    setting: SlideSetting
    region: RegionSet | None

    def sample_as(self, traits: SlideTraits) -> SmearImage:
        """Return the sample with the scale that was measured on it."""
        return replace(self.sample, mpp=traits.mpp, mpp_source=traits.mpp_source)

    def list_tiles(self, options: SlideOptions) -> tuple[Tile, ...]:
        """Return the tiles of the whole slide, or of the region, in the order of the result.

        Empty glass is passed over, as the overview shows it: block by block, so whatever the tiles are.

        Raises:
            ImageReadError: there is nothing to count.
        """
        grid = self.setting.grid
        within = grid.slide if self.region is None else self.region.box.intersect(grid.slide)
        wanted = [
            block for block in grid.cover(within) if self._has_cells(grid.box_of(block).intersect(grid.slide))
        ]
        if not wanted:
            where = "the slide" if self.region is None else "the region"
            raise ImageReadError(f"{self.setting.name}: {where} shows nothing but empty glass")
        return divide(wanted, count_side(options.tile_px, grid))

    def rank_areas(self, seed: int) -> Iterator[Tile]:
        """Yield the areas of the slide that are fit to count in, the best first; each is a tile.

        They lie on the grid of blocks, so that an area has the same cells as a count of the whole slide.
        """
        grid = self.setting.grid
        taken: set[Block] = set()
        number = 0
        side_px = AREA_BLOCKS * grid.block_px
        for area in rank_places(self.overview, grid, side_px, seed, self._look):
            blocks = [block for block in _snap(area, grid) if block not in taken]
            if blocks:
                taken.update(blocks)
                yield Tile(number, divide(blocks, 2 * AREA_BLOCKS)[0].blocks)
                number += 1

    def _look(self, box: Box) -> AreaFitness:
        rgb = self.slide.read_region(box.left, box.top, box.right - box.left, box.bottom - box.top)
        traits = self.setting.traits
        return judge_spread(measure_spread(rgb, np.array(traits.glass, np.float32), traits.mpp))

    def _has_cells(self, square: Box) -> bool:
        box = square.intersect(self.setting.grid.slide)
        # A nucleus on the seam may show in the pixel beside it alone.
        around = box.grow(int(self.overview.downsample) + 1).intersect(self.setting.grid.slide)
        inside = self.region is None or self.region.touches(box)
        return inside and self.overview.covers(around) > 0


def _snap(area: Box, grid: BlockGrid) -> Iterator[Block]:
    """Yield the blocks of the square on the grid that is nearest to an area."""
    top, left = (round(edge / grid.block_px) for edge in (area.top, area.left))
    for row in range(top, min(top + AREA_BLOCKS, grid.rows)):
        for column in range(left, min(left + AREA_BLOCKS, grid.columns)):
            yield Block(row, column)


def plan_slide(
    slide: Slide, options: SlideOptions, bundle: Bundle, get_segmenter: Callable[[], Segmenter]
) -> SlidePlan:
    """Look a slide over and measure what holds for every part of it.

    Args:
        slide: it.
        options: where on it is counted.
        bundle: the model.
        get_segmenter: gives the segmenter; asked only where the scale is not known otherwise.

    Raises:
        ImageReadError: the slide cannot be read, is empty, or its scale is unknown or too coarse.
        DataError: the file of the region cannot be used.
    """
    card = bundle.card
    region = None if options.region is None else read_region_set(options.region, slide)
    overview = look_over(slide)
    sample = sample_slide(slide, overview, options.seed)
    traits = measure_traits(sample, get_segmenter)
    grid = make_grid(slide.width_px, slide.height_px, traits.mpp, card.segmenter)
    return SlidePlan(slide, overview, sample, SlideSetting(slide.name, grid, traits), region)
