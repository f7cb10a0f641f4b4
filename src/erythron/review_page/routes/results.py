"""The result: its signature, its versions, and the files that every export gives."""

from __future__ import annotations

from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi import Path as FromPath

from erythron.cells.table import make_empty_table
from erythron.differential.assemble import merge_differentials
from erythron.files.reading import read_content
from erythron.files.tables import format_csv
from erythron.results.field import read_cells, read_differential
from erythron.results.run import REPORT, SUMMARY
from erythron.results.signature import read_signatures
from erythron.review_page.access import Who, find_visitor
from erythron.review_page.routes.shared import (
    REFUSALS,
    SpecimenNumber,
    answer_events,
    get_book,
    get_readings,
    get_signer,
    make_maker,
    need_specimen,
)
from erythron.review_page.run import PageSpecimen
from erythron.review_page.schemas import (
    Conflict,
    EventsOut,
    ExportName,
    Problem,
    ResultOut,
    SignatureOut,
    SignIn,
)

router = APIRouter(
    prefix="/api/specimens/{number}",
    tags=["results"],
    responses={**REFUSALS, 423: {"model": Problem, "description": "The result is signed"}},
    dependencies=[Depends(find_visitor)],
)

_KINDS = {
    "report": ("report.html", "text/html; charset=utf-8"),
    "summary": ("summary.csv", "text/csv; charset=utf-8"),
    "cells": ("cells.csv", "text/csv; charset=utf-8"),
    "differential": ("differential.json", "application/json"),
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.split(";")[0]: _BINARY for _, kind in _KINDS.values()}}
}


@router.get("/signature")
def show_signature(request: Request, number: SpecimenNumber) -> ResultOut:
    """Return whether the result is signed, and every version that was."""
    book, specimen = get_book(request), need_specimen(request, number)
    book.refresh()
    return ResultOut(
        is_signed=book.is_signed(specimen),
        versions=[
            SignatureOut(
                version=s.version,
                reader=s.reader,
                at=s.at.isoformat(),
                nucleated_cells=s.nucleated_cells,
                confirmed_cells=s.confirmed_cells,
            )
            for s in read_signatures(specimen.folder)
        ],
    )


@router.post("/signature", responses={409: {"model": Conflict}})
def sign(request: Request, who: Who, number: SpecimenNumber, body: SignIn) -> ResultOut:
    """Sign the result as it stands: the run is counted again with the calls, and nothing more is changed."""
    specimen = need_specimen(request, number)
    get_readings(request).refuse_blind(who.reader, specimen)
    get_signer(request).sign(specimen, body.seen, make_maker(who))
    return show_signature(request, number)


@router.delete("/signature")
def open_again(request: Request, who: Who, number: SpecimenNumber) -> EventsOut:
    """Open a signed result again; the signed version is kept, and the next signature is of a new one."""
    book, specimen = get_book(request), need_specimen(request, number)
    get_readings(request).refuse_blind(who.reader, specimen)
    events = get_signer(request).open_again(specimen, make_maker(who))
    return answer_events(request, specimen, events, book.refresh())


@router.post("/recount", status_code=204)
def recount(request: Request, who: Who, number: SpecimenNumber) -> None:
    """Count the run again with the calls so far, as ``erythron recount`` would, without a signature."""
    specimen = need_specimen(request, number)
    get_readings(request).refuse_blind(who.reader, specimen)
    get_signer(request).recount(specimen)


@router.get("/exports/{name}", response_class=Response, responses=_FILE)
def export(
    request: Request,
    who: Who,
    number: SpecimenNumber,
    name: Annotated[ExportName, FromPath(description="Which file of the result.")],
) -> Response:
    """Return a file of the result as it lies in the folder of the run: as last signed or counted again."""
    specimen = need_specimen(request, number)
    get_readings(request).refuse_blind(who.reader, specimen)
    file_name, kind = _KINDS[name]
    try:
        content = _read(request, specimen, name)
    except OSError as error:
        raise HTTPException(404, "there is no such file; count again") from error
    headers = {"content-disposition": f'attachment; filename="{file_name}"'}
    return Response(content, media_type=kind, headers=headers)


def _read(request: Request, specimen: PageSpecimen, name: ExportName) -> bytes:
    settings = get_book(request).run.model.settings
    if name == "report":
        return read_content(specimen.folder / REPORT)
    if name == "summary":
        return read_content(specimen.folder / SUMMARY)
    if name == "cells":
        tables = [read_cells(field.folder) for field in specimen.fields]
        return format_csv(pl.concat(tables) if tables else make_empty_table(settings.classes)).encode()
    stored = (read_differential(field.folder) for field in specimen.fields)
    return merge_differentials(stored, settings).to_json().encode()
