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
from erythron.files.writing import whole_folder, write_file
from erythron.pipeline.count_worker import make_result
from erythron.pipeline.executor import (
    Executor,
    Failure,
    LocalExecutor,
    Progress,
    check_distinct,
    no_progress,
)
from erythron.pipeline.field import CountedField, Model, count_field, load_networks
from erythron.pipeline.options import RunOptions
from erythron.pipeline.settings import choose_settings
from erythron.read.inputs import InputImage
from erythron.read.source import open_source, read_whole
from erythron.results.fingerprint import StepSettings, fingerprint_steps, hash_image
from erythron.results.record import CELLS, RECORD, read_record
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE

RUN = "extract.json"
"""Which inputs the table of a run is of."""

_PAPER = 255


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
    jobs = [ExtractJob(image, out / image.relative.with_suffix("")) for image in inputs]
    check_distinct([(job, job.folder.relative_to(out)) for job in jobs])
    names = json.dumps([image.name for image in inputs], indent=1)
    if not options.force:
        if (out / CELLS).exists() and not _is_same_run(out, names):
            raise UsageError(
                f"{out / CELLS} is there and is of other images; "
                "add --force to replace it or choose another --out"
            )
        for job in jobs:
            _refuse_foreign(job, StepSettings(bundle, options.mpp, runtime=options.runtime))
    failures = []
    tables = [pl.DataFrame(schema=_list_columns(bundle))]
    for job, outcome in (executor or LocalExecutor()).run(ExtractTask(options), jobs):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            prefix = pl.lit(f"{job.folder.relative_to(out).as_posix()}/")
            tables.append(outcome.with_columns(pl.concat_str(prefix, c).alias(c) for c in ("crop", "mask")))
        progress(job.name)
    cells = pl.concat(tables)
    write_file(out / RUN, names)
    write_file(out / CELLS, cells.write_csv())
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
            schema = _list_columns(self._model.bundle)
            return pl.read_csv((job.folder / CELLS).read_bytes(), schema=schema)
        counted = count_field(read_whole(open_source(job.image.path, self._options.mpp)), self._model)
        with whole_folder(job.folder) as partial:
            table = _write_crops(counted, partial, self._model.bundle.card.framing)
            record = make_result(counted, job.name, sha256, wanted).record
            write_file(partial / RECORD, record.model_dump_json(indent=2) + "\n")
        return table


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


def _is_same_run(out: Path, names: str) -> bool:
    try:
        return (out / RUN).read_text(encoding="utf-8") == names
    except OSError:
        return False


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
    write_file(folder / CELLS, table.write_csv())
    return table
