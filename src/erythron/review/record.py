"""The record of a review: every call that a person made of a cell, in the order in which they were made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from erythron.interchange.outlines import Part


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


class Review(BaseModel):
    """All calls that persons made of the cells of one field.

    Attributes:
        schema_version: of this file's layout.
        image: path of the field, as the user gave it.
        verdicts: in the order in which they were made; the last one of a cell holds, none is ever removed.
        added: cells that the segmentation missed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    image: str
    verdicts: tuple[Verdict, ...] = ()
    added: tuple[AddedCell, ...] = ()

    @property
    def holding(self) -> dict[str, Verdict]:
        """The call that holds, by cell; a cell whose last call was taken back has none."""
        last = {verdict.cell_id: verdict for verdict in self.verdicts}
        return {cell_id: verdict for cell_id, verdict in last.items() if verdict.called}

    @property
    def last_at(self) -> datetime | None:
        """When the last call was taken in."""
        return max((verdict.at for verdict in self.verdicts), default=None)
