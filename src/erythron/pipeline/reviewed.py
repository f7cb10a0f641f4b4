"""A counted field with what persons called its cells: their calls go before those of the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from erythron.cells.outline import CellOutline
from erythron.cells.table import count_as, count_as_confirmed
from erythron.differential.assemble import DifferentialSettings, make_differential, merge_differentials
from erythron.differential.counts import Differential
from erythron.interchange.cells import LabelledCell, outline_labelled
from erythron.interchange.outlines import fill_parts
from erythron.pipeline.field import CountedField, Model, name_cells
from erythron.quality.flags import FieldQuality, QualityFlag
from erythron.report.model import ReviewReport
from erythron.review.record import AddedCell, Review

MISSED = "missed"
"""What the model's call is said to be of a cell that a person added."""


def apply_review(counted: CountedField, review: Review, model: Model) -> CountedField:
    """Return a field with the cells that persons added and called.

    A call holds for the cell of its name, and where the field was outlined anew and no cell has that name,
    for the cell that lies there now. Calls whose cell is no more are named by a flag, and stay in the review.

    Args:
        counted: the field by the model alone.
        review: of that field.
        model: that it was counted with.
    """
    outlines = list(counted.outlines)
    known = {outline.cell_id for outline in outlines}
    added = tuple(
        outline for cell in review.added if cell.cell_id not in known if (outline := _outline_added(cell))
    )
    cells = counted.cells
    if added:
        named = name_cells(counted.image, added, model.get_networks().classifier, is_field=True)
        cells, outlines = pl.concat([cells, named]), [*outlines, *added]
    called: dict[str, str] = {}
    lost = 0
    for cell_id, verdict in review.holding.items():
        place = _find_now(cell_id, outlines)
        lost += place is None
        if place is not None:
            called[place] = verdict.called
    confirmed = [called.get(cell_id) for cell_id in cells["cell_id"]]
    cells = cells.with_columns(pl.Series("confirmed_as", confirmed, pl.String())).with_columns(
        count_as_confirmed()
    )
    differential = make_differential(cells, model.settings, counted.quality)
    if lost:
        text = (
            f"{lost} calls of a person belong to cells that are no longer outlined, and are in no count: "
            "look at the field again"
        )
        flag = QualityFlag("review_lost", text, float(lost))
        differential = replace(differential, flags=(flag, *differential.flags))
    return replace(counted, outlines=tuple(outlines), cells=cells, differential=differential)


def undo_review(
    cells: pl.DataFrame, outlines: Sequence[CellOutline], review: Review | None
) -> tuple[pl.DataFrame, tuple[CellOutline, ...]]:
    """Return table and outlines of a field as the model alone counts it.

    Args:
        cells: the table.
        outlines: in the same order.
        review: that was applied, or one that grew from it.
    """
    added = set() if review is None else {cell.cell_id for cell in review.added}
    own = [cell_id not in added for cell_id in cells["cell_id"]]
    plain = cells.filter(pl.Series(own, dtype=pl.Boolean)).with_columns(
        pl.lit(None, pl.String()).alias("confirmed_as"), count_as()
    )
    return plain, tuple(outline for outline, kept in zip(outlines, own, strict=True) if kept)


def report_review(
    cells: pl.DataFrame, review: Review, settings: DifferentialSettings, quality: FieldQuality
) -> ReviewReport | None:
    """Return what persons made of the calls of a field; None where none of their calls holds.

    Args:
        cells: the table, with the review applied.
        review: of the field.
        settings: of its differential.
        quality: what the image showed.
    """
    confirmed = cells.filter(pl.col("confirmed_as").fill_null("") != "")
    if review.last_at is None or confirmed.is_empty():
        return None
    added = {cell.cell_id for cell in review.added}
    rows = confirmed.select("cell_id", count_as(), "confirmed_as").iter_rows()
    pairs = Counter((MISSED if cell_id in added else before, after) for cell_id, before, after in rows)
    called = _list_by_reader(review)
    plain = cells.filter(~pl.col("cell_id").is_in(list(added))).with_columns(
        pl.lit(None, pl.String()).alias("confirmed_as")
    )
    return ReviewReport(
        tuple(Counter(reader for by_reader in called.values() for reader in by_reader).items()),
        review.last_at,
        tuple((before, after, count) for (before, after), count in sorted(pairs.items())),
        make_differential(plain, settings, quality),
        tuple(
            (cell_id, tuple(by_reader.items()))
            for cell_id, by_reader in called.items()
            if len(set(by_reader.values())) > 1
        ),
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
    )


def _list_by_reader(review: Review) -> dict[str, dict[str, str]]:
    """Return by cell what each reader called it last, the reader whose call holds last."""
    called: dict[str, dict[str, str]] = {}
    for verdict in review.verdicts:
        of_cell = called.setdefault(verdict.cell_id, {})
        of_cell.pop(verdict.reader, None)
        of_cell[verdict.reader] = verdict.called
    return called


def _outline_added(cell: AddedCell) -> CellOutline | None:
    whole, nucleus = fill_parts(cell.cell), fill_parts(cell.nucleus)
    if whole is None or nucleus is None:
        return None
    return outline_labelled(LabelledCell("", whole, nucleus))


def _find_now(cell_id: str, outlines: Sequence[CellOutline]) -> str | None:
    """Return the name of the cell that a name is of now: its own, or of the cell at its place."""
    if any(outline.cell_id == cell_id for outline in outlines):
        return cell_id
    place = re.fullmatch(r"x(\d+)y(\d+)", cell_id)
    if place is None:
        return None
    x, y = map(int, place.groups())
    for outline in outlines:
        height, width = outline.cell.shape
        row, column = y - outline.top, x - outline.left
        if 0 <= row < height and 0 <= column < width and outline.cell[row, column]:
            return outline.cell_id
    return None
