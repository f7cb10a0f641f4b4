"""One tile of a slide: read once, counted block by block, and handed on as text."""

from __future__ import annotations

import polars as pl

from erythron.bundle.folder import Bundle
from erythron.differential.tally import count_cells
from erythron.files.tables import format_csv
from erythron.interchange.geojson import format_features, trace_cells
from erythron.pipeline.field import Networks
from erythron.pipeline.slides.block import CountedBlock, SlideSetting, count_block, read_padded
from erythron.pipeline.slides.regions import RegionSet
from erythron.pipeline.slides.tiles import Tile, bound
from erythron.quality.specimen import NucleatedTally, tally_nucleated
from erythron.read.source import Source
from erythron.results.ledger import BlockRows, TilePart


def count_tile(
    source: Source,
    tile: Tile,
    setting: SlideSetting,
    model: tuple[Bundle, Networks],
    region: RegionSet | None = None,
) -> TilePart:
    """Count the cells of a tile.

    Args:
        source: the slide.
        tile: which.
        setting: of the slide.
        model: the model and its loaded networks.
        region: polygons outside which no cell is kept; None for none.

    Raises:
        ImageReadError: the pixels cannot be read.
    """
    bundle, networks = model
    grid = setting.grid
    read = bound(tile.blocks, grid)
    rgb = read_padded(source, read)
    counted: list[CountedBlock] = []
    nucleated = NucleatedTally()
    for block in tile.blocks:
        box = grid.box_of(block).grow(grid.margin_px)
        part = rgb[box.top - read.top : box.bottom - read.top, box.left - read.left : box.right - read.left]
        found = count_block(part, block, setting, networks, bundle)
        nucleated += tally_nucleated(found.cells)  # those outside the region too, as red cells are
        counted.append(found if region is None else _keep_inside(found, region))
    cells = pl.concat([one.cells for one in counted])
    inside = [grid.box_of(block).intersect(grid.slide) for block in tile.blocks]
    areas = [box.area_px if region is None else region.measure(box) for box in inside]
    counts = count_cells(cells, bundle.classes)
    return TilePart(
        csv=format_csv(cells).partition("\n")[2],
        features=tuple(
            feature for one in counted for feature in format_features(trace_cells(one.outlines), one.cells)
        ),
        blocks=tuple(
            BlockRows(block.row, block.column, one.cells.height)
            for block, one in zip(tile.blocks, counted, strict=True)
        ),
        counted_cells=counts.nucleated,
        counted_px=round(sum(areas)),
        blurred_px=_measure_left_out(counted, areas, "out_of_focus"),
        thick_px=_measure_left_out(counted, areas, "too_thick"),
        stained_px=sum(one.stained_px for one in counted),
        nucleated=nucleated,
    )


def _keep_inside(block: CountedBlock, region: RegionSet) -> CountedBlock:
    """Return a block without the cells that lie outside a region."""
    if not block.outlines:
        return block
    inside = region.holds(block.cells.select("x_px", "y_px").to_numpy())
    outlines = tuple(o for o, keep in zip(block.outlines, inside, strict=True) if keep)
    return CountedBlock(outlines, block.cells.filter(pl.Series(inside)), block.left_out, block.stained_px)


def _measure_left_out(counted: list[CountedBlock], areas: list[float], cause: str) -> float:
    return sum(
        found.area_fraction * px
        for one, px in zip(counted, areas, strict=True)
        for found in one.left_out
        if found.cause == cause
    )
