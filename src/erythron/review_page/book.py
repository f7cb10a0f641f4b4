"""What stands in the review of a run: the last event of each cell, by lane, and what follows from them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from erythron.cells.outline import CellOutline
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED, find_near, is_counted
from erythron.differential.assemble import merge_differentials
from erythron.differential.counts import Differential
from erythron.errors import DataError
from erythron.pipeline.field import name_cells
from erythron.pipeline.overlap import judge_overlap, place_cells
from erythron.pipeline.reviewed import MISSED, ReviewedCells
from erythron.pipeline.shared_scale import judge_shared_scale
from erythron.pipeline.slides.areas import is_in_areas
from erythron.pipeline.slides.reviewed import name_on_slide
from erythron.pipeline.tally import SeenPixels, flag_shared
from erythron.quality.flags import QualityFlag
from erythron.read.source import Slide
from erythron.review.record import Review
from erythron.review.store.events import SHARED, Change, Event, EventLog, Maker, StaleError, Subject
from erythron.review.store.reviews import group_missing, grow_review, list_missing
from erythron.review.store.tables import EventKind
from erythron.review_page.edits import describe_added, keep_apart, name_apart
from erythron.review_page.field import PageField
from erythron.review_page.pixels import Images
from erythron.review_page.run import PageSpecimen, ReviewedRun

SIGNATURE = "signature"
"""Subject of the events that sign a specimen and open it again."""

SIGNED, OPENED = "signed", "opened"

PAGE = "review page"
"""Source of the changes that a person makes on the page."""


class LockedError(Exception):
    """The result is signed: nothing may be changed until it is opened again."""


@dataclass(frozen=True)
class Call:
    """A call that is asked for.

    Attributes:
        field: number of the field.
        cell_id: the cell.
        seen: version of the cell that the reader had seen.
        called: name of a class, ``unclassified`` or ``not_a_cell``; empty to take a call back.
    """

    field: int
    cell_id: str
    seen: int
    called: str


class Book:
    """The review of a run.

    It follows the database: what other servers store there is seen at the next request.

    Args:
        run: the run.
        log: its events.
        images: pixels of its fields, for cells that persons added.
    """

    def __init__(self, run: ReviewedRun, log: EventLog, images: Images) -> None:
        self.run, self.log, self._images = run, log, images
        self._lock = threading.RLock()
        self._events: list[Event] = []
        self._last: dict[tuple[str, str, str], Event] = {}
        self._by_name = {field.name: field for field in run.fields}
        self._made: dict[tuple[str, int], tuple[int, ReviewedCells]] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._reviews: dict[tuple[str, str], tuple[int, Review]] = {}
        self._overlaps: dict[tuple[str, str], tuple[int, QualityFlag | None]] = {}
        classes = run.model.bundle.classes
        self._names = frozenset(c.name for c in classes) | {UNCLASSIFIED, NOT_A_CELL}
        self.refresh()
        self.take_labels(run.fields)

    def refresh(self) -> int:
        """Read what is new in the database and return the number of the last event, 0 where there is none."""
        with self._lock:
            for event in self.log.read(self._events[-1].id if self._events else 0):
                self._take(event)
            return self._events[-1].id if self._events else 0

    def grow(self, specimen: str, image: Path) -> PageField | None:
        """Take in a field that was counted since; see :meth:`ReviewedRun.add_field`."""
        with self._lock:
            field = self.run.add_field(specimen, image)
            if field is not None:
                self._by_name[field.name] = field
                for event in self._events:
                    self._take_added(event)
            return field

    def list_events(self, lane: str, specimen: PageSpecimen, after: int = 0) -> list[Event]:
        """Return the events of a lane that are of one specimen, after one of them."""
        names = {field.name for field in specimen.fields} | {specimen.key}
        with self._lock:
            return [e for e in self._events if e.id > after and e.lane == lane and e.image in names]

    def list_standing(self, lane: str, specimen: PageSpecimen) -> list[Event]:
        """Return the last event of everything in a specimen that was changed."""
        names = {field.name for field in specimen.fields} | {specimen.key}
        with self._lock:
            return [e for (of, image, _), e in self._last.items() if of == lane and image in names]

    def name_moved(self, lane: str, specimen: PageSpecimen) -> dict[tuple[str, str], tuple[str, str]]:
        """Return where calls of cells of other names are now: image and cell, by image and the other name."""
        return {
            (field.name, origin): (field.name, cell_id)
            for field in specimen.fields
            for cell_id, origin in self.call_cells(lane, field).origins.items()
        }

    def list_moved(self, lane: str, specimen: PageSpecimen) -> list[Event]:
        """Return the calls that went to cells of other names, as if they were of these.

        A cell that nobody has called by its own name has version 0.
        """
        moved = []
        with self._lock:
            for field in specimen.fields:
                for cell_id, origin in self.call_cells(lane, field).origins.items():
                    own = self._last.get((lane, field.name, cell_id))
                    event = self._last[lane, field.name, origin]
                    version = 0 if own is None else own.version
                    moved.append(replace(event, subject=cell_id, version=version, kind=EventKind.CALL))
        return moved

    def list_cells(self, lane: str, field: PageField) -> pl.DataFrame:
        """Return the cells of a field that a reader is shown, as the model calls them.

        They are those that the count has, and those that persons added and took away again, which may be put
        back.
        """
        with self._lock:
            shown = {*self.call_cells(lane, field).cells["cell_id"], *self.get_review(lane, field).withdrawn}
            return field.list_cells().filter(pl.col("cell_id").is_in(list(shown)))

    def list_all(self, specimen: PageSpecimen) -> list[Event]:
        """Return the events of a whole specimen, such as signatures, in any lane."""
        with self._lock:
            return [e for e in self._events if e.image == specimen.key]

    def list_lanes(self, specimen: PageSpecimen) -> list[str]:
        """Return the lanes besides the shared one in which anything of a specimen was called."""
        names = {field.name for field in specimen.fields}
        with self._lock:
            return sorted({e.lane for e in self._events if e.lane != SHARED and e.image in names})

    def find(self, lane: str, subject: Subject) -> Event | None:
        """Return the last event of a cell, region or specimen; None where nothing was done to it."""
        with self._lock:
            return self._last.get((lane, *subject))

    def is_signed(self, specimen: PageSpecimen) -> bool:
        """Return whether the result of a specimen is signed and nothing was changed since."""
        last = self.find(SHARED, (specimen.key, SIGNATURE))
        return last is not None and last.becomes == SIGNED

    def call(self, calls: Sequence[Call], maker: Maker, specimen: PageSpecimen) -> tuple[Event, ...]:
        """Store calls of cells, all or none.

        Args:
            calls: of one specimen.
            maker: who calls.
            specimen: theirs.

        Raises:
            LockedError: the specimen is signed.
            StaleError: a cell was called meanwhile by somebody else.
            DataError: a cell is none of the specimen's, is named twice, or a class is none of the model's.
        """
        with self._lock:
            self.refresh()
            if len({(call.field, call.cell_id) for call in calls}) < len(calls):
                raise DataError("a cell stands twice among the changes; name each once")
            return self._append(
                [self._as_change(call, maker.lane, specimen) for call in calls], maker, specimen
            )

    def change(self, changes: Sequence[Change], maker: Maker, specimen: PageSpecimen) -> tuple[Event, ...]:
        """Store changes of another kind than calls, all or none; raises as :meth:`call`."""
        with self._lock:
            self.refresh()
            return self._append(changes, maker, specimen)

    def need_outline(self, field: PageField, cell_id: str) -> CellOutline:
        """Return the outline of a cell.

        Raises:
            DataError: it is no cell of the field.
        """
        if not field.has_cell(cell_id):
            raise DataError(f"cell {cell_id} is no cell of {field.name}")
        return field.get_outlines([cell_id])[cell_id]

    def edit(
        self, field: PageField, made: Sequence[CellOutline], gone: Mapping[str, int], maker: Maker
    ) -> tuple[Event, ...]:
        """Add cells that a person outlined, and take away those that they take the place of.

        Args:
            field: theirs.
            made: the new cells; on a slide in its counted areas, where they take no other's place.
            gone: version that the reader had seen of each cell that is no cell any more.
            maker: who did it.

        Raises:
            DataError: a new cell is outlined already, or lies where nothing of a slide was counted; else as
                :meth:`call`.
        """
        told = field.record.slide
        if (
            told is not None
            and not gone
            and not all(is_in_areas(*outline.nucleus_mask.centre, told) for outline in made)
        ):
            raise DataError(
                "that lies outside the areas of the slide that were counted, which the report frames, so its "
                "cell is in no count"
            )
        with self._lock:
            self.refresh()
            apart: list[CellOutline] = []
            # What comes in the place of other cells has their pixels, which are nobody else's.
            others = [] if gone else self._list_beside(maker.lane, field, made)
            for outline in made:
                names = {other.cell_id for other in apart}
                free = keep_apart(outline, others)
                apart.append(name_apart(free, lambda n, names=names: n in names or field.has_cell(n)))  # type: ignore[misc]
            added = [
                Change(field.name, new.cell_id, 0, EventKind.ADD, MISSED, "", new.model_dump_json())
                for new in map(describe_added, apart)
            ]
            taken = [
                Change(
                    field.name,
                    cell_id,
                    seen,
                    EventKind.CALL,
                    self.get_call(maker.lane, field, cell_id),
                    NOT_A_CELL,
                )
                for cell_id, seen in gone.items()
            ]
            return self._append([*added, *taken], maker, self.run.get_specimen(field))

    def _list_beside(self, lane: str, field: PageField, made: Sequence[CellOutline]) -> list[CellOutline]:
        """Return the outlines near to new ones of what nobody has said to be no cell."""
        cells = self.call_cells(lane, field).cells
        cells = cells.filter(pl.col("confirmed_as").fill_null("") != NOT_A_CELL)
        near: set[str] = set()
        for outline in made:
            height, width = outline.cell.shape
            near.update(
                find_near(cells, outline.left, outline.top, outline.left + width, outline.top + height)
            )
        return list(field.get_outlines(near).values())

    def _append(self, changes: Sequence[Change], maker: Maker, specimen: PageSpecimen) -> tuple[Event, ...]:
        if self.is_signed(specimen):
            raise LockedError
        signature = self.find(SHARED, (specimen.key, SIGNATURE))
        guard = {(specimen.key, SIGNATURE): signature.version if signature else 0}
        try:
            events = self.log.append(changes, maker, guard)
        except StaleError:
            self.refresh()
            raise
        self.refresh()
        return events

    def _as_change(self, call: Call, lane: str, specimen: PageSpecimen) -> Change:
        field = next((f for f in specimen.fields if f.number == call.field), None)
        if field is None or not field.has_cell(call.cell_id):
            raise DataError(f"cell {call.cell_id} is no cell of field {call.field} of {specimen.name}")
        if call.called and call.called not in self._names:
            raise DataError(f"'{call.called}' is no class of the model ({', '.join(sorted(self._names))})")
        was = self.get_call(lane, field, call.cell_id)
        return Change(field.name, call.cell_id, call.seen, EventKind.CALL, was, call.called)

    def get_call(self, lane: str, field: PageField, cell_id: str) -> str:
        """Return what a cell is counted as now."""
        last = self.find(lane, (field.name, cell_id))
        if last is not None and last.becomes:
            return last.becomes
        with self._lock:
            origin = self.call_cells(lane, field).origins.get(cell_id)
            if origin is not None:
                return self._last[lane, field.name, origin].becomes
        return str(field.find_cells([cell_id])["counted_as"][0])

    def get_review(self, lane: str, field: PageField) -> Review:
        """Return what persons called the cells of a field, as one review.

        Who reads without seeing the calls of others has the outlines and regions of all.
        """
        with self._lock:
            newest = self._newest.get((lane, field.name), 0)
            done, review = self._reviews.get((lane, field.name), (0, Review(image=field.name)))
            if done < newest:
                new = (e for e in self._events if e.id > done and e.lane == lane)
                review = grow_review(review, new)
                self._reviews[lane, field.name] = (newest, review)
            if lane == SHARED:
                return review
            shared = self.get_review(SHARED, field)
            added = tuple(cell for cell in shared.added if cell.cell_id not in shared.withdrawn)
            return review.model_copy(update={"added": added, "regions": shared.regions})

    def call_cells(self, lane: str, field: PageField) -> ReviewedCells:
        """Return the cells of a field as they are called now."""
        with self._lock:
            newest = max(self._newest.get((of, field.name), 0) for of in (lane, SHARED))
            known = self._made.get((lane, field.number))
            if known is None or known[0] != newest:
                cells = field.call_cells(self.get_review(lane, field), self.run.model.settings)
                known = self._made[lane, field.number] = (newest, cells)
            return known[1]

    def make_differential(self, lane: str, specimen: PageSpecimen) -> Differential:
        """Return the differential of a specimen as its cells are called now."""
        found = [self.call_cells(lane, field).differential for field in specimen.fields]
        merged = merge_differentials(found, self.run.model.settings)
        seen: SeenPixels = {}
        for field in self.run.fields:
            owner = self.run.get_specimen(field).name
            seen.setdefault(field.record.pixels_sha256, {}).setdefault(owner, field.name)
        own = [(field.name, field.record.pixels_sha256) for field in specimen.fields]
        scale = judge_shared_scale([field.record for field in specimen.fields])
        shared = flag_shared(specimen.name, own, seen)
        told = (flag for flag in (self._judge_overlap(lane, specimen), scale) if flag is not None)
        return replace(merged, flags=(*shared, *told, *merged.flags))

    def _judge_overlap(self, lane: str, specimen: PageSpecimen) -> QualityFlag | None:
        """Return the flag of fields that show the same cells; they are compared anew where others count."""
        fields = [field for field in specimen.fields if field.record.slide is None]
        counted = [self.call_cells(lane, field).cells.filter(is_counted()) for field in fields]
        of_cells = hash(tuple(name for cells in counted for name in cells["cell_id"]))
        known = self._overlaps.get((lane, specimen.key))
        if known is None or known[0] != of_cells:
            placed = [
                place_cells(cells, field.record.width_px, field.record.height_px)
                for field, cells in zip(fields, counted, strict=True)
            ]
            known = (of_cells, judge_overlap([field.name for field in fields], placed))
            self._overlaps[lane, specimen.key] = known
        return known[1]

    def _take(self, event: Event) -> None:
        self._take_added(event)
        self._events.append(event)
        self._last[event.lane, event.image, event.subject] = event
        self._newest[event.lane, event.image] = event.id

    def _take_added(self, event: Event) -> None:
        """Take in a cell that a person added, where the event is of one of a known field."""
        field = self._by_name.get(event.image)
        if event.kind is EventKind.ADD and event.shape is not None and field is not None:
            review = grow_review(Review(image=event.image), [event])
            new = field.list_unknown(review.added)
            for outline in new:
                source = self._images.open(field)
                with self.run.computing:
                    classifier = self.run.model.get_networks().classifier
                    if isinstance(source, Slide):
                        row = name_on_slide(source, field.record, outline, classifier)
                    else:
                        image = self._images.read_whole(field)
                        row = name_cells(image, (outline,), classifier, is_field=True)
                    field.add_cell(outline, row)

    def take_labels(self, fields: Sequence[PageField]) -> None:
        """Store the calls of some fields that came through files of labels, beside the page."""
        for field in fields:
            shared = [e for e in self._events if e.lane == SHARED]
            for maker, changes in group_missing(list_missing(field.read_review(), shared)):
                self.log.append(changes, maker)
        self.refresh()
