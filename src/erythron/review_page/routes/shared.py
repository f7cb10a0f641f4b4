"""What several routes share: the parts of the application, and refusals in the OpenAPI description."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import HTTPException, Path, Request

from erythron.review.store.events import SHARED, Event, Maker
from erythron.review_page.access import Visitor
from erythron.review_page.book import Book
from erythron.review_page.field import PageField
from erythron.review_page.pixels import Crops, Images
from erythron.review_page.readings import Readings
from erythron.review_page.run import PageSpecimen
from erythron.review_page.schemas import EventsOut, Problem, as_event
from erythron.review_page.signer import Signer
from erythron.review_page.uploads import Uploads

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No session, or a wrong password"},
    403: {"model": Problem, "description": "A request of another site"},
    404: {"model": Problem, "description": "There is no such thing"},
    413: {"model": Problem, "description": "Too large"},
    421: {"model": Problem, "description": "Another name than the server's"},
    422: {"model": Problem, "description": "The request is not as described"},
    429: {"model": Problem, "description": "Too many wrong passwords"},
    503: {"model": Problem, "description": "The database cannot be used now; nothing was stored"},
}
"""Answers that any route may give."""

SpecimenNumber = Annotated[int, Path(ge=0, le=1_000_000, description="Place of the specimen in the run.")]
FieldNumber = Annotated[int, Path(ge=0, le=1_000_000, description="Place of the field in the run.")]


def get_book(request: Request) -> Book:
    """Return the review that is served."""
    book: Book = request.app.state.book
    return book


def get_images(request: Request) -> Images:
    """Return the pixels of the run."""
    images: Images = request.app.state.images
    return images


def get_crops(request: Request) -> Crops:
    """Return the crops of the cells."""
    crops: Crops = request.app.state.crops
    return crops


def get_signer(request: Request) -> Signer:
    """Return what signs results."""
    signer: Signer = request.app.state.signer
    return signer


def get_uploads(request: Request) -> Uploads:
    """Return the pictures that are sent."""
    uploads: Uploads = request.app.state.uploads
    return uploads


def get_readings(request: Request) -> Readings:
    """Return the readings of several readers."""
    readings: Readings = request.app.state.readings
    return readings


def need_specimen(request: Request, number: int) -> PageSpecimen:
    """Return a specimen by its number.

    Raises:
        HTTPException: 404 where there is none.
    """
    specimens = get_book(request).run.specimens
    if number >= len(specimens):
        raise HTTPException(404, f"there are {len(specimens)} specimens")
    return specimens[number]


def need_field(request: Request, number: int) -> PageField:
    """Return a field by its number.

    Raises:
        HTTPException: 404 where there is none.
    """
    fields = get_book(request).run.fields
    if number >= len(fields):
        raise HTTPException(404, f"there are {len(fields)} fields")
    return fields[number]


def make_maker(who: Visitor, action: str | None = None, lane: str = SHARED) -> Maker:
    """Return who makes changes now."""
    return Maker(who.reader, datetime.now(UTC), action or uuid.uuid4().hex, who.source, lane)


def answer_events(
    request: Request, specimen: PageSpecimen, events: Sequence[Event], last: int | None = None
) -> EventsOut:
    """Return events of a specimen as they go out.

    Args:
        request: that is answered.
        specimen: theirs.
        events: in order.
        last: number of the newest event of the run; None where it is the last of these.
    """
    return EventsOut(
        events=[as_event(event, field) for event, field in number_fields(specimen, events)],
        last=events[-1].id if last is None else last,
        fields=len(get_book(request).run.specimens[specimen.number].fields),
    )


def number_fields(specimen: PageSpecimen, events: Sequence[Event]) -> list[tuple[Event, int]]:
    """Return events with the numbers of their fields; -1 for what is of the whole specimen."""
    numbers = {field.name: field.number for field in specimen.fields}
    return [(event, numbers.get(event.image, -1)) for event in events]
