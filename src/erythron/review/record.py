"""The record of a review: every call that a person made of a cell, in the order in which they were made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from erythron.cells.table import NOT_A_CELL
from erythron.interchange.outlines import Part, Ring

DATABASE = "review.sqlite"
"""Where the review page keeps its record, in the folder of the run, unless another database is named."""


class Verdict(BaseModel):
    """One call of one cell by a person.

    Attributes:
        cell_id: the cell.
        called: name of a class, ``unclassified`` or ``not_a_cell``; empty where the call was taken back,
            so that the cell counts again as the model calls it.
        was: what the cell was counted as before.
        reader: who called it, as that person gave the name.
        at: when the call was taken in, with a time zone.
        source: file that it came from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell_id: str
    called: str
    was: str
    reader: str
    at: AwareDatetime
    source: str


class AddedCell(BaseModel):
    """A cell that the segmentation missed and a person outlined; its call is a :class:`Verdict`.

    Attributes:
        cell_id: its name, made from its place as that of every cell.
        cell: the parts of the whole cell as polygons, see :mod:`erythron.interchange.outlines`.
        nucleus: those of its nucleus.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell_id: str
    cell: tuple[Part, ...]
    nucleus: tuple[Part, ...]

    @property
    def centre(self) -> tuple[int, int]:
        """Column and row of the centre of its nucleus, which its name states."""
        x, y = self.cell_id[1:].split("y")
        return int(x), int(y)


class Region(BaseModel):
    """A region of the field that a person drew, or took away.

    Attributes:
        region_id: its name in the field; a later entry of the same name holds in place of an earlier one.
        mode: ``count``: cells outside all such regions are left out; ``leave_out``: those inside are;
            ``removed``: the region is no more.
        ring: its corners, in pixels of the image.
        reader: who drew it, as that person gave the name.
        at: when, with a time zone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region_id: str
    mode: Literal["count", "leave_out", "removed"]
    ring: Ring
    reader: str
    at: AwareDatetime


class Review(BaseModel):
    """All calls that persons made of the cells of one field.

    Attributes:
        schema_version: of this file's layout.
        image: path of the field, as the user gave it.
        verdicts: in the order in which they were made; the last one of a cell holds, none is ever removed.
        added: cells that the segmentation missed.
        regions: in the order in which they were drawn; none is ever removed from the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    image: str
    verdicts: tuple[Verdict, ...] = ()
    added: tuple[AddedCell, ...] = ()
    regions: tuple[Region, ...] = ()

    @property
    def holding(self) -> dict[str, Verdict]:
        """The call that holds, by cell; a cell whose last call was taken back has none."""
        last = {verdict.cell_id: verdict for verdict in self.verdicts}
        return {cell_id: verdict for cell_id, verdict in last.items() if verdict.called}

    @property
    def withdrawn(self) -> frozenset[str]:
        """Cells that a person added and one said to be none since: as if they had never been added."""
        holding = self.holding
        names = (cell.cell_id for cell in self.added if cell.cell_id in holding)
        return frozenset(name for name in names if holding[name].called == NOT_A_CELL)

    @property
    def standing_regions(self) -> tuple[Region, ...]:
        """The regions that are drawn now."""
        last = {region.region_id: region for region in self.regions}
        return tuple(region for region in last.values() if region.mode != "removed")

    @property
    def last_at(self) -> datetime | None:
        """When the last call was taken in."""
        return max((verdict.at for verdict in self.verdicts), default=None)
