"""A counted slide with what persons called its cells, made from what lies in its folder.

No block is counted again. Its table is in memory, its outlines pass through one after the other, and of its
pixels those of the cells that the page shows, or that persons added, are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import chain, islice
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from erythron.cells.outline import CellOutline
from erythron.classify.classifier import Classifier
from erythron.differential.counts import Differential
from erythron.errors import DataError
from erythron.files.reading import read_content
from erythron.files.tables import format_csv
from erythron.interchange.geojson import CellRings, format_features, trace_cells
from erythron.pipeline.field import Model, name_cells
from erythron.pipeline.reviewed import (
    ImageByModel,
    ReviewedCells,
    make_image_differential,
    put_calls,
    undo_calls,
)
from erythron.pipeline.slides.block import place_cells, read_padded
from erythron.pipeline.slides.digest import pick_cells
from erythron.read.box import Box
from erythron.read.image import SmearImage
from erythron.read.source import Slide
from erythron.report.model import FieldPage
from erythron.report.slide_page import make_slide_page
from erythron.results.field import iterate_field_rings, need_record, read_cells, read_outlines, read_page
from erythron.results.fingerprint import Fingerprints
from erythron.results.record import OVERLAY, FieldRecord, SlideRecord
from erythron.results.review import hash_review
from erythron.results.slide import SlideResult, WrittenCells, write_slide
from erythron.review.record import Review

AROUND_UM = 40.0
"""What is read around a cell that a person added: more than the network sees of its neighbours."""

_BATCH = 500


@dataclass(frozen=True, eq=False)
class ReviewedSlide:
    """What is known of a slide once its cells are called.

    Attributes:
        record: where it comes from.
        cells: the table of its cells.
        differential: of these.
        page: what the page shows of it.
    """

    record: FieldRecord
    cells: pl.DataFrame
    differential: Differential
    page: FieldPage


def review_slide(
    folder: Path,
    fingerprints: Fingerprints,
    review: Review | None,
    model: Model,
    open_slide: Callable[[], Slide],
) -> ReviewedSlide:
    """Make the folder of a counted slide anew with a review, or without the one that is in it.

    Args:
        folder: of its results.
        fingerprints: of its steps, with that review.
        review: what persons called its cells; None where nobody did.
        model: that it was counted with, and the settings of the differential.
        open_slide: opens it.

    Raises:
        DataError: what is stored of the slide cannot be read.
        ImageReadError: the slide cannot be read any more.
    """
    record, page = need_record(folder), read_page(folder)
    told = record.slide
    if told is None or page is None:
        raise DataError(f"{folder}: holds no whole result of a slide; count it again with --force")
    # By the number of rows: so the cells of a review that was taken away go with it.
    plain = undo_calls(read_cells(folder).head(sum(told.area_cells)), None)
    if review is None:
        differential = make_image_differential(plain, model.settings, record.quality, told)
        found = ReviewedCells(plain, (), differential, {})
    else:
        field = ImageByModel(plain, partial(read_outlines, folder), record.quality, told)
        found = put_calls(field, review, model.settings, partial(_name_added, open_slide, record, model))
    picked = pick_cells(found.cells, told.seed)
    rings: dict[str, CellRings] = {}

    def conclude() -> SlideResult:
        overlay = Image.open(BytesIO(read_content(folder / OVERLAY)))
        overlay.load()
        new = make_slide_page(
            overlay,
            picked,
            [rings[name] for name in picked["cell_id"]],
            record.mpp or 1.0,
            lambda *edges: read_padded(open_slide(), Box(*edges)),
            page.note,
        )
        changed = {"fingerprints": fingerprints, "review_sha256": hash_review(review)}
        return SlideResult(record.model_copy(update=changed), found.differential, overlay, new)

    parts = _list_parts(folder, found, frozenset(picked["cell_id"]), rings)
    result = write_slide(parts, found.cells.columns, conclude, folder, review)
    return ReviewedSlide(result.record, found.cells, result.differential, result.page)


def _list_parts(
    folder: Path, found: ReviewedCells, wanted: frozenset[str], kept: dict[str, CellRings]
) -> Iterator[WrittenCells]:
    """Yield the cells of a slide some at a time, and keep the outlines of those that are wanted."""
    own = found.cells.height - len(found.added)
    stored = iterate_field_rings(folder)
    new = zip((outline.cell_id for outline in found.added), trace_cells(found.added), strict=True)
    first = 0
    every = chain(islice(stored, own), new)
    while batch := list(islice(every, _BATCH)):
        cells = found.cells.slice(first, len(batch))
        first += len(batch)
        if cells["cell_id"].to_list() != [name for name, _ in batch]:
            raise DataError(
                f"{folder}: outlines and table are not of the same cells; count again with --force"
            )
        kept.update((name, rings) for name, rings in batch if name in wanted)
        yield format_csv(cells).partition("\n")[2], format_features([rings for _, rings in batch], cells)
    if first != found.cells.height:
        raise DataError(f"{folder}: has fewer outlines than cells; count the slide again with --force")


def _name_added(
    open_slide: Callable[[], Slide], record: FieldRecord, model: Model, outlines: tuple[CellOutline, ...]
) -> pl.DataFrame:
    """Measure and name cells that persons added to a slide; the table has the columns of a table of cells."""
    classifier = model.get_networks().classifier
    return pl.concat([name_on_slide(open_slide(), record, outline, classifier) for outline in outlines])


def name_on_slide(
    slide: Slide, record: FieldRecord, outline: CellOutline, classifier: Classifier
) -> pl.DataFrame:
    """Measure and name one cell of a counted slide.

    Args:
        slide: it.
        record: of its results.
        outline: of the cell, in pixels of the slide.
        classifier: of the model.
    """
    height, width = outline.cell.shape
    margin = round(AROUND_UM / (record.mpp or 1.0))
    around = Box(outline.left, outline.top, outline.left + width, outline.top + height).grow(margin)
    image = SmearImage(record.image, read_padded(slide, around), record.mpp, record.mpp_source)
    told: SlideRecord | None = record.slide
    if told is not None:
        image = replace(image, glass=np.array(told.glass, np.float32))
    here = replace(outline, left=outline.left - around.left, top=outline.top - around.top)
    cells = name_cells(image, (here,), classifier, is_field=True)
    return place_cells(cells, (outline,), Box(0, 0, slide.width_px, slide.height_px), around)
