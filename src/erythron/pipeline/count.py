"""Counting a batch of fields: folders, summary, report and the record of the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import polars as pl

from erythron import __version__
from erythron.bundle.folder import load_bundle
from erythron.bundle.loading import LoadingBundle, describe_device
from erythron.differential.assemble import merge_differentials
from erythron.differential.counts import Differential
from erythron.errors import ImageReadError, UsageError, describe_os_error
from erythron.files.locking import lock_folder
from erythron.files.naming import as_text
from erythron.files.tables import write_csv
from erythron.files.writing import sweep, write_file
from erythron.pipeline.count_worker import CountJob, CountTask, DoneField
from erythron.pipeline.executor import (
    Executor,
    Failure,
    LocalExecutor,
    Progress,
    attempt,
    no_progress,
)
from erythron.pipeline.kept_calls import refuse_calls_of_another, refuse_edited
from erythron.pipeline.options import RunOptions
from erythron.pipeline.places import check_distinct, settle_places
from erythron.pipeline.reviewed import merge_reviews
from erythron.pipeline.settings import choose_settings, describe_scale_option, keep_settings
from erythron.pipeline.specimens import Specimen, name_run
from erythron.pipeline.stream import CountStream
from erythron.pipeline.tally import SeenPixels, Tally
from erythron.read.inputs import InputImage
from erythron.report.distributions import make_distributions
from erythron.report.model import Entry, FailedInput, FieldReport, ReviewReport, RunReport, SignedVersion
from erythron.report.page import MAX_FIELDS_IN_FULL, render_report
from erythron.report.tables import SpecimenRow, make_specimen_summary, make_summary
from erythron.report.wording import is_counted
from erythron.results.field import refuse_foreign_folder
from erythron.results.fingerprint import hash_bundle
from erythron.results.record import read_record
from erythron.results.run import (
    PDF,
    REPORT,
    RUN,
    SUMMARY,
    refuse_other_run,
    refuse_other_specimens,
    remove_old_pdf,
    write_run,
    write_specimens,
)
from erythron.results.signature import flag_other_state, hash_result, read_signatures

SEGMENTER = "the segmentation network of the model"

_PACKAGES = ("numpy", "openvino", "polars", "scikit-image", "scipy")
"""Packages that the report names with their versions."""

_find_version = cache(version)  # It stays while a process runs, and takes milliseconds to read.


@dataclass(frozen=True)
class CountRun:
    """What a run counted.

    Attributes:
        differential: of all fields together.
        fields: the differential of each image that is done, by its path as given, in that order.
        failures: the other images.
        report: path of the page.
        review: what persons made of the calls, None where nobody called a cell.
        old_pdf: what became of a ``report.pdf`` of the page before; empty where none was there.
        signed: the signature of this state of the result; None where it is not signed as it stands.
    """

    differential: Differential
    fields: tuple[tuple[str, Differential], ...]
    failures: tuple[Failure, ...]
    report: Path
    review: ReviewReport | None = None
    old_pdf: str = ""
    signed: SignedVersion | None = None

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
                "report": as_text(self.report),
            }
        )


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
    with lock_folder(out):
        counting = Counting([Specimen(name_run(inputs), tuple(inputs), Path())], out, options, loading)
        [run] = counting.run(progress, executor)
    return run


def count_specimens(
    specimens: Sequence[Specimen],
    out: Path,
    options: RunOptions,
    progress: Progress = no_progress,
    loading: LoadingBundle | None = None,
    executor: Executor | None = None,
) -> tuple[CountRun, ...]:
    """Count the fields of several specimens: one folder with its report each, and a summary over all.

    Args:
        specimens: with their images, as :func:`erythron.pipeline.specimens.group_images` makes them.
        out: output folder; ``summary.csv`` in it has a row a specimen.
        options: as of :func:`count_images`.
        progress: called after each image.
        loading: the model of ``options`` where its networks load already.
        executor: where to count; None is this machine.

    Returns:
        What was counted of each specimen, in the order given.

    Raises:
        UsageError: two inputs have one folder, or ``out`` holds results of other inputs or images.
        BundleError: the model cannot be used.
    """
    with lock_folder(out):
        counting = Counting(specimens, out, options, loading)
        _refuse_taken_columns(specimens, make_specimen_summary((), counting.bundle.classes).columns)
        listed = {specimen.name: [image.name for image in specimen.images] for specimen in specimens}
        refuse_other_run([name for names in listed.values() for name in names], out, force=options.force)
        refuse_other_specimens(listed, out, force=options.force)
        runs = counting.run(progress, executor)
        rows = [describe_specimen(specimen, run) for specimen, run in zip(specimens, runs, strict=True)]
        failed = [FailedInput(failure.image, failure.reason) for run in runs for failure in run.failures]
        summary = make_specimen_summary(rows, counting.bundle.classes)
        told = keep_settings(options)
        lost = _write_each(
            (out / RUN, lambda: write_specimens(out, listed, failed, told, finished=False)),
            (out / SUMMARY, lambda: write_csv(summary, out / SUMMARY)),
            (out / RUN, lambda: write_specimens(out, listed, failed, told, finished=True)),
        )
    if lost and runs:
        runs = (*runs[:-1], replace(runs[-1], failures=(*runs[-1].failures, *lost)))
    return runs


def describe_specimen(specimen: Specimen, run: CountRun) -> SpecimenRow:
    """Return what the summary says of a specimen."""
    counted = sum(is_counted(differential) for _, differential in run.fields)
    counts = (counted, len(run.fields) - counted, len(run.failures))
    return SpecimenRow(specimen.name, specimen.details, *counts, run.differential, run.review, run.signed)


def _refuse_taken_columns(specimens: Sequence[Specimen], columns: Sequence[str]) -> None:
    """Refuse further columns of the table of specimens that are columns of the summary."""
    taken = sorted({name for specimen in specimens for name in specimen.details}.intersection(columns))
    if taken:
        raise UsageError(
            f"the table of specimens has the column {', '.join(taken)}, which the summary has too; rename it"
        )


def _write_each(*parts: tuple[Path, Callable[[], None]]) -> tuple[Failure, ...]:
    """Write what a run leaves beside its fields, each part though another cannot be written.

    What comes last says that all before it is there, so it is left where something is not.

    Args:
        parts: path and what writes it.
    """
    lost: list[Failure] = []
    for number, (path, write) in enumerate(parts, start=1):
        if lost and number == len(parts):
            break
        try:
            write()
        except OSError as error:
            lost.append(Failure(as_text(path), f"{as_text(path)}: {describe_os_error(error)}"))
    return tuple(lost)


class Counting:
    """A count of one or more specimens into one folder.

    Args:
        specimens: with their images.
        out: output folder.
        options: model, scale and whether to replace.
        loading: the model of ``options`` where its networks load already.

    Attributes:
        bundle: the model.

    Raises:
        UsageError: two inputs have one folder, or one of those holds results of other inputs or images.
        BundleError: the model cannot be used.
    """

    def __init__(
        self,
        specimens: Sequence[Specimen],
        out: Path,
        options: RunOptions,
        loading: LoadingBundle | None = None,
    ) -> None:
        loading = loading or LoadingBundle(load_bundle(options.model), options.runtime, options.threads)
        self.bundle = loading.bundle
        specimens = settle_places(specimens, out)
        self._specimens, self._out, self._options = specimens, out, options
        self._task = CountTask(options, loading)
        self._settings = choose_settings(self.bundle, options.reference, options.width, options.me_ratio)
        self._folders = [
            {image: out / specimen.folder / image.place for image in specimen.images}
            for specimen in specimens
        ]
        every = [(image, folder) for folders in self._folders for image, folder in folders.items()]
        check_distinct([(image, folder.relative_to(out)) for image, folder in every if image.is_there])
        for specimen in specimens:
            names = [image.name for image in specimen.images]
            refuse_other_run(names, out / specimen.folder, force=options.force)
        self._stream = CountStream(self._task)
        self._old_pdfs: dict[Path, str] = {}
        for image, folder in every:
            refuse_foreign_folder(folder)
            if options.force:
                refuse_calls_of_another(image, folder, out)
            else:
                self._refuse_foreign(image, folder)
        for parent in {folder.parent for _, folder in every}:
            sweep(parent)

    def run(
        self, progress: Progress, executor: Executor | None, seen: SeenPixels | None = None
    ) -> tuple[CountRun, ...]:
        """Count, and write summary, report and record of each specimen as soon as its fields are done.

        Args:
            progress: called after each image.
            executor: where to count; None is this machine.
            seen: pixels of further specimens.

        Returns:
            What was counted of each specimen.
        """
        started = datetime.now(UTC)
        seen = {} if seen is None else seen
        tallies = [Tally(specimen.name, seen) for specimen in self._specimens]

        jobs = (
            CountJob(image, folder, min(len(folders), MAX_FIELDS_IN_FULL) if n < MAX_FIELDS_IN_FULL else 0)
            for folders in self._folders
            for n, (image, folder) in enumerate(folders.items())
        )
        outcomes = self._stream.run(jobs, executor or LocalExecutor(), progress)
        runs, said = [], []
        for specimen, folders, tally in zip(self._specimens, self._folders, tallies, strict=True):
            for job, outcome in islice(outcomes, len(folders)):
                tally.add(outcome, job)
            self._show_more(tally, min(len(folders), MAX_FIELDS_IN_FULL))
            said.append(tally.list_flags())
            runs.append(self._write(specimen, tally, started))
        for number, (specimen, tally) in enumerate(zip(self._specimens, tallies, strict=True)):
            if tally.list_flags() != said[number]:  # a later specimen has one of its images too
                runs[number] = self._write(specimen, tally, started)
        return tuple(runs)

    def _show_more(self, tally: Tally, shown: int) -> None:
        """Make what the page shows of further fields where some of the first could not be counted."""
        for number, job in tally.list_unshown(shown):
            done = attempt(job.name, partial(self._stream.worker, replace(job, fields_shown=shown)))
            if isinstance(done, DoneField):
                tally.replace(number, done)

    def _refuse_foreign(self, image: InputImage, folder: Path) -> None:
        """Refuse to replace results of another image or scale, or a table of cells that a person edited."""
        if not folder.exists():
            return
        try:
            wanted = self._stream.worker.fingerprint(CountJob(image, folder, 0))
        except ImageReadError:
            return
        record = read_record(folder)
        again = "add --force to replace it or choose another --out"
        if record is None or record.fingerprints.outlines != wanted.outlines:
            raise UsageError(
                f"{folder} is there and was not made from {image.path} with these settings; {again}"
            )
        refuse_edited(folder, record)

    def _write(self, specimen: Specimen, tally: Tally, started: datetime) -> CountRun:
        out = self._out / specimen.folder
        page = self._make_page(specimen, tally, started)
        inputs = [image.name for image in specimen.images]
        summary = make_summary(tally.entries, self.bundle.classes)
        told = keep_settings(self._options)
        lost = _write_each(
            (out / RUN, lambda: write_run(out, inputs, tally.records, page, told, finished=False)),
            (out / SUMMARY, lambda: write_csv(summary, out / SUMMARY)),
            (out / PDF, lambda: self._remove_pdf(out)),
            (out / REPORT, lambda: write_file(out / REPORT, render_report(page))),
            (out / RUN, lambda: write_run(out, inputs, tally.records, page, told, finished=True)),
        )
        return CountRun(
            page.differential,
            tuple((field.image, field.differential) for field in page.fields),
            (*(Failure(failed.image, failed.reason) for failed in page.failed), *lost),
            out / REPORT,
            page.review,
            self._old_pdfs.get(out, ""),
            page.signed[-1] if page.is_signed else None,
        )

    def _remove_pdf(self, out: Path) -> None:
        if said := remove_old_pdf(out):
            self._old_pdfs[out] = said  # a page may be written twice, and its PDF is gone by then

    def _make_page(self, specimen: Specimen, tally: Tally, started: datetime) -> RunReport:
        card, options = self.bundle.card, self._options
        differential = merge_differentials((field.differential for field in tally.done), self._settings)
        measured = [field.measured for field in tally.done]
        review = merge_reviews([(field.differential, field.review) for field in tally.done], self._settings)
        stored = read_signatures(self._out / specimen.folder)
        signed = [
            SignedVersion(s.version, s.reader, s.at, s.nucleated_cells, s.confirmed_cells) for s in stored
        ]
        is_signed = bool(stored) and stored[-1].sha256 == hash_result(tally.records)
        signing = options.signing
        if signing is not None and specimen.key == signing.specimen:
            counts = (differential.nucleated_cells, 0 if review is None else review.confirmed_nucleated)
            now = SignedVersion(signing.version, signing.reader, signing.at, *counts)
            signed = [*(one for one in signed if one.version < signing.version), now]
            is_signed = True
        flags = [*tally.list_flags(), *differential.flags]
        if stored and not is_signed:
            flags.insert(0, flag_other_state(stored[-1]))
        return RunReport(
            specimen=specimen.name,
            details=tuple(Entry(name, value) for name, value in specimen.details.items()),
            made_at=started.astimezone(),
            differential=replace(differential, flags=tuple(flags)),
            fields=tuple(entry for entry in tally.entries if isinstance(entry, FieldReport)),
            failed=tuple(entry for entry in tally.entries if isinstance(entry, FailedInput)),
            review=review,
            signed=tuple(signed),
            is_signed=is_signed,
            distributions=make_distributions(pl.concat(measured)) if measured else (),
            unclassified_under=card.unclassified_below,
            segmenter=SEGMENTER,
            model_name=f"{card.name} {card.version}",
            model_sha256=hash_bundle(self.bundle),
            settings=(
                Entry("Microns per pixel", describe_scale_option(options)),
                Entry("Networks computed in", describe_device(options.runtime)),
            ),
            versions=(
                Entry("erythron", __version__),
                *(Entry(name, _find_version(name)) for name in _PACKAGES),
            ),
        )
