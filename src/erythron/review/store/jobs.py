"""Pictures that were sent to be counted into a run, and how far each is; none is lost once it is stored."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from erythron.review.store.events import EventLog
from erythron.review.store.tables import JobRow, JobState, RunRow

WAITING = (JobState.QUEUED, JobState.COUNTING)
"""States of a picture that is neither counted nor refused yet."""


@dataclass(frozen=True)
class Sent:
    """A picture that was sent.

    Attributes:
        specimen: key of the specimen that it is of.
        image: path of the stored picture.
        sha256: of its bytes.
        title: what readers are shown in place of the path.
        mpp: microns per pixel that came with it; None where none did.
        reader: who sent it.
        at: when, with a time zone.
    """

    specimen: str
    image: str
    sha256: str
    title: str
    mpp: float | None
    reader: str
    at: datetime


@dataclass(frozen=True)
class Job:
    """A picture and how far it is.

    Attributes:
        id: number of the job.
        sent: the picture.
        state: how far it is.
        crashes: how often the program that counted it ended.
        reason: why it failed, with the next step; empty where it did not.
    """

    id: int
    sent: Sent
    state: JobState
    crashes: int
    reason: str


class TooManyJobsError(Exception):
    """So many pictures wait that no more are taken for now."""


class JobLog:
    """The pictures that were sent to one run.

    Args:
        log: of the same run; its database is used.
    """

    def __init__(self, log: EventLog) -> None:
        self._engine, self._run = log.engine, log.run_id

    def add(self, sent: Sent, most: int) -> Job:
        """Store that a picture is to be counted; it is on the disk when this returns.

        Args:
            sent: the picture, whose file is there already.
            most: pictures that may wait at once.

        Returns:
            The job; that of the same picture where the specimen has it already, counted or waiting.

        Raises:
            TooManyJobsError: as many wait already.
            OSError: the disk is full.
        """
        with self._change() as session:
            asked = self._select().where(JobRow.specimen == sent.specimen, JobRow.sha256 == sent.sha256)
            same = session.exec(asked.where(JobRow.state != JobState.FAILED.value)).first()
            if same is not None:
                return _as_job(same)
            if self._count(session) >= most:
                raise TooManyJobsError
            row = JobRow(
                run_id=self._run,
                specimen=sent.specimen,
                image=sent.image,
                sha256=sent.sha256,
                title=sent.title,
                mpp=sent.mpp,
                reader=sent.reader,
                at=sent.at.isoformat(),
            )
            session.add(row)
            session.flush()
            return _as_job(row)

    def find(self, number: int) -> Job | None:
        """Return a job of the run; None where there is none of that number."""
        with Session(self._engine) as session:
            row = session.exec(self._select().where(JobRow.id == number)).one_or_none()
            return None if row is None else _as_job(row)

    def list_last(self, most: int, before: int | None = None) -> tuple[Job, ...]:
        """Return the newest jobs, the newest first.

        Args:
            most: how many at most.
            before: number of the job before which they are; None for the very newest.
        """
        asked = self._select().order_by(col(JobRow.id).desc()).limit(most)
        if before is not None:
            asked = asked.where(col(JobRow.id) < before)
        with Session(self._engine) as session:
            return tuple(_as_job(row) for row in session.exec(asked))

    def list_done(self) -> tuple[Job, ...]:
        """Return the jobs whose pictures are fields of the run, in the order in which they came."""
        asked = self._select().where(JobRow.state == JobState.DONE.value).order_by(col(JobRow.id))
        with Session(self._engine) as session:
            return tuple(_as_job(row) for row in session.exec(asked))

    def count_waiting(self, specimen: str | None = None) -> int:
        """Return how many pictures wait or are being counted, of one specimen or of all."""
        with Session(self._engine) as session:
            return self._count(session, specimen)

    def claim(self, except_of: Collection[str] = ()) -> Job | None:
        """Begin the job that waits longest, and return it; None where none waits.

        Args:
            except_of: names of specimens whose pictures wait on.
        """
        with self._change() as session:
            asked = self._select().where(JobRow.state == JobState.QUEUED.value).order_by(col(JobRow.id))
            row = session.exec(asked.where(col(JobRow.specimen).not_in(list(except_of)))).first()
            if row is None:
                return None
            row.state = JobState.COUNTING.value
            session.add(row)
            return _as_job(row)

    def settle(self, number: int, state: JobState, reason: str = "", *, has_crashed: bool = False) -> None:
        """Set how far a job is.

        Args:
            number: of the job.
            state: how far it is now.
            reason: why it failed.
            has_crashed: whether the program that counted it ended.
        """
        with self._change() as session:
            row = session.exec(self._select().where(JobRow.id == number)).one()
            row.state, row.reason = state.value, reason
            row.crashes += has_crashed
            session.add(row)

    def put_back(self) -> None:
        """Put in the queue again what a server was counting when it ended."""
        with self._change() as session:
            for row in session.exec(self._select().where(JobRow.state == JobState.COUNTING.value)):
                row.state = JobState.QUEUED.value
                session.add(row)

    @contextmanager
    def _change(self) -> Iterator[Session]:
        """Give a session in which one program at a time changes the jobs of the run."""
        try:
            with Session(self._engine, expire_on_commit=False) as session:
                session.exec(select(RunRow).where(RunRow.id == self._run).with_for_update()).one()
                yield session
                session.commit()
        except OperationalError as error:
            if "full" in str(error.orig).lower():  # as SQLite and PostgreSQL say it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise

    def _select(self) -> SelectOfScalar[JobRow]:
        return select(JobRow).where(JobRow.run_id == self._run)

    def _count(self, session: Session, specimen: str | None = None) -> int:
        asked = select(func.count()).select_from(JobRow).where(JobRow.run_id == self._run)
        asked = asked.where(col(JobRow.state).in_([state.value for state in WAITING]))
        if specimen is not None:
            asked = asked.where(JobRow.specimen == specimen)
        return session.exec(asked).one()


def _as_job(row: JobRow) -> Job:
    sent = Sent(
        row.specimen, row.image, row.sha256, row.title, row.mpp, row.reader, datetime.fromisoformat(row.at)
    )
    return Job(row.id or 0, sent, JobState(row.state), row.crashes, row.reason)
