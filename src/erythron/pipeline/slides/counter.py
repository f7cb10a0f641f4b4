"""A slide counted from end to end, in one process or with its tiles done elsewhere.

A slide of which the best areas are counted is one piece of work: only the cells of one area say whether
another is needed. A slide that is counted whole, or in a region, is divided into tiles that any worker does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import polars as pl

from erythron.cells.table import list_cell_columns
from erythron.differential.assemble import make_differential_of_areas
from erythron.errors import SpecimenError
from erythron.files.hashing import hash_file
from erythron.interchange.geojson import COLLECTION_END, COLLECTION_START, iterate_rings
from erythron.pipeline.executor import PartsDone, Progress, no_progress
from erythron.pipeline.field import Model, Networks
from erythron.pipeline.options import RunOptions
from erythron.pipeline.slides.block import SlideSetting, read_padded
from erythron.pipeline.slides.digest import SlideDigest
from erythron.pipeline.slides.plan import SlidePlan, plan_slide
from erythron.pipeline.slides.regions import RegionSet
from erythron.pipeline.slides.reviewed import ReviewedSlide, review_slide
from erythron.pipeline.slides.tile import count_tile
from erythron.pipeline.slides.tiles import Tile, find_area
from erythron.quality.specimen import find_other_specimen
from erythron.read.box import Box
from erythron.read.inputs import InputImage
from erythron.read.source import Slide, open_source
from erythron.report.slide_page import draw_areas, make_slide_page
from erythron.results.fingerprint import Fingerprints, fingerprint, hash_image, hash_pixels
from erythron.results.ledger import Ledger, TilePart
from erythron.results.record import FieldRecord, SlideRecord
from erythron.results.slide import SlideResult, WrittenCells, write_slide
from erythron.review.record import Review
from erythron.segment.blocks import Block

MOST_AREAS = 200
"""Areas that are counted at most while cells are wanting: 13 square millimetres, which on marrow have ten
thousand cells. A slide of blood or of fat would else be counted whole."""


@dataclass(frozen=True)
class SlideWork:
    """A slide that is to be counted.

    Attributes:
        image: where it is.
        folder: where its results go.
        sha256: of its bytes.
        fingerprints: of its steps.
    """

    image: InputImage
    folder: Path
    sha256: str
    fingerprints: Fingerprints


@dataclass(frozen=True)
class TileJob:
    """One tile of a slide to count; the part goes into the ledger.

    Attributes:
        image: the slide.
        folder: where the results of the slide go.
        ledger: fingerprint of what the parts depend on.
        tile: which.
        setting: of the slide.
        region: polygons outside which no cell is kept; None for none.
    """

    image: InputImage
    folder: Path
    ledger: str
    tile: Tile
    setting: SlideSetting
    region: RegionSet | None

    @property
    def name(self) -> str:
        """The path of the slide as given."""
        return self.image.name


@dataclass(frozen=True)
class TileDone:
    """A tile that is counted, and in the ledger.

    Attributes:
        number: of the tile.
        counted_cells: nucleated cells on it that the differential counts.
    """

    number: int
    counted_cells: int


@dataclass(frozen=True, eq=False)
class DividedSlide:
    """A slide with its tiles, some of which an earlier run may have done.

    Attributes:
        work: the slide.
        plan: what of it is counted.
        tiles: all of them, in the order of the result.
        jobs: those that are not done.
        cells_before: counted on those that are.
    """

    work: SlideWork
    plan: SlidePlan
    tiles: tuple[Tile, ...]
    jobs: tuple[TileJob, ...]
    cells_before: int


def describe_scope(options: RunOptions) -> tuple[object, ...]:
    """Return what the result of a slide depends on besides the slide and the model, as numbers and text.

    Raises:
        OSError: the file of the region cannot be read.
    """
    slides = options.slides
    if slides.region is not None:
        return ("region", hash_file(slides.region), slides.seed)
    return ("whole", slides.seed) if slides.whole else ("cells", slides.cells, slides.seed)


class SlideCounter:
    """Counts slides with one model.

    Args:
        model: the model with the settings of the differentials.
        options: of the run.
        progress: told of every area of a slide of which the best ones are counted.
    """

    def __init__(self, model: Model, options: RunOptions, progress: Progress = no_progress) -> None:
        self._model, self._options, self._progress = model, options, progress
        self._scope = describe_scope(options)
        self._opened: tuple[Path, Slide] | None = None

    def hash(self, path: Path) -> tuple[str, str]:
        """Return the hash of a slide, and one over all that its outlines depend on besides the model.

        Raises:
            ImageReadError: it cannot be read.
        """
        sha256 = hash_image(path)
        return sha256, fingerprint("slide", sha256, *self._scope)

    def count_best(self, work: SlideWork) -> tuple[SlideResult, SlideDigest]:
        """Count the best areas of a slide until there are cells enough, and write its folder.

        Whole areas are counted, in the order of their rank.

        Raises:
            ImageReadError: the slide cannot be read.
            SpecimenError: it is not one of a smear.
        """
        plan, ledger = self._plan(work), self._open_ledger(work, 0)
        tiles: list[Tile] = []
        cells, wanted = 0, self._options.slides.cells
        for tile in plan.rank_areas(self._options.slides.seed):
            part = ledger.read(tile.number)
            if part is None:
                part = self._count_tile(plan.slide, tile, plan.setting, plan.region)
                ledger.write(tile.number, part)
            tiles.append(tile)
            cells += part.counted_cells
            self._progress(work.image.name, PartsDone("area", len(tiles), None, cells, wanted))
            if cells >= wanted or len(tiles) == MOST_AREAS:
                break
        return self._put_together(work, plan, tiles, ledger)

    def divide(self, work: SlideWork) -> DividedSlide:
        """Divide a slide, or the region of it that is counted, into tiles.

        Raises:
            ImageReadError: it cannot be read, or shows nothing to count.
            DataError: the file of the region cannot be used.
        """
        plan = self._plan(work)
        tiles = plan.list_tiles(self._options.slides)
        ledger = self._open_ledger(work, self._options.slides.tile_px)
        done = ledger.list_done()
        jobs = (
            TileJob(
                work.image, work.folder, self._name_ledger(work, self._options.slides.tile_px), tile,
                plan.setting, plan.region,
            )
            for tile in tiles
            if tile.number not in done
        )  # fmt: skip
        return DividedSlide(work, plan, tiles, tuple(jobs), ledger.count_cells())

    def count(self, job: TileJob) -> TileDone:
        """Count one tile of a divided slide.

        Raises:
            ImageReadError: the pixels cannot be read.
        """
        part = self._count_tile(self._open(job.image.path), job.tile, job.setting, job.region)
        Ledger(_place_ledger(job), job.ledger).write(job.tile.number, part)
        return TileDone(job.tile.number, part.counted_cells)

    def finish(self, slide: DividedSlide) -> tuple[SlideResult, SlideDigest]:
        """Put a divided slide together once all its tiles are in the ledger, and write its folder.

        Raises:
            SpecimenError: it is not one of a smear.
        """
        ledger = self._open_ledger(slide.work, self._options.slides.tile_px)
        return self._put_together(slide.work, slide.plan, slide.tiles, ledger)

    def review(self, work: SlideWork, review: Review | None) -> ReviewedSlide:
        """Put what persons called the cells of a counted slide into its folder, see :func:`review_slide`."""
        return review_slide(
            work.folder, work.fingerprints, review, self._model, lambda: self._open(work.image.path)
        )

    def _plan(self, work: SlideWork) -> SlidePlan:
        slide = self._open(work.image.path)
        return plan_slide(
            slide,
            self._options.slides,
            self._model.bundle,
            lambda: self._model.get_networks().segmenter,
        )

    def _open(self, path: Path) -> Slide:
        if self._opened is None or self._opened[0] != path:
            source = open_source(path, self._options.mpp)
            if not isinstance(source, Slide):
                raise TypeError(f"{path} is no slide")
            self._opened = (path, source)
        return self._opened[1]

    def _name_ledger(self, work: SlideWork, tile_px: int) -> str:
        return fingerprint("tiles", work.fingerprints.calls, tile_px)

    def _open_ledger(self, work: SlideWork, tile_px: int) -> Ledger:
        ledger = Ledger(_place_ledger(work), self._name_ledger(work, tile_px))
        ledger.drop_others()
        return ledger

    def _count_tile(
        self, slide: Slide, tile: Tile, setting: SlideSetting, region: RegionSet | None
    ) -> TilePart:
        networks: Networks = self._model.get_networks()
        return count_tile(slide, tile, setting, (self._model.bundle, networks), region)

    def _put_together(
        self, work: SlideWork, plan: SlidePlan, tiles: list[Tile] | tuple[Tile, ...], ledger: Ledger
    ) -> tuple[SlideResult, SlideDigest]:
        bundle, slides, grid = self._model.bundle, self._options.slides, plan.setting.grid
        own = {block: _frame(tile, plan) for tile in tiles for block in tile.blocks}
        digest = SlideDigest(
            bundle,
            own.__getitem__ if slides.is_sampled else lambda block: find_area(block, grid),
            slides.seed,
        )

        def take_in() -> Iterator[WrittenCells]:
            for tile in tiles:
                part = ledger.read(tile.number)
                if part is None:  # damaged, or removed by another hand
                    part = self._count_tile(plan.slide, tile, plan.setting, plan.region)
                    ledger.write(tile.number, part)
                digest.add(part)
                yield part.csv, part.features

        columns = list_cell_columns(bundle.classes)
        try:
            result = write_slide(
                take_in(), list(columns), lambda: self._conclude(work, plan, digest), work.folder
            )
        except SpecimenError:
            ledger.remove()
            raise
        ledger.remove()
        return result, digest

    def _conclude(self, work: SlideWork, plan: SlidePlan, digest: SlideDigest) -> SlideResult:
        digest.finish()
        traits, slide = plan.setting.traits, plan.slide
        sample = plan.sample_as(traits)
        other = find_other_specimen(sample, digest.sample)
        if other is not None:
            raise SpecimenError(f"{slide.name}: not_a_smear: {other}; it is not counted")
        quality = digest.judge(traits, slide.note)
        counts = [counts for _, counts in digest.areas]
        differential = make_differential_of_areas(counts, self._model.settings, quality)
        told = self._describe(plan, digest)
        estimate = None if traits.scale is None else traits.scale.estimate
        record = FieldRecord(
            image=work.image.name,
            sha256=work.sha256,
            pixels_sha256=hash_pixels(plan.overview.rgb),
            fingerprints=work.fingerprints,
            width_px=slide.width_px,
            height_px=slide.height_px,
            mpp=traits.mpp,
            mpp_source=traits.mpp_source,
            mpp_interval=quality.mpp_interval,
            red_cells=None if estimate is None else estimate.red_cells,
            nuclei=None if estimate is None else estimate.nuclei,
            quality=quality,
            slide=told,
        )
        overlay = draw_areas(plan.overview.rgb, plan.overview.downsample, told.areas)
        picked = digest.list_picked()
        shown = pl.DataFrame(
            [cell.row for cell in picked], list_cell_columns(self._model.bundle.classes), orient="row"
        )
        features = COLLECTION_START + ",".join(cell.feature for cell in picked) + COLLECTION_END
        page = make_slide_page(
            overlay,
            shown,
            [rings for _, rings in iterate_rings(StringIO(features))],
            traits.mpp,
            lambda *edges: read_padded(slide, Box(*edges)),
            _describe_counted(told),
        )
        return SlideResult(record, differential, overlay, page)

    def _describe(self, plan: SlidePlan, digest: SlideDigest) -> SlideRecord:
        slides, setting = self._options.slides, plan.setting
        return SlideRecord(
            scope="region" if slides.region is not None else "whole" if slides.whole else "cells",
            cells_wanted=slides.cells if slides.is_sampled else None,
            seed=slides.seed,
            region_sha256="" if slides.region is None else hash_file(slides.region),
            block_px=setting.grid.block_px,
            working_mpp=setting.grid.working_mpp,
            areas=tuple((b.left, b.top, b.right, b.bottom) for b, _ in digest.looked_at),
            area_cells=tuple(cells for _, cells in digest.looked_at),
            counted_mm2=round(digest.counted_px * setting.traits.mpp**2 * 1e-6, 6),
            glass=setting.traits.glass,
        )


def _place_ledger(slide: SlideWork | TileJob) -> Path:
    """Return the place that the ledger of a slide lies beside: by its whole name.

    Its results may get another folder when an image of its name but for the suffix joins the run.
    """
    return slide.folder.with_name(slide.image.relative.name)


def _describe_counted(told: SlideRecord) -> str:
    """Return in words what of a slide was counted."""
    what = {
        "cells": f"The best areas of a slide, until there were {told.cells_wanted} nucleated cells",
        "whole": "A whole slide but its empty glass",
        "region": "A region of a slide",
    }[told.scope]
    areas = "1 area" if len(told.areas) == 1 else f"{len(told.areas)} areas"
    part = " of them in the region" if told.scope == "region" else ""
    return (
        f"{what}: {areas}, framed in red, {told.counted_mm2:.2f} mm²{part}. The cells to judge are a random "
        "sample of each class."
    )


def _frame(tile: Tile, plan: SlidePlan) -> Box:
    """Return the square of a tile on its slide."""
    grid = plan.setting.grid
    first, last = _find_ends(tile.blocks)
    begin, end = grid.box_of(first), grid.box_of(last)
    return Box(begin.left, begin.top, end.right, end.bottom).intersect(grid.slide)


def _find_ends(blocks: tuple[Block, ...]) -> tuple[Block, Block]:
    rows, columns = [b.row for b in blocks], [b.column for b in blocks]
    return Block(min(rows), min(columns)), Block(max(rows), max(columns))
