"""One field of a count: only those of its steps are done that an earlier run has not done."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import polars as pl

from erythron.bundle.folder import load_bundle
from erythron.bundle.loading import LoadingBundle
from erythron.differential.assemble import make_differential, set_references
from erythron.differential.counts import Differential
from erythron.errors import DataError, ImageReadError
from erythron.interchange.geojson import trace_cells
from erythron.pipeline.executor import Progress, no_progress
from erythron.pipeline.field import (
    CountedField,
    Model,
    Networks,
    OutlinedField,
    call_field,
    count_field,
    load_networks,
)
from erythron.pipeline.field_record import make_result, read_scale
from erythron.pipeline.options import RunOptions
from erythron.pipeline.overlap import PlacedCells, place_cells
from erythron.pipeline.reviewed import apply_review, count_by_model, report_review, undo_review
from erythron.pipeline.settings import choose_settings, describe_steps, settle_steps
from erythron.pipeline.slides.counter import DividedSlide, SlideCounter, SlideWork, TileDone, TileJob
from erythron.pipeline.slides.digest import SlideDigest, draw_sample
from erythron.read.image import SmearImage
from erythron.read.inputs import InputImage
from erythron.read.source import is_slide, open_source, read_whole
from erythron.report.distributions import COLUMNS
from erythron.report.field_page import make_field_page
from erythron.report.model import FieldPage, ReviewReport
from erythron.results.field import (
    ShownField,
    is_whole,
    iterate_field_rings,
    read_cells,
    read_differential,
    read_field,
    read_page,
    replace_differential,
    replace_page,
    write_field,
)
from erythron.results.fingerprint import (
    Fingerprints,
    fingerprint_steps,
    hash_image,
)
from erythron.results.record import FieldRecord, read_record
from erythron.results.review import hash_review, read_review
from erythron.results.slide import SlideResult
from erythron.review.record import Review
from erythron.segment.field_scale import FieldScale

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CountJob:
    """One field to count.

    Attributes:
        image: where it is.
        folder: where its results go.
        fields_shown: fields that the page shows in full; 0 where it does not show this one.
    """

    image: InputImage
    folder: Path
    fields_shown: int

    @property
    def name(self) -> str:
        """The path of the image as given."""
        return self.image.name


@dataclass(frozen=True, eq=False)
class DoneField:
    """What the summary and the page of a run need of a finished field.

    Attributes:
        record: where it comes from.
        differential: of its cells.
        measured: its cells, the columns that the page plots.
        page: what the page shows of it, None where it does not.
        review: what persons made of its calls, None where nobody called a cell.
        placed: its cells, as they are compared with those of other fields; None of a slide.
    """

    record: FieldRecord
    differential: Differential
    measured: pl.DataFrame
    page: FieldPage | None
    review: ReviewReport | None = None
    placed: PlacedCells | None = None


class CountTask:
    """Counting of fields as plain data: what is sent to every process that counts.

    Args:
        options: model, scale, ranges and whether to replace.
        loading: the model of ``options`` where this process has read it already.
        progress: told of the areas of slides that are counted in this process.
    """

    def __init__(
        self, options: RunOptions, loading: LoadingBundle | None = None, progress: Progress = no_progress
    ) -> None:
        self.options = options
        self._loading, self._progress = loading, progress

    def __getstate__(self) -> dict[str, object]:
        return {"options": self.options, "_loading": None, "_progress": no_progress}

    def telling(self, progress: Progress) -> CountTask:
        """Return the same task, which tells of the areas of slides that are counted in this process."""
        return CountTask(self.options, self._loading, progress)

    def start(self) -> CountWorker:
        """See :class:`erythron.pipeline.executor.Task`."""
        return CountWorker(self.options, self._loading, self._progress)


class CountWorker:
    """Counts fields into their folders, and keeps what an earlier run has done of the same.

    Args:
        options: model, scale, ranges and whether to replace.
        loading: the model of ``options`` where it is read already.
        progress: told of the areas of slides.

    Raises:
        BundleError: the model cannot be used.
        DataError: the file of reference ranges cannot be used.
    """

    def __init__(
        self, options: RunOptions, loading: LoadingBundle | None = None, progress: Progress = no_progress
    ) -> None:
        self._options = options
        self._loading = loading or LoadingBundle(load_bundle(options.model), options.runtime, options.threads)
        bundle = self._loading.bundle
        settings = choose_settings(bundle, options.reference, options.width, options.me_ratio)
        self._model = Model(bundle, settings, self._get_networks)
        self._steps = describe_steps(bundle, options)
        self._slides = SlideCounter(self._model, options, progress)
        self._networks: Networks | None = None

    @overload
    def __call__(self, job: CountJob) -> DoneField: ...

    @overload
    def __call__(self, job: TileJob) -> TileDone: ...

    @overload
    def __call__(self, job: CountJob | TileJob) -> DoneField | TileDone: ...

    def __call__(self, job: CountJob | TileJob) -> DoneField | TileDone:
        """Count one image, or only those of its steps that are not done yet; or one tile of a slide."""
        if isinstance(job, TileJob):
            return self._slides.count(job)
        return self._count_slide(job) if is_slide(job.image.path) else self._count_field(job)

    def fingerprint(self, job: CountJob) -> Fingerprints:
        """Return the fingerprints of the steps of an image of which nobody has called a cell.

        Raises:
            ImageReadError: the image is not there or may not be read.
        """
        if is_slide(job.image.path):
            return self._find_work(job).fingerprints
        steps = settle_steps(self._steps, job.image)
        return fingerprint_steps(steps, job.name, hash_image(job.image.path), job.fields_shown)

    def divide(self, job: CountJob) -> DividedSlide | DoneField:
        """Divide a slide into tiles; one that is counted already is returned as it is.

        Raises:
            ImageReadError: it cannot be read, or shows nothing to count.
            DataError: the file of the region cannot be used.
        """
        work = self._find_work(job)
        return self._keep_slide(work) or self._slides.divide(work)

    def finish(self, slide: DividedSlide) -> DoneField:
        """Put a slide together once all its tiles are counted.

        Raises:
            SpecimenError: it is not one of a smear.
        """
        return self._end_slide(slide.work, *self._slides.finish(slide))

    def _count_slide(self, job: CountJob) -> DoneField:
        work = self._find_work(job)
        return self._keep_slide(work) or self._end_slide(work, *self._slides.count_best(work))

    def _find_work(self, job: CountJob) -> SlideWork:
        sha256, with_scope = self._slides.hash(job.image.path)
        review = hash_review(read_review(job.folder))
        return SlideWork(
            job.image, job.folder, sha256, fingerprint_steps(self._steps, job.name, with_scope, 1, review)
        )

    def _end_slide(self, work: SlideWork, result: SlideResult, digest: SlideDigest) -> DoneField:
        """Return a slide that was just counted, with what persons have called its cells before."""
        review = read_review(work.folder)
        if review is not None:
            return self._review_slide(work, review)
        return DoneField(result.record, result.differential, digest.sample.select(COLUMNS), result.page)

    def _review_slide(self, work: SlideWork, review: Review | None) -> DoneField:
        found = self._slides.review(work, review)
        return self._as_done(found.record, found.differential, found.cells, found.page, review)

    def _as_done(
        self,
        record: FieldRecord,
        differential: Differential,
        cells: pl.DataFrame,
        page: FieldPage,
        review: Review | None,
    ) -> DoneField:
        """Return a slide whose whole table is in memory."""
        measured = draw_sample(cells, self._options.slides.seed).select(COLUMNS)
        report = self._report_review(cells, review, record)
        return DoneField(record, differential, measured, page, report)

    def _keep_slide(self, work: SlideWork) -> DoneField | None:
        """Return what is there of a slide, with other calls or ranges where there are any; else None."""
        record = None if self._options.force else read_record(work.folder)
        wanted = work.fingerprints
        if record is None or record.fingerprints.calls != wanted.calls or not is_whole(work.folder):
            return None
        page = read_page(work.folder)
        if page is None:
            return None
        review = read_review(work.folder)
        try:
            if record.review_sha256 != hash_review(review):
                return self._review_slide(work, review)
            differential, cells = read_differential(work.folder, record), read_cells(work.folder)
        except DataError:
            log.info("%s: what is kept of it is damaged, so it is counted again", work.image.name)
            return None
        if record.fingerprints.differential != wanted.differential:
            differential = set_references(differential, self._model.settings)
            record = record.model_copy(update={"fingerprints": wanted})
            record = replace_differential(work.folder, record, differential)
        return self._as_done(record, differential, cells, page, review)

    def _count_field(self, job: CountJob) -> DoneField:
        if self._options.slides.region is not None:
            raise ImageReadError(
                f"{job.name}: is a field, and --region is of slides; count it without, and draw the region "
                "on the page of erythron review"
            )
        record = None if self._options.force else read_record(job.folder)
        review, sha256 = read_review(job.folder), hash_image(job.image.path)
        steps = settle_steps(self._steps, job.image)
        wanted = fingerprint_steps(steps, job.name, sha256, job.fields_shown, hash_review(review))
        if record is not None and record.fingerprints.outlines == wanted.outlines and is_whole(job.folder):
            try:
                return self._go_on(record, job, wanted, review)
            except DataError:
                log.info("%s: what is kept of it is damaged, so it is counted again", job.name, exc_info=True)
        image = read_whole(open_source(job.image.path, steps.mpp))
        return self._store(count_field(image, self._model), job, sha256, wanted, review)

    def _go_on(
        self, record: FieldRecord, job: CountJob, wanted: Fingerprints, review: Review | None
    ) -> DoneField:
        """Do those steps of an outlined field that are not done yet."""
        if record.fingerprints.calls != wanted.calls:
            return self._store(self._call_again(record, job), job, record.sha256, wanted, review)
        if record.review_sha256 != hash_review(review):
            return self._store(self._read_calls(record, job, review), job, record.sha256, wanted, review)
        return self._keep(record, job, wanted, review)

    def _get_networks(self) -> Networks:
        if self._networks is None:
            self._networks = load_networks(self._loading.bundle, self._loading.runtimes.result())
        return self._networks

    def _call_again(self, record: FieldRecord, job: CountJob) -> CountedField:
        """Name the outlined cells of a field by another model."""
        image, scale = self._read_image(record, job)
        found = read_field(job.folder)
        _, outlines = undo_review(found.cells, found.outlines, found.review)
        return call_field(OutlinedField(image, scale, outlines), self._model)

    def _read_calls(self, record: FieldRecord, job: CountJob, review: Review | None) -> CountedField:
        """Take the model's calls as they are stored."""
        image, scale = self._read_image(record, job)
        found = read_field(job.folder)
        cells, outlines = undo_review(found.cells, found.outlines, review)
        differential = make_differential(cells, self._model.settings, record.quality)
        rings = dict(iterate_field_rings(job.folder))
        return CountedField(image, scale, outlines, cells, record.quality, differential, rings)

    def _read_image(self, record: FieldRecord, job: CountJob) -> tuple[SmearImage, FieldScale | None]:
        """Read the image of a field with the scale that it was counted at."""
        image = read_whole(open_source(job.image.path, self._options.mpp))
        image = replace(image, mpp=record.mpp, mpp_source=record.mpp_source)
        return image, read_scale(record)

    def _store(
        self,
        counted: CountedField,
        job: CountJob,
        sha256: str,
        wanted: Fingerprints,
        review: Review | None,
    ) -> DoneField:
        by_model = counted.differential
        if review is not None:
            counted = apply_review(counted, review, self._model)
        result = make_result(counted, job.name, sha256, wanted, review)
        result = replace(result, record=result.record.model_copy(update={"title": job.image.title}))
        rgb = counted.image.rgb

        def show() -> ShownField:
            new = [outline for outline in counted.outlines if outline.cell_id not in counted.rings]
            traced = dict(zip((outline.cell_id for outline in new), trace_cells(new), strict=True))
            rings = [traced.get(o.cell_id) or counted.rings[o.cell_id] for o in counted.outlines]
            if not job.fields_shown:
                return ShownField(rings)
            return ShownField(rings, make_field_page(rgb, counted.cells, rings, job.fields_shown))

        record, shown = write_field(result, rgb, show, job.folder)
        return DoneField(
            record,
            counted.differential,
            counted.cells.select(COLUMNS),
            shown.page,
            self._report_review(counted.cells, review, record, by_model),
            place_cells(counted.cells, record.width_px, record.height_px),
        )

    def _report_review(
        self,
        cells: pl.DataFrame,
        review: Review | None,
        record: FieldRecord,
        by_model: Differential | None = None,
    ) -> ReviewReport | None:
        if review is None:
            return None
        if by_model is None or review.standing_regions:  # what lies outside them is in neither count
            by_model = count_by_model(cells, review, self._model.settings, record)
        return report_review(cells, review, by_model)

    def _keep(
        self, record: FieldRecord, job: CountJob, wanted: Fingerprints, review: Review | None
    ) -> DoneField:
        """Take what is there; ranges and the page are set anew where they are of other settings."""
        differential, cells = read_differential(job.folder, record), read_cells(job.folder)
        page = read_page(job.folder) if job.fields_shown else None
        old = record.fingerprints
        if old.differential != wanted.differential:
            differential = set_references(differential, self._model.settings)
            record = record.model_copy(
                update={"fingerprints": replace(old, differential=wanted.differential)}
            )
            record = replace_differential(job.folder, record, differential)
        if job.fields_shown and (page is None or old.page != wanted.page):
            image = read_whole(open_source(job.image.path, self._options.mpp))
            rings = trace_cells(read_field(job.folder).outlines)
            page = make_field_page(image.rgb, cells, rings, job.fields_shown)
            record = record.model_copy(
                update={"fingerprints": replace(record.fingerprints, page=wanted.page)}
            )
            replace_page(job.folder, record, page)
        report = self._report_review(cells, review, record)
        placed = place_cells(cells, record.width_px, record.height_px)
        return DoneField(record, differential, cells.select(COLUMNS), page, report, placed)
