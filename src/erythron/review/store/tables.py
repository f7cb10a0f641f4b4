"""The tables of the database of a review."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Text, UniqueConstraint
from sqlmodel import Field, SQLModel


class EventKind(StrEnum):
    """What an event is of.

    Attributes:
        CALL: a cell is called something, or its call is taken back.
        ADD: a cell that the segmentation missed is outlined; the same event calls it.
        REGION: a region to count in or to leave out is drawn or removed.
        SIGN: a result is signed, or opened again.
        DONE: a reader who read without seeing the calls of others has finished.
    """

    CALL = "call"
    ADD = "add"
    REGION = "region"
    SIGN = "sign"
    DONE = "done"


class JobState(StrEnum):
    """How far the counting of a picture is that was sent.

    Attributes:
        QUEUED: it waits.
        COUNTING: it is being counted.
        DONE: it is a field of the run.
        FAILED: it is none, for the reason that the job gives.
    """

    QUEUED = "queued"
    COUNTING = "counting"
    DONE = "done"
    FAILED = "failed"


class RunRow(SQLModel, table=True):
    """A counted run that is reviewed.

    Attributes:
        id: number of the run in this database.
        folder: its folder, as an absolute path.
    """

    __tablename__ = "run"

    id: int | None = Field(default=None, primary_key=True)
    folder: str = Field(unique=True)


class EventRow(SQLModel, table=True):
    """One change; rows are added and never altered.

    The unique constraint is what keeps two readers from overwriting one another: the second change of the
    same version of a cell is refused by the database itself.

    Attributes:
        id: the order of the events.
        run_id: the run.
        lane: empty for what all readers share; the reader's name while that one reads without the others.
        image: path of the image as the run names it; the specimen's key for what is of a whole specimen.
        subject: the cell, the region, or the specimen.
        version: 1 for the first event of a subject in a lane, then one more each.
        kind: see :class:`EventKind`.
        was: what the subject was before, such as the class that the cell was counted as.
        becomes: what it is now; empty for a call that is taken back.
        reader: who did it.
        at: when, as ISO 8601 with a time zone.
        action: shared by all events of one action of the reader, so that it is undone as a whole.
        source: what the change came through: the page, a program, or the file of labels.
        shape: JSON of what is drawn, or of the count that is signed; None where neither is.
    """

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("run_id", "lane", "image", "subject", "version"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    lane: str
    image: str
    subject: str
    version: int
    kind: str
    was: str
    becomes: str
    reader: str
    at: str
    action: str
    source: str
    shape: str | None = Field(default=None, sa_type=Text)


class JobRow(SQLModel, table=True):
    """A picture that was sent to be counted into a run; only its state changes.

    Attributes:
        id: number of the job.
        run_id: the run.
        specimen: key of the specimen that the picture is of.
        image: path of the stored picture.
        sha256: of its bytes.
        title: what readers are shown in place of the path.
        mpp: microns per pixel that came with it; None where none did.
        reader: who sent it.
        at: when, as ISO 8601 with a time zone.
        state: see :class:`JobState`.
        crashes: how often the program that counted it ended.
        reason: why it failed, with the next step; empty where it did not.
    """

    __tablename__ = "job"

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    specimen: str
    image: str
    sha256: str
    title: str
    mpp: float | None
    reader: str
    at: str
    state: str = Field(default=JobState.QUEUED.value, index=True)
    crashes: int = 0
    reason: str = ""
