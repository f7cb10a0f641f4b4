"""One field of a count: only those of its steps are done that an earlier run has not done."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.loading import LoadingBundle, start_loading
from erythron.differential.assemble import set_references
from erythron.differential.counts import Differential
from erythron.errors import DataError
from erythron.interchange.geojson import trace_cells
from erythron.pipeline.field import (
    CountedField,
    Model,
    Networks,
    OutlinedField,
    call_field,
    count_field,
    load_networks,
)
from erythron.pipeline.options import RunOptions
from erythron.pipeline.settings import choose_settings
from erythron.read.inputs import InputImage
from erythron.read.source import open_source, read_whole
from erythron.report.distributions import COLUMNS
from erythron.report.field_page import make_field_page
from erythron.report.model import FieldPage
from erythron.results.field import (
    FieldResult,
    ShownField,
    is_whole,
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
    StepSettings,
    fingerprint_steps,
    hash_image,
    hash_pixels,
)
from erythron.results.record import FieldRecord, read_record
from erythron.segment.scale import ScaleEstimate

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
    """

    record: FieldRecord
    differential: Differential
    measured: pl.DataFrame
    page: FieldPage | None


class CountTask:
    """Counting of fields as plain data: what is sent to every process that counts.

    Args:
        options: model, scale, ranges and whether to replace.
        loading: the model of ``options`` where its networks load already in this process.
    """

    def __init__(self, options: RunOptions, loading: LoadingBundle | None = None) -> None:
        self.options = options
        self._loading = loading

    def __getstate__(self) -> dict[str, object]:
        return {"options": self.options, "_loading": None}

    def start(self) -> CountWorker:
        """See :class:`erythron.pipeline.executor.Task`."""
        return CountWorker(self.options, self._loading)


class CountWorker:
    """Counts fields into their folders, and keeps what an earlier run has done of the same.

    Args:
        options: model, scale, ranges and whether to replace.
        loading: the model of ``options`` where its networks load already; else they load when needed.

    Raises:
        BundleError: the model cannot be used.
        DataError: the file of reference ranges cannot be used.
    """

    def __init__(self, options: RunOptions, loading: LoadingBundle | None = None) -> None:
        self._options = options
        self._loading = loading
        bundle = load_bundle(options.model) if loading is None else loading.bundle
        settings = choose_settings(bundle, options.reference, options.width)
        self._model = Model(bundle, settings, self._get_networks)
        self._steps = describe_steps(bundle, options)
        self._networks: Networks | None = None

    def __call__(self, job: CountJob) -> DoneField:
        """Count one field, or only those of its steps that are not done yet."""
        sha256 = hash_image(job.image.path)
        wanted = fingerprint_steps(self._steps, job.name, sha256, job.fields_shown)
        record = None if self._options.force else read_record(job.folder)
        if record is None or record.fingerprints.outlines != wanted.outlines or not is_whole(job.folder):
            image = read_whole(open_source(job.image.path, self._options.mpp))
            return self._store(count_field(image, self._model), job, sha256, wanted)
        if record.fingerprints.calls != wanted.calls:
            return self._store(self._call_again(record, job), job, sha256, wanted)
        try:
            return self._keep(record, job, wanted)
        except DataError:
            log.info("%s: what is kept of it is damaged, so it is counted again", job.name, exc_info=True)
            image = read_whole(open_source(job.image.path, self._options.mpp))
            return self._store(count_field(image, self._model), job, sha256, wanted)

    def _get_networks(self) -> Networks:
        if self._networks is None:
            loading = self._loading or start_loading(self._options.model, self._options.runtime)
            self._networks = load_networks(loading.bundle, loading.runtimes.result())
        return self._networks

    def _call_again(self, record: FieldRecord, job: CountJob) -> CountedField:
        """Name the outlined cells of a field by another model."""
        image = read_whole(open_source(job.image.path, self._options.mpp))
        image = replace(image, mpp=record.mpp, mpp_source=record.mpp_source)
        scale = None
        if record.mpp is not None and record.mpp_interval is not None:
            scale = ScaleEstimate(record.mpp, *record.mpp_interval, record.red_cells or 0)
        return call_field(OutlinedField(image, scale, read_field(job.folder).outlines), self._model)

    def _store(self, counted: CountedField, job: CountJob, sha256: str, wanted: Fingerprints) -> DoneField:
        result = make_result(counted, job.name, sha256, wanted)
        rgb = counted.image.rgb

        def show() -> ShownField:
            rings = trace_cells(counted.outlines)
            if not job.fields_shown:
                return ShownField(rings)
            return ShownField(rings, make_field_page(rgb, counted.cells, rings, job.fields_shown))

        record, shown = write_field(result, rgb, show, job.folder)
        return DoneField(record, counted.differential, counted.cells.select(COLUMNS), shown.page)

    def _keep(self, record: FieldRecord, job: CountJob, wanted: Fingerprints) -> DoneField:
        """Take what is there; ranges and the page are set anew where they are of other settings."""
        differential, cells = read_differential(job.folder), read_cells(job.folder)
        page = read_page(job.folder) if job.fields_shown else None
        old = record.fingerprints
        if old.differential != wanted.differential:
            differential = set_references(differential, self._model.settings)
            record = record.model_copy(
                update={"fingerprints": replace(old, differential=wanted.differential)}
            )
            replace_differential(job.folder, record, differential)
        if job.fields_shown and (page is None or old.page != wanted.page):
            image = read_whole(open_source(job.image.path, self._options.mpp))
            rings = trace_cells(read_field(job.folder).outlines)
            page = make_field_page(image.rgb, cells, rings, job.fields_shown)
            record = record.model_copy(
                update={"fingerprints": replace(record.fingerprints, page=wanted.page)}
            )
            replace_page(job.folder, record, page)
        return DoneField(record, differential, cells.select(COLUMNS), page)


def describe_steps(bundle: Bundle, options: RunOptions) -> StepSettings:
    """Return what the steps of every field of a run depend on besides its image.

    Raises:
        ImageReadError: the file of reference ranges cannot be read.
    """
    reference = "" if options.reference is None else hash_image(options.reference)
    return StepSettings(bundle, options.mpp, reference, options.width, options.runtime)


def make_result(counted: CountedField, name: str, sha256: str, fingerprints: Fingerprints) -> FieldResult:
    """Return a counted field with the record of where it comes from.

    Args:
        counted: the field.
        name: of the image, as the user gave it.
        sha256: of the image's bytes.
        fingerprints: of its steps.
    """
    image, scale = counted.image, counted.scale
    record = FieldRecord(
        image=name,
        sha256=sha256,
        pixels_sha256=hash_pixels(image.rgb),
        fingerprints=fingerprints,
        width_px=image.width_px,
        height_px=image.height_px,
        mpp=image.mpp,
        mpp_source=image.mpp_source,
        mpp_interval=None if scale is None else (scale.mpp_low, scale.mpp_high),
        red_cells=None if scale is None else scale.red_cells,
        quality=counted.quality,
    )
    return FieldResult(record, counted.outlines, counted.cells, counted.differential)
