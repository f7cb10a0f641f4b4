"""From events to the reviews that a recount takes, and back for calls that came through files of labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from erythron.review.record import AddedCell, Region, Review, Verdict
from erythron.review.store.events import Change, Event, Maker
from erythron.review.store.tables import EventKind

_OF_CELLS = {EventKind.CALL, EventKind.ADD}


def grow_review(review: Review, events: Iterable[Event]) -> Review:
    """Return a review with what events of its image say; what it holds already is not added again.

    Calls stand in the order of the events, which is what the page shows: the last one of a cell holds there
    and here. Those of which there is no event come first.

    Args:
        review: of the image; one that holds nothing where nobody has called a cell.
        events: of any images, in order.
    """
    verdicts = {_key(verdict): verdict for verdict in review.verdicts}
    added, outlined = list(review.added), {cell.cell_id for cell in review.added}
    regions = {(region.region_id, region.at): region for region in review.regions}
    for event in events:
        if event.image != review.image:
            continue
        if event.kind is EventKind.REGION and event.shape:
            region = _read_region(event, event.shape)
            regions.pop((region.region_id, region.at), None)
            regions[region.region_id, region.at] = region
        if event.kind not in _OF_CELLS:
            continue
        verdict = _as_verdict(event)
        verdicts[_key(verdict)] = verdicts.pop(_key(verdict), verdict)
        if event.shape is not None and event.subject not in outlined:
            outlined.add(event.subject)
            added.append(AddedCell.model_validate_json(event.shape))
    return review.model_copy(
        update={
            "verdicts": tuple(verdicts.values()),
            "added": tuple(added),
            "regions": tuple(regions.values()),
        }
    )


def list_missing(review: Review, events: Iterable[Event]) -> tuple[tuple[Verdict, Change], ...]:
    """Return the calls of a review that no event holds, as changes with the version that they follow.

    Such calls came through ``erythron recount``, beside the page. Of two calls of a cell the later one holds,
    whichever way it came: where the last event of a cell is later than what is missing, it follows once more.

    Args:
        review: as it lies in the folder of the image.
        events: of the shared lane, in order.
    """
    known, last = set(), dict[str, Event]()
    for event in events:
        if event.image == review.image and event.kind in _OF_CELLS:
            known.add((event.subject, event.becomes, event.reader, event.at))
            last[event.subject] = event
    shapes = {cell.cell_id: cell.model_dump_json() for cell in review.added}
    versions = {name: event.version for name, event in last.items()}
    newest: dict[str, Verdict] = {}
    missing = []
    for verdict in review.verdicts:
        if _key(verdict) in known:
            continue
        seen = versions.get(verdict.cell_id, 0)
        versions[verdict.cell_id] = seen + 1
        newest[verdict.cell_id] = verdict
        shape = shapes.get(verdict.cell_id) if not seen else None
        kind = EventKind.CALL if shape is None else EventKind.ADD
        change = Change(review.image, verdict.cell_id, seen, kind, verdict.was, verdict.called, shape)
        missing.append((verdict, change))
    for name, verdict in newest.items():
        later = last.get(name)
        if later is None or later.at <= verdict.at or (later.kind is EventKind.ADD and not later.becomes):
            continue
        again = _as_verdict(later)
        change = Change(
            review.image, name, versions[name], EventKind.CALL, verdict.called or later.was, again.called
        )
        missing.append((again, change))
    return tuple(missing)


def group_missing(missing: Sequence[tuple[Verdict, Change]]) -> Iterator[tuple[Maker, list[Change]]]:
    """Give the changes of :func:`list_missing` in runs of one maker in which each subject stands once."""
    for (reader, at, source), same in groupby(missing, key=_get_origin):
        maker = Maker(reader, at, f"{source} {at.isoformat()}", source)
        run: list[Change] = []
        for _, change in same:
            if any(change.subject == other.subject for other in run):
                yield maker, run
                run = []
            run.append(change)
        yield maker, run


def _get_origin(pair: tuple[Verdict, Change]) -> tuple[str, datetime, str]:
    return pair[0].reader, pair[0].at, pair[0].source


def _as_verdict(event: Event) -> Verdict:
    return Verdict(
        cell_id=event.subject,
        called=event.becomes,
        was=event.was,
        reader=event.reader,
        at=event.at,
        source=event.source,
    )


def _read_region(event: Event, ring: str) -> Region:
    return Region.model_validate(
        {
            "region_id": event.subject,
            "mode": event.becomes,
            "ring": json.loads(ring),
            "reader": event.reader,
            "at": event.at,
        }
    )


def _key(verdict: Verdict) -> tuple[object, ...]:
    return verdict.cell_id, verdict.called, verdict.reader, verdict.at
