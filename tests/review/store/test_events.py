"""Events only grow; who had not seen the last one is refused, and nothing of what he asked is stored."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from erythron.errors import DataError
from erythron.review.store.database import name_file, open_database
from erythron.review.store.events import Change, EventLog, Maker, StaleError
from erythron.review.store.tables import EventKind

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def maker(reader: str = "A. Reader", lane: str = "") -> Maker:
    return Maker(reader, NOW, "action", "test", lane)


def change(subject: str, seen: int, becomes: str = "lymphocyte") -> Change:
    return Change("a.png", subject, seen, EventKind.CALL, "monocyte", becomes)


@pytest.fixture
def log(url: str, tmp_path: Path) -> EventLog:
    return EventLog(open_database(url), tmp_path)


def test_what_is_appended_is_read_in_order_by_another_program(
    log: EventLog, url: str, tmp_path: Path
) -> None:
    first = log.append([change("x1y1", 0), change("x2y2", 0)], maker())
    second = log.append([change("x1y1", 1, "")], maker("B. Reader"))
    again = EventLog(open_database(url), tmp_path)
    assert again.read() == (*first, *second)
    assert again.read(after=first[-1].id) == second
    assert [(e.subject, e.version, e.becomes, e.reader, e.at) for e in again.read()] == [
        ("x1y1", 1, "lymphocyte", "A. Reader", NOW),
        ("x2y2", 1, "lymphocyte", "A. Reader", NOW),
        ("x1y1", 2, "", "B. Reader", NOW),
    ]


def test_a_stale_change_stores_nothing_and_says_what_stands(log: EventLog) -> None:
    log.append([change("x1y1", 0)], maker())
    with pytest.raises(StaleError) as refused:
        log.append([change("x2y2", 0), change("x1y1", 0, "monocyte")], maker("B. Reader"))
    [standing] = refused.value.last
    assert (standing.subject, standing.version, standing.reader) == ("x1y1", 1, "A. Reader")
    assert len(log.read()) == 1


def test_a_change_that_rests_on_another_subject_is_refused_when_that_moves(log: EventLog) -> None:
    log.append([Change("S", "signature", 0, EventKind.SIGN, "", "signed")], maker())
    with pytest.raises(StaleError):
        log.append([change("x1y1", 0)], maker(), {("S", "signature"): 0})
    log.append([change("x1y1", 0)], maker(), {("S", "signature"): 1})


def test_readers_who_read_blind_have_lanes_of_their_own(log: EventLog) -> None:
    log.append([change("x1y1", 0)], maker(lane="A. Reader"))
    log.append([change("x1y1", 0, "monocyte")], maker("B. Reader", lane="B. Reader"))
    assert [(e.lane, e.version) for e in log.read()] == [("A. Reader", 1), ("B. Reader", 1)]


def test_runs_in_one_database_do_not_see_each_other(log: EventLog, url: str, tmp_path: Path) -> None:
    other = EventLog(open_database(url), tmp_path / "other")
    log.append([change("x1y1", 0)], maker())
    assert other.read() == ()
    other.append([change("x1y1", 0)], maker())


def test_of_many_who_change_one_cell_at_once_one_wins_and_the_others_know(url: str, tmp_path: Path) -> None:
    logs = [EventLog(open_database(url), tmp_path) for _ in range(4)]
    won: list[str] = []
    refused: list[str] = []

    def race(number: int) -> None:
        for cell in range(5):
            name = f"reader {number}"
            try:
                logs[number].append([change(f"x{cell}y0", 0, name)], maker(name))
                won.append(f"x{cell}y0")
            except StaleError:
                refused.append(name)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [f"x{cell}y0" for cell in range(5)]
    assert len(refused) == 15
    assert len(logs[0].read()) == 5


def test_the_file_waits_for_the_disk_and_writes_ahead(tmp_path: Path) -> None:
    log = EventLog(open_database(name_file(tmp_path / "review.sqlite")), tmp_path)
    log.append([change("x1y1", 0)], maker())
    with log.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    # Another program reads while this one has it open.
    other = sqlite3.connect(tmp_path / "review.sqlite")
    assert other.execute("SELECT becomes FROM event").fetchall() == [("lymphocyte",)]
    other.close()


def test_the_calls_of_a_run_stay_its_calls_where_its_folder_is_moved(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    log = EventLog(open_database(name_file(tmp_path / "run" / "review.sqlite")), tmp_path / "run")
    log.append([change("x1y1", 0)], maker())
    log.close()
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    again = EventLog(open_database(name_file(moved / "review.sqlite")), moved)
    assert [event.subject for event in again.read()] == ["x1y1"]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_nothing_is_acknowledged_that_goes_into_a_file_which_was_removed(how: str, tmp_path: Path) -> None:
    file = tmp_path / "review.sqlite"
    log = EventLog(open_database(name_file(file)), tmp_path)
    log.append([change("x1y1", 0)], maker())
    file.rename(tmp_path / "old.sqlite")
    if how == "replaced":
        EventLog(open_database(name_file(file)), tmp_path).close()
    with pytest.raises(DataError, match=r"review\.sqlite was removed or replaced.*nothing was stored"):
        log.append([change("x2y2", 0)], maker())


@pytest.mark.parametrize("changed", ["kind = 'future'", "at = 'yesterday'"])
def test_a_change_that_cannot_be_read_is_said(changed: str, tmp_path: Path) -> None:
    log = EventLog(open_database(name_file(tmp_path / "review.sqlite")), tmp_path)
    log.append([change("x1y1", 0)], maker())
    with log.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE event SET {changed}")  # noqa: S608 - of this test
    with pytest.raises(DataError, match="change 1 in the database of the review cannot be read"):
        log.read()
