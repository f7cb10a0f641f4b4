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
        image: path of the image as the run names it; the specimen's name for what is of a whole specimen.
        subject: the cell, the region, or the specimen.
        version: 1 for the first event of a subject in a lane, then one more each.
        kind: see :class:`EventKind`.
        was: what the subject was before, such as the class that the cell was counted as.
        becomes: what it is now; empty for a call that is taken back.
        reader: who did it.
        at: when, as ISO 8601 with a time zone.
        action: shared by all events of one action of the reader, so that it is undone as a whole.
        source: what the change came through: the page, a program, or the file of labels.
        shape: JSON of what is drawn; None where nothing is.
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
