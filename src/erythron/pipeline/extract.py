"""Crops, masks and a table of every cell of a batch of fields, as the ``extract`` command writes them.

The crops are the image's own pixels, all of one size within an image, so that nothing is lost before
labelling.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.schema import Framing
from erythron.cells.table import list_cell_columns
from erythron.classify.crops import cut_mask, cut_window
from erythron.classify.framing import choose_mpp
from erythron.errors import ImageReadError, UsageError
from erythron.files.locking import lock_folder
from erythron.files.naming import as_text
from erythron.files.reading import read_text
from erythron.files.tables import read_csv, write_csv
from erythron.files.writing import sweep, whole_folder, write_file
from erythron.pipeline.executor import (
    Executor,
    Failure,
    LocalExecutor,
    Progress,
    no_progress,
)
from erythron.pipeline.field import CountedField, Model, count_field, load_networks
from erythron.pipeline.field_record import make_result
from erythron.pipeline.options import RunOptions
from erythron.pipeline.places import check_distinct, settle_images
from erythron.pipeline.settings import choose_settings
from erythron.read.inputs import InputImage
from erythron.read.source import open_source, read_whole
from erythron.results.field import refuse_foreign_folder
from erythron.results.fingerprint import StepSettings, fingerprint_steps, hash_image
from erythron.results.record import CELLS, RECORD, read_record
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE

RUN = "extract.json"
"""Which inputs the table of a run is of."""

_PAPER = 255
_OWN = (CELLS, RECORD, "crops", "masks")
"""What an image's folder holds; anything else in it is not erythron's, and stays."""


@dataclass(frozen=True)
class ExtractRun:
    """What a run extracted.

    Attributes:
        images: images that are done.
        cells: cells extracted from them.
        failures: the other images.
    """

    images: int
    cells: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class ExtractJob:
    """One field whose cells are cut: where it is, and where they go."""

    image: InputImage
    folder: Path

    @property
    def name(self) -> str:
        """The path of the image as given."""
        return self.image.name


@dataclass(frozen=True)
class ExtractTask:
    """Cutting of cells as plain data, see :class:`erythron.pipeline.executor.Task`."""

    options: RunOptions

    def start(self) -> Callable[[ExtractJob], pl.DataFrame]:
        """Return the function that cuts the cells of one field and returns their table."""
        return _Worker(self.options)


def extract_cells(
    inputs: Sequence[InputImage],
    out: Path,
    options: RunOptions,
    progress: Progress = no_progress,
    executor: Executor | None = None,
) -> ExtractRun:
    """Cut every nucleated cell of every field.

    Writes ``out/NAME/crops/ID.png``, ``out/NAME/masks/ID.png`` (255 nucleus, 128 cytoplasm of this cell
    alone) and ``out/NAME/cells.csv``; and ``out/cells.csv`` over all images, with the paths of crop and
    mask relative to ``out``. Beyond the image's border a crop is white.

    Args:
        inputs: images and their relative output paths.
        out: output folder.
        options: model, scale and whether to replace.
        progress: called after each image.
        executor: where to work; None is this machine.

    Raises:
        UsageError: two inputs have one folder, or ``out`` holds results of other inputs or settings.
        BundleError: the model cannot be used.
    """
    bundle = load_bundle(options.model)
    jobs = [ExtractJob(image, out / image.place) for image in settle_images(inputs, out)]
    check_distinct([(job, job.folder.relative_to(out)) for job in jobs if job.image.is_there])
    with lock_folder(out):
        return _extract(jobs, out, options, bundle, (executor or LocalExecutor()), progress)


def _extract(
    jobs: Sequence[ExtractJob],
    out: Path,
    options: RunOptions,
    bundle: Bundle,
    executor: Executor,
    progress: Progress,
) -> ExtractRun:
    names = [job.name for job in jobs]
    _refuse_other_run(out, names, force=options.force)
    for job in jobs:
        refuse_foreign_folder(job.folder)
        if not options.force:
            _refuse_foreign(job, StepSettings(bundle, options.mpp, runtime=options.runtime))
    for parent in {job.folder.parent for job in jobs}:
        sweep(parent)
    failures = []
    tables = [pl.DataFrame(schema=_list_columns(bundle))]
    for job, outcome in executor.run(ExtractTask(options), jobs):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            prefix = pl.lit(f"{as_text(job.folder.relative_to(out).as_posix())}/")
            tables.append(outcome.with_columns(pl.concat_str(prefix, c).alias(c) for c in ("crop", "mask")))
        progress(job.name)
    cells = pl.concat(tables)
    failed = {failure.image for failure in failures}
    # First what the table is of: without it the table is not known to be erythron's.
    write_file(out / RUN, json.dumps([name for name in names if name not in failed], indent=1))
    write_csv(cells, out / CELLS)
    return ExtractRun(len(jobs) - len(failures), cells.height, tuple(failures))


class _Worker:
    """Cuts the cells of fields into their folders, and keeps what an earlier run has done of the same."""

    def __init__(self, options: RunOptions) -> None:
        bundle = load_bundle(options.model)
        networks = load_networks(bundle, kind=options.runtime)
        self._options = options
        self._model = Model(bundle, choose_settings(bundle), lambda: networks)
        self._steps = StepSettings(bundle, options.mpp, runtime=options.runtime)

    def __call__(self, job: ExtractJob) -> pl.DataFrame:
        sha256 = hash_image(job.image.path)
        wanted = fingerprint_steps(self._steps, job.name, sha256)
        record = None if self._options.force else read_record(job.folder)
        if record is not None and record.fingerprints.calls == wanted.calls:
            kept = self._read_kept(job.folder)
            if kept is not None:
                return kept
        counted = count_field(read_whole(open_source(job.image.path, self._options.mpp)), self._model)
        with whole_folder(job.folder, own=_OWN) as partial:
            table = _write_crops(counted, partial, self._model.bundle.card.framing)
            record = make_result(counted, job.name, sha256, wanted).record
            write_file(partial / RECORD, record.model_dump_json(indent=2) + "\n")
        return table

    def _read_kept(self, folder: Path) -> pl.DataFrame | None:
        """Return the table of an image that is done; None where one of its files is not there."""
        try:
            table = read_csv(folder / CELLS, _list_columns(self._model.bundle))
        except (OSError, pl.exceptions.PolarsError):
            return None
        if list(table.columns) != list(_list_columns(self._model.bundle)):
            return None
        files = [*table["crop"], *table["mask"]]
        return table if all((folder / name).is_file() for name in files) else None


def _list_columns(bundle: Bundle) -> dict[str, pl.DataType]:
    return {**list_cell_columns(bundle.classes), "crop": pl.String(), "mask": pl.String()}


def _refuse_foreign(job: ExtractJob, steps: StepSettings) -> None:
    if not job.folder.exists():
        return
    try:
        wanted = fingerprint_steps(steps, job.name, hash_image(job.image.path))
    except ImageReadError:
        return
    record = read_record(job.folder)
    if record is None or record.fingerprints.calls != wanted.calls:
        raise UsageError(
            f"{job.folder} is there and was not made from {job.name} with these settings; "
            "add --force to replace it or choose another --out"
        )


def _refuse_other_run(out: Path, names: Sequence[str], *, force: bool) -> None:
    """Refuse to replace the table of inputs that are not given again, or one that is not erythron's."""
    if not (out / CELLS).exists():
        return
    try:
        earlier = set(json.loads(read_text(out / RUN)))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{out / CELLS} is there and erythron did not write it; move it or choose another --out"
        ) from error
    if earlier - set(names) and not force:
        raise UsageError(
            f"{out / CELLS} is there and is of other images; "
            "add --force to replace it or choose another --out"
        )


def _write_crops(counted: CountedField, folder: Path, framing: Framing) -> pl.DataFrame:
    """Write crops, masks and table of one image, and return the table."""
    (folder / "crops").mkdir()
    (folder / "masks").mkdir()
    image = counted.image
    half = math.ceil(framing.input_px * framing.input_mpp / choose_mpp(image, framing) / 2)
    crops, masks = [], []
    rows = counted.cells.select("cell_id", "x_px", "y_px").iter_rows()
    for (cell_id, x_px, y_px), outline in zip(rows, counted.outlines, strict=True):
        left, top = round(x_px) - half, round(y_px) - half
        window = (left, top, left + 2 * half, top + 2 * half)
        nucleus, cell = (cut_mask(m, window) for m in (outline.nucleus_mask, outline.whole))
        mask = np.where(nucleus, NUCLEUS_VALUE, np.where(cell, CYTOPLASM_VALUE, 0)).astype(np.uint8)
        crops.append(f"crops/{cell_id}.png")
        masks.append(f"masks/{cell_id}.png")
        Image.fromarray(cut_window(image.rgb, window, _PAPER)).save(folder / crops[-1])
        Image.fromarray(mask).save(folder / masks[-1])
    columns = (pl.Series("crop", crops, pl.String()), pl.Series("mask", masks, pl.String()))
    table = counted.cells.with_columns(*columns)
    write_csv(table, folder / CELLS)
    return table
