"""The fields of a specimen as they come in: which are counted, which came before, which are of another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from erythron.pipeline.count_worker import CountJob, DoneField
from erythron.pipeline.executor import Failure
from erythron.pipeline.overlap import judge_overlap
from erythron.pipeline.shared_scale import judge_shared_scale
from erythron.quality.flags import QualityFlag
from erythron.report.model import FailedInput, FieldReport, RepeatedInput
from erythron.results.record import FieldRecord
from erythron.results.repeated import has_calls

SeenPixels = dict[str, dict[str, str]]
"""By the hash of pixels the image of each specimen that shows them, by the specimen's name."""


class Tally:
    """The fields of a specimen as they come in; of the same pixels one is counted.

    It is the one that persons have called, else the first (see :mod:`erythron.results.repeated`): a copy of a
    picture that sorts before it does not take its calls away.

    Args:
        specimen: its name.
        seen: image of each specimen in which pixels were seen first, by their hash; shared by all specimens.

    Attributes:
        done: the fields that are counted.
        entries: what summary and page say of each input, in order.
        records: of every field that has a folder.
    """

    def __init__(self, specimen: str, seen: SeenPixels) -> None:
        self._specimen, self._seen_anywhere = specimen, seen
        self.done: list[DoneField] = []
        self.entries: list[FieldReport | FailedInput | RepeatedInput] = []
        self.records: list[FieldRecord] = []
        self._seen: dict[str, int] = {}
        self._places: list[tuple[CountJob, int, int]] = []
        self._overlap: tuple[list[str], QualityFlag | None] = ([], None)

    def add(self, outcome: DoneField | Failure, job: CountJob) -> None:
        """Take in what came of one input.

        Args:
            outcome: what came of it.
            job: what was to be done.
        """
        if isinstance(outcome, Failure):
            self.entries.append(FailedInput(outcome.image, outcome.reason))
            return
        record = outcome.record
        self.records.append(record)
        self._seen_anywhere.setdefault(record.pixels_sha256, {}).setdefault(self._specimen, record.image)
        number = self._seen.setdefault(record.pixels_sha256, len(self.done))
        here = (job, len(self.records) - 1, len(self.entries))
        if number == len(self.done):
            self._places.append(here)
            self.done.append(outcome)
            self.entries.append(_make_entry(outcome))
            return
        counted = self._places[number]
        if has_calls(counted[0].folder) or not has_calls(job.folder):
            self.entries.append(RepeatedInput(record.image, self.done[number].record.image))
            return
        before = self.done[number].record.image
        self.entries[counted[2]] = RepeatedInput(before, record.image)
        self.entries = [
            RepeatedInput(entry.image, record.image)
            if isinstance(entry, RepeatedInput) and entry.same_as == before
            else entry
            for entry in self.entries
        ]
        self.entries.append(_make_entry(outcome))
        self._places[number], self.done[number] = here, outcome

    def list_unshown(self, shown: int) -> list[tuple[int, CountJob]]:
        """Return those of the first so many fields of which nothing is made for the page: number and job."""
        return [
            (number, self._places[number][0])
            for number, done in enumerate(self.done[:shown])
            if done.page is None
        ]

    def replace(self, number: int, done: DoneField) -> None:
        """Put a field in the place of one that is the same but for the page."""
        _, record, entry = self._places[number]
        self.done[number] = done
        self.records[record] = done.record
        self.entries[entry] = _make_entry(done)

    def list_flags(self) -> tuple[QualityFlag, ...]:
        """Return flags of inputs that show pixels or cells of another, and of a scale that others show.

        What later specimens share with this one is known once they are counted too.
        """
        shared = flag_shared(
            self._specimen, [(r.image, r.pixels_sha256) for r in self.records], self._seen_anywhere
        )
        scale = judge_shared_scale([done.record for done in self.done])
        found = (self._judge_overlap(), scale)
        return (*shared, *self._flag_repeated(), *(flag for flag in found if flag is not None))

    def _judge_overlap(self) -> QualityFlag | None:
        """Return the flag of fields that show the same cells; the same fields are compared once."""
        placed = {done.record.image: done.placed for done in self.done if done.placed is not None}
        images = list(placed)
        if images != self._overlap[0]:
            self._overlap = (images, judge_overlap(images, list(placed.values())))
        return self._overlap[1]

    def _flag_repeated(self) -> tuple[QualityFlag, ...]:
        repeated = [entry for entry in self.entries if isinstance(entry, RepeatedInput)]
        if not repeated:
            return ()
        named = ", ".join(f"{Path(e.image).name} as {Path(e.same_as).name}" for e in repeated[:5])
        more = "" if len(repeated) <= 5 else f" and {len(repeated) - 5} more"
        text = (
            f"{len(repeated)} of the images show the same pixels as another and are counted once: "
            f"{named}{more}"
        )
        return (QualityFlag("repeated_images", text, float(len(repeated))),)


def flag_shared(
    specimen: str, images: Iterable[tuple[str, str]], seen: SeenPixels
) -> tuple[QualityFlag, ...]:
    """Return the flag of a specimen whose images show the same pixels as those of others, or none.

    Args:
        specimen: its name.
        images: each with the hash of its pixels.
        seen: of all specimens.
    """
    found = [
        (image, where, owner)
        for image, pixels in images
        for owner, where in seen.get(pixels, {}).items()
        if owner != specimen
    ]
    if not found:
        return ()
    count = len({image for image, _, _ in found})
    named = ", ".join(f"{image} as {where} of {owner}" for image, where, owner in found[:5])
    more = "" if len(found) <= 5 else f" and {len(found) - 5} more"
    text = (
        f"{count} of the images show the same pixels as one of another specimen: {named}{more}; find out "
        "whose they are"
    )
    return (QualityFlag("image_of_another_specimen", text, float(count)),)


def _make_entry(done: DoneField) -> FieldReport:
    record = done.record
    return FieldReport(
        image=record.image,
        width_px=record.width_px,
        height_px=record.height_px,
        mpp=record.mpp,
        mpp_source=record.mpp_source,
        differential=done.differential,
        page=done.page,
        mpp_interval=record.mpp_interval,
        review=done.review,
        title=record.title,
    )
