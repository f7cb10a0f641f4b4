"""What goes in and out over HTTP; the OpenAPI description is made from these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from erythron.differential.counts import Differential
from erythron.review.store.events import Event

CellId = Annotated[str, Field(pattern=r"^x\d{1,7}y\d{1,7}$")]
"""The name of a cell in its image."""

Point = Annotated[list[float], Field(min_length=2, max_length=2)]
"""Column and row in an image; a list, since not every reader of a description knows tuples."""

Number = Annotated[int, Field(ge=0, le=1_000_000)]
Version = Annotated[int, Field(ge=0, le=1_000_000)]

MOST_CHANGES = 50_000
"""Cells that one request may call."""


class Strict(BaseModel):
    """A body that has no field but these."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why a request was not done."""

    detail: str


class LogIn(Strict):
    """Opens a session."""

    password: str = Field(max_length=500)
    reader: str = Field(min_length=1, max_length=200)


class SessionOut(BaseModel):
    """The session of this browser; ``csrf`` goes with every change as the header ``X-CSRF-Token``."""

    reader: str
    csrf: str


class ClassOut(BaseModel):
    """A class that a cell can be called; ``key`` is the key of the page."""

    name: str
    title: str
    lineage: str
    colour: str
    key: str


class FieldOut(BaseModel):
    """A field of a specimen; ``mpp`` is microns per pixel, ``crop_px`` the side of its crops."""

    number: int
    name: str
    title: str
    width_px: int
    height_px: int
    mpp: float | None
    crop_px: int
    cells: int


class SpecimenOut(BaseModel):
    """A specimen with its fields."""

    number: int
    name: str
    fields: list[FieldOut]


class RunOut(BaseModel):
    """What is reviewed."""

    name: str
    version: str
    model: str
    reader: str
    csrf: str
    classes: list[ClassOut]
    specimens: list[SpecimenOut]
    unclassified_below: float
    targets: list[int]


class StandingOut(BaseModel):
    """What was last done to a cell, region or specimen."""

    field: int
    subject: str
    version: int
    kind: str
    becomes: str
    reader: str
    at: str
    id: int


class CellsOut(BaseModel):
    """The cells of a specimen as columns of equal length, and what persons did to them.

    ``label`` counts in the classes of the run; ``counted_as`` is by the model alone; ``added`` is True for a
    cell that a person outlined, which is gone where it is said to be no cell;
    ``outside`` is True where a region that a person drew leaves the cell out of the count; ``doubt`` is 0
    for a sure call to 1; ``maturity`` is the mean stage by the probabilities, None for a cell of no stage;
    ``place`` is the centre of the nucleus and the size of the cell, in pixels.
    """

    field: list[int]
    cell_id: list[str]
    place: list[Annotated[list[float], Field(min_length=4, max_length=4)]]
    label: list[int]
    confidence: list[float]
    counted_as: list[str]
    added: list[bool]
    outside: list[bool]
    doubt: list[float]
    maturity: list[float | None]
    standing: list[StandingOut]
    last: int


class QueueOut(BaseModel):
    """The cells to call next as columns of equal length, the most useful first; ``last`` as in `CellsOut`."""

    field: list[int]
    cell_id: list[str]
    last: int


class CellDetail(BaseModel):
    """All that the model says of a cell; a measurement that is missing is None."""

    field: int
    cell_id: str
    probabilities: list[float]
    measurements: dict[str, float | None]
    flags: list[str]
    outline: list[list[Point]]
    nucleus: list[list[Point]]


class CallIn(Strict):
    """A call of a cell; ``called`` is empty to take the last call back."""

    field: Number
    cell_id: CellId
    seen: Version
    called: str = Field(max_length=60)


class CallsIn(Strict):
    """Calls that are made together; all are stored, or none."""

    action: str = Field(pattern=r"^[0-9A-Za-z-]{1,64}$")
    calls: list[CallIn] = Field(min_length=1, max_length=MOST_CHANGES)


class EventOut(BaseModel):
    """A change that is stored."""

    id: int
    field: int
    subject: str
    version: int
    kind: str
    was: str
    becomes: str
    reader: str
    at: str
    action: str


class EventsOut(BaseModel):
    """Changes in order; ``last`` is the newest one of the run, ``fields`` how many the specimen has now."""

    events: list[EventOut]
    last: int
    fields: int


class Conflict(BaseModel):
    """What stands of the cells that somebody else changed meanwhile; nothing of the request was stored."""

    detail: str
    current: list[StandingOut]


class DifferentialOut(BaseModel):
    """The differential as the cells are called now; ``last`` is the event that it follows.

    ``is_provisional`` says that its flags make it one that is not to be reported as it stands;
    ``nothing_counted`` why no nucleated cell is counted, empty where some are; ``cells`` how many there are
    in all, and ``confirmed`` how many of these persons have called: where a page shows other numbers, a call
    went to another cell, and it asks for the cells anew.
    """

    differential: Differential
    is_provisional: bool
    nothing_counted: str
    cells: int
    confirmed: int
    last: int


class SignIn(Strict):
    """A signature of what the reader has seen; ``seen`` is the number of the last event."""

    seen: int = Field(ge=0, le=2**53)


class SignatureOut(BaseModel):
    """A signed version of the result."""

    version: int
    reader: str
    at: str
    nucleated_cells: int
    confirmed_cells: int


class ResultOut(BaseModel):
    """Whether the result is signed, and every version that was."""

    is_signed: bool
    versions: list[SignatureOut]


class JobOut(BaseModel):
    """A picture that was sent, and how far it is.

    ``field`` is the number of its field once it is counted; ``repeats`` names the field that has the same
    pixels, which are counted once; ``reason`` says why it could not be counted; ``links`` are addresses of
    results.
    """

    id: int
    state: Literal["queued", "counting", "done", "failed"]
    name: str
    specimen: int | None
    field: int | None
    repeats: str
    reason: str
    reader: str
    at: str
    links: dict[str, str]


class JobsOut(BaseModel):
    """Pictures that were sent, the newest first; ``waiting`` are neither counted nor refused yet, of all."""

    jobs: list[JobOut]
    waiting: int


class ReadingOut(BaseModel):
    """How far a reader is."""

    reader: str
    is_done: bool
    called: int


class CallsOfCell(BaseModel):
    """What each reader called a cell."""

    field: int
    cell_id: str
    calls: dict[str, str]


class AgreementOut(BaseModel):
    """Agreement of two readers over the cells that both called, as ``erythron compare`` finds it."""

    a: str
    b: str
    matched: int
    same_call: float | None
    same_call_interval: Point | None
    class_kappa: float | None
    stage_kappa: float | None
    within_one_stage: float | None


class ReadersOut(BaseModel):
    """The readers; ``is_reading`` is True while the one who asks still reads without seeing the others."""

    is_blind: bool
    is_reading: bool
    readers: list[ReadingOut]
    calls: list[CallsOfCell]
    agreement: list[AgreementOut]


ExportName = Literal["report", "summary", "cells", "differential"]


def as_standing(event: Event, field: int) -> StandingOut:
    """Return an event as what stands."""
    return StandingOut(
        field=field,
        subject=event.subject,
        version=event.version,
        kind=event.kind.value,
        becomes=event.becomes,
        reader=event.reader,
        at=event.at.isoformat(),
        id=event.id,
    )


def as_event(event: Event, field: int) -> EventOut:
    """Return an event as it goes out."""
    return EventOut(
        id=event.id,
        field=field,
        subject=event.subject,
        version=event.version,
        kind=event.kind.value,
        was=event.was,
        becomes=event.becomes,
        reader=event.reader,
        at=event.at.isoformat(),
        action=event.action,
    )
