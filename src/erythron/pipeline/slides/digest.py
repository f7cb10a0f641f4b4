"""What is known of a slide from its parts, taken in one after the other and never held together.

In: the parts of the tiles in the order of the result. Out: counts of each area, what the slide showed, and a
sample of its cells for figures and pictures. The sample is drawn by a hash of each cell's name, so it is the
same however the slide was divided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from erythron.bundle.folder import Bundle
from erythron.cells.table import is_counted, is_unlike_training, list_cell_columns, make_empty_table
from erythron.differential.counts import CellCounts
from erythron.differential.tally import count_cells
from erythron.files.hashing import hash_text
from erythron.files.tables import parse_csv
from erythron.pipeline.slides.traits import SlideTraits
from erythron.quality.flags import FieldQuality, LeftOutArea
from erythron.quality.image import FEWEST_TO_JUDGE, measure_stain
from erythron.quality.specimen import NucleatedTally, count_in_view
from erythron.read.box import Box
from erythron.read.image import ScaleSource
from erythron.report.gallery import FIRST_CELLS
from erythron.results.ledger import TilePart
from erythron.segment.blocks import Block

SAMPLED_CELLS = 2000
"""Cells by which stain and distributions are judged: their quartiles are within 3 % of the rank."""


@dataclass(frozen=True)
class PickedCell:
    """A cell that the page may show.

    Attributes:
        rank: its place in the random order.
        row: of the table of cells.
        feature: it, as ``cells.geojson`` has it.
    """

    rank: str
    row: Mapping[str, Any]
    feature: str


class SlideDigest:
    """Takes in the parts of a slide.

    Args:
        bundle: the model.
        find_area: gives the area of a block, for the intervals.
        seed: of the sample.

    Attributes:
        areas: the areas that have cells, with their counts.
        looked_at: all areas that were looked at, each with the number of its cells.
        counted_px: pixels that were counted, of a region those in it.
        sample: rows of the table of cells, at most :data:`SAMPLED_CELLS`.
    """

    def __init__(self, bundle: Bundle, find_area: Callable[[Block], Box], seed: int) -> None:
        self._bundle, self._find_area, self._seed = bundle, find_area, seed
        self._types = list_cell_columns(bundle.classes)
        self._head = (",".join(self._types) + "\n").encode()
        self._open: list[pl.DataFrame] = []
        self._box: Box | None = None
        self._cells = self._unlike = self._stained_px = 0
        self._blurred_px = self._thick_px = 0.0
        self._nucleated = NucleatedTally()
        self._picked: defaultdict[str, list[PickedCell]] = defaultdict(list)
        self.areas: list[tuple[Box, CellCounts]] = []
        self.looked_at: list[tuple[Box, int]] = []
        self.counted_px = 0
        self.sample = make_empty_table(bundle.classes)

    def add(self, part: TilePart) -> None:
        """Take in what was counted of the next tile."""
        cells = parse_csv(self._head + part.csv.encode(), self._types)
        first = 0
        for rows in part.blocks:
            box = self._find_area(Block(rows.row, rows.column))
            if box != self._box:
                self._close_area()
                self._box = box
            self._open.append(cells.slice(first, rows.cells))
            first += rows.cells
        self.counted_px += part.counted_px
        self._cells += cells.height
        self._unlike += int(cells.select(is_unlike_training().sum()).item())
        self._stained_px += part.stained_px
        self._blurred_px += part.blurred_px
        self._thick_px += part.thick_px
        self._nucleated += part.nucleated
        self._draw_sample(cells, part.features)

    def finish(self) -> None:
        """Count the last area, once all parts are there."""
        self._close_area()

    def list_picked(self) -> list[PickedCell]:
        """Return the cells that the page may show, of each line of the differential the same number."""
        return [cell for _, picked in sorted(self._picked.items()) for cell in picked]

    def judge(self, traits: SlideTraits, note: str) -> FieldQuality:
        """Return what the slide showed.

        Args:
            traits: what was measured once.
            note: what its reader says of the file.
        """
        estimate = None if traits.scale is None else traits.scale.estimate
        glass = np.array(traits.glass, np.float32)
        return FieldQuality(
            mpp=traits.mpp,
            mpp_interval=None if estimate is None else (estimate.mpp_low, estimate.mpp_high),
            scale_from_nuclei=traits.mpp_source is ScaleSource.NUCLEI,
            stated_mpp=None if traits.scale is None else traits.scale.stated,
            shown_mpp=None if traits.scale is None else traits.scale.shown,
            stain_distance=measure_stain(self.sample, glass, self._bundle.card),
            unlike_fraction=self._unlike / self._cells if self._cells >= FEWEST_TO_JUDGE else None,
            in_view=count_in_view(self._stained_px, self._nucleated, traits.mpp),
            left_out=self._list_left_out(),
            note=note,
        )

    def _list_left_out(self) -> tuple[LeftOutArea, ...]:
        """Return the share of what was looked at that cannot be read, by cause; without outlines."""
        total = max(self.counted_px, 1)
        found = (
            LeftOutArea("out_of_focus", (), min(1.0, self._blurred_px / total)),
            LeftOutArea("too_thick", (), min(1.0, self._thick_px / total)),
        )
        return tuple(area for area in found if area.area_fraction > 0)

    def _close_area(self) -> None:
        if self._box is not None:
            cells = pl.concat(self._open)
            self.looked_at.append((self._box, cells.height))
            if cells.height:
                self.areas.append((self._box, count_cells(cells, self._bundle.classes)))
        self._open, self._box = [], None

    def _draw_sample(self, cells: pl.DataFrame, features: Sequence[str]) -> None:
        self.sample = draw_sample(pl.concat([self.sample, cells]), self._seed)
        for row in _pick(cells, self._seed).iter_rows(named=True):
            picked = self._picked[row["counted_as"]]
            picked.append(
                PickedCell(row["rank"], {name: row[name] for name in self._types}, features[row["row"]])
            )
            picked.sort(key=lambda cell: cell.rank)
            del picked[FIRST_CELLS:]


def draw_sample(cells: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return at most :data:`SAMPLED_CELLS` rows of a table of cells, chosen at random by their names alone.

    Args:
        cells: the table.
        seed: another one chooses others.
    """
    return _rank(cells, seed).sort("rank").head(SAMPLED_CELLS).drop("rank")


def pick_cells(cells: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the rows of the cells that the page shows, of each line of the differential the same number.

    Args:
        cells: the whole table.
        seed: as of the count, so that the same are shown.
    """
    return _pick(cells, seed).sort("counted_as", "rank").drop("rank", "row")


def _pick(cells: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the first of each line by rank, with the columns ``row``, their place, and ``rank``."""
    counted = _rank(cells, seed).with_row_index("row").filter(is_counted()).sort("rank")
    return counted.group_by("counted_as", maintain_order=True).head(FIRST_CELLS)


def _rank(cells: pl.DataFrame, seed: int) -> pl.DataFrame:
    ranks = [hash_text(f"{seed} {cell_id}") for cell_id in cells["cell_id"]]
    return cells.with_columns(pl.Series("rank", ranks, pl.String()))
