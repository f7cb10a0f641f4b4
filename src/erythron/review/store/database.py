"""The database, opened so that what it acknowledges outlives a crash of the program and of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import SQLModel

from erythron.errors import DataError, UsageError
from erythron.review.store.tables import EventRow, JobRow, RunRow

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
        DataError: the database cannot be opened, or is of another version.
    """
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (ArgumentError, ImportError, SQLAlchemyError) as error:
        raise UsageError(f"--database cannot be used: {_say(error)}") from error
    if engine.dialect.name == "sqlite":
        _set_up_sqlite(engine)
    place = engine.url.render_as_string(hide_password=True)
    try:
        SQLModel.metadata.create_all(engine, tables=_TABLES)
        found = inspect(engine)
        there = {t.name: {column["name"] for column in found.get_columns(t.name)} for t in _TABLES}
    except SQLAlchemyError as error:
        raise DataError(
            f"the database of the review, {place}, cannot be opened: {_say(error)}; free it, put it back "
            "from a copy, or name another one with --database"
        ) from error
    if others := [table.name for table in _TABLES if there[table.name] != set(table.c.keys())]:
        raise DataError(
            f"the database of the review, {place}, is of another version of erythron (table {others[0]}); "
            "open it with that version, or name another one with --database"
        )
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
        _record.info["file"] = _identify(engine)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # What is written into a file that was removed is acknowledged and gone.
        if connection.info.get("file") != _identify(engine):
            raise DataError(
                f"{engine.url.database} was removed or replaced while it was open; nothing was stored: put "
                "it back and start erythron review again"
            )
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _identify(engine: Engine) -> tuple[int, int] | None:
    """Return what tells the file of a database from another one of its name; None where there is none."""
    try:
        found = Path(engine.url.database or "").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _say(error: Exception) -> str:
    """Return the first line of what a driver says, without the password of a URL."""
    return str(error).split("\n", 1)[0]
