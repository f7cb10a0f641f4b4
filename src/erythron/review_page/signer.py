"""The signature of a result: it locks, the run is counted again, and a later change is a new version.

The signature is an event like every change. It is stored first, so that nothing can be changed while the run
is counted again. Where that fails the result is opened again; what a crash left is done at the next start.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from erythron.differential.me_ratio import MERatio
from erythron.errors import DataError, UsageError
from erythron.files.naming import as_text
from erythron.pipeline.finished import find_run
from erythron.pipeline.options import Signing
from erythron.pipeline.recount import notices, recount_reviews
from erythron.pipeline.settings import choose_settings
from erythron.pipeline.signing import sign_result
from erythron.results.record import read_record
from erythron.results.review import read_review
from erythron.results.signature import Signature, read_signatures
from erythron.review.record import Review
from erythron.review.store.events import SHARED, Change, Event, Maker, StaleError
from erythron.review.store.jobs import JobLog
from erythron.review.store.reviews import grow_review
from erythron.review.store.tables import EventKind
from erythron.review_page.book import OPENED, SIGNATURE, SIGNED, Book
from erythron.review_page.run import PageSpecimen

_FAILED = "failed recount"
"""Source of the event that opens a result whose signature could not be finished."""

log = logging.getLogger(__name__)


class WaitingError(Exception):
    """Pictures of the specimen are still to be counted: the reader has not seen all that is signed."""


class Signer:
    """Signs the results of a run and opens them again.

    Args:
        book: the review of the run.
        jobs: pictures that were sent to it.
    """

    def __init__(self, book: Book, jobs: JobLog) -> None:
        self._book, self._jobs = book, jobs
        self._writing = book.run.writing

    def sign(self, specimen: PageSpecimen, seen: int, maker: Maker) -> Signature:
        """Sign the result of a specimen as the reader has seen it.

        Args:
            specimen: what is signed.
            seen: number of the last event that the reader had seen.
            maker: who signs.

        Raises:
            LockedError: it is signed already.
            StaleError: somebody has changed it since.
            WaitingError: pictures of it are still to be counted.
            UsageError: the pictures are gone, another run writes into the folder, or it was counted otherwise
                since the page was opened.
            DataError: there is no such event, or a field could not be counted again; the result is open then.
        """
        with self._writing:
            known = _read_reviews(specimen)
            self._refuse_other_count(specimen)
            self._book.take_labels(specimen.fields)
            if seen > self._book.refresh():
                raise DataError("no change has that number yet; ask for the newest ones before you sign")
            if later := self._book.list_events(SHARED, specimen, seen):
                raise StaleError(later)
            if self._jobs.count_waiting(specimen.key):
                raise WaitingError
            change = replace(self._change(specimen, SIGNED), shape=self._describe_count(specimen))
            [event] = self._book.change([change], maker, specimen)
            try:
                return self._finish(specimen, known, event)
            except Exception:
                log.exception("%s: the signed result could not be counted again", specimen.name)
                self._open(specimen, Maker(maker.reader, datetime.now(UTC), maker.action, _FAILED))
                raise

    def open_again(self, specimen: PageSpecimen, maker: Maker) -> tuple[Event, ...]:
        """Open a signed result, so that a new version can be made; of one that is open nothing changes."""
        with self._writing:
            self._book.refresh()
            return self._open(specimen, maker) if self._book.is_signed(specimen) else ()

    def recount(self, specimen: PageSpecimen) -> None:
        """Count the run again with the calls so far, without a signature."""
        with self._writing:
            known = _read_reviews(specimen)
            recount_reviews(self._book.run.out, self._gather(specimen, known), specimen.key, known=known)

    def finish_all(self) -> None:
        """Count again what was signed just before the server ended.

        Where the count or a call is another one since, it is opened again: nobody has seen what would be
        signed.
        """
        for specimen in self._book.run.specimens:
            event = self._book.find(SHARED, (specimen.key, SIGNATURE))
            if event is None or event.becomes != SIGNED:
                continue
            signed = read_signatures(specimen.folder)
            if signed and signed[-1].version >= self._number(specimen):
                continue
            known = _read_reviews(specimen)
            self._book.take_labels(specimen.fields)
            later = self._book.list_events(SHARED, specimen, event.id)
            if later or event.shape != self._describe_count(specimen):
                notices.warning(
                    "%s: %s had signed it just before the server ended, and it was counted or called "
                    "otherwise since, so it is not signed: look at it and sign again",
                    specimen.name,
                    event.reader,
                )
                self._open(specimen, Maker(event.reader, datetime.now(UTC), event.action, _FAILED))
            else:
                self._finish(specimen, known, event)

    def _finish(self, specimen: PageSpecimen, known: Mapping[Path, Review | None], event: Event) -> Signature:
        signing = Signing(specimen.key, self._number(specimen), event.reader, event.at)
        return sign_result(self._book.run.out, self._gather(specimen, known), known, signing)

    def _refuse_other_count(self, specimen: PageSpecimen) -> None:
        """Refuse to sign a count that is not the one which the page shows.

        Raises:
            UsageError: fields joined it or were counted otherwise since.
        """
        run = self._book.run
        options, calls = self._read_count(specimen)
        now, shown = choose_settings(run.model.bundle, *options), run.model.settings
        if (
            any(run.find_field(specimen.key, image) is None for image in calls)
            or any(calls.get(field.name) != field.record.fingerprints.calls for field in specimen.fields)
            or (now.references, now.width, now.me_ratio) != (shown.references, shown.width, shown.me_ratio)
        ):
            raise UsageError(
                f"{run.out}: was counted again since this page was opened, so that other cells would be "
                "signed than it shows; end erythron review, start it again, and look at them first"
            )

    def _read_count(
        self, specimen: PageSpecimen
    ) -> tuple[tuple[Path | None, float, MERatio], dict[str, str]]:
        """Return how a specimen is counted now: ranges, width and M:E, and the fingerprint by image."""
        finished = find_run(self._book.run.out)
        images = [image for one in finished.specimens if one.key == specimen.key for image in one.images]
        records = [(image.name, read_record(finished.folders[image.path])) for image in images]
        calls = {name: record.fingerprints.calls for name, record in records if record is not None}
        options = finished.options
        return (options.reference, options.width, options.me_ratio), calls

    def _describe_count(self, specimen: PageSpecimen) -> str:
        """Return the JSON by which the event of a signature tells the count that is signed."""
        (reference, width, me_ratio), calls = self._read_count(specimen)
        told = {"reference": reference and as_text(reference), "width": width, "me_ratio": me_ratio.value}
        return json.dumps({**told, "calls": calls}, sort_keys=True)

    def _open(self, specimen: PageSpecimen, maker: Maker) -> tuple[Event, ...]:
        events = self._book.log.append([self._change(specimen, OPENED)], maker)
        self._book.refresh()
        return events

    def _change(self, specimen: PageSpecimen, becomes: str) -> Change:
        last = self._book.find(SHARED, (specimen.key, SIGNATURE))
        seen, was = (0, OPENED) if last is None else (last.version, last.becomes)
        return Change(specimen.key, SIGNATURE, seen, EventKind.SIGN, was, becomes)

    def _number(self, specimen: PageSpecimen) -> int:
        """Return how often a specimen was signed: the number of its version."""
        events = self._book.list_events(SHARED, specimen)
        signed = sum(e.becomes == SIGNED for e in events if e.kind is EventKind.SIGN)
        failed = sum(e.source == _FAILED for e in events if e.kind is EventKind.SIGN)
        return signed - failed

    def _gather(self, specimen: PageSpecimen, known: Mapping[Path, Review | None]) -> dict[Path, Review]:
        """Return the whole review of each field of a specimen that anybody has changed."""
        events = self._book.list_events(SHARED, specimen)
        touched = {event.image for event in events}
        return {
            field.path: grow_review(known[field.path] or Review(image=field.name), events)
            for field in specimen.fields
            if field.name in touched
        }


def _read_reviews(specimen: PageSpecimen) -> dict[Path, Review | None]:
    """Return what lies beside the fields of a specimen, by the path of the image."""
    return {field.path: read_review(field.folder) for field in specimen.fields}
