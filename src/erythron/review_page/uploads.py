"""Pictures that were sent: counted one at a time into the run, and then on the page without a restart."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Protocol

from erythron.pipeline.added import UPLOADS, NewImage
from erythron.review.store.jobs import Job, JobLog, Sent
from erythron.review.store.tables import JobState
from erythron.review_page.book import Book
from erythron.review_page.counter import CrashError, Outcome
from erythron.review_page.field import PageField
from erythron.review_page.run import PageSpecimen

MOST_WAITING = 100
"""Pictures that may wait; a field takes seconds, so that it is some minutes to the last."""

MOST_CRASHES = 3
"""Times that a picture may end the program that counts it before it is given up."""

_LOOK_S = 2.0
"""Seconds between looks at the database, for what other servers of the run have counted."""

log = logging.getLogger(__name__)


class Counter(Protocol):
    """Counts one picture into the run."""

    def count(self, new: NewImage, /) -> Outcome:
        """Return what came of a picture.

        Raises:
            CrashError: the process that counted it ended.
        """

    def stop(self) -> None:
        """Stop counting, at once."""


class Uploads:
    """The pictures that are sent to a run.

    Args:
        book: its review.
        jobs: its pictures, in the database.
        counter: what counts them.
    """

    def __init__(self, book: Book, jobs: JobLog, counter: Counter) -> None:
        self.jobs, self._book, self._counter = jobs, book, counter
        self._taken: set[int] = set()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def choose_folder(self, specimen: PageSpecimen) -> Path:
        """Return the folder in which the pictures of a specimen are stored."""
        return self._book.run.out.resolve() / UPLOADS / str(specimen.number)

    def add(self, sent: Sent) -> Job:
        """Store that a picture is to be counted; see :meth:`erythron.review.store.jobs.JobLog.add`."""
        job = self.jobs.add(sent, MOST_WAITING)
        self._wake.set()
        return job

    def is_full(self) -> bool:
        """Return whether as many pictures wait as may."""
        return self.jobs.count_waiting() >= MOST_WAITING

    def start(self) -> None:
        """Begin to count what waits, in a thread of its own."""
        self.jobs.put_back()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop; what is being counted is counted at the next start."""
        self._stop.set()
        self._wake.set()
        self._counter.stop()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def find_field(self, job: Job) -> PageField | None:
        """Return the field that a picture is; the one with the same pixels where it repeats one."""
        return self._book.run.find_field(job.sent.specimen, job.sent.image)

    def count_next(self) -> bool:
        """Count the picture that waits longest, and return whether there was one that could be.

        Pictures of a signed result wait until it is opened again.
        """
        run = self._book.run
        with run.writing:
            self._book.refresh()
            signed = [specimen.key for specimen in run.specimens if self._book.is_signed(specimen)]
            job = self.jobs.claim(signed)
            if job is None:
                return False
            is_settled = self._count(job)
        self.follow()
        return is_settled

    def follow(self) -> None:
        """Take into the page what was counted since, by this server or another one of the run."""
        for job in self.jobs.list_done():
            if job.id not in self._taken:
                self._book.grow(job.sent.specimen, Path(job.sent.image))
                self._taken.add(job.id)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.follow()
                has_more = self.count_next()
            except Exception:
                log.exception("the pictures that were sent could not be looked at; trying again")
                has_more = False
            if not has_more:
                self._wake.wait(_LOOK_S)

    def _count(self, job: Job) -> bool:
        """Count a picture, and return whether it need not be looked at again soon."""
        sent, settle = job.sent, self.jobs.settle
        try:
            outcome = self._counter.count(NewImage(Path(sent.image), sent.specimen, sent.title, sent.mpp))
        except CrashError:
            if self._stop.is_set():
                settle(job.id, JobState.QUEUED)
            elif job.crashes + 1 < MOST_CRASHES:
                settle(job.id, JobState.QUEUED, has_crashed=True)
            else:
                text = f"{sent.title}: ended the program that counts it {MOST_CRASHES} times; export it again"
                settle(job.id, JobState.FAILED, text, has_crashed=True)
            return False
        if outcome.is_busy:
            settle(job.id, JobState.QUEUED)
            return False
        if outcome.reason:
            settle(job.id, JobState.FAILED, outcome.reason.replace(sent.image, sent.title))
        else:
            self._book.grow(sent.specimen, Path(sent.image))  # before anybody is told that it is there
            settle(job.id, JobState.DONE)
        return True
