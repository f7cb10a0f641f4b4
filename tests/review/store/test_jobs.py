"""Pictures that were sent are kept with how far each is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from erythron.review.store.database import open_database
from erythron.review.store.events import EventLog
from erythron.review.store.jobs import JobLog, Sent, TooManyJobsError
from erythron.review.store.tables import JobState

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def name(number: int, specimen: str = "p1") -> Sent:
    return Sent(specimen, f"/uploads/{number}.png", f"{number:064}", f"s{number}", 0.25, "LIS", NOW)


def test_jobs_are_done_in_the_order_in_which_they_came(url: str, tmp_path: Path) -> None:
    jobs = JobLog(EventLog(open_database(url), tmp_path))
    other = JobLog(EventLog(open_database(url), tmp_path / "other"))
    first, second, third = (jobs.add(name(n, f"p{n % 2}"), 9) for n in range(3))
    assert (first.sent, first.state) == (name(0, "p0"), JobState.QUEUED)
    assert other.count_waiting() == 0
    assert other.find(first.id) is None
    claimed = jobs.claim()
    assert claimed is not None
    assert (claimed.id, claimed.state) == (first.id, JobState.COUNTING)
    assert (jobs.count_waiting(), jobs.count_waiting("p0")) == (3, 2)
    jobs.settle(first.id, JobState.FAILED, "it is broken")
    found = jobs.find(first.id)
    assert found is not None
    assert (found.reason, found.crashes) == ("it is broken", 0)
    # Those of a signed specimen wait.
    passed = jobs.claim(["p1"])
    assert passed is not None
    assert passed.id == third.id
    jobs.settle(third.id, JobState.QUEUED, has_crashed=True)
    jobs.settle(second.id, JobState.DONE)
    assert [job.id for job in jobs.list_done()] == [second.id]
    assert [job.id for job in jobs.list_last(2)] == [third.id, second.id]
    assert [job.id for job in jobs.list_last(2, before=second.id)] == [first.id]


def test_what_a_killed_server_counted_waits_again(url: str, tmp_path: Path) -> None:
    jobs = JobLog(EventLog(open_database(url), tmp_path))
    jobs.add(name(0), 9)
    jobs.claim()
    assert jobs.claim() is None
    jobs.put_back()
    again = jobs.claim()
    assert again is not None
    assert again.crashes == 0


def test_a_picture_is_one_job_of_a_specimen_unless_it_failed(url: str, tmp_path: Path) -> None:
    jobs = JobLog(EventLog(open_database(url), tmp_path))
    first = jobs.add(name(0), 2)
    assert jobs.add(name(0), 2).id == first.id
    assert jobs.add(name(0, "p2"), 2).id != first.id
    with pytest.raises(TooManyJobsError):
        jobs.add(name(1), 2)
    assert jobs.add(name(0), 2).id == first.id
    jobs.settle(first.id, JobState.FAILED, "it is broken")
    assert jobs.add(name(0), 2).id != first.id
