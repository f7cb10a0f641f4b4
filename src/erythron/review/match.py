"""From corrected labels to verdicts: which cell is meant, what it is called, and whether that is news."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from erythron.cells.class_map import ClassMap
from erythron.cells.classes import find_type
from erythron.cells.outline import BoxedMask, CellOutline, name_cell
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED, count_as, find_near, list_probability_classes
from erythron.errors import DataError
from erythron.interchange.cells import LabelledCell
from erythron.interchange.outlines import trace_mask
from erythron.review.labels import EditedRow, Labels
from erythron.review.record import AddedCell

SAME_CELL = 0.5
"""Part of the smaller of two outlines that both must share to be one cell, where no name says so."""


@dataclass(frozen=True)
class ReviewedField:
    """The counted cells of a field that labels are about.

    Attributes:
        cells: their table.
        read_outlines: gives the outlines of some of them by name; asked once for all labels whose cell no
            name tells, so that those of a slide are not all in memory.
    """

    cells: pl.DataFrame
    read_outlines: Callable[[Collection[str]], Mapping[str, CellOutline]]


@dataclass(frozen=True)
class Proposal:
    """What labels say of a field.

    Attributes:
        called: what each cell is called that the labels say something new of.
        agreed: what each other cell is called that the labels name.
        added: cells that the field lacks.
        unnamed: cells of the field that the labels do not name.
        left_out: one reason for every label that could not be taken.
    """

    called: dict[str, str]
    agreed: dict[str, str]
    added: tuple[AddedCell, ...] = ()
    unnamed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())

    def list_calls(self, confirms_all: bool) -> dict[str, str]:
        """Return what a person calls each cell; with ``confirms_all`` what agrees is a call too."""
        return {**(self.agreed if confirms_all else {}), **self.called}


def match_labels(labels: Labels, counted: ReviewedField, class_map: ClassMap) -> Proposal:
    """Return what labels say of the cells of a field.

    A row of a table is of the cell of its name. An outline is of the cell whose name it carries, else of the
    one that it shares most with; one that shares little with every cell is a cell that was missed.

    Args:
        labels: of this field.
        counted: its cells as they are counted now.
        class_map: what names stand for, before the synonyms are asked; a name that is to be left out is said
            nothing by.

    Raises:
        DataError: names of classes are unknown to the model; the message lists them.
    """
    if labels.rows:
        return _match_rows(labels, counted, class_map)
    return _match_outlines(labels, counted, class_map)


def _match_rows(labels: Labels, counted: ReviewedField, class_map: ClassMap) -> Proposal:
    names = _Names(counted, class_map)
    called: dict[str, str] = {}
    agreed: dict[str, str] = {}
    left_out, blank = [], set[str]()
    before = {row["cell_id"]: row for row in counted.cells.iter_rows(named=True)}
    for row in labels.rows:
        known = before.get(row.cell_id)
        if known is None:
            left_out.append(f"cell {row.cell_id} is no cell of {counted.cells['image'][0]}")
            continue
        if row.counted_as == "" and row.label in {None, "", known["label"]}:
            blank.add(row.cell_id)
            continue
        wanted = _read_row(row, known["counted_as"], known["label"])
        if wanted is None:
            agreed[row.cell_id] = known["counted_as"]
        elif (name := names.find(wanted)) is not None:
            (agreed if name == known["counted_as"] else called)[row.cell_id] = name
    names.refuse_unknown(labels)
    named = {row.cell_id for row in labels.rows} - blank
    unnamed = tuple(name for name in before if name not in named)
    return Proposal(called, agreed, (), unnamed, tuple(left_out))


def _read_row(row: EditedRow, counted_as: str, label: str) -> str | None:
    """Return what an edited row calls its cell; None where nothing in it was edited.

    ``counted_as`` goes before ``label`` and ``flags``, for it is what the differential counts.
    """
    if row.counted_as and row.counted_as != counted_as:
        return row.counted_as
    if row.label and row.label != label:
        return row.label
    if row.flags is not None and row.counted_as is None and row.label is not None:
        again = pl.DataFrame({"label": [row.label], "flags": [row.flags]}).select(count_as()).item()
        return None if again == counted_as else str(again)
    return None


def _match_outlines(labels: Labels, counted: ReviewedField, class_map: ClassMap) -> Proposal:
    names = _Names(counted, class_map)
    counted_as = dict(counted.cells.select("cell_id", "counted_as").iter_rows())
    called: dict[str, str] = {}
    agreed: dict[str, str] = {}
    added, drawn, left_out = list[AddedCell](), list[BoxedMask](), list(labels.left_out)
    unnamed_cells = [cell for cell in labels.cells if cell.cell_id not in counted_as]
    near = {id(cell): find_near(counted.cells, *_bound(cell.cell)) for cell in unnamed_cells}
    outlines = counted.read_outlines({name for names in near.values() for name in names})
    for cell in labels.cells:
        name = names.find(cell.label)
        if name is None:
            continue
        x, y = cell.cell.centre
        here = f"the cell at ({x:.0f}, {y:.0f})"
        found = cell.cell_id
        if id(cell) in near:
            beside = [outlines[n] for n in near[id(cell)] if n in outlines]
            if (covered := _count_covered(cell, beside)) > 1:
                left_out.append(f"{here} is drawn around {covered} cells; draw around one, or merge them")
                continue
            found = _find_by_place(cell, beside)
        is_again = found is None and any(is_same_cell(cell.cell, other) for other in drawn)
        if is_again or found in called or found in agreed:
            left_out.append(f"{here} is outlined twice; the first label was taken")
        elif found is not None:
            (agreed if name == counted_as[found] else called)[found] = name
        elif cell.nucleus is None:
            left_out.append(f"{here} was missed, but its nucleus is not outlined; outline that too")
        else:
            new = AddedCell(
                cell_id=name_cell(cell.nucleus),
                cell=tuple(trace_mask(cell.cell)),
                nucleus=tuple(trace_mask(cell.nucleus)),
            )
            added.append(new)
            drawn.append(cell.cell)
            called[new.cell_id] = name
    names.refuse_unknown(labels)
    unnamed = tuple(name for name in counted_as if name not in called and name not in agreed)
    return Proposal(called, agreed, tuple(added), unnamed, tuple(left_out))


def _bound(mask: BoxedMask) -> tuple[int, int, int, int]:
    height, width = mask.mask.shape
    return mask.left, mask.top, mask.left + width, mask.top + height


def _count_covered(cell: LabelledCell, outlines: Sequence[CellOutline]) -> int:
    """Return how many cells an outline holds: that of a region is the call of none of them."""
    wholes = [outline.whole for outline in outlines]
    return sum(cell.cell.overlap_px(whole) >= SAME_CELL * whole.area_px for whole in wholes)


def _find_by_place(cell: LabelledCell, outlines: Sequence[CellOutline]) -> str | None:
    best, most = None, 0.0
    for outline in outlines:
        shared = _find_shared(cell.cell, outline.whole)
        if shared > most:
            best, most = outline.cell_id, shared
    return best if most >= SAME_CELL else None


def is_same_cell(one: BoxedMask, other: BoxedMask) -> bool:
    """Return whether two outlines of whole cells are of one cell."""
    return _find_shared(one, other) >= SAME_CELL


def _find_shared(one: BoxedMask, other: BoxedMask) -> float:
    """Return the part of the smaller of two outlines that both share."""
    return one.overlap_px(other) / max(min(one.area_px, other.area_px), 1)


class _Names:
    """What the names in a file stand for among the classes of the model."""

    def __init__(self, counted: ReviewedField, class_map: ClassMap) -> None:
        self._classes = list_probability_classes(counted.cells.columns)
        self._class_map = class_map
        self._unknown: list[str] = []

    def find(self, name: str) -> str | None:
        """Return the class of the model, ``unclassified`` or ``not_a_cell``; None where it says nothing."""
        plain = re.sub(r"[\s_-]+", "_", name.strip()).casefold()
        if plain in (*self._classes, UNCLASSIFIED, NOT_A_CELL) and name not in self._class_map:
            return plain
        try:
            kind = self._class_map[name] if name in self._class_map else find_type(name)
        except DataError:
            self._unknown.append(name)
            return None
        if kind is None:
            return None
        for found in (kind.name, kind.cell_class and kind.cell_class.name):
            if found in self._classes:
                return found
        self._unknown.append(name)
        return None

    def refuse_unknown(self, labels: Labels) -> None:
        """Raise one error that lists all names that stand for no class of the model."""
        if self._unknown:
            listed = ", ".join(f"'{name}'" for name in dict.fromkeys(self._unknown))
            raise DataError(
                f"{labels.source}: {listed} is no class of the model ({', '.join(self._classes)}, "
                f"{UNCLASSIFIED}, {NOT_A_CELL}); say what it stands for with "
                f"--class-map '{self._unknown[0]}=CLASS', or leave it as it is with "
                f"--class-map '{self._unknown[0]}='"
            )
