"""Pictures that a program or a reader sends, and how far each is.

The body of an upload is the picture itself, not a form: it goes to the disk as it comes, one call of ``curl``
sends it, and there is no second place, besides the query, that could name a file or a type.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from erythron.errors import ImageReadError, describe_os_error
from erythron.read.fields import MPP_RANGE
from erythron.review.store.jobs import Job, Sent, TooManyJobsError
from erythron.review_page.access import Who, find_visitor
from erythron.review_page.book import LockedError
from erythron.review_page.intake import Intake, SlowError, Stored, TooManyAtOnceError
from erythron.review_page.routes.shared import REFUSALS, get_book, get_uploads, need_specimen
from erythron.review_page.run import PageSpecimen
from erythron.review_page.schemas import JobOut, JobsOut, Problem
from erythron.review_page.sessions import clean_line

router = APIRouter(prefix="/api", tags=["pictures that are sent"], responses=REFUSALS)

UPLOAD = ("POST", "/api/images")
"""The one request whose body may be as large as a picture."""

_LONGEST_TITLE = 120
_AGAIN_S = 30
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_BODY = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_REFUSED: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "The sender fell silent"},
    415: {"model": Problem, "description": "No picture of a kind that is read, or a compressed body"},
    423: {"model": Problem, "description": "The result is signed"},
    429: {"model": Problem, "description": "Too many pictures wait or come in, or too many wrong passwords"},
    507: {"model": Problem, "description": "The disk is full; nothing was stored"},
}


@router.post(
    "/images",
    status_code=202,
    responses=_REFUSED,
    openapi_extra={"requestBody": {"required": True, **_BODY}},
)
async def send_image(
    request: Request,
    response: Response,
    who: Who,
    *,
    name: Annotated[str, Query(max_length=500, description="What readers are shown; it names no file.")] = "",
    specimen: Annotated[int, Query(ge=0, le=1_000_000, description="Number of the specimen.")] = 0,
    mpp: Annotated[
        float | None,
        Query(ge=MPP_RANGE[0], le=MPP_RANGE[1], description="Microns per pixel; else as the run says."),
    ] = None,
) -> JobOut:
    """Take a picture, to be counted into the run; the answer comes when it is on the disk.

    The body is the file: JPEG, PNG, WebP, BMP or TIFF, told by its content. A picture that the specimen has
    already is not counted twice: the answer is the job that it had.
    """
    of = await run_in_threadpool(_need_open, request, specimen)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "send the picture as it is, without a content encoding")

    def enter(stored: Stored) -> Job:
        title = clean_line(name, _LONGEST_TITLE) or f"picture {stored.sha256[:8]}"
        now = datetime.now(UTC)
        sent = Sent(of.key, str(stored.path), stored.sha256, title, mpp, who.reader, now)
        return get_uploads(request).add(sent)

    job = await _take(request, of, enter)
    response.headers["location"] = f"/api/jobs/{job.id}"
    return await run_in_threadpool(_describe, request, job)


@router.get("/jobs", dependencies=[Depends(find_visitor)])
def list_jobs(
    request: Request,
    most: Annotated[int, Query(ge=1, le=500, description="Jobs that are listed.")] = 100,
    before: Annotated[int | None, Query(ge=0, le=2**53, description="Only jobs before this one.")] = None,
) -> JobsOut:
    """Return how far the pictures are that were sent, the newest first."""
    jobs = get_uploads(request).jobs
    return JobsOut(
        jobs=[_describe(request, job) for job in jobs.list_last(most, before)],
        waiting=jobs.count_waiting(),
    )


@router.get("/jobs/{job}", dependencies=[Depends(find_visitor)])
def show_job(
    request: Request, job: Annotated[int, Path(ge=0, le=2**53, description="Its number.")]
) -> JobOut:
    """Return how far a picture is, and where its results are once it is counted."""
    found = get_uploads(request).jobs.find(job)
    if found is None:
        raise HTTPException(404, "there is no such job")
    return _describe(request, found)


def _need_open(request: Request, number: int) -> PageSpecimen:
    """Return a specimen whose result is not signed, where another picture may wait."""
    specimen, book = need_specimen(request, number), get_book(request)
    book.refresh()
    if book.is_signed(specimen):
        raise LockedError
    if get_uploads(request).is_full():
        raise _ask_later()
    return specimen


async def _take(request: Request, specimen: PageSpecimen, enter: Callable[[Stored], Job]) -> Job:
    intake: Intake = request.app.state.intake
    folder = get_uploads(request).choose_folder(specimen)
    try:
        return await intake.take(request.stream(), folder, enter)
    except ImageReadError as error:
        raise HTTPException(415, str(error)) from error
    except (TooManyAtOnceError, TooManyJobsError) as error:
        raise _ask_later() from error
    except (SlowError, ClientDisconnect) as error:
        raise HTTPException(408, "the picture did not come whole") from error
    except OSError as error:
        raise _explain(error) from error


def _ask_later() -> HTTPException:
    text = "too many pictures come in or wait to be counted; send it again later"
    return HTTPException(429, text, {"retry-after": str(_AGAIN_S)})


def _explain(error: OSError) -> Exception:
    """Return the answer where the disk is full; any other error as it is."""
    if error.errno not in _FULL:
        return error
    reason = describe_os_error(OSError(error.errno, error.strerror))
    return HTTPException(507, f"nothing was stored: {reason}")


def _describe(request: Request, job: Job) -> JobOut:
    run, sent = get_book(request).run, job.sent
    field = get_uploads(request).find_field(job)
    number = next((s.number for s in run.specimens if s.key == sent.specimen), None)
    of, at = f"/api/specimens/{number}", None if field is None else f"/api/fields/{field.number}"
    return JobOut(
        id=job.id,
        state=job.state.value,
        name=sent.title,
        specimen=number,
        field=None if field is None else field.number,
        repeats="" if field is None or field.name == sent.image else field.title,
        reason=job.reason,
        reader=sent.reader,
        at=sent.at.isoformat(),
        links={}
        if at is None
        else {
            "cells": f"{of}/cells",
            "differential": f"{of}/differential",
            "report": f"{of}/exports/report",
            "outlines": f"{at}/outlines",
            "page": f"/#specimen={number}",
        },
    )
