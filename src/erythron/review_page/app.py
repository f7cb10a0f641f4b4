"""The application: routes over the review of one run."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from erythron import __version__
from erythron.errors import ErythronError
from erythron.review.store.events import EventLog, StaleError
from erythron.review.store.jobs import JobLog
from erythron.review_page.access import name_cookie
from erythron.review_page.book import Book, LockedError
from erythron.review_page.counter import CountingProcess
from erythron.review_page.guard import Guard, Rules
from erythron.review_page.intake import MAX_UPLOAD_BYTES, Intake
from erythron.review_page.pixels import Crops, Images, find_cell_size
from erythron.review_page.readings import BlindError, Readings
from erythron.review_page.routes import cells, edits, entry, pictures, readers, results
from erythron.review_page.routes import images as uploaded
from erythron.review_page.run import ReviewedRun
from erythron.review_page.sessions import Sessions
from erythron.review_page.signer import Signer, WaitingError
from erythron.review_page.static_files import load_assets
from erythron.review_page.uploads import Counter, Uploads

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PageSettings:
    """How a review is served.

    Attributes:
        port: of the server; the session's cookie is named by it.
        targets: cells at which the page says that a target is reached.
        rules: which requests are let in.
        is_blind: whether each reader calls the cells without seeing the calls of others, until done.
        most_upload_bytes: of a picture that is sent.
    """

    port: int = 0
    targets: tuple[int, ...] = (300, 500)
    rules: Rules = field(default_factory=Rules)
    is_blind: bool = False
    most_upload_bytes: int = MAX_UPLOAD_BYTES


def create_app(
    run: ReviewedRun,
    log: EventLog,
    sessions: Sessions,
    settings: PageSettings,
    counter: Counter | None = None,
) -> FastAPI:
    """Return the application that serves the review of a run.

    Args:
        run: the finished count.
        log: events of its review.
        sessions: who may come in.
        settings: how it is served.
        counter: what counts pictures that are sent; None for a process of its own.
    """
    images = Images(run.finished.options.mpp)
    crops = Crops(images, find_cell_size(run.fields))
    stop = threading.Event()

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        ahead = threading.Thread(target=crops.cut_all, args=(run.fields, stop), daemon=True)
        ahead.start()
        app.state.uploads.start()
        yield
        stop.set()
        app.state.uploads.stop()
        log.close()

    app = FastAPI(
        title="erythron review",
        version=__version__,
        description="The review of a counted run: cells, calls, differential and signature.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=live,
    )
    app.state.book = Book(run, log, images)
    app.state.readings = Readings(app.state.book, is_blind=settings.is_blind)
    jobs = JobLog(log)
    app.state.signer = Signer(app.state.book, jobs)
    app.state.signer.finish_all()
    app.state.uploads = Uploads(app.state.book, jobs, counter or CountingProcess(run.out))
    app.state.intake = Intake()
    app.state.images, app.state.crops = images, crops
    app.state.sessions, app.state.settings = sessions, settings
    app.state.cookie = name_cookie(settings.port)
    app.state.assets = load_assets()
    for routes in (entry, cells, pictures, edits, results, readers, uploaded):
        app.include_router(routes.router)
    most_bytes = {uploaded.UPLOAD: settings.most_upload_bytes}
    app.add_middleware(Guard, rules=replace(settings.rules, most_bytes=most_bytes))
    app.add_exception_handler(StaleError, cells.answer_conflict)
    app.add_exception_handler(LockedError, _say_locked)
    app.add_exception_handler(BlindError, _say_blind)
    app.add_exception_handler(WaitingError, _say_waiting)
    app.add_exception_handler(ErythronError, _say_error)
    app.add_exception_handler(SQLAlchemyError, _say_no_database)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    return app


def _say_locked(_: Request, __: Exception) -> JSONResponse:
    text = "the result is signed; open it again before anything is changed"
    return JSONResponse({"detail": text}, 423)


def _say_blind(_: Request, __: Exception) -> JSONResponse:
    text = (
        "you read without seeing the calls of others: say that you have done before anything else is changed"
    )
    return JSONResponse({"detail": text}, 423)


def _say_waiting(_: Request, __: Exception) -> JSONResponse:
    text = "pictures of this specimen are still to be counted: wait for them, and look at them first"
    return JSONResponse({"detail": text, "current": []}, 409)


def _say_error(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


def _say_no_database(_: Request, error: Exception) -> JSONResponse:
    logger.error("the database of the review failed", exc_info=error)
    text = "the database of the review cannot be used now (locked, read-only or damaged); nothing was stored"
    return JSONResponse({"detail": text}, 503)


def _say_invalid(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request, without repeating what was sent."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) and error.errors() else {}
    where = ".".join(re.sub(r"\W", "", str(part)) for part in first.get("loc", ()))
    return JSONResponse({"detail": f"{where}: {first.get('msg', 'is not as the description says')}"}, 422)
