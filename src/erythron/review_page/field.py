"""One counted field as the page shows it: its cells by the model, and as persons call them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PureWindowsPath

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.flags import CellFlag, drop_flag
from erythron.cells.outline import CellOutline
from erythron.cells.table import count_as
from erythron.differential.assemble import DifferentialSettings
from erythron.interchange.geojson import CellRings, trace_cells
from erythron.pipeline.reviewed import ImageByModel, ReviewedCells, outline_added, put_calls, undo_calls
from erythron.results.field import (
    iterate_field_rings,
    need_record,
    read_cells,
    read_differential,
    read_field,
    read_outlines,
)
from erythron.results.record import FieldRecord
from erythron.results.review import read_review
from erythron.review.record import AddedCell, Review

_SPACING_PX, _FEWEST, _MOST = 2.5, 8, 120
"""Pixels between the corners of a drawn outline, and how many it has: its chords are off by 0.05 px."""

Rings = list[list[list[float]]]

OuterRings = tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]
"""Outer rings of the parts of a cell and of its nucleus, each (corners, 2) x and y."""


@dataclass(frozen=True)
class ShownOutline:
    """The outline of a cell as the page draws it.

    Attributes:
        cell: outer rings of the whole cell, in pixels of the image.
        nucleus: those of its nucleus.
    """

    cell: Rings
    nucleus: Rings


class PageField:
    """A counted field.

    Args:
        number: its place in the run, from 0.
        path: of its image, as the user gave it.
        folder: of its results.
        specimen: number of its specimen, from 0.

    Attributes:
        number: as given.
        path: as given.
        folder: as given.
        specimen: as given.
        record: where the results come from.
        by_model: its cells as the model alone calls them.

    Raises:
        DataError: what is stored of the field cannot be read.
    """

    def __init__(self, number: int, path: Path, folder: Path, specimen: int) -> None:
        self.number, self.path, self.folder, self.specimen = number, path, folder, specimen
        self.record: FieldRecord = need_record(folder)
        cells, review = read_cells(folder), read_review(folder)
        plain = undo_calls(cells, review)
        self.by_model = ImageByModel(
            plain, partial(read_outlines, folder), self.record.quality, self.record.slide
        )
        kept = cells.filter(~pl.col("cell_id").is_in(plain["cell_id"].to_list()))
        blank = drop_flag(kept, CellFlag.OUTSIDE_REGION).with_columns(
            pl.lit(None, pl.String()).alias("confirmed_as"), count_as()
        )
        self._added = {str(row["cell_id"][0]): row for row in blank.iter_slices(1)}
        self._names = {*plain["cell_id"], *self._added}
        self._new: dict[str, CellOutline] = {}
        self._looked_up: dict[str, CellOutline] = {}

    @cached_property
    def _stored(self) -> dict[str, CellOutline]:
        """The outlines in the field's folder; reading them takes longer than all the rest."""
        return {outline.cell_id: outline for outline in read_field(self.folder).outlines}

    @cached_property
    def _rings(self) -> dict[str, OuterRings]:
        """The outer rings of the cells in the field's folder, as arrays: a tenth of the memory of lists."""
        return {name: _take_outer(rings) for name, rings in iterate_field_rings(self.folder)}

    @property
    def is_slide(self) -> bool:
        """Whether it is a slide, whose pixels are read by region alone."""
        return self.record.slide is not None

    @property
    def name(self) -> str:
        """The path of the image as the run names it."""
        return self.record.image

    @property
    def title(self) -> str:
        """What a reader is shown: the name of the image without folders, or that which was sent with it."""
        return self.record.title or PureWindowsPath(self.record.image).name

    def read_review(self) -> Review:
        """Return what lies in the field's folder of what persons called its cells."""
        return read_review(self.folder) or Review(image=self.name)

    def has_cell(self, cell_id: str) -> bool:
        """Return whether a cell is one of the model's or was added by a person."""
        return cell_id in self._names

    def is_added(self, cell_id: str) -> bool:
        """Return whether a person added a cell."""
        return cell_id in self._added

    def get_outlines(self, names: Collection[str]) -> dict[str, CellOutline]:
        """Return the outlines of cells that :meth:`has_cell` knows, by name.

        Those of a slide are looked for in its file, which is passed through once; a field's are all kept.
        """
        stored = [name for name in names if name not in self._new]
        if not self.is_slide:
            found = {name: self._stored[name] for name in stored}
        else:
            self._looked_up |= read_outlines(self.folder, [n for n in stored if n not in self._looked_up])
            found = {name: self._looked_up[name] for name in stored}
        return found | {name: self._new[name] for name in names if name in self._new}

    def add_cell(self, outline: CellOutline, row: pl.DataFrame) -> None:
        """Take in a cell that a person outlined.

        Args:
            outline: of the cell.
            row: its row in a table of cells, as the model calls it.
        """
        self._added[outline.cell_id] = row
        self._names.add(outline.cell_id)
        self._new[outline.cell_id] = outline

    def list_unknown(self, cells: Sequence[AddedCell]) -> tuple[CellOutline, ...]:
        """Return the outlines of cells that persons added and that are not taken in yet."""
        new = (outline_added(cell) for cell in cells if cell.cell_id not in self._names)
        return tuple(outline for outline in new if outline is not None)

    def call_cells(self, review: Review, settings: DifferentialSettings) -> ReviewedCells:
        """Return the cells of the field as persons call them, by the same function as a recount.

        Args:
            review: of this field; every cell that it adds must be taken in.
            settings: of the differential.
        """

        def name_added(added: tuple[CellOutline, ...]) -> pl.DataFrame:
            return pl.concat([self._added[outline.cell_id] for outline in added])

        if review == Review(image=self.name) and read_review(self.folder) is None:
            # Nobody has changed anything: the differential is the stored one, in a thirtieth of the time.
            return ReviewedCells(self.by_model.cells, (), read_differential(self.folder), {})
        return put_calls(self.by_model, review, settings, name_added)

    def list_cells(self) -> pl.DataFrame:
        """Return the table of all cells as the model calls them, those that persons added last."""
        return pl.concat([self.by_model.cells, *self._added.values()])

    def find_cells(self, names: Sequence[str]) -> pl.DataFrame:
        """Return the rows of some cells, as the model calls them."""
        return self.list_cells().filter(pl.col("cell_id").is_in(list(names)))

    def trace(self, names: Sequence[str] | None = None) -> dict[str, ShownOutline]:
        """Return the outlines of cells by name.

        Args:
            names: of the cells; None for all.
        """
        wanted = [n for n in (self.list_cells()["cell_id"] if names is None else names) if n in self._names]
        new = [name for name in wanted if name in self._new]
        traced = trace_cells(self._new[name] for name in new)
        rings = {name: _take_outer(one) for name, one in zip(new, traced, strict=True)}
        rings |= {name: self._rings[name] for name in wanted if name not in rings}
        return {name: ShownOutline(*map(_smooth, rings[name])) for name in wanted}


def _take_outer(rings: CellRings) -> OuterRings:
    cell, nucleus = (
        [np.array(part[0], np.float32) for part in parts] for parts in (rings.cell, rings.nucleus)
    )
    return cell, nucleus


def _smooth(outer: Sequence[NDArray[np.float32]]) -> Rings:
    """Return closed rings with corners at even distances, in a twentieth of the time of a simplification."""
    simple: Rings = []
    for ring in outer:
        steps = np.hypot(*np.diff(ring, axis=0).T)
        along = np.concatenate(([0.0], np.cumsum(steps)))
        count = int(np.clip(along[-1] / _SPACING_PX, _FEWEST, _MOST))
        at = np.linspace(0, along[-1], count + 1)
        corners = np.stack([np.interp(at, along, ring[:, axis]) for axis in (0, 1)], axis=1)
        simple.append(np.round(corners, 1).tolist())
    return simple
