"""Cells that a person outlines, splits or merges, and regions to count in or to leave out."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from erythron.cells.outline import CellOutline
from erythron.errors import DataError
from erythron.pipeline.slides.reviewed import AROUND_UM
from erythron.review.store.events import SHARED, Change, Event
from erythron.review.store.tables import EventKind
from erythron.review_page import edits
from erythron.review_page.access import Who, find_visitor
from erythron.review_page.field import PageField
from erythron.review_page.routes.shared import (
    REFUSALS,
    FieldNumber,
    answer_events,
    get_book,
    get_images,
    get_readings,
    make_maker,
    need_field,
)
from erythron.review_page.schemas import CellId, Conflict, EventsOut, Problem, Strict, Version

router = APIRouter(
    prefix="/api/fields/{number}",
    tags=["edits"],
    dependencies=[Depends(find_visitor)],
    responses={
        **REFUSALS,
        409: {"model": Conflict},
        423: {"model": Problem, "description": "The result is signed"},
    },
)

Coordinate = Annotated[float, Field(ge=-1000, le=10_000_000)]
Place = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
Ring = Annotated[list[Place], Field(min_length=3, max_length=2000)]
ActionName = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,64}$")]


class SeenCell(Strict):
    """A cell with the version that the reader had seen."""

    cell_id: CellId
    seen: Version


class ClickIn(Strict):
    """Outline the cell at a place by the segmentation network."""

    kind: Literal["click"]
    action: ActionName
    at: Place


class DrawIn(Strict):
    """Take an outline that was drawn by hand; without a nucleus what the network sees of one is taken."""

    kind: Literal["draw"]
    action: ActionName
    cell: Ring
    nucleus: Ring | None = None


class SplitIn(Strict):
    """Part a cell in several, at a point in each; without points in two, along its longest axis."""

    kind: Literal["split"]
    action: ActionName
    cell: SeenCell
    points: list[Place] = Field(default=[], max_length=8)


class MergeIn(Strict):
    """Make one cell of several that touch."""

    kind: Literal["merge"]
    action: ActionName
    cells: list[SeenCell] = Field(min_length=2, max_length=8)


class RegionIn(Strict):
    """Draw a region, or remove one."""

    action: ActionName
    region_id: str = Field(pattern=r"^region-[0-9a-z]{1,32}$")
    seen: Version
    mode: Literal["count", "leave_out", "removed"]
    ring: Ring


Edit = Annotated[ClickIn | DrawIn | SplitIn | MergeIn, Field(discriminator="kind")]


@router.post("/edits")
def edit_cells(request: Request, who: Who, number: FieldNumber, body: Edit) -> EventsOut:
    """Add a missed cell, split one or merge several; what they take the place of is no cell any more."""
    field = need_field(request, number)
    get_readings(request).refuse_blind(who.reader, get_book(request).run.get_specimen(field))
    gone: list[SeenCell] = []
    made: tuple[CellOutline, ...]
    if isinstance(body, ClickIn | DrawIn):
        run = get_book(request).run
        corners = _pairs([body.at] if isinstance(body, ClickIn) else [*body.cell, *(body.nucleus or ())])
        part = get_images(request).read_around(field, corners, AROUND_UM)
        with run.computing:
            if isinstance(body, ClickIn):
                made = (edits.outline_click(part, corners[0], run.model),)
            else:
                nucleus = None if body.nucleus is None else _pairs(body.nucleus)
                made = (edits.outline_drawn(part, _pairs(body.cell), nucleus, run.model),)
    elif isinstance(body, SplitIn):
        gone = [body.cell]
        made = edits.split_outline(
            get_book(request).need_outline(field, body.cell.cell_id), _pairs(body.points)
        )
    else:
        if len({cell.cell_id for cell in body.cells}) < len(body.cells):
            raise DataError("a cell stands twice among those to merge; name each once")
        gone = body.cells
        made = (edits.merge_outlines([get_book(request).need_outline(field, c.cell_id) for c in body.cells]),)
    seen = {cell.cell_id: cell.seen for cell in gone}
    return _answer(request, field, get_book(request).edit(field, made, seen, make_maker(who, body.action)))


@router.post("/regions")
def draw_region(request: Request, who: Who, number: FieldNumber, body: RegionIn) -> EventsOut:
    """Draw a region to count in or to leave out, or remove one."""
    book, field = get_book(request), need_field(request, number)
    get_readings(request).refuse_blind(who.reader, book.run.get_specimen(field))
    last = book.find(SHARED, (field.name, body.region_id))
    change = Change(
        field.name,
        body.region_id,
        body.seen,
        EventKind.REGION,
        "" if last is None else last.becomes,
        body.mode,
        json.dumps([*body.ring, body.ring[0]]),
    )
    return _answer(
        request, field, book.change([change], make_maker(who, body.action), book.run.get_specimen(field))
    )


@router.get("/regions")
def list_regions(request: Request, number: FieldNumber) -> list[dict[str, Any]]:
    """Return the regions that are drawn in a field: name, version, mode and corners."""
    book, field = get_book(request), need_field(request, number)
    book.refresh()
    standing = book.list_standing(SHARED, book.run.get_specimen(field))
    return [
        {
            "region_id": event.subject,
            "version": event.version,
            "mode": event.becomes,
            "ring": json.loads(event.shape or "[]"),
            "reader": event.reader,
        }
        for event in standing
        if event.kind is EventKind.REGION and event.image == field.name and event.becomes != "removed"
    ]


def _pair(point: list[float]) -> edits.Point:
    x, y = point
    return x, y


def _pairs(points: list[list[float]]) -> list[edits.Point]:
    return [_pair(point) for point in points]


def _answer(request: Request, field: PageField, events: tuple[Event, ...]) -> EventsOut:
    specimen = get_book(request).run.get_specimen(field)
    return answer_events(request, specimen, events)
