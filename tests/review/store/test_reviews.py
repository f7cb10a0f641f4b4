"""Events become the review that a recount takes, once each; calls of files become events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from erythron.review.record import AddedCell, Review, Verdict
from erythron.review.store.events import Event
from erythron.review.store.reviews import grow_review, list_missing
from erythron.review.store.tables import EventKind

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
SQUARE = [[[[1.0, 1.0], [4.0, 1.0], [4.0, 4.0], [1.0, 4.0], [1.0, 1.0]]]]
ADDED = AddedCell.model_validate({"cell_id": "x2y2", "cell": SQUARE, "nucleus": SQUARE})


def event(number: int, subject: str, becomes: str, shape: str | None = None, image: str = "a.png") -> Event:
    kind = EventKind.CALL if shape is None else EventKind.ADD
    at = NOW + timedelta(seconds=number)
    return Event(
        number, "", image, subject, 1, kind, "monocyte", becomes, "A. Reader", at, "a", "test", shape
    )


def test_a_review_grows_by_what_is_new_alone() -> None:
    events = [event(1, "x1y1", "lymphocyte"), event(2, "x2y2", "other", ADDED.model_dump_json())]
    once = grow_review(Review(image="a.png"), [*events, event(3, "x1y1", "other", image="b.png")])
    assert [(v.cell_id, v.called, v.was, v.reader) for v in once.verdicts] == [
        ("x1y1", "lymphocyte", "monocyte", "A. Reader"),
        ("x2y2", "other", "monocyte", "A. Reader"),
    ]
    assert once.added == (ADDED,)
    twice = grow_review(once, [*events, event(4, "x1y1", "")])
    assert twice.verdicts[:2] == once.verdicts
    assert set(twice.holding) == {"x2y2"}  # the call of x1y1 was taken back


def test_the_call_that_holds_is_the_last_one_of_the_page_and_not_of_the_file() -> None:
    """A call of a file of labels that the page took in after its own was overridden by the latter."""
    by_file = Verdict(cell_id="x1y1", called="other", was="monocyte", reader="B", at=NOW, source="f.csv")
    alone = by_file.model_copy(update={"cell_id": "x3y3"})
    review = Review(image="a.png", verdicts=(by_file, alone))
    [(verdict, change)] = list_missing(review.model_copy(update={"verdicts": (by_file,)}), [])
    taken_in = Event(
        2, "", "a.png", "x1y1", 2, change.kind, change.was, change.becomes, verdict.reader, NOW, "b", "f.csv"
    )
    grown = grow_review(review, [event(1, "x1y1", "lymphocyte"), taken_in])
    assert [(v.cell_id, v.called) for v in grown.verdicts] == [
        ("x3y3", "other"),
        ("x1y1", "lymphocyte"),
        ("x1y1", "other"),
    ]
    assert grown.holding["x1y1"].called == "other"


def test_an_earlier_call_of_a_file_leaves_the_later_one_of_the_page() -> None:
    page = event(5, "x1y1", "lymphocyte")
    by_file = Verdict(cell_id="x1y1", called="other", was="monocyte", reader="B", at=NOW, source="f.csv")
    review = Review(image="a.png", verdicts=(by_file,))
    missing = list_missing(review, [page])
    assert [(v.reader, v.at, c.seen, c.was, c.becomes) for v, c in missing] == [
        ("B", NOW, 1, "monocyte", "other"),
        ("A. Reader", page.at, 2, "other", "lymphocyte"),
    ]
    taken_in = [
        replace(page, id=n, version=n, becomes=c.becomes, was=c.was, reader=v.reader, at=v.at)
        for n, (v, c) in enumerate(missing, start=6)
    ]
    grown = grow_review(review, [page, *taken_in])
    assert [(v.called, v.reader) for v in grown.verdicts] == [("other", "B"), ("lymphocyte", "A. Reader")]
    assert list_missing(review, [page, *taken_in]) == ()  # it follows once
    later = by_file.model_copy(update={"at": page.at + timedelta(seconds=1)})
    [(_, change)] = list_missing(Review(image="a.png", verdicts=(later,)), [page])
    assert change.becomes == "other"


def test_calls_that_came_through_a_file_follow_those_that_are_known() -> None:
    known = event(1, "x1y1", "lymphocyte")
    calls = [
        ("x1y1", "lymphocyte", "monocyte", "A. Reader", known.at),
        ("x1y1", "other", "lymphocyte", "B. Reader", NOW + timedelta(seconds=2)),
        ("x2y2", "other", "missed", "B. Reader", NOW),
    ]
    verdicts = tuple(
        Verdict(cell_id=cell, called=called, was=was, reader=reader, at=at, source="f.csv")
        for cell, called, was, reader, at in calls
    )
    missing = list_missing(Review(image="a.png", verdicts=verdicts, added=(ADDED,)), [known])
    assert [(v.cell_id, c.seen, c.kind, c.becomes) for v, c in missing] == [
        ("x1y1", 1, EventKind.CALL, "other"),
        ("x2y2", 0, EventKind.ADD, "other"),
    ]
    assert missing[1][1].shape == ADDED.model_dump_json()
