"""Readers who call the same cells without seeing one another's calls, and how far they agree.

While a reader reads blind, that reader's calls are in a lane of their own in the record. Who says to have
done sees the calls of all who have done too, and from then on works on what all share: the consensus. Calls
that were made for all to see before the first of them began are a reading too, which has been done.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations

from erythron.cells.classes import find_class
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED
from erythron.compare.comparison import CellComparison, compare_cells
from erythron.errors import DataError
from erythron.review.store.events import SHARED, Change, Event, Maker
from erythron.review.store.tables import EventKind
from erythron.review_page.book import Book
from erythron.review_page.run import PageSpecimen

_SUBJECT = "reading "
"""What the subject of the event that ends a reading begins with; the reader's name follows."""

DONE = "done"


class BlindError(Exception):
    """Something is asked for that a reader who still reads blind must not do or see."""


@dataclass(frozen=True)
class Reading:
    """How far a reader is.

    Attributes:
        reader: the person's name.
        is_done: whether that person has said so.
        called: cells that the person has called.
    """

    reader: str
    is_done: bool
    called: int


@dataclass(frozen=True)
class PairAgreement:
    """Agreement of two readers over the cells that both have called.

    Attributes:
        a: the one.
        b: the other.
        cells: how far they agree.
    """

    a: str
    b: str
    cells: CellComparison


class Readings:
    """The readings of a run.

    Args:
        book: its review.
        is_blind: whether readers read blind at all.
    """

    def __init__(self, book: Book, *, is_blind: bool) -> None:
        self._book, self.is_blind = book, is_blind

    def choose_lane(self, reader: str, specimen: PageSpecimen) -> str:
        """Return the lane of the record that a reader sees and changes now."""
        return reader if self.is_blind and not self._is_done(reader, specimen) else SHARED

    def refuse_blind(self, reader: str, specimen: PageSpecimen) -> None:
        """Raise :class:`BlindError` where a reader still reads blind."""
        if self.choose_lane(reader, specimen) != SHARED:
            raise BlindError

    def finish(self, specimen: PageSpecimen, maker: Maker) -> tuple[Event, ...]:
        """End the reading of a reader; of one that has ended nothing changes."""
        if not self.is_blind or self._is_done(maker.reader, specimen):
            return ()
        change = Change(specimen.key, _SUBJECT + maker.reader, 0, EventKind.DONE, "", DONE)
        return self._book.change([change], maker, specimen)

    def list_readings(self, specimen: PageSpecimen) -> list[Reading]:
        """Return how far each reader is who has called anything."""
        self._book.refresh()
        called: Counter[str] = Counter()
        done = set()
        for event in self._book.list_all(specimen):
            if event.kind is EventKind.DONE:
                done.add(event.subject.removeprefix(_SUBJECT))
        for lane in self._book.list_lanes(specimen):
            called[lane] = len(self._list_calls(lane, specimen))
        read_openly = self._list_open(specimen)
        called.update({name: len(calls) for name, calls in read_openly.items()})
        done |= set(read_openly)
        names = sorted(set(called) | done)
        return [Reading(name, name in done, called[name]) for name in names]

    def list_calls(self, specimen: PageSpecimen) -> dict[tuple[str, str], dict[str, str]]:
        """Return what each reader who has done called each cell, by image and cell.

        Where a field was outlined anew since, a call is of the cell that lies there now.
        """
        read_openly = self._list_open(specimen)
        found: dict[tuple[str, str], dict[str, str]] = {}
        for reading in self.list_readings(specimen):
            if reading.is_done:
                calls = read_openly.get(reading.reader) or self._list_calls(reading.reader, specimen)
                lane = SHARED if reading.reader in read_openly else reading.reader
                now = self._book.name_moved(lane, specimen)
                for subject, call in calls.items():
                    found.setdefault(now.get(subject, subject), {})[reading.reader] = call
        return found

    def compare(self, specimen: PageSpecimen) -> list[PairAgreement]:
        """Return the agreement of each two readers who have done, as ``erythron compare`` finds it."""
        calls = self.list_calls(specimen)
        readers = sorted({reader for of_cell in calls.values() for reader in of_cell})
        return [
            PairAgreement(a, b, _compare_pair([(i, c.get(a), c.get(b)) for (i, _), c in calls.items()]))
            for a, b in combinations(readers, 2)
        ]

    def _list_open(self, specimen: PageSpecimen) -> dict[str, dict[tuple[str, str], str]]:
        """Return the calls of readers before the first who read blind, by reader and by image and cell."""
        if not self.is_blind:
            return {}
        lanes = self._book.list_lanes(specimen)
        begun = min((e.id for lane in lanes for e in self._book.list_events(lane, specimen)), default=None)
        last = {
            (e.image, e.subject): e
            for e in self._book.list_events(SHARED, specimen)
            if e.kind is EventKind.CALL and (begun is None or e.id < begun)
        }
        found: dict[str, dict[tuple[str, str], str]] = {}
        for subject, event in last.items():
            if event.becomes and event.reader not in lanes:
                found.setdefault(event.reader, {})[subject] = event.becomes
        return found

    def _list_calls(self, lane: str, specimen: PageSpecimen) -> dict[tuple[str, str], str]:
        standing = self._book.list_standing(lane, specimen)
        return {(e.image, e.subject): e.becomes for e in standing if e.kind is EventKind.CALL and e.becomes}

    def _is_done(self, reader: str, specimen: PageSpecimen) -> bool:
        return self._book.find(SHARED, (specimen.key, _SUBJECT + reader)) is not None


def _compare_pair(calls: list[tuple[str, str | None, str | None]]) -> CellComparison:
    """Compare the calls of two readers; a cell that one has called no cell is only the other's."""
    pairs, only_a, only_b = [], 0, 0
    for image, a, b in calls:
        one, other = _as_line(a), _as_line(b)
        if one and other:
            pairs.append((image, one, other))
        else:
            only_a += one is not None
            only_b += other is not None
    return compare_cells(pairs, only_a, only_b)


def _as_line(call: str | None) -> str | None:
    """Return the line of a comparison that a call is in; None for no call and for what is no cell."""
    if call is None or call == NOT_A_CELL:
        return None
    try:
        return UNCLASSIFIED if call == UNCLASSIFIED else find_class(call).name
    except DataError:
        return None
