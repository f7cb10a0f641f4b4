"""Several readers: how far each is, how far they agree, and what each called a cell."""

from __future__ import annotations

from fastapi import APIRouter, Request

from erythron.review.store.events import SHARED
from erythron.review_page.access import Who
from erythron.review_page.routes.shared import (
    REFUSALS,
    SpecimenNumber,
    get_book,
    get_readings,
    make_maker,
    need_specimen,
)
from erythron.review_page.schemas import AgreementOut, CallsOfCell, Problem, ReadersOut, ReadingOut

router = APIRouter(
    prefix="/api/specimens/{number}/readings",
    tags=["readers"],
    responses={**REFUSALS, 423: {"model": Problem, "description": "Signed, or still to be read blind"}},
)


@router.get("")
def list_readings(request: Request, who: Who, number: SpecimenNumber) -> ReadersOut:
    """Return how far each reader is; calls and agreement only to who has done, and of those who have done."""
    specimen, readings = need_specimen(request, number), get_readings(request)
    found = readings.list_readings(specimen)
    is_reading = readings.choose_lane(who.reader, specimen) != SHARED
    out = ReadersOut(
        is_blind=readings.is_blind,
        is_reading=is_reading,
        readers=[ReadingOut(reader=r.reader, is_done=r.is_done, called=r.called) for r in found],
        calls=[],
        agreement=[],
    )
    if is_reading:
        return out
    numbers = {field.name: field.number for field in specimen.fields}
    for (image, cell_id), calls in readings.list_calls(specimen).items():
        out.calls.append(CallsOfCell(field=numbers[image], cell_id=cell_id, calls=calls))
    for pair in readings.compare(specimen):
        cells = pair.cells
        out.agreement.append(
            AgreementOut(
                a=pair.a,
                b=pair.b,
                matched=cells.matched,
                same_call=cells.same_call.value,
                same_call_interval=None
                if cells.same_call.interval is None
                else list(cells.same_call.interval),
                class_kappa=cells.class_kappa.value,
                stage_kappa=cells.stage_kappa.value,
                within_one_stage=cells.within_one_stage.value,
            )
        )
    return out


@router.post("/done")
def finish(request: Request, who: Who, number: SpecimenNumber) -> ReadersOut:
    """End one's own blind reading: its calls are final, and those of others who have done are shown."""
    specimen = need_specimen(request, number)
    get_book(request).refresh()
    get_readings(request).finish(specimen, make_maker(who))
    return list_readings(request, who, number)
