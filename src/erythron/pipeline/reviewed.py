"""A counted field with what persons called its cells: their calls go before those of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from skimage.measure import points_in_poly

from erythron.cells.flags import CellFlag, add_flag, drop_flag
from erythron.cells.outline import CellOutline
from erythron.cells.table import count_as, count_as_confirmed
from erythron.differential.assemble import (
    DifferentialSettings,
    make_differential,
    make_differential_of_areas,
    merge_differentials,
)
from erythron.differential.counts import Differential
from erythron.differential.tally import count_cells
from erythron.interchange.cells import LabelledCell, outline_labelled
from erythron.interchange.outlines import fill_parts
from erythron.pipeline.field import CountedField, Model, name_cells
from erythron.pipeline.outline_edits import count_edits
from erythron.pipeline.placed_calls import ReadOutlines, place_calls
from erythron.pipeline.slides.areas import part_by_area
from erythron.quality.flags import FieldQuality, QualityFlag
from erythron.report.model import OutlineEdits, ReviewReport
from erythron.results.record import FieldRecord, SlideRecord
from erythron.review.record import AddedCell, Region, Review

MISSED = "missed"
"""What the model's call is said to be of a cell that a person added."""


@dataclass(frozen=True, eq=False)
class ReviewedCells:
    """The cells of a field as persons call them.

    Attributes:
        cells: their table, those that persons added last.
        added: outlines of the latter.
        differential: of all.
        origins: the name by which a person called each cell that has another one now.
    """

    cells: pl.DataFrame
    added: tuple[CellOutline, ...]
    differential: Differential
    origins: Mapping[str, str]


def apply_review(counted: CountedField, review: Review, model: Model) -> CountedField:
    """Return a field with the cells that persons added and called, see :func:`put_calls`.

    Args:
        counted: the field by the model alone.
        review: of that field.
        model: that it was counted with.
    """

    def name_added(added: tuple[CellOutline, ...]) -> pl.DataFrame:
        return name_cells(counted.image, added, model.get_networks().classifier, is_field=True)

    def read_outlines(_: Collection[str]) -> dict[str, CellOutline]:
        return {outline.cell_id: outline for outline in counted.outlines}

    field = ImageByModel(counted.cells, read_outlines, counted.quality)
    found = put_calls(field, review, model.settings, name_added)
    outlines = (*counted.outlines, *found.added)
    return replace(counted, outlines=outlines, cells=found.cells, differential=found.differential)


@dataclass(frozen=True, eq=False)
class ImageByModel:
    """A counted field or slide as the model alone calls its cells.

    Attributes:
        cells: their table.
        read_outlines: gives the outlines of some of them by name, or of more; asked only where a call is of
            none of them.
        quality: what the image showed.
        slide: how it was counted where it is a slide; None for a field.
    """

    cells: pl.DataFrame
    read_outlines: ReadOutlines
    quality: FieldQuality
    slide: SlideRecord | None = None


def make_image_differential(
    cells: pl.DataFrame, settings: DifferentialSettings, quality: FieldQuality, slide: SlideRecord | None
) -> Differential:
    """Return the differential of the cells of a field, or of a slide by the areas that were counted.

    Args:
        cells: their table; of a slide as its folder has it.
        settings: of the differential.
        quality: what the image showed.
        slide: how it was counted where it is a slide; None for a field.
    """
    if slide is None:
        return make_differential(cells, settings, quality)
    areas = [count_cells(area, settings.classes) for area in part_by_area(cells, slide) if area.height]
    return make_differential_of_areas(areas, settings, quality)


def put_calls(
    field: ImageByModel,
    review: Review,
    settings: DifferentialSettings,
    name_added: Callable[[tuple[CellOutline, ...]], pl.DataFrame],
) -> ReviewedCells:
    """Return the cells of a field with those that persons added, each as the last person called it.

    A call holds for the cell of its name, and where the field was outlined anew and no cell has that name,
    for the cell that lies there now (:func:`erythron.pipeline.placed_calls.place_calls`). Calls whose cell is
    no more are named by a flag, and stay in the review.
    Cells outside the regions that persons drew are in no count. A cell that was added and said to be no cell
    since is not among the cells; the review keeps both.

    Args:
        field: its cells by the model alone.
        review: of that field.
        settings: of the differential.
        name_added: measures and names the cells that were added, as a table of cells.
    """
    known = set(field.cells["cell_id"])
    withdrawn = review.withdrawn - known
    new = (cell for cell in review.added if cell.cell_id not in known | withdrawn)
    drawn = tuple(outline for cell in new if (outline := outline_added(cell)))
    standing = [verdict for verdict in review.verdicts if verdict.cell_id not in withdrawn]
    placed = place_calls(standing, drawn, field.cells, field.read_outlines)
    added, called, lost = placed.added, placed.called, placed.lost
    cells = pl.concat([field.cells, name_added(added)]) if added else field.cells
    confirmed = [called.get(cell_id) for cell_id in cells["cell_id"]]
    cells = cells.with_columns(pl.Series("confirmed_as", confirmed, pl.String()))
    outside = find_outside(cells, review.standing_regions)
    if any(outside):
        cells = add_flag(cells, CellFlag.OUTSIDE_REGION, outside)
    cells = cells.with_columns(count_as_confirmed())
    differential = make_image_differential(cells, settings, field.quality, field.slide)
    flags = []
    if lost:
        text = (
            f"{lost} calls of a person belong to cells that are no longer outlined, and are in no count: "
            "look at the field again"
        )
        flags.append(QualityFlag("review_lost", text, float(lost)))
    if any(outside):
        reader = review.standing_regions[-1].reader
        text = f"{sum(outside)} cells lie outside the region that {reader} drew, and are in no count"
        flags.append(QualityFlag("region_drawn", text, float(sum(outside))))
    differential = replace(differential, flags=(*flags, *differential.flags))
    return ReviewedCells(cells, added, differential, placed.origins)


def undo_review(
    cells: pl.DataFrame, outlines: Sequence[CellOutline], review: Review | None
) -> tuple[pl.DataFrame, tuple[CellOutline, ...]]:
    """Return table and outlines of a field as the model alone counts it.

    Args:
        cells: the table.
        outlines: in the same order.
        review: that was applied, or one that grew from it.
    """
    plain = undo_calls(cells, review)
    own = set(plain["cell_id"])
    return plain, tuple(
        outline for outline, name in zip(outlines, cells["cell_id"], strict=True) if name in own
    )


def undo_calls(cells: pl.DataFrame, review: Review | None) -> pl.DataFrame:
    """Return the table of cells of a field as the model alone counts it, see :func:`undo_review`."""
    added = [] if review is None else [cell.cell_id for cell in review.added]
    inside = drop_flag(cells, CellFlag.OUTSIDE_REGION).filter(~pl.col("cell_id").is_in(added))
    return inside.with_columns(pl.lit(None, pl.String()).alias("confirmed_as"), count_as())


def count_by_model(
    cells: pl.DataFrame, review: Review, settings: DifferentialSettings, record: FieldRecord
) -> Differential:
    """Return the differential of a field or slide as the model alone calls its cells.

    Cells outside the regions that persons drew are in no count here either.

    Args:
        cells: the table, with the review applied.
        review: of the field.
        settings: of its differential.
        record: where it comes from.
    """
    added = [cell.cell_id for cell in review.added]
    plain = cells.filter(~pl.col("cell_id").is_in(added)).with_columns(
        pl.lit(None, pl.String()).alias("confirmed_as")
    )
    return make_image_differential(plain, settings, record.quality, record.slide)


def report_review(cells: pl.DataFrame, review: Review, by_model: Differential) -> ReviewReport | None:
    """Return what persons made of a field or slide; None where none of their calls and cells stands.

    Args:
        cells: the table, with the review applied.
        review: of the field.
        by_model: see :func:`count_by_model`.
    """
    confirmed = cells.filter(pl.col("confirmed_as").fill_null("") != "")
    outlines = count_edits(cells, review)
    if review.last_at is None or (confirmed.is_empty() and not outlines.added):
        return None
    added = {cell.cell_id for cell in review.added}
    rows = confirmed.select("cell_id", count_as(), "confirmed_as").iter_rows()
    pairs = Counter((MISSED if cell_id in added else before, after) for cell_id, before, after in rows)
    called = _list_by_reader(review, review.withdrawn.difference(cells["cell_id"]))
    return ReviewReport(
        tuple(Counter(reader for by_reader in called.values() for reader in by_reader).items()),
        review.last_at,
        tuple((before, after, count) for (before, after), count in sorted(pairs.items())),
        by_model,
        tuple(
            (cell_id, tuple(by_reader.items()))
            for cell_id, by_reader in called.items()
            if len(set(by_reader.values())) > 1
        ),
        outlines,
    )


def merge_reviews(
    fields: Sequence[tuple[Differential, ReviewReport | None]], settings: DifferentialSettings
) -> ReviewReport | None:
    """Return what persons made of the calls of all fields; None where nobody called a cell of any.

    Args:
        fields: the differential of each, and what persons made of its calls.
        settings: of the differentials.
    """
    reviews = [review for _, review in fields if review is not None]
    if not reviews:
        return None
    pairs: Counter[tuple[str, str]] = Counter()
    readers: Counter[str] = Counter()
    for review in reviews:
        readers.update(dict(review.readers))
        for before, after, count in review.calls:
            pairs[before, after] += count
    return ReviewReport(
        tuple(readers.items()),
        max(review.last_at for review in reviews),
        tuple((before, after, count) for (before, after), count in sorted(pairs.items())),
        merge_differentials((found if r is None else r.by_model for found, r in fields), settings),
        tuple(cell for review in reviews for cell in review.disputed),
        sum((review.outlines for review in reviews), OutlineEdits()),
    )


def _list_by_reader(review: Review, withdrawn: Set[str]) -> dict[str, dict[str, str]]:
    """Return by cell what each reader called it last, the reader whose call holds last.

    Args:
        review: of the field.
        withdrawn: cells that were added and taken away again, of which nothing is said.
    """
    called: dict[str, dict[str, str]] = {}
    for verdict in (verdict for verdict in review.verdicts if verdict.cell_id not in withdrawn):
        of_cell = called.setdefault(verdict.cell_id, {})
        of_cell.pop(verdict.reader, None)
        if verdict.called:
            of_cell[verdict.reader] = verdict.called
    return called


def find_outside(cells: pl.DataFrame, regions: Sequence[Region]) -> list[bool]:
    """Return whether each cell is left out by regions that persons drew.

    Args:
        cells: their table, N rows.
        regions: those that are drawn now.

    Returns:
        N values: True outside all regions to count in, where there are any, or inside one to leave out.
    """
    if not regions:
        return [False] * cells.height
    # Corners are counted from the corner of the first pixel, centres of cells from its middle.
    centres = cells.select("x_px", "y_px").to_numpy() + 0.5
    counted = np.zeros(cells.height, np.bool_)
    left_out = np.zeros(cells.height, np.bool_)
    for region in regions:
        inside = points_in_poly(centres, np.array(region.ring))  # type: ignore[no-untyped-call]
        if region.mode == "count":
            counted |= inside
        else:
            left_out |= inside
    if not any(region.mode == "count" for region in regions):
        counted[:] = True
    return [bool(out) for out in ~counted | left_out]


def outline_added(cell: AddedCell) -> CellOutline | None:
    """Return the cell that a person outlined; None where its polygons hold no pixel."""
    whole, nucleus = fill_parts(cell.cell), fill_parts(cell.nucleus)
    if whole is None or nucleus is None:
        return None
    return outline_labelled(LabelledCell("", whole, nucleus))
