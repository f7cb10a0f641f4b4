"""Events are appended, never rewritten, and refused where their maker had not seen the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from erythron.errors import DataError
from erythron.review.store.tables import EventKind, EventRow, RunRow

SHARED = ""
"""The lane of what all readers see and what is signed."""

_NAMES_A_QUERY = 500
"""Names that one query is given; SQLite takes 32,766 of them."""

Subject = tuple[str, str]
"""Image and name of what an event is of."""


@dataclass(frozen=True)
class Change:
    """A change that is asked for.

    Attributes:
        image: path of the image, or key of the specimen.
        subject: the cell, region or specimen.
        seen: version that the maker had seen; 0 where nothing had been done to the subject.
        kind: what is changed.
        was: what the subject is counted as now.
        becomes: what it is to be.
        shape: JSON of what is drawn, or of the count that is signed; None where neither is.
    """

    image: str
    subject: str
    seen: int
    kind: EventKind
    was: str
    becomes: str
    shape: str | None = None


@dataclass(frozen=True)
class Maker:
    """Who asks for changes, and through what.

    Attributes:
        reader: the person's name.
        at: when, with a time zone.
        action: one text for all changes of one action.
        source: what they came through.
        lane: see :class:`~erythron.review.store.tables.EventRow`.
    """

    reader: str
    at: datetime
    action: str
    source: str
    lane: str = SHARED


@dataclass(frozen=True)
class Event:
    """A change that was made; the attributes are those of the table."""

    id: int
    lane: str
    image: str
    subject: str
    version: int
    kind: EventKind
    was: str
    becomes: str
    reader: str
    at: datetime
    action: str
    source: str
    shape: str | None = field(default=None, repr=False)


class StaleError(Exception):
    """A change was asked for by somebody who had not seen the last one.

    Attributes:
        last: the last event of each subject that was meanwhile changed; empty where that is not known.
    """

    def __init__(self, last: Sequence[Event]) -> None:
        super().__init__(f"{len(last) or 'some'} of the changes are of cells that were changed meanwhile")
        self.last = tuple(last)


class EventLog:
    """The events of one run in a database.

    Args:
        engine: as :func:`erythron.review.store.database.open_database` gives it.
        folder: of the run.

    Attributes:
        engine: as given.
        run_id: number of the run in the database.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.run_id = _find_or_add_run(engine, folder.resolve())

    def append(
        self, changes: Sequence[Change], maker: Maker, unchanged: Mapping[Subject, int] | None = None
    ) -> tuple[Event, ...]:
        """Store changes, all or none; they are on the disk when this returns.

        Args:
            changes: what is asked for, each subject once.
            maker: who asks.
            unchanged: version in the shared lane of further subjects on which the changes rest, such as the
                signature of a specimen.

        Returns:
            The events, in the order of the changes.

        Raises:
            StaleError: a subject has another version than its change or ``unchanged`` says.
        """
        with Session(self.engine) as session:
            # One writer at a time, so that events become visible in the order of their numbers.
            session.exec(select(RunRow).where(RunRow.id == self.run_id).with_for_update()).one()
            last = self._find_last(session, maker.lane, [(c.image, c.subject) for c in changes])
            expected = {(c.image, c.subject): c.seen for c in changes}
            stale = [row for subject, row in last.items() if row.version != expected[subject]]
            stale += [
                row
                for subject, row in self._find_last(session, SHARED, list(unchanged or {})).items()
                if row.version != (unchanged or {})[subject]
            ]
            if stale:
                raise StaleError([_as_event(row) for row in stale])
            rows = [self._make_row(change, maker) for change in changes]
            session.add_all(rows)
            try:
                session.flush()
                events = tuple(_as_event(row) for row in rows)
                session.commit()
            except IntegrityError as error:
                raise StaleError(()) from error
        return events

    def read(self, after: int = 0) -> tuple[Event, ...]:
        """Return all events of the run after one, in order.

        Args:
            after: its ``id``; 0 for all.
        """
        asked = select(EventRow).where(EventRow.run_id == self.run_id, col(EventRow.id) > after)
        with Session(self.engine) as session:
            return tuple(_as_event(row) for row in session.exec(asked.order_by(col(EventRow.id))))

    def close(self) -> None:
        """Close the connections to the database."""
        self.engine.dispose()

    def _find_last(self, session: Session, lane: str, subjects: Sequence[Subject]) -> dict[Subject, EventRow]:
        """Return the last event of each subject that has one."""
        wanted, last = set(subjects), dict[Subject, EventRow]()
        names = sorted({name for _, name in wanted})
        for first in range(0, len(names), _NAMES_A_QUERY):
            asked = select(EventRow).where(
                EventRow.run_id == self.run_id,
                EventRow.lane == lane,
                col(EventRow.subject).in_(names[first : first + _NAMES_A_QUERY]),
            )
            for row in session.exec(asked.order_by(col(EventRow.version))):
                if (row.image, row.subject) in wanted:
                    last[row.image, row.subject] = row
        return last

    def _make_row(self, change: Change, maker: Maker) -> EventRow:
        return EventRow(
            run_id=self.run_id,
            lane=maker.lane,
            image=change.image,
            subject=change.subject,
            version=change.seen + 1,
            kind=change.kind.value,
            was=change.was,
            becomes=change.becomes,
            reader=maker.reader,
            at=maker.at.isoformat(),
            action=maker.action,
            source=maker.source,
            shape=change.shape,
        )


def _find_or_add_run(engine: Engine, folder: Path) -> int:
    """Return the number of a run in a database, which it gets where it has none.

    A database that lies in the folder of its only run is of that run, wherever the folder was moved to.
    """
    asked = select(RunRow).where(RunRow.folder == str(folder))
    is_inside = engine.dialect.name == "sqlite" and Path(engine.url.database or "").resolve().parent == folder
    with Session(engine) as session:
        found = session.exec(asked).one_or_none()
        if found is None:
            known = session.exec(select(RunRow)).all() if is_inside else ()
            row = known[0] if len(known) == 1 else RunRow(folder="")
            row.folder = str(folder)
            session.add(row)
            try:
                session.commit()
            except IntegrityError:  # another program added it in the same moment
                session.rollback()
            found = session.exec(asked).one()
        return found.id or 0


def _as_event(row: EventRow) -> Event:
    try:
        return _read_event(row)
    except ValueError as error:
        raise DataError(
            f"change {row.id} in the database of the review cannot be read ({error}): it is damaged, or of a "
            "newer version of erythron; open it with that version"
        ) from error


def _read_event(row: EventRow) -> Event:
    return Event(
        id=row.id or 0,
        lane=row.lane,
        image=row.image,
        subject=row.subject,
        version=row.version,
        kind=EventKind(row.kind),
        was=row.was,
        becomes=row.becomes,
        reader=row.reader,
        at=datetime.fromisoformat(row.at),
        action=row.action,
        source=row.source,
        shape=row.shape,
    )
