"""Counting a batch of fields: folders, summary, report and the record of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import polars as pl

from erythron import __version__
from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.loading import LoadingBundle, describe_device, start_loading
from erythron.differential.assemble import merge_differentials, set_references
from erythron.differential.counts import Differential
from erythron.errors import ImageReadError, UsageError
from erythron.files.writing import write_file
from erythron.interchange.geojson import trace_cells
from erythron.pipeline.executor import Executor, Failure, LocalExecutor, Progress, check_distinct, no_progress
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
from erythron.report.distributions import COLUMNS, make_distributions
from erythron.report.field_page import make_field_page
from erythron.report.model import Entry, FailedInput, FieldPage, FieldReport, RunReport
from erythron.report.page import MAX_FIELDS_IN_FULL, render_report
from erythron.report.tables import make_summary
from erythron.results.field import (
    FieldResult,
    ShownField,
    is_edited,
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
    hash_bundle,
    hash_image,
)
from erythron.results.record import FieldRecord, read_record
from erythron.results.run import REPORT, SUMMARY, refuse_other_run, write_run
from erythron.segment.scale import ScaleEstimate

SEGMENTER = "the segmentation network of the model"

_PACKAGES = ("numpy", "openvino", "polars", "scikit-image", "scipy")
"""Packages that the report names with their versions."""


@dataclass(frozen=True)
class CountRun:
    """What a run counted.

    Attributes:
        differential: of all fields together.
        fields: the differential of each image that is done, by its path as given, in that order.
        failures: the other images.
        report: path of the page.
    """

    differential: Differential
    fields: tuple[tuple[str, Differential], ...]
    failures: tuple[Failure, ...]
    report: Path

    def to_json(self) -> str:
        """Return the run as one JSON object: ``differential``, ``fields``, ``failures`` and ``report``."""
        return json.dumps(
            {
                "differential": json.loads(self.differential.to_json()),
                "fields": [
                    {"image": image, "differential": json.loads(differential.to_json())}
                    for image, differential in self.fields
                ],
                "failures": [asdict(failure) for failure in self.failures],
                "report": str(self.report),
            },
            ensure_ascii=False,
        )


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
        if record is None or record.fingerprints.outlines != wanted.outlines:
            image = read_whole(open_source(job.image.path, self._options.mpp))
            return self._store(count_field(image, self._model), job, sha256, wanted)
        if record.fingerprints.calls != wanted.calls:
            return self._store(self._call_again(record, job), job, sha256, wanted)
        return self._keep(record, job, wanted)

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
        rgb, rings = counted.image.rgb, trace_cells(counted.outlines)
        page = make_field_page(rgb, counted.cells, rings, job.fields_shown) if job.fields_shown else None
        record = write_field(result, ShownField(rgb, rings, page), job.folder)
        return DoneField(record, counted.differential, counted.cells.select(COLUMNS), page)

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


def count_images(
    inputs: Sequence[InputImage],
    out: Path,
    options: RunOptions,
    progress: Progress = no_progress,
    loading: LoadingBundle | None = None,
    executor: Executor | None = None,
) -> CountRun:
    """Count every field and write folders, summary, report and the record of the run.

    Args:
        inputs: images and their relative output paths.
        out: output folder.
        options: model, scale and whether to replace.
        progress: called after each image.
        loading: the model of ``options`` where its networks load already.
        executor: where to count; None is this machine.

    Raises:
        UsageError: two inputs have one folder, or ``out`` holds results of other inputs or images.
        BundleError: the model cannot be used.
    """
    started = datetime.now(UTC)
    bundle = load_bundle(options.model) if loading is None else loading.bundle
    folders = {image: out / image.relative.with_suffix("") for image in inputs}
    check_distinct([(image, folder.relative_to(out)) for image, folder in folders.items()])
    if not options.force:
        refuse_other_run([image.name for image in inputs], out)
        for image, folder in folders.items():
            _refuse_foreign(image, folder, describe_steps(bundle, options))
    done: list[DoneField] = []
    entries: list[FieldReport | FailedInput] = []
    shown = min(len(inputs), MAX_FIELDS_IN_FULL)

    def list_jobs() -> Iterator[CountJob]:
        for image, folder in folders.items():
            yield CountJob(image, folder, shown if len(done) < shown else 0)

    task = CountTask(options, loading)
    for job, outcome in (executor or LocalExecutor()).run(task, list_jobs()):
        if isinstance(outcome, Failure):
            entries.append(FailedInput(outcome.image, outcome.reason))
        else:
            done.append(outcome)
            entries.append(_make_entry(outcome))
        progress(job.name)
    page = _make_page(entries, done, bundle, options, started)
    write_file(out / SUMMARY, make_summary(entries, bundle.classes).write_csv())
    write_file(out / REPORT, render_report(page))
    write_run(out, [image.name for image in inputs], [field.record for field in done], page)
    return CountRun(
        page.differential,
        tuple((field.image, field.differential) for field in page.fields),
        tuple(Failure(failed.image, failed.reason) for failed in page.failed),
        out / REPORT,
    )


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


def _refuse_foreign(image: InputImage, folder: Path, steps: StepSettings) -> None:
    """Refuse to replace results of another image or scale, or a table of cells that a person edited."""
    if not folder.exists():
        return
    try:
        wanted = fingerprint_steps(steps, image.name, hash_image(image.path))
    except ImageReadError:
        return
    record = read_record(folder)
    again = "add --force to replace it or choose another --out"
    if record is None or record.fingerprints.outlines != wanted.outlines:
        raise UsageError(f"{folder} is there and was not made from {image.path} with these settings; {again}")
    if is_edited(folder, record):
        raise UsageError(f"{folder}: its table of cells was changed after the count; {again}")


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
    )


def _make_page(
    entries: Sequence[FieldReport | FailedInput],
    done: Sequence[DoneField],
    bundle: Bundle,
    options: RunOptions,
    started: datetime,
) -> RunReport:
    settings = choose_settings(bundle, options.reference, options.width)
    measured = [field.measured for field in done]
    return RunReport(
        specimen=Path(entries[0].image).stem if len(entries) == 1 else f"{len(entries)} images",
        made_at=started.astimezone(),
        differential=merge_differentials((field.differential for field in done), settings),
        fields=tuple(entry for entry in entries if isinstance(entry, FieldReport)),
        failed=tuple(entry for entry in entries if isinstance(entry, FailedInput)),
        distributions=make_distributions(pl.concat(measured)) if measured else (),
        unclassified_under=bundle.card.unclassified_below,
        segmenter=SEGMENTER,
        model_name=f"{bundle.card.name} {bundle.card.version}",
        model_sha256=hash_bundle(bundle),
        settings=(
            Entry("Microns per pixel", _describe_scale(options.mpp)),
            Entry("Networks computed in", describe_device(options.runtime)),
        ),
        versions=(
            Entry("erythron", __version__),
            *(Entry(name, version(name)) for name in _PACKAGES),
        ),
    )


def _describe_scale(mpp: float | None) -> str:
    return "as each image states, else from its red cells" if mpp is None else f"{mpp} (given)"
