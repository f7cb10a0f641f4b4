"""Cells, their calls and the differential that follows from them."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import polars as pl
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import JSONResponse

from erythron import __version__
from erythron.cells.classes import ERYTHROID_STAGES, Lineage
from erythron.cells.flags import split_flags
from erythron.cells.palette import UNCLASSIFIED_COLOUR, colour_of
from erythron.cells.table import (
    LEFT_OUT,
    MEASUREMENT_COLUMNS,
    NOT_A_CELL,
    PROBABILITY,
    UNCLASSIFIED,
    make_empty_table,
)
from erythron.pipeline.reviewed import find_outside
from erythron.quality.flags import is_provisional
from erythron.report.wording import explain_nothing
from erythron.review.queue import rate_doubt
from erythron.review.store.events import SHARED, StaleError
from erythron.review_page.access import Who, find_visitor
from erythron.review_page.book import Book, Call
from erythron.review_page.field import PageField
from erythron.review_page.ranking import rank_cells, rate_maturity, read_probabilities
from erythron.review_page.routes.shared import (
    REFUSALS,
    SpecimenNumber,
    answer_events,
    get_book,
    get_crops,
    get_readings,
    make_maker,
    need_specimen,
    number_fields,
)
from erythron.review_page.run import PageSpecimen
from erythron.review_page.schemas import (
    CallsIn,
    CellDetail,
    CellsOut,
    ClassOut,
    Conflict,
    DifferentialOut,
    EventsOut,
    FieldOut,
    Problem,
    QueueOut,
    RunOut,
    SpecimenOut,
    as_standing,
)

router = APIRouter(prefix="/api", tags=["cells"], responses=REFUSALS, dependencies=[Depends(find_visitor)])

_STAGE_KEYS, _OTHER_KEYS = "1234", "567890qwetipbchjkl"
_PLACE = ("x_px", "y_px", "width_px", "height_px")
_MEASURED = [name for name, kind in MEASUREMENT_COLUMNS.items() if kind.is_numeric()]

MOST_CELLS = 200
"""Cells that are asked for at once in detail."""

CellList = Annotated[
    str,
    Query(
        pattern=r"^\d{1,7}:x\d{1,7}y\d{1,7}(,\d{1,7}:x\d{1,7}y\d{1,7})*$",
        max_length=30 * MOST_CELLS,
        description="Cells as FIELD:CELL_ID, commas between them.",
    ),
]


@router.get("/run")
def show_run(request: Request, who: Who) -> RunOut:
    """Return what is reviewed: specimens, fields and the classes of the model with their keys."""
    run, crops = get_book(request).run, get_crops(request)
    bundle = run.model.bundle
    return RunOut(
        name=run.out.resolve().name,
        version=__version__,
        model=f"{bundle.card.name} {bundle.card.version}",
        reader=who.reader,
        csrf=who.csrf,
        classes=_list_classes(run.model.settings.classes),
        specimens=[
            SpecimenOut(
                number=specimen.number,
                name=specimen.name,
                fields=[
                    FieldOut(
                        number=field.number,
                        name=field.name,
                        title=field.title,
                        width_px=field.record.width_px,
                        height_px=field.record.height_px,
                        mpp=field.record.mpp,
                        crop_px=2 * crops.half_side(field),
                        cells=field.by_model.cells.height,
                    )
                    for field in specimen.fields
                ],
            )
            for specimen in run.specimens
        ],
        unclassified_below=bundle.card.unclassified_below,
        targets=list(request.app.state.settings.targets),
    )


@router.get("/specimens/{number}/cells")
def list_cells(request: Request, who: Who, number: SpecimenNumber) -> CellsOut:
    """Return the cells of a specimen and what persons called them."""
    book, specimen = get_book(request), need_specimen(request, number)
    last = book.refresh()
    lane = get_readings(request).choose_lane(who.reader, specimen)
    names = [c.name for c in book.run.model.settings.classes]
    stages = [stage.name for stage in ERYTHROID_STAGES if stage.name in names]
    tables = [book.list_cells(lane, field) for field in specimen.fields]
    cells = pl.concat(tables) if tables else make_empty_table(book.run.model.settings.classes)
    places = {name: i for i, name in enumerate(names)}
    called = [*book.list_standing(lane, specimen), *book.list_moved(lane, specimen)]
    standing = number_fields(specimen, called)
    return CellsOut(
        field=[f.number for f, t in zip(specimen.fields, tables, strict=True) for _ in range(t.height)],
        cell_id=cells["cell_id"].to_list(),
        place=[list(row) for row in cells.select(pl.col(*_PLACE).cast(pl.Float64).round(1)).iter_rows()],
        label=[places[label] for label in cells["label"]],
        confidence=cells["confidence"].round(4).to_list(),
        counted_as=cells["counted_as"].to_list(),
        added=[f.is_added(n) for f, t in zip(specimen.fields, tables, strict=True) for n in t["cell_id"]],
        outside=_find_outside(book, specimen, tables),
        doubt=rate_doubt(read_probabilities(cells, names)).round(4).tolist(),
        maturity=rate_maturity(cells, stages),
        standing=[as_standing(event, field) for event, field in standing],
        last=last,
    )


@router.get("/specimens/{number}/queue")
def list_next(
    request: Request,
    who: Who,
    number: SpecimenNumber,
    most: Annotated[int, Query(ge=1, le=500, description="Cells that are listed.")] = 200,
) -> QueueOut:
    """Return the cells that the reader should call next: in doubt, and unlike each other and those called."""
    book, specimen = get_book(request), need_specimen(request, number)
    last = book.refresh()
    lane = get_readings(request).choose_lane(who.reader, specimen)
    fields = [(field, book.list_cells(lane, field)) for field in specimen.fields]
    keys = [(field, cell_id) for field, table in fields for cell_id in table["cell_id"]]
    standing = {(e.image, e.subject) for e in book.list_standing(lane, specimen) if e.becomes}
    standing |= {(e.image, e.subject) for e in book.list_moved(lane, specimen)}
    called = np.array([(field.name, cell_id) in standing for field, cell_id in keys], np.bool_)
    outside = np.array(_find_outside(book, specimen, [table for _, table in fields]), np.bool_)
    counted = np.array([name != LEFT_OUT for _, table in fields for name in table["counted_as"]], np.bool_)
    names = [c.name for c in book.run.model.settings.classes]
    rows = rank_cells(fields, names, called, counted & ~outside, most) if fields else []
    return QueueOut(
        field=[keys[row][0].number for row in rows], cell_id=[keys[row][1] for row in rows], last=last
    )


@router.get("/cells")
def describe_cells(request: Request, cells: CellList) -> list[CellDetail]:
    """Return probabilities, measurements and outlines of some cells."""
    book = get_book(request)
    names = [c.name for c in book.run.model.settings.classes]
    found: dict[tuple[int, str], CellDetail] = {}
    wanted = split_list(cells)
    for field, of_field in group_by_field(book, wanted):
        outlines = field.trace(of_field)
        for row in field.find_cells(of_field).iter_rows(named=True):
            outline = outlines[row["cell_id"]]
            found[field.number, row["cell_id"]] = CellDetail(
                field=field.number,
                cell_id=row["cell_id"],
                probabilities=[round(row[PROBABILITY + name], 4) for name in names],
                measurements={name: _finite(row[name]) for name in _MEASURED},
                flags=sorted(split_flags(row["flags"])),
                outline=outline.cell,
                nucleus=outline.nucleus,
            )
    return [found[key] for key in wanted if key in found]


@router.post(
    "/specimens/{number}/calls",
    responses={409: {"model": Conflict}, 423: {"model": Problem, "description": "The result is signed"}},
)
def call_cells(request: Request, who: Who, number: SpecimenNumber, body: CallsIn) -> EventsOut:
    """Call cells; the answer comes when the calls are on the disk, and all of them are, or none."""
    book, specimen = get_book(request), need_specimen(request, number)
    calls = [Call(call.field, call.cell_id, call.seen, call.called) for call in body.calls]
    book.refresh()
    lane = get_readings(request).choose_lane(who.reader, specimen)
    events = book.call(calls, make_maker(who, body.action, lane), specimen)
    return answer_events(request, specimen, events)


@router.get("/specimens/{number}/events")
def list_events(
    request: Request,
    who: Who,
    number: SpecimenNumber,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> EventsOut:
    """Return every change after one, in order; who, when, from and to."""
    book, specimen = get_book(request), need_specimen(request, number)
    last = book.refresh()
    lane = get_readings(request).choose_lane(who.reader, specimen)
    return answer_events(request, specimen, book.list_events(lane, specimen, after), last)


@router.get("/specimens/{number}/differential")
def show_differential(request: Request, who: Who, number: SpecimenNumber) -> DifferentialOut:
    """Return the differential as the cells are called now, as a recount would give it."""
    book, specimen = get_book(request), need_specimen(request, number)
    last = book.refresh()
    lane = get_readings(request).choose_lane(who.reader, specimen)
    found = book.make_differential(lane, specimen)
    tables = [book.call_cells(lane, field).cells for field in specimen.fields]
    confirmed = sum(cells.filter(pl.col("confirmed_as").fill_null("") != "").height for cells in tables)
    nothing = explain_nothing(found)
    return DifferentialOut(
        differential=found,
        is_provisional=is_provisional(found.flags) and not nothing,
        nothing_counted=nothing,
        cells=sum(cells.height for cells in tables),
        confirmed=confirmed,
        last=last,
    )


def answer_conflict(request: Request, error: Exception) -> JSONResponse:
    """Say what stands of the cells that somebody else has changed."""
    book = get_book(request)
    events = list(error.last) if isinstance(error, StaleError) else []
    numbers = {field.name: field.number for field in book.run.fields}
    text = "somebody else has changed these cells meanwhile; nothing was stored"
    found = Conflict(detail=text, current=[as_standing(e, numbers.get(e.image, -1)) for e in events])
    return JSONResponse(found.model_dump(), 409)


def split_list(cells: str) -> list[tuple[int, str]]:
    """Return fields and names of a list of cells.

    Raises:
        HTTPException: 422 where there are too many.
    """
    parts = [part.split(":") for part in cells.split(",")]
    if len(parts) > MOST_CELLS:
        raise HTTPException(422, f"ask for at most {MOST_CELLS} cells at once")
    return [(int(field), name) for field, name in parts]


def group_by_field(book: Book, cells: list[tuple[int, str]]) -> list[tuple[PageField, list[str]]]:
    """Return those of the cells that are there, by field."""
    groups: dict[int, list[str]] = {}
    for number, name in cells:
        if number < len(book.run.fields) and book.run.fields[number].has_cell(name):
            groups.setdefault(number, []).append(name)
    return [(book.run.fields[number], names) for number, names in groups.items()]


def _find_outside(book: Book, specimen: PageSpecimen, tables: list[pl.DataFrame]) -> list[bool]:
    """Return for each cell whether the regions that are drawn leave it out."""
    found: list[bool] = []
    for field, table in zip(specimen.fields, tables, strict=True):
        found += find_outside(table, book.get_review(SHARED, field).standing_regions)
    return found


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def _list_classes(classes: Any) -> list[ClassOut]:
    stages = [c for c in classes if c.lineage is Lineage.ERYTHROID]
    others = [c for c in classes if c.lineage is not Lineage.ERYTHROID]
    keys = dict(zip((c.name for c in stages), _STAGE_KEYS, strict=False))
    keys |= dict(zip((c.name for c in others), _OTHER_KEYS, strict=False))
    listed = [
        ClassOut(
            name=c.name,
            title=c.title,
            lineage=c.lineage.value,
            colour=colour_of(c.name).hex,
            key=keys.get(c.name, ""),
        )
        for c in classes
    ]
    for name, title, key in ((UNCLASSIFIED, "Unclassified", "u"), (NOT_A_CELL, "Not a cell", "x")):
        colour = UNCLASSIFIED_COLOUR.hex
        listed.append(ClassOut(name=name, title=title, lineage="", colour=colour, key=key))
    return listed
