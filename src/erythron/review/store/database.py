"""The database, opened so that what it acknowledges outlives a crash of the program and of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import SQLModel

from erythron.errors import DataError, UsageError
from erythron.review.store.tables import EventRow, JobRow, RunRow

DATABASE = "review.sqlite"
"""The database of a run's review, in the folder of the run, unless another one is named."""

_WAIT_S = 10
"""How long a transaction waits for another one of the same SQLite file, seconds."""

_TABLES = [SQLModel.metadata.tables[str(row.__tablename__)] for row in (RunRow, EventRow, JobRow)]


def open_database(url: str) -> Engine:
    """Open a database, and make its tables where they are not there.

    SQLite writes ahead (WAL), so that readers do not wait for writers, and waits at each commit until the
    disk has it (``synchronous=FULL``).

    Args:
        url: as SQLAlchemy takes it, such as ``sqlite:////data/review.sqlite`` or
            ``postgresql+psycopg://user@host/reviews``.

    Raises:
        UsageError: the URL is none, or its driver is not installed.
        DataError: the database cannot be opened.
    """
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (ArgumentError, ImportError, SQLAlchemyError) as error:
        raise UsageError(f"--database cannot be used: {_say(error)}") from error
    if engine.dialect.name == "sqlite":
        _set_up_sqlite(engine)
    try:
        SQLModel.metadata.create_all(engine, tables=_TABLES)
    except SQLAlchemyError as error:
        raise DataError(f"the database of the review cannot be opened: {_say(error)}") from error
    return engine


def name_file(path: Path) -> str:
    """Return the URL of the SQLite database in a file."""
    return f"sqlite:///{path.absolute()}"


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # The driver would begin transactions itself, and only at the first write: too late to be sure of
        # what was read before.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_WAIT_S * 1000}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _say(error: Exception) -> str:
    """Return the first line of what a driver says, without the password of a URL."""
    return str(error).split("\n", 1)[0]
