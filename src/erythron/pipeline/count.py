"""A batch of fields counted, as the ``count`` command writes it.

Each image has its folder; what concerns the whole run is made from these folders at the end, so that a run
which was interrupted and continued gives the same as one that was not.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import polars as pl
from PIL import Image

from erythron import __version__
from erythron.bundle.folder import Bundle
from erythron.bundle.loading import LoadingBundle
from erythron.classify.calls import calls_schema
from erythron.differential.assemble import merge_differentials
from erythron.differential.counts import Differential
from erythron.errors import DataError, UsageError
from erythron.files.writing import write_file
from erythron.pipeline.batch import Failure, Progress, RunOptions, no_progress
from erythron.pipeline.differential import choose_settings, count_calls
from erythron.pipeline.field import FieldCells
from erythron.pipeline.folder_run import FolderRun, FolderRunner
from erythron.read.fields import read_image
from erythron.read.inputs import InputImage
from erythron.report.distributions import COLUMNS, make_distributions
from erythron.report.gallery import cut_gallery, keep_most_doubtful
from erythron.report.marks import MAX_MARKS, make_marks
from erythron.report.model import (
    CellMark,
    Distribution,
    Entry,
    FailedInput,
    FieldReport,
    GalleryCell,
    Picture,
    RunReport,
)
from erythron.report.overlay import make_overlay_picture
from erythron.report.page import MAX_FIELDS_IN_FULL, render_report
from erythron.report.tables import make_summary
from erythron.results.field_folder import fill_field_folder
from erythron.results.fingerprint import hash_bundle
from erythron.results.record import CELLS, DIFFERENTIAL, GEOJSON, ImageRecord, read_record

SUMMARY = "summary.csv"
REPORT = "report.html"
RUN = "run.json"

SEGMENTER = "the outliner of the model"

_MODULES = ("numpy", "openvino", "polars", "skimage", "scipy")
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


def count_images(
    inputs: Sequence[InputImage],
    out: Path,
    options: RunOptions,
    progress: Progress = no_progress,
    loading: LoadingBundle | None = None,
) -> CountRun:
    """Count every field and write folders, summary, report and the record of the run.

    Args:
        inputs: images and their relative output paths.
        out: output folder.
        options: model, scale and whether to replace.
        progress: called after each image.
        loading: the model of ``options`` where its networks load already.

    Raises:
        UsageError: two inputs have one folder, or ``out`` holds results of other inputs or settings.
        BundleError: the model cannot be used.
    """
    started = datetime.now(UTC)
    runner = FolderRunner("count", out, options, loading)
    bundle = runner.bundle
    settings = choose_settings(bundle, options)
    if not options.force:
        _refuse_other_run(inputs, out)

    def fill(found: FieldCells, folder: Path) -> None:
        found, differential = count_calls(found, bundle, settings)
        fill_field_folder(found, folder, differential)

    done = runner.run(inputs, fill, progress)
    pictures, gallery = _show_fields(done, options, bundle)
    fields = _read_fields(done, pictures)
    total = merge_differentials((field.differential for field in fields), settings)
    reasons = {failure.image: failure.reason for failure in done.failures}
    by_image = {field.image: field for field in fields}
    every = [
        by_image.get(str(image.path)) or FailedInput(str(image.path), reasons[str(image.path)])
        for image in inputs
    ]
    write_file(out / SUMMARY, make_summary(every, bundle.classes).write_csv())
    page = RunReport(
        specimen=_name_specimen(inputs),
        made_at=started.astimezone(),
        differential=total,
        fields=tuple(fields),
        failed=tuple(entry for entry in every if isinstance(entry, FailedInput)),
        gallery=gallery,
        distributions=_read_distributions(done, bundle),
        unclassified_under=bundle.card.unclassified_below,
        segmenter=SEGMENTER,
        model_name=f"{bundle.card.name} {bundle.card.version}",
        model_sha256=hash_bundle(bundle),
        settings=_list_settings(options),
        versions=(
            Entry("erythron", __version__),
            *(Entry(name, import_module(name).__version__) for name in _MODULES),
        ),
    )
    write_file(out / REPORT, render_report(page))
    write_file(out / RUN, _describe_run(inputs, done, page, started))
    return CountRun(
        total, tuple((field.image, field.differential) for field in fields), done.failures, out / REPORT
    )


def _refuse_other_run(inputs: Sequence[InputImage], out: Path) -> None:
    """Refuse to replace the summary of a finished run over other inputs."""
    again = "add --force to replace it or choose another --out"
    try:
        earlier = json.loads((out / RUN).read_bytes())
    except FileNotFoundError:
        for name in (SUMMARY, REPORT):
            if (out / name).exists():
                raise UsageError(f"{out / name} is there and no run of erythron wrote it; {again}") from None
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{out / RUN}: is not a record of a run ({error}); {again}") from error
    if earlier.get("inputs") != [str(image.path) for image in inputs]:
        raise UsageError(f"{out} holds a finished run over other images; {again}")


def _read_fields(done: FolderRun, pictures: dict[str, Picture]) -> list[FieldReport]:
    """Read what each finished folder says; the first fields get what the page shows of them.

    Args:
        done: the finished folders.
        pictures: of the first fields, by image.
    """
    differentials = [
        Differential.from_json((folder / DIFFERENTIAL).read_text(encoding="utf-8"))
        for _, folder in done.folders
    ]
    first = differentials[:MAX_FIELDS_IN_FULL]
    on_page = sum(d.nucleated_cells + d.left_out_cells for d in first)
    outlined, fields = 0, []
    for (_, folder), differential in zip(done.folders, differentials, strict=True):
        record = _need_record(folder)
        picture = pictures.get(record.image)
        marks: tuple[CellMark, ...] = ()
        cells = differential.nucleated_cells + differential.left_out_cells
        if picture is not None and outlined + cells <= MAX_MARKS:
            outlined += cells
            table = pl.read_csv(folder / CELLS, schema_overrides={"flags": pl.String()})
            marks = make_marks((folder / GEOJSON).read_text(encoding="utf-8"), table, on_page)
        fields.append(
            FieldReport(
                image=record.image,
                width_px=record.width_px,
                height_px=record.height_px,
                mpp=record.mpp,
                mpp_source=record.mpp_source,
                differential=differential,
                picture=picture,
                marks=marks,
            )
        )
    return fields


def _show_fields(
    done: FolderRun, options: RunOptions, bundle: Bundle
) -> tuple[dict[str, Picture], tuple[GalleryCell, ...]]:
    """Return the pictures of the fields that are shown in full, by image, and their most doubtful cells."""
    schema = calls_schema(bundle)
    shown = done.folders[:MAX_FIELDS_IN_FULL]
    pictures: dict[str, Picture] = {}
    gallery: tuple[GalleryCell, ...] = ()
    for image, folder in shown:
        rgb = read_image(image.path, options.mpp).rgb
        pictures[_need_record(folder).image] = make_overlay_picture(Image.fromarray(rgb), len(shown))
        found = cut_gallery(rgb, pl.read_csv(folder / CELLS, schema=schema))
        gallery = keep_most_doubtful([*gallery, *found])
    return pictures, gallery


def _read_distributions(done: FolderRun, bundle: Bundle) -> tuple[Distribution, ...]:
    """Read the measurements of all fields by stage: few columns, so that a thousand fields fit in memory."""
    if not done.folders:
        return ()
    schema = calls_schema(bundle)
    tables = [pl.read_csv(folder / CELLS, schema=schema, columns=list(COLUMNS)) for _, folder in done.folders]
    return make_distributions(pl.concat(tables))


def _need_record(folder: Path) -> ImageRecord:
    record = read_record(folder)
    if record is None:
        raise DataError(f"{folder}: its record was removed while the run went on; count again")
    return record


def _name_specimen(inputs: Sequence[InputImage]) -> str:
    return inputs[0].path.stem if len(inputs) == 1 else f"{len(inputs)} images"


def _list_settings(options: RunOptions) -> tuple[Entry, ...]:
    scale = (
        "as each image states, else from its red cells" if options.mpp is None else f"{options.mpp} (given)"
    )
    return (Entry("Microns per pixel", scale),)


def _describe_run(inputs: Sequence[InputImage], done: FolderRun, page: RunReport, started: datetime) -> str:
    """Return the text of ``run.json``."""
    finished = datetime.now(UTC)
    description = {
        "schema_version": 1,
        "command": "count",
        "started": started.isoformat(),
        "finished": finished.isoformat(),
        "seconds": round((finished - started).total_seconds(), 3),
        "model": {"name": page.model_name, "sha256": page.model_sha256},
        "settings": {entry.name: entry.value for entry in page.settings},
        "versions": {entry.name: entry.value for entry in page.versions},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "inputs": [str(image.path) for image in inputs],
        "done": [_need_record(folder).model_dump(mode="json") for _, folder in done.folders],
        "failures": [asdict(failure) for failure in done.failures],
    }
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"
