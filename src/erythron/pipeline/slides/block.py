"""One block of a slide through the steps of a field: outlined, measured, named, judged.

In: the pixels of a block with its margin. Out: the cells that are centred in it, in pixels of the slide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.folder import Bundle
from erythron.cells.flags import CellFlag, add_flag, drop_flag
from erythron.cells.outline import CellOutline, outline_cell
from erythron.cells.table import count_as, make_empty_table
from erythron.pipeline.field import Networks, name_cells
from erythron.pipeline.slides.traits import SlideTraits
from erythron.quality.areas import find_cells_inside, find_unreadable_areas
from erythron.quality.flags import LeftOutArea
from erythron.quality.specimen import is_like_red_cells
from erythron.read.box import Box
from erythron.read.image import SmearImage
from erythron.read.light import BACKGROUND_LEVEL
from erythron.read.source import Source
from erythron.segment.blocks import Block, BlockGrid
from erythron.segment.red_discs import drop_red_cells

Pixels = NDArray[np.uint8]

_BEYOND = 255
"""What a block shows beyond the border of the slide: empty glass."""


@dataclass(frozen=True)
class SlideSetting:
    """What the count of every block of a slide depends on, as plain data.

    Attributes:
        name: of the slide, as tables state it.
        grid: its blocks.
        traits: what was measured once.
    """

    name: str
    grid: BlockGrid
    traits: SlideTraits


@dataclass(frozen=True, eq=False)
class CountedBlock:
    """The cells of a block.

    Attributes:
        outlines: in pixels of the slide.
        cells: their table, in the same order.
        left_out: unreadable areas, each a share of the block with its margin.
        stained_px: pixels of the block on the slide that are as stained as red cells.
    """

    outlines: tuple[CellOutline, ...]
    cells: pl.DataFrame
    left_out: tuple[LeftOutArea, ...]
    stained_px: int


def read_padded(source: Source, box: Box) -> Pixels:
    """Return the pixels of a box that may reach over the border of a slide, where it is white."""
    inside = box.intersect(Box(0, 0, source.width_px, source.height_px))
    out = np.full((box.bottom - box.top, box.right - box.left, 3), _BEYOND, np.uint8)
    if inside.area_px:
        part = source.read_region(
            inside.left, inside.top, inside.right - inside.left, inside.bottom - inside.top
        )
        top, left = inside.top - box.top, inside.left - box.left
        out[top : top + part.shape[0], left : left + part.shape[1]] = part
    return out


def count_block(
    rgb: Pixels, block: Block, setting: SlideSetting, networks: Networks, bundle: Bundle
) -> CountedBlock:
    """Outline, measure and name the cells of a block.

    Args:
        rgb: (H, W, 3) uint8, the block with its margin; white beyond the border of the slide.
        block: which.
        setting: of the slide.
        networks: that outline and name.
        bundle: the model.
    """
    grid, traits = setting.grid, setting.traits
    box = grid.box_of(block)
    glass = np.array(traits.glass, np.float32)
    image = SmearImage(setting.name, rgb, traits.mpp, traits.mpp_source, glass=glass)
    margin, side = grid.margin_px, grid.block_px
    core = (margin, margin, margin + side, margin + side)
    found = networks.segmenter.segment_core(image.light, grid.working_mpp, core)
    if traits.red_absorbance is not None:
        found = drop_red_cells(found, image.light, traits.red_absorbance)
    around = box.grow(margin)
    found = _keep_on_slide(found, grid, around)
    stained_px = _count_stained(image.light[margin : margin + side, margin : margin + side], setting)
    if not found:
        return CountedBlock((), make_empty_table(bundle.classes), (), stained_px)
    cells = name_cells(image, found, networks.classifier, is_field=True)
    areas = find_unreadable_areas(image.rgb, image.background, image.mpp)
    inside = find_cells_inside(cells, areas)
    placed = tuple(
        CellOutline(o.left + around.left, o.top + around.top, o.cell, o.nucleus, o.score) for o in found
    )
    cells = add_flag(place_cells(cells, placed, grid.slide, around), CellFlag.LEFT_OUT, inside.tolist())
    return CountedBlock(placed, cells.with_columns(count_as()), areas, stained_px)


def _keep_on_slide(
    outlines: tuple[CellOutline, ...], grid: BlockGrid, around: Box
) -> tuple[CellOutline, ...]:
    """Return outlines of a block without what of them lies beyond the border of the slide."""
    slide = grid.slide
    left, top = slide.left - around.left, slide.top - around.top
    right, bottom = slide.right - around.left, slide.bottom - around.top
    kept = []
    for o in outlines:
        height, width = o.cell.shape
        rows = slice(max(0, top - o.top), max(0, min(height, bottom - o.top)))
        columns = slice(max(0, left - o.left), max(0, min(width, right - o.left)))
        if (rows, columns) == (slice(0, height), slice(0, width)):
            kept.append(o)
            continue
        part = (rows, columns)
        cut = outline_cell(o.nucleus[part], o.cell[part], o.left + columns.start, o.top + rows.start, o.score)
        if cut is not None:
            kept.append(cut)
    return tuple(kept)


def _count_stained(light: Pixels, setting: SlideSetting) -> int:
    """Return the pixels of a block that are as stained as red cells; beyond the slide it is like glass."""
    level = setting.traits.red_level
    if level is None:
        return 0
    return int(np.count_nonzero(is_like_red_cells(light, level, BACKGROUND_LEVEL)))


def place_cells(
    cells: pl.DataFrame, outlines: tuple[CellOutline, ...], slide: Box, around: Box
) -> pl.DataFrame:
    """Return a table of cells that were named in a part of a slide, as the slide has them.

    Args:
        cells: with places in the part.
        outlines: the same, in pixels of the slide.
        slide: all of it.
        around: the part.
    """
    is_cut = [
        min(o.left, o.top) <= 0
        or o.left + o.cell.shape[1] >= slide.right
        or o.top + o.cell.shape[0] >= slide.bottom
        for o in outlines
    ]
    cells = cells.with_columns(
        pl.Series("cell_id", [o.cell_id for o in outlines], pl.String()),
        pl.col("x_px") + around.left,
        pl.col("y_px") + around.top,
        pl.Series("touches_edge", is_cut, pl.Boolean()),
    )
    # The border of a block is none of the slide.
    cells = add_flag(drop_flag(cells, CellFlag.TOUCHES_EDGE), CellFlag.TOUCHES_EDGE, is_cut)
    return cells.with_columns(count_as())
