"""Calls of persons on the cells of a count: by name, and where the field was outlined anew by place.

In: what persons called and outlined, and the cells of the model. Out: the call of each cell, the outlines
that stay beside those of the model, and how many calls have no cell any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from erythron.cells.outline import CellOutline
from erythron.cells.table import NOT_A_CELL, find_near
from erythron.review.match import is_same_cell
from erythron.review.record import Verdict

ReadOutlines = Callable[[Collection[str]], Mapping[str, CellOutline]]
"""Gives the outlines of some cells of the model by name, or of more."""


@dataclass(frozen=True, eq=False)
class PlacedCalls:
    """Where the calls of persons belong.

    Attributes:
        called: what each cell is called that a person has called.
        added: outlines of persons that the model does not have.
        origins: the name by which a person called each cell that has another one now.
        lost: calls that are in no count: their cell is no longer outlined, or shares one with another call.
    """

    called: Mapping[str, str]
    added: tuple[CellOutline, ...]
    origins: Mapping[str, str]
    lost: int


def place_calls(
    verdicts: Sequence[Verdict],
    added: Sequence[CellOutline],
    cells: pl.DataFrame,
    read_outlines: ReadOutlines,
) -> PlacedCalls:
    """Find the cell of each call.

    A call by name goes before one by place: where a person took an outline away and drew another one there,
    the new one keeps its own call. A cell that a person added and the model outlines now is the model's, with
    the person's call, and counts once. Where somebody saw a call that went to another cell, and called that
    cell otherwise or took the call back, it is no longer of that cell.

    Args:
        verdicts: of persons, in order; the last one of a name holds.
        added: outlines of the cells that persons added.
        cells: the table of the model's cells.
        read_outlines: asked only for calls whose cell no name tells, and for cells of the model whose nucleus
            lies in an added one.
    """
    own = set(cells["cell_id"])
    names = own | {outline.cell_id for outline in added}
    last = {verdict.cell_id: verdict for verdict in verdicts}
    called = {name: one.called for name, one in last.items() if one.called and name in names}
    moved = {name: one.called for name, one in last.items() if one.called and name not in names}
    answered = {(one.cell_id, one.was): one.at for one in verdicts}

    def is_answered(found: str, name: str) -> bool:
        at = answered.get((found, last[name].called))
        return at is not None and at >= last[name].at

    by_place, origins, lost = dict[str, str](), dict[str, str](), 0
    for name, found in _find_by_place(moved, added, cells, read_outlines).items():
        call = moved[name]
        if found is None:
            lost += 1
        elif is_answered(found, name):
            continue
        elif found in called:
            lost += call not in {NOT_A_CELL, called[found]}
        elif found in own or call != NOT_A_CELL:
            lost += by_place.get(found, call) != call
            by_place[found], origins[found] = call, name
    called |= by_place
    repeated = _find_repeated(added, cells, called, read_outlines)
    for name, same in repeated.items():
        call, origin = called.pop(name, ""), origins.pop(name, name)
        if not call or is_answered(same, origin):
            continue
        if same in called:
            lost += called[same] != call
        else:
            called[same], origins[same] = call, origin
    return PlacedCalls(called, tuple(one for one in added if one.cell_id not in repeated), origins, lost)


def _find_by_place(
    names: Collection[str], added: Sequence[CellOutline], cells: pl.DataFrame, read_outlines: ReadOutlines
) -> dict[str, str | None]:
    """Return the cell that lies now where each name says that its cell lay; None where none does."""
    places = {name: _read_place(name) for name in names}
    near = {name: find_near(cells, *place, *place) for name, place in places.items() if place is not None}
    outlines = read_outlines({name for beside in near.values() for name in beside}) if near else {}
    return {
        name: _find_at(place, [*(outlines[n] for n in near.get(name, ()) if n in outlines), *added])
        for name, place in places.items()
    }


def _read_place(cell_id: str) -> tuple[int, int] | None:
    """Return column and row that a name says its cell lay at."""
    place = re.fullmatch(r"x(\d+)y(\d+)", cell_id)
    return None if place is None else (int(place[1]), int(place[2]))


def _find_at(place: tuple[int, int] | None, outlines: Sequence[CellOutline]) -> str | None:
    """Return the name of the cell that lies at a place."""
    if place is None:
        return None
    x, y = place
    for outline in outlines:
        height, width = outline.cell.shape
        row, column = y - outline.top, x - outline.left
        if 0 <= row < height and 0 <= column < width and outline.cell[row, column]:
            return outline.cell_id
    return None


def _find_repeated(
    added: Sequence[CellOutline],
    cells: pl.DataFrame,
    called: Mapping[str, str],
    read_outlines: ReadOutlines,
) -> dict[str, str]:
    """Return the cell of the model that each added one is, by the name of the latter, where there is one.

    In the count in which it was added a new nucleus lies in none of another cell, but for those that a person
    took away.
    """
    standing = [name for name in cells["cell_id"] if called.get(name) != NOT_A_CELL]
    centres = cells.filter(pl.col("cell_id").is_in(standing)).select("x_px", "y_px").to_numpy()
    inside: dict[str, list[str]] = {}
    for outline in added:
        nucleus = outline.nucleus_mask
        height, width = nucleus.mask.shape
        columns, rows = (centres - (nucleus.left, nucleus.top)).round().T
        within = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        inside[outline.cell_id] = [standing[row] for row in within.nonzero()[0]]
    asked = {name for names in inside.values() for name in names}
    outlines = read_outlines(asked) if asked else {}
    found = {}
    for outline in added:
        beside = (outlines[name] for name in inside[outline.cell_id] if name in outlines)
        same = (one.cell_id for one in beside if is_same_cell(outline.nucleus_mask, one.nucleus_mask))
        if (name := next(same, None)) is not None:
            found[outline.cell_id] = name
    return found
