"""Changes that a review keeps and that no count has taken in yet: not signed, and not counted again since."""

from __future__ import annotations

from pathlib import Path

from erythron.results.record import RECORD, read_record
from erythron.results.review import read_review
from erythron.review.record import DATABASE, Review
from erythron.review.store.database import name_file, open_database
from erythron.review.store.events import SHARED, EventLog
from erythron.review.store.reviews import grow_review


def count_waiting(out: Path) -> int:
    """Return how many calls and regions lie in the database of a run and not beside its fields.

    Args:
        out: folder of the run. A review whose database lies elsewhere is not looked at.

    Raises:
        DataError: the database, or a review beside a field, cannot be read.
    """
    file = out / DATABASE
    if not file.exists():
        return 0
    log = EventLog(open_database(name_file(file)), out)
    try:
        events = [event for event in log.read() if event.lane == SHARED]
    finally:
        log.close()
    waiting = 0
    for path in out.rglob(RECORD):
        record = read_record(path.parent)
        if record is None:
            continue
        review = read_review(path.parent) or Review(image=record.image)
        grown = grow_review(review, events)
        waiting += len(set(grown.verdicts) - set(review.verdicts))
        waiting += len(grown.regions) - len(review.regions)
    return waiting
